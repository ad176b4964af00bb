/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segment registers and descriptors (Intel SDM vol. 3, chapters 3 and 5; AMD APM vol. 2, chapter
 * 4). General registers only.
 */
#include "segment.h"

#define ATTR_S 0x10
#define ATTR_P 0x80
#define ATTR_L 0x2000
#define ATTR_DB 0x4000
#define ATTR_G 0x8000

unsigned bt_sys_mmu(const struct bt_ctx *c)
{
    return c->v->cpu.cr4 >> 21 & 1 ? MMU_KSMAP : MMU_KERNEL;
}

unsigned bt_data_mmu(const struct bt_ctx *c)
{
    return c->mode_key >> MODE_MMU_SHIFT & 3;
}

void bt_set_flat(struct x86_segment *s, uint16_t selector, uint16_t attr)
{
    *s = (struct x86_segment){.selector = selector, .limit = 0xffffffff, .attr = attr};
}

void bt_sync_segs(struct bt_ctx *c)
{
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        c->seg_base[i] = c->v->cpu.seg[i].base;
}

/* Reads the descriptor of a selector. Error: #GP(selector) (or `vector`) as far as the tables'
 * limits go. */
int bt_descriptor(struct bt_ctx *c, uint16_t selector, struct bt_desc *d, unsigned vector)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    uint64_t base = selector & 4 ? cpu->ldtr.base : cpu->gdtr.base;
    uint32_t limit = selector & 4 ? (cpu->ldtr.unusable ? 0 : cpu->ldtr.limit) : cpu->gdtr.limit;
    uint32_t off = selector & ~7u;

    if (off + 7 > limit || ((selector & 4) && cpu->ldtr.unusable))
        return bt_fault_err(c, vector, selector & ~3u);
    d->addr = base + off;
    if (bt_read(c, d->addr, 8, bt_sys_mmu(c), &d->raw))
        return 1;
    d->attr = (uint16_t)(d->raw >> 40 & 0xf0ff);
    d->base = (d->raw >> 16 & 0xffffff) | (d->raw >> 56 & 0xff) << 24;
    d->limit = (uint32_t)((d->raw & 0xffff) | (d->raw >> 32 & 0xf0000));
    if (d->attr & ATTR_G)
        d->limit = d->limit << 12 | 0xfff;
    return 0;
}

/* The upper half of a 16-byte system descriptor in long mode. */
static int descriptor_high(struct bt_ctx *c, uint16_t selector, struct bt_desc *d)
{
    uint64_t hi;

    if (!(c->mode_key & MODE_LMA))
        return 0;
    if (bt_read(c, d->addr + 8, 8, bt_sys_mmu(c), &hi))
        return 1;
    d->base |= (hi & 0xffffffff) << 32;
    return bt_canonical(d->base) ? 0 : bt_fault_err(c, 13, selector & ~3u);
}

static int set_accessed(struct bt_ctx *c, struct bt_desc *d)
{
    if (d->attr & 1)
        return 0;
    d->attr |= 1;
    return bt_write(c, d->addr + 5, 1, bt_sys_mmu(c), d->attr & 0xff);
}

static void fill(struct x86_segment *s, uint16_t selector, const struct bt_desc *d)
{
    *s = (struct x86_segment){
        .selector = selector, .base = d->base, .limit = d->limit, .attr = d->attr};
}

static void load_null(struct bt_ctx *c, unsigned seg, uint16_t selector)
{
    struct x86_segment *s = &c->v->cpu.seg[seg];

    /* A null selector keeps FS and GS bases on Intel and clears them on neither Linux' assumption
     * path; the base goes to 0 as Intel's processors do it. */
    *s = (struct x86_segment){
        .selector = selector, .unusable = true, .attr = seg == X86_SS ? c->cpl << 5 : 0};
    if (seg == X86_SS && (c->mode_key & MODE_LMA))
        s->attr |= ATTR_P | ATTR_S | 3 | ATTR_DB;
    c->seg_base[seg] = 0;
}

