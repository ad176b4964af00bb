/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine behind the seam: the run loop, CPU state in and out. */
#include <asm/prctl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "codewrite.h"
#include "create.h"
#include "debug.h"
#include "dr.h"
#include "event.h"
#include "helpers.h"
#include "pmu.h"
#include "segment.h"
#include "signal_internal.h"
#include "smp.h"
#include "steal.h"
#include "trace.h"
#include "x87.h"
#include "xlate.h"

__thread struct bt_ctx *bt_current;

#define AT(field, off) _Static_assert(offsetof(struct bt_ctx, field) == (off), #field)
AT(gpr, CTX_GPR);
AT(spill, CTX_SPILL);
AT(flags, CTX_FLAGS);
AT(host_rsp, CTX_HOST_RSP);
AT(jmp_target, CTX_JMP_TARGET);
AT(self, CTX_SELF);
AT(arg, CTX_ARG);
AT(site, CTX_SITE);
AT(exit_reason, CTX_EXIT_REASON);
AT(code_base, CTX_CODE_BASE);
AT(xsave, CTX_XSAVE);
AT(xmask_lo, CTX_XMASK_LO);
AT(xmask_hi, CTX_XMASK_HI);
AT(xinit, CTX_XINIT);
AT(left, CTX_LEFT);
AT(rip, CTX_RIP);
AT(outside, CTX_OUTSIDE);
AT(calls, CTX_CALLS);
AT(direct, CTX_DIRECT);
AT(fs_base, CTX_FS_BASE);
AT(fs_loaded, CTX_FS_LOADED);
AT(fs_host, CTX_FS_HOST);

/* ---- state ----------------------------------------------------------------------------------- */

/* struct x86_cpu -> context. */
static void load_state(struct engine_vcpu *v, struct bt_ctx *c)
{
    struct x86_cpu *cpu = &v->cpu;

    memcpy(c->gpr, cpu->gpr, sizeof(c->gpr));
    bt_sync_segs(c);
    c->kernel_gs_base = cpu->kernel_gs_base;
    c->tsc_offset = v->tsc_offset;
    c->cpl = cpu->cr0 & 1 ? cpu->seg[X86_SS].attr >> 5 & 3 : 0;
    bt_set_rflags(c, cpu->rflags);
    if (cpu->rflags >> 17 & 1)
        c->cpl = 3;
    v->dr.hit = 0;
    c->sys_flags &= ~BT_RF;
    bt_dr_changed(c);
    bt_tlb_flush(c, true);
    bt_exec_flush(c, true);
    bt_remap_code(c);
    bt_view_reset(c);
    bt_view_flush(c, true);
    bt_view_cr3(c, false);
    bt_pmu_load(c);
    bt_mode_update(c);
    c->rip = bt_rip_of(c, cpu->rip);
    c->shadow_rip = cpu->interrupt_shadow ? c->rip : ~0ull;
    v->dr.rf_rip = cpu->rflags >> 16 & 1 ? c->rip : ~0ull;
    v->halted = cpu->mp_state == X86_MP_HALTED;
    if (cpu->nmi_pending)
        v->first_look = true;
    bt_x87_loaded(c, v->cpu.xsave, true);
    v->loaded = true;
}

/* context -> struct x86_cpu. */
static void save_state(struct engine_vcpu *v, struct bt_ctx *c)
{
    struct x86_cpu *cpu = &v->cpu;

    bt_x87_saved(c, cpu->xsave, true);
    memcpy(cpu->gpr, c->gpr, sizeof(c->gpr));
    cpu->rip = bt_eip(c, c->rip);
    cpu->rflags = bt_rflags(c);
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        cpu->seg[i].base = c->seg_base[i];
    cpu->kernel_gs_base = c->kernel_gs_base;
    v->tsc_offset = c->tsc_offset;
    cpu->tsc = bt_tsc() + v->tsc_offset;
    cpu->interrupt_shadow = c->shadow_rip == c->rip;
    cpu->mp_state = v->halted ? X86_MP_HALTED : X86_MP_RUNNABLE;
}

