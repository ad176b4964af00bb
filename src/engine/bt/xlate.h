/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The translator's state for one block, and the emitters its files share.
 *
 * Scratch registers: R10 and R11 are lent to the engine (BT_LENT): a block begins and ends with
 * them spilled. Any other guest register is spilled to ctx->spill[r] once and its host register
 * serves as scratch until an instruction uses the guest register again or the block is left.
 * `spilled` says which. The stored copy is what exceptions restore, so a register that the next
 * instruction overwrites whole costs a store and no reload.
 *
 * Flags: a check before a memory access clobbers them. Where a later instruction needs them they
 * are saved once to ctx->saved_flags (LAHF, SETO) and restored right before the next instruction
 * that needs them: flags_saved.
 */
#ifndef DOPPEL_ENGINE_BT_XLATE_H
#define DOPPEL_ENGINE_BT_XLATE_H

#include "bt_internal.h"
#include "insn.h"

#define XLATE_MAX 48 /* instructions in a block */

#define GROUPS_MAX 24 /* groups of one block (xgroup.c) */
#define GROUP_NONE 0xff

/* What the group analysis says of an instruction's memory access. */
struct member {
    uint8_t group; /* GROUP_NONE: checked on its own */
    bool write;
    bool known; /* its registers are what they were at the block's start, but for constants */
    bool loop;  /* and still are wherever it jumps back to its start */
    uint16_t size;
    int32_t at;     /* place in the group's own coordinates */
    int8_t via;     /* the register that is checked, -1: none, the address is constant; -2: RIP */
    uint8_t spread; /* enum spread: another register adds something small */
};

/* Where an access lies besides `at`: an index is known to be less than 32 GB, whose reach the
 * guards between views take in; it may be negative. */
enum spread { SPREAD_NONE, SPREAD_UP, SPREAD_BOTH };

/* What is known of the registers' values (xrange.c). */
struct ranges {
    uint8_t bits[16]; /* less than 1 << bits; 64: nothing */
    uint16_t sign;    /* registers that hold a sign-extended number of 32 bits */
};

/* The part of the state that differs between the two sides of a conditional jump. */
struct x_state {
    uint16_t spilled, clean, pinned, held;
    uint32_t checked, low;
    bool flags_saved;
    int8_t group_reg[GROUPS_MAX];
};
#define EDGES_MAX 8

/* A forward jump to an instruction of the same block, while that is not emitted yet. */
struct edge {
    uint8_t *rel; /* the jump's rel32 */
    unsigned to;  /* the instruction */
    struct x_state state;
};

struct xlate {
    struct bt_ctx *c;
    struct translator *en;
    uint32_t id;          /* page */
    uint32_t page2;       /* second page of an instruction that straddles two */
    const uint8_t *bytes; /* of the page */
    uint8_t copy[BT_PAGE_SIZE];
    uint32_t key; /* mode */
    unsigned mode;
    bool long64;
    const struct bt_code_seg *cs; /* the code's segment unless it is flat, */
    uint32_t cs_number;
    uint32_t lin;                /* and then the page's linear address */
    struct bt_exit_site *behind; /* whose jump the block takes the place of, or NULL */
    bool oneshot;
    bool verify; /* the block compares its source (xcheck.c) */
    bool twice;  /* the page follows itself: the block is not found again */
    bool place;  /* the debugger may want to stop before it */
    bool single; /* a block of one instruction, else as any */
    unsigned mmu;
    struct insn_decoder dec;

    struct insn in[XLATE_MAX];
    uint16_t live[XLATE_MAX + 1];  /* flags live before instruction i */
    uint16_t live_exit[XLATE_MAX]; /* flags live at the taken side of a conditional jump */
    unsigned n, i;
    int8_t target[XLATE_MAX]; /* of a forward jump within the block, -1: none */
    int8_t joined[XLATE_MAX]; /* the first instruction that jumps here, -1: none */
    struct edge edge[EDGES_MAX];
    unsigned n_edge;
    bool unreachable; /* from the instruction before */
    uint64_t peeked;  /* lines of the page that liveness looked at */

