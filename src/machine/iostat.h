/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often the guest accesses which device: by port, and by page of memory-mapped registers. Any
 * thread counts and asks at any time.
 */
#ifndef DOPPEL_MACHINE_IOSTAT_H
#define DOPPEL_MACHINE_IOSTAT_H

#include "base/counter.h"
#include "base/err.h"
#include "mem/ram.h"

struct iostat;

int iostat_create(struct iostat **out) MUST_CHECK;
void iostat_destroy(struct iostat *s); /* NULL is fine */

void iostat_port(struct iostat *s, uint16_t port);
void iostat_mmio(struct iostat *s, gpa_t gpa);

/* Tells the ten most frequent of each kind. `name`: what answers at a port or (mmio) an address,
 * or NULL. */
void iostat_counters(struct iostat *s, const char *(*name)(void *opaque, bool mmio, uint64_t addr),
                     void *name_opaque, counter_fn *fn, void *opaque);

#endif
