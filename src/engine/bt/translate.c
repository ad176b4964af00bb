/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Translation of one block: decode, find out which flags are live, emit. What is not a transfer of
 * control, a stack instruction (xflow.c) or a system instruction (xsys.c) is plain: it is copied,
 * its memory operand going through the check of xmem.c.
 */
#include <string.h>

#include "codewrite.h"
#include "debug.h"
#include "x87.h"
#include "xlate.h"

#define ROOM (96u << 10) /* more than any block needs */
#define MAX_BRANCHES 8   /* of a block that leave it: the way behind more of them is rarely taken */
#define NEAR_JUMP 96     /* bytes that a forward jump may skip for the block to go on */

static uint64_t line_mask(unsigned first, unsigned last)
{
    first >>= 6;
    last >>= 6;
    return (~0ull >> (63 - (last - first))) << first;
}

/* ---- liveness -------------------------------------------------------------------------------- */

static bool is_branch(const struct insn *in)
{
    return in->z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
}

/* Flags that code at offset `off` of the page reads before it writes them; all that is not known
 * counts as read. */
uint16_t x_peek_flags(struct xlate *x, int64_t off)
{
    uint16_t live = 0, killed = 0;
    struct insn room;

    if (off < 0 || off >= BT_PAGE_SIZE || x->verify || x->en->debug.any_place)
        return FLAGS_ARITH;
    int64_t start = off;
    for (unsigned k = 0; k < 8 && killed != FLAGS_ARITH && off < BT_PAGE_SIZE; k++) {
        const struct insn *in =
            insn_look(&x->dec, x->bytes + off, BT_PAGE_SIZE - (unsigned)off, &room);
        if (in == NULL)
            break;
        live |= in->fl_read & (uint16_t)~killed;
        off += in->len;
        if (is_branch(in) || (in->special && (in->end || x_special_flags(in))))
            break;
        killed |= in->fl_kill;
    }
    if (off > start)
        x->peeked |= line_mask((unsigned)start, (unsigned)(off - 1 < 4095 ? off - 1 : 4095));
    return live | (FLAGS_ARITH & (uint16_t)~killed);
}

static bool direct(const struct insn *in)
{
    return in->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
           in->z.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR && in->z.mnemonic != ZYDIS_MNEMONIC_RET;
}

static bool ends_block(const struct insn *in)
{
    if (in->end)
        return true;
    switch (in->z.meta.branch_type) {
    case ZYDIS_BRANCH_TYPE_NONE:
        return false;
    case ZYDIS_BRANCH_TYPE_FAR:
        return true;
    default:
        return in->z.mnemonic == ZYDIS_MNEMONIC_JMP || in->z.mnemonic == ZYDIS_MNEMONIC_CALL ||
               in->z.mnemonic == ZYDIS_MNEMONIC_RET;
    }
}

static void liveness(struct xlate *x)
{
    const struct insn *last = &x->in[x->n - 1];
    uint16_t live = FLAGS_ARITH;

    if (!is_branch(last))
        live = last->special ? FLAGS_ARITH : x_peek_flags(x, last->off + last->len);
    else if (direct(last) &&
             (last->z.mnemonic == ZYDIS_MNEMONIC_JMP || last->z.mnemonic == ZYDIS_MNEMONIC_CALL))
        live = x_peek_flags(x, x_branch_target(x, last));
    else if (direct(last))
        live = x_peek_flags(x, last->off + last->len);
    if (x->page2 != 0 || x->oneshot)
        live = FLAGS_ARITH;
    x->live[x->n] = live;
    for (unsigned i = x->n; i-- > 0;) {
        struct insn *in = &x->in[i];
        in->fl_kill = insn_kills(in);
        if (in->special)
            in->fl_read = x_special_flags(in) ? FLAGS_ARITH : 0;
        if (is_branch(in) && direct(in)) {
            int64_t to = x_branch_target(x, in);
            x->live_exit[i] = x->target[i] >= 0 ? x->live[x->target[i]] : x_peek_flags(x, to);
            live = (ends_block(in) ? 0 : live) | x->live_exit[i];
        } else if (ends_block(in) && i + 1 < x->n) {
            live = FLAGS_ARITH;
        }
        live = (uint16_t)((live & ~in->fl_kill) | in->fl_read);
        x->live[i] = live;
    }
}

