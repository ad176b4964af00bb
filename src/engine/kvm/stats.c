/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the engine counts, summed over its vCPUs. */
#include "kvm_internal.h"

static void tell(struct engine *en, counter_fn *fn, void *opaque, struct counter c, size_t offset)
{
    for (unsigned i = 0; i < en->vcpus; i++)
        if (en->vcpu[i] != NULL)
            c.value += *(const volatile uint64_t *)((const char *)&en->vcpu[i]->stat + offset);
    fn(opaque, &c);
}

void kvm_counters(struct engine *en, counter_fn *fn, void *opaque)
{
#define TELL(field, group, name) \
    tell(en, fn, opaque, (struct counter){group, name, "", 0}, offsetof(struct kvm_stat, field));
    KVM_STATS(TELL)
#undef TELL
}
