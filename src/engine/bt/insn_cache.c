/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cache in front of Zydis. What an instruction is depends on its prefixes, opcode, ModRM and SIB
 * bytes; displacement and immediate only fill in numbers. So the bytes without those numbers are
 * the key, and a hit is a copy of the decoding with new numbers.
 *
 * The length rules here say where the numbers are. They need not be complete: what they do not know
 * is decoded anew, and a decoding enters the cache only if Zydis finds its numbers in the same
 * places and the copy with the numbers filled in is the decoding itself.
 */
#include <stdlib.h>
#include <string.h>

#include "insn.h"

#define CACHE_BITS 12

struct key {
    uint64_t lo, hi; /* the last byte is the decoder's mode */
};

struct insn_cache {
    struct key key[1u << CACHE_BITS];
    struct insn insn[1u << CACHE_BITS];
};

struct insn_cache *insn_cache_create(void)
{
    return calloc(1, sizeof(struct insn_cache));
}

void insn_cache_destroy(struct insn_cache *ic)
{
    free(ic);
}

/* ---- where the numbers are ------------------------------------------------------------------- */

/* What follows each opcode. `.`: nothing; `M`: a ModRM byte; `b`, `w`: an immediate of 1 byte, of
 * 2; `z`, `v`: of the operand size, cut to 4 bytes or not; `B`, `Z`: ModRM and such an immediate;
 * `g`, `h`: the same, the immediate only in the first two of the group; `p`: a prefix or an escape;
 * `x`: too odd to be cached. */
static const char map_one[] = "MMMMbz..MMMMbz.p" /* 00 */
                              "MMMMbz..MMMMbz.."
                              "MMMMbzp.MMMMbzp."
                              "MMMMbzp.MMMMbzp."
                              "................" /* 40 */
                              "................"
                              "..pMppppzZbB...."
                              "bbbbbbbbbbbbbbbb"
                              "BZBBMMMMMMMMMMMx" /* 80 */
                              "..........x....."
                              "xxxx....bz......"
                              "bbbbbbbbvvvvvvvv"
                              "BBw.ppBZx.w..b.." /* C0 */
                              "MMMMbb..MMMMMMMM"
                              "bbbbbbbbzzxb...."
                              "p.pp..gh......MM";

static const char map_0f[] = "MMMMx.....x.xM.x" /* 00 */
                             "MMMMMMMMMMMMMMMM"
                             "MMMMMMMMMMMMMMMM"
                             "........pxpxxxxx"
                             "MMMMMMMMMMMMMMMM" /* 40 */
                             "MMMMMMMMMMMMMMMM"
                             "MMMMMMMMMMMMMMMM"
                             "BBBBMMM.xMMMMMMM"
                             "zzzzzzzzzzzzzzzz" /* 80 */
                             "MMMMMMMMMMMMMMMM"
                             "...MBMxx...MBMMM"
                             "MMMMMMMMxMBMMMMM"
                             "MMBMBBBM........" /* C0 */
                             "MMMMMMMMMMMMMMMM"
                             "MMMMMMMMMMMMMMMM"
                             "MMMMMMMMMMMMMMMM";

struct layout {
    unsigned head; /* prefixes, opcode, ModRM, SIB */
    unsigned disp, imm;
    bool exact; /* the immediate belongs to the key (it may name a register) */
};

static unsigned disp_size(const uint8_t *modrm, bool addr16)
{
    unsigned mod = *modrm >> 6, rm = *modrm & 7;

    if (mod == 3)
        return 0;
    if (mod == 1)
        return 1;
    if (addr16)
        return mod == 2 || rm == 6 ? 2 : 0;
    if (mod == 2 || rm == 5)
        return 4;
    return rm == 4 && (modrm[1] & 7) == 5 ? 4 : 0;
}

/* VEX: steps over the prefix at p[*k]; what follows the opcode. */
static char vex(const struct insn_decoder *d, const uint8_t *p, unsigned *k)
{
    bool two = p[*k] == 0xc5;
    unsigned map = two ? 1 : p[*k + 1] & 0x1f;

    if (p[*k] == 0x62 || (!d->long64 && p[*k + 1] < 0xc0)) /* EVEX; no VEX after all */
        return 'x';
    *k += two ? 2 : 3;
    if (map == 1)
        return map_0f[p[*k]] == 'z' ? 'x' : map_0f[p[*k]];
    return map == 2 ? 'M' : map == 3 ? 'B' : 'x';
}

