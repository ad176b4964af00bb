/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kvm engine behind the seam: machines, memory slots, vCPUs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm_internal.h"

/* Four pages below 4 GB that no device uses: Intel processors without unrestricted guests keep a
 * task state segment and a page table there. */
#define IDENTITY_MAP 0xfeffc000u
#define TSS_ADDRESS 0xfeffd000u

#define GONE "/dev/kvm was usable a moment ago and is no longer: %s"

/* --- the machine --- */

static void set_places(struct engine *en)
{
    uint64_t identity = IDENTITY_MAP;

    /* Not asked of AMD's, which may refuse. */
    (void)ioctl(en->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    (void)ioctl(en->vm, KVM_SET_TSS_ADDR, TSS_ADDRESS);
}

/* The guest sees what its CPUID says: no paravirtual features that it was not told of, and no
 * performance counters. Older kernels do not know the requests. */
static void forbid_extras(struct engine *en)
{
    struct kvm_enable_cap pmu = {.cap = KVM_CAP_PMU_CAPABILITY, .args = {KVM_PMU_CAP_DISABLE}};

    (void)ioctl(en->vm, KVM_ENABLE_CAP, &pmu);
}

static int create_first_vcpu(struct engine *en, struct err *e)
{
    int khz;

    en->first_vcpu = ioctl(en->vm, KVM_CREATE_VCPU, 0);
    if (en->first_vcpu < 0)
        return err_set(e, errno, "KVM creates no virtual CPU: %s", strerror(errno));
    khz = ioctl(en->first_vcpu, KVM_GET_TSC_KHZ, 0);
    en->tsc_khz = khz > 0 ? (uint64_t)khz : kvm_tsc_measure();
    return 0;
}

static void kvm_destroy(struct engine *en)
{
    if (en == NULL)
        return;
    if (en->first_vcpu >= 0)
        close(en->first_vcpu);
    if (en->vm >= 0)
        en->sys->close(en->vm);
    if (en->kvm >= 0)
        en->sys->close(en->kvm);
    free(en->msrs);
    lock_finish(&en->lock);
    free(en);
}

static int open_machine(const struct kvm_sys *sys, struct engine *en, struct err *e)
{
    int size;

    en->kvm = sys->open("/dev/kvm");
    if (en->kvm < 0)
        return err_set(e, ENODEV, GONE, strerror(errno));
    en->vm = sys->ioctl(en->kvm, KVM_CREATE_VM, 0);
    if (en->vm < 0)
        return err_set(e, ENODEV, "/dev/kvm creates no machine: %s", strerror(errno));
    size = sys->ioctl(en->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof(struct kvm_run))
        return err_set(e, ENODEV, "/dev/kvm does not say how large a virtual CPU is");
    en->run_size = (size_t)size;
    en->doorbells = sys->ioctl(en->kvm, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD) > 0 &&
                    sys->ioctl(en->kvm, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0;
    return 0;
}

int kvm_create_on(const struct kvm_sys *sys, const struct engine_config *cfg, struct engine **out,
                  struct err *e)
{
    struct engine *en = calloc(1, sizeof(*en));
    int rc;

    if (en == NULL)
        return err_set(e, ENOMEM, "out of memory");
    lock_init(&en->lock, LOCK_ENGINE);
    en->kvm = en->vm = en->first_vcpu = -1;
    en->sys = sys;
    en->ram = cfg->ram;
    en->host = cfg->host;
    en->cpuid = cfg->cpuid;
    en->vcpus = cfg->vcpus;
    rc = open_machine(sys, en, e);
    if (rc == 0 && (rc = kvm_kick_setup()) < 0)
        err_set(e, -rc, "cannot catch the signal that stops virtual CPUs: %s", strerror(-rc));
    if (rc == 0) {
        set_places(en);
        forbid_extras(en);
        rc = kvm_msr_setup(en, e);
    }
    if (rc == 0)
        rc = kvm_memory_setup(en, e);
    if (rc == 0)
        rc = create_first_vcpu(en, e);
    if (rc < 0) {
        kvm_destroy(en);
        return rc;
    }
    *out = en;
    return 0;
}

static int kvm_create(const struct engine_config *cfg, struct engine **out, struct err *e)
{
    return kvm_create_on(&kvm_sys_host, cfg, out, e);
}

/* --- vCPUs --- */

static int set_cpuid(struct engine_vcpu *v, struct err *e)
{
    const struct cpuid_table *t = v->en->cpuid;
    const struct cpuid_dynamic dyn = {.xcr0 = 1, .apic_id = v->index, .apic_enabled = true};
    struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + t->count * sizeof(c->entries[0]));
    int rc;

    if (c == NULL)
        return err_set(e, ENOMEM, "out of memory");
    for (unsigned i = 0; i < t->count; i++) {
        const struct cpuid_leaf *l = &t->leaf[i];
        struct kvm_cpuid_entry2 *en = &c->entries[c->nent++];
        uint32_t r[4];

        cpuid_execute(t, &dyn, l->leaf, l->subleaf, r);
        *en = (struct kvm_cpuid_entry2){.function = l->leaf,
                                        .index = l->subleaf,
                                        .flags = l->indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
                                        .eax = r[0],
                                        .ebx = r[1],
                                        .ecx = r[2],
                                        .edx = r[3]};
    }
    rc = ioctl(v->fd, KVM_SET_CPUID2, c) < 0 ? -errno : 0;
    free(c);
    return rc < 0 ? err_set(e, -rc, "KVM does not take the guest's CPUID: %s", strerror(-rc)) : 0;
}

static int open_vcpu(struct engine_vcpu *v, struct err *e)
{
    struct engine *en = v->en;

    if (v->index == 0) {
        v->fd = en->first_vcpu;
        en->first_vcpu = -1;
    } else {
        v->fd = ioctl(en->vm, KVM_CREATE_VCPU, v->index);
    }
    if (v->fd < 0)
        return err_set(e, errno, "--cpus: KVM creates no virtual CPU %u: %s", v->index,
                       strerror(errno));
    v->run = mmap(NULL, en->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (v->run == MAP_FAILED) {
        v->run = NULL;
        return err_set(e, errno, "cannot map virtual CPU %u: %s", v->index, strerror(errno));
    }
    return set_cpuid(v, e);
}

static void kvm_vcpu_destroy(struct engine_vcpu *v)
{
    if (v == NULL)
        return;
    if (v->run != NULL)
        munmap(v->run, v->en->run_size);
    if (v->fd >= 0)
        close(v->fd);
    v->en->vcpu[v->index] = NULL;
    free(v);
}

static int kvm_vcpu_create(struct engine *en, unsigned index, struct engine_vcpu **out,
                           struct err *e)
{
    struct engine_vcpu *v = aligned_alloc(64, (sizeof(*v) + 63) & ~(size_t)63);
    int rc;

    if (v == NULL)
        return err_set(e, ENOMEM, "out of memory");
    memset(v, 0, sizeof(*v));
    v->en = en;
    v->index = index;
    v->host = en->host;
    v->fd = -1;
    v->mp = index == 0 ? X86_MP_RUNNABLE : X86_MP_INIT;
    v->incomplete = v->fresh = true;
    rc = open_vcpu(v, e);
    if (rc < 0) {
        kvm_vcpu_destroy(v);
        return rc;
    }
    en->vcpu[index] = v;
    *out = v;
    return 0;
}

/* --- the rest --- */

static int kvm_probe(struct err *e)
{
    struct kvm_facts facts;

    return kvm_probe_on(&kvm_sys_host, &facts, e);
}

static void offer_leaf(struct cpuid_offer *out, const struct kvm_cpuid_entry2 *en)
{
    if (out->count == sizeof(out->leaf) / sizeof(out->leaf[0]))
        return;
    out->leaf[out->count++] =
        (struct cpuid_leaf){.leaf = en->function,
                            .subleaf = en->index,
                            .indexed = en->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
                            .eax = en->eax,
                            .ebx = en->ebx,
                            .ecx = en->ecx,
                            .edx = en->edx};
}

static int kvm_cpuid_offer(struct cpuid_offer *out, struct err *e)
{
    enum { ENTRIES = 256 };
    struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + ENTRIES * sizeof(c->entries[0]));
    int fd = kvm_sys_host.open("/dev/kvm"), rc = 0;

    if (fd < 0)
        rc = err_set(e, ENODEV, GONE, strerror(errno));
    else if (c == NULL)
        rc = err_set(e, ENOMEM, "out of memory");
    if (rc == 0) {
        c->nent = ENTRIES;
        rc = ioctl(fd, KVM_GET_SUPPORTED_CPUID, c) < 0 ? -errno : 0;
        if (rc < 0)
            err_set(e, -rc, "KVM does not say what processors it offers: %s", strerror(-rc));
    }
    out->count = 0;
    for (unsigned i = 0; rc == 0 && i < c->nent; i++)
        offer_leaf(out, &c->entries[i]);
    free(c);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int kvm_doorbell(struct engine *en, gpa_t gpa, int fd, bool on)
{
    struct kvm_ioeventfd bell = {
        .addr = gpa, .fd = fd, .flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN};

    if (!en->doorbells)
        return -ENOTSUP;
    return ioctl(en->vm, KVM_IOEVENTFD, &bell) < 0 ? -errno : 0;
}

static const char *kvm_strerror(struct engine_vcpu *v)
{
    return v->error;
}

static uint64_t kvm_tsc_khz(struct engine *en)
{
    return en->tsc_khz;
}

static uint64_t kvm_tsc_offset(struct engine_vcpu *v)
{
    return atomic_load(&v->tsc_offset);
}

extern const struct engine_ops engine_kvm;
const struct engine_ops engine_kvm = {
    .name = "kvm",
    .probe = kvm_probe,
    .cpuid_offer = kvm_cpuid_offer,
    .create = kvm_create,
    .destroy = kvm_destroy,
    .vcpu_create = kvm_vcpu_create,
    .vcpu_destroy = kvm_vcpu_destroy,
    .run = kvm_run,
    .kick = kvm_kick,
    .get_state = kvm_get_state,
    .set_state = kvm_set_state,
    .debug_points = kvm_debug_points,
    .debug_step = kvm_debug_step,
    .debug_stop = kvm_debug_stop,
    .remap = kvm_remap,
    .dirty_log = kvm_dirty_log,
    .dirty_take = kvm_dirty_take,
    .doorbell = kvm_doorbell,
    .strerror = kvm_strerror,
    .tsc_khz = kvm_tsc_khz,
    .tsc_offset = kvm_tsc_offset,
    .counters = kvm_counters,
};
