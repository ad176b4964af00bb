/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine of one engine: see flat.h. */
#include "flat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MSR_APIC_BASE 0x1b

/* --- the world of the guest --- */

static uint32_t port_read(void *opaque, unsigned vcpu, uint16_t port, unsigned size)
{
    ((struct flat *)opaque)->reads++;
    return port * 0x01010101u;
}

static void port_write(void *opaque, unsigned vcpu, uint16_t port, uint32_t value, unsigned size)
{
    struct flat *f = opaque;

    f->writes++;
    if (port != FLAT_STOP_PORT)
        return;
    f->stop = true;
    f->ops->kick(f->vcpu, true);
}

static uint64_t mmio_read(void *opaque, unsigned vcpu, gpa_t gpa, unsigned size)
{
    ((struct flat *)opaque)->reads++;
    return gpa * 3;
}

static void mmio_write(void *opaque, unsigned vcpu, gpa_t gpa, uint64_t value, unsigned size)
{
    ((struct flat *)opaque)->writes++;
}

static bool msr_read(void *opaque, unsigned vcpu, uint32_t index, uint64_t *value)
{
    *value = 0xfee00900;
    return index == MSR_APIC_BASE;
}

static bool msr_write(void *opaque, unsigned vcpu, uint32_t index, uint64_t value)
{
    return false;
}

static unsigned cr8_read(void *opaque, unsigned vcpu)
{
    return ((struct flat *)opaque)->cr8;
}

static void cr8_write(void *opaque, unsigned vcpu, unsigned value)
{
    ((struct flat *)opaque)->cr8 = value;
}

static bool interrupt_pending(void *opaque, unsigned vcpu)
{
    return ((struct flat *)opaque)->vector >= 0;
}

static int interrupt_take(void *opaque, unsigned vcpu)
{
    struct flat *f = opaque;
    int vector = f->vector;

    f->vector = -1;
    return vector;
}

static bool nmi_take(void *opaque, unsigned vcpu)
{
    struct flat *f = opaque;
    bool nmi = f->nmi;

    f->nmi = false;
    return nmi;
}

static bool init_take(void *opaque, unsigned vcpu)
{
    return false;
}

static int sipi_take(void *opaque, unsigned vcpu)
{
    return -1;
}

/* --- life --- */

static int make_cpuid(struct flat *f, struct err *e)
{
    struct cpuid_offer *offer = calloc(1, sizeof(*offer));
    struct cpuid_request ask = {.tsc_khz = 1000000, .vcpus = 1, .offer = offer};
    int rc = offer == NULL ? -1 : 0;

    if (f->ops->cpuid_offer == NULL)
        ask.offer = NULL;
    else if (rc == 0)
        rc = f->ops->cpuid_offer(offer, e);
    if (rc == 0)
        rc = cpuid_table_make(&f->cpuid, &ask, e);
    free(offer);
    return rc;
}

bool flat_open(struct flat *f, const char *engine, struct err *e)
{
    struct engine_config cfg = {.host = &f->host, .cpuid = &f->cpuid, .vcpus = 1};

    memset(f, 0, sizeof(*f));
    f->host = (struct engine_host){.opaque = f,
                                   .port_read = port_read,
                                   .port_write = port_write,
                                   .mmio_read = mmio_read,
                                   .mmio_write = mmio_write,
                                   .msr_read = msr_read,
                                   .msr_write = msr_write,
                                   .cr8_read = cr8_read,
                                   .cr8_write = cr8_write,
                                   .interrupt_pending = interrupt_pending,
                                   .interrupt_take = interrupt_take,
                                   .nmi_take = nmi_take,
                                   .init_take = init_take,
                                   .sipi_take = sipi_take};
    f->vector = -1;
    f->ops = engine_find(engine);
    if (f->ops->probe(e) < 0 || ram_create(&f->ram, FLAT_MEMORY + FLAT_ROM_SIZE, e) < 0)
        return false;
    cfg.ram = f->ram;
    f->cpu = aligned_alloc(64, sizeof(*f->cpu));
    if (f->cpu == NULL || ram_add(f->ram, 0, FLAT_MEMORY, false, e) < 0 ||
        ram_add(f->ram, FLAT_ROM, FLAT_ROM_SIZE, true, e) < 0 || make_cpuid(f, e) < 0 ||
        f->ops->create(&cfg, &f->engine, e) < 0)
        return false;
    return f->ops->vcpu_create(f->engine, 0, &f->vcpu, e) == 0;
}

void flat_close(struct flat *f)
{
    f->ops->vcpu_destroy(f->vcpu);
    if (f->engine != NULL)
        f->ops->destroy(f->engine);
    ram_destroy(f->ram);
    free(f->cpu);
}

