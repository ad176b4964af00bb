/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The escape key of a machine on the terminal: Ctrl-A and a letter.
 *
 *   Ctrl-A h   help          Ctrl-A p   press the power button
 *   Ctrl-A x   quit          Ctrl-A r   reset
 *   Ctrl-A a, Ctrl-A Ctrl-A  send Ctrl-A to the guest
 */
#ifndef DOPPEL_VM_ESCAPE_H
#define DOPPEL_VM_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ESCAPE_KEY 0x01

enum escape_action { ESCAPE_HELP, ESCAPE_QUIT, ESCAPE_POWER, ESCAPE_RESET };

struct escape {
    bool armed; /* the key was the last byte */
    void (*act)(void *opaque, enum escape_action action);
    void *opaque;
};

/* Takes the escape sequences out of `buf` and acts on them; returns how many bytes are left. A
 * sequence may be cut between calls. An unknown letter asks for help. */
size_t escape_filter(struct escape *s, uint8_t *buf, size_t len);

#endif
