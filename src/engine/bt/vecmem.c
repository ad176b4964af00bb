/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See vecmem.h. */
#include "vecmem.h"

#include "insn.h"
#include "segment.h"

/* Offsets in the standard XSAVE format (Intel SDM vol. 1, 13.4); the AVX ones are fixed on every
 * processor made. */
#define XS_XMM 160
#define XS_YMM 576

static uint64_t *state_bv(struct bt_ctx *c)
{
    return (uint64_t *)((uint8_t *)c->xsave + 512);
}

static unsigned comp_offset(unsigned i)
{
    uint32_t a = 0xd, b, cx = i, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(cx), "=d"(d));
    return b;
}

/* The bytes of a vector register live in up to three places. */
static uint8_t *vec_byte(struct bt_ctx *c, unsigned reg, unsigned byte)
{
    uint8_t *x = c->xsave;

    if (reg >= 16)
        return x + comp_offset(7) + (reg - 16) * 64 + byte;
    if (byte < 16)
        return x + XS_XMM + reg * 16 + byte;
    if (byte < 32)
        return x + XS_YMM + reg * 16 + byte - 16;
    return x + comp_offset(6) + reg * 32 + byte - 32;
}

/* A component in its initial state is not in the image: it reads as zero. Made explicit before
 * bytes are touched. */
static void materialize(struct bt_ctx *c, unsigned comp, unsigned off, unsigned len)
{
    uint64_t *bv = state_bv(c);

    if (*bv >> comp & 1)
        return;
    for (unsigned i = 0; i < len; i++)
        ((uint8_t *)c->xsave)[off + i] = 0;
    *bv |= 1ull << comp;
}

static void materialize_all(struct bt_ctx *c)
{
    materialize(c, 1, XS_XMM, 256);
    if (c->xmask_lo >> 2 & 1)
        materialize(c, 2, XS_YMM, 256);
    if (c->xmask_lo >> 5 & 1) {
        materialize(c, 5, comp_offset(5), 64);
        materialize(c, 6, comp_offset(6), 512);
        materialize(c, 7, comp_offset(7), 1024);
    }
}

static uint64_t vec_get(struct bt_ctx *c, unsigned reg, unsigned off, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)*vec_byte(c, reg, off + i) << (8 * i);
    return v;
}

static void vec_set(struct bt_ctx *c, unsigned reg, unsigned off, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size; i++)
        *vec_byte(c, reg, off + i) = (uint8_t)(v >> (8 * i));
}

static void vec_zero_above(struct bt_ctx *c, unsigned reg, unsigned from)
{
    unsigned top = c->xmask_lo >> 5 & 1 ? 64 : 32;
    for (unsigned i = from; i < top; i++)
        *vec_byte(c, reg, i) = 0;
}

int bt_vec_fetch(struct bt_ctx *c, uint64_t rip, uint32_t mode_key, struct insn *in)
{
    struct insn_decoder d;
    uint8_t buf[16] = {0};
    unsigned bits = mode_key & MODE_L ? 64 : mode_key & MODE_D ? 32 : 16, n = 0;

    for (; n < 15; n++) { /* the code page is mapped: it is running */
        struct bt_walk w;
        uint32_t rpn;
        bool rom;
        if (bt_walk(c, rip + n, ACC_X, mode_key & MODE_USER ? MMU_USER : MMU_KERNEL, &w))
            break;
        const uint8_t *p = bt_ram_page(c->v->en, w.gpa, &rpn, &rom);
        if (p == NULL)
            break;
        buf[n] = p[w.gpa & 0xfff];
    }
    insn_decoder_init(&d, bits, mode_key & MODE_LMA, NULL);
    return insn_decode(&d, buf, n, in) == INSN_OK ? 0 : -1;
}

static int fetch_insn(struct bt_ctx *c, struct insn *in)
{
    return bt_vec_fetch(c, bt_helper_rip(c), c->mode_key, in);
}

static unsigned vec_number(ZydisRegister r)
{
    return (unsigned)ZydisRegisterGetId(r);
}

/* In its segment. */
static uint64_t element_offset(const struct bt_ctx *c, const struct insn_mem *m, uint64_t index)
{
    uint64_t a = index * m->scale + (uint64_t)m->disp;

    if (m->base >= 0)
        a += c->gpr[m->base];
    return m->addrsize == 8 ? a : a & (m->addrsize == 4 ? 0xffffffff : 0xffff);
}

