/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XSAVE family, and the vector instructions whose memory operands are not one range: gathers,
 * scatters, byte-masked stores (Intel SDM vol. 1, chapter 13; vol. 2). General registers only: the
 * guest's vector state is in the registers until an XSAVE here moves it.
 */
#include "helpers.h"
#include "pkeys.h"
#include "segment.h"
#include "vecmem.h"
#include "x87.h"

#define XSTATE_FP 1u
#define XSTATE_SSE 2u
#define XSTATE_PKRU (1ull << XSAVE_PKRU)

/* A host pointer to [lin, lin+len) when its pages lie side by side in the host, or NULL (*fault: 1
 * = exception). */
static uint8_t *span(struct bt_ctx *c, uint64_t lin, unsigned len, unsigned access, int *fault)
{
    unsigned mmu = bt_data_mmu(c), first = BT_PAGE_SIZE - (unsigned)(lin & 0xfff);
    uint8_t *p, *q;

    if (first > len)
        first = len;
    uint32_t pauses;
    do { /* others may guard the first page while the second one waits for them */
        pauses = c->v->pauses;
        p = bt_host(c, lin, first, access, mmu, fault);
        if (p == NULL || first == len)
            return p;
        q = bt_host(c, lin + first, len - first, access, mmu, fault);
    } while (c->v->pauses != pauses);
    return q == p + first ? p : NULL;
}

/* Bytes of the area that RFBM and the format can touch. */
static unsigned area_size(uint64_t rfbm, bool compact)
{
    unsigned size = 576;

    for (unsigned i = 2; i < 63; i++) {
        uint32_t a = 0xd, b, cx = i, d;
        if (!(rfbm >> i & 1))
            continue;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(cx), "=d"(d));
        if (compact)
            size = (cx & 2 ? (size + 63) & ~63u : size) + a;
        else if (b + a > size)
            size = b + a;
    }
    return size;
}

/* Of all components but PKRU, which the host's instructions never see. */
static unsigned host_size(struct bt_ctx *c, uint64_t rfbm, bool compact)
{
    struct engine_vcpu *v = c->v;

    rfbm &= ~XSTATE_PKRU;

    if (v->xsize_key[compact] != rfbm || v->xsize[compact] == 0) {
        v->xsize[compact] = area_size(rfbm, compact);
        v->xsize_key[compact] = rfbm;
    }
    return v->xsize[compact];
}

/* PKRU comes last in either format. */
static unsigned pkru_at(struct bt_ctx *c, uint64_t rfbm, bool compact)
{
    return compact ? host_size(c, rfbm, true) : XSAVE_PKRU_OFFSET;
}

static unsigned cached_size(struct bt_ctx *c, uint64_t rfbm, bool compact)
{
    if (!(rfbm & XSTATE_PKRU))
        return host_size(c, rfbm, compact);
    return pkru_at(c, rfbm, compact) + XSAVE_PKRU_SIZE;
}

/* What XSAVE does for PKRU; `p` is an area of which the rest was saved. */
static void save_pkru(struct bt_ctx *c, uint8_t *p, uint64_t rfbm, bool compact)
{
    uint64_t *h = (uint64_t *)(p + 512);

    if (!(rfbm & XSTATE_PKRU))
        return;
    *(volatile uint64_t *)(p + pkru_at(c, rfbm, compact)) = c->v->cpu.pkru;
    h[0] = c->v->cpu.pkru != 0 ? h[0] | XSTATE_PKRU : h[0] & ~XSTATE_PKRU;
    if (compact)
        h[1] |= XSTATE_PKRU;
}

/* supervisor: XSAVES and XRSTORS. IA32_XSS is 0, so they are XSAVEC and XRSTOR that only the
 * supervisor has; the host's own are the host's. */
static bool xsave_denied(struct bt_ctx *c, bool supervisor)
{
    if (!(c->v->cpu.cr4 >> 18 & 1) || (supervisor && !c->v->en->xsaves))
        bt_fault(c, 6);
    else if (c->v->cpu.cr0 >> 3 & 1)
        bt_fault(c, 7);
    else if ((supervisor && c->cpl != 0) || (c->mem_addr & 63))
        bt_fault_err(c, 13, 0);
    else
        return false;
    return true;
}

uint64_t bt_h_xgetbv(struct bt_ctx *c, uint32_t arg)
{
    (void)arg;
    if (!(c->v->cpu.cr4 >> 18 & 1))
        return h_ud(c);
    uint64_t v = c->v->cpu.xcr0;
    if ((uint32_t)c->gpr[X86_RCX] == 1) {
        uint32_t lo, hi;
        __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(1));
        v &= ((uint64_t)hi << 32 | (lo & ~(uint32_t)XSTATE_PKRU)) |
             (c->v->cpu.pkru != 0 ? XSTATE_PKRU : 0);
    } else if ((uint32_t)c->gpr[X86_RCX] != 0) {
        return h_gp0(c);
    }
    c->gpr[X86_RAX] = (uint32_t)v;
    c->gpr[X86_RDX] = v >> 32;
    return 0;
}

