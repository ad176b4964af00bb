/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers. The kernel keeps those that are the processor's; the ones that belong
 * to our devices and to the machine's identity it hands to us (KVM_X86_SET_MSR_FILTER), and so does
 * it with what it does not know.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm_internal.h"

enum {
    MSR_TSC = 0x10,
    MSR_APIC_BASE = 0x1b,
    MSR_TSC_ADJUST = 0x3b,
    MSR_SPEC_CTRL = 0x48,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_MTRR_BASE0 = 0x200,
    MSR_MTRR_DEF = 0x2ff,
    MSR_PAT = 0x277,
    MSR_XSS = 0xda0,
    MSR_KVM_STEAL = 0x4b564d03,
    MSR_EFER = 0xc0000080,
    MSR_TSC_AUX = 0xc0000103,
};

/* --- what the kernel leaves to us --- */

static const struct {
    uint32_t base, count;
    uint32_t flags;
} ours[] = {
    {MSR_TSC, 1, KVM_MSR_FILTER_WRITE},
    {0x17, 1, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE}, /* platform id */
    {MSR_APIC_BASE, 1, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE},
    {0x3a, 1, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE}, /* feature control */
    {MSR_TSC_ADJUST, 1, KVM_MSR_FILTER_WRITE},
    {0x79, 1, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE},        /* microcode update */
    {0x8b, 1, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE},        /* microcode revision */
    {0xce, 1, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE},        /* platform information */
    {0x140, 1, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE},       /* CPUID faulting */
    {0x179, 2, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE},       /* machine check */
    {0x6e0, 1, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE},       /* TSC deadline */
    {0x4b564d00, 2, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE},  /* clock */
    {0x4b564d04, 1, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE},  /* ends of interrupts */
    {0xc0010010, 6, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE},  /* AMD: SYSCFG - HWCR */
    {0xc0011020, 16, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE}, /* AMD: configuration */
};

_Static_assert(sizeof(ours) / sizeof(ours[0]) <= KVM_MSR_FILTER_MAX_RANGES, "the kernel's limit");

static int set_filter(struct engine *en)
{
    uint8_t none[8] = {0};
    struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};

    for (unsigned i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        filter.ranges[i] = (struct kvm_msr_filter_range){
            .flags = ours[i].flags, .nmsrs = ours[i].count, .base = ours[i].base, .bitmap = none};
    return ioctl(en->vm, KVM_X86_SET_MSR_FILTER, &filter) < 0 ? -errno : 0;
}

static int hand_over(struct engine *en)
{
    struct kvm_enable_cap user = {.cap = KVM_CAP_X86_USER_SPACE_MSR,
                                  .args = {KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |
                                           KVM_MSR_EXIT_REASON_FILTER}};

    return ioctl(en->vm, KVM_ENABLE_CAP, &user) < 0 ? -errno : set_filter(en);
}

static int list_msrs(struct engine *en)
{
    struct kvm_msr_list probe = {.nmsrs = 0}, *list;

    if (ioctl(en->kvm, KVM_GET_MSR_INDEX_LIST, &probe) < 0 && errno != E2BIG)
        return -errno;
    list = calloc(1, sizeof(*list) + probe.nmsrs * sizeof(list->indices[0]));
    en->msrs = calloc(probe.nmsrs + 1, sizeof(en->msrs[0]));
    if (list == NULL || en->msrs == NULL) {
        free(list);
        return -ENOMEM;
    }
    list->nmsrs = probe.nmsrs;
    if (ioctl(en->kvm, KVM_GET_MSR_INDEX_LIST, list) == 0) {
        en->msr_count = list->nmsrs;
        memcpy(en->msrs, list->indices, list->nmsrs * sizeof(en->msrs[0]));
    }
    free(list);
    return 0;
}

int kvm_msr_setup(struct engine *en, struct err *e)
{
    int rc = hand_over(en);

    if (rc == 0)
        rc = list_msrs(en);
    return rc < 0 ? err_set(e, -rc, "KVM takes no filter of MSRs: %s", strerror(-rc)) : 0;
}

/* --- one register --- */

