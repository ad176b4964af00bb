/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disk and network. BENCH_DISK names the file or device; with BENCH_DIRECT set, past the cache of
 * the system that runs this: in a guest that measures the way to the host, whose cache then holds
 * the image. BENCH_SERVER is ADDRESS:PORT of a server that sends as many bytes as a number of eight
 * bytes asks it for, or, with the highest bit of that number set, takes as many and answers with a
 * byte.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define DISK_SIZE (128ull << 20) /* how much of it is used */
#define CHUNK (1 << 20)
#define UPLOAD (1ull << 63)

static int fd = -1;
static char *buffer;

static const char *open_disk(void)
{
    const char *path = getenv("BENCH_DISK");
    if (!path)
        return "BENCH_DISK is not set";
    buffer = bench_memory(CHUNK);
    fd = open(path, O_RDWR | (getenv("BENCH_DIRECT") ? O_DIRECT : 0));
    return fd < 0 ? "cannot open the disk" : NULL;
}

static void transfer(int writing, size_t size, off_t at)
{
    ssize_t r = writing ? pwrite(fd, buffer, size, at) : pread(fd, buffer, size, at);
    if (r != (ssize_t)size)
        bench_fail(writing ? "pwrite" : "pread");
}

static void read_sequential(unsigned long n)
{
    while (n--)
        transfer(0, CHUNK, n % (DISK_SIZE / CHUNK) * CHUNK);
}

static void write_sequential(unsigned long n)
{
    while (n--)
        transfer(1, CHUNK, n % (DISK_SIZE / CHUNK) * CHUNK);
}

static void read_random(unsigned long n)
{
    while (n--)
        transfer(0, 4096, bench_random() % (DISK_SIZE / 4096) * 4096);
}

static void write_random(unsigned long n)
{
    while (n--)
        transfer(1, 4096, bench_random() % (DISK_SIZE / 4096) * 4096);
}

static const char *connect_server(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    const char *server = getenv("BENCH_SERVER");
    char address[64];
    int port, yes = 1;

    if (!server || sscanf(server, "%63[^:]:%d", address, &port) != 2)
        return "BENCH_SERVER is not set";
    buffer = bench_memory(CHUNK);
    to.sin_port = htons(port);
    inet_pton(AF_INET, address, &to.sin_addr);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
        return "cannot connect";
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    return NULL;
}

static void ask(uint64_t what)
{
    if (send(fd, &what, sizeof(what), 0) != sizeof(what))
        bench_fail("send");
}

static void receive(uint64_t left)
{
    while (left > 0) {
        ssize_t r = recv(fd, buffer, left < CHUNK ? left : CHUNK, 0);
        if (r <= 0)
            bench_fail("recv");
        left -= r;
    }
}

static void download(unsigned long n)
{
    ask((uint64_t)n * CHUNK);
    receive((uint64_t)n * CHUNK);
}

static void upload(unsigned long n)
{
    ask((uint64_t)n * CHUNK | UPLOAD);
    for (uint64_t left = (uint64_t)n * CHUNK; left > 0;) {
        ssize_t r = send(fd, buffer, left < CHUNK ? left : CHUNK, 0);
        if (r <= 0)
            bench_fail("send");
        left -= r;
    }
    receive(1);
}

static void request(unsigned long n)
{
    while (n--) {
        ask(1);
        receive(1);
    }
}

const struct measure io_measures[] = {
    {"disk.read-1M", read_sequential, open_disk, NULL, CHUNK},
    {"disk.write-1M", write_sequential, open_disk, NULL, CHUNK},
    {"disk.read-4K", read_random, open_disk, NULL, 4096},
    {"disk.write-4K", write_random, open_disk, NULL, 4096},
    {"net.download", download, connect_server, NULL, CHUNK},
    {"net.upload", upload, connect_server, NULL, CHUNK},
    {"net.round-trip", request, connect_server, NULL, 0},
    {NULL, NULL, NULL, NULL, 0},
};
