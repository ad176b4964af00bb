/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The screen as a PNG (libpng) or PPM file: see picture.h. */
#include "display/picture.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void to_rgb(const struct video_surface *s, unsigned y, uint8_t *rgb)
{
    for (unsigned x = 0; x < s->width; x++) {
        uint32_t p = s->pixels[(size_t)y * s->width + x];

        rgb[3 * x] = (uint8_t)(p >> 16);
        rgb[3 * x + 1] = (uint8_t)(p >> 8);
        rgb[3 * x + 2] = (uint8_t)p;
    }
}

static bool write_ppm(FILE *f, const struct video_surface *s, uint8_t *row)
{
    fprintf(f, "P6\n%u %u\n255\n", s->width, s->height);
    for (unsigned y = 0; y < s->height; y++) {
        to_rgb(s, y, row);
        fwrite(row, 3, s->width, f);
    }
    return ferror(f) == 0;
}

/* Quickly rather than well: the main thread does it. */
static bool write_png(FILE *f, const struct video_surface *s, uint8_t *row)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;

    if (info == NULL || setjmp(png_jmpbuf(png)) != 0) {
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_init_io(png, f);
    png_set_compression_level(png, 1);
    png_set_filter(png, 0, PNG_FILTER_SUB);
    png_set_IHDR(png, info, s->width, s->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (unsigned y = 0; y < s->height; y++) {
        to_rgb(s, y, row);
        png_write_row(png, row);
    }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    return true;
}

static int write_surface(const struct video_surface *s, const char *path,
                         enum picture_format format, struct err *e)
{
    char new[4096];
    uint8_t *row = malloc(3 * (size_t)s->width);
    int n = snprintf(new, sizeof(new), "%s.new", path), rc = 0;
    FILE *f;
    bool good;

    if (row == NULL || n >= (int)sizeof(new)) {
        free(row);
        return err_set(e, row == NULL ? ENOMEM : ENAMETOOLONG, "cannot write %.200s", path);
    }
    f = fopen(new, "we");
    if (f == NULL) {
        rc = err_set(e, errno, "cannot create %s: %s", new, strerror(errno));
        free(row);
        return rc;
    }
    good = format == PICTURE_PNG ? write_png(f, s, row) : write_ppm(f, s, row);
    if (fclose(f) != 0)
        good = false;
    if (!good || rename(new, path) < 0) {
        rc = err_set(e, errno != 0 ? errno : EIO, "cannot write %s: %s", path, strerror(errno));
        unlink(new);
    }
    free(row);
    return rc;
}

int picture_write(const struct video *v, const char *path, enum picture_format format,
                  struct err *e)
{
    struct video_surface s;
    int rc;

    video_init(&s);
    rc = v->draw(v->self, &s);
    rc = rc < 0 ? err_set(e, -rc, "cannot draw the screen: %s", strerror(-rc))
                : write_surface(&s, path, format, e);
    video_finish(&s);
    return rc;
}