    uint8_t *out; /* where the next byte goes (writable alias): in the hot or the cold part */
    uint8_t *hot, *cold; /* the other part's position is kept here */
    bool in_cold;
    bool overflow;

    struct member member[XLATE_MAX];
    int8_t group_reg[GROUPS_MAX]; /* host register with the group's address, -1: none now */
    int32_t group_at[GROUPS_MAX]; /* the coordinate it points to */
    uint8_t *loop;                /* where the block's jumps to its own start go, NULL: no loop */
    uint16_t loop_regs;           /* scratch registers that stay spilled around the loop */
    bool nogroup;                 /* this block checks every access on its own */
    bool direct;                  /* the host's MMU does the accesses (xdirect.c) */
    bool stack;                   /* and those by RSP need no check (xstack.c) */
    uint32_t checked;             /* groups whose region is known to be direct, */
    uint32_t low;                 /* those of them in the window of low addresses */
    uint16_t access_off;          /* page offset of the instruction whose access is checked */

    uint16_t spilled;
    uint16_t clean;  /* not spilled, and ctx->spill[r] has the same value */
    uint16_t pinned; /* host registers that hold a group's address */
    uint16_t held;   /* host registers that hold a scratch value now */
    bool flags_saved;
    unsigned uncounted; /* instructions that are not in the count yet (xcount.c) */
    int8_t sp;          /* words that the guest's RSP is ahead of ours (x_move_later) */
    bool ended;         /* the last instruction left the block */

    struct bt_block *b;
    struct bt_imm imm[2 * XLATE_MAX]; /* of a checked block */
    unsigned n_imm;
};

/* The test that tells an access's window (xdirect.c). */
struct windows {
    uint8_t *high;    /* where it goes on if the address is in the high one */
    uint8_t *not_low; /* rel32 of the jump that is taken if it is not in the low one */
    uint8_t t;        /* the region's number then */
    bool whole;       /* only the terabyte was asked for */
    struct x_state state;
};

/* A memory access under construction (xmem.c). The operand is disp(base, index, scale). */
struct access {
    unsigned t1, t2; /* scratch: t1 may be the operand's base; t2 is free */
    unsigned val;    /* scratch that the operation may load into */
    int8_t base, index;
    uint8_t scale;
    uint8_t seg; /* segment prefix of a direct operand, 0: a host address */
    bool same;   /* the operand is the instruction's own, but for the prefix */
    int32_t disp;
    bool member;       /* of a checked group: no check, no slow path */
    bool narrow;       /* with an address of 32 bits (xnarrow.c) */
    uint8_t *slow_jcc; /* rel32 of the jump to the slow path */
    uint8_t *own_jcc;  /* the same, because of a store to the own page, or NULL */
    uint8_t *op;       /* first byte of the operation */
    bool either;       /* it has a copy for the window of low addresses */
    struct windows windows;
    uint32_t info;
    uint16_t spilled; /* state at the check */
    bool flags_saved;
};

/* What is done with an operand once it is there. */
enum access_use {
    ACCESS_OP,    /* x_mem_op */
    ACCESS_VALUE, /* the same, and a scratch register for what is loaded or stored */
    ACCESS_OWN,   /* x_reencode */
};

/* Translated code reaches the context through GS. */
#define CTX_OFF(x) ((int32_t)offsetof(struct bt_ctx, x))

/* ---- bytes --------------------------------------------------------------------------------------
 * -------------------- */

static inline void e8(struct xlate *x, unsigned v)
{
    *x->out++ = (uint8_t)v;
}
static inline void e32(struct xlate *x, uint32_t v)
{
    __builtin_memcpy(x->out, &v, 4);
    x->out += 4;
}
static inline void e64(struct xlate *x, uint64_t v)
{
    __builtin_memcpy(x->out, &v, 8);
    x->out += 8;
}
static inline void ebytes(struct xlate *x, const void *p, unsigned n)
{
    __builtin_memcpy(x->out, p, n);
    x->out += n;
}

/* Offset in the cache of a writable address; the executable alias has the same. */
static inline uint32_t code_off(const struct xlate *x, const uint8_t *p)
{
    return (uint32_t)(p - x->en->code_rw);
}

