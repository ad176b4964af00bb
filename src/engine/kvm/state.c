/* SPDX-License-Identifier: GPL-2.0-or-later */
/* struct x86_cpu into KVM's structures and back. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "kvm_internal.h"

#define MSR_APIC_BASE 0x1b

/* x87 and SSE: there with every XSAVE image. */
#define XCR0_LEGACY 3u
enum { XSAVE_MXCSR = 24, XSAVE_BV = 512, XSAVE_HEADER = 64 };
enum { PKRU_COMPONENT = 9 };

enum { EVENT_EXTERNAL = 0, EVENT_NMI = 2, EVENT_EXCEPTION = 3, EVENT_SOFTWARE = 4 };

/* --- segments --- */

static struct kvm_segment segment_out(const struct x86_segment *s)
{
    return (struct kvm_segment){.base = s->base,
                                .limit = s->limit,
                                .selector = s->selector,
                                .type = s->attr & 0xf,
                                .s = s->attr >> 4 & 1,
                                .dpl = s->attr >> 5 & 3,
                                .present = s->attr >> 7 & 1,
                                .avl = s->attr >> 12 & 1,
                                .l = s->attr >> 13 & 1,
                                .db = s->attr >> 14 & 1,
                                .g = s->attr >> 15 & 1,
                                .unusable = s->unusable};
}

static struct x86_segment segment_in(const struct kvm_segment *s)
{
    return (struct x86_segment){.base = s->base,
                                .limit = s->limit,
                                .selector = s->selector,
                                .attr = (uint16_t)(s->type | s->s << 4 | s->dpl << 5 |
                                                   s->present << 7 | s->avl << 12 | s->l << 13 |
                                                   s->db << 14 | s->g << 15),
                                .unusable = s->unusable};
}

static void segments_out(const struct x86_cpu *cpu, struct kvm_sregs *s)
{
    s->es = segment_out(&cpu->seg[X86_ES]);
    s->cs = segment_out(&cpu->seg[X86_CS]);
    s->ss = segment_out(&cpu->seg[X86_SS]);
    s->ds = segment_out(&cpu->seg[X86_DS]);
    s->fs = segment_out(&cpu->seg[X86_FS]);
    s->gs = segment_out(&cpu->seg[X86_GS]);
    s->ldt = segment_out(&cpu->ldtr);
    s->tr = segment_out(&cpu->tr);
    s->gdt = (struct kvm_dtable){.base = cpu->gdtr.base, .limit = cpu->gdtr.limit};
    s->idt = (struct kvm_dtable){.base = cpu->idtr.base, .limit = cpu->idtr.limit};
}

static void segments_in(const struct kvm_sregs *s, struct x86_cpu *cpu)
{
    cpu->seg[X86_ES] = segment_in(&s->es);
    cpu->seg[X86_CS] = segment_in(&s->cs);
    cpu->seg[X86_SS] = segment_in(&s->ss);
    cpu->seg[X86_DS] = segment_in(&s->ds);
    cpu->seg[X86_FS] = segment_in(&s->fs);
    cpu->seg[X86_GS] = segment_in(&s->gs);
    cpu->ldtr = segment_in(&s->ldt);
    cpu->tr = segment_in(&s->tr);
    cpu->gdtr = (struct x86_table){.base = s->gdt.base, .limit = s->gdt.limit};
    cpu->idtr = (struct x86_table){.base = s->idt.base, .limit = s->idt.limit};
}

/* --- system registers --- */

static uint64_t apic_base(struct engine_vcpu *v)
{
    uint64_t base = 0;

    return v->host->msr_read(v->host->opaque, v->index, MSR_APIC_BASE, &base) ? base : 0;
}

static int load_sregs(struct engine_vcpu *v, const struct x86_cpu *cpu)
{
    struct kvm_sregs s = {.cr0 = cpu->cr0,
                          .cr2 = cpu->cr2,
                          .cr3 = cpu->cr3,
                          .cr4 = cpu->cr4,
                          .cr8 = cpu->cr8,
                          .efer = cpu->efer};

    segments_out(cpu, &s);
    s.apic_base = v->apic_base = apic_base(v);
    return ioctl(v->fd, KVM_SET_SREGS, &s) < 0 ? -errno : 0;
}

static int save_sregs(struct engine_vcpu *v, struct x86_cpu *cpu)
{
    struct kvm_sregs s;

    if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
        return -errno;
    segments_in(&s, cpu);
    cpu->cr0 = s.cr0;
    cpu->cr2 = s.cr2;
    cpu->cr3 = s.cr3;
    cpu->cr4 = s.cr4;
    cpu->efer = s.efer;
    return 0;
}

/* CPUID shows whether the local APIC is on. */
int kvm_sync_apic_base(struct engine_vcpu *v)
{
    uint64_t base = apic_base(v);
    struct kvm_sregs s;

    if (base == v->apic_base)
        return 0;
    if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
        return -errno;
    memset(s.interrupt_bitmap, 0, sizeof(s.interrupt_bitmap));
    s.apic_base = v->apic_base = base;
    return ioctl(v->fd, KVM_SET_SREGS, &s) < 0 ? -errno : 0;
}