/* The tables that begin with other values than 0, when the vCPU runs for the first time: one that
 * never does costs no memory for them. */
static void fill_context(struct bt_ctx *c)
{
    memset(c->indirect, 1, sizeof(c->indirect));
    bt_tlb_init(c);
    bt_exec_clear(c);
}

/* The calling thread is to run this vCPU: signal stack, GS. */
static int bind(struct engine_vcpu *v)
{
    if (bt_current == v->ctx)
        return 0;
    if (!v->bound)
        fill_context(v->ctx);
    else
        bt_view_rebind(v->ctx);
    v->bound = true;
    int r = bt_signal_thread(v);
    if (r < 0)
        return r;
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, v->ctx) < 0)
        return -errno;
    bt_current = v->ctx;
    __asm__ volatile("mov %%fs:0, %0" : "=r"(v->ctx->fs_host));
    if (v->en->stats)
        bt_sample_bind(v);
    return 0;
}

static void bt_get_state(struct engine_vcpu *v, struct x86_cpu *cpu)
{
    *cpu = v->cpu;
    cpu->tsc = bt_tsc() + v->tsc_offset;
}

/* States that were made at one time are set one after the other: their TSCs stay synchronous. */
static uint64_t tsc_offset_for(const struct engine_vcpu *v, uint64_t tsc)
{
    const struct engine_vcpu *first = v->machine->vcpu[0];
    uint64_t offset = tsc - bt_tsc();

    if (first == NULL || first == v)
        return offset;
    int64_t differ = (int64_t)(offset - first->tsc_offset);
    if (differ < 0)
        differ = -differ;
    return (uint64_t)differ < v->machine->tsc_khz * 1000 ? first->tsc_offset : offset;
}

static int bt_set_state(struct engine_vcpu *v, const struct x86_cpu *cpu, struct err *e)
{
    if ((cpu->efer >> 10 & 1) && !(cpu->cr4 >> 5 & 1))
        return err_set(e, EINVAL, "CPU state: long mode without CR4.PAE");
    uint64_t *hdr = (uint64_t *)(v->cpu.xsave + 512);
    v->cpu = *cpu;
    /* The image is run through XRSTOR: what that refuses is corrected here. */
    hdr[0] &= bt_host_components();
    memset(hdr + 1, 0, 56);
    *(uint32_t *)(v->cpu.xsave + 24) &= 0xffff;
    for (unsigned i = 0; i < X86_PMU_COUNTERS; i++)
        v->cpu.pmu.count[i] &= X86_PMU_MASK;
    v->tsc_offset = tsc_offset_for(v, cpu->tsc);
    v->loaded = false;
    return 0;
}

/* ---- run ------------------------------------------------------------------------------------- */

/* A direct access that only the software TLB can do: a device, a page with code, an address that is
 * not canonical. An instruction that has one more often is translated alone, with the TLB. */
static void direct_fault(struct engine_vcpu *v, struct bt_ctx *c, const struct bt_block *b,
                         const struct bt_record *rec)
{
    struct translator *en = v->en;
    uint64_t site =
        (uint64_t)en->page[(b->key & ~BT_KEY_FORM) >> 12].rpn << 12 | (rec->goff & 0x1fff);
    enum site_kind kind = bt_site_hint(en, site);

    en->stat.direct_fault++;
    c->exit_site = 0;
    c->exit_reason = EXIT_TLB;
    if (rec->goff & REC_STRING) /* a copy to a device says nothing of the next one */
        return;
    if (kind == SITE_SLOW || kind == SITE_TLB) {
        bt_site_learn(en, site, SITE_TLB);
        en->page[(b->key & ~BT_KEY_FORM) >> 12].tlb_sites = true;
        bt_block_drop(en, &en->block[b - en->block]);
    } else {
        bt_site_learn(en, site, SITE_SLOW);
    }
}

