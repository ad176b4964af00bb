/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The board as an engine sees it (struct engine_host), and the vCPUs as the local APICs see them.
 * All of the first run on the vCPU's thread.
 */
#include <sched.h>
#include <time.h>

#include "base/log.h"
#include "machine/machine_internal.h"

static uint64_t host_tsc(void)
{
    return __builtin_ia32_rdtsc();
}

uint64_t platform_tsc(struct machine *m, unsigned vcpu)
{
    return host_tsc() + m->cfg.engine->tsc_offset(m->vcpu[vcpu]);
}

/*
 * Guests take the clocks of all vCPUs for one, to the nanosecond. So there is one moment that all
 * are told, on the host's TSC and the virtual clock: two moments would differ by what the host does
 * between looking at the one and at the other.
 */
#define LOOKS 8 /* of which the quickest counts */

void platform_clock_begin(struct machine *m)
{
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < LOOKS; i++) {
        uint64_t before = host_tsc(), ns = vclock_now(m->clock), took = host_tsc() - before;

        if (took >= best)
            continue;
        best = took;
        m->clock_ref = (struct kvmclock_now){.tsc = before + took / 2, .ns = ns};
    }
    m->clock_ref.tsc_khz = m->cfg.engine->tsc_khz(m->engine);
}

struct kvmclock_now platform_now(struct machine *m, unsigned vcpu)
{
    struct kvmclock_now now = m->clock_ref;
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    now.utc_ns =
        ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec - (int64_t)(vclock_now(m->clock) - now.ns);
    now.tsc += m->cfg.engine->tsc_offset(m->vcpu[vcpu]);
    return now;
}

/* --- ports and memory --- */

static uint32_t port_read(void *opaque, unsigned vcpu, uint16_t port, unsigned size)
{
    struct machine *m = opaque;

    if (m->iostat != NULL)
        iostat_port(m->iostat, port);
    return (uint32_t)bus_read(m->ports, port, size);
}

static void port_write(void *opaque, unsigned vcpu, uint16_t port, uint32_t value, unsigned size)
{
    struct machine *m = opaque;

    if (m->iostat != NULL)
        iostat_port(m->iostat, port);
    bus_write(m->ports, port, value, size);
}

static uint64_t mmio_read(void *opaque, unsigned vcpu, gpa_t gpa, unsigned size)
{
    struct machine *m = opaque;
    struct lapic *l = m->lapic[vcpu];
    uint64_t offset = gpa - lapic_mmio_page(l);

    if (m->iostat != NULL)
        iostat_mmio(m->iostat, gpa);
    if (offset < APIC_MMIO_SIZE)
        return lapic_mmio_read(l, (uint32_t)offset, size);
    return bus_read(m->mmio, gpa, size);
}

static void mmio_write(void *opaque, unsigned vcpu, gpa_t gpa, uint64_t value, unsigned size)
{
    struct machine *m = opaque;
    struct lapic *l = m->lapic[vcpu];
    uint64_t offset = gpa - lapic_mmio_page(l);

    if (m->iostat != NULL)
        iostat_mmio(m->iostat, gpa);
    if (offset < APIC_MMIO_SIZE)
        lapic_mmio_write(l, (uint32_t)offset, value, size);
    else
        bus_write(m->mmio, gpa, value, size);
}

/* --- MSRs --- */

#define APIC_BASE_MSR 0x1bu
#define APIC_BASE_EXTD 0x400u
#define TSC_DEADLINE_MSR 0x6e0u

/* What the APIC does not know: which of its features the guest's processor announces. */
static bool apic_msr_exists(const struct machine *m, uint32_t index)
{
    return index != TSC_DEADLINE_MSR || cpuid_has(&m->cpuid, 1, 2, 24);
}

static bool apic_base_valid(const struct machine *m, uint64_t value)
{
    return value >> cpuid_phys_bits(&m->cpuid) == 0 &&
           (!(value & APIC_BASE_EXTD) || cpuid_has(&m->cpuid, 1, 2, 21));
}

static bool host_msr_read(void *opaque, unsigned vcpu, uint32_t index, uint64_t *value)
{
    struct machine *m = opaque;

    if (lapic_msr_owned(index))
        return apic_msr_exists(m, index) && lapic_msr_read(m->lapic[vcpu], index, value);
    if (index == KVMCLOCK_MSR_SYSTEM)
        *value = m->kvmclock[vcpu].system;
    else if (index == KVMCLOCK_MSR_WALL)
        *value = m->kvmclock[vcpu].wall;
    else if (!msr_read(&m->msr[vcpu], index, value)) {
        log_guest("vCPU %u reads the unknown MSR %#x", vcpu, index);
        return false;
    }
    return true;
}

static bool host_msr_write(void *opaque, unsigned vcpu, uint32_t index, uint64_t value)
{
    struct machine *m = opaque;
    struct kvmclock_now now;

    if (index == APIC_BASE_MSR && !apic_base_valid(m, value))
        return false;
    if (lapic_msr_owned(index))
        return apic_msr_exists(m, index) && lapic_msr_write(m->lapic[vcpu], index, value);
    if (index == KVMCLOCK_MSR_SYSTEM || index == KVMCLOCK_MSR_WALL) {
        now = platform_now(m, vcpu);
        if (index == KVMCLOCK_MSR_SYSTEM)
            kvmclock_write_system(&m->kvmclock[vcpu], value, &now, m->ram);
        else
            kvmclock_write_wall(&m->kvmclock[vcpu], value, &now, m->ram);
        return true;
    }
    if (msr_write(&m->msr[vcpu], index, value))
        return true;
    log_guest("vCPU %u writes %#llx to the unknown MSR %#x", vcpu, (unsigned long long)value,
              index);
    return false;
}

