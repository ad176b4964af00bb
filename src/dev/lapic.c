/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A local APIC: lock, timer and vCPU around the register model. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/apic_internal.h"
#include "dev/ticks.h"

#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC 0x800

/* Faster periods than this are merged: a guest must not keep the loop busy. */
#define MIN_PERIOD_NS 20000

#define NO_PAGE UINT64_MAX

void lapic_lock(struct lapic *l)
{
    lock_take(&l->lock);
}

static void publish_mode(struct lapic *l)
{
    const struct lapic_chip *c = &l->chip;
    bool on = lapic_chip_enabled(c), x2 = lapic_chip_x2(c);

    atomic_store_explicit(&l->enabled, on, memory_order_relaxed);
    atomic_store_explicit(&l->accepts, lapic_chip_accepts(c), memory_order_relaxed);
    atomic_store_explicit(&l->x2, x2, memory_order_relaxed);
    if (lapic_chip_id(c) != l->vcpu)
        atomic_store_explicit(&l->bus->renamed, true, memory_order_relaxed);
    atomic_store_explicit(&l->id, lapic_chip_id(c), memory_order_relaxed);
    atomic_store_explicit(&l->ldr, c->ldr, memory_order_relaxed);
    atomic_store_explicit(&l->dfr, c->dfr, memory_order_relaxed);
    atomic_store_explicit(&l->page, on && !x2 ? c->base & ~0xfffull : NO_PAGE,
                          memory_order_relaxed);
}

/* Publishes what can be delivered. true: the vCPU has to be kicked, as there is something that was
 * not there before. */
static bool publish_pending(struct lapic *l)
{
    const struct lapic_chip *c = &l->chip;
    bool waits = (c->irr[0] | c->irr[1] | c->irr[2] | c->irr[3]) != 0;
    bool irq = lapic_chip_pending(c) >= 0 || lapic_chip_extint(c) || (c->pv_deferred && waits);
    bool kick = (irq && !atomic_load_explicit(&l->pending, memory_order_relaxed)) ||
                c->nmis > atomic_load_explicit(&l->nmis, memory_order_relaxed);

    atomic_store_explicit(&l->ppr, lapic_chip_ppr(c), memory_order_relaxed);
    atomic_store_explicit(&l->pending, irq, memory_order_release);
    atomic_store_explicit(&l->nmis, c->nmis, memory_order_release);
    atomic_store_explicit(&l->deferred, c->pv_deferred, memory_order_relaxed);
    atomic_store_explicit(&l->unhalt, c->unhalt, memory_order_release);
    atomic_store_explicit(&l->startup, c->init || c->sipi, memory_order_release);
    return kick;
}

static void kick_vcpu(struct lapic *l)
{
    if (l->bus->cfg.ops.kick != NULL)
        l->bus->cfg.ops.kick(l->bus->cfg.opaque, l->vcpu);
}

void lapic_unlock(struct lapic *l)
{
    bool kick = publish_pending(l);

    lock_drop(&l->lock);
    if (kick)
        kick_vcpu(l);
}

static uint64_t now_ns(const struct lapic *l)
{
    return l->paused ? 0 : vclock_now(l->bus->cfg.clock);
}

static uint64_t now_tsc(const struct lapic *l)
{
    const struct apic_bus_config *cfg = &l->bus->cfg;

    return cfg->ops.tsc_now != NULL ? cfg->ops.tsc_now(cfg->opaque, l->vcpu) : 0;
}

/* When the TSC reaches the deadline, in ns; rounded up, so that the alarm does not come early. */
static uint64_t deadline_due(const struct lapic *l, uint64_t now)
{
    const struct apic_bus_config *cfg = &l->bus->cfg;
    uint64_t khz = cfg->ops.tsc_khz != NULL ? cfg->ops.tsc_khz(cfg->opaque) : 0;
    uint64_t tsc = now_tsc(l), wait;

    if (l->chip.tsc_deadline == 0 || khz == 0)
        return UINT64_MAX;
    if (tsc >= l->chip.tsc_deadline)
        return now;
    wait = ticks_scale(l->chip.tsc_deadline - tsc, 1000000, khz);
    return ticks_later(now, ticks_later(wait, 1));
}

static uint64_t next_due(const struct lapic *l, uint64_t now)
{
    uint64_t due;

    if (lapic_chip_timer_mode(&l->chip) == LAPIC_TSC_DEADLINE)
        return deadline_due(l, now);
    due = lapic_chip_timer_due(&l->chip);
    if (due == UINT64_MAX)
        return due;
    if ((int64_t)(due - now) < 0)
        due = now;
    if (lapic_chip_timer_mode(&l->chip) == LAPIC_PERIODIC && due - now < MIN_PERIOD_NS)
        due = now + MIN_PERIOD_NS;
    return due;
}

