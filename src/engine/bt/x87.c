/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See x87.h; and the instructions that show the pointers without being XSAVE's kin: FNSTENV,
 * FNSAVE, FLDENV, FRSTOR. General registers only. */
#include "x87.h"

#include "helpers.h"
#include "insn.h"
#include "segment.h"
#include "vecmem.h"

enum {
    FX_FSW = 2, /* offsets in the image of FXSAVE */
    FX_FOP = 6,
    FX_FIP = 8,
    FX_FDP = 16,
    XS_BV = 512,
    FSW_ES = 0x80, /* an unmasked exception is pending */
    ENV_SIZE = 28, /* what the host's instructions move: the 32-bit format */
    STACK_SIZE = 80,
    ALL_SIZE = ENV_SIZE + STACK_SIZE,
};

typedef uint16_t __attribute__((may_alias, aligned(1))) u16;
typedef uint32_t __attribute__((may_alias, aligned(1))) u32;
typedef uint64_t __attribute__((may_alias, aligned(1))) u64;

static bool in_use(const uint8_t *image)
{
    return image[XS_BV] & 1;
}

static uint16_t status(struct bt_ctx *c)
{
    const uint8_t *image = c->xsave;
    uint16_t v;

    if (c->outside)
        return in_use(image) ? *(const u16 *)(image + FX_FSW) : 0;
    __asm__ volatile("fnstsw %0" : "=a"(v));
    return v;
}

void bt_x87_put(struct bt_ctx *c, uint8_t *image, bool wide)
{
    *(u16 *)(image + FX_FOP) = c->v->x87.fop;
    *(u64 *)(image + FX_FIP) = wide ? c->v->x87.fip : (uint32_t)c->v->x87.fip;
    *(u64 *)(image + FX_FDP) = wide ? c->v->x87.fdp : (uint32_t)c->v->x87.fdp;
}

void bt_x87_get(struct bt_ctx *c, const uint8_t *image, bool wide)
{
    c->x87_last = X87_NOTHING;
    c->v->x87.fop = *(const u16 *)(image + FX_FOP) & 0x7ff;
    c->v->x87.fip = wide ? *(const u64 *)(image + FX_FIP) : *(const u32 *)(image + FX_FIP);
    c->v->x87.fdp = wide ? *(const u64 *)(image + FX_FDP) : *(const u32 *)(image + FX_FDP);
}

void bt_x87_init(struct bt_ctx *c)
{
    c->x87_last = X87_NOTHING;
    c->v->x87.fip = c->v->x87.fdp = 0;
    c->v->x87.fop = 0;
}

void bt_x87_saved(struct bt_ctx *c, uint8_t *area, bool wide)
{
    bt_x87_settle(c);
    if (in_use(area))
        bt_x87_put(c, area, wide);
}

void bt_x87_loaded(struct bt_ctx *c, const uint8_t *area, bool wide)
{
    if (in_use(area))
        bt_x87_get(c, area, wide);
    else
        bt_x87_init(c);
}

/* The host's pointers become the guest's. */
static void replace(struct bt_ctx *c)
{
    uint8_t *p = c->outside ? c->xsave : c->v->xbuf;

    if (!c->outside) {
        bt_fill(p + XS_BV, 0, 64);
        __asm__ volatile("xsave64 (%0)" : : "r"(p), "a"(1), "d"(0) : "memory");
    }
    if (!in_use(p))
        return;
    bt_x87_put(c, p, true);
    if (!c->outside)
        __asm__ volatile("xrstor64 (%0)" : : "r"(p), "a"(1), "d"(0) : "memory");
}

/* The operand's offset as the registers are now: nothing but what comes between an instruction and
 * the next one of the x87's may have changed them. */
