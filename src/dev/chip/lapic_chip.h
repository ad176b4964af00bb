/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of one local APIC: Intel SDM vol. 3, chapter 11 (xAPIC and x2APIC). No lock, no
 * clock, no messages: what a register write does beyond the registers comes back as a struct
 * lapic_effect, and time comes in as nanoseconds (the timer counts one tick per nanosecond before
 * its divider) or TSC values.
 */
#ifndef DOPPEL_DEV_CHIP_LAPIC_CHIP_H
#define DOPPEL_DEV_CHIP_LAPIC_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

/* Register numbers: the x2APIC MSR is 0x800 + number, the xAPIC offset number << 4. */
enum lapic_reg {
    LAPIC_ID = 0x02,
    LAPIC_VERSION = 0x03,
    LAPIC_TPR = 0x08,
    LAPIC_APR = 0x09,
    LAPIC_PPR = 0x0a,
    LAPIC_EOI = 0x0b,
    LAPIC_RRD = 0x0c,
    LAPIC_LDR = 0x0d,
    LAPIC_DFR = 0x0e,
    LAPIC_SVR = 0x0f,
    LAPIC_ISR = 0x10, /* 8 of them */
    LAPIC_TMR = 0x18,
    LAPIC_IRR = 0x20,
    LAPIC_ESR = 0x28,
    LAPIC_ICR = 0x30,
    LAPIC_ICR_HIGH = 0x31, /* not in x2APIC mode */
    LAPIC_LVT = 0x32,      /* LAPIC_LVT_COUNT of them, in the order of enum lapic_lvt */
    LAPIC_TIMER_INITIAL = 0x38,
    LAPIC_TIMER_CURRENT = 0x39,
    LAPIC_TIMER_DIVIDE = 0x3e,
    LAPIC_SELF_IPI = 0x3f, /* only in x2APIC mode */
};

enum lapic_lvt {
    LVT_TIMER,
    LVT_THERMAL,
    LVT_PERF,
    LVT_LINT0,
    LVT_LINT1,
    LVT_ERROR,
    LAPIC_LVT_COUNT,
};

enum {
    LVT_MODE_SHIFT = 8,
    LVT_REMOTE_IRR = 1 << 14,
    LVT_LEVEL = 1 << 15,
    LVT_MASKED = 1 << 16,
    LVT_TIMER_MODE_SHIFT = 17,

    SVR_ENABLE = 1 << 8,

    ESR_SEND_VECTOR = 1 << 5,
    ESR_RECEIVE_VECTOR = 1 << 6,
    ESR_REGISTER = 1 << 7,

    APIC_BASE_BSP = 1 << 8,
    APIC_BASE_X2 = 1 << 10,
    APIC_BASE_EN = 1 << 11,
};

/* Delivery modes of messages and local vectors (SDM table 11-3). */
enum apic_mode {
    APIC_FIXED,
    APIC_LOWEST,
    APIC_SMI,
    APIC_MODE3,
    APIC_NMI,
    APIC_INIT,
    APIC_SIPI,
    APIC_EXTINT,
};

enum apic_shorthand { APIC_TO_DEST, APIC_TO_SELF, APIC_TO_ALL, APIC_TO_OTHERS };

#define APIC_BROADCAST UINT32_MAX

/* One that the CPU is about to take, and one that it holds while busy with that (SDM 6.7.1). */
#define LAPIC_NMIS 2

/* An interrupt message as it travels between the APICs. */
struct apic_message {
    uint32_t dest; /* physical: APIC_BROADCAST is everybody */
    uint8_t vector;
    uint8_t mode;      /* enum apic_mode */
    uint8_t shorthand; /* enum apic_shorthand */
    bool logical;
    bool level;    /* trigger mode */
    bool deassert; /* level-triggered and going away */
};

enum lapic_timer_mode { LAPIC_ONE_SHOT, LAPIC_PERIODIC, LAPIC_TSC_DEADLINE };