/* ---- plain instructions ---------------------------------------------------------------------- */

static bool is_avx(const struct insn *in)
{
    return in->z.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ||
           in->z.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
}

/* CR0.TS, CR0.EM, CR4.OSFXSR, CR4.OSXSAVE: the instruction raises #NM or #UD. True if it was
 * emitted so. */
static bool fpu_denied(struct xlate *x, const struct insn *in)
{
    bool x87 = in->z.meta.isa_ext == ZYDIS_ISA_EXT_X87,
         mmx = in->z.meta.isa_ext == ZYDIS_ISA_EXT_MMX;

    bool off = x->key & (MODE_NM | MODE_EM | MODE_NOAVX | MODE_NOSSE);
    if (in->z.mnemonic == ZYDIS_MNEMONIC_FWAIT && !(x->c->v->cpu.cr0 & 2)) /* CR0.MP */
        return false;
    if (!in->vector || (!off && !in->avx512))
        return false;
    if (in->avx512 && (x->c->v->cpu.xcr0 & 0xe6) != 0xe6) {
        x_invalid(x, in);
        return true;
    }
    if (is_avx(in) && (x->key & MODE_NOAVX)) {
        x_invalid(x, in);
        return true;
    }
    if (!x87 && !mmx && !is_avx(in) && (x->key & (MODE_EM | MODE_NOSSE))) {
        x_invalid(x, in);
        return true;
    }
    if (mmx && (x->key & MODE_EM)) {
        x_invalid(x, in);
        return true;
    }
    if ((x->key & MODE_NM) || (x87 && (x->key & MODE_EM))) {
        x_device_not_available(x, in);
        return true;
    }
    return false;
}

static bool has_gpr(const struct insn *in)
{
    bool high;

    for (unsigned i = 0; i < in->z.operand_count_visible; i++)
        if (in->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            insn_gpr(in->op[i].reg.value, &high) >= 0)
            return true;
    switch (in->z.mnemonic) { /* forms whose integer operand is in memory */
    case ZYDIS_MNEMONIC_VMOVD:
    case ZYDIS_MNEMONIC_VPCMPESTRI:
    case ZYDIS_MNEMONIC_VPCMPESTRM:
    case ZYDIS_MNEMONIC_VCVTSI2SS:
    case ZYDIS_MNEMONIC_VCVTSI2SD:
    case ZYDIS_MNEMONIC_VCVTUSI2SS:
    case ZYDIS_MNEMONIC_VCVTUSI2SD:
        return true;
    default:
        return false;
    }
}

/* Outside 64-bit mode VZEROALL and VZEROUPPER leave registers 8 - 15 alone. */
static bool vzero32(struct xlate *x, const struct insn *in)
{
    bool all = in->z.mnemonic == ZYDIS_MNEMONIC_VZEROALL;

    if (x->long64 || (!all && in->z.mnemonic != ZYDIS_MNEMONIC_VZEROUPPER))
        return false;
    for (unsigned r = 0; r < 8; r++) { /* a VEX.128 destination clears what is above */
        e8(x, 0xc5);
        e8(x, all ? 0x81 | (~r & 7) << 3 | 0x40 : 0xf9);
        e8(x, all ? 0xef : 0x6f); /* vpxor r, r, r; vmovdqa r, r */
        e8(x, 0xc0 | r << 3 | r);
    }
    return true;
}

/* Outside 64-bit mode VEX.W and EVEX.W are ignored for general registers, and so are the bits that
 * would name registers above 7; made so in the copy that runs in 64-bit mode. */