static uint64_t operand(struct bt_ctx *c, const struct insn *in, uint64_t next)
{
    const struct insn_mem *m = &in->mem;
    uint64_t a = (uint64_t)m->disp;

    if (m->rip)
        a += next;
    if (m->base >= 0)
        a += c->gpr[m->base];
    if (m->index >= 0)
        a += c->gpr[m->index] * m->scale;
    return m->addrsize == 8 ? a : m->addrsize == 4 ? (uint32_t)a : (uint16_t)a;
}

/* An unmasked exception: what the instruction is and where its operand. */
static void exception(struct bt_ctx *c, uint64_t lin)
{
    struct insn in;

    bt_vector_out();
    if (bt_vec_fetch(c, lin, c->v->en->mode_key[c->v->en->page[c->x87_last >> 12].mode], &in) ==
        0) {
        unsigned at = in.z.raw.modrm.offset;

        if (at != 0)
            c->v->x87.fop = (uint16_t)((in.raw[at - 1] & 7) << 8 | in.raw[at]);
        if (in.has_mem)
            c->v->x87.fdp = operand(c, &in, c->v->x87.fip + in.len);
    }
    bt_vector_in();
}

void bt_x87_settle_now(struct bt_ctx *c)
{
    uint32_t last = c->x87_last, id = last >> 12;
    const struct translator *en = c->v->en;

    if (last == X87_INIT) {
        bt_x87_init(c);
        return;
    }
    uint64_t lin = c->cur_lin[id];
    if (lin == bt_no_lin)
        lin = c->pc_lin;
    lin += last & 0xfff;
    uint64_t base = en->page[id].code_seg ? en->code_segs.seg[en->page[id].code_seg].base : 0;
    c->v->x87.fip = en->mode_key[en->page[id].mode] & MODE_L ? lin : (uint32_t)(lin - base);
    if (status(c) & FSW_ES)
        exception(c, lin);
    c->x87_last = X87_NOTHING;
    replace(c);
}

/* ---- environments: SDM vol. 1, figures 8-9 to 8-12 */

static bool real_format(const struct bt_ctx *c)
{
    return !(c->mode_key & MODE_PE) || (c->mode_key & MODE_VM);
}

/* The host's environment in the guest's format; `narrow`: 16-bit. Its size. */
static unsigned export(struct bt_ctx *c, const uint8_t *host, uint8_t *to, bool narrow)
{
    uint32_t ip = (uint32_t)c->v->x87.fip, dp = (uint32_t)c->v->x87.fdp, fop = c->v->x87.fop;
    bool real = real_format(c);

    if (!narrow) {
        bt_copy(to, host, ENV_SIZE);
        *(u32 *)(to + 12) = real ? ip & 0xffff : ip;
        *(u32 *)(to + 16) = real ? (ip >> 16 & 0xffff) << 12 | fop : fop << 16;
        *(u32 *)(to + 20) = real ? dp & 0xffff : dp;
        *(u32 *)(to + 24) = real ? (dp >> 16 & 0xffff) << 12 : 0xffff0000;
        return ENV_SIZE;
    }
    u16 *w = (u16 *)to;
    for (unsigned i = 0; i < 3; i++)
        w[i] = *(const u16 *)(host + 4 * i);
    w[3] = (uint16_t)ip;
    w[4] = real ? (uint16_t)((ip >> 16 & 15) << 12 | fop) : 0;
    w[5] = (uint16_t)dp;
    w[6] = real ? (uint16_t)((dp >> 16 & 15) << 12) : 0;
    return ENV_SIZE / 2;
}

