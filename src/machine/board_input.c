/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keyboard and pointer of the board. */
#include <errno.h>

#include "dev/usb/xhci.h"
#include "dev/virtio/virtio_input.h"
#include "machine/machine_internal.h"

int board_create_usb(struct machine *m, struct err *e)
{
    struct xhci_config cfg = {.bus = m->pci,
                              .ram = m->ram,
                              .loop = m->cfg.loop,
                              .clock = m->clock,
                              .keyboard = m->cfg.usb_keyboard,
                              .tablet = m->cfg.usb_tablet};
    struct device d;
    int rc;

    if (!cfg.keyboard && !cfg.tablet)
        return 0;
    cfg.devfn = board_optional_devfn(m);
    rc = xhci_create(&cfg, &d, e);
    if (rc < 0)
        return rc;
    m->usb = d.self;
    return machine_own(m, d, e);
}

/* Of several keyboards the one that the guest has set up; what was pressed elsewhere is let go
 * there. */
int machine_key(struct machine *m, unsigned key, bool down)
{
    int rc;

    if (machine_wake_request(m))
        return 0;
    rc = m->usb != NULL ? xhci_key(m->usb, key, down) : -ENODEV;
    return rc == -ENODEV ? i8042_key(m->i8042, key, down) : rc;
}

uint8_t machine_leds(struct machine *m)
{
    if (m->usb != NULL && xhci_keyboard_ready(m->usb))
        return xhci_leds(m->usb);
    return i8042_leds(m->i8042);
}

/* The wheel of a mouse turns the other way, and so does its vertical axis. */
void machine_mouse(struct machine *m, int dx, int dy, int wheel, unsigned buttons)
{
    i8042_mouse(m->i8042, dx, -dy, -wheel, buttons);
}

bool machine_has_tablet(struct machine *m)
{
    if (m->usb != NULL && xhci_tablet_ready(m->usb))
        return true;
    return m->tablet != NULL && virtio_tablet_ready(m->tablet);
}

int machine_tablet(struct machine *m, unsigned x, unsigned y, int wheel, unsigned buttons)
{
    if (!machine_has_tablet(m))
        return -ENODEV;
    if (m->tablet != NULL)
        virtio_tablet_event(m->tablet, x, y, wheel, buttons);
    else
        xhci_pointer(m->usb, x, y, wheel, buttons);
    return 0;
}
