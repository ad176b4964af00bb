/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where machines with a name are found: a private folder, $XDG_RUNTIME_DIR/doppel or else
 * /tmp/doppel-UID, with NAME.control and, where they are asked for, NAME.serial and NAME.console.
 */
#ifndef DOPPEL_VM_RUNDIR_H
#define DOPPEL_VM_RUNDIR_H

#include "base/err.h"

#define RUNDIR_PATH 256

/* The folder; it is made if it is not there. -EPERM: it is not ours alone. */
int rundir_open(char path[RUNDIR_PATH], struct err *e) MUST_CHECK;
/* "FOLDER/NAME.what" */
int rundir_socket(const char *name, const char *what, char path[RUNDIR_PATH],
                  struct err *e) MUST_CHECK;

#endif
