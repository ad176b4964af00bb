/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random instructions: a random opcode of a random map with random prefixes and a ModRM byte whose
 * address most likely lies in the data pages, kept when Zydis decodes it and gen_allowed agrees.
 */
#include <string.h>

#include "gen.h"

/* Registers that hold addresses in the data pages at the start, and small numbers. */
static const uint8_t pointers64[] = {3, 4, 5, 6, 7, 9, 12, 13};
static const uint8_t pointers32[] = {3, 4, 5, 6, 7};
static const uint8_t indexes64[] = {1, 10, 11};
static const uint8_t indexes32[] = {1};

struct bytes {
    uint8_t b[48];
    unsigned n;
};

/* ModRM and what follows it, with the high bits of its registers apart. */
struct modrm {
    uint8_t reg, base, index; /* 0 - 31 */
    struct bytes tail;
    bool memory, rip;
    unsigned rip_at;
};

static void add(struct bytes *b, unsigned byte)
{
    if (b->n < sizeof(b->b))
        b->b[b->n++] = (uint8_t)byte;
}

static void add_number(struct bytes *b, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        add(b, (unsigned)(value >> i * 8) & 0xff);
}

static uint32_t data_address(struct gen *g)
{
    uint32_t a = DIFF_DATA + diff_below(&g->rng, DIFF_DATA_SIZE - 64);

    if (diff_chance(&g->rng, 3))
        return DIFF_RO + (a & 0xff0);
    return diff_chance(&g->rng, 70) ? a & ~63u : a;
}

static int small_disp(struct gen *g, int range)
{
    int d = (int)diff_below(&g->rng, (uint32_t)range * 2) - range;

    return diff_chance(&g->rng, 50) ? d & ~15 : d;
}

static uint8_t pick_pointer(struct gen *g, bool compat)
{
    return compat ? pointers32[diff_below(&g->rng, sizeof(pointers32))]
                  : pointers64[diff_below(&g->rng, sizeof(pointers64))];
}

static uint8_t pick_index(struct gen *g, bool compat)
{
    return compat ? indexes32[diff_below(&g->rng, sizeof(indexes32))]
                  : indexes64[diff_below(&g->rng, sizeof(indexes64))];
}

static uint8_t pick_any(struct gen *g, bool compat)
{
    static const uint8_t free64[] = {0, 2, 8, 14, 15};
    static const uint8_t free32[] = {0, 2};

    if (diff_chance(&g->rng, 60))
        return (uint8_t)diff_below(&g->rng, compat ? 8 : 16);
    return compat ? free32[diff_below(&g->rng, 2)] : free64[diff_below(&g->rng, 5)];
}

static void add_disp(struct gen *g, struct modrm *m, unsigned mod)
{
    if (mod == 1)
        add(&m->tail, (unsigned)small_disp(g, 64) & 0xff);
    else if (mod == 2)
        add_number(&m->tail, (uint64_t)small_disp(g, 300), 4);
}

static unsigned pick_mod(struct gen *g, unsigned base)
{
    unsigned mod = diff_chance(&g->rng, 50) ? 0 : diff_chance(&g->rng, 65) ? 1 : 2;

    return mod == 0 && (base & 7) == 5 ? 1 : mod;
}

static void memory_sib(struct gen *g, struct modrm *m, bool compat, bool vsib)
{
    unsigned scale = diff_below(&g->rng, 4), mod;

    m->base = pick_pointer(g, compat);
    if (vsib)
        m->index = (uint8_t)((compat ? 6 : 14) + diff_below(&g->rng, 2));
    else
        m->index = diff_chance(&g->rng, 25) ? 4 : pick_index(g, compat);
    mod = pick_mod(g, m->base);
    add(&m->tail, mod << 6 | (m->reg & 7u) << 3 | 4);
    add(&m->tail, scale << 6 | (m->index & 7u) << 3 | (m->base & 7u));
    add_disp(g, m, mod);
}