/* Operand sizes of the emitters: true is 64 bits, false 32. `op` up to 0xff, or 0x0fxx. */
void x_ctx(struct xlate *x, bool w, unsigned op, unsigned reg, int32_t off); /* op reg, ctx->off */
void x_ctx_idx(struct xlate *x, bool w, unsigned op, unsigned reg, unsigned idx,
               int32_t off); /* ctx->off(idx) */
void x_ctx_idx8(struct xlate *x, bool w, unsigned op, unsigned reg, unsigned idx,
                int32_t off); /* ctx->off(,idx,8); not RSP */
void x_rr(struct xlate *x, bool w, unsigned op, unsigned reg, unsigned rm);
void x_rm(struct xlate *x, bool w, unsigned op, unsigned reg, unsigned base); /* (base) */
void x_rmd(struct xlate *x, bool w, unsigned op, unsigned reg, unsigned base,
           int32_t disp); /* disp(base) */
void x_lea(struct xlate *x, bool w, unsigned reg, int base, int index, unsigned scale,
           int32_t disp);
void x_load(struct xlate *x, unsigned reg, int32_t off);      /* mov ctx->off, reg (64) */
void x_store(struct xlate *x, unsigned reg, int32_t off);     /* mov reg, ctx->off (64) */
void x_store_imm(struct xlate *x, uint32_t imm, int32_t off); /* movl imm, ctx->off */
void x_alu_imm(struct xlate *x, bool w, unsigned ext, unsigned reg, int32_t imm); /* 81 /ext */
void x_mov_imm(struct xlate *x, unsigned reg, uint64_t v);
void x_rorx(struct xlate *x, unsigned t, unsigned r, unsigned by); /* BMI2; no flags */
uint8_t *x_jcc(struct xlate *x, unsigned cc);   /* returns the rel32 to fill; cc 16: jmp */
void x_here(struct xlate *x, uint8_t *rel32);   /* makes a jump come here */
void x_jmp_abs(struct xlate *x, uint64_t code); /* to an address of the cache */
void x_jmp_to(struct xlate *x, const uint8_t *to);
void x_jcc_to(struct xlate *x, unsigned cc, const uint8_t *to);
void x_align(struct xlate *x, unsigned to); /* NOPs up to a multiple, a power of 2 */
void x_to_cold(struct xlate *x);
void x_to_hot(struct xlate *x);
uint8_t *x_call(struct xlate *x); /* returns the rel32 to fill */
void x_jcc_abs(struct xlate *x, unsigned cc, uint64_t code);
#define CC_JMP 16u
#define CC_B 2u
#define CC_E 4u
#define CC_NE 5u
#define CC_A 7u
#define CC_S 8u
#define CC_G 15u

/* ---- state (xstate.c)
 * -------------------------------------------------------------------------------------------------
 */

struct x_state x_state_get(const struct xlate *x);
void x_state_set(struct xlate *x, const struct x_state *s);
unsigned x_scratch(struct xlate *x,
                   uint16_t avoid); /* a host register free for scratch; not in `avoid` nor held */
void x_need(struct xlate *x, uint16_t mask);    /* reloads guest registers that are spilled */
void x_written(struct xlate *x, uint16_t mask); /* host registers now hold the guest's again */
void x_flags_save(struct xlate *x);
void x_flags_restore(struct xlate *x);
void x_flags_load(struct xlate *x, unsigned t); /* from ctx->saved_flags; uses up t */
void x_flags_for(struct xlate *x,
                 const struct insn *in); /* before an operation: restores if it needs them */
void x_canon(struct xlate *x); /* everything in its place: before an exit or a full helper */
bool x_is_canon(const struct xlate *x);
void x_canon_regs(struct xlate *x); /* the same but for the flags */
void x_lend(struct xlate *x);       /* the lent registers hold nothing of the guest's */
void x_take_lent(struct xlate *x);  /* nor a group's address */
void x_loop_state(struct xlate *x); /* the state at x->loop: before a jump there */
void x_canon_copy(struct xlate *x); /* emits the same but leaves the state as it is (side exits) */
void x_record(struct xlate *x, const struct insn *in);
/* The same in a copy of what an access does, which begins with the state at its check. */
void x_record_at(struct xlate *x, const struct insn *in, const struct access *a);