/* Steps over the prefixes at p; op16, addr16: the sizes they leave. */
static unsigned skip_prefixes(const struct insn_decoder *d, const uint8_t *p, bool *op16,
                              bool *addr16, bool *rex_w)
{
    unsigned k = 0;

    *op16 = *addr16 = d->bits == 16;
    *rex_w = false;
    for (; k < 12; k++) {
        uint8_t b = p[k];
        if (d->long64 && (b & 0xf0) == 0x40) {
            *rex_w = b & 8;
            continue;
        }
        if (map_one[b] != 'p' || b == 0x0f || b == 0x62 || b == 0xc4 || b == 0xc5)
            break;
        *rex_w = false; /* a REX counts only right before the opcode */
        if (b == 0x66)
            *op16 = d->bits != 16;
        else if (b == 0x67)
            *addr16 = d->bits == 32;
    }
    return k;
}

static unsigned imm_size(char what, bool op16, bool rex_w)
{
    switch (what) {
    case 'b':
    case 'B':
    case 'g':
        return 1;
    case 'w':
        return 2;
    case 'z':
    case 'Z':
    case 'h':
        return op16 && !rex_w ? 2 : 4;
    case 'v':
        return rex_w ? 8 : op16 ? 2 : 4;
    default:
        return 0;
    }
}