static void narrow_vex(const struct xlate *x, struct insn *in)
{
    if (x->long64 || in->z.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return;
    bool evex = in->z.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
    uint8_t *v = in->raw + (evex ? in->z.raw.evex.offset : in->z.raw.vex.offset);
    if (evex) {
        v[1] |= 0xf0;
        v[2] |= 0x40;
        v[3] |= 0x08;
        if (has_gpr(in))
            v[2] &= 0x7f;
    } else if (v[0] == 0xc5) {
        v[1] |= 0xc0;
    } else {
        v[1] |= 0xe0;
        v[2] |= 0x40;
        if (has_gpr(in))
            v[2] &= 0x7f;
    }
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_VBLENDVPS:
    case ZYDIS_MNEMONIC_VBLENDVPD:
    case ZYDIS_MNEMONIC_VPBLENDVB:
        in->raw[in->len - 1] &= 0x7f;
        break;
    default:
        break;
    }
}

/* Encodings outside 64-bit mode that Zydis accepts and processors do not. */
static bool undefined32(const struct xlate *x, const struct insn *in)
{
    bool insert =
        in->z.mnemonic == ZYDIS_MNEMONIC_VPINSRD || in->z.mnemonic == ZYDIS_MNEMONIC_VPEXTRD;

    return !x->long64 && insert && in->z.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX &&
           in->z.raw.vex.W;
}

static void copy_bytes(struct xlate *x, const struct insn *in)
{
    bool narrow = x_narrow_prefix(x, in);
    unsigned k = 0;

    if (!x->long64) { /* one-byte INC and DEC became the REX prefixes */
        while (x_is_prefix(in->raw[k]))
            k++;
        if ((in->raw[k] & 0xf0) == 0x40) {
            if (in->opsize == 2)
                e8(x, 0x66);
            x_rr(x, false, 0xff, in->raw[k] >> 3 & 1, in->raw[k] & 7);
            return;
        }
        if (in->raw[k] == 0x82) { /* alias of 80 */
            e8(x, 0x80);
            ebytes(x, in->raw + k + 1, in->len - k - 1u);
            return;
        }
    }
    if (!narrow) {
        x_imm_copied(x, in, x->out + in->z.raw.imm[0].offset);
        ebytes(x, in->raw, in->len);
        return;
    }
    if (in->opsize == 2)
        e8(x, 0x66);
    for (k = 0; x_is_prefix(in->raw[k]); k++)
        if (in->raw[k] == 0xf0 || in->raw[k] == 0xf2 || in->raw[k] == 0xf3)
            e8(x, in->raw[k]);
    x_imm_copied(x, in, x->out + in->z.raw.imm[0].offset - k);
    ebytes(x, in->raw + k, in->len - k);
}

/* MOV between the accumulator and an absolute address (A0 - A3): no ModRM byte to rewrite. */
static void mov_offset(struct xlate *x, const struct insn *in)
{
    bool load = in->mem.access & ACC_R;
    struct access a;

    x_access(x, in, &in->mem, 1, &a);
    x_mem_op(x, in->mem.size, (load ? 0x8a : 0x88) | (in->mem.size > 1), X86_RAX, &a);
    x_access_done(x, &a);
}

static unsigned bit_opcode(ZydisMnemonic m)
{
    switch (m) {
    case ZYDIS_MNEMONIC_BTS:
        return 0x0fab;
    case ZYDIS_MNEMONIC_BTR:
        return 0x0fb3;
    case ZYDIS_MNEMONIC_BTC:
        return 0x0fbb;
    default:
        return 0x0fa3;
    }
}

/* BT and kin with a register index reach beyond the operand: the address moves by the index' whole
 * words. */
