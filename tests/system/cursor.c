/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For the guest of gpu.py: a cursor of 64 by 64 pixels by the kernel's mode setting, its left half
 * red, its right half green and half transparent. cursor X Y... moves it to each place and waits
 * for a line of its standard input there; at the end the cursor goes. */
#include <fcntl.h>
#include <libdrm/drm.h>
#include <libdrm/drm_mode.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { SIZE = 64 };

static int call(int fd, unsigned long request, void *argument, const char *what)
{
    int rc = ioctl(fd, request, argument);

    if (rc < 0)
        perror(what);
    return rc;
}

static uint32_t make_image(int fd)
{
    struct drm_mode_create_dumb made = {.width = SIZE, .height = SIZE, .bpp = 32};
    struct drm_mode_map_dumb map = {0};
    uint32_t *pixels;

    if (call(fd, DRM_IOCTL_MODE_CREATE_DUMB, &made, "create") < 0)
        exit(1);
    map.handle = made.handle;
    if (call(fd, DRM_IOCTL_MODE_MAP_DUMB, &map, "map") < 0)
        exit(1);
    pixels = mmap(NULL, made.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)map.offset);
    if (pixels == MAP_FAILED)
        exit(1);
    for (unsigned i = 0; i < SIZE * SIZE; i++)
        pixels[i] = i % SIZE < SIZE / 2 ? 0xffff0000 : 0x80008000;
    return made.handle;
}

int main(int argc, char **argv)
{
    int fd = open("/dev/dri/card0", O_RDWR);
    uint32_t crtc[8];
    struct drm_mode_card_res res = {.crtc_id_ptr = (uintptr_t)crtc, .count_crtcs = 8};
    struct drm_mode_cursor2 cursor = {.flags = DRM_MODE_CURSOR_BO, .width = SIZE, .height = SIZE};
    char line[16];

    if (fd < 0 || call(fd, DRM_IOCTL_MODE_GETRESOURCES, &res, "resources") < 0)
        return 1;
    cursor.crtc_id = crtc[0];
    cursor.handle = make_image(fd);
    if (call(fd, DRM_IOCTL_MODE_CURSOR2, &cursor, "set") < 0)
        return 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        cursor.flags = DRM_MODE_CURSOR_MOVE;
        cursor.x = atoi(argv[i]);
        cursor.y = atoi(argv[i + 1]);
        if (call(fd, DRM_IOCTL_MODE_CURSOR2, &cursor, "move") < 0)
            return 1;
        printf("at %d %d\n", cursor.x, cursor.y);
        fflush(stdout);
        if (fgets(line, sizeof(line), stdin) == NULL)
            break;
    }
    cursor.flags = DRM_MODE_CURSOR_BO;
    cursor.handle = 0;
    return call(fd, DRM_IOCTL_MODE_CURSOR2, &cursor, "hide") < 0;
}
