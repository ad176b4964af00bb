/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of doppel run for devices that a machine has only if it is asked to; `cfg` is the
 * machine's struct vm_config. */
#ifndef DOPPEL_CMD_RUN_DEVICES_H
#define DOPPEL_CMD_RUN_DEVICES_H

#include "base/err.h"

int run_set_debug_exit(void *cfg, const char *option, char *value, struct err *e) MUST_CHECK;
int run_set_sound(void *cfg, const char *option, char *value, struct err *e) MUST_CHECK;
int run_set_watchdog(void *cfg, const char *option, char *value, struct err *e) MUST_CHECK;
int run_set_test_device(void *cfg, const char *option, char *value, struct err *e) MUST_CHECK;
int run_set_usb(void *cfg, const char *option, char *value, struct err *e) MUST_CHECK;

#endif