static int check_ss(struct bt_ctx *c, uint16_t selector, const struct bt_desc *d)
{
    unsigned dpl = d->attr >> 5 & 3, type = d->attr & 0xf;

    if (!(d->attr & ATTR_S) || (type & 8) || !(type & 2) || (selector & 3) != c->cpl ||
        dpl != c->cpl)
        return bt_fault_err(c, 13, selector & ~3u);
    if (!(d->attr & ATTR_P))
        return bt_fault_err(c, 12, selector & ~3u);
    return 0;
}

static int check_data(struct bt_ctx *c, uint16_t selector, const struct bt_desc *d)
{
    unsigned dpl = d->attr >> 5 & 3, type = d->attr & 0xf, rpl = selector & 3;
    bool conforming_code = (type & 0xc) == 0xc;

    if (!(d->attr & ATTR_S) || (type & 0xa) == 8)
        return bt_fault_err(c, 13, selector & ~3u);
    if (!conforming_code && (rpl > dpl || c->cpl > dpl))
        return bt_fault_err(c, 13, selector & ~3u);
    if (!(d->attr & ATTR_P))
        return bt_fault_err(c, 11, selector & ~3u);
    return 0;
}

/* Real mode keeps limits and rights as they are (so they may be larger than 64 KB), virtual-8086
 * mode has fixed ones (Intel SDM vol. 3, 21.1 and 21.2.1). */
void bt_load_real(struct bt_ctx *c, unsigned seg, uint16_t selector)
{
    struct x86_segment *s = &c->v->cpu.seg[seg];
    bool vm = (c->v->cpu.cr0 & 1) && (c->sys_flags >> 17 & 1);

    s->selector = selector;
    s->base = c->seg_base[seg] = (uint64_t)selector << 4;
    if (vm || s->unusable) {
        s->limit = 0xffff;
        s->attr = vm ? 0xf3 : 0x93;
        s->unusable = false;
    }
}

int bt_load_seg(struct bt_ctx *c, unsigned seg, uint16_t selector)
{
    struct bt_desc d;

    if (!(c->mode_key & MODE_PE) || (c->mode_key & MODE_VM)) {
        bt_load_real(c, seg, selector);
        bt_mode_update(c);
        return 0;
    }
    if ((selector & ~3) == 0) {
        if (seg == X86_SS && (!(c->mode_key & MODE_L) || c->cpl == 3 || (selector & 3) != c->cpl))
            return bt_fault_err(c, 13, 0);
        load_null(c, seg, selector);
        bt_mode_update(c);
        return 0;
    }
    if (bt_descriptor(c, selector, &d, 13))
        return 1;
    if (seg == X86_SS ? check_ss(c, selector, &d) : check_data(c, selector, &d))
        return 1;
    if (set_accessed(c, &d))
        return 1;
    fill(&c->v->cpu.seg[seg], selector, &d);
    c->seg_base[seg] = d.base;
    bt_mode_update(c);
    return 0;
}

/* LLDT, LTR. */
int bt_load_system(struct bt_ctx *c, uint16_t selector, bool tss)
{
    struct x86_segment *s = tss ? &c->v->cpu.tr : &c->v->cpu.ldtr;
    struct bt_desc d;

    if ((selector & ~3) == 0) {
        if (tss)
            return bt_fault_err(c, 13, 0);
        *s = (struct x86_segment){.selector = selector, .unusable = true};
        return 0;
    }
    if (selector & 4)
        return bt_fault_err(c, 13, selector & ~3u);
    if (bt_descriptor(c, selector, &d, 13))
        return 1;
    unsigned type = d.attr & 0x1f;
    if (tss ? type != 9 && (type != 1 || (c->mode_key & MODE_LMA)) : type != 2)
        return bt_fault_err(c, 13, selector & ~3u);
    if (!(d.attr & ATTR_P))
        return bt_fault_err(c, 11, selector & ~3u);
    if (descriptor_high(c, selector, &d))
        return 1;
    if (tss) {
        d.attr |= 2; /* busy */
        if (bt_write(c, d.addr + 5, 1, bt_sys_mmu(c), d.attr & 0xff))
            return 1;
    }
    fill(s, selector, &d);
    return 0;
}