/* RIP-relative, or without any base: absolute. */
static void memory_fixed(struct gen *g, struct modrm *m, bool compat)
{
    bool sib = diff_chance(&g->rng, 40);

    add(&m->tail, (m->reg & 7u) << 3 | (sib ? 4u : 5u));
    if (sib) {
        m->index = diff_chance(&g->rng, 50) ? 4 : pick_index(g, compat);
        add(&m->tail, diff_below(&g->rng, 4) << 6 | (m->index & 7u) << 3 | 5);
    }
    m->rip = !sib && !compat;
    m->rip_at = m->tail.n;
    add_number(&m->tail, data_address(g) - g->seq->data_base, 4);
}

/* With 16 bits of address: a sum of BX or BP and SI or DI, one of them, or a number. */
static void make_modrm16(struct gen *g, struct modrm *m)
{
    unsigned rm = diff_below(&g->rng, 8), mod = diff_chance(&g->rng, 60) ? 0 : 1;

    m->memory = diff_chance(&g->rng, 55);
    if (!m->memory) {
        m->base = pick_any(g, true);
        add(&m->tail, 0xc0 | (m->reg & 7u) << 3 | (m->base & 7u));
        return;
    }
    mod += mod != 0 && diff_chance(&g->rng, 40);
    add(&m->tail, mod << 6 | (m->reg & 7u) << 3 | rm);
    if (mod == 1)
        add(&m->tail, (unsigned)small_disp(g, 64) & 0xff);
    else if (mod == 2)
        add_number(&m->tail, (uint64_t)small_disp(g, 300), 2);
    else if (rm == 6)
        add_number(&m->tail, data_address(g) - g->seq->data_base, 2);
}

static void make_modrm(struct gen *g, struct modrm *m, bool compat, bool vsib)
{
    memset(m, 0, sizeof(*m));
    m->reg = pick_any(g, compat);
    if (g->addr16 && !vsib) {
        make_modrm16(g, m);
        return;
    }
    m->memory = vsib || diff_chance(&g->rng, 55);
    if (!m->memory) {
        m->base = pick_any(g, compat);
        m->index = diff_chance(&g->rng, 50) ? 16 : 0; /* EVEX: bit 4 of the register */
        add(&m->tail, 0xc0 | (m->reg & 7u) << 3 | (m->base & 7u));
    } else if (vsib || diff_chance(&g->rng, 30)) {
        memory_sib(g, m, compat, vsib);
    } else if (diff_chance(&g->rng, 12)) {
        memory_fixed(g, m, compat);
    } else if (diff_chance(&g->rng, 4)) {
        add_number(&m->tail, diff_rng_next(&g->rng), 6);
    } else {
        unsigned mod;

        m->base = pick_pointer(g, compat);
        mod = pick_mod(g, m->base);
        add(&m->tail, mod << 6 | (m->reg & 7u) << 3 | (m->base & 7u));
        if ((m->base & 7) == 4)
            add(&m->tail, 0x24);
        add_disp(g, m, mod);
    }
}

static void add_immediate(struct gen *g, struct bytes *b)
{
    uint64_t r = diff_rng_next(&g->rng);
    unsigned style = diff_below(&g->rng, 4);

    if (style == 0)
        r &= 0xff;
    else if (style == 1)
        r = (uint64_t)(int8_t)r;
    add_number(b, r, 8);
}

static void shuffle_prefixes(struct gen *g, struct bytes *b)
{
    for (unsigned i = b->n; i > 1; i--) {
        unsigned j = diff_below(&g->rng, i);
        uint8_t t = b->b[i - 1];

        b->b[i - 1] = b->b[j];
        b->b[j] = t;
    }
}

static bool is_string(unsigned map, unsigned opcode)
{
    return map == 0 && opcode >= 0xa4 && opcode <= 0xaf && opcode != 0xa8 && opcode != 0xa9;
}