static uint64_t linear(const struct bt_ctx *c, const struct insn_mem *m, uint64_t a)
{
    if (m->seg >= X86_FS || !(c->mode_key & MODE_L))
        a += c->seg_base[m->seg];
    return c->mode_key & MODE_L ? a : (uint32_t)a;
}

struct gather {
    bool evex, store;
    unsigned data, index, mask; /* registers: vector, vector, opmask or vector */
    unsigned esize, isize, n;
};

static bool gather_shape(const struct insn *in, struct gather *g)
{
    const struct insn_op *mem = NULL;

    *g = (struct gather){.evex = in->z.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX};
    for (unsigned i = 0; i < in->z.operand_count_visible; i++) {
        const struct insn_op *o = &in->op[i];
        if (o->type == ZYDIS_OPERAND_TYPE_MEMORY)
            mem = o;
    }
    if (mem == NULL || !in->mem.vsib)
        return false;
    g->store = in->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
    g->index = vec_number(mem->mem.index);
    const struct insn_op *data = NULL;
    for (unsigned i = 0; i < in->z.operand_count_visible; i++) {
        const struct insn_op *o = &in->op[i];
        if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        if (ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_MASK)
            g->mask = vec_number(o->reg.value);
        else if (data == NULL)
            data = o;
        else
            g->mask = vec_number(o->reg.value);
    }
    if (data == NULL)
        return false;
    g->data = vec_number(data->reg.value);
    /* VEX.W / EVEX.W: 64-bit elements. Opcodes 90, 92, A0, A2: dword indices; 91, 93, A1, A3:
     * qword. */
    bool w = g->evex ? in->z.raw.evex.W : in->z.raw.vex.W;
    g->esize = w ? 8 : 4;
    g->isize = in->z.opcode & 1 ? 8 : 4;
    unsigned vl = in->z.avx.vector_length / 8;
    g->n = vl / (g->esize > g->isize ? g->esize : g->isize);
    return true;
}

static bool mask_bit(struct bt_ctx *c, const struct gather *g, const uint64_t *k, unsigned i)
{
    if (g->evex)
        return *k >> i & 1;
    return vec_get(c, g->mask, i * g->esize, g->esize) >> (g->esize * 8 - 1) & 1;
}

static void mask_clear(struct bt_ctx *c, const struct gather *g, uint64_t *k, unsigned i)
{
    if (g->evex)
        *k &= ~(1ull << i);
    else
        vec_set(c, g->mask, i * g->esize, g->esize, 0);
}

static int element_fault(struct bt_ctx *c, const struct insn_mem *m)
{
    if (c->exc_vector == 13 && m->seg == X86_SS)
        c->exc_vector = 12;
    return 1;
}

int bt_vec_gather(struct bt_ctx *c)
{
    struct insn in;
    struct gather g;
    uint64_t *k = NULL;

    if (fetch_insn(c, &in) || !gather_shape(&in, &g))
        return -1;
    if (!g.evex && (g.data == g.mask || g.data == g.index || g.mask == g.index))
        return -1;
    if (g.evex && ((!g.store && g.data == g.index) || g.mask == 0))
        return -1;
    materialize_all(c);
    if (g.evex)
        k = (uint64_t *)((uint8_t *)c->xsave + comp_offset(5) + g.mask * 8);
    for (unsigned i = 0; i < g.n; i++) {
        if (!mask_bit(c, &g, k, i))
            continue;
        uint64_t idx = vec_get(c, g.index, i * g.isize, g.isize), v;
        if (g.isize == 4)
            idx = (uint64_t)(int64_t)(int32_t)idx;
        uint64_t off = element_offset(c, &in.mem, idx), at = linear(c, &in.mem, off);
        if (bt_seg_check(c, in.mem.seg, off, g.esize, g.store ? ACC_W : ACC_R))
            return 1;
        if (g.store) {
            v = vec_get(c, g.data, i * g.esize, g.esize);
            if (bt_write(c, at, g.esize, bt_data_mmu(c), v))
                return element_fault(c, &in.mem);
        } else {
            if (bt_read(c, at, g.esize, bt_data_mmu(c), &v))
                return element_fault(c, &in.mem);
            vec_set(c, g.data, i * g.esize, g.esize, v);
        }
        mask_clear(c, &g, k, i);
    }
    if (g.evex)
        *k = 0;
    else
        for (unsigned i = 0; i < 32; i++)
            *vec_byte(c, g.mask, i) = 0;
    if (!g.evex)
        vec_zero_above(c, g.mask, 0);
    if (!g.store)
        vec_zero_above(c, g.data, g.n * g.esize);
    return 0;
}

