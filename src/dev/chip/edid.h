/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a monitor says of itself: VESA Enhanced EDID Standard, release A revision 2 (EDID 1.4). */
#ifndef DOPPEL_DEV_CHIP_EDID_H
#define DOPPEL_DEV_CHIP_EDID_H

#include <stdint.h>

#define EDID_SIZE 128u

/* A monitor without limits worth mentioning that prefers this size, of at most 4095 by 4095. */
void edid_make(uint8_t edid[EDID_SIZE], unsigned width, unsigned height);

#endif
