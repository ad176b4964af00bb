/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal on standard input. There is one for the whole process, and signal handlers must
 * reach it; so this is the one place with static state.
 */
#ifndef DOPPEL_CMD_TERMINAL_H
#define DOPPEL_CMD_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is a person's terminal on standard input? */
bool terminal_present(void);
/* Its size, or 0, 0. */
void terminal_size(uint16_t *cols, uint16_t *rows);

/* Raw mode: every key reaches the guest. The terminal is put back by terminal_restore, at exit and
 * when a fatal signal kills the process. Nothing happens without a terminal. */
void terminal_raw(void);
void terminal_restore(void);

/* Lines for standard error, in one piece; right also while the terminal is raw. Any thread. */
void terminal_print(const char *text, size_t len);

/* Installs the handlers of fatal signals; before engines install theirs, which pass on to these
 * what is not their own. */
void terminal_guard(void);

#endif