static void host_fault(struct engine_vcpu *v, struct bt_ctx *c)
{
    const struct bt_record *rec;
    const struct bt_block *b = bt_block_at(v->en, c->fault_pc, &rec);

    bool direct = b != NULL && b->key != 0 && !(b->key & BT_KEY_FORM) &&
                  (c->mode_key & MODE_DIRECT) &&
                  (c->fault_vector == 14 || c->fault_vector == 13 || c->fault_vector == 12);
    if (b == NULL || (c->fault_vector == 14 && !direct)) {
        snprintf(v->error, sizeof(v->error),
                 "host exception %u at translated code %#lx, address %#lx", c->fault_vector,
                 (unsigned long)(c->fault_pc - (uint64_t)v->en->code_rx),
                 (unsigned long)c->fault_error);
        c->exit_reason = EXIT_ERROR;
        return;
    }
    uint32_t id = b->key != 0 ? (b->key & ~BT_KEY_FORM) >> 12 : v->oneshot_id;
    for (unsigned r = 0; r < 16; r++)
        if (rec->spill >> r & 1)
            c->gpr[r] = c->spill[r];
    c->gpr[X86_RSP] += (uint64_t)(int64_t)rec->sp * 8;
    if (rec->goff & REC_STRING) {
        c->gpr[X86_RDI] -= c->fs_base;
        c->gpr[X86_RSI] -= c->fs_base;
    }
    if (rec->goff & REC_PIECE)
        c->gpr[X86_RCX] += c->string_rest;
    if (rec->goff & REC_FLAGS_SAVED)
        c->flags = (c->saved_flags >> 8 & 0xd5) | (c->saved_flags & 1) << 11 | 0x202;
    c->flags = (c->flags & 0x8d5) | 0x202;
    c->rip = c->cur_lin[id] + (rec->goff & 0x1fff);
    if (!(c->mode_key & MODE_L))
        c->rip &= 0xffffffff;
    bt_x87_settle(c);
    if (direct && c->fault_open != 0) {
        c->arg = c->fault_open - 1;
        c->exit_reason = EXIT_OPEN;
        return;
    }
    if (direct && !c->fault_guest) {
        direct_fault(v, c, b, rec);
        return;
    }
    if (direct)
        bt_view_fault(c);
    else if (c->fault_vector == 13 || c->fault_vector == 17)
        bt_fault_err(c, c->fault_vector, 0);
    else
        bt_fault(c, c->fault_vector);
    if (c->fault_vector == 19 && !(v->cpu.cr4 >> 10 & 1)) /* OSXMMEXCPT */
        bt_fault(c, 6);
    c->exit_reason = EXIT_LOOKUP;
    if (bt_exception(c) == 1 && c->exit_reason == EXIT_SHUTDOWN)
        return;
    c->exit_reason = EXIT_LOOKUP;
}

/* One NMI is held while another is handled, until IRET; more are lost (SDM vol. 3, 6.7.1). */
static bool take_nmi(struct engine_vcpu *v, struct bt_ctx *c)
{
    const struct engine_host *h = v->en->host;
    bool take = !v->cpu.nmi_blocked && (v->cpu.nmi_pending || h->nmi_take(h->opaque, v->index));

    if (take) {
        v->cpu.nmi_pending = false;
        if (bt_interrupt(c, 2, false, c->rip))
            (void)bt_exception(c);
        v->cpu.nmi_blocked = true;
    }
    while (v->cpu.nmi_blocked && h->nmi_take(h->opaque, v->index))
        v->cpu.nmi_pending = true;
    return take;
}

