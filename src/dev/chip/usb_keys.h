/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Usages of keys: HID Usage Tables 1.12, chapter 10. */
#ifndef DOPPEL_DEV_CHIP_USB_KEYS_H
#define DOPPEL_DEV_CHIP_USB_KEYS_H

#include <stdint.h>

#define USB_KEY_MODIFIERS 0xe0u /* usages from here on are the bits of the modifiers' byte */

/* The usage of a KEY_* of Linux on the keyboard page; 0: it has none there. */
uint8_t usb_key_usage(unsigned key);

#endif
