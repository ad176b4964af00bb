/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which processors of the host the virtual CPUs run on: `pin=LIST` of --cpus. The list names one
 * for each virtual CPU, in their order, by number and range with colons between: 0-3:8. One
 * processor may be named for several.
 */
#ifndef DOPPEL_VM_PIN_H
#define DOPPEL_VM_PIN_H

#include <stdint.h>

#include "base/err.h"
#include "machine/machine.h"

struct vm_pin {
    unsigned count; /* 0: the host decides */
    uint16_t cpu[MACHINE_MAX_CPUS];
};

/* Takes the word `pin=LIST` out of "N[,WORD]...", if it is there. A usage error names `option`. */
int pin_take(const char *option, char *text, struct vm_pin *out, struct err *e) MUST_CHECK;
/* Is there one for each of `cpus` virtual CPUs, or none at all? Likewise. */
int pin_fits(const char *option, const struct vm_pin *p, unsigned cpus, struct err *e) MUST_CHECK;
/* May this process run on all of them? */
int pin_check(const struct vm_pin *p, struct err *e) MUST_CHECK;

#endif