/* --- general registers --- */

static int load_regs(struct engine_vcpu *v, const struct x86_cpu *cpu)
{
    const uint64_t *g = cpu->gpr;
    struct kvm_regs r = {.rax = g[0],
                         .rcx = g[1],
                         .rdx = g[2],
                         .rbx = g[3],
                         .rsp = g[4],
                         .rbp = g[5],
                         .rsi = g[6],
                         .rdi = g[7],
                         .rip = cpu->rip,
                         .rflags = cpu->rflags};

    memcpy(&r.r8, g + X86_R8, 8 * sizeof(r.r8));
    return ioctl(v->fd, KVM_SET_REGS, &r) < 0 ? -errno : 0;
}

static int save_regs(struct engine_vcpu *v, struct x86_cpu *cpu)
{
    struct kvm_regs r;
    uint64_t *g = cpu->gpr;

    if (ioctl(v->fd, KVM_GET_REGS, &r) < 0)
        return -errno;
    g[0] = r.rax;
    g[1] = r.rcx;
    g[2] = r.rdx;
    g[3] = r.rbx;
    g[4] = r.rsp;
    g[5] = r.rbp;
    g[6] = r.rsi;
    g[7] = r.rdi;
    memcpy(g + X86_R8, &r.r8, 8 * sizeof(r.r8));
    cpu->rip = r.rip;
    cpu->rflags = r.rflags;
    return 0;
}

/* --- x87 and vector state --- */

static uint64_t xcr0_offered(const struct engine_vcpu *v)
{
    const struct cpuid_dynamic dyn = {0};
    uint32_t id[4];

    cpuid_execute(v->en->cpuid, &dyn, 0xd, 0, id);
    return (uint64_t)id[3] << 32 | id[0] | XCR0_LEGACY;
}

/* Where PKRU stands in the image, or 0. */
static uint32_t pkru_offset(const struct engine_vcpu *v)
{
    const struct cpuid_dynamic dyn = {0};
    uint32_t id[4];

    if (!(xcr0_offered(v) >> PKRU_COMPONENT & 1))
        return 0;
    cpuid_execute(v->en->cpuid, &dyn, 0xd, PKRU_COMPONENT, id);
    return id[1] + 4 <= X86_XSAVE_SIZE ? id[1] : 0;
}

static int load_xcr0(struct engine_vcpu *v, const struct x86_cpu *cpu)
{
    struct kvm_xcrs x = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = cpu->xcr0}}};

    return ioctl(v->fd, KVM_SET_XCRS, &x) < 0 ? -errno : 0;
}

/* What XRSTOR would refuse is corrected here. */
static int load_xsave(struct engine_vcpu *v, const struct x86_cpu *cpu)
{
    struct kvm_xsave x = {{0}};
    uint8_t *image = (uint8_t *)x.region;
    uint32_t at = pkru_offset(v);
    uint64_t bv;

    _Static_assert(X86_XSAVE_SIZE <= sizeof(x), "the whole image fits");
    memcpy(image, cpu->xsave, X86_XSAVE_SIZE);
    memcpy(&bv, image + XSAVE_BV, sizeof(bv));
    bv &= xcr0_offered(v);
    if (at != 0) {
        memcpy(image + at, &cpu->pkru, sizeof(cpu->pkru));
        bv |= UINT64_C(1) << PKRU_COMPONENT;
    }
    memset(image + XSAVE_BV, 0, XSAVE_HEADER);
    memcpy(image + XSAVE_BV, &bv, sizeof(bv));
    memset(image + XSAVE_MXCSR + 2, 0, 2);
    return ioctl(v->fd, KVM_SET_XSAVE, &x) < 0 ? -errno : 0;
}

static int save_xsave(struct engine_vcpu *v, struct x86_cpu *cpu)
{
    struct kvm_xcrs xcrs = {0};
    struct kvm_xsave x;
    uint32_t at = pkru_offset(v);

    if (ioctl(v->fd, KVM_GET_XSAVE, &x) < 0 || ioctl(v->fd, KVM_GET_XCRS, &xcrs) < 0)
        return -errno;
    memcpy(cpu->xsave, x.region, X86_XSAVE_SIZE);
    cpu->pkru = 0;
    if (at != 0)
        memcpy(&cpu->pkru, cpu->xsave + at, sizeof(cpu->pkru));
    for (unsigned i = 0; i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; i++)
        if (xcrs.xcrs[i].xcr == 0)
            cpu->xcr0 = xcrs.xcrs[i].value;
    return 0;
}

/* --- events --- */

