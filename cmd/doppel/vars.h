/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the variables of a named machine's UEFI firmware are kept. */
#ifndef DOPPEL_CMD_VARS_H
#define DOPPEL_CMD_VARS_H

#include "machine/firmware.h"

/* A machine that has a name and UEFI firmware but no file for variables gets
 * $XDG_STATE_HOME/doppel/NAME.vars, by default in ~/.local/state. */
int vars_default(struct firmware_config *cfg, const char *name, struct err *e) MUST_CHECK;

#endif
