/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Helpers: what translated code calls for instructions that are not worth inlining. A helper finds
 * the guest's registers in ctx->gpr and flags in ctx->flags. It returns 0 to go on after the
 * instruction, or what bt_next or bt_exception return. General registers only; calls into ordinary
 * C are bracketed by bt_vector_out and bt_vector_in.
 *
 * arg: bits 0-3 the instruction's length, the rest as the helper says.
 */
#ifndef DOPPEL_ENGINE_BT_HELPERS_H
#define DOPPEL_ENGINE_BT_HELPERS_H

#include "bt_internal.h"

#define BT_HELPERS(H)                                                            \
    H(resume) /* what comes next may run in another mode */                      \
    H(raise)  /* vector */                                                       \
    H(cpuid)                                                                     \
    H(syscall)                                                                   \
    H(sysret) /* 1: 64-bit */                                                    \
    H(sysenter)                                                                  \
    H(sysexit) /* 1: 64-bit */                                                   \
    H(iret)    /* operand size */                                                \
    H(int)     /* vector */                                                      \
    H(hlt)                                                                       \
    H(cli)                                                                       \
    H(sti)                                                                       \
    H(pushf) /* operand size */                                                  \
    H(popf)                                                                      \
    H(string) /* see string.c */                                                 \
    H(in)     /* size, bit 4: port in DX, 8-15 port */                           \
    H(out)                                                                       \
    H(rdmsr)                                                                     \
    H(wrmsr)                                                                     \
    H(rdtsc) /* 1: RDTSCP */                                                     \
    H(rdpmc)                                                                     \
    H(mov_from_cr) /* cr, register << 4 */                                       \
    H(mov_to_cr)                                                                 \
    H(mov_from_dr)                                                               \
    H(mov_to_dr)                                                                 \
    H(pause)                                                                     \
    H(clts)                                                                      \
    H(lmsw)         /* source in ctx->temp[1] */                                 \
    H(store_system) /* what: SMSW SLDT STR; destination */                       \
    H(load_table)   /* 0 GDT, 1 IDT */                                           \
    H(store_table)                                                               \
    H(load_system) /* 0 LDT, 1 TSS; source in ctx->temp[1] */                    \
    H(invlpg)                                                                    \
    H(invpcid) /* register with the type */                                      \
    H(nop0)    /* WBINVD and kin: privileged, no effect */                       \
    H(xgetbv)                                                                    \
    H(xsetbv)                                                                    \
    H(xsave) /* kind */                                                          \
    H(xrstor)                                                                    \
    H(fxsave)                                                                    \
    H(fxrstor)                                                                   \
    H(x87_store) /* 1: with the stack, 2: 16-bit format */                       \
    H(x87_load)                                                                  \
    H(seg_get)     /* segment, destination */                                    \
    H(seg_set)     /* segment; selector in ctx->temp[1] */                       \
    H(seg_address) /* segment, access << 3, size << 5 */                         \
    H(seg_push)                                                                  \
    H(seg_pop)                                                                   \
    H(seg_far)    /* LDS, LES, LFS, LGS, LSS: segment, register, operand size */ \
    H(seg_query)  /* LAR LSL VERR VERW: selector in ctx->temp[1] */              \
    H(fsgsbase)   /* 0 RDFS 1 RDGS 2 WRFS 3 WRGS, register, size */              \
    H(far_jump)   /* operand size, bit 4: call, bit 5: through memory */         \
    H(far_return) /* operand size, bits 4-19: bytes to drop */                   \
    H(rdpid)      /* register */                                                 \
    H(enter)      /* operand size, bytes, level */                               \
    H(pusha)      /* operand size, bit 4: POPA */                                \
    H(bcd)        /* which, immediate */                                         \
    H(bound)                                                                     \
    H(arpl) /* register; bit 8: memory */                                        \
    H(pkru) /* 1: WRPKRU */                                                      \
    H(hypercall)                                                                 \
    H(swapgs)                                                                    \
    H(gather)                                                                    \
    H(place) /* the debugger may want to stop here */                            \
    H(maskmov)