/* ---- memory (xmem.c) ----------------------------------------------------------------------------
 * ----------------------- */

/* The address of a memory operand into `t`; may clobber flags unless `t2` (a scratch register) is
 * given, 16: none. */
void x_address(struct xlate *x, const struct insn *in, const struct insn_mem *m, unsigned t,
               unsigned t2);
/* The same without the segment's base. */
void x_effective(struct xlate *x, const struct insn *in, const struct insn_mem *m, unsigned t);
void x_access(struct xlate *x, const struct insn *in, const struct insn_mem *m, uint16_t avoid,
              struct access *a);
/* The same; a->val is a scratch register that the operation may load into, a->t2 one that it may
 * store. */
void x_access_val(struct xlate *x, const struct insn *in, const struct insn_mem *m, uint16_t avoid,
                  struct access *a);
/* The same of in->mem, for x_reencode. */
void x_access_own(struct xlate *x, const struct insn *in, struct access *a);
void x_access_done(struct xlate *x, struct access *a);
/* The instruction's own bytes, its memory operand replaced by the access. */
void x_reencode(struct xlate *x, const struct insn *in, const struct access *a);
/* `op reg, operand` with 1, 2, 4 or 8 bytes; the opcode of the 32-bit form. */
void x_mem_op(struct xlate *x, unsigned size, unsigned op, unsigned reg, const struct access *a);

/* ---- segments (xseg.c) ----------------------------------------------------------------------- */

void x_code_seg(struct xlate *x, uint32_t id);       /* sets x->cs and its kin */
uint32_t x_eip(const struct xlate *x, unsigned off); /* at an offset in the page; x->cs is set */
/* How many of the bytes at `off` the limit of CS lets fetch. */
unsigned x_fetch_limit(const struct xlate *x, unsigned off, unsigned avail);
/* Where a near jump to a constant place goes, from the page's start on; or X_CUT16 and the low 16
 * bits of that distance: EIP, which is not known, is cut to 16 bits. */
#define X_CUT16 (1ll << 40)
int64_t x_branch_target(const struct xlate *x, const struct insn *in);
bool x_target_ok(const struct xlate *x, const struct insn *in); /* else it raises #GP(0) */
/* The EIP in t becomes a linear address; #GP(0) if it is beyond the limit. */
void x_linear_rip(struct xlate *x, const struct insn *in, unsigned t);
/* Is an access to be checked? If so t has its offset, t2 is scratch, flags may change. */
bool x_seg_limited(const struct xlate *x, const struct insn_mem *m);
void x_seg_check(struct xlate *x, const struct insn *in, const struct insn_mem *m, unsigned t,
                 unsigned t2);
/* 16-bit code: is the prefix 66 to be turned around for 64-bit mode? */
bool x_narrow_prefix(const struct xlate *x, const struct insn *in);

/* ---- direct accesses (xdirect.c) ------------------------------------------------------------ */

/* Registers that the access must not use for scratch. */
uint16_t x_access_avoid(const struct insn *in, const struct insn_mem *m);
void x_direct_access(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                     uint16_t avoid, enum access_use use, struct access *a);
/* The operand's address with the registers that the context has. */
uint64_t x_address_now(const struct xlate *x, const struct insn *in, const struct insn_mem *m);
/* REP MOVS or REP STOS of elements of 1 << log bytes (xstring.c); arg: of the helper. False: only
 * the helper can do it. */
bool x_string_direct(struct xlate *x, const struct insn *in, bool moves, unsigned log,
                     uint32_t arg);
/* The operand keeps its registers behind the prefixes. */
void x_keep_operand(struct access *a, const struct insn_mem *m);
void x_direct_loop(struct xlate *x); /* checks that hold for a whole loop, in front of it */
/* The block's own bytes of an instruction whose operand keeps its registers. */
void x_direct_encode(struct xlate *x, const struct insn *in, const struct access *a);
/* Behind an instruction at `op` whose access may be in either window: its copy for the low one. */
void x_direct_low(struct xlate *x, const struct insn *in, const struct access *a, uint8_t *op);

