/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a monitor shows of a VGA. */
#ifndef DOPPEL_DEV_CHIP_VGA_DRAW_H
#define DOPPEL_DEV_CHIP_VGA_DRAW_H

#include "dev/chip/vga_chip.h"
#include "dev/video.h"

/* Draws the picture as it is at `now_ns` (blinking). The chip's registers stand still meanwhile,
 * its memory need not. In the VGA's own modes each dot and each scan line is a pixel: a mode of 320
 * by 200 has 640 by 400. 0 or -ENOMEM. */
int vga_draw(const struct vga_chip *c, uint64_t now_ns, struct video_surface *s) MUST_CHECK;

#endif