static void bit_string(struct xlate *x, const struct insn *in)
{
    struct insn_mem m = in->mem;
    bool high;
    unsigned size = m.size, shift = size == 8 ? 6 : size == 4 ? 5 : 4;
    unsigned idx = (unsigned)insn_gpr(in->op[1].reg.value, &high);
    struct access a;

    if (x->live[x->i])
        x_flags_save(x);
    unsigned t3 = x_scratch(x, in->read);
    x->held |= (uint16_t)(1u << t3);
    unsigned t4 = x_scratch(x, in->read);
    x->held |= (uint16_t)(1u << t4);
    /* t4 = address; t3 = (sign-extended index >> shift) * size */
    if (x->long64)
        x_address(x, in, &m, t4, 16);
    else
        x_effective(x, in, &m, t4);
    if (size == 8)
        x_rr(x, true, 0x8b, t3, idx);
    else if (size == 4)
        x_rr(x, true, 0x63, t3, idx);
    else
        x_rr(x, true, 0x0fbf, t3, idx);
    x_rr(x, true, 0xc1, 7, t3); /* sar */
    e8(x, shift);
    x_lea(x, m.addrsize == 8, t4, (int)t4, (int)t3, size, 0);
    if (m.addrsize == 2)
        x_rr(x, false, 0x0fb7, t4, t4);
    struct insn_mem at = {.base = (int8_t)t4,
                          .index = -1,
                          .scale = 1,
                          .seg = m.seg,
                          .addrsize = x->long64 ? 8 : 4,
                          .size = m.size,
                          .access = m.access};
    if (x->long64 && m.seg != X86_SS) /* the segment's base is in already */
        at.seg = X86_DS;
    x_access(x, in, &at, (uint16_t)(1u << t4), &a);
    x_rr(x, false, 0x8b, t3, idx); /* the index within the word */
    x_alu_imm(x, false, 4, t3, (int32_t)size * 8 - 1);
    x_flags_for(x, in);
    if (in->z.attributes & ZYDIS_ATTRIB_HAS_LOCK)
        e8(x, 0xf0);
    x_mem_op(x, size, bit_opcode(in->z.mnemonic), t3, &a);
    x_access_done(x, &a);
    x->held = 0;
}

static void lea_insn(struct xlate *x, const struct insn *in)
{
    bool high;
    unsigned dst = (unsigned)insn_gpr(in->op[0].reg.value, &high);
    struct insn_mem m = in->mem;

    if (x->long64 && !m.rip && m.addrsize == 8) {
        copy_bytes(x, in);
        return;
    }
    if (in->opsize == 2) {
        unsigned t = x_scratch(x, in->read | in->write);
        x_effective(x, in, &m, t);
        e8(x, 0x66);
        x_rr(x, false, 0x8b, dst, t);
    } else {
        x_effective(x, in, &m, dst);
        if (in->opsize == 4 && m.addrsize == 8)
            x_rr(x, false, 0x8b, dst, dst);
    }
}

static bool is_bit_string(const struct insn *in)
{
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC:
        return in->has_mem && in->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
    default:
        return false;
    }
}

/* What the x87's pointers follow: all but control instructions (x87.h). */
static uint32_t x87_last(const struct xlate *x, const struct insn *in)
{
    if (in->z.meta.isa_ext != ZYDIS_ISA_EXT_X87)
        return X87_NOTHING;
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_FNINIT:
        return X87_INIT;
    case ZYDIS_MNEMONIC_FLDCW:
    case ZYDIS_MNEMONIC_FNSTCW:
    case ZYDIS_MNEMONIC_FNSTSW:
    case ZYDIS_MNEMONIC_FNCLEX:
    case ZYDIS_MNEMONIC_FWAIT:
    case ZYDIS_MNEMONIC_FENI8087_NOP:
    case ZYDIS_MNEMONIC_FDISI8087_NOP:
    case ZYDIS_MNEMONIC_FSETPM287_NOP:
        return X87_NOTHING;
    default:
        return x->id << 12 | in->off;
    }
}

