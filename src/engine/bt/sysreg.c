/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control, debug and model-specific registers, descriptor-table registers, TLB control (Intel SDM
 * vol. 3, 2.5 and vol. 4). General registers only.
 */
#include "dr.h"
#include "event.h"
#include "helpers.h"
#include "pkeys.h"
#include "pmu.h"
#include "segment.h"
#include "steal.h"
#include "trace.h"

#define CR0_PE (1ull << 0)
#define CR0_MP (1ull << 1)
#define CR0_EM (1ull << 2)
#define CR0_TS (1ull << 3)
#define CR0_ET (1ull << 4)
#define CR0_NE (1ull << 5)
#define CR0_WP (1ull << 16)
#define CR0_AM (1ull << 18)
#define CR0_NW (1ull << 29)
#define CR0_CD (1ull << 30)
#define CR0_PG (1ull << 31)
#define CR0_ALL                                                                                \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
     CR0_PG)

#define CR4_TSD (1ull << 2)
#define CR4_PCE (1ull << 8)
#define CR4_DE (1ull << 3)
#define CR4_PAE (1ull << 5)
#define CR4_FSGSBASE (1ull << 16)
#define CR4_PCIDE (1ull << 17)
#define CR4_FLUSH \
    ((1ull << 4) | CR4_PAE | (1ull << 7) | CR4_PCIDE | (1ull << 20) | (1ull << 21) | BT_CR4_KEYS)

#define EFER_SCE (1ull << 0)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define EFER_NXE (1ull << 11)

static bool denied(const struct bt_ctx *c)
{
    return c->cpl != 0;
}

static void flush_all(struct bt_ctx *c)
{
    c->v->en->stat.flush_all++;
    if (bt_tracing(c, TRACE_flush))
        bt_trace(c, TRACE_flush, bt_trace_rip(c), "all");
    bt_tlb_flush(c, true);
    bt_exec_flush(c, true);
    bt_view_flush(c, true);
}

static void flush_space(struct bt_ctx *c)
{
    c->v->en->stat.flush_space++;
    if (bt_tracing(c, TRACE_flush))
        bt_trace(c, TRACE_flush, bt_trace_rip(c), "all but global");
    bt_tlb_flush(c, false);
    bt_exec_flush(c, false);
}

static void flush_page(struct bt_ctx *c, uint64_t lin)
{
    c->v->en->stat.invlpg++;
    if (bt_tracing(c, TRACE_flush))
        bt_trace(c, TRACE_flush, bt_trace_rip(c), "page %#llx", (unsigned long long)lin);
    bt_tlb_invlpg(c, lin);
    bt_exec_invlpg(c, lin);
    bt_view_invlpg(c, lin);
}

/* ---- control registers ----------------------------------------------------------------------- */

/* Intel SDM vol. 3, 2.5 "Control registers", CR4: each bit but PCE (8) is reserved where CPUID does
 * not announce what it is for. */
uint64_t bt_cr4_mask(const struct cpuid_table *t)
{
    enum { EBX = 1, ECX, EDX };
    static const struct {
        uint8_t cr4, leaf, reg, bit;
    } rows[] = {
        {0, 1, EDX, 1},   {1, 1, EDX, 1},  {2, 1, EDX, 4},   {3, 1, EDX, 2},   {4, 1, EDX, 3},
        {5, 1, EDX, 6},   {6, 1, EDX, 7},  {7, 1, EDX, 13},  {9, 1, EDX, 24},  {10, 1, EDX, 25},
        {11, 7, ECX, 2},  {16, 7, EBX, 0}, {17, 1, ECX, 17}, {18, 1, ECX, 26}, {20, 7, EBX, 7},
        {21, 7, EBX, 20}, {22, 7, ECX, 3}, {24, 7, ECX, 31},
    };
    uint64_t mask = 1u << 8;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        mask |= (uint64_t)cpuid_has(t, rows[i].leaf, rows[i].reg, rows[i].bit) << rows[i].cr4;
    return mask;
}

