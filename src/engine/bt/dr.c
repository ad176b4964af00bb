/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's debug registers (Intel SDM vol. 3, chapter 18), by the means of debug.c: places are
 * offsets in pages at which blocks begin and ask; while data is watched nothing is direct, and an
 * instruction that touches it runs alone, so that the trap comes behind it.
 *
 * RF is not kept: what it stands for is the address of the one instruction whose breakpoint does
 * not count (rf_rip). It is set in what exceptions push, and where an interrupt comes instead of
 * that instruction.
 */
#include "dr.h"

#include "debug.h"
#include "event.h"
#include "helpers.h"

enum { DR6_BD = 1 << 13, DR6_BS = 1 << 14 };
enum { RW_EXEC, RW_WRITE, RW_IO, RW_ACCESS };

static unsigned rw_of(const struct x86_cpu *cpu, unsigned i)
{
    return cpu->dr[7] >> (16 + 4 * i) & 3;
}

static unsigned len_of(const struct x86_cpu *cpu, unsigned i)
{
    static const uint8_t len[] = {1, 2, 8, 4};

    return len[cpu->dr[7] >> (18 + 4 * i) & 3];
}

/* Addresses are aligned to the length. */
static uint64_t addr_of(const struct x86_cpu *cpu, unsigned i)
{
    return cpu->dr[i] & ~(uint64_t)(len_of(cpu, i) - 1);
}

static void sort_registers(struct engine_vcpu *v)
{
    const struct x86_cpu *cpu = &v->cpu;

    v->dr.exec = v->dr.data = v->dr.io = 0;
    for (unsigned i = 0; i < 4; i++) {
        if (!(cpu->dr[7] >> (2 * i) & 3))
            continue;
        if (rw_of(cpu, i) == RW_EXEC)
            v->dr.exec |= (uint8_t)(1u << i);
        else if (rw_of(cpu, i) != RW_IO)
            v->dr.data |= (uint8_t)(1u << i);
        else if (cpu->cr4 >> 3 & 1)
            v->dr.io |= (uint8_t)(1u << i);
    }
}

bool bt_dr_places(struct engine_vcpu *v)
{
    struct bt_debug *d = &v->en->debug;
    bool fresh = false;

    for (unsigned i = 0; i < 4; i++) {
        unsigned off = v->cpu.dr[i] & 0xfff;
        if (!(v->dr.exec >> i & 1) || (d->offsets[off / 64] >> (off % 64) & 1))
            continue;
        d->offsets[off / 64] |= 1ull << (off % 64);
        fresh = d->any_place = true;
    }
    return fresh;
}

void bt_dr_changed(struct bt_ctx *c)
{
    struct engine_vcpu *v = c->v;
    bool watched = v->dr.data != 0;

    sort_registers(v);
    if (bt_dr_places(v)) {
        v->flush_wanted = true;
        bt_kick_now(c);
    }
    if (watched || v->dr.data != 0) {
        bt_tlb_flush(c, true);
        bt_mode_update(c);
    }
}

/* ---- matches --------------------------------------------------------------------------------- */

static bool overlap(uint64_t a, uint64_t n, uint64_t b, uint64_t m)
{
    return a - b < m || b - a < n;
}

bool bt_dr_page(const struct bt_ctx *c, uint64_t lin)
{
    const struct engine_vcpu *v = c->v;

    for (unsigned i = 0; i < 4; i++)
        if ((v->dr.data >> i & 1) && ((addr_of(&v->cpu, i) ^ lin) & BT_PAGE_MASK) == 0)
            return true;
    return false;
}

bool bt_dr_data(struct bt_ctx *c, uint64_t lin, unsigned len, unsigned access, bool note)
{
    struct engine_vcpu *v = c->v;
    unsigned hit = 0;

    for (unsigned i = 0; i < 4; i++) {
        if (!(v->dr.data >> i & 1) || !overlap(lin, len, addr_of(&v->cpu, i), len_of(&v->cpu, i)))
            continue;
        if (rw_of(&v->cpu, i) == RW_ACCESS || (access & ACC_W))
            hit |= 1u << i;
    }
    if (note)
        v->dr.hit |= (uint8_t)hit;
    return hit != 0;
}