#define H_ENUM(name) H_##name,
enum bt_helper { BT_HELPERS(H_ENUM) H_COUNT };
#undef H_ENUM

#define H_DECLARE(name) uint64_t bt_h_##name(struct bt_ctx *c, uint32_t arg);
BT_HELPERS(H_DECLARE)
#undef H_DECLARE

static inline uint64_t h_next_rip(const struct bt_ctx *c, uint32_t arg)
{
    return bt_helper_rip(c) + (arg & 15);
}

/* The instruction faults: restart address is its own. */
static inline uint64_t h_fault(struct bt_ctx *c)
{
    c->rip = bt_helper_rip(c);
    return bt_exception(c);
}
static inline uint64_t h_gp0(struct bt_ctx *c)
{
    bt_fault_err(c, 13, 0);
    return h_fault(c);
}
static inline uint64_t h_ud(struct bt_ctx *c)
{
    bt_fault(c, 6);
    return h_fault(c);
}
/* Goes on at the next instruction through a look-up: after anything that changes mode, mappings or
 * code. */
static inline uint64_t h_resume(struct bt_ctx *c, uint32_t arg)
{
    c->rip = h_next_rip(c, arg);
    return bt_next(c);
}
/* Writes a general register by operand size as instructions do: 4 zero-extends, 2 keeps the rest.
 */
static inline void h_set_gpr(struct bt_ctx *c, unsigned r, unsigned size, uint64_t v)
{
    if (size == 8)
        c->gpr[r] = v;
    else if (size == 4)
        c->gpr[r] = (uint32_t)v;
    else
        c->gpr[r] = (c->gpr[r] & ~0xffffull) | (v & 0xffff);
}
static inline unsigned h_stack_size(const struct bt_ctx *c)
{
    return c->mode_key & MODE_L ? 8 : c->mode_key & MODE_SB ? 4 : 2;
}
static inline uint64_t h_stack_mask(const struct bt_ctx *c)
{
    unsigned s = h_stack_size(c);
    return s == 8 ? ~0ull : s == 4 ? 0xffffffffull : 0xffffull;
}
/* Reads or writes at the stack, `off` from RSP; RSP itself is changed by h_move_sp when all went
 * well. */
int h_stack_read(struct bt_ctx *c, int64_t off, unsigned size, uint64_t *v);
int h_stack_write(struct bt_ctx *c, int64_t off, unsigned size, uint64_t v);
void h_move_sp(struct bt_ctx *c, int64_t delta);
/* At offset `at` of the stack segment. */
int h_frame_read(struct bt_ctx *c, uint64_t at, unsigned size, uint64_t *v);
/* RIP for an EIP in the code segment that was just loaded, which is not 64-bit code. */
static inline uint64_t h_far_rip(const struct bt_ctx *c, uint64_t eip)
{
    return (c->seg_base[X86_CS] + eip) & 0xffffffff;
}
/* Turns the #GP of a non-canonical stack address into #SS; returns 1. */
int h_stack_fault(struct bt_ctx *c);

/* Port accesses with their permission check (#GP recorded). */
int bt_port_check(struct bt_ctx *c, unsigned port, unsigned size);
uint32_t bt_port_in(struct bt_ctx *c, unsigned port, unsigned size);
void bt_port_out(struct bt_ctx *c, unsigned port, unsigned size, uint32_t value);

/* sysreg.c */
void bt_load_cr3(struct bt_ctx *c, uint64_t v);
uint64_t bt_cr4_mask(const struct cpuid_table *t); /* bits of CR4 that its CPU has */

/* Real and virtual-8086 mode forms (legacy.c). */
uint64_t bt_iret_real(struct bt_ctx *c, unsigned size);
uint64_t bt_far_real(struct bt_ctx *c, unsigned size, bool call, uint16_t sel, uint64_t off,
                     uint64_t next);

#endif