union one_msr {
    struct kvm_msrs list;
    uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

static int one(struct engine_vcpu *v, unsigned long request, uint32_t index, uint64_t *value)
{
    union one_msr m = {.list = {.nmsrs = 1}};
    int rc;

    m.list.entries[0] = (struct kvm_msr_entry){.index = index, .data = *value};
    rc = ioctl(v->fd, request, &m);
    *value = m.list.entries[0].data;
    return rc == 1 ? 0 : rc < 0 ? -errno : -EINVAL;
}

int kvm_msr_get(struct engine_vcpu *v, uint32_t index, uint64_t *value)
{
    *value = 0;
    return one(v, KVM_GET_MSRS, index, value);
}

int kvm_msr_set(struct engine_vcpu *v, uint32_t index, uint64_t value)
{
    return one(v, KVM_SET_MSRS, index, &value);
}

/* --- saving and loading --- */

static const struct {
    uint32_t index;
    size_t offset;
} fields[] = {
    {MSR_TSC_ADJUST, offsetof(struct x86_cpu, tsc_adjust)},
    {MSR_SPEC_CTRL, offsetof(struct x86_cpu, spec_ctrl)},
    {0x174, offsetof(struct x86_cpu, sysenter_cs)},
    {0x175, offsetof(struct x86_cpu, sysenter_esp)},
    {0x176, offsetof(struct x86_cpu, sysenter_eip)},
    {MSR_MISC_ENABLE, offsetof(struct x86_cpu, misc_enable)},
    {MSR_PAT, offsetof(struct x86_cpu, pat)},
    {MSR_XSS, offsetof(struct x86_cpu, xss)},
    {0xc0000081, offsetof(struct x86_cpu, star)},
    {0xc0000082, offsetof(struct x86_cpu, lstar)},
    {0xc0000083, offsetof(struct x86_cpu, cstar)},
    {0xc0000084, offsetof(struct x86_cpu, fmask)},
    {0xc0000102, offsetof(struct x86_cpu, kernel_gs_base)},
    {MSR_TSC_AUX, offsetof(struct x86_cpu, tsc_aux)},
    {MSR_KVM_STEAL, offsetof(struct x86_cpu, kvm_steal)},
    {0x250, offsetof(struct x86_cpu, mtrr_fixed[0])},
    {0x258, offsetof(struct x86_cpu, mtrr_fixed[1])},
    {0x259, offsetof(struct x86_cpu, mtrr_fixed[2])},
    {0x268, offsetof(struct x86_cpu, mtrr_fixed[3])},
    {0x269, offsetof(struct x86_cpu, mtrr_fixed[4])},
    {0x26a, offsetof(struct x86_cpu, mtrr_fixed[5])},
    {0x26b, offsetof(struct x86_cpu, mtrr_fixed[6])},
    {0x26c, offsetof(struct x86_cpu, mtrr_fixed[7])},
    {0x26d, offsetof(struct x86_cpu, mtrr_fixed[8])},
    {0x26e, offsetof(struct x86_cpu, mtrr_fixed[9])},
    {0x26f, offsetof(struct x86_cpu, mtrr_fixed[10])},
    {MSR_MTRR_DEF, offsetof(struct x86_cpu, mtrr_def_type)},
};

/* Memory types are not in the kernel's list, though it keeps them. */
static bool kept(const struct engine *en, uint32_t index)
{
    if ((index >= MSR_MTRR_BASE0 && index <= MSR_MTRR_DEF))
        return true;
    for (unsigned i = 0; i < en->msr_count; i++)
        if (en->msrs[i] == index)
            return true;
    return false;
}

static uint64_t *field_at(struct x86_cpu *cpu, size_t offset)
{
    return (uint64_t *)((char *)cpu + offset);
}

/* What this processor does not have reads as it was reset: 0. */
void kvm_msr_save(struct engine_vcpu *v, struct x86_cpu *cpu)
{
    for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (!kept(v->en, fields[i].index) ||
            kvm_msr_get(v, fields[i].index, field_at(cpu, fields[i].offset)) < 0)
            *field_at(cpu, fields[i].offset) = 0;
    for (uint32_t i = 0; i < 8; i++) {
        if (kvm_msr_get(v, MSR_MTRR_BASE0 + 2 * i, &cpu->mtrr_base[i]) < 0)
            cpu->mtrr_base[i] = 0;
        if (kvm_msr_get(v, MSR_MTRR_BASE0 + 2 * i + 1, &cpu->mtrr_mask[i]) < 0)
            cpu->mtrr_mask[i] = 0;
    }
}

static int load_one(struct engine_vcpu *v, uint32_t index, uint64_t value, struct err *e)
{
    int rc = kept(v->en, index) ? kvm_msr_set(v, index, value) : -EINVAL;

    if (rc == 0 || value == 0 || index == MSR_MISC_ENABLE)
        return 0;
    return err_set(e, -rc, "CPU state: this host's KVM refuses %#llx in the MSR %#x",
                   (unsigned long long)value, index);
}

int kvm_msr_load(struct engine_vcpu *v, const struct x86_cpu *cpu, struct err *e)
{
    struct x86_cpu *from = (struct x86_cpu *)(uintptr_t)cpu;
    int rc = 0;

    for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]) && rc == 0; i++)
        rc = load_one(v, fields[i].index, *field_at(from, fields[i].offset), e);
    for (uint32_t i = 0; i < 8 && rc == 0; i++) {
        rc = load_one(v, MSR_MTRR_BASE0 + 2 * i, cpu->mtrr_base[i], e);
        if (rc == 0)
            rc = load_one(v, MSR_MTRR_BASE0 + 2 * i + 1, cpu->mtrr_mask[i], e);
    }
    return rc;
}

/* --- the guest's accesses --- */

bool kvm_msr_read(struct engine_vcpu *v, uint32_t index, uint64_t *value)
{
    return v->host->msr_read(v->host->opaque, v->index, index, value);
}

/* Intel SDM vol. 3, 18.17.3: a write to either register moves the other. The kernel shows both. */
static bool move_tsc(struct engine_vcpu *v, uint32_t index, uint64_t value)
{
    uint64_t adjust, offset = atomic_load(&v->tsc_offset), delta;

    if (kvm_msr_get(v, MSR_TSC_ADJUST, &adjust) < 0)
        return false;
    delta = index == MSR_TSC ? value - (kvm_host_tsc() + offset) : value - adjust;
    if (kvm_msr_set(v, MSR_TSC_ADJUST, adjust + delta) < 0 || kvm_tsc_move(v, delta) < 0)
        return false;
    if (v->host->tsc_changed != NULL)
        v->host->tsc_changed(v->host->opaque, v->index);
    return true;
}

bool kvm_msr_write(struct engine_vcpu *v, uint32_t index, uint64_t value)
{
    if (index == MSR_TSC || index == MSR_TSC_ADJUST)
        return move_tsc(v, index, value);
    if (!v->host->msr_write(v->host->opaque, v->index, index, value))
        return false;
    return index != MSR_APIC_BASE || kvm_sync_apic_base(v) == 0;
}
