/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scan codes: see ps2_keys.h. */
#include "dev/chip/ps2_keys.h"

#include <linux/input-event-codes.h>
#include <string.h>

#define EXTENDED 0x80 /* e0 comes first, in sets 1 and 2 */

/* Set 1. The keys of the first 88 numbers have their number as code, but for one. */
static const uint8_t first[PS2_KEYS] = {
    [KEY_RO] = 0x73,
    [KEY_HENKAN] = 0x79,
    [KEY_KATAKANAHIRAGANA] = 0x70,
    [KEY_MUHENKAN] = 0x7b,
    [KEY_YEN] = 0x7d,
    [KEY_KPENTER] = EXTENDED | 0x1c,
    [KEY_RIGHTCTRL] = EXTENDED | 0x1d,
    [KEY_KPSLASH] = EXTENDED | 0x35,
    [KEY_SYSRQ] = EXTENDED | 0x37,
    [KEY_RIGHTALT] = EXTENDED | 0x38,
    [KEY_HOME] = EXTENDED | 0x47,
    [KEY_UP] = EXTENDED | 0x48,
    [KEY_PAGEUP] = EXTENDED | 0x49,
    [KEY_LEFT] = EXTENDED | 0x4b,
    [KEY_RIGHT] = EXTENDED | 0x4d,
    [KEY_END] = EXTENDED | 0x4f,
    [KEY_DOWN] = EXTENDED | 0x50,
    [KEY_PAGEDOWN] = EXTENDED | 0x51,
    [KEY_INSERT] = EXTENDED | 0x52,
    [KEY_DELETE] = EXTENDED | 0x53,
    [KEY_MUTE] = EXTENDED | 0x20,
    [KEY_VOLUMEDOWN] = EXTENDED | 0x2e,
    [KEY_VOLUMEUP] = EXTENDED | 0x30,
    [KEY_POWER] = EXTENDED | 0x5e,
    [KEY_LEFTMETA] = EXTENDED | 0x5b,
    [KEY_RIGHTMETA] = EXTENDED | 0x5c,
    [KEY_COMPOSE] = EXTENDED | 0x5d,
    [KEY_SLEEP] = EXTENDED | 0x5f,
    [KEY_WAKEUP] = EXTENDED | 0x63,
};

/* Set 2 by the code of set 1, with or without e0. */
static const uint8_t second[0x80] = {
    0,    0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d,
    0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14, 0x1c, 0x1b,
    0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a, 0x22, 0x21, 0x2a,
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0c, 0x03,
    0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b, 0x6b, 0x73, 0x74, 0x79, 0x69,
    0x72, 0x7a, 0x70, 0x71, 0x84, 0,    0x61, 0x78, 0x07, 0,    0,    0x1f, 0x27, 0x2f, 0x37, 0x3f,
    0,    0,    0,    0x5e, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0x13, 0,    0,    0x51, 0,    0,    0,    0,    0,    0x64, 0,    0x67, 0,    0x6a,
};

/* Set 3 where it is not set 2's code of the same key. */
static const uint8_t third[PS2_KEYS] = {
    [KEY_ESC] = 0x08,        [KEY_F1] = 0x07,        [KEY_F2] = 0x0f,
    [KEY_F3] = 0x17,         [KEY_F4] = 0x1f,        [KEY_F5] = 0x27,
    [KEY_F6] = 0x2f,         [KEY_F7] = 0x37,        [KEY_F8] = 0x3f,
    [KEY_F9] = 0x47,         [KEY_F10] = 0x4f,       [KEY_F11] = 0x56,
    [KEY_F12] = 0x5e,        [KEY_LEFTCTRL] = 0x11,  [KEY_RIGHTCTRL] = 0x58,
    [KEY_LEFTALT] = 0x19,    [KEY_RIGHTALT] = 0x39,  [KEY_CAPSLOCK] = 0x14,
    [KEY_BACKSLASH] = 0x5c,  [KEY_102ND] = 0x13,     [KEY_SYSRQ] = 0x57,
    [KEY_SCROLLLOCK] = 0x5f, [KEY_PAUSE] = 0x62,     [KEY_INSERT] = 0x67,
    [KEY_DELETE] = 0x64,     [KEY_HOME] = 0x6e,      [KEY_END] = 0x65,
    [KEY_PAGEUP] = 0x6f,     [KEY_PAGEDOWN] = 0x6d,  [KEY_UP] = 0x63,
    [KEY_DOWN] = 0x60,       [KEY_LEFT] = 0x61,      [KEY_RIGHT] = 0x6a,
    [KEY_NUMLOCK] = 0x76,    [KEY_KPSLASH] = 0x77,   [KEY_KPASTERISK] = 0x7e,
    [KEY_KPMINUS] = 0x84,    [KEY_KPPLUS] = 0x7c,    [KEY_KPENTER] = 0x79,
    [KEY_LEFTMETA] = 0x8b,   [KEY_RIGHTMETA] = 0x8c, [KEY_COMPOSE] = 0x8d,
};

static uint8_t set1_of(unsigned key)
{
    if (key >= PS2_KEYS || key == KEY_KPDOT + 1 || key == KEY_ZENKAKUHANKAKU)
        return 0;
    return key <= KEY_F12 ? (uint8_t)key : first[key];
}

/* Pause sends all of its codes when it is pressed. */
static unsigned pause_codes(unsigned set, uint8_t *out)
{
    static const uint8_t one[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
    static const uint8_t two[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
    unsigned n = set == 1 ? sizeof(one) : sizeof(two);

    memcpy(out, set == 1 ? one : two, n);
    return n;
}

static unsigned third_codes(unsigned key, bool down, uint8_t *out)
{
    unsigned n = 0;
    uint8_t code = third[key] != 0 ? third[key] : second[set1_of(key) & 0x7f];

    if (code == 0)
        return 0;
    if (!down)
        out[n++] = 0xf0;
    out[n++] = code;
    return n;
}

unsigned ps2_key_codes(unsigned set, unsigned key, bool down, uint8_t out[PS2_CODES_MAX])
{
    uint8_t code = set1_of(key);
    unsigned n = 0;

    if (key < PS2_KEYS && set == 3)
        return third_codes(key, down, out);
    if (key == KEY_PAUSE)
        return down ? pause_codes(set, out) : 0;
    if (code == 0)
        return 0;
    /* The numbers up to 88 have no prefix: their codes are below 0x80. */
    if (code & EXTENDED)
        out[n++] = 0xe0;
    code &= 0x7f;
    if (set == 1) {
        out[n++] = (uint8_t)(down ? code : code | 0x80);
        return n;
    }
    if (!down)
        out[n++] = 0xf0;
    out[n++] = second[code];
    return n;
}
