/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report of --stats. */
#ifndef DOPPEL_CMD_STATS_H
#define DOPPEL_CMD_STATS_H

#include "vm/vm.h"

/* Prints where the time went and what was counted on standard error. Main thread. */
void stats_print(struct vm *vm);

#endif
