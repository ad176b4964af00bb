/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys by their names (those of QMP's QKeyCode), by the characters that a US keyboard has on them,
 * and by X's key symbols, as VNC sends them. A key is a KEY_* number of Linux.
 */
#ifndef DOPPEL_DISPLAY_KEYS_H
#define DOPPEL_DISPLAY_KEYS_H

#include <stdbool.h>
#include <stdint.h>

/* All give 0 for what is no key. */
unsigned key_by_name(const char *name);
unsigned key_by_char(char c, bool *shift);
/* Symbols of characters give the key that has the character, with shift or without. */
unsigned key_by_symbol(uint32_t symbol);

#endif
