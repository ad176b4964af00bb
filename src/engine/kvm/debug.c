/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The debugger's points and steps: KVM lends us the processor's debug registers while the guest
 * keeps its own (KVM_SET_GUEST_DEBUG). There are four; a range takes one for each aligned piece of
 * 1, 2, 4 or 8 bytes. The processor cannot watch reads alone: READ is watched as ACCESS.
 *
 * While it steps, a guest that pushes its flags sees TF, and the places of EXEC points do not stop
 * it.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm_internal.h"

enum { DR6_STEP = 1 << 14, DR7_EXEC = 0, DR7_WRITE = 1, DR7_ACCESS = 3 };

/* One aligned piece of [lin, lin + len). */
static uint64_t piece(uint64_t lin, uint64_t len)
{
    uint64_t size = 8;

    while (size > len || (lin & (size - 1)) != 0)
        size /= 2;
    return size;
}

static unsigned control(const struct kvm_watch *w)
{
    static const uint8_t lengths[9] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};
    unsigned kind = w->point.kind == ENGINE_POINT_EXEC    ? DR7_EXEC
                    : w->point.kind == ENGINE_POINT_WRITE ? DR7_WRITE
                                                          : DR7_ACCESS;

    return kind | (unsigned)lengths[w->size] << 2;
}

static int spread(struct kvm_watch w[4], unsigned *count, const struct engine_point *p)
{
    uint64_t lin = p->lin, left = p->kind == ENGINE_POINT_EXEC ? 1 : p->len;

    while (left > 0) {
        uint64_t size = p->kind == ENGINE_POINT_EXEC ? 1 : piece(lin, left);

        if (*count == 4)
            return -ENOSPC;
        w[(*count)++] = (struct kvm_watch){.point = *p, .lin = lin, .size = (uint8_t)size};
        lin += size;
        left -= size;
    }
    return 0;
}

int kvm_debug_points(struct engine *en, const struct engine_point *p, unsigned n)
{
    struct kvm_watch w[4];
    unsigned count = 0;

    for (unsigned i = 0; i < n; i++)
        if (spread(w, &count, &p[i]) < 0)
            return -ENOSPC;
    memcpy(en->watch, w, count * sizeof(w[0]));
    en->watches = count;
    for (unsigned i = 0; i < en->vcpus; i++)
        if (en->vcpu[i] != NULL)
            en->vcpu[i]->debug_stale = true;
    return 0;
}

void kvm_debug_step(struct engine_vcpu *v, bool on)
{
    v->debug_stale = v->debug_stale || v->step != on;
    v->step = on;
}

int kvm_debug_load(struct engine_vcpu *v)
{
    const struct engine *en = v->en;
    struct kvm_guest_debug d = {0};
    bool any = false;

    /* Each step is armed anew: the last instruction may have loaded flags without TF. */
    if (!v->debug_stale && !v->step)
        return 0;
    for (unsigned i = 0; i < en->watches; i++) {
        if (v->step && en->watch[i].point.kind == ENGINE_POINT_EXEC)
            continue;
        any = true;
        d.arch.debugreg[i] = en->watch[i].lin;
        d.arch.debugreg[7] |= UINT64_C(2) << (i * 2);
        d.arch.debugreg[7] |= (uint64_t)control(&en->watch[i]) << (16 + i * 4);
    }
    if (any)
        d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
    if (v->step)
        d.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
    v->debug_stale = false;
    return ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d) < 0 ? -errno : 0;
}

/* An exit of KVM's: was it a point's? */
void kvm_debug_exit(struct engine_vcpu *v)
{
    uint64_t dr6 = v->run->debug.arch.dr6;

    v->stopped = (struct engine_debug_stop){.why = ENGINE_DEBUG_STEP};
    for (unsigned i = 0; i < v->en->watches; i++)
        if (dr6 >> i & 1)
            v->stopped = (struct engine_debug_stop){.why = ENGINE_DEBUG_POINT,
                                                    .point = v->en->watch[i].point,
                                                    .lin = v->en->watch[i].lin};
}

void kvm_debug_stop(struct engine_vcpu *v, struct engine_debug_stop *out)
{
    *out = v->stopped;
}