static void plain(struct xlate *x, struct insn *in)
{
    struct access a;

    if (undefined32(x, in)) {
        x_invalid(x, in);
        return;
    }
    narrow_vex(x, in);
    if (in->hint || fpu_denied(x, in) || vzero32(x, in))
        return;
    if (in->z.mnemonic == ZYDIS_MNEMONIC_LEA) {
        lea_insn(x, in);
    } else if (is_bit_string(in)) {
        bit_string(x, in);
    } else if (in->has_mem && in->z.raw.modrm.offset == 0) {
        mov_offset(x, in);
    } else if (in->has_mem) {
        x_access_own(x, in, &a);
        x_flags_for(x, in);
        x_reencode(x, in, &a);
        x_access_done(x, &a);
    } else {
        x_flags_for(x, in);
        x_record(x, in); /* what the tables call harmless may be undefined on the host */
        copy_bytes(x, in);
    }
    uint32_t last = x87_last(x, in);
    if (last != X87_NOTHING)
        x_store_imm(x, last, CTX_OFF(x87_last));
    x_written(x, in->full);
}

/* ---- the block ------------------------------------------------------------------------------- */

/* The instruction straddles the page's end: the rest comes from what the next linear page maps now.
 */
static enum insn_result decode_straddle(struct xlate *x, uint64_t rip, struct insn *in)
{
    uint8_t buf[32];
    unsigned head = BT_PAGE_SIZE - (unsigned)(rip & 0xfff);

    x->page2 = bt_code_page_at(x->c, (rip & BT_PAGE_MASK) + BT_PAGE_SIZE);
    if (x->page2 == 0)
        return INSN_MORE;
    if (x->c->cur_lin[x->id] != (rip & BT_PAGE_MASK)) /* lost: the same page, or a full list */
        (void)bt_code_page_at(x->c, rip);
    memcpy(buf, x->bytes + (rip & 0xfff), head);
    memcpy(buf + head, bt_rpn_host(x->en, x->en->page[x->page2].rpn), 15);
    if (x->page2 == x->id) { /* one page twice: no guard can hold, so look each time */
        x->page2 = 0;
        x->twice = x->oneshot = true;
        x->direct = x->verify = false;
    }
    unsigned avail = x_fetch_limit(x, (unsigned)(rip & 0xfff), head + 15);
    enum insn_result r = insn_decode(&x->dec, buf, avail, in);
    return r == INSN_MORE ? INSN_TOO_LONG : r;
}

static enum site_kind site_kind(const struct xlate *x, unsigned off)
{
    const struct bt_code_page *p = &x->en->page[x->id];

    return p->tlb_sites ? bt_site_hint(x->en, (uint64_t)p->rpn << 12 | off) : SITE_NEW;
}

/* Forward jumps whose targets are not decoded yet, and jumps that leave the block. */
struct pending {
    unsigned n, exits;
    unsigned at[EDGES_MAX];
};

static void reached(struct pending *p, unsigned off)
{
    unsigned n = 0;

    for (unsigned k = 0; k < p->n; k++)
        if (p->at[k] != off)
            p->at[n++] = p->at[k];
    p->n = n;
}

static bool awaited(const struct pending *p, unsigned off)
{
    for (unsigned k = 0; k < p->n; k++)
        if (p->at[k] == off)
            return true;
    return false;
}