/* ---- masked operands ------------------------------------------------------------------------- */

static uint64_t low_bits(unsigned n)
{
    return n >= 64 ? ~0ull : (1ull << n) - 1;
}

static uint64_t spread(uint64_t elements, unsigned count, unsigned esize)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < count; i++)
        if (elements >> i & 1)
            v |= low_bits(esize) << (i * esize);
    return v;
}

/* VMASKMOV, VPMASKMOV: the sign bits of the mask register, the second operand of either direction.
 */
static uint64_t vex_elements(struct bt_ctx *c, const struct insn *in, unsigned count,
                             unsigned esize)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < count; i++)
        if (vec_get(c, vec_number(in->op[1].reg.value), i * esize, esize) >> (esize * 8 - 1) & 1)
            v |= 1ull << i;
    return v;
}

static bool packs(ZydisMnemonic m)
{
    switch (m) {
    case ZYDIS_MNEMONIC_VPCOMPRESSB:
    case ZYDIS_MNEMONIC_VPCOMPRESSW:
    case ZYDIS_MNEMONIC_VPCOMPRESSD:
    case ZYDIS_MNEMONIC_VPCOMPRESSQ:
    case ZYDIS_MNEMONIC_VCOMPRESSPS:
    case ZYDIS_MNEMONIC_VCOMPRESSPD:
    case ZYDIS_MNEMONIC_VPEXPANDB:
    case ZYDIS_MNEMONIC_VPEXPANDW:
    case ZYDIS_MNEMONIC_VPEXPANDD:
    case ZYDIS_MNEMONIC_VPEXPANDQ:
    case ZYDIS_MNEMONIC_VEXPANDPS:
    case ZYDIS_MNEMONIC_VEXPANDPD:
        return true;
    default:
        return false;
    }
}

static unsigned broadcast_lanes(const struct insn *in)
{
    switch (in->z.avx.broadcast_mode) {
    case ZYDIS_BROADCAST_MODE_1_TO_2:
        return 2;
    case ZYDIS_BROADCAST_MODE_1_TO_4:
        return 4;
    case ZYDIS_BROADCAST_MODE_1_TO_8:
        return 8;
    case ZYDIS_BROADCAST_MODE_1_TO_16:
        return 16;
    default:
        return 32;
    }
}

