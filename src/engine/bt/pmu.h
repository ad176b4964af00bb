/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's performance counters (x86/pmu.h) and what they count. */
#ifndef DOPPEL_ENGINE_BT_PMU_H
#define DOPPEL_ENGINE_BT_PMU_H

#include "bt_internal.h"

/* pmu.c: general registers only, on the vCPU's thread */
void bt_pmu_load(struct bt_ctx *c); /* the counters, or the CPL, were set from outside */
/* What was counted goes to the counters; those that overflowed interrupt. Counting goes on, at the
 * CPL that is now. */
void bt_pmu_look(struct bt_ctx *c);
void bt_pmu_begin(struct bt_ctx *c); /* `run` begins, */
void bt_pmu_end(struct bt_ctx *c);   /* and ends: what happens in between does not count */
/* The counters' MSRs and RDPMC. false: there is no such register. */
bool bt_pmu_read(struct bt_ctx *c, uint32_t msr, uint64_t *v);
bool bt_pmu_write(struct bt_ctx *c, uint32_t msr, uint64_t v);
bool bt_pmu_rdpmc(struct bt_ctx *c, uint32_t n, uint64_t *v);
void bt_pmu_destroy(struct engine_vcpu *v);

static inline void bt_pmu_enter(struct engine_vcpu *v)
{
    if (v->pmu.on)
        bt_pmu_begin(v->ctx);
}

static inline void bt_pmu_leave(struct engine_vcpu *v)
{
    if (v->pmu.on)
        bt_pmu_end(v->ctx);
}

static inline void bt_pmu_kicked(struct engine_vcpu *v)
{
    if (v->pmu.on)
        bt_pmu_look(v->ctx);
}

/* The CPL may be another one. */
static inline void bt_pmu_cpl(struct bt_ctx *c)
{
    if (c->v->pmu.differs && c->v->pmu.user != (c->cpl != 0))
        bt_pmu_look(c);
}

#endif
