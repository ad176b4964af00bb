/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keyboard and pointer of the board. */
#include "machine/machine_internal.h"

int machine_key(struct machine *m, unsigned key, bool down)
{
    return i8042_key(m->i8042, key, down);
}

uint8_t machine_leds(struct machine *m)
{
    return i8042_leds(m->i8042);
}

/* The wheel of a mouse turns the other way, and so does its vertical axis. */
void machine_mouse(struct machine *m, int dx, int dy, int wheel, unsigned buttons)
{
    i8042_mouse(m->i8042, dx, -dy, -wheel, buttons);
}