static void legacy_prefixes(struct gen *g, struct bytes *b, unsigned map, unsigned opcode,
                            bool memory)
{
    static const uint8_t mandatory[] = {0, 0, 0, 0, 0x66, 0x66, 0x66, 0xf3, 0xf3, 0xf2};
    static const uint8_t segments[] = {0x64, 0x65, 0x64, 0x65, 0x26, 0x2e, 0x36, 0x3e};
    unsigned p = map == 0 ? 0 : mandatory[diff_below(&g->rng, sizeof(mandatory))];

    if (p != 0)
        add(b, p);
    if (map == 0 && diff_chance(&g->rng, 18))
        add(b, 0x66);
    if (diff_chance(&g->rng, is_string(map, opcode) ? 60 : 2))
        add(b, diff_chance(&g->rng, 60) ? 0xf3 : 0xf2);
    if (memory && map < 2 && diff_chance(&g->rng, 8))
        add(b, 0xf0);
    if (diff_chance(&g->rng, 4))
        add(b, 0x67);
    if (diff_chance(&g->rng, 6))
        add(b, segments[diff_below(&g->rng, sizeof(segments))]);
    if (diff_chance(&g->rng, 2))
        add(b, 0x66);
    shuffle_prefixes(g, b);
}

static void add_rex(struct gen *g, struct bytes *b, const struct modrm *m)
{
    unsigned rex = 0x40;

    if (diff_chance(&g->rng, 1)) /* an ignored one: not the last prefix */
        add(b, 0x40 | diff_below(&g->rng, 16)), add(b, 0x3e);
    rex |= diff_chance(&g->rng, 38) ? 8 : 0;
    rex |= m->reg & 8 ? 4 : 0;
    rex |= m->memory && (m->index & 8) ? 2 : 0;
    rex |= m->base & 8 ? 1 : 0;
    if (rex != 0x40 || diff_chance(&g->rng, 15))
        add(b, rex);
}

static void make_legacy(struct gen *g, struct bytes *b, struct modrm *m, bool compat)
{
    static const uint8_t maps[] = {0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 3};
    unsigned map = maps[diff_below(&g->rng, sizeof(maps))];
    unsigned opcode = map == 0 && diff_chance(&g->rng, 15) ? 0xd8 + diff_below(&g->rng, 8) /* x87 */
                                                           : diff_below(&g->rng, 256);

    make_modrm(g, m, compat, false);
    legacy_prefixes(g, b, map, opcode, m->memory);
    if (!compat)
        add_rex(g, b, m);
    if (map > 0)
        add(b, 0x0f);
    if (map == 2)
        add(b, 0x38);
    if (map == 3)
        add(b, 0x3a);
    add(b, opcode);
    if (map == 0 && opcode >= 0xa0 && opcode <= 0xa3) {
        add_number(b, data_address(g) - g->seq->data_base, 8);
        m->tail.n = 0;
        m->rip = false;
    }
}

static bool is_vsib(unsigned map, unsigned opcode)
{
    return map == 2 && ((opcode >= 0x90 && opcode <= 0x93) || (opcode >= 0xa0 && opcode <= 0xa3) ||
                        opcode == 0xc6 || opcode == 0xc7);
}

/* Opcodes that random ones hit too seldom: gathers, and instructions on mask registers. */
static unsigned pick_opcode(struct gen *g, unsigned map, bool vex)
{
    static const uint8_t masks[] = {0x41, 0x42, 0x44, 0x45, 0x46, 0x47, 0x4a,
                                    0x4b, 0x90, 0x91, 0x92, 0x93, 0x98, 0x99};
    static const uint8_t gathers[] = {0x90, 0x91, 0x92, 0x93, 0xa0, 0xa1, 0xa2, 0xa3};

    if (map == 2 && diff_chance(&g->rng, 2))
        return gathers[diff_below(&g->rng, sizeof(gathers))];
    if (map == 1 && vex && diff_chance(&g->rng, 20))
        return masks[diff_below(&g->rng, sizeof(masks))];
    if (map == 3 && vex && diff_chance(&g->rng, 8))
        return 0x30 + diff_below(&g->rng, 4);
    return diff_below(&g->rng, 256);
}

