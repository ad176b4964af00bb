/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stolen time and vCPUs that do not run, as the guest is told of them: see steal.c. */
#ifndef DOPPEL_ENGINE_BT_STEAL_H
#define DOPPEL_ENGINE_BT_STEAL_H

#include "bt_internal.h"

/* The guest writes the MSR; a helper. false: #GP(0). */
bool bt_steal_set(struct bt_ctx *c, uint64_t value);

/* From the run loop: the vCPU begins to run, has taken an interrupt, stops. */
void bt_steal_begin(struct engine_vcpu *v);
void bt_steal_count(struct engine_vcpu *v);
void bt_steal_end(struct engine_vcpu *v);

static inline bool bt_steal_told(const struct engine_vcpu *v)
{
    return (v->cpu.kvm_steal & 1) != 0;
}

static inline void bt_steal_enter(struct engine_vcpu *v)
{
    if (bt_steal_told(v))
        bt_steal_begin(v);
}

static inline void bt_steal_tick(struct engine_vcpu *v)
{
    if (bt_steal_told(v) && bt_tsc() - v->steal_looked > v->en->tsc_khz)
        bt_steal_count(v);
}

static inline void bt_steal_leave(struct engine_vcpu *v)
{
    if (bt_steal_told(v))
        bt_steal_end(v);
}

#endif