/* Takes an NMI or an interrupt if there is one that may come now. True if one was taken. */
static bool take_events(struct engine_vcpu *v, struct bt_ctx *c)
{
    const struct engine_host *h = v->en->host;
    int vector;

    if (c->shadow_rip == c->rip)
        return false;
    if (take_nmi(v, c))
        return true;
    c->irq_wait = 0;
    if (!h->interrupt_pending(h->opaque, v->index))
        return false;
    if (!c->if_flag) {
        c->irq_wait = 1;
        return false;
    }
    vector = h->interrupt_take(h->opaque, v->index);
    if (vector < 0)
        return false;
    bt_view_tick(c);
    bt_steal_tick(v);
    if (bt_interrupt(c, (unsigned)vector, false, c->rip))
        (void)bt_exception(c);
    if (h->interrupt_pending(h->opaque, v->index))
        c->irq_wait = 1;
    return true;
}

/* Has another vCPU ended the HLT? */
static bool unhalted(struct engine_vcpu *v)
{
    const struct engine_host *h = v->en->host;

    return h->unhalt_take != NULL && h->unhalt_take(h->opaque, v->index);
}

static void inject(struct engine_vcpu *v, struct bt_ctx *c)
{
    struct x86_cpu *cpu = &v->cpu;

    cpu->event_pending = false;
    if (cpu->event_type == 0 || cpu->event_type == 2) {
        if (bt_interrupt(c, cpu->event_vector, false, c->rip))
            (void)bt_exception(c);
        return;
    }
    if (cpu->event_has_error)
        bt_fault_err(c, cpu->event_vector, cpu->event_error);
    else
        bt_fault(c, cpu->event_vector);
    c->exc_cr2 = cpu->cr2;
    (void)bt_exception(c);
}

/* Finds or makes the block at ctx->rip. NULL: an exception was delivered or the cache emptied, look
 * again. */
static struct bt_block *code_for(struct engine_vcpu *v, struct bt_ctx *c, bool alone, uint32_t form,
                                 bool stale, bool chain)
{
    struct translator *en = v->en;
    bool full;

    if (v->flush_wanted || c->mode >= BT_MODES) {
        v->flush_wanted = false;
        if (bt_tracing(c, TRACE_flush))
            bt_trace(c, TRACE_flush, c->rip, "the translation cache is emptied, %u blocks",
                     en->n_block);
        bt_cache_flush(en);
        bt_mode_update(c);
        chain = false;
    }
    c->exc_vector = 0;
    uint32_t id = bt_code_page_at(c, c->rip);
    if (id == 0) {
        if (c->exc_vector == BT_NO_IDS) {
            v->flush_wanted = true;
        } else if (c->exc_vector == BT_NO_CODE) {
            c->exit_reason = EXIT_LOOKUP;
            bt_fault(c, 6);
            (void)bt_exception(c);
        } else {
            c->exit_reason = EXIT_LOOKUP;
            (void)bt_exception(c);
        }
        return NULL;
    }
    uint32_t key = id << 12 | (uint32_t)(c->rip & 0xfff) | form;
    struct bt_block *b = alone || stale ? NULL : bt_block_find(en, key);
    if (b == NULL) {
        uint64_t start = bt_tsc();
        v->where = WHERE_TRANSLATE;
        b = bt_translate(c, c->rip, id, alone, form, chain, &full);
        v->where = WHERE_LOOP;
        en->stat.ticks += bt_tsc() - start;
        if (b != NULL && bt_tracing(c, TRACE_translate))
            bt_trace(c, TRACE_translate, c->rip, "%u bytes, %u instructions: %u + %u bytes%s%s",
                     b->size, v->xlate->n, en->hot - b->hot, en->cold - b->cold,
                     alone ? ", to run alone" : "", form ? ", without groups" : "");
        if (b == NULL && full) {
            v->flush_wanted = true;
            return NULL;
        }
        if (b == NULL) {
            if (c->exc_vector == BT_LATER) /* others acted meanwhile */
                return NULL;
            if (c->exc_vector == BT_NO_IDS) {
                v->flush_wanted = true;
                return NULL;
            }
            if (c->exc_vector == BT_NO_CODE) /* an instruction that goes on where nothing is */
                bt_fault(c, 6);
            (void)bt_exception(c);
            return NULL;
        }
    }
    v->oneshot_id = id;
    return b;
}

