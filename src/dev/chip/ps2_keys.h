/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scan codes of a PC keyboard's keys, in the three sets: IBM PS/2 hardware interface technical
 * reference, "Keyboard (101- and 102-key)"; Microsoft, "Keyboard scan code specification", for the
 * keys that came later. Keys have the numbers of Linux (linux/input-event-codes.h, KEY_*), as
 * everywhere above the devices.
 */
#ifndef DOPPEL_DEV_CHIP_PS2_KEYS_H
#define DOPPEL_DEV_CHIP_PS2_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#define PS2_KEYS 256u    /* more than any key's number */
#define PS2_CODES_MAX 8u /* bytes that one event takes */

/* The bytes that pressing or releasing a key sends in set 1, 2 or 3. 0: there is no such key, or
 * nothing is sent (no key but Pause has no release). */
unsigned ps2_key_codes(unsigned set, unsigned key, bool down, uint8_t out[PS2_CODES_MAX]);

#endif