uint64_t bt_h_xsetbv(struct bt_ctx *c, uint32_t arg)
{
    uint64_t v = (uint32_t)c->gpr[X86_RAX] | c->gpr[X86_RDX] << 32;
    uint64_t host = (uint64_t)c->xmask_hi << 32 | c->xmask_lo |
                    (c->v->en->cr4_mask & BT_CR4_PKE ? XSTATE_PKRU : 0);

    if (!(c->v->cpu.cr4 >> 18 & 1))
        return h_ud(c);
    bool avx512 = v & 0xe0;
    if (c->cpl != 0 || (uint32_t)c->gpr[X86_RCX] != 0 || !(v & 1) || (v & ~host) ||
        ((v & 4) && !(v & 2)) || (avx512 && (v & 0xe6) != 0xe6))
        return h_gp0(c);
    if (c->v->cpu.xcr0 != v) { /* translations know which vector instructions are enabled */
        c->v->flush_wanted = true;
        bt_kick_now(c);
    }
    c->v->cpu.xcr0 = v;
    bt_mode_update(c);
    return h_resume(c, arg);
}

/* arg >> 4: bit 0 64-bit form, bit 1 compacted (XSAVEC), bit 2 supervisor */
uint64_t bt_h_xsave(struct bt_ctx *c, uint32_t arg)
{
    bool wide = arg >> 4 & 1, compact = arg >> 5 & 1;
    uint64_t rfbm = ((uint32_t)c->gpr[X86_RAX] | c->gpr[X86_RDX] << 32) & c->v->cpu.xcr0;
    int fault;

    if (xsave_denied(c, arg >> 6 & 1))
        return h_fault(c);
    bt_x87_settle(c);
    unsigned size = cached_size(c, rfbm, compact);
    uint8_t *p = span(c, c->mem_addr, size, ACC_W, &fault), *out = p;
    if (fault)
        return h_fault(c);
    if (p == NULL) {
        p = c->v->xbuf;
        if (bt_copy_in(c, c->mem_addr, p, size, bt_data_mmu(c)))
            return h_fault(c);
    }
    uint32_t lo = (uint32_t)(rfbm & ~XSTATE_PKRU), hi = (uint32_t)(rfbm >> 32);
    if (compact && wide)
        __asm__ volatile("xsavec64 (%0)" : : "r"(p), "a"(lo), "d"(hi) : "memory");
    else if (compact)
        __asm__ volatile("xsavec (%0)" : : "r"(p), "a"(lo), "d"(hi) : "memory");
    else if (wide)
        __asm__ volatile("xsave64 (%0)" : : "r"(p), "a"(lo), "d"(hi) : "memory");
    else
        __asm__ volatile("xsave (%0)" : : "r"(p), "a"(lo), "d"(hi) : "memory");
    if (rfbm & XSTATE_FP)
        bt_x87_saved(c, p, wide);
    save_pkru(c, p, rfbm, compact);
    if (out == NULL && bt_copy_out(c, c->mem_addr, p, size, bt_data_mmu(c)))
        return h_fault(c);
    return 0;
}

/* The header's rules that the guest's XCR0, not the host's, decides. */
static bool header_bad(const struct bt_ctx *c, const uint8_t *p)
{
    const uint64_t *h = (const uint64_t *)(p + 512);
    uint64_t xcr0 = c->v->cpu.xcr0;
    bool compact = h[1] >> 63;

    if (compact)
        return (h[1] & ~(1ull << 63) & ~xcr0) || (h[0] & ~h[1]);
    return h[1] != 0 || (h[0] & ~xcr0);
}

/* A host without PKRU refuses a header that names it. */
static uint8_t *without_pkru(struct bt_ctx *c, uint8_t *p, unsigned size)
{
    uint8_t *copy = c->v->xbuf;

    if (p != copy)
        bt_copy(copy, p, size);
    ((uint64_t *)(copy + 512))[0] &= ~XSTATE_PKRU;
    ((uint64_t *)(copy + 512))[1] &= ~XSTATE_PKRU;
    return copy;
}