/* A block of one instruction ran with TF set: the trap follows it unless there was an exception. */
static void single_step(struct engine_vcpu *v, struct bt_ctx *c, uint64_t exceptions)
{
    if (v->en->stat.exc + v->en->stat.irq == exceptions)
        bt_dr_trap(v, c, true);
}

/* Did the block that was left this way run its instructions? */
static bool ran(const struct bt_ctx *c)
{
    switch (c->exit_reason) {
    case EXIT_ONESHOT:
    case EXIT_VARIANT:
    case EXIT_TLB:
    case EXIT_STALE:
    case EXIT_DEBUG:
    case EXIT_OPEN:
    case EXIT_LOCKED:
        return false;
    default:
        return true;
    }
}

/* Before a block of one instruction that is to be left behind it: nothing goes on under a kick. */
static void enter_alone(struct bt_ctx *c, bool stepping)
{
    if (stepping || bt_watching(c))
        bt_kick_now(c);
}

#define IDLE_SECONDS 4

/* A machine that has had next to nothing to do for a while gives its translations back. */
static void rest(struct engine_vcpu *v)
{
    struct translator *en = v->en;
    uint64_t now = bt_tsc();

    v->idle += now - v->left_at;
    if (now - v->window < en->tsc_khz * 1000 * IDLE_SECONDS)
        return;
    bool idle = v->idle > (now - v->window) / 16 * 15;
    v->window = now;
    v->idle = 0;
    if (idle && en->hot + (en->cold - en->cold_start) > (8u << 20)) {
        bt_cache_trim(en);
        bt_mode_update(v->ctx);
    }
}

/* ---- start-up (Intel SDM vol. 3, 9.4.4) ------------------------------------------------------ */

static void leave(struct engine_vcpu *v)
{
    v->left_at = bt_tsc();
    v->where = WHERE_OUTSIDE;
    bt_pmu_leave(v);
    bt_view_apart(v->en);
    bt_steal_leave(v);
    bt_sample_run(v, false);
    bt_smp_leave(v);
}

/* An INIT that arrived ends what the vCPU is at. */
static bool take_init(struct engine_vcpu *v, struct bt_ctx *c)
{
    const struct engine_host *h = v->en->host;

    if (h->init_take == NULL || !h->init_take(h->opaque, v->index))
        return false;
    save_state(v, c);
    x86_cpu_init(&v->cpu);
    v->loaded = false;
    leave(v);
    return true;
}

/* After INIT: until a start-up message says where to begin. */
static bool waits_for_startup(struct engine_vcpu *v)
{
    const struct engine_host *h = v->en->host;
    int vector;

    if (v->cpu.mp_state != X86_MP_INIT)
        return false;
    (void)h->init_take(h->opaque, v->index);
    vector = h->sipi_take(h->opaque, v->index);
    if (vector < 0)
        return true;
    x86_cpu_sipi(&v->cpu, (uint8_t)vector);
    v->loaded = false;
    return false;
}

static enum engine_exit bt_run(struct engine_vcpu *v)
{
    struct bt_ctx *c = v->ctx;
    struct translator *en = v->en;
    enum engine_exit why = ENGINE_EXIT_KICKED;

