/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DOPPEL_ENGINE_BT_SIGNAL_INTERNAL_H
#define DOPPEL_ENGINE_BT_SIGNAL_INTERNAL_H

#include "bt_internal.h"

/* Prepares the calling thread to run translated code: handlers (once a process), alternate stack,
 * signal mask. */
int bt_signal_thread(struct engine_vcpu *v);

/* Translated code lies in [start, start + size), where `size` never differs; and no longer. 0, or
 * -ENOSPC. */
int bt_signal_code(uint64_t start, uint64_t size);
void bt_signal_forget(uint64_t start);

#endif