uint64_t bt_h_xrstor(struct bt_ctx *c, uint32_t arg)
{
    bool wide = arg >> 4 & 1;
    uint64_t rfbm = ((uint32_t)c->gpr[X86_RAX] | c->gpr[X86_RDX] << 32) & c->v->cpu.xcr0, xcomp;
    int fault;

    if (xsave_denied(c, arg >> 6 & 1))
        return h_fault(c);
    if (bt_read(c, c->mem_addr + 520, 8, bt_data_mmu(c), &xcomp))
        return h_fault(c);
    bool compact = xcomp >> 63;
    unsigned size =
        cached_size(c, compact ? xcomp & ~(1ull << 63) & c->v->cpu.xcr0 : rfbm, compact);
    uint8_t *p = span(c, c->mem_addr, size, ACC_R, &fault);
    if (fault)
        return h_fault(c);
    if (p == NULL) {
        p = c->v->xbuf;
        if (bt_copy_in(c, c->mem_addr, p, size, bt_data_mmu(c)))
            return h_fault(c);
    }
    if (header_bad(c, p) || ((arg >> 6 & 1) && !compact))
        return h_gp0(c);
    const uint64_t *h = (const uint64_t *)(p + 512);
    bool in_use = h[0] & XSTATE_PKRU;
    uint32_t pkru = in_use && (rfbm & XSTATE_PKRU)
                        ? *(volatile uint32_t *)(p + pkru_at(c, compact ? h[1] : rfbm, compact))
                        : 0;
    if ((h[0] | h[1]) & XSTATE_PKRU & ~c->v->en->host_xcr0)
        p = without_pkru(c, p, size);
    if (bt_try_xrstor(p, (uint32_t)(rfbm & ~XSTATE_PKRU), (uint32_t)(rfbm >> 32), wide))
        return h_gp0(c);
    if (rfbm & XSTATE_FP)
        bt_x87_loaded(c, p, wide);
    if (!(rfbm & XSTATE_PKRU))
        return 0;
    bt_set_pkru(c, pkru);
    return h_resume(c, arg);
}

static bool fx_denied(struct bt_ctx *c)
{
    if (c->v->cpu.cr0 >> 2 & 3)
        bt_fault(c, 7);
    else if (c->mem_addr & 15)
        bt_fault_err(c, 13, 0);
    else
        return false;
    return true;
}

/* Outside 64-bit mode FXSAVE and FXRSTOR move XMM0 - 7 only: bytes 288 - 415 stay as they were. */
#define FX_XMM8 288
#define FX_XMM_END 416

uint64_t bt_h_fxsave(struct bt_ctx *c, uint32_t arg)
{
    uint8_t *p = c->v->xbuf, keep[FX_XMM_END - FX_XMM8];

    if (fx_denied(c))
        return h_fault(c);
    bt_x87_settle(c);
    if (bt_copy_in(c, c->mem_addr, p, 512, bt_data_mmu(c)))
        return h_fault(c);
    bt_copy(keep, p + FX_XMM8, sizeof(keep));
    if (arg >> 4 & 1)
        __asm__ volatile("fxsave64 (%0)" : : "r"(p) : "memory");
    else
        __asm__ volatile("fxsave (%0)" : : "r"(p) : "memory");
    bt_x87_put(c, p, arg >> 4 & 1);
    if (!(c->mode_key & MODE_L))
        bt_copy(p + FX_XMM8, keep, sizeof(keep));
    return bt_copy_out(c, c->mem_addr, p, 512, bt_data_mmu(c)) ? h_fault(c) : 0;
}

uint64_t bt_h_fxrstor(struct bt_ctx *c, uint32_t arg)
{
    uint8_t *p = c->v->xbuf, *now = p + 1024;

    if (fx_denied(c) || bt_copy_in(c, c->mem_addr, p, 512, bt_data_mmu(c)))
        return h_fault(c);
    if (!(c->mode_key & MODE_L)) {
        __asm__ volatile("fxsave64 (%0)" : : "r"(now) : "memory");
        bt_copy(p + FX_XMM8, now + FX_XMM8, FX_XMM_END - FX_XMM8);
    }
    if (bt_try_fxrstor(p, arg >> 4 & 1))
        return h_gp0(c);
    bt_x87_get(c, p, arg >> 4 & 1);
    return 0;
}

/* ---- gathers, scatters, byte-masked stores --------------------------------------------------- */

uint64_t bt_h_gather(struct bt_ctx *c, uint32_t arg)
{
    (void)arg;
    bt_vector_out();
    int r = bt_vec_gather(c);
    bt_vector_in();
    return r < 0 ? h_ud(c) : r > 0 ? h_fault(c) : 0;
}

uint64_t bt_h_maskmov(struct bt_ctx *c, uint32_t arg)
{
    (void)arg;
    bt_vector_out();
    int r = bt_vec_maskmov(c);
    bt_vector_in();
    return r < 0 ? h_ud(c) : r > 0 ? h_fault(c) : 0;
}