void flat_start(struct flat *f, const void *code, unsigned len)
{
    struct err e = {0};

    if (ram_load(f->ram, FLAT_CODE, code, len) < 0)
        abort();
    x86_cpu_reset(f->cpu);
    f->cpu->cr0 = 0x31;
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        f->cpu->seg[i] = (struct x86_segment){.selector = i == X86_CS ? 8 : 16,
                                              .attr = i == X86_CS ? 0xc09b : 0xc093,
                                              .limit = UINT32_MAX};
    f->cpu->rip = FLAT_CODE;
    f->cpu->gpr[X86_RSP] = FLAT_STACK;
    if (f->ops->set_state(f->vcpu, f->cpu, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
}

bool flat_run(struct flat *f)
{
    f->stop = false;
    while (!f->stop) {
        enum engine_exit why = f->ops->run(f->vcpu);

        if (why == ENGINE_EXIT_HALT)
            return true;
        if (why != ENGINE_EXIT_KICKED) {
            fprintf(stderr, "%s: exit %d: %s\n", f->ops->name, why, f->ops->strerror(f->vcpu));
            return false;
        }
    }
    return true;
}

/* --- comparing --- */

/* A null segment's hidden part is what the processor left there. */
static bool same_segment(const struct x86_segment *a, const struct x86_segment *b)
{
    bool there = (a->attr >> 7 & 1) != 0;

    if (a->selector != b->selector || there != ((b->attr >> 7 & 1) != 0))
        return false;
    return !there || (a->base == b->base && a->limit == b->limit && a->attr == b->attr);
}

static const char *segments(const struct x86_cpu *a, const struct x86_cpu *b)
{
    static const char *const names[] = {"ES", "CS", "SS", "DS", "FS", "GS"};

    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        if (!same_segment(&a->seg[i], &b->seg[i]))
            return names[i];
    if (!same_segment(&a->ldtr, &b->ldtr))
        return "LDTR";
    if (!same_segment(&a->tr, &b->tr))
        return "TR";
    return NULL;
}

static const char *registers(const struct x86_cpu *a, const struct x86_cpu *b)
{
    static const char *const names[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                        "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};

    for (unsigned i = 0; i < 16; i++)
        if (a->gpr[i] != b->gpr[i])
            return names[i];
    return a->rip != b->rip ? "RIP" : a->rflags != b->rflags ? "RFLAGS" : NULL;
}

#define FIELD(f)                              \
    if (memcmp(&a->f, &b->f, sizeof(a->f))) { \
        return #f;                            \
    }

static const char *system_registers(const struct x86_cpu *a, const struct x86_cpu *b)
{
    FIELD(gdtr.base)
    FIELD(gdtr.limit)
    FIELD(idtr.base)
    FIELD(idtr.limit)
    FIELD(cr0)
    FIELD(cr2)
    FIELD(cr3)
    FIELD(cr4)
    FIELD(cr8)
    FIELD(xcr0)
    FIELD(dr)
    FIELD(efer)
    FIELD(star)
    FIELD(lstar)
    FIELD(cstar)
    FIELD(fmask)
    FIELD(kernel_gs_base)
    FIELD(tsc_aux)
    FIELD(pat)
    FIELD(sysenter_cs)
    FIELD(sysenter_esp)
    FIELD(sysenter_eip)
    FIELD(mtrr_def_type)
    FIELD(mtrr_fixed)
    FIELD(mtrr_base)
    FIELD(mtrr_mask)
    FIELD(misc_enable)
    FIELD(tsc_adjust)
    FIELD(pmu)
    FIELD(kvm_steal)
    FIELD(pkru)
    return NULL;
}

static const char *events(const struct x86_cpu *a, const struct x86_cpu *b)
{
    FIELD(mp_state)
    FIELD(nmi_blocked)
    FIELD(nmi_pending)
    FIELD(interrupt_shadow)
    FIELD(event_pending)
    FIELD(event_has_error)
    FIELD(event_vector)
    FIELD(event_type)
    FIELD(event_error)
    return NULL;
}

/* x87 and SSE: control, status and tag words, MXCSR, registers. */
static const char *vectors(const struct x86_cpu *a, const struct x86_cpu *b)
{
    if (memcmp(a->xsave, b->xsave, 5) != 0)
        return "the x87's words";
    if (memcmp(a->xsave + 24, b->xsave + 24, 4) != 0)
        return "MXCSR";
    for (unsigned i = 0; i < 8; i++)
        if (memcmp(a->xsave + 32 + 16 * i, b->xsave + 32 + 16 * i, 10) != 0)
            return "ST";
    return memcmp(a->xsave + 160, b->xsave + 160, 256) != 0 ? "XMM" : NULL;
}

const char *flat_difference(const struct x86_cpu *a, const struct x86_cpu *b)
{
    static const char *(*const parts[])(const struct x86_cpu *, const struct x86_cpu *) = {
        registers, segments, system_registers, events, vectors};

    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const char *what = parts[i](a, b);

        if (what != NULL)
            return what;
    }
    return NULL;
}

void flat_print(FILE *out, const char *name, const struct x86_cpu *c)
{
    fprintf(out, "%s: rip %" PRIx64 " rflags %" PRIx64 "\n", name, c->rip, c->rflags);
    for (unsigned i = 0; i < 16; i++)
        fprintf(out, "  r%-2u %016" PRIx64 "%s", i, c->gpr[i], i % 4 == 3 ? "\n" : "");
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        fprintf(out, "  seg%u %04x base %" PRIx64 " limit %x attr %x\n", i, c->seg[i].selector,
                c->seg[i].base, c->seg[i].limit, c->seg[i].attr);
    fprintf(out,
            "  cr0 %" PRIx64 " cr2 %" PRIx64 " cr3 %" PRIx64 " cr4 %" PRIx64 " efer %" PRIx64 "\n",
            c->cr0, c->cr2, c->cr3, c->cr4, c->efer);
    fprintf(out, "  dr6 %" PRIx64 " dr7 %" PRIx64 " event %d %u/%u mp %d\n", c->dr[6], c->dr[7],
            c->event_pending, c->event_type, c->event_vector, c->mp_state);
}