/* A code segment for a jump, call, return or gate; `cpl` is the privilege level it will run at. */
int bt_check_code(struct bt_ctx *c, uint16_t selector, struct bt_desc *d, unsigned cpl,
                  unsigned vector)
{
    if ((selector & ~3) == 0)
        return bt_fault_err(c, 13, 0);
    if (bt_descriptor(c, selector, d, vector))
        return 1;
    unsigned dpl = d->attr >> 5 & 3, type = d->attr & 0xf;
    if (!(d->attr & ATTR_S) || !(type & 8))
        return bt_fault_err(c, vector, selector & ~3u);
    if (type & 4 ? dpl > cpl : dpl != cpl)
        return bt_fault_err(c, vector, selector & ~3u);
    if ((c->mode_key & MODE_LMA) && (d->attr & (ATTR_L | ATTR_DB)) == (ATTR_L | ATTR_DB))
        return bt_fault_err(c, vector, selector & ~3u);
    if (!(d->attr & ATTR_P))
        return bt_fault_err(c, 11, selector & ~3u);
    return 0;
}

int bt_set_code(struct bt_ctx *c, uint16_t selector, struct bt_desc *d, unsigned cpl)
{
    if (set_accessed(c, d))
        return 1;
    fill(&c->v->cpu.seg[X86_CS], (uint16_t)((selector & ~3u) | cpl), d);
    if ((c->mode_key & MODE_LMA) && (d->attr & ATTR_L))
        c->v->cpu.seg[X86_CS].base = 0;
    c->seg_base[X86_CS] = c->v->cpu.seg[X86_CS].base;
    c->cpl = (uint8_t)cpl;
    return 0;
}

/* Loads SS as part of a return or a gate to privilege level `cpl`. A null selector is legal for
 * 64-bit code at rings 0 to 2. */
int bt_set_stack(struct bt_ctx *c, uint16_t selector, unsigned cpl, bool to64, unsigned vector)
{
    struct bt_desc d;

    if ((selector & ~3) == 0) {
        if (!to64 || cpl == 3)
            return bt_fault_err(c, vector, 0);
        uint8_t old = c->cpl;
        c->cpl = (uint8_t)cpl;
        load_null(c, X86_SS, selector);
        c->cpl = old;
        return 0;
    }
    if (bt_descriptor(c, selector, &d, vector))
        return 1;
    unsigned dpl = d.attr >> 5 & 3, type = d.attr & 0xf;
    if (!(d.attr & ATTR_S) || (type & 8) || !(type & 2) || (selector & 3u) != cpl || dpl != cpl)
        return bt_fault_err(c, vector, selector & ~3u);
    if (!(d.attr & ATTR_P))
        return bt_fault_err(c, 12, selector & ~3u);
    if (set_accessed(c, &d))
        return 1;
    fill(&c->v->cpu.seg[X86_SS], selector, &d);
    c->seg_base[X86_SS] = d.base;
    return 0;
}

/* After a return to an outer level: data segments that the new level may not use become null. In
 * long mode the bases of FS and GS outlive that. */
void bt_drop_segs(struct bt_ctx *c)
{
    bool keep = c->mode_key & MODE_LMA;

    static const uint8_t list[] = {X86_ES, X86_DS, X86_FS, X86_GS};

    for (unsigned i = 0; i < 4; i++) {
        struct x86_segment *s = &c->v->cpu.seg[list[i]];
        unsigned type = s->attr & 0xf, dpl = s->attr >> 5 & 3;
        if (!s->unusable && (s->attr & ATTR_S) && (type & 0xc) != 0xc && dpl < c->cpl) {
            uint64_t base = c->seg_base[list[i]];
            load_null(c, list[i], 0);
            if (keep && list[i] >= X86_FS)
                c->seg_base[list[i]] = s->base = base;
        }
    }
}