    if (waits_for_startup(v))
        return ENGINE_EXIT_HALT;
    if (bind(v) < 0) {
        snprintf(v->error, sizeof(v->error), "cannot set up the signal stack");
        return ENGINE_EXIT_ERROR;
    }
    bt_smp_enter(v);
    bt_sample_run(v, true);
    v->where = WHERE_LOOP;
    if (!v->loaded)
        load_state(v, c);
    bt_steal_enter(v);
    bt_pmu_enter(v);
    rest(v);
    bt_debug_begin(v);
    if (v->cpu.event_pending)
        inject(v, c);
    c->exit_reason = EXIT_LOOKUP;
    for (;;) {
        if (v->dr.hit != 0)
            bt_dr_trap(v, c, false);
        if (c->exit_reason == EXIT_SHUTDOWN) {
            why = ENGINE_EXIT_SHUTDOWN;
            break;
        }
        bool open = c->exit_reason == EXIT_OPEN, locked = c->exit_reason == EXIT_LOCKED;
        bool alone = c->exit_reason == EXIT_ONESHOT || open || locked,
             chain = c->exit_reason == EXIT_CHAIN, stale = c->exit_reason == EXIT_STALE;
        uint32_t form = c->exit_reason == EXIT_VARIANT ? BT_KEY_VARIANT
                        : c->exit_reason == EXIT_TLB   ? BT_KEY_TLB
                        : stale                        ? c->arg & BT_KEY_FORM
                                                       : 0;
        uint32_t flushes = (uint32_t)en->stat.flushes;
        bool stepping = v->debug.step && !v->halted;
        if (v->debug.hit) {
            bt_debug_stepped(v);
            why = ENGINE_EXIT_DEBUG;
            break;
        }
        if (bt_kick_done(c)) { /* before that is looked at which it may be about */
            v->first_look = true;
            bt_pmu_kicked(v);
        }
        if (atomic_exchange(&v->stop, false))
            break;
        bt_smp_poll(v);
        if (open) {
            en->stat.smp_open++;
            bt_guard_open(c, c->arg);
        }
        bt_code_stale(en);
        bt_wpage_quiet(en);
        bool remapped = bt_remap_code(c);
        if (bt_left_stack(c) || remapped) {
            chain = stale = false;
            form = 0;
        }
        if (stepping) {
            alone = true;
            if (c->shadow_rip == c->rip)
                c->shadow_rip = ~0ull;
        } else if (c->exit_reason == EXIT_EVENT || v->first_look) {
            v->first_look = false;
            if (!alone) {
                uint64_t rip = c->rip;
                c->exit_reason = EXIT_LOOKUP;
                if (take_init(v, c))
                    return ENGINE_EXIT_KICKED;
                if (take_events(v, c) || (v->halted && unhalted(v)))
                    v->halted = false;
                if (c->exit_reason == EXIT_SHUTDOWN) {
                    why = ENGINE_EXIT_SHUTDOWN;
                    break;
                }
                chain = chain && rip == c->rip;
                form = rip == c->rip ? form : 0;
                stale = stale && rip == c->rip;
                if (c->shadow_rip == c->rip) {
                    alone = true;
                    c->shadow_rip = ~0ull;
                    bt_kick_now(c);
                }
            } else {
                bt_kick_now(c);
            }
        }
        if (v->debug.step && !stepping && !v->halted) { /* an interrupt ended HLT */
            bt_debug_stepped(v);
            why = ENGINE_EXIT_DEBUG;
            break;
        }
        if (v->halted) { /* HLT ends with an interrupt, not with a kick */
            v->first_look = true;
            why = ENGINE_EXIT_HALT;
            break;
        }
        if (!alone && !stepping && form == 0 && !chain && !stale && bt_cell_wanted(c) &&
            bt_cell_run(v)) {
            if (c->exit_reason == EXIT_ERROR) {
                why = ENGINE_EXIT_ERROR;
                break;
            }
            continue;
        }
        bool link = false;
        if (form == BT_KEY_TLB && !stale && c->exit_site != 0 && !v->flush_wanted)
            form = bt_miss_form(c, &link);
        uint64_t rip = c->rip, exceptions = en->stat.exc;
        if (locked) {
            en->stat.smp_locked++;
            bt_smp_begin(v);
            bt_smp_stop(v, bt_smp_others(v));
        }
        struct bt_block *b = code_for(v, c, alone, alone ? 0 : form, stale && !alone, chain);
        if (b == NULL) {
            if (locked)
                bt_smp_end(v);
            if (c->exit_reason == EXIT_SHUTDOWN) {
                why = ENGINE_EXIT_SHUTDOWN;
                break;
            }
            if (c->exit_reason == EXIT_ERROR) {
                why = ENGINE_EXIT_ERROR;
                break;
            }
            if (stepping && en->stat.exc != exceptions) {
                bt_debug_stepped(v);
                why = ENGINE_EXIT_DEBUG;
                break;
            }
            if (alone && c->rip == rip)
                c->exit_reason = EXIT_ONESHOT;
            else
                c->exit_reason = EXIT_LOOKUP;
            continue;
        }
        bool once = b->key == 0; /* nothing may lead to it */
        if (chain && !once && flushes == (uint32_t)en->stat.flushes)
            bt_link(c, b);
        if (link && !once && flushes == (uint32_t)en->stat.flushes)
            bt_link_miss(c, b);
        if (!once && form == 0 && !(c->mode_key & MODE_TF))
            bt_jc_insert(c, rip, b);
        bool step = c->mode_key & MODE_TF;
        uint64_t events = en->stat.exc + en->stat.irq;
        c->jmp_target = bt_block_code(en, b);
        v->alone = alone || step;
        if (v->alone)
            enter_alone(c, stepping);
        v->where = WHERE_GUEST;
        bt_enter();
        v->where = WHERE_LOOP;
        if (locked)
            bt_smp_end(v);
        en->stat.exits[c->exit_reason]++;
        c->flags = (c->flags & 0x8d5) | 0x202;
        if (c->exit_reason == EXIT_FAULT)
            host_fault(v, c);
        else if (step && ran(c))
            single_step(v, c, events);
        if (c->exit_reason == EXIT_SHUTDOWN) {
            why = ENGINE_EXIT_SHUTDOWN;
            break;
        }
        if (c->exit_reason == EXIT_ERROR) {
            why = ENGINE_EXIT_ERROR;
            break;
        }
        if (c->exit_reason == EXIT_DEBUG || (stepping && ran(c))) {
            v->halted = c->exit_reason == EXIT_HALT;
            if (stepping)
                bt_debug_stepped(v);
            why = ENGINE_EXIT_DEBUG;
            break;
        }
        if (c->exit_reason == EXIT_HALT) {
            const struct engine_host *h = en->host;
            c->shadow_rip = ~0ull;
            bt_kick_now(c);
            if (unhalted(v))
                continue;
            if (c->if_flag && h->interrupt_pending(h->opaque, v->index)) {
                v->halted = true;
                continue;
            }
            v->halted = true;
            v->first_look = true;
            why = ENGINE_EXIT_HALT;
            break;
        }
    }
    save_state(v, c);
    leave(v);
    return why;
}

