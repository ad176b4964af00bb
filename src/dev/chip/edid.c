/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A monitor's description: see edid.h. Offsets are those of the standard's section 3. */
#include "dev/chip/edid.h"

#include <string.h>

#include "base/bits.h"

enum { REFRESH_HZ = 60, DPI = 96 };

static void header(uint8_t *e)
{
    static const uint8_t magic[8] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};

    memcpy(e, magic, sizeof(magic));
    e[0x08] = 0x12; /* "DPL": five bits a letter */
    e[0x09] = 0x0c;
    st_le16(e + 0x0a, 1);
    e[0x10] = 1;
    e[0x11] = 2026 - 1990;
    e[0x12] = 1; /* EDID 1.4 */
    e[0x13] = 4;
    e[0x14] = 0xa5; /* digital, 8 bits a colour, DisplayPort */
    e[0x17] = 120;  /* gamma 2.2 */
    e[0x18] = 0x06; /* sRGB, the first detailed timing is the preferred one */
}

/* The primaries of sRGB: section 3.7. */
static void chromaticity(uint8_t *e)
{
    static const uint8_t srgb[10] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};

    memcpy(e + 0x19, srgb, sizeof(srgb));
}

/* 640x480, 800x600 and 1024x768; 1280x1024, 1600x1200, 1920x1080: all at 60 Hz. */
static void modes(uint8_t *e)
{
    static const uint8_t standard[16] = {0x81, 0x80, 0xa9, 0x40, 0xd1, 0xc0, 1, 1,
                                         1,    1,    1,    1,    1,    1,    1, 1};

    e[0x23] = 0x21;
    e[0x24] = 0x08;
    memcpy(e + 0x26, standard, sizeof(standard));
}

/* Section 3.10.2, with blanking of a quarter of the width and of 25 lines. */
static void detailed(uint8_t *d, unsigned width, unsigned height)
{
    unsigned h_blank = width / 4, v_blank = 25, front = width / 32, sync = width / 16;
    unsigned clock = (width + h_blank) * (height + v_blank) / 10000 * REFRESH_HZ;
    unsigned w_mm = width * 254 / (DPI * 10), h_mm = height * 254 / (DPI * 10);

    st_le16(d, (uint16_t)(clock < 65535 ? clock : 65535));
    d[2] = (uint8_t)width;
    d[3] = (uint8_t)h_blank;
    d[4] = (uint8_t)((width >> 8) << 4 | h_blank >> 8);
    d[5] = (uint8_t)height;
    d[6] = (uint8_t)v_blank;
    d[7] = (uint8_t)((height >> 8) << 4);
    d[8] = (uint8_t)front;
    d[9] = (uint8_t)sync;
    d[10] = 3 << 4 | 6;
    d[11] = (uint8_t)((front >> 8) << 6 | (sync >> 8) << 4);
    d[12] = (uint8_t)w_mm;
    d[13] = (uint8_t)h_mm;
    d[14] = (uint8_t)((w_mm >> 8) << 4 | h_mm >> 8);
    d[17] = 0x18; /* digital separate sync */
}

/* Section 3.10.3: the range of frequencies, the name, and one that says nothing. */
static void descriptors(uint8_t *e)
{
    static const uint8_t range[18] = {0,  0,   0,   0xfd, 0,   50,  125, 30,  160,
                                      60, 0xa, ' ', ' ',  ' ', ' ', ' ', ' ', ' '};
    static const uint8_t name[18] = "\0\0\0\xfc\0doppel\n      ";

    memcpy(e + 0x48, range, sizeof(range));
    memcpy(e + 0x5a, name, sizeof(name));
    e[0x6c + 3] = 0x10;
}

void edid_make(uint8_t edid[EDID_SIZE], unsigned width, unsigned height)
{
    memset(edid, 0, EDID_SIZE);
    header(edid);
    edid[0x15] = (uint8_t)(width * 254 / (DPI * 100));
    edid[0x16] = (uint8_t)(height * 254 / (DPI * 100));
    chromaticity(edid);
    modes(edid);
    detailed(edid + 0x36, width, height);
    descriptors(edid);
    edid[EDID_SIZE - 1] = byte_checksum(edid, EDID_SIZE - 1);
}