static void tsc_changed(void *opaque, unsigned vcpu)
{
    struct machine *m = opaque;
    struct kvmclock_now now = platform_now(m, vcpu);

    lapic_tsc_changed(m->lapic[vcpu]);
    kvmclock_refresh(&m->kvmclock[vcpu], &now, m->ram);
}

/* --- interrupts --- */

static unsigned cr8_read(void *opaque, unsigned vcpu)
{
    return lapic_cr8_read(((struct machine *)opaque)->lapic[vcpu]);
}

static void cr8_write(void *opaque, unsigned vcpu, unsigned value)
{
    lapic_cr8_write(((struct machine *)opaque)->lapic[vcpu], value);
}

static bool interrupt_pending(void *opaque, unsigned vcpu)
{
    return lapic_interrupt_asked(((struct machine *)opaque)->lapic[vcpu]);
}

static int interrupt_take(void *opaque, unsigned vcpu)
{
    return lapic_interrupt_take(((struct machine *)opaque)->lapic[vcpu]);
}

static bool nmi_take(void *opaque, unsigned vcpu)
{
    return lapic_nmi_take(((struct machine *)opaque)->lapic[vcpu]);
}

static void perf_interrupt(void *opaque, unsigned vcpu)
{
    lapic_perf_interrupt(((struct machine *)opaque)->lapic[vcpu]);
}

static bool unhalt_take(void *opaque, unsigned vcpu)
{
    return lapic_unhalt_take(((struct machine *)opaque)->lapic[vcpu]);
}

/* The boot processor's INIT resets the machine (apic_init of board.c). */
static bool init_take(void *opaque, unsigned vcpu)
{
    return vcpu != 0 && lapic_init_take(((struct machine *)opaque)->lapic[vcpu]);
}

static int sipi_take(void *opaque, unsigned vcpu)
{
    return lapic_sipi_take(((struct machine *)opaque)->lapic[vcpu]);
}

/* --- hypercalls: KVM's interface (Documentation/virt/kvm/x86/hypercalls.rst) --- */

enum {
    HC_VAPIC_POLL_IRQ = 1,
    HC_KICK_CPU = 5,
    HC_SEND_IPI = 10,
    HC_SCHED_YIELD = 11,
    HC_ENOSYS = 1000
};

/* args: a bitmap of APIC ids in two words, the id of its first bit, and the low half of an ICR. How
 * many were reached. */
static uint64_t send_ipis(struct machine *m, unsigned word, const uint64_t args[4])
{
    struct msi_sink msi = apic_bus_msi(m->apic);
    uint64_t sent = 0;

    for (unsigned i = 0; i < 2 * word; i++) {
        uint64_t id = (uint32_t)args[2] + (uint64_t)i;

        if (!(args[i / word] >> (i % word) & 1) || id >= m->cfg.vcpus)
            continue;
        msi_send(&msi, APIC_MMIO_BASE | id << 12, (uint32_t)args[3] & 0x7ff);
        sent++;
    }
    return sent;
}

static uint64_t hypercall(void *opaque, unsigned vcpu, unsigned word, uint64_t number,
                          const uint64_t args[4])
{
    struct machine *m = opaque;

    switch (number) {
    case HC_VAPIC_POLL_IRQ: /* interrupts that wait come anyway */
        return 0;
    case HC_KICK_CPU: /* flags, APIC id: it waits in HLT for a lock that is free now */
        if (args[1] < m->cfg.vcpus)
            lapic_unhalt(m->lapic[args[1]]);
        return 0;
    case HC_SEND_IPI:
        return send_ipis(m, word, args);
    case HC_SCHED_YIELD: /* APIC id: it has something to do for the caller */
        if (args[0] < m->cfg.vcpus && args[0] != vcpu)
            sched_yield();
        return 0;
    }
    log_guest("vCPU %u makes the unknown hypercall %llu", vcpu, (unsigned long long)number);
    return (uint64_t)-HC_ENOSYS;
}

static const char *device_name(void *opaque, bool mmio, uint64_t addr)
{
    struct machine *m = opaque;

    if (mmio && (addr == lapic_mmio_page(m->lapic[0]) || addr == APIC_MMIO_BASE))
        return "lapic"; /* perhaps no longer: in x2APIC mode it has no page */
    return bus_name(mmio ? m->mmio : m->ports, addr);
}

void machine_counters(struct machine *m, counter_fn *fn, void *opaque)
{
    if (m->cfg.engine->counters != NULL)
        m->cfg.engine->counters(m->engine, fn, opaque);
    if (m->iostat != NULL)
        iostat_counters(m->iostat, device_name, m, fn, opaque);
}

void platform_init(struct machine *m)
{
    m->host = (struct engine_host){
        .opaque = m,
        .port_read = port_read,
        .port_write = port_write,
        .mmio_read = mmio_read,
        .mmio_write = mmio_write,
        .msr_read = host_msr_read,
        .msr_write = host_msr_write,
        .tsc_changed = tsc_changed,
        .perf_interrupt = perf_interrupt,
        .cr8_read = cr8_read,
        .cr8_write = cr8_write,
        .interrupt_pending = interrupt_pending,
        .interrupt_take = interrupt_take,
        .nmi_take = nmi_take,
        .unhalt_take = unhalt_take,
        .hypercall = hypercall,
        .init_take = init_take,
        .sipi_take = sipi_take,
    };
}