static void bt_kick(struct engine_vcpu *v, bool stop)
{
    if (stop)
        atomic_store(&v->stop, true);
    bt_kick_now(v->ctx);
}

static const char *bt_strerror(struct engine_vcpu *v)
{
    return v->error;
}

static uint64_t bt_beside_ns(struct engine_vcpu *v)
{
    return v->cell_ns;
}

static uint64_t bt_tsc_khz(struct engine *m)
{
    return m->tsc_khz;
}

static uint64_t bt_tsc_offset(struct engine_vcpu *v)
{
    return v->loaded ? v->ctx->tsc_offset : v->tsc_offset;
}

const struct engine_ops engine_bt = {
    .name = "bt",
    .maps_ram = true,
    .probe = bt_probe,
    .create = bt_create,
    .destroy = bt_destroy,
    .vcpu_create = bt_vcpu_create,
    .vcpu_destroy = bt_vcpu_destroy,
    .run = bt_run,
    .kick = bt_kick,
    .get_state = bt_get_state,
    .set_state = bt_set_state,
    .debug_points = bt_debug_points,
    .debug_step = bt_debug_step,
    .debug_stop = bt_debug_stop,
    .remap = bt_remap,
    .a20 = bt_a20,
    .strerror = bt_strerror,
    .tsc_khz = bt_tsc_khz,
    .tsc_offset = bt_tsc_offset,
    .beside_ns = bt_beside_ns,
    .counters = bt_counters,
    .trace_kinds = bt_trace_kinds,
};