uint64_t bt_vec_active(struct bt_ctx *c)
{
    const struct insn_op *m = NULL;
    struct insn in;

    if (fetch_insn(c, &in))
        return ~0ull;
    for (unsigned i = 0; i < in.z.operand_count_visible; i++)
        if (in.op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            m = &in.op[i];
    if (m == NULL || m->element_size < 8)
        return ~0ull;
    unsigned esize = m->element_size / 8;
    if (esize > 8) /* extracts and inserts are masked by 4 or 8 bytes, as W says */
        esize = in.z.raw.evex.W ? 8 : 4;
    unsigned size = m->size / 8, count = size / esize;
    materialize_all(c);
    if (in.z.encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX)
        return spread(vex_elements(c, &in, count, esize), count, esize);
    uint64_t k = *(uint64_t *)((uint8_t *)c->xsave + comp_offset(5) + in.z.raw.evex.aaa * 8u);
    if (in.z.avx.broadcast_mode != ZYDIS_BROADCAST_MODE_INVALID) {
        /* The one element is read if any lane wants it. */
        unsigned lanes = broadcast_lanes(&in);
        return k & low_bits(lanes) ? low_bits(size) : 0;
    }
    k &= low_bits(count);
    if (packs(in.z.mnemonic))
        return low_bits((unsigned)__builtin_popcountll(k) * esize);
    return spread(k, count, esize);
}

/* ---- MASKMOV --------------------------------------------------------------------------------- */

/* MASKMOVQ is an MMX instruction: TOP becomes 0 and all tags valid, so the image's stack slots turn
 * by the old TOP. */
static void enter_mmx(struct bt_ctx *c)
{
    uint8_t *x = c->xsave, old[128];
    uint16_t fsw = *(uint16_t *)(x + 2);
    unsigned top = fsw >> 11 & 7;

    if (!(*state_bv(c) & 1)) { /* initial: an empty stack, FCW 037F */
        for (unsigned i = 0; i < 24; i++)
            x[i] = 0;
        *(uint16_t *)x = 0x37f;
        bt_copy(x + 32, c->nowhere, 64);
        bt_copy(x + 96, c->nowhere, 64);
        *state_bv(c) |= 1;
        top = fsw = 0;
    }
    bt_copy(old, x + 32, 128);
    for (unsigned i = 0; i < 8; i++) /* slot i holds register (i + TOP) & 7 */
        bt_copy(x + 32 + ((i + top) & 7) * 16, old + i * 16, 16);
    *(uint16_t *)(x + 2) = (uint16_t)(fsw & ~0x3800u);
    x[4] = 0xff;
}

/* Both pages must be writable, as far as they have an active byte, before the first is stored. */
static int maskmov_check(struct bt_ctx *c, uint64_t at, const uint8_t *sel, unsigned n)
{
    uint64_t next = (at & BT_PAGE_MASK) + BT_PAGE_SIZE;
    bool first = false, second = false;
    struct bt_walk w;

    for (unsigned i = 0; i < n; i++)
        if (sel[i] & 0x80)
            *(at + i < next ? &first : &second) = true;
    if ((first || second) && (c->mode_key & MODE_L) &&
        (!bt_canonical(at) || !bt_canonical(at + n - 1)))
        return bt_fault_err(c, 13, 0);
    if (first && bt_walk(c, at, ACC_W, bt_data_mmu(c), &w))
        return 1;
    return second ? bt_walk(c, next, ACC_W, bt_data_mmu(c), &w) : 0;
}

static unsigned maskmov_segment(const struct bt_ctx *c, const struct insn *in)
{
    if (in->z.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS)
        return X86_FS;
    if (in->z.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS)
        return X86_GS;
    if (c->mode_key & MODE_L)
        return X86_DS;
    return in->z.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_CS   ? X86_CS
           : in->z.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_SS ? X86_SS
           : in->z.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_ES ? X86_ES
                                                            : X86_DS;
}

int bt_vec_maskmov(struct bt_ctx *c)
{
    struct insn in;

    if (fetch_insn(c, &in))
        return -1;
    bool mmx = in.z.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ;
    unsigned n = mmx ? 8 : 16, regs[2] = {0}, k = 0;
    for (unsigned i = 0; i < in.z.operand_count_visible && k < 2; i++)
        if (in.op[i].type == ZYDIS_OPERAND_TYPE_REGISTER)
            regs[k++] = vec_number(in.op[i].reg.value);
    struct insn_mem m = {.base = X86_RDI,
                         .index = -1,
                         .scale = 1,
                         .seg = X86_DS,
                         .addrsize = in.z.address_width / 8};
    m.seg = maskmov_segment(c, &in);
    if (mmx && (*state_bv(c) & 1) && (*(uint16_t *)((uint8_t *)c->xsave + 2) & 0x80))
        return bt_fault(c, 16); /* an x87 exception is pending */
    if (mmx)
        enter_mmx(c);
    else
        materialize_all(c);
    /* With TOP 0 the image's stack slots are the MMX registers in order. */
    const uint8_t *st = (const uint8_t *)c->xsave + 32;
    uint64_t off = element_offset(c, &m, 0), at = linear(c, &m, off);
    uint8_t sel[16], val[16];
    for (unsigned i = 0; i < n; i++) {
        sel[i] = mmx ? st[regs[1] * 16 + i] : *vec_byte(c, regs[1], i);
        val[i] = mmx ? st[regs[0] * 16 + i] : *vec_byte(c, regs[0], i);
    }
    for (unsigned i = 0; i < n; i++)
        if ((sel[i] & 0x80) && bt_seg_check(c, m.seg, off + i, 1, ACC_W))
            return 1;
    if (maskmov_check(c, at, sel, n))
        return 1;
    for (unsigned i = 0; i < n; i++)
        if ((sel[i] & 0x80) && bt_write(c, at + i, 1, bt_data_mmu(c), val[i]))
            return 1;
    return 0;
}