struct lapic_chip {
    uint32_t id;      /* fixed */
    uint8_t xapic_id; /* in xAPIC mode, where the guest may write it */
    uint64_t base;    /* IA32_APIC_BASE */
    uint32_t ldr, dfr, svr, esr;
    uint32_t errors; /* to be shown in ESR by its next write */
    uint64_t icr;
    uint32_t lvt[LAPIC_LVT_COUNT];
    uint8_t tpr;
    uint8_t divide;                  /* DCR */
    uint64_t irr[4], isr[4], tmr[4]; /* bit v & 63 of word v >> 6 */
    uint32_t timer_initial;
    bool timer_on;         /* one-shot: not yet expired; periodic: initial count not 0 */
    uint64_t timer_start;  /* ns at which the current count was loaded */
    uint64_t tsc_deadline; /* 0: disarmed */
    bool lint[2];          /* levels of LINT0 and LINT1 */
    uint8_t nmis;          /* that wait for the CPU, at most LAPIC_NMIS */
    bool extint;           /* an ExtINT message waits for the CPU */
    bool init;             /* an INIT waits for the CPU */
    bool sipi;             /* a start-up message waits, until the next INIT */
    uint8_t sipi_vector;
    uint64_t pv_eoi;  /* KVM's MSR 4b564d04 (lapic_pv.c) */
    bool pv_deferred; /* the guest may end what is in service by clearing a bit in its memory */
    bool unhalt;      /* an end of HLT waits for the CPU */
};

struct lapic_effect {
    bool send; /* `message` goes out */
    struct apic_message message;
    int eoi;    /* vector whose end is broadcast to the I/O APICs, or -1 */
    bool timer; /* the next expiry changed */
};

extern const struct state_table lapic_chip_state;

void lapic_chip_reset(struct lapic_chip *c); /* power-on; `id` and the wires stay */
void lapic_chip_init(struct lapic_chip *c);  /* what an INIT does to the registers */

static inline bool lapic_chip_enabled(const struct lapic_chip *c) /* by APIC_BASE */
{
    return (c->base & APIC_BASE_EN) != 0;
}
static inline bool lapic_chip_x2(const struct lapic_chip *c)
{
    return (c->base & APIC_BASE_X2) != 0;
}
/* Takes fixed interrupts: enabled by APIC_BASE and SVR. */
static inline bool lapic_chip_accepts(const struct lapic_chip *c)
{
    return lapic_chip_enabled(c) && (c->svr & SVR_ENABLE) != 0;
}

/* The id by which physical destinations mean this APIC. */
static inline uint32_t lapic_chip_id(const struct lapic_chip *c)
{
    return lapic_chip_x2(c) ? c->id : c->xapic_id;
}

/* IA32_APIC_BASE. false: #GP. */
bool lapic_chip_set_base(struct lapic_chip *c, uint64_t value);

/* Register access by number; the caller has checked the mode. false: there is no such register, or
 * (x2APIC) the value has reserved bits. `fx` starts as {.eoi = -1}. */
bool lapic_chip_read(struct lapic_chip *c, unsigned reg, uint64_t now, uint64_t *value);
bool lapic_chip_write(struct lapic_chip *c, unsigned reg, uint64_t value, uint64_t now,
                      struct lapic_effect *fx);

/* A fixed interrupt arrives (message or local). */
void lapic_chip_post(struct lapic_chip *c, uint8_t vector, bool level);
void lapic_chip_nmi(struct lapic_chip *c); /* an NMI arrives */
/* A performance counter overflows: the entry LVT_PERF says what arrives. It stays unmasked, as
 * AMD's does, whose counters these are. */
void lapic_chip_perf(struct lapic_chip *c);
/* An error: ESR bits. */
void lapic_chip_error(struct lapic_chip *c, uint32_t bits);
/* The level of LINT0 (0) or LINT1 (1). */
void lapic_chip_set_lint(struct lapic_chip *c, unsigned lint, bool level);

uint8_t lapic_chip_ppr(const struct lapic_chip *c);
/* The vector that the CPU would take now, or -1. */
int lapic_chip_pending(const struct lapic_chip *c);
int lapic_chip_take(struct lapic_chip *c);
/* Need nobody hear when the vector that was just taken ends? */
bool lapic_chip_may_defer(const struct lapic_chip *c, int vector);
/* Would the CPU get an ExtINT now? */
bool lapic_chip_extint(const struct lapic_chip *c);

/* Does a message to `dest` mean this APIC? (SDM 11.6.2) */
bool lapic_chip_match(bool x2, uint32_t id, uint32_t ldr, uint32_t dfr, uint32_t dest,
                      bool logical);

/* The timer. */
enum lapic_timer_mode lapic_chip_timer_mode(const struct lapic_chip *c);
void lapic_chip_set_deadline(struct lapic_chip *c, uint64_t tsc);
/* Lets the timer expire if it is time; `tsc` matters in TSC-deadline mode only. */
void lapic_chip_timer_poll(struct lapic_chip *c, uint64_t now, uint64_t tsc);
/* When the timer has to be polled: ns (one-shot and periodic), or UINT64_MAX. */
uint64_t lapic_chip_timer_due(const struct lapic_chip *c);
/* Moves the points in time (ns) by `delta`, modulo 2^64. */
void lapic_chip_shift(struct lapic_chip *c, uint64_t delta);

#endif