static int set_cr0(struct bt_ctx *c, uint64_t v)
{
    struct x86_cpu *cpu = &c->v->cpu;
    uint64_t old = cpu->cr0;

    if (v >> 32 || ((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
        return bt_fault_err(c, 13, 0);
    v = (v & CR0_ALL) | CR0_ET;
    if ((v & CR0_PG) && !(old & CR0_PG) && (cpu->efer & EFER_LME)) {
        if (!(cpu->cr4 & CR4_PAE) || (cpu->seg[X86_CS].attr & 0x2000))
            return bt_fault_err(c, 13, 0);
        cpu->efer |= EFER_LMA;
    }
    if (!(v & CR0_PG) && (old & CR0_PG)) {
        if (c->mode_key & MODE_L)
            return bt_fault_err(c, 13, 0);
        cpu->efer &= ~EFER_LMA;
    }
    if ((v ^ old) & CR0_MP) { /* translations of FWAIT know it */
        c->v->flush_wanted = true;
        bt_kick_now(c);
    }
    cpu->cr0 = v;
    if ((v ^ old) & (CR0_PG | CR0_WP))
        flush_all(c);
    bt_mode_update(c);
    return 0;
}

static int set_cr3(struct bt_ctx *c, uint64_t v)
{
    struct x86_cpu *cpu = &c->v->cpu;

    bool keep = (cpu->cr4 & CR4_PCIDE) && v >> 63;

    if ((cpu->cr4 & CR4_PCIDE) && (c->mode_key & MODE_L))
        v &= ~(1ull << 63);
    if (v & ~(c->v->en->phys_mask | 0xfff))
        return bt_fault_err(c, 13, 0);
    c->v->en->stat.cr3++;
    if (bt_tracing(c, TRACE_flush))
        bt_trace(c, TRACE_flush, bt_trace_rip(c), "CR3 becomes %#llx", (unsigned long long)v);
    cpu->cr3 = v;
    flush_space(c);
    bt_view_cr3(c, keep);
    return 0;
}

static int set_cr4(struct bt_ctx *c, uint64_t v)
{
    struct x86_cpu *cpu = &c->v->cpu;
    uint64_t old = cpu->cr4;

    if ((v & ~c->v->en->cr4_mask) || ((cpu->efer & EFER_LMA) && !(v & CR4_PAE)))
        return bt_fault_err(c, 13, 0);
    if ((v & CR4_PCIDE) && !(old & CR4_PCIDE) && (!(cpu->efer & EFER_LMA) || (cpu->cr3 & 0xfff)))
        return bt_fault_err(c, 13, 0);
    cpu->cr4 = v;
    if ((v ^ old) & CR4_DE)
        bt_dr_changed(c);
    if ((v ^ old) & CR4_FLUSH)
        flush_all(c);
    if ((v ^ old) & (CR4_TSD | CR4_FSGSBASE)) { /* translations know them */
        c->v->flush_wanted = true;
        bt_kick_now(c);
    }
    bt_mode_update(c);
    return 0;
}

void bt_load_cr3(struct bt_ctx *c, uint64_t v)
{
    if (c->v->cpu.cr3 != v)
        (void)set_cr3(c, v);
}

uint64_t bt_h_mov_from_cr(struct bt_ctx *c, uint32_t arg)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    const struct engine_host *h = c->v->en->host;
    uint64_t v;

    if (denied(c))
        return h_gp0(c);
    switch (arg >> 4 & 15) {
    case 0:
        v = cpu->cr0;
        break;
    case 2:
        v = cpu->cr2;
        break;
    case 3:
        v = cpu->cr3;
        break;
    case 4:
        v = cpu->cr4;
        break;
    case 8:
        bt_vector_out();
        v = h->cr8_read(h->opaque, c->v->index);
        bt_vector_in();
        break;
    default:
        return h_ud(c);
    }
    h_set_gpr(c, arg >> 8 & 15, c->mode_key & MODE_L ? 8 : 4, v);
    return 0;
}

uint64_t bt_h_mov_to_cr(struct bt_ctx *c, uint32_t arg)
{
    const struct engine_host *h = c->v->en->host;
    uint64_t v = c->gpr[arg >> 8 & 15];
    int r = 0;

    if (denied(c))
        return h_gp0(c);
    if (!(c->mode_key & MODE_L))
        v = (uint32_t)v;
    switch (arg >> 4 & 15) {
    case 0:
        r = set_cr0(c, v);
        break;
    case 2:
        c->v->cpu.cr2 = v;
        break;
    case 3:
        r = set_cr3(c, v);
        break;
    case 4:
        r = set_cr4(c, v);
        break;
    case 8:
        if (v & ~15ull)
            return h_gp0(c);
        bt_vector_out();
        h->cr8_write(h->opaque, c->v->index, (unsigned)v);
        bt_vector_in();
        break;
    default:
        return h_ud(c);
    }
    return r ? h_fault(c) : h_resume(c, arg);
}

uint64_t bt_h_clts(struct bt_ctx *c, uint32_t arg)
{
    if (denied(c))
        return h_gp0(c);
    c->v->cpu.cr0 &= ~CR0_TS;
    bt_mode_update(c);
    return h_resume(c, arg);
}

uint64_t bt_h_lmsw(struct bt_ctx *c, uint32_t arg)
{
    uint64_t v = c->temp[1] & 15, old = c->v->cpu.cr0;

    if (denied(c))
        return h_gp0(c);
    return set_cr0(c, (old & ~14ull) | v | (old & CR0_PE)) ? h_fault(c) : h_resume(c, arg);
}

/* ---- MSRs ------------------------------------------------------------------------------------ */

enum msr {
    MSR_TSC = 0x10,
    MSR_APIC_BASE = 0x1b,
    MSR_TSC_ADJUST = 0x3b,
    MSR_BIOS_SIGN = 0x8b,
    MSR_MTRRCAP = 0xfe,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_DEBUGCTL = 0x1d9,
    MSR_MTRR_BASE0 = 0x200,
    MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K_0 = 0x258,
    MSR_MTRR_FIX16K_1 = 0x259,
    MSR_MTRR_FIX4K_0 = 0x268,
    MSR_MTRR_FIX4K_7 = 0x26f,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF = 0x2ff,
    MSR_PKRS = 0x6e1,
    MSR_XSS = 0xda0,
    MSR_KVM_STEAL = 0x4b564d03,
    MSR_EFER = 0xc0000080,
    MSR_STAR,
    MSR_LSTAR,
    MSR_CSTAR,
    MSR_FMASK,
    MSR_FS_BASE = 0xc0000100,
    MSR_GS_BASE,
    MSR_KERNEL_GS_BASE,
    MSR_TSC_AUX,
    MSR_AMD_SYSCFG = 0xc0010010,
    MSR_AMD_HWCR = 0xc0010015,
    MSR_AMD_DE_CFG = 0xc0011029,
};

static uint64_t *mtrr_slot(struct x86_cpu *cpu, uint32_t i)
{
    if (i >= MSR_MTRR_BASE0 && i < MSR_MTRR_BASE0 + 16)
        return i & 1 ? &cpu->mtrr_mask[(i - MSR_MTRR_BASE0) / 2]
                     : &cpu->mtrr_base[(i - MSR_MTRR_BASE0) / 2];
    if (i == MSR_MTRR_FIX64K)
        return &cpu->mtrr_fixed[0];
    if (i == MSR_MTRR_FIX16K_0 || i == MSR_MTRR_FIX16K_1)
        return &cpu->mtrr_fixed[1 + i - MSR_MTRR_FIX16K_0];
    if (i >= MSR_MTRR_FIX4K_0 && i <= MSR_MTRR_FIX4K_7)
        return &cpu->mtrr_fixed[3 + i - MSR_MTRR_FIX4K_0];
    return NULL;
}

/* MSRs that are plain storage in struct x86_cpu. */
static uint64_t *msr_slot(struct bt_ctx *c, uint32_t i)
{
    struct x86_cpu *cpu = &c->v->cpu;

    switch (i) {
    case MSR_STAR:
        return &cpu->star;
    case MSR_LSTAR:
        return &cpu->lstar;
    case MSR_CSTAR:
        return &cpu->cstar;
    case MSR_FMASK:
        return &cpu->fmask;
    case MSR_KERNEL_GS_BASE:
        return &c->kernel_gs_base;
    case MSR_TSC_AUX:
        return &cpu->tsc_aux;
    case MSR_SYSENTER_CS:
        return &cpu->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return &cpu->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &cpu->sysenter_eip;
    case MSR_PAT:
        return &cpu->pat;
    case MSR_MTRR_DEF:
        return &cpu->mtrr_def_type;
    case MSR_MISC_ENABLE:
        return &cpu->misc_enable;
    case MSR_KVM_STEAL:
        return &cpu->kvm_steal;
    default:
        return mtrr_slot(cpu, i);
    }
}

static bool rd(struct bt_ctx *c, uint32_t i, uint64_t *v)
{
    const struct engine_host *h = c->v->en->host;
    const uint64_t *slot;

    switch (i) {
    case MSR_FS_BASE:
        *v = c->seg_base[X86_FS];
        return true;
    case MSR_GS_BASE:
        *v = c->seg_base[X86_GS];
        return true;
    case MSR_PKRS:
        *v = c->v->cpu.pkrs;
        return c->v->en->cr4_mask & BT_CR4_PKS;
    case MSR_EFER:
        *v = c->v->cpu.efer;
        return true;
    case MSR_TSC:
        *v = bt_tsc() + c->tsc_offset;
        return true;
    case MSR_TSC_ADJUST:
        *v = c->v->cpu.tsc_adjust;
        return true;
    case MSR_MTRRCAP:
        *v = 0x508; /* 8 variable ranges, fixed ranges, write-combining */
        return true;
    case MSR_BIOS_SIGN:
        *v = (uint64_t)0xffffffff << 32; /* newest: nothing to load */
        return true;
    case MSR_MCG_CAP:
    case MSR_MCG_STATUS:
    case MSR_DEBUGCTL:
    case MSR_XSS: /* no state but programs' */
    case MSR_AMD_SYSCFG:
        *v = 0;
        return true;
    case MSR_AMD_HWCR:
        *v = 1u << 24; /* TscFreqSel: the TSC counts at the P0 frequency */
        return true;
    case MSR_AMD_DE_CFG:
        *v = 2; /* LFENCE serializes */
        return true;
    default:
        break;
    }
    slot = msr_slot(c, i);
    if (slot != NULL) {
        *v = *slot;
        return true;
    }
    if (bt_pmu_read(c, i, v))
        return true;
    bt_vector_out();
    bool ok = h->msr_read(h->opaque, c->v->index, i, v);
    bt_vector_in();
    return ok;
}

static bool pat_ok(uint64_t v)
{
    for (unsigned i = 0; i < 8; i++, v >>= 8)
        if ((v & 0xff) > 7 || (v & 0xff) == 2 || (v & 0xff) == 3)
            return false;
    return true;
}

static bool wr_efer(struct bt_ctx *c, uint64_t v)
{
    struct x86_cpu *cpu = &c->v->cpu;
    uint64_t old = cpu->efer;

    if (v & ~c->v->en->efer_mask)
        return false;
    if (((v ^ old) & EFER_LME) && (cpu->cr0 & CR0_PG))
        return false;
    cpu->efer = (v & ~EFER_LMA) | (old & EFER_LMA);
    if ((v ^ old) & EFER_NXE)
        flush_all(c);
    bt_mode_update(c);
    return true;
}

/* The counter and TSC_ADJUST move together (Intel SDM vol. 3, 18.17.3). */
static void move_tsc(struct bt_ctx *c, uint64_t by)
{
    const struct engine_host *h = c->v->en->host;

    c->tsc_offset += by;
    c->v->cpu.tsc_adjust += by;
    if (h->tsc_changed == NULL)
        return;
    bt_vector_out();
    h->tsc_changed(h->opaque, c->v->index);
    bt_vector_in();
}

static bool wr(struct bt_ctx *c, uint32_t i, uint64_t v)
{
    const struct engine_host *h = c->v->en->host;
    struct x86_cpu *cpu = &c->v->cpu;
    uint64_t *slot;

    switch (i) {
    case MSR_FS_BASE:
    case MSR_GS_BASE:
        if (!bt_canonical(v))
            return false;
        c->seg_base[i == MSR_FS_BASE ? X86_FS : X86_GS] = v;
        return true;
    case MSR_KERNEL_GS_BASE:
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_SYSENTER_ESP:
    case MSR_SYSENTER_EIP:
        if (!bt_canonical(v))
            return false;
        break;
    case MSR_XSS:
        return v == 0;
    case MSR_PKRS:
        if (v >> 32 || !(c->v->en->cr4_mask & BT_CR4_PKS))
            return false;
        bt_set_pkrs(c, (uint32_t)v);
        return true;
    case MSR_EFER:
        return wr_efer(c, v);
    case MSR_FMASK:
    case MSR_TSC_AUX:
        if (v >> 32)
            return false;
        break;
    case MSR_PAT:
        if (!pat_ok(v))
            return false;
        break;
    case MSR_KVM_STEAL:
        return bt_steal_set(c, v);
    case MSR_TSC:
        move_tsc(c, v - (bt_tsc() + c->tsc_offset));
        return true;
    case MSR_TSC_ADJUST:
        move_tsc(c, v - cpu->tsc_adjust);
        return true;
    case MSR_BIOS_SIGN:
    case MSR_DEBUGCTL:
    case MSR_MCG_STATUS:
    case MSR_AMD_SYSCFG:
    case MSR_AMD_HWCR:
    case MSR_AMD_DE_CFG:
        return true;
    default:
        break;
    }
    slot = msr_slot(c, i);
    if (slot != NULL) {
        *slot = v;
        return true;
    }
    if (bt_pmu_write(c, i, v))
        return true;
    bt_vector_out();
    bool ok = h->msr_write(h->opaque, c->v->index, i, v);
    bt_vector_in();
    return ok;
}

uint64_t bt_h_rdmsr(struct bt_ctx *c, uint32_t arg)
{
    uint64_t v;

    (void)arg;
    if (denied(c) || !rd(c, (uint32_t)c->gpr[X86_RCX], &v))
        return h_gp0(c);
    c->gpr[X86_RAX] = (uint32_t)v;
    c->gpr[X86_RDX] = v >> 32;
    return 0;
}

uint64_t bt_h_wrmsr(struct bt_ctx *c, uint32_t arg)
{
    uint64_t v = (uint32_t)c->gpr[X86_RAX] | c->gpr[X86_RDX] << 32;

    if (denied(c) || !wr(c, (uint32_t)c->gpr[X86_RCX], v))
        return h_gp0(c);
    return h_resume(c, arg);
}

uint64_t bt_h_rdtsc(struct bt_ctx *c, uint32_t arg)
{
    if ((c->v->cpu.cr4 & CR4_TSD) && c->cpl != 0)
        return h_gp0(c);
    uint64_t v = bt_tsc() + c->tsc_offset;
    c->gpr[X86_RAX] = (uint32_t)v;
    c->gpr[X86_RDX] = v >> 32;
    if (arg >> 4 & 1)
        c->gpr[X86_RCX] = (uint32_t)c->v->cpu.tsc_aux;
    return 0;
}

uint64_t bt_h_rdpid(struct bt_ctx *c, uint32_t arg)
{
    c->gpr[arg >> 4 & 15] = c->v->cpu.tsc_aux;
    return 0;
}

uint64_t bt_h_rdpmc(struct bt_ctx *c, uint32_t arg)
{
    uint64_t v;

    (void)arg;
    if ((c->cpl != 0 && !(c->v->cpu.cr4 & CR4_PCE)) ||
        !bt_pmu_rdpmc(c, (uint32_t)c->gpr[X86_RCX], &v))
        return h_gp0(c);
    c->gpr[X86_RAX] = (uint32_t)v;
    c->gpr[X86_RDX] = v >> 32;
    return 0;
}

/* ---- descriptor tables ----------------------------------------------------------------------- */

static bool umip(const struct bt_ctx *c)
{
    return (c->v->cpu.cr4 >> 11 & 1) && c->cpl == 3;
}

uint64_t bt_h_store_system(struct bt_ctx *c, uint32_t arg)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    unsigned what = arg >> 4 & 15;

    if (umip(c))
        return h_gp0(c);
    if (what != 0 && (!(c->mode_key & MODE_PE) || (c->mode_key & MODE_VM)))
        return h_ud(c);
    uint64_t v = what == 0 ? cpu->cr0 : what == 1 ? cpu->ldtr.selector : cpu->tr.selector;
    if (arg >> 16 & 1)
        return bt_write(c, c->mem_addr, 2, bt_data_mmu(c), v & 0xffff) ? h_fault(c) : 0;
    h_set_gpr(c, arg >> 8 & 15, arg >> 12 & 15, v);
    return 0;
}

uint64_t bt_h_load_table(struct bt_ctx *c, uint32_t arg)
{
    struct x86_table *t = arg >> 4 & 1 ? &c->v->cpu.idtr : &c->v->cpu.gdtr;
    unsigned size = c->mode_key & MODE_L ? 8 : 4;
    uint64_t limit, base;

    if (denied(c))
        return h_gp0(c);
    if (bt_read(c, c->mem_addr, 2, bt_data_mmu(c), &limit) ||
        bt_read(c, c->mem_addr + 2, size, bt_data_mmu(c), &base))
        return h_fault(c);
    if (size == 8 && !bt_canonical(base))
        return h_gp0(c);
    if (size == 4 && (arg >> 8 & 15) == 2)
        base &= 0xffffff;
    t->limit = (uint16_t)limit;
    t->base = base;
    return h_resume(c, arg);
}

uint64_t bt_h_store_table(struct bt_ctx *c, uint32_t arg)
{
    const struct x86_table *t = arg >> 4 & 1 ? &c->v->cpu.idtr : &c->v->cpu.gdtr;
    unsigned size = c->mode_key & MODE_L ? 8 : 4;
    uint8_t buf[10];

    if (umip(c))
        return h_gp0(c);
    for (unsigned i = 0; i < 2; i++)
        buf[i] = (uint8_t)(t->limit >> (8 * i));
    for (unsigned i = 0; i < 8; i++)
        buf[2 + i] = (uint8_t)(t->base >> (8 * i));
    return bt_copy_out(c, c->mem_addr, buf, 2 + size, bt_data_mmu(c)) ? h_fault(c) : 0;
}

uint64_t bt_h_load_system(struct bt_ctx *c, uint32_t arg)
{
    if (!(c->mode_key & MODE_PE) || (c->mode_key & MODE_VM))
        return h_ud(c);
    if (denied(c))
        return h_gp0(c);
    return bt_load_system(c, (uint16_t)c->temp[1], arg >> 4 & 1) ? h_fault(c) : h_resume(c, arg);
}

/* ---- TLB ------------------------------------------------------------------------------------- */

uint64_t bt_h_invlpg(struct bt_ctx *c, uint32_t arg)
{
    if (denied(c))
        return h_gp0(c);
    flush_page(c, c->mem_addr);
    return h_resume(c, arg);
}

uint64_t bt_h_invpcid(struct bt_ctx *c, uint32_t arg)
{
    uint64_t type = c->gpr[arg >> 4 & 15], lo, addr;

    if (!c->v->en->invpcid)
        return h_ud(c);
    if (denied(c))
        return h_gp0(c);
    if (!(c->mode_key & MODE_L))
        type = (uint32_t)type;
    if (bt_read(c, c->mem_addr, 8, bt_data_mmu(c), &lo) ||
        bt_read(c, c->mem_addr + 8, 8, bt_data_mmu(c), &addr))
        return h_fault(c);
    if (type > 3 || lo >> 12 || (type == 0 && !bt_canonical(addr)) ||
        (type < 2 && lo != 0 && !(c->v->cpu.cr4 & CR4_PCIDE)))
        return h_gp0(c);
    if (type == 2) {
        flush_all(c);
    } else if (type == 0) {
        flush_page(c, addr);
    } else {
        flush_space(c);
        bt_view_flush(c, false);
    }
    if (type == 3 || lo != (c->v->cpu.cr3 & 0xfff))
        bt_view_stale(c);
    return h_resume(c, arg);
}

uint64_t bt_h_nop0(struct bt_ctx *c, uint32_t arg)
{
    (void)arg;
    return denied(c) ? h_gp0(c) : 0;
}