static int load_events(struct engine_vcpu *v, const struct x86_cpu *cpu)
{
    struct kvm_vcpu_events ev = {.flags =
                                     KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW};

    ev.nmi.masked = cpu->nmi_blocked;
    ev.nmi.pending = cpu->nmi_pending;
    ev.interrupt.shadow = cpu->interrupt_shadow ? KVM_X86_SHADOW_INT_STI : 0;
    if (cpu->event_pending && cpu->event_type == EVENT_NMI) {
        ev.nmi.injected = 1;
    } else if (cpu->event_pending && cpu->event_type == EVENT_EXCEPTION) {
        ev.exception.injected = 1;
        ev.exception.nr = cpu->event_vector;
        ev.exception.has_error_code = cpu->event_has_error;
        ev.exception.error_code = cpu->event_error;
    } else if (cpu->event_pending) {
        ev.interrupt.injected = 1;
        ev.interrupt.nr = cpu->event_vector;
        ev.interrupt.soft = cpu->event_type == EVENT_SOFTWARE;
    }
    return ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev) < 0 ? -errno : 0;
}

/* An exception goes before an interrupt, whose vector then comes again after it (the local APIC has
 * it in service, and the guest would wait for it in vain): KVM holds both back only when delivery
 * of the interrupt itself faulted, and then the exception's handler is the one to see it. */
static int save_events(struct engine_vcpu *v, struct x86_cpu *cpu)
{
    struct kvm_vcpu_events ev;

    if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &ev) < 0)
        return -errno;
    cpu->nmi_blocked = ev.nmi.masked;
    cpu->nmi_pending = ev.nmi.pending;
    cpu->interrupt_shadow = ev.interrupt.shadow != 0;
    cpu->event_pending = ev.exception.injected || ev.nmi.injected || ev.interrupt.injected;
    cpu->event_vector = cpu->event_type = 0;
    cpu->event_has_error = false;
    cpu->event_error = 0;
    if (ev.exception.injected) {
        cpu->event_type = EVENT_EXCEPTION;
        cpu->event_vector = ev.exception.nr;
        cpu->event_has_error = ev.exception.has_error_code;
        cpu->event_error = ev.exception.has_error_code ? ev.exception.error_code : 0;
    } else if (ev.nmi.injected) {
        cpu->event_type = EVENT_NMI;
        cpu->event_vector = 2;
    } else if (ev.interrupt.injected) {
        cpu->event_type = ev.interrupt.soft ? EVENT_SOFTWARE : EVENT_EXTERNAL;
        cpu->event_vector = ev.interrupt.nr;
    }
    return 0;
}

/* --- debug registers --- */

static int load_debug(struct engine_vcpu *v, const struct x86_cpu *cpu)
{
    struct kvm_debugregs d = {.db = {cpu->dr[0], cpu->dr[1], cpu->dr[2], cpu->dr[3]},
                              .dr6 = cpu->dr[6],
                              .dr7 = cpu->dr[7]};

    return ioctl(v->fd, KVM_SET_DEBUGREGS, &d) < 0 ? -errno : 0;
}

static int save_debug(struct engine_vcpu *v, struct x86_cpu *cpu)
{
    struct kvm_debugregs d;

    if (ioctl(v->fd, KVM_GET_DEBUGREGS, &d) < 0)
        return -errno;
    memcpy(cpu->dr, d.db, sizeof(d.db));
    cpu->dr[4] = cpu->dr[5] = 0;
    cpu->dr[6] = d.dr6;
    cpu->dr[7] = d.dr7;
    return 0;
}

/* --- all of it --- */

static int refused(int rc, const char *what, struct err *e)
{
    return rc < 0 ? err_set(e, -rc, "CPU state: this host's KVM refuses the %s: %s", what,
                            strerror(-rc))
                  : 0;
}

int kvm_set_state(struct engine_vcpu *v, const struct x86_cpu *cpu, struct err *e)
{
    static const struct {
        int (*load)(struct engine_vcpu *, const struct x86_cpu *);
        const char *what;
    } steps[] = {{load_xcr0, "extended control register"}, {load_xsave, "vector state"},
                 {load_sregs, "system registers"},         {load_events, "pending events"},
                 {load_debug, "debug registers"},          {load_regs, "general registers"}};
    int rc = 0;

    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]) && rc == 0; i++)
        rc = refused(steps[i].load(v, cpu), steps[i].what, e);
    if (rc == 0)
        rc = kvm_msr_load(v, cpu, e);
    if (rc == 0)
        rc = refused(kvm_tsc_set(v, cpu->tsc), "time stamp counter", e);
    v->host->cr8_write(v->host->opaque, v->index, (unsigned)cpu->cr8);
    v->mp = cpu->mp_state;
    v->incomplete = v->fresh = true;
    v->ready = false;
    return rc;
}

void kvm_get_state(struct engine_vcpu *v, struct x86_cpu *cpu)
{
    int rc;

    memset(cpu, 0, sizeof(*cpu));
    rc = save_regs(v, cpu);
    if (rc == 0)
        rc = save_sregs(v, cpu);
    if (rc == 0)
        rc = save_xsave(v, cpu);
    if (rc == 0)
        rc = save_events(v, cpu);
    if (rc == 0)
        rc = save_debug(v, cpu);
    if (rc < 0)
        log_error("vCPU %u: KVM does not tell its state: %s", v->index, strerror(-rc));
    kvm_msr_save(v, cpu);
    cpu->cr8 = v->host->cr8_read(v->host->opaque, v->index);
    cpu->mp_state = v->mp;
    cpu->tsc = kvm_host_tsc() + atomic_load(&v->tsc_offset);
}