/*
 * Lets the timer expire if it is time, and sees to it that the alarm comes early enough. It is not
 * taken back when the next expiry moved away: guests move it with every tick, and an alarm too many
 * costs less than telling the loop's thread each time. Lock held.
 */
static void run_timer(struct lapic *l)
{
    uint64_t now, due;

    if (l->paused)
        return;
    now = now_ns(l);
    if (lapic_chip_timer_mode(&l->chip) != LAPIC_TSC_DEADLINE)
        lapic_chip_timer_poll(&l->chip, now, 0);
    else if (l->chip.tsc_deadline != 0)
        lapic_chip_timer_poll(&l->chip, now, now_tsc(l));
    due = next_due(l, now);
    if (due < l->armed) {
        l->armed = due;
        timer_arm(l->alarm, due);
    }
}

static void on_alarm(void *opaque)
{
    struct lapic *l = opaque;

    lapic_lock(l);
    l->armed = UINT64_MAX;
    run_timer(l);
    lapic_unlock(l);
}

static void receive_init(struct lapic *l)
{
    struct apic_bus_config *cfg = &l->bus->cfg;

    lapic_lock(l);
    lapic_chip_init(&l->chip);
    l->chip.init = true;
    publish_mode(l);
    lapic_unlock(l);
    if (cfg->ops.init != NULL)
        cfg->ops.init(cfg->opaque, l->vcpu);
}

static void receive_sipi(struct lapic *l, uint8_t vector)
{
    struct apic_bus_config *cfg = &l->bus->cfg;

    lapic_lock(l);
    l->chip.sipi = true;
    l->chip.sipi_vector = vector;
    lapic_unlock(l);
    if (cfg->ops.sipi != NULL)
        cfg->ops.sipi(cfg->opaque, l->vcpu, vector);
}

/* A fixed interrupt is the frequent case; a disabled APIC answers to nothing but INIT and SIPI. */
static void receive_vector(struct lapic *l, const struct apic_message *m)
{
    lapic_lock(l);
    if (m->mode == APIC_FIXED || m->mode == APIC_LOWEST)
        lapic_chip_post(&l->chip, m->vector, m->level);
    else if (m->mode == APIC_NMI)
        lapic_chip_nmi(&l->chip);
    else if (m->mode == APIC_EXTINT)
        l->chip.extint = lapic_chip_enabled(&l->chip);
    lapic_unlock(l);
}

void lapic_deliver(struct lapic *l, const struct apic_message *m)
{
    if (m->deassert)
        return;
    if (m->mode == APIC_INIT)
        receive_init(l);
    else if (m->mode == APIC_SIPI)
        receive_sipi(l, m->vector);
    else
        receive_vector(l, m);
}

void lapic_set_wire(struct lapic *l, unsigned lint, bool level)
{
    lapic_lock(l);
    lapic_chip_set_lint(&l->chip, lint, level);
    lapic_unlock(l);
}

bool lapic_interrupt_pending(const struct lapic *l)
{
    return atomic_load_explicit(&l->pending, memory_order_acquire);
}

bool lapic_nmi_pending(const struct lapic *l)
{
    return atomic_load_explicit(&l->nmis, memory_order_acquire) != 0;
}

bool lapic_enabled(const struct lapic *l)
{
    return atomic_load_explicit(&l->enabled, memory_order_relaxed);
}

uint64_t lapic_mmio_page(const struct lapic *l)
{
    return atomic_load_explicit(&l->page, memory_order_relaxed);
}

/* An ExtINT goes before the vectors of the APIC: the task priority does not hold it back. The 8259
 * is asked without our lock; it pulls its line down, which comes back through lapic_set_wire. */
int lapic_interrupt_take(struct lapic *l)
{
    struct apic_bus_config *cfg = &l->bus->cfg;
    uint64_t defer = 0;
    bool extint;
    int vector = -1;

    lapic_pv_settle(l);
    lapic_lock(l);
    extint = lapic_chip_extint(&l->chip) && cfg->ops.extint_ack != NULL && cfg->pic != NULL;
    l->chip.extint = false;
    if (!extint)
        vector = lapic_chip_take(&l->chip);
    if (lapic_chip_may_defer(&l->chip, vector))
        defer = l->chip.pv_eoi;
    lapic_unlock(l);
    if (defer != 0)
        lapic_pv_defer(l, defer);
    return extint ? cfg->ops.extint_ack(cfg->pic) : vector;
}