/* Jumps unless the address in reg is in cluster k; t is scratch. Returns the rel32 to fill. */
uint8_t *x_expect(struct xlate *x, unsigned reg, unsigned t, int k);

/* ---- those of 32-bit programs (xnarrow.c) ---------------------------------------------------- */

void x_narrow_access(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                     uint16_t avoid, enum access_use use, struct access *a);
/* Of an operand that is the instruction's own (access.same). */
void x_narrow_encode(struct xlate *x, const struct insn *in, const struct access *a);

/* ---- accesses by RSP (xstack.c) -------------------------------------------------------------- */

/* Needs the operand m of the current instruction, described by `me`, no check? */
bool x_stack_near(const struct xlate *x, const struct insn_mem *m, const struct member *me);
void x_stack_moved(struct xlate *x, const struct insn *in); /* behind an instruction */
void x_stack_entry(struct xlate *x);                        /* before the first one of a block */
/* RSP moves by words of 8 bytes: now, with those before, or as the next instruction does. */
void x_move_later(struct xlate *x, int words);

/* ---- groups (xgroup.c) ----------------------------------------------------------------------- */

void x_groups(struct xlate *x);      /* analysis, before emission */
void x_groups_drop(struct xlate *x); /* the registers are lost */
/* The span that the check at the current instruction must cover for the rest of its group. False:
 * no use grouping. */
bool x_group_span(const struct xlate *x, int32_t *at, uint32_t *size, bool *write);
/* Does it jump to the block's start? */
bool x_to_start(const struct xlate *x, const struct insn *in);
bool x_group_last(const struct xlate *x); /* no member after the current instruction */
/* The memory operand of instruction `in` as the analysis sees it. */
bool x_group_access(const struct insn *in, struct insn_mem *m);
void x_access_prefixes(struct xlate *x, const struct access *a); /* segment, address size */
/* The instruction's own that are not about its operand's place. Returns how many bytes all are. */
unsigned x_keep_prefixes(struct xlate *x, const struct insn *in);
bool x_is_prefix(unsigned b); /* legacy prefix */
void x_stack_mem(struct xlate *x, struct insn_mem *m, int64_t disp, unsigned size, unsigned access);
void x_move_sp(struct xlate *x, int32_t delta);

/* ---- blocks that loop (xloop.c) -------------------------------------------------------------- */

void x_loop_head(struct xlate *x);
void x_unroll(struct xlate *x); /* all rounds of a short loop but the one that jumps back */
void x_emit_insn(struct xlate *x, struct insn *in); /* translate.c */
/* xflow.c: goes on behind the jump that ends the loop if that is not taken. */
void x_leave_loop(struct xlate *x, const struct insn *in);

/* ---- performance counters (xcount.c) -------------------------------------------------------- */

void x_count(struct xlate *x, const struct insn *in); /* before an instruction */

/* ---- ranges of values (xrange.c) ------------------------------------------------------------- */

void x_range_start(struct ranges *rg);
void x_range_forget(struct ranges *rg, uint16_t regs);
/* The instruction has been executed; `written`: registers that it may change. */
void x_range_step(struct ranges *rg, const struct insn *in, uint16_t written);

/* ---- jumps within the block (xjoin.c) -------------------------------------------------------- */

void x_targets(struct xlate *x);                           /* analysis, after decoding */
void x_edge_to(struct xlate *x, unsigned cc, unsigned to); /* a jump to an instruction ahead */
void x_edge(struct xlate *x, unsigned cc);                 /* the current instruction's jump */
void x_join(struct xlate *x); /* the current instruction is jumped to */

/* ---- checked pages (xcheck.c) ---------------------------------------------------------------- */

bool x_verifies(const struct xlate *x);             /* a page of the block is checked */
void x_check_entry(struct xlate *x);                /* the block's first byte */
void x_check_source(struct xlate *x, uint32_t key); /* before any instruction */
/* The instruction's immediate was copied to `host`; the last n bytes at `from` once more to `to`.
 */
