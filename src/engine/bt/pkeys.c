/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Protection keys (Intel SDM vol. 3, 4.6.2): PKRU for pages of programs, PKRS for the supervisor's.
 * Ours are numbers: the host's PKRU guards the monitor's memory and never changes. The table walk
 * asks bt_keys_walk; what the software TLB has was right under the keys' rights when it was
 * entered, so a change of these empties it if a page with a key was ever entered. Views have pages
 * with key 0 only, and are not used while that is restricted (bt_keys_direct).
 */
#include "pkeys.h"

#include "helpers.h"
#include "paging.h"

enum { KEY_AD = 1, KEY_WD = 2, PF_PK = 32 }; /* no access; no write */

static void keys_changed(struct bt_ctx *c)
{
    bt_tlb_flush(c, true);
    bt_mode_update(c); /* direct access or not */
}

void bt_set_pkru(struct bt_ctx *c, uint32_t v)
{
    struct x86_cpu *cpu = &c->v->cpu;

    if (cpu->pkru == v)
        return;
    bool base = (cpu->pkru ^ v) & 3;
    cpu->pkru = v;
    if (base || c->v->keyed)
        keys_changed(c);
}

void bt_set_pkrs(struct bt_ctx *c, uint32_t v)
{
    if (c->v->cpu.pkrs == v)
        return;
    c->v->cpu.pkrs = v;
    keys_changed(c);
}

/* What the key of a page's entry denies, as far as keys are on. */
static unsigned denied(struct bt_ctx *c, uint64_t entry, bool user_page)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    unsigned key = entry >> 59 & 15;

    if (!(cpu->cr4 & (user_page ? BT_CR4_PKE : BT_CR4_PKS)))
        return 0;
    c->v->keyed |= key != 0;
    return (user_page ? cpu->pkru : cpu->pkrs) >> (2 * key) & 3;
}

uint32_t bt_keys_walk(struct bt_ctx *c, uint64_t entry, bool user_page, unsigned access,
                      unsigned mmu, bool *writable)
{
    unsigned deny = denied(c, entry, user_page);

    if (access & ACC_X)
        return 0;
    if ((deny & KEY_WD) && !(c->v->cpu.cr0 >> 16 & 1) && mmu != MMU_USER) /* WP */
        deny &= ~(unsigned)KEY_WD;
    if (deny & KEY_WD)
        *writable = false;
    return (deny & KEY_AD) || ((deny & KEY_WD) && (access & ACC_W)) ? PF_PK : 0;
}

uint64_t bt_h_pkru(struct bt_ctx *c, uint32_t arg)
{
    bool write = arg >> 4 & 1;

    if (!(c->v->cpu.cr4 & BT_CR4_PKE))
        return h_ud(c);
    if ((uint32_t)c->gpr[X86_RCX] != 0 || (write && (uint32_t)c->gpr[X86_RDX] != 0))
        return h_gp0(c);
    if (write) {
        bt_set_pkru(c, (uint32_t)c->gpr[X86_RAX]);
        return h_resume(c, arg);
    }
    c->gpr[X86_RAX] = c->v->cpu.pkru;
    c->gpr[X86_RDX] = 0;
    return 0;
}
