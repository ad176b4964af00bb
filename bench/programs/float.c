/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scalar floating point: SSE2 as compilers emit it, x87, and the mathematics library. */
#include <math.h>

#include "bench.h"

struct body {
    double x[3], v[3], mass;
};

static void nbody(unsigned long n)
{
    static struct body b[5] = {
        {{0, 0, 0}, {0, 0, 0}, 39.47},
        {{4.84, -1.16, -.10}, {.60, 2.81, -.02}, .037},
        {{8.34, 4.12, -.40}, {-1.01, 1.82, .008}, .011},
        {{12.89, -15.11, -.22}, {1.08, .86, -.01}, .0017},
        {{15.37, -25.9, .17}, {.97, .59, -.03}, .002},
    };
    while (n--) {
        for (int i = 0; i < 5; i++)
            for (int j = i + 1; j < 5; j++) {
                double d[3], square = 0;
                for (int k = 0; k < 3; k++) {
                    d[k] = b[i].x[k] - b[j].x[k];
                    square += d[k] * d[k];
                }
                double magnitude = 1e-6 / (square * sqrt(square));
                for (int k = 0; k < 3; k++) {
                    b[i].v[k] -= d[k] * b[j].mass * magnitude;
                    b[j].v[k] += d[k] * b[i].mass * magnitude;
                }
            }
        for (int i = 0; i < 5; i++)
            for (int k = 0; k < 3; k++)
                b[i].x[k] += 1e-6 * b[i].v[k];
    }
    bench_sink = b[1].x[0] * 1e9;
}

static void matmul(unsigned long n)
{
    static double a[64][64], b[64][64], c[64][64];
    for (int i = 0; i < 4096; i++) {
        a[i / 64][i % 64] = i * 0.5;
        b[i / 64][i % 64] = 1.0 / (i + 1);
    }
    while (n--)
        for (int i = 0; i < 64; i++)
            for (int j = 0; j < 64; j++) {
                double sum = 0;
                for (int k = 0; k < 64; k++)
                    sum += a[i][k] * b[k][j];
                c[i][j] = sum;
            }
    bench_sink = c[3][4];
}

static void mandelbrot(unsigned long n)
{
    uint64_t total = 0;
    while (n--)
        for (int p = 0; p < 64; p++) {
            double cr = -0.75 + p * 0.001, ci = 0.1, r = 0, i = 0;
            int k = 0;
            for (; k < 100 && r * r + i * i < 4; k++) {
                double t = r * r - i * i + cr;
                i = 2 * r * i + ci;
                r = t;
            }
            total += k;
        }
    bench_sink = total;
}

static void fft(unsigned long n)
{
    static double re[1024], im[1024];
    for (int i = 0; i < 1024; i++)
        re[i] = i % 37;
    while (n--)
        for (int half = 512; half > 0; half /= 2)
            for (int start = 0; start < 1024; start += 2 * half)
                for (int k = start; k < start + half; k++) {
                    double wr = 1 - k * 1e-4, wi = k * 1e-4;
                    double dr = re[k] - re[k + half], di = im[k] - im[k + half];
                    re[k] = (re[k] + re[k + half]) * 0.5;
                    im[k] = (im[k] + im[k + half]) * 0.5;
                    re[k + half] = dr * wr - di * wi;
                    im[k + half] = dr * wi + di * wr;
                }
    bench_sink = re[5] * 1000;
}

static void long_double(unsigned long n)
{
    long double x = 1.5L, y = 0.3L;
    while (n--)
        for (int i = 0; i < 500; i++) {
            x = x * 1.0000001L + y / (i + 1);
            y = y * 0.999L + 1e-5L * x;
        }
    bench_sink = x;
}

static void library(unsigned long n)
{
    double sum = 0;
    while (n--)
        for (int i = 1; i <= 200; i++)
            sum += sin(i * 0.01) + exp(-i * 0.01) + log(i) + pow(i, 0.3);
    bench_sink = sum;
}

static void conversions(unsigned long n)
{
    double sum = 0;
    while (n--)
        for (int i = 0; i < 1000; i++) {
            sum += i;
            float f = sum;
            sum -= (int64_t)f / 2;
        }
    bench_sink = sum;
}

const struct measure float_measures[] = {
    {FP "nbody", nbody, NULL, NULL, 0},           {FP "matmul", matmul, NULL, NULL, 0},
    {FP "mandelbrot", mandelbrot, NULL, NULL, 0}, {FP "fft", fft, NULL, NULL, 0},
    {FP "x87", long_double, NULL, NULL, 0},       {FP "libm", library, NULL, NULL, 0},
    {FP "convert", conversions, NULL, NULL, 0},   {NULL, NULL, NULL, NULL, 0},
};
