/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a vCPU counts for the guest's performance counters (pmu.c). */
#ifndef DOPPEL_ENGINE_BT_PMU_STATE_H
#define DOPPEL_ENGINE_BT_PMU_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct bt_pmu {
    bool on;      /* some counter counts, */
    bool differs; /* at one side of CPL 0 only; */
    bool user;    /* what runs is counted as CPL 1 - 3, */
    bool code;    /* instructions or branches of it, */
    bool cycles;  /* and cycles, since then: */
    uint64_t cycles_at;
    int64_t left[2]; /* ctx->pmu_left[] when that went to the counters last */
    /* The alarm for cycles. */
    bool has_alarm;
    int thread;         /* whom it kicks */
    uint64_t alarm_tsc; /* host TSC when it comes, or past */
    timer_t alarm;
};

#endif
