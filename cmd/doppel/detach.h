/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run --detach: the machine in a process of its own; the command ends when it runs. */
#ifndef DOPPEL_CMD_DETACH_H
#define DOPPEL_CMD_DETACH_H

#include <stdbool.h>

#include "base/err.h"

struct detach {
    int fd; /* the machine's process: where the command waits; else -1 */
};

/* Before there are threads. In the machine's process *status stays -1; in the command's, which
 * waits until it runs or has failed, it becomes the exit status. */
int detach_begin(struct detach *d, int *status, struct err *e) MUST_CHECK;
/* In the machine's process: it runs. Nothing is printed from now on. */
void detach_ready(struct detach *d);

#endif
