/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers and priorities of a local APIC: Intel SDM vol. 3, chapter 11. Its timer is in
 * lapic_timer.c. The contract is in the header. */
#include "dev/chip/lapic_chip.h"

#include <errno.h>
#include <string.h>

#include "dev/chip/lapic_internal.h"

#define VERSION (0x14u | (LAPIC_LVT_COUNT - 1) << 16)
#define BASE_ADDRESS 0xfee00000u
#define BASE_RESERVED ~(0x000ffffffffff000u | APIC_BASE_BSP | APIC_BASE_X2 | APIC_BASE_EN)

/* Writable bits of the local vector table (SDM figure 11-8). */
static const uint32_t lvt_mask[LAPIC_LVT_COUNT] = {
    [LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
    [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,   [LVT_ERROR] = 0x100ff,
};

static bool base_legal(uint64_t base)
{
    return (base & BASE_RESERVED) == 0 &&
           ((base & APIC_BASE_X2) == 0 || (base & APIC_BASE_EN) != 0);
}

static int validate(const void *object, struct err *e)
{
    const struct lapic_chip *c = object;

    if (!base_legal(c->base) || ((c->base & APIC_BASE_BSP) != 0) != (c->id == 0))
        return err_set(e, EINVAL, "lapic: IA32_APIC_BASE cannot be %#llx",
                       (unsigned long long)c->base);
    if (((c->irr[0] | c->isr[0] | c->tmr[0]) & 0xffff) != 0)
        return err_set(e, EINVAL, "lapic: a vector below 16 is pending");
    if ((c->pv_eoi & 2) || (c->pv_deferred && !(c->pv_eoi & 1)))
        return err_set(e, EINVAL, "lapic: ends of interrupts in memory cannot be %#llx",
                       (unsigned long long)c->pv_eoi);
    for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
        if ((c->lvt[i] & ~(lvt_mask[i] | LVT_REMOTE_IRR)) != 0)
            return err_set(e, EINVAL, "lapic: reserved bits in local vector %u", i);
    if (lapic_chip_timer_mode(c) > LAPIC_TSC_DEADLINE || (c->timer_on && c->timer_initial == 0))
        return err_set(e, EINVAL, "lapic: the timer's registers contradict each other");
    return 0;
}

static const struct state_field fields[] = {
    STATE_SINCE_F(struct lapic_chip, xapic_id, STATE_U8, 2),
    STATE_U64_F(struct lapic_chip, base),
    STATE_U32_F(struct lapic_chip, ldr),
    STATE_U32_F(struct lapic_chip, dfr),
    STATE_MAX_F(struct lapic_chip, svr, STATE_U32, 0x1ff),
    STATE_MAX_F(struct lapic_chip, esr, STATE_U32, 0xff),
    STATE_MAX_F(struct lapic_chip, errors, STATE_U32, 0xff),
    STATE_U64_F(struct lapic_chip, icr),
    STATE_ARRAY_F(struct lapic_chip, lvt, STATE_U32, LAPIC_LVT_COUNT),
    STATE_U8_F(struct lapic_chip, tpr),
    STATE_MAX_F(struct lapic_chip, divide, STATE_U8, 0x0b),
    STATE_ARRAY_F(struct lapic_chip, irr, STATE_U64, 4),
    STATE_ARRAY_F(struct lapic_chip, isr, STATE_U64, 4),
    STATE_ARRAY_F(struct lapic_chip, tmr, STATE_U64, 4),
    STATE_U32_F(struct lapic_chip, timer_initial),
    STATE_BOOL_F(struct lapic_chip, timer_on),
    STATE_U64_F(struct lapic_chip, timer_start),
    STATE_U64_F(struct lapic_chip, tsc_deadline),
    STATE_ARRAY_F(struct lapic_chip, lint, STATE_BOOL, 2),
    STATE_MAX_F(struct lapic_chip, nmis, STATE_U8, LAPIC_NMIS),
    STATE_BOOL_F(struct lapic_chip, extint),
    STATE_BOOL_F(struct lapic_chip, init),
    STATE_BOOL_F(struct lapic_chip, sipi),
    STATE_U8_F(struct lapic_chip, sipi_vector),
    STATE_U64_F(struct lapic_chip, pv_eoi),
    STATE_BOOL_F(struct lapic_chip, pv_deferred),
    STATE_BOOL_F(struct lapic_chip, unhalt),
    STATE_END_F,
};

const struct state_table lapic_chip_state = {
    .name = "lapic", .version = 2, .fields = fields, .validate = validate};

static void set_vector(uint64_t set[4], uint8_t v)
{
    set[v >> 6] |= 1ull << (v & 63);
}

static void clear_vector(uint64_t set[4], uint8_t v)
{
    set[v >> 6] &= ~(1ull << (v & 63));
}

static bool has_vector(const uint64_t set[4], uint8_t v)
{
    return (set[v >> 6] >> (v & 63) & 1) != 0;
}

static int highest(const uint64_t set[4])
{
    for (int i = 3; i >= 0; i--)
        if (set[i] != 0)
            return i * 64 + 63 - __builtin_clzll(set[i]);
    return -1;
}

/* SDM 11.12.5.1: the logical id is made from the APIC id. */
static uint32_t x2_ldr(uint32_t id)
{
    return id >> 4 << 16 | 1u << (id & 15);
}

/* SDM 11.4.7.1 and 11.4.7.3; IA32_APIC_BASE, the ids and the wires stay. */
void lapic_chip_init(struct lapic_chip *c)
{
    struct lapic_chip fresh = {.id = c->id, .xapic_id = c->xapic_id, .base = c->base};

    fresh.lint[0] = c->lint[0];
    fresh.lint[1] = c->lint[1];
    fresh.dfr = UINT32_MAX;
    fresh.svr = 0xff;
    for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
        fresh.lvt[i] = LVT_MASKED;
    if (lapic_chip_x2(&fresh))
        fresh.ldr = x2_ldr(fresh.id);
    *c = fresh;
}

void lapic_chip_reset(struct lapic_chip *c)
{
    c->xapic_id = (uint8_t)c->id;
    c->base = BASE_ADDRESS | APIC_BASE_EN | (c->id == 0 ? APIC_BASE_BSP : 0);
    lapic_chip_init(c);
}

/* SDM figure 11-27: from x2APIC mode the only way out is through disabled, and from there only into
 * xAPIC mode. Being disabled resets the APIC and its id. */
bool lapic_chip_set_base(struct lapic_chip *c, uint64_t value)
{
    bool was_x2 = lapic_chip_x2(c), was_on = lapic_chip_enabled(c);
    bool x2 = (value & APIC_BASE_X2) != 0, on = (value & APIC_BASE_EN) != 0;

    if (!base_legal(value) || (x2 && !was_on) || (was_x2 && on && !x2))
        return false;
    c->base = (value & ~(uint64_t)APIC_BASE_BSP) | (c->base & APIC_BASE_BSP);
    if (!on && was_on) {
        c->xapic_id = (uint8_t)c->id;
        lapic_chip_init(c);
    }
    if (x2 && !was_x2) {
        c->ldr = x2_ldr(c->id);
        c->icr &= UINT32_MAX;
    }
    return true;
}

void lapic_chip_error(struct lapic_chip *c, uint32_t bits)
{
    uint32_t lvt = c->lvt[LVT_ERROR];

    c->errors |= bits;
    if ((lvt & LVT_MASKED) == 0 && (lvt & 0xff) >= 16)
        lapic_chip_post(c, (uint8_t)lvt, false);
}

void lapic_chip_post(struct lapic_chip *c, uint8_t vector, bool level)
{
    if (!lapic_chip_accepts(c))
        return;
    if (vector < 16) {
        lapic_chip_error(c, ESR_RECEIVE_VECTOR);
        return;
    }
    if (level)
        set_vector(c->tmr, vector);
    else
        clear_vector(c->tmr, vector);
    set_vector(c->irr, vector);
}

uint8_t lapic_chip_ppr(const struct lapic_chip *c)
{
    int isr = highest(c->isr);
    uint8_t service = isr < 0 ? 0 : (uint8_t)(isr & 0xf0);

    return (c->tpr & 0xf0) >= service ? c->tpr : service;
}

int lapic_chip_pending(const struct lapic_chip *c)
{
    int irr = highest(c->irr);

    if (irr < 0 || !lapic_chip_enabled(c) || (irr >> 4) <= (lapic_chip_ppr(c) >> 4))
        return -1;
    return irr;
}

int lapic_chip_take(struct lapic_chip *c)
{
    int v = lapic_chip_pending(c);

    if (v >= 0) {
        clear_vector(c->irr, (uint8_t)v);
        set_vector(c->isr, (uint8_t)v);
    }
    return v;
}

bool lapic_chip_may_defer(const struct lapic_chip *c, int vector)
{
    return vector >= 0 && (c->pv_eoi & 1) && highest(c->irr) < 0 &&
           !has_vector(c->tmr, (uint8_t)vector);
}

/* LINT0 as a level-triggered fixed interrupt: its remote IRR falls, and it comes again as long as
 * the wire is high. */
static void end_lint0(struct lapic_chip *c, uint8_t vector)
{
    uint32_t *lvt = &c->lvt[LVT_LINT0];

    if ((*lvt & LVT_REMOTE_IRR) == 0 || (*lvt & 0xff) != vector)
        return;
    *lvt &= ~(uint32_t)LVT_REMOTE_IRR;
    if (c->lint[0]) {
        c->lint[0] = false;
        lapic_chip_set_lint(c, 0, true);
    }
}

static void end_of_interrupt(struct lapic_chip *c, struct lapic_effect *fx)
{
    int v = highest(c->isr);

    if (v < 0)
        return;
    clear_vector(c->isr, (uint8_t)v);
    if (has_vector(c->tmr, (uint8_t)v))
        fx->eoi = v;
    end_lint0(c, (uint8_t)v);
}

static enum apic_mode lvt_mode(uint32_t lvt)
{
    return (enum apic_mode)(lvt >> LVT_MODE_SHIFT & 7);
}

/* A fixed interrupt through LINT0 or LINT1; LINT1 is always edge-triggered (SDM 11.5.1). */
static void post_lint(struct lapic_chip *c, unsigned lint)
{
    uint32_t *lvt = &c->lvt[LVT_LINT0 + lint];
    bool level = lint == 0 && (*lvt & LVT_LEVEL) != 0;

    if (level && (*lvt & LVT_REMOTE_IRR) != 0)
        return;
    lapic_chip_post(c, (uint8_t)*lvt, level);
    if (level)
        *lvt |= LVT_REMOTE_IRR;
}

void lapic_chip_nmi(struct lapic_chip *c)
{
    if (c->nmis < LAPIC_NMIS)
        c->nmis++;
}

void lapic_chip_perf(struct lapic_chip *c)
{
    uint32_t lvt = c->lvt[LVT_PERF];

    if (!lapic_chip_enabled(c) || (lvt & LVT_MASKED) != 0)
        return;
    if (lvt_mode(lvt) == APIC_NMI)
        lapic_chip_nmi(c);
    else if (lvt_mode(lvt) == APIC_FIXED)
        lapic_chip_post(c, (uint8_t)lvt, false);
}

static void nmi_pin(struct lapic_chip *c, unsigned lint)
{
    if (lint == 1)
        lapic_chip_nmi(c);
}

/* With the APIC disabled LINT1 is the CPU's NMI pin. ExtINT needs no action: it follows the wire.
 */
void lapic_chip_set_lint(struct lapic_chip *c, unsigned lint, bool level)
{
    uint32_t lvt = c->lvt[LVT_LINT0 + lint];
    bool rising = level && !c->lint[lint];

    c->lint[lint] = level;
    if (!rising)
        return;
    if (!lapic_chip_enabled(c))
        nmi_pin(c, lint);
    else if ((lvt & LVT_MASKED) == 0 && lvt_mode(lvt) == APIC_NMI)
        lapic_chip_nmi(c);
    else if ((lvt & LVT_MASKED) == 0 && lvt_mode(lvt) == APIC_FIXED)
        post_lint(c, lint);
}

static bool lint_is_extint(const struct lapic_chip *c, unsigned lint)
{
    uint32_t lvt = c->lvt[LVT_LINT0 + lint];

    return c->lint[lint] && (lvt & LVT_MASKED) == 0 && lvt_mode(lvt) == APIC_EXTINT;
}

/* With its APIC disabled LINT0 is the INTR pin of the boot processor; the pins of the others are
 * not wired to the 8259. */
bool lapic_chip_extint(const struct lapic_chip *c)
{
    if (!lapic_chip_enabled(c))
        return c->lint[0] && (c->base & APIC_BASE_BSP) != 0;
    return c->extint || lint_is_extint(c, 0) || lint_is_extint(c, 1);
}

bool lapic_chip_match(bool x2, uint32_t id, uint32_t ldr, uint32_t dfr, uint32_t dest, bool logical)
{
    if (dest == APIC_BROADCAST)
        return true;
    if (!logical)
        return id == dest;
    if (x2)
        return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff) != 0;
    if (dest > 0xff)
        return false;
    ldr >>= 24;
    if (dfr >> 28 == 0xf)
        return (ldr & dest) != 0;
    return (dest >> 4 == 0xf || ldr >> 4 == dest >> 4) && (ldr & dest & 0xf) != 0;
}

static uint32_t vector_word(const uint64_t set[4], unsigned i)
{
    return (uint32_t)(set[i >> 1] >> (i & 1) * 32);
}

/* The registers that come in rows. */
static bool read_row(const struct lapic_chip *c, unsigned reg, uint64_t *value)
{
    if (reg >= LAPIC_ISR && reg < LAPIC_ISR + 8)
        *value = vector_word(c->isr, reg - LAPIC_ISR);
    else if (reg >= LAPIC_TMR && reg < LAPIC_TMR + 8)
        *value = vector_word(c->tmr, reg - LAPIC_TMR);
    else if (reg >= LAPIC_IRR && reg < LAPIC_IRR + 8)
        *value = vector_word(c->irr, reg - LAPIC_IRR);
    else if (reg >= LAPIC_LVT && reg < LAPIC_LVT + LAPIC_LVT_COUNT)
        *value = c->lvt[reg - LAPIC_LVT];
    else
        return false;
    return true;
}

/* Registers that only one of the modes has. */
static bool read_mode_register(struct lapic_chip *c, unsigned reg, uint64_t *value)
{
    bool x2 = lapic_chip_x2(c);

    switch (reg) {
    case LAPIC_APR:
        *value = lapic_chip_ppr(c);
        return !x2;
    case LAPIC_EOI:
    case LAPIC_RRD:
        *value = 0;
        return !x2;
    case LAPIC_DFR:
        *value = c->dfr;
        return !x2;
    case LAPIC_ICR_HIGH:
        *value = c->icr >> 32;
        return !x2;
    }
    return false;
}

bool lapic_chip_read(struct lapic_chip *c, unsigned reg, uint64_t now, uint64_t *value)
{
    bool x2 = lapic_chip_x2(c);

    switch (reg) {
    case LAPIC_ID:
        *value = x2 ? c->id : (uint32_t)c->xapic_id << 24;
        break;
    case LAPIC_VERSION:
        *value = VERSION;
        break;
    case LAPIC_TPR:
        *value = c->tpr;
        break;
    case LAPIC_PPR:
        *value = lapic_chip_ppr(c);
        break;
    case LAPIC_LDR:
        *value = c->ldr;
        break;
    case LAPIC_SVR:
        *value = c->svr;
        break;
    case LAPIC_ESR:
        *value = c->esr;
        break;
    case LAPIC_ICR:
        *value = x2 ? c->icr : (uint32_t)c->icr;
        break;
    case LAPIC_TIMER_INITIAL:
        *value = lapic_chip_timer_mode(c) == LAPIC_TSC_DEADLINE ? 0 : c->timer_initial;
        break;
    case LAPIC_TIMER_CURRENT:
        *value = lapic_timer_current(c, now);
        break;
    case LAPIC_TIMER_DIVIDE:
        *value = c->divide;
        break;
    default:
        return read_row(c, reg, value) || read_mode_register(c, reg, value);
    }
    return true;
}

/* Software disable masks all local vectors (SDM 11.4.7.2). */
static void write_svr(struct lapic_chip *c, uint32_t value)
{
    c->svr = value & 0x1ff;
    if ((c->svr & SVR_ENABLE) != 0)
        return;
    for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
        c->lvt[i] |= LVT_MASKED;
}

static void write_lvt(struct lapic_chip *c, enum lapic_lvt n, uint32_t value, uint64_t now,
                      struct lapic_effect *fx)
{
    value &= lvt_mask[n];
    if ((c->svr & SVR_ENABLE) == 0)
        value |= LVT_MASKED;
    if (n == LVT_TIMER) {
        lapic_timer_write_lvt(c, value, now);
        fx->timer = true;
        return;
    }
    if (n == LVT_LINT0 && (value & LVT_LEVEL) != 0)
        value |= c->lvt[n] & LVT_REMOTE_IRR;
    c->lvt[n] = value;
    /* A level that waited behind the mask is delivered now. */
    if (n == LVT_LINT0 && c->lint[0] && (value & (LVT_MASKED | LVT_LEVEL)) == LVT_LEVEL &&
        lvt_mode(value) == APIC_FIXED)
        post_lint(c, 0);
}

/* The command is decoded into a message; vectors below 16 are refused (SDM 11.5.3). A de-asserted
 * INIT only synchronized arbitration ids on processors of long ago. */
static void send_command(struct lapic_chip *c, struct lapic_effect *fx)
{
    uint32_t low = (uint32_t)c->icr, dest = (uint32_t)(c->icr >> 32);
    struct apic_message m = {
        .vector = (uint8_t)low,
        .mode = low >> 8 & 7,
        .shorthand = low >> 18 & 3,
        .logical = (low >> 11 & 1) != 0,
        .dest = dest,
    };

    if (!lapic_chip_x2(c)) {
        m.dest = dest >> 24;
        if (m.dest == 0xff && !m.logical)
            m.dest = APIC_BROADCAST;
    }
    if ((m.mode == APIC_FIXED || m.mode == APIC_LOWEST) && m.vector < 16) {
        lapic_chip_error(c, ESR_SEND_VECTOR);
        return;
    }
    if (m.mode == APIC_INIT && (low >> 14 & 3) == 2)
        return;
    fx->send = true;
    fx->message = m;
}

static void write_esr(struct lapic_chip *c)
{
    c->esr = c->errors;
    c->errors = 0;
}

/* Reserved bits fault in x2APIC mode (SDM 11.12.1.3); the memory-mapped registers ignore them. */
static bool x2_value_legal(unsigned reg, uint64_t value)
{
    switch (reg) {
    case LAPIC_ICR:
        return (value & 0xfff33000u) == 0;
    case LAPIC_TPR:
    case LAPIC_SELF_IPI:
        return value <= 0xff;
    case LAPIC_EOI:
    case LAPIC_ESR:
        return value == 0;
    case LAPIC_SVR:
        return value <= 0x1fff;
    case LAPIC_ID:
    case LAPIC_LDR:
    case LAPIC_DFR:
    case LAPIC_ICR_HIGH:
        return false;
    }
    return value <= UINT32_MAX;
}

static bool write_self_ipi(struct lapic_chip *c, uint8_t vector)
{
    if (!lapic_chip_x2(c))
        return false;
    if (vector < 16)
        lapic_chip_error(c, ESR_SEND_VECTOR);
    else
        lapic_chip_post(c, vector, false);
    return true;
}

bool lapic_chip_write(struct lapic_chip *c, unsigned reg, uint64_t value, uint64_t now,
                      struct lapic_effect *fx)
{
    bool x2 = lapic_chip_x2(c);
    uint32_t v = (uint32_t)value;

    if (x2 && !x2_value_legal(reg, value))
        return false;
    switch (reg) {
    case LAPIC_ID: /* APM vol. 2, 16.3.3; SDM 11.4.6 leaves it to the model */
        c->xapic_id = (uint8_t)(v >> 24);
        break;
    case LAPIC_TPR:
        c->tpr = (uint8_t)v;
        break;
    case LAPIC_EOI:
        end_of_interrupt(c, fx);
        break;
    case LAPIC_LDR:
        c->ldr = v & 0xff000000u;
        break;
    case LAPIC_DFR:
        c->dfr = v | 0x0fffffffu;
        break;
    case LAPIC_SVR:
        write_svr(c, v);
        fx->timer = true;
        break;
    case LAPIC_ESR:
        write_esr(c);
        break;
    case LAPIC_ICR:
        c->icr =
            (x2 ? value & 0xffffffff00000000u : c->icr & 0xffffffff00000000u) | (v & 0x000ccfffu);
        send_command(c, fx);
        break;
    case LAPIC_ICR_HIGH:
        c->icr = (uint32_t)c->icr | (uint64_t)(v & 0xff000000u) << 32;
        break;
    case LAPIC_TIMER_INITIAL:
        lapic_timer_write_initial(c, v, now);
        fx->timer = true;
        break;
    case LAPIC_TIMER_DIVIDE:
        lapic_timer_write_divide(c, v & 0x0b, now);
        fx->timer = true;
        break;
    case LAPIC_SELF_IPI:
        return write_self_ipi(c, (uint8_t)v);
    default:
        if (reg < LAPIC_LVT || reg >= LAPIC_LVT + LAPIC_LVT_COUNT)
            return false;
        write_lvt(c, (enum lapic_lvt)(reg - LAPIC_LVT), v, now, fx);
        break;
    }
    return true;
}
