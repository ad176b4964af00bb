/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options for devices: see run_devices.h. */
#include "run_devices.h"

#include "vm/options.h"
#include "vm/vm.h"

int run_set_usb(void *cfg, const char *option, char *value, struct err *e)
{
    struct vm_config *c = cfg;

    return option_usb(option, value, &c->usb_keyboard, &c->usb_tablet, e);
}

int run_set_sound(void *cfg, const char *option, char *value, struct err *e)
{
    struct vm_config *c = cfg;

    c->sound = true;
    return option_sound(option, value, &c->wav, e);
}