/* False: unknown. Reads up to 20 bytes. */
static bool layout_of(const struct insn_decoder *d, const uint8_t *p, struct layout *l)
{
    bool op16, addr16, rex_w;
    unsigned k = skip_prefixes(d, p, &op16, &addr16, &rex_w);
    char what = map_one[p[k]];

    l->exact = false;
    if (p[k] == 0x0f) {
        what = map_0f[p[++k]];
        if (p[k] == 0x38 || p[k] == 0x3a)
            what = p[k++] == 0x38 ? 'M' : 'B';
    } else if (what == 'p') {
        l->exact = true;
        what = vex(d, p, &k);
    }
    if (what == 'x' || what == 'p')
        return false;
    const uint8_t *modrm = p + ++k;
    l->disp = 0;
    if (what == 'M' || what == 'B' || what == 'Z' || what == 'g' || what == 'h') {
        k++;
        l->disp = disp_size(modrm, addr16);
        k += *modrm >> 6 != 3 && !addr16 && (*modrm & 7) == 4;
        if ((what == 'g' || what == 'h') && (*modrm >> 3 & 7) >= 2)
            what = 'M';
    }
    l->head = k;
    l->imm = imm_size(what, op16, rex_w);
    return true;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static int64_t number(const uint8_t *p, unsigned size, bool is_signed)
{
    uint64_t v;

    memcpy(&v, p, 8);
    if (size == 8)
        return (int64_t)v;
    unsigned shift = 64 - size * 8;
    return is_signed ? (int64_t)(v << shift) >> shift : (int64_t)(v << shift >> shift);
}

/* The numbers of the bytes at p into a decoding that has the rest. */
static void fill_in(struct insn *in, const uint8_t *p)
{
    if (in->z.raw.disp.size != 0)
        in->mem.disp = number(p + in->z.raw.disp.offset, in->z.raw.disp.size, true);
    if (in->z.raw.imm[0].size == 0)
        return;
    for (unsigned i = 0, k = 0; i < in->z.operand_count_visible && k < 2; i++)
        if (in->op[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
            in->op[i].imm.value.s = number(p + in->z.raw.imm[k].offset, in->z.raw.imm[k].size,
                                           in->z.raw.imm[k].is_signed);
            k++;
        }
}

/* Are Zydis' numbers where the rules say, and are they filled in right? */
static bool agrees(const struct insn *in, const uint8_t *p, const struct layout *l)
{
    const struct insn_decoded *z = &in->z;
    struct insn again = *in;

    if (in->len != l->head + l->disp + l->imm || z->raw.disp.size != l->disp ||
        z->raw.imm[0].size + z->raw.imm[1].size != l->imm)
        return false;
    if ((l->disp != 0 && z->raw.disp.offset != l->head) ||
        (l->imm != 0 && z->raw.imm[0].offset != l->head + l->disp))
        return false;
    fill_in(&again, p);
    return memcmp(&again, in, sizeof(again)) == 0;
}

/* ---- look-up --------------------------------------------------------------------------------- */

/* The first n of 16 bytes. */
static struct key cut(struct key k, unsigned n)
{
    if (n < 8) {
        k.lo &= (1ull << n * 8) - 1;
        k.hi = 0;
    } else if (n < 16) {
        k.hi &= (1ull << (n - 8) * 8) - 1;
    }
    return k;
}

static unsigned slot_of(struct key k)
{
    return (unsigned)((k.lo * 0x9e3779b97f4a7c15ull ^ k.hi * 0xc2b2ae3d27d4eb4full) >>
                      (64 - CACHE_BITS));
}

/* What is looked for: its bytes, cut to the instruction, its key and where that may be. */
struct probe {
    uint8_t all[16];
    uint8_t bytes[32];
    struct layout l;
    struct key key;
    unsigned slot;
};

/* False: it is none for the cache. Memory is read once: what is decoded is what `bytes` holds. */
static bool probe(const struct insn_decoder *d, const uint8_t *bytes, unsigned avail,
                  struct probe *p)
{
    struct key k = {0, 0};

    memcpy(&k, bytes, avail >= 16 ? 16 : avail);
    memcpy(p->all, &k, 16);
    memcpy(p->bytes, &k, 16);
    memset(p->bytes + 16, 0, 16);
    if (d->cache == NULL)
        return false;
    if (!layout_of(d, p->bytes, &p->l))
        return false;
    unsigned len = p->l.head + p->l.disp + p->l.imm;
    if (len > avail || len > 15)
        return false;
    k = cut(k, len);
    memcpy(p->bytes, &k, 16);
    /* Immediates of VEX may name a register. */
    p->key = p->l.exact ? k : cut(k, p->l.head);
    p->key.hi |= (uint64_t)d->mode << 56;
    p->slot = slot_of(p->key);
    return true;
}

static bool hit(const struct insn_cache *ic, const struct probe *p)
{
    return ic->key[p->slot].lo == p->key.lo && ic->key[p->slot].hi == p->key.hi;
}

static void enter(struct insn_cache *ic, const struct probe *p, const struct insn *in)
{
    if (!agrees(in, p->bytes, &p->l))
        return;
    ic->insn[p->slot] = *in;
    ic->key[p->slot] = p->key;
}

static enum insn_result decode_anew(const struct insn_decoder *d, const struct probe *p,
                                    unsigned avail, struct insn *in)
{
    enum insn_result r = insn_decode_full(d, p->all, avail < 16 ? avail : 16, in);

    if (r != INSN_OK)
        memcpy(in->raw, p->all, 16);
    return r;
}

enum insn_result insn_decode(const struct insn_decoder *d, const uint8_t *bytes, unsigned avail,
                             struct insn *in)
{
    struct probe p;

    if (!probe(d, bytes, avail, &p))
        return decode_anew(d, &p, avail, in);
    if (hit(d->cache, &p)) {
        const struct insn *from = &d->cache->insn[p.slot];
        memcpy(in, from, offsetof(struct insn, raw));
        memcpy(in->raw, p.bytes, 16);
        fill_in(in, p.bytes);
        return INSN_OK;
    }
    enum insn_result r = decode_anew(d, &p, avail, in);
    if (r == INSN_OK)
        enter(d->cache, &p, in);
    return r;
}

const struct insn *insn_look(const struct insn_decoder *d, const uint8_t *bytes, unsigned avail,
                             struct insn *room)
{
    struct probe p;
    bool known = probe(d, bytes, avail, &p);

    if (known && hit(d->cache, &p))
        return &d->cache->insn[p.slot];
    if (decode_anew(d, &p, avail, room) != INSN_OK)
        return NULL;
    if (known)
        enter(d->cache, &p, room);
    return room;
}