bool lapic_nmi_take(struct lapic *l)
{
    bool nmi;

    if (!lapic_nmi_pending(l))
        return false;
    lapic_lock(l);
    nmi = l->chip.nmis != 0;
    if (nmi)
        l->chip.nmis--;
    lapic_unlock(l);
    return nmi;
}

void lapic_unhalt(struct lapic *l)
{
    lapic_lock(l);
    l->chip.unhalt = true;
    lapic_unlock(l);
    kick_vcpu(l);
}

bool lapic_unhalt_take(struct lapic *l)
{
    if (!atomic_load_explicit(&l->unhalt, memory_order_acquire))
        return false;
    lapic_lock(l);
    l->chip.unhalt = false;
    lapic_unlock(l);
    return true;
}

bool lapic_init_take(struct lapic *l)
{
    bool init;

    if (!atomic_load_explicit(&l->startup, memory_order_acquire))
        return false;
    lapic_lock(l);
    init = l->chip.init;
    l->chip.init = false;
    lapic_unlock(l);
    return init;
}

int lapic_sipi_take(struct lapic *l)
{
    int vector;

    if (!atomic_load_explicit(&l->startup, memory_order_acquire))
        return -1;
    lapic_lock(l);
    vector = l->chip.sipi ? l->chip.sipi_vector : -1;
    l->chip.sipi = false;
    lapic_unlock(l);
    return vector;
}

void lapic_perf_interrupt(struct lapic *l)
{
    lapic_lock(l);
    lapic_chip_perf(&l->chip);
    lapic_unlock(l);
}

/* Only this vCPU's thread writes the TPR, but for an INIT from elsewhere. */
unsigned lapic_cr8_read(const struct lapic *l)
{
    struct lapic *own = (struct lapic *)l;
    unsigned tpr;

    lapic_lock(own);
    tpr = own->chip.tpr;
    lock_drop(&own->lock);
    return tpr >> 4;
}

void lapic_cr8_write(struct lapic *l, unsigned value)
{
    lapic_lock(l);
    l->chip.tpr = (uint8_t)(value << 4);
    lapic_unlock(l);
}

/* Does a write of this register change what publish_mode publishes? */
static bool is_mode_register(unsigned reg)
{
    return reg == LAPIC_ID || reg == LAPIC_LDR || reg == LAPIC_DFR || reg == LAPIC_SVR;
}

/* Registers whose access involves the timer's clock. */
static bool needs_time(unsigned reg)
{
    return reg == LAPIC_TIMER_CURRENT || reg == LAPIC_TIMER_INITIAL || reg == LAPIC_TIMER_DIVIDE ||
           reg == LAPIC_LVT + LVT_TIMER;
}

static bool register_write(struct lapic *l, unsigned reg, uint64_t value)
{
    struct lapic_effect fx = {.eoi = -1};
    bool ok;

    lapic_pv_settle(l);
    lapic_lock(l);
    ok = lapic_chip_write(&l->chip, reg, value, needs_time(reg) ? now_ns(l) : 0, &fx);
    if (is_mode_register(reg))
        publish_mode(l);
    if (fx.timer)
        run_timer(l);
    lapic_unlock(l);
    if (fx.eoi >= 0)
        apic_bus_end_of_interrupt(l->bus, (uint8_t)fx.eoi);
    if (fx.send)
        apic_bus_deliver(l->bus, &fx.message, l->vcpu);
    return ok;
}

static bool register_read(struct lapic *l, unsigned reg, uint64_t *value)
{
    bool ok;

    lapic_pv_settle(l);
    lapic_lock(l);
    ok = lapic_chip_read(&l->chip, reg, needs_time(reg) ? now_ns(l) : 0, value);
    lapic_unlock(l);
    return ok;
}

/* Registers are 32 bits wide on 16-byte boundaries; narrower reads see a part, the rest of the page
 * reads as zero. */
uint64_t lapic_mmio_read(struct lapic *l, uint32_t offset, unsigned size)
{
    uint64_t value = 0;

    (void)size;
    if ((offset & 0xc) != 0 || offset >= 0x400)
        return 0;
    if (!register_read(l, offset >> 4, &value)) {
        lapic_lock(l);
        lapic_chip_error(&l->chip, ESR_REGISTER);
        lapic_unlock(l);
        return 0;
    }
    return value >> (offset & 3) * 8;
}