/* And back: the host's without pointers. */
static void import(struct bt_ctx *c, const uint8_t *from, uint8_t *host, bool narrow)
{
    unsigned step = narrow ? 2 : 4;
    uint32_t ip, dp, cs, ds, fop;

    bt_fill(host, 0, ENV_SIZE);
    for (unsigned i = 0; i < 3; i++)
        *(u32 *)(host + 4 * i) = 0xffff0000 | *(const u16 *)(from + step * i);
    from += 3 * step;
    ip = narrow ? *(const u16 *)from : *(const u32 *)from;
    cs = narrow ? *(const u16 *)(from + step) : *(const u32 *)(from + step);
    dp = narrow ? *(const u16 *)(from + 2 * step) : *(const u32 *)(from + 2 * step);
    ds = narrow ? *(const u16 *)(from + 3 * step) : *(const u32 *)(from + 3 * step);
    fop = cs >> 16;
    if (real_format(c)) {
        ip = (ip & 0xffff) | (cs >> 12 & 0xffff) << 16;
        dp = (dp & 0xffff) | (ds >> 12 & 0xffff) << 16;
        fop = cs;
    }
    c->x87_last = X87_NOTHING;
    c->v->x87.fip = ip;
    c->v->x87.fdp = dp;
    if (!narrow || real_format(c)) /* else the format has none */
        c->v->x87.fop = fop & 0x7ff;
}

/* May all of it be written? A store that faults has to leave the x87 alone. */
static bool writable(struct bt_ctx *c, unsigned size)
{
    int fault;

    (void)bt_host(c, c->mem_addr, 1, ACC_W, bt_data_mmu(c), &fault);
    if (!fault)
        (void)bt_host(c, c->mem_addr + size - 1, 1, ACC_W, bt_data_mmu(c), &fault);
    return !fault;
}

/* arg >> 4: bit 0: with the stack (FNSAVE, FRSTOR); bit 1: 16-bit format */
uint64_t bt_h_x87_store(struct bt_ctx *c, uint32_t arg)
{
    uint8_t host[ALL_SIZE], out[ALL_SIZE];
    bool all = arg >> 4 & 1, narrow = arg >> 5 & 1;
    unsigned size = (narrow ? ENV_SIZE / 2 : ENV_SIZE) + (all ? STACK_SIZE : 0);

    if (c->v->cpu.cr0 >> 2 & 3) {
        bt_fault(c, 7);
        return h_fault(c);
    }
    if (bt_misaligned(c, c->mem_addr, narrow ? 2 : 4)) {
        bt_fault_err(c, 17, 0);
        return h_fault(c);
    }
    if (!writable(c, size))
        return h_fault(c);
    bt_x87_settle(c);
    if (all)
        __asm__ volatile("fnsave (%0)" : : "r"(host) : "memory");
    else
        __asm__ volatile("fnstenv (%0)" : : "r"(host) : "memory");
    unsigned n = export(c, host, out, narrow);
    if (all) {
        bt_copy(out + n, host + ENV_SIZE, STACK_SIZE);
        bt_x87_init(c);
    }
    return bt_copy_out(c, c->mem_addr, out, size, bt_data_mmu(c)) ? h_fault(c) : 0;
}

uint64_t bt_h_x87_load(struct bt_ctx *c, uint32_t arg)
{
    uint8_t host[ALL_SIZE], from[ALL_SIZE];
    bool all = arg >> 4 & 1, narrow = arg >> 5 & 1;
    unsigned n = narrow ? ENV_SIZE / 2 : ENV_SIZE;

    if (c->v->cpu.cr0 >> 2 & 3) {
        bt_fault(c, 7);
        return h_fault(c);
    }
    if (status(c) & FSW_ES) {
        bt_x87_settle(c);
        bt_fault(c, 16);
        return h_fault(c);
    }
    if (bt_misaligned(c, c->mem_addr, narrow ? 2 : 4)) {
        bt_fault_err(c, 17, 0);
        return h_fault(c);
    }
    if (bt_copy_in(c, c->mem_addr, from, n + (all ? STACK_SIZE : 0), bt_data_mmu(c)))
        return h_fault(c);
    import(c, from, host, narrow);
    bt_copy(host + ENV_SIZE, from + n, STACK_SIZE);
    if (all)
        __asm__ volatile("frstor (%0)" : : "r"(host) : "memory");
    else
        __asm__ volatile("fldenv (%0)" : : "r"(host) : "memory");
    return 0;
}
