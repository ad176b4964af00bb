/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keyboard and pointer of the board. */
#include <errno.h>

#include "dev/virtio/virtio_input.h"
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

bool machine_has_tablet(struct machine *m)
{
    return m->tablet != NULL && virtio_tablet_ready(m->tablet);
}

int machine_tablet(struct machine *m, unsigned x, unsigned y, int wheel, unsigned buttons)
{
    if (!machine_has_tablet(m))
        return -ENODEV;
    virtio_tablet_event(m->tablet, x, y, wheel, buttons);
    return 0;
}