static void vector_prefixes(struct gen *g, struct bytes *b)
{
    static const uint8_t segments[] = {0x64, 0x65, 0x67, 0x2e};

    if (diff_chance(&g->rng, 5))
        add(b, segments[diff_below(&g->rng, sizeof(segments))]);
}

static void make_vex(struct gen *g, struct bytes *b, struct modrm *m, bool compat)
{
    unsigned map = 1 + diff_below(&g->rng, 3), opcode = pick_opcode(g, map, true);
    unsigned vvvv = diff_chance(&g->rng, 30) ? 0 : pick_any(g, compat);
    unsigned pp = diff_chance(&g->rng, 40) ? 1 : diff_below(&g->rng, 4);
    unsigned last = (~vvvv & 15) << 3 | diff_below(&g->rng, 2) << 2 | pp;

    make_modrm(g, m, compat, is_vsib(map, opcode));
    if (!m->memory)
        m->index = 0;
    vector_prefixes(g, b);
    if (map == 1 && ((m->base | m->index) & 8) == 0 && diff_chance(&g->rng, 50)) {
        add(b, 0xc5);
        add(b, (m->reg & 8 ? 0u : 0x80u) | last);
    } else {
        add(b, 0xc4);
        add(b, (m->reg & 8 ? 0u : 0x80u) | (m->index & 8 ? 0u : 0x40u) |
                   (m->base & 8 ? 0u : 0x20u) | map);
        add(b, diff_below(&g->rng, 2) << 7 | last);
    }
    add(b, opcode);
}

static void make_evex(struct gen *g, struct bytes *b, struct modrm *m, bool compat)
{
    unsigned map = 1 + diff_below(&g->rng, 3), opcode = pick_opcode(g, map, false);
    unsigned vvvv = diff_chance(&g->rng, 20) ? 0 : diff_below(&g->rng, compat ? 8 : 32);
    unsigned pp = diff_chance(&g->rng, 40) ? 1 : diff_below(&g->rng, 4);
    unsigned mask = diff_chance(&g->rng, 40) ? 0 : diff_below(&g->rng, 8);
    bool vsib = is_vsib(map, opcode);
    bool high = !compat && diff_chance(&g->rng, 30);
    unsigned x, p2;

    make_modrm(g, m, compat, vsib);
    x = m->memory ? m->index & 8 : m->index & 16 && !compat;
    if (vsib) {
        vvvv = 0;
        mask = mask != 0 ? mask : 1;
    }
    vector_prefixes(g, b);
    add(b, 0x62);
    add(b, (m->reg & 8 ? 0u : 0x80u) | (x ? 0u : 0x40u) | (m->base & 8 ? 0u : 0x20u) |
               (high ? 0u : 0x10u) | map);
    add(b, diff_below(&g->rng, 2) << 7 | (~vvvv & 15) << 3 | 4 | pp);
    p2 = diff_below(&g->rng, 4) << 5 | (vvvv & 16 ? 0u : 8u) | mask;
    p2 |= mask != 0 && diff_chance(&g->rng, 40) ? 0x80 : 0;
    p2 |= diff_chance(&g->rng, 25) ? 0x10 : 0;
    add(b, p2);
    add(b, opcode);
}

/* Addresses of both sizes in segmented code. */
static void address_size(struct gen *g, struct bytes *b)
{
    bool narrow = g->seq->mode == DIFF_SEG16;

    g->addr16 = false;
    if (!diff_segmented(g->seq->mode))
        return;
    g->addr16 = diff_chance(&g->rng, narrow ? 60 : 15);
    if (g->addr16 != narrow)
        add(b, 0x67);
}