void bt_dr_port(struct bt_ctx *c, unsigned port, unsigned size)
{
    struct engine_vcpu *v = c->v;
    unsigned hit = 0;

    for (unsigned i = 0; i < 4; i++)
        if ((v->dr.io >> i & 1) && overlap(port, size, addr_of(&v->cpu, i), len_of(&v->cpu, i)))
            hit |= 1u << i;
    if (hit == 0)
        return;
    v->dr.hit |= (uint8_t)hit;
    c->left = 1;
    bt_kick_now(c);
}

/* Is an instruction about to run on which there is a breakpoint? */
bool bt_dr_exec(struct bt_ctx *c, uint64_t lin)
{
    struct engine_vcpu *v = c->v;
    unsigned hit = 0;

    for (unsigned i = 0; i < 4; i++)
        if ((v->dr.exec >> i & 1) && v->cpu.dr[i] == lin)
            hit |= 1u << i;
    if (hit == 0)
        return false;
    bool resumed = v->dr.rf_rip == bt_helper_rip(c);
    v->dr.rf_rip = ~0ull;
    if (!resumed)
        bt_debug_exception(c, hit);
    return !resumed;
}

/* ---- exceptions ------------------------------------------------------------------------------ */

void bt_debug_exception(struct bt_ctx *c, uint32_t why)
{
    uint64_t *dr6 = &c->v->cpu.dr[6];

    *dr6 = (*dr6 & ~15ull) | why | c->v->dr.hit;
    c->v->dr.hit = 0;
    bt_fault(c, 1);
}

/* MOV SS and POP SS hold back the traps of the instruction itself, too. */
static bool held_back(const struct bt_ctx *c)
{
    return c->v->dr.after_ss && c->shadow_rip == c->rip;
}

void bt_dr_trap(struct engine_vcpu *v, struct bt_ctx *c, bool step)
{
    step = step && !v->dr.no_step;
    v->dr.no_step = false;
    if (held_back(c)) {
        v->dr.after_ss = v->dr.hit != 0;
        return;
    }
    if (!step && v->dr.hit == 0)
        return;
    c->exit_reason = EXIT_LOOKUP;
    if (v->dr.rf_rip == c->rip) /* between two elements of a string */
        c->sys_flags |= BT_RF;
    bt_debug_exception(c, step ? DR6_BS : 0);
    (void)bt_exception(c);
}

/* ---- MOV to and from ------------------------------------------------------------------------- */

static bool dr_ok(struct bt_ctx *c, unsigned n)
{
    struct x86_cpu *cpu = &c->v->cpu;

    if (n > 7 || ((n == 4 || n == 5) && (cpu->cr4 >> 3 & 1)))
        bt_fault(c, 6);
    else if (c->cpl != 0)
        bt_fault_err(c, 13, 0);
    else if (cpu->dr[7] >> 13 & 1) { /* GD */
        cpu->dr[7] &= ~(1ull << 13);
        bt_debug_exception(c, DR6_BD);
        c->sys_flags |= BT_RF;
    } else
        return true;
    return false;
}

uint64_t bt_h_mov_from_dr(struct bt_ctx *c, uint32_t arg)
{
    unsigned n = arg >> 4 & 15;

    if (!dr_ok(c, n))
        return h_fault(c);
    if (n == 4 || n == 5)
        n += 2;
    h_set_gpr(c, arg >> 8 & 15, c->mode_key & MODE_L ? 8 : 4, c->v->cpu.dr[n]);
    return 0;
}

uint64_t bt_h_mov_to_dr(struct bt_ctx *c, uint32_t arg)
{
    unsigned n = arg >> 4 & 15;
    uint64_t v = c->gpr[arg >> 8 & 15];

    if (!dr_ok(c, n))
        return h_fault(c);
    if (!(c->mode_key & MODE_L))
        v = (uint32_t)v;
    if (n == 4 || n == 5)
        n += 2;
    if (n >= 6 && v >> 32)
        return h_gp0(c);
    if (n == 6)
        v = (v & 0xe00f) | 0xffff0ff0;
    if (n == 7)
        v = (v & 0xffff2bff) | 0x400;
    c->v->cpu.dr[n & 7] = v;
    if (n != 6)
        bt_dr_changed(c);
    return h_resume(c, arg);
}