/* Does the block go on behind `in`, at `off`? */
static bool goes_on(const struct xlate *x, struct pending *p, const struct insn *in, unsigned off)
{
    if (!is_branch(in))
        return !in->end;
    if (in->end || (x->key & MODE_COUNT) || in->z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
        return false;
    int64_t to = direct(in) ? x_branch_target(x, in) : -1;
    if (insn_jump(in) && !x->oneshot && to >= off && to < off + NEAR_JUMP && to < BT_PAGE_SIZE &&
        p->n < EDGES_MAX)
        p->at[p->n++] = (unsigned)to;
    else if (!ends_block(in))
        p->exits++;
    return ends_block(in) ? awaited(p, off) : p->exits < MAX_BRANCHES;
}

/* Fills in[]. INSN_MORE: an exception is recorded; INSN_INVALID: the first instruction is
 * undefined. */
static enum insn_result decode_block(struct xlate *x, uint64_t rip)
{
    unsigned off = rip & 0xfff, max = x->oneshot || x->single ? 1 : XLATE_MAX;
    enum insn_result r = INSN_OK;
    struct pending p = {0, 0, {0}};

    for (x->n = 0; x->n < max && off < BT_PAGE_SIZE;) {
        struct insn *in = &x->in[x->n];
        reached(&p, off);
        if (x->n > 0 && bt_debug_place(x->en, off))
            break;
        if (x->direct && x->n > 0 && site_kind(x, off) == SITE_TLB)
            break;
        unsigned avail = x_fetch_limit(x, off, BT_PAGE_SIZE - off);
        r = avail > 0 ? insn_decode(&x->dec, x->bytes + off, avail, in) : INSN_TOO_LONG;
        if (r == INSN_MORE && avail < BT_PAGE_SIZE - off)
            r = INSN_TOO_LONG; /* than the code segment */
        if (r == INSN_MORE && x->n == 0)
            r = decode_straddle(x, rip, in);
        if (r != INSN_OK)
            break;
        in->off = (uint16_t)off;
        off += in->len;
        x->n++;
        if (!goes_on(x, &p, in, off) ||
            (x->verify && bt_wpage_cut(x->en, x->en->page[x->id].rpn, in->off)))
            break;
    }
    return x->n > 0 ? INSN_OK : r;
}

void x_emit_insn(struct xlate *x, struct insn *in)
{
    x->held = 0;
    if (x->key & MODE_COUNT)
        x_count(x, in);
    x_need(x, in->read);
    x->clean &= (uint16_t)~in->write;
    if (!x_flow(x, in) && !x_stack(x, in) && !x_system(x, in))
        plain(x, in);
    x_stack_moved(x, in);
}

bool x_to_start(const struct xlate *x, const struct insn *in)
{
    return is_branch(in) && direct(in) && in->z.mnemonic != ZYDIS_MNEMONIC_CALL &&
           x_target_ok(x, in) && x_branch_target(x, in) == x->in[0].off;
}

/* Right in front of the block is an entry: for indirect branches, if one wants it, else for calls.
 * Or there is the block that goes on here. */
static void emit_entry(struct xlate *x)
{
    struct bt_ctx *c = x->c;
    struct bt_block *b = x->b;

    b->live = x->live[0] != 0 || x_verifies(x);
    if (x->behind != NULL) {
        x->behind->jump = 0;
    } else if (b->key != 0 && !(b->key & BT_KEY_FORM) &&
               (c->by_branch || bt_block_branched(x->en, b->key))) {
        b->entry_indirect = code_off(x, x->out);
        b->branched = true;
        bt_branch_entry(x, b);
    } else {
        x_rsp_back(x);
        b->call_here = true;
    }
    c->by_branch = false;
    b->hot = code_off(x, x->out);
}

/* Up to the first instruction. */
static void emit_head(struct xlate *x, uint32_t key)
{
    emit_entry(x);
    x_check_entry(x);
    if (x->page2 != 0)
        x_guard_page2(x);
    x_check_source(x, key);
    x_stack_entry(x);
    if (x->place)
        x_place(x);
}

static void emit_block(struct xlate *x)
{
    x_loop_head(x);
    x_unroll(x);
    for (x->i = 0; x->i < x->n && !x->ended; x->i++) {
        if (x->joined[x->i] >= 0)
            x_join(x);
        if (!x->unreachable)
            x_emit_insn(x, &x->in[x->i]);
        if (x->ended && x->n_edge > 0) {
            x->ended = false;
            x->unreachable = true;
        }
    }
    if (!x->ended) {
        const struct insn *last = &x->in[--x->i];
        x_exit_direct(x, last->off + last->len);
    }
}

static void setup(struct xlate *x, struct bt_ctx *c, uint32_t id, bool oneshot, uint32_t form)
{
    struct translator *en = c->v->en;
    unsigned bits = c->mode_key & MODE_L ? 64 : c->mode_key & MODE_D ? 32 : 16;

    x->c = c;
    x->en = en;
    x->id = id;
    x->page2 = 0;
    x->twice = false;
    x->bytes = bt_rpn_host(en, en->page[id].rpn);
    if (en->page[id].checked && en->machine->vcpus > 1) { /* others may write it meanwhile */
        memcpy(x->copy, x->bytes, BT_PAGE_SIZE);
        x->bytes = x->copy;
    }
    x->key = c->mode_key;
    x->mode = c->mode;
    x->long64 = bits == 64;
    x_code_seg(x, id);
    x->oneshot = oneshot || (c->mode_key & MODE_TF);
    x->verify = en->page[id].checked && !x->oneshot;
    x->n_imm = 0;
    x->mmu = c->mode_key >> MODE_MMU_SHIFT & 3;
    x->peeked = 0;
    x->in_cold = x->overflow = x->flags_saved = x->ended = false;
    x->held = x->pinned = x->clean = 0;
    x->sp = 0;
    x->spilled = BT_LENT;
    memset(x->group_reg, -1, sizeof(x->group_reg));
    x->nogroup = (form & BT_KEY_VARIANT) || (x->key & (MODE_AC | MODE_COUNT));
    x->uncounted = 0;
    x->direct = (c->mode_key & MODE_DIRECT) && form == 0 && !x->oneshot;
    x->checked = x->low = 0;
    x->stack = false;
    x->single = x->unreachable = false;
    x->n_edge = 0;
    x->place = false;
    x->loop = NULL;
    x->loop_regs = 0;
    insn_decoder_init(&x->dec, bits, c->mode_key & MODE_LMA, c->v->insn_cache);
}

uint32_t bt_miss_form(struct bt_ctx *c, bool *link)
{
    struct translator *en = c->v->en;
    struct xlate *x = c->v->xlate;
    const struct bt_exit_site *e = (const void *)(en->code_rw + c->exit_site);
    struct bt_block *b = &en->block[e->guard];
    uint32_t id = bt_code_page_at(c, c->rip);
    struct insn_mem m;
    bool low;

    *link = b->dead;
    if (id == 0 || id != e->id || *link)
        return BT_KEY_TLB;
    unsigned off = e->form;
    bool hoisted = off != (c->rip & 0xfff); /* a check in front of a loop */
    setup(x, c, id, false, BT_KEY_TLB);
    x->single = *link = true;
    if (decode_block(x, (c->rip & BT_PAGE_MASK) + off) != INSN_OK || x->page2 != 0)
        return BT_KEY_TLB;
    const struct insn *in = &x->in[0];
    if (in->has_mem)
        m = in->mem;
    else if (!x_group_access(in, &m))
        return BT_KEY_TLB;
    uint64_t lin = x_address_now(x, in, &m);
    if (!bt_view_direct(c, lin, &low)) {
        bt_view_region(c, lin);
        *link = !bt_view_direct(c, lin, &low) && !bt_view_wait(c, lin);
        return BT_KEY_TLB;
    }
    if (!(x->key & MODE_USER))
        return BT_KEY_TLB;
    /* Next time it looks in the right place, or in both. What is known and missed all the same was
     * not asked (an access to the stack), or not for the address it has now: in front of a loop. */
    uint64_t site = (uint64_t)en->page[id].rpn << 12 | off;
    enum site_kind kind = bt_site_hint(en, site), now = low ? SITE_LOW : SITE_HIGH;
    bool known = kind == SITE_MIXED || kind == now;
    if (known && !hoisted && (b->key & 0xfff) == off)
        return BT_KEY_TLB;
    if (!known || (hoisted && kind != SITE_MIXED))
        bt_site_learn(en, site, known || kind == SITE_LOW || kind == SITE_HIGH ? SITE_MIXED : now);
    if (!bt_block_drop(en, b))
        c->v->flush_wanted = true;
    *link = false;
    return 0;
}

/* Where the code goes. Not before all is decoded: finding a second page may drop blocks, whose
 * stubs need memory, too. False: there is no room. */
static bool place(struct xlate *x)
{
    struct translator *en = x->en;

    while ((en->hot + ROOM > en->hot_limit || en->cold + ROOM > en->cold_limit) &&
           bt_cache_grow(en))
        ;
    if (en->hot + ROOM > en->hot_limit || en->cold + ROOM > en->cold_limit ||
        en->n_rec + 512 > en->max_rec)
        return false;
    x->out = en->code_rw + en->hot;
    x->cold = en->code_rw + en->cold;
    return true;
}

struct bt_block *bt_translate(struct bt_ctx *c, uint64_t rip, uint32_t id, bool oneshot,
                              uint32_t form, bool chain, bool *full)
{
    struct translator *en = c->v->en;
    struct xlate *x = c->v->xlate;

    *full = false;
    setup(x, c, id, oneshot, form);
    x->place = bt_debug_place(en, rip & 0xfff) && !c->v->debug.step;
    if (x->direct && site_kind(x, rip & 0xfff) == SITE_TLB) { /* what often fails, alone */
        x->direct = false;
        x->single = true;
    }
    uint32_t pauses = c->v->pauses;
    enum insn_result r = decode_block(x, rip);
    if (c->v->pauses != pauses) { /* others may have written its page */
        c->exc_vector = BT_LATER;
        return NULL;
    }
    if (r == INSN_MORE)
        return NULL;
    if (!place(x)) {
        *full = true;
        return NULL;
    }
    x->stack = (x->key & MODE_STACK) && x->direct && !x->verify;
    uint32_t key = id << 12 | (uint32_t)(rip & 0xfff) | form;
    bool once = oneshot || x->twice || (x->oneshot && en->page[id].checked);
    chain = chain && !once && form == 0 && !en->page[id].checked;
    x->behind = chain ? x_exit_before(c, key) : NULL;
    struct bt_block *b = bt_block_new(en, once ? 0 : key);
    if (b == NULL) {
        *full = true;
        return NULL;
    }
    x->b = b;
    b->page2 = x->page2;
    if (x->behind != NULL)
        x->out -= 5;
    if (r != INSN_OK) { /* all that could make it another instruction counts as its source */
        struct insn *in = &x->in[0];
        in->off = (uint16_t)(rip & 0xfff);
        in->len = x->page2 != 0 || in->off <= BT_PAGE_SIZE - 15 ? 15 : BT_PAGE_SIZE - in->off;
        x->n = 1;
        x->i = 0;
        x->live[0] = x->live[1] = FLAGS_ARITH;
        x->target[0] = x->joined[0] = -1;
        emit_head(x, key);
        if (r == INSN_TOO_LONG)
            x_protection(x, in);
        else
            x_invalid(x, in);
    } else {
        x_targets(x);
        liveness(x);
        if (x->place)
            x->live[0] = FLAGS_ARITH;
        x_groups(x);
        emit_head(x, key);
        emit_block(x);
    }
    if (b->src == 0)
        b->peeked = x->peeked;
    b->size = (uint16_t)(x->in[x->n - 1].off + x->in[x->n - 1].len - x->in[0].off);
    x_imm_put(x);
    b->n_rec = (uint16_t)(en->n_rec - b->rec);
    en->hot = code_off(x, x->out);
    en->cold = code_off(x, x->cold);
    if (b->key != 0)
        bt_block_publish(en, b);
    if (b->entry_indirect != 0)
        bt_branch_insert(c, rip, b);
    en->stat.blocks++;
    en->stat.insns += x->n;
    en->stat.variants += form != 0;
    en->stat.alone += oneshot;
    return b;
}
