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

int run_set_watchdog(void *cfg, const char *option, char *value, struct err *e)
{
    return option_watchdog(option, value, &((struct vm_config *)cfg)->watchdog, e);
}

int run_set_debug_exit(void *cfg, const char *option, char *value, struct err *e)
{
    ((struct vm_config *)cfg)->debug_exit = true;
    return 0;
}

int run_set_test_device(void *cfg, const char *option, char *value, struct err *e)
{
    ((struct vm_config *)cfg)->test_device = true;
    return 0;
}