static void make_bytes(struct gen *g, struct bytes *b, struct modrm *m, bool compat)
{
    unsigned kind = diff_below(&g->rng, 100);

    b->n = 0;
    address_size(g, b);
    if (kind < 18 && g->avx)
        make_vex(g, b, m, compat);
    else if (kind < 40 && g->avx512)
        make_evex(g, b, m, compat);
    else
        make_legacy(g, b, m, compat);
    m->rip_at += b->n;
    for (unsigned i = 0; i < m->tail.n; i++)
        add(b, m->tail.b[i]);
    add_immediate(g, b);
}

/* Immediates that would send the stack pointer far away. */
static void tame(const ZydisDecodedInstruction *in, uint8_t *b)
{
    if (in->mnemonic == ZYDIS_MNEMONIC_ENTER) {
        b[in->length - 2] = 0;
        b[in->length - 1] &= 0x3;
    }
    if (in->mnemonic == ZYDIS_MNEMONIC_RET && in->raw.imm[0].size == 16)
        b[in->length - 1] = 0;
}

static bool wanted(struct gen *g, const ZydisDecodedInstruction *in)
{
    if (g->only == NULL)
        return true;
    return strcasecmp(ZydisMnemonicGetString(in->mnemonic), g->only) == 0;
}

/* Registers whose loss makes the rest of a sequence fault: changed now and then only. */
static bool spoils(struct gen *g, enum diff_mode mode, uint32_t written)
{
    uint32_t precious = diff_narrow(mode) ? 0xfa : 0x3efa;

    if ((written & g->kept) != 0)
        return true;
    return (written & precious) != 0 && !diff_chance(&g->rng, written & 0x10 ? 2 : 8);
}

bool gen_random(struct gen *g, struct gen_item *item)
{
    enum diff_mode mode = g->seq->mode;
    ZydisDecodedInstruction in;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    struct bytes b;
    struct modrm m;

    make_bytes(g, &b, &m, diff_narrow(mode));
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(gen_decoder(g, mode), b.b,
                                             ZYDIS_MAX_INSTRUCTION_LENGTH, &in, op)))
        return false;
    if (!wanted(g, &in) || !gen_allowed(g, mode, &in, op) || spoils(g, mode, gen_written(&in, op)))
        return false;
    tame(&in, b.b);
    memset(item, 0, sizeof(*item));
    memcpy(item->bytes, b.b, in.length);
    item->len = in.length;
    item->target = GEN_NO_TARGET;
    if (in.attributes & ZYDIS_ATTRIB_IS_RELATIVE && m.rip && in.raw.disp.size == 32) {
        item->fix = GEN_FIX_RIP_DATA;
        item->offset = in.raw.disp.offset;
        item->size = 4;
        item->address = data_address(g);
    }
    g->seen[in.mnemonic]++;
    return true;
}

void gen_wild(struct gen *g, uint64_t seed, enum diff_mode mode, struct diff_case *c)
{
    unsigned noise;

    static struct gen_seq none;

    diff_rng_seed(&g->rng, seed);
    g->seq = &none;
    noise = diff_below(&g->rng, 100);
    c->mode = mode;
    c->code_len = 0;
    while (c->code_len < 100) {
        struct bytes b = {.n = 0};
        struct modrm m;

        if (diff_chance(&g->rng, noise))
            add_number(&b, diff_rng_next(&g->rng), 8);
        else
            make_bytes(g, &b, &m, mode == DIFF_USER32);
        memcpy(c->code + c->code_len, b.b, b.n < 16 ? b.n : 16);
        c->code_len += b.n < 16 ? b.n - diff_below(&g->rng, 4) : 16;
    }
    gen_state(g, mode, c);
    c->regs.rip = DIFF_CODE + diff_below(&g->rng, 2 * DIFF_PAGE);
}