void x_imm_copied(struct xlate *x, const struct insn *in, const uint8_t *host);
void x_imm_again(struct xlate *x, const uint8_t *from, unsigned n, const uint8_t *to);
void x_imm_put(struct xlate *x); /* all of them, behind the block's cold part */

/* ---- control flow (xflow.c)
 * -------------------------------------------------------------------------------------------- */

void x_exit_direct(struct xlate *x, int64_t delta); /* to page base + delta; ends the block */
void x_exit_to(struct xlate *x, int64_t delta, uint16_t live);
/* To the address in t; RSP was moved by so much. */
void x_exit_indirect(struct xlate *x, unsigned t, int32_t moved);
void x_exit_lookup(struct xlate *x, unsigned t); /* the same by a look-up, in the cold part */
void x_exit_mode(struct xlate *x, int64_t delta, unsigned mode);
/* The exit that wants the block `key`, if its jump is the last of the code and it leads nowhere
 * else: then the block takes the jump's place. Only the first block of a key does, which stands for
 * the key. What comes before the jump is long enough for one that leads away from its own block. */
struct bt_exit_site *x_exit_before(struct bt_ctx *c, uint32_t key);
bool x_flow(struct xlate *x,
            const struct insn *in); /* translates a transfer of control; false: not one */
void x_check_canonical(struct xlate *x, const struct insn *in, unsigned r); /* #GP(0) if not */
void x_push_register(struct xlate *x, const struct insn *in, unsigned r);
bool x_stack(struct xlate *x, const struct insn *in); /* PUSH, POP, LEAVE ...; false: not one */
void x_guard_page2(struct xlate *x);
uint16_t x_peek_flags(struct xlate *x, int64_t off); /* translate.c: live at that place */

/* ---- indirect branches, calls' and returns' ways (xbranch.c)
 * -----------------------------------------------------------------------------------------------
 */

void x_rsp_back(struct xlate *x);   /* the guest's RSP comes back from R10 */
void x_jump_table(struct xlate *x); /* to the RIP in R11; flags are in ctx->saved_flags */
/* To `miss` unless the RIP in R11 is offset `off` of page `id`. */
void x_check_rip(struct xlate *x, uint32_t id, uint32_t off, uint64_t miss);
bool x_shadowed(const struct xlate *x, const struct insn *in); /* its return will be predicted */
uint8_t *x_shadow_call(struct xlate *x); /* a call that only the shadow stack sees: rel32 to fill */
void x_return_point(struct xlate *x, const struct insn *in); /* right behind that call */
void x_target(struct xlate *x, unsigned t); /* moves the address in t to R11, which is held */
void x_call_indirect(struct xlate *x, const struct insn *in, unsigned t);
void x_return(struct xlate *x, const struct insn *in, int32_t moved); /* to the address in R11 */
void bt_branch_entry(struct xlate *x, const struct bt_block *b);      /* branch.c */

/* ---- system and odd instructions (xsys.c)
 * ------------------------------------------------------------------------------ */

void x_helper(struct xlate *x, const struct insn *in, unsigned helper, uint32_t arg);
void x_place(struct xlate *x); /* the debugger may want to stop before the block */
void x_helper_end(struct xlate *x, const struct insn *in, unsigned helper, uint32_t arg);
unsigned x_gpr_of(const struct insn_op *o);
unsigned x_seg_of(ZydisRegister r);
bool x_is_seg(const struct insn_op *o);
bool x_inline(struct xlate *x, const struct insn *in);  /* xinline.c; false: needs a helper */
bool x_special_flags(const struct insn *in);            /* a special instruction that reads flags */
bool x_system(struct xlate *x, const struct insn *in);  /* false: a plain instruction */
void x_invalid(struct xlate *x, const struct insn *in); /* #UD */
void x_device_not_available(struct xlate *x, const struct insn *in);       /* #NM */
void x_protection(struct xlate *x, const struct insn *in);                 /* #GP(0) */
void x_protection_if(struct xlate *x, const struct insn *in, unsigned cc); /* the same, if so */
/* For the decoder: struct insn has the answers. */
bool x_is_special(const struct insn *in);
bool x_is_end(const struct insn *in);

#endif