void lapic_mmio_write(struct lapic *l, uint32_t offset, uint64_t value, unsigned size)
{
    if ((offset & 0xf) != 0 || offset >= 0x400 || size < 4)
        return;
    if (!register_write(l, offset >> 4, (uint32_t)value)) {
        lapic_lock(l);
        lapic_chip_error(&l->chip, ESR_REGISTER);
        lapic_unlock(l);
    }
}

bool lapic_msr_read(struct lapic *l, uint32_t index, uint64_t *value)
{
    bool x2;

    if (index >= MSR_X2APIC && index <= MSR_X2APIC + 0xff) {
        lapic_lock(l);
        x2 = lapic_chip_x2(&l->chip);
        lock_drop(&l->lock);
        return x2 && register_read(l, index - MSR_X2APIC, value);
    }
    lapic_lock(l);
    *value = index == MSR_APIC_BASE     ? l->chip.base
             : index == APIC_PV_EOI_MSR ? l->chip.pv_eoi
                                        : l->chip.tsc_deadline;
    lock_drop(&l->lock);
    return lapic_msr_owned(index);
}

static bool write_base(struct lapic *l, uint64_t value)
{
    bool ok;

    lapic_lock(l);
    ok = lapic_chip_set_base(&l->chip, value);
    publish_mode(l);
    lapic_unlock(l);
    return ok;
}

static void write_deadline(struct lapic *l, uint64_t value)
{
    lapic_lock(l);
    lapic_chip_set_deadline(&l->chip, value);
    run_timer(l);
    lapic_unlock(l);
}

bool lapic_msr_write(struct lapic *l, uint32_t index, uint64_t value)
{
    if (index >= MSR_X2APIC && index <= MSR_X2APIC + 0xff)
        return atomic_load_explicit(&l->x2, memory_order_relaxed) &&
               register_write(l, index - MSR_X2APIC, value);
    if (index == MSR_APIC_BASE)
        return write_base(l, value);
    if (index == APIC_PV_EOI_MSR)
        return lapic_pv_write(l, value);
    if (index != MSR_TSC_DEADLINE)
        return false;
    write_deadline(l, value);
    return true;
}

void lapic_tsc_changed(struct lapic *l)
{
    lapic_lock(l);
    run_timer(l);
    lapic_unlock(l);
}

static void lapic_reset(void *self)
{
    struct lapic *l = self;

    lapic_lock(l);
    lapic_chip_reset(&l->chip);
    l->armed = UINT64_MAX;
    publish_mode(l);
    lapic_unlock(l);
    timer_cancel(l->alarm);
}

static void lapic_pause(void *self)
{
    struct lapic *l = self;

    lapic_lock(l);
    if (!l->paused) {
        lapic_chip_shift(&l->chip, -now_ns(l));
        l->paused = true;
    }
    l->armed = UINT64_MAX;
    lapic_unlock(l);
    timer_cancel(l->alarm);
}

static void lapic_resume(void *self)
{
    struct lapic *l = self;

    lapic_lock(l);
    if (l->paused) {
        l->paused = false;
        lapic_chip_shift(&l->chip, now_ns(l));
    }
    run_timer(l);
    lapic_unlock(l);
}

/* What was pending when the state was saved is news to this vCPU. */
static void lapic_restore(void *self)
{
    struct lapic *l = self;

    lapic_lock(l);
    atomic_store(&l->pending, false);
    atomic_store(&l->nmis, 0);
    publish_mode(l);
    lapic_unlock(l);
}

static void lapic_destroy(void *self)
{
    (void)self; /* belongs to its bus */
}

static void *lapic_state_object(void *self)
{
    struct lapic *l = self;

    return &l->chip;
}

static const struct device_ops lapic_ops = {
    .name = "lapic",
    .reset = lapic_reset,
    .pause = lapic_pause,
    .resume = lapic_resume,
    .restore = lapic_restore,
    .destroy = lapic_destroy,
    .state = &lapic_chip_state,
    .state_object = lapic_state_object,
};

struct device lapic_device(struct lapic *l)
{
    return (struct device){.ops = &lapic_ops, .self = l};
}

int lapic_setup(struct lapic *l, struct apic_bus *b, unsigned vcpu)
{
    int rc;

    l->bus = b;
    l->vcpu = vcpu;
    l->armed = UINT64_MAX;
    rc = timer_create_on(b->cfg.loop, b->cfg.clock, on_alarm, l, &l->alarm);
    if (rc != 0)
        return rc;
    lock_init(&l->lock, LOCK_INTERRUPT);
    l->chip.id = vcpu;
    lapic_chip_reset(&l->chip);
    publish_mode(l);
    return 0;
}

void lapic_finish(struct lapic *l)
{
    timer_destroy(l->alarm);
    lock_finish(&l->lock);
}
