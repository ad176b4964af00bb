/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One guest instruction as the translator sees it: Zydis' decoding plus masks of the general
 * registers and arithmetic flags it touches, and what kind of instruction it is.
 */
#ifndef DOPPEL_ENGINE_BT_INSN_H
#define DOPPEL_ENGINE_BT_INSN_H

#include <stdbool.h>
#include <stdint.h>
#include <Zydis/Zydis.h>

#define FLAGS_ARITH 0x8d5u /* CF PF AF ZF SF OF, as in RFLAGS */

/* The explicit memory operand. Registers are numbers 0 - 15, -1 for none. */
struct insn_mem {
    int8_t base, index;
    uint8_t scale;
    uint8_t seg;      /* enum x86_seg */
    uint8_t addrsize; /* 2, 4, 8 */
    bool rip;
    bool vsib;
    uint8_t access; /* enum bt_access: R, W */
    uint16_t size;  /* bytes */
    int64_t disp;
};

/* One of the visible operands, as Zydis names it. Sizes are in bits. */
struct insn_op {
    uint8_t type, actions;
    uint16_t size, element_size;
    union {
        struct {
            uint16_t value;
        } reg;
        struct {
            uint16_t index;
        } mem;
        struct {
            union {
                uint64_t u;
                int64_t s;
            } value;
        } imm;
        struct {
            uint16_t segment;
            uint32_t offset;
        } ptr;
    };
};

#define INSN_OPS 5 /* visible operands at most */

/* What of Zydis' decoding matters, under Zydis' names: small, since blocks of these are walked
 * again and again and the cache of decodings copies them. */
struct insn_decoded {
    uint64_t attributes;
    uint16_t mnemonic;
    uint8_t encoding, opcode, opcode_map;
    uint8_t operand_count_visible, address_width;
    struct {
        uint8_t broadcast_mode;
        uint16_t vector_length;
    } avx;
    struct {
        uint16_t category, isa_ext;
        uint8_t branch_type, exception_class;
    } meta;
    struct {
        struct {
            uint8_t offset, mod, reg, rm;
        } modrm;
        struct {
            uint8_t offset, base;
        } sib;
        struct {
            uint8_t offset, size;
        } disp;
        struct {
            uint8_t offset, size;
            bool is_signed;
        } imm[2];
        struct {
            uint8_t offset, W;
        } vex;
        struct {
            uint8_t offset, W, aaa;
        } evex;
        struct {
            uint8_t B;
        } rex;
    } raw;
};

struct insn {
    struct insn_decoded z;
    uint16_t off;                      /* in the page */
    uint16_t read, write, full;        /* GPRs read, written, written whole without being read */
    uint16_t fl_read, fl_kill, fl_mod; /* read; surely overwritten; possibly changed */
    uint8_t len;
    uint8_t opsize;   /* bytes: 2, 4, 8 (1 for byte operations keeps 1) */
    uint8_t str_size; /* bytes of the first memory operand, hidden ones counted */
    bool has_mem;
    bool vector;    /* touches x87, MMX, SSE, AVX or mask registers, or MXCSR */
    bool avx512;    /* EVEX, or touches mask registers */
    bool masked;    /* has a mask over the elements of its memory operand */
    bool aligned;   /* insists on an aligned one */
    bool high_byte; /* names AH, CH, DH or BH */
    bool hint;      /* does nothing: a prefetch, a NOP with an operand; has_mem is false */
    bool special;   /* x_system takes it */
    bool end;       /* and it leaves the block */
    struct insn_mem mem;
    struct insn_op op[INSN_OPS]; /* the visible ones */
    uint8_t raw[16];
};

/* Decoder state for one mode of the CPU. */
struct insn_cache;
struct insn_decoder {
    ZydisDecoder z;
    struct insn_cache *cache; /* NULL: decode anew each time */
    bool long64;
    uint8_t bits; /* 16, 32, 64 */
    uint8_t mode; /* what the bytes' meaning depends on, never 0 */
};

void insn_decoder_init(struct insn_decoder *d, unsigned bits, bool long_mode,
                       struct insn_cache *cache);

enum insn_result { INSN_OK, INSN_INVALID, INSN_TOO_LONG, INSN_MORE };
/* Decodes at most `avail` bytes. INSN_MORE: the instruction goes on beyond them. The bytes are read
 * once; in->raw has them, and if it is no instruction those that follow as well. */
enum insn_result insn_decode(const struct insn_decoder *d, const uint8_t *bytes, unsigned avail,
                             struct insn *in);
/* Only what does not depend on displacement and immediate: where it is, in `room` or the cache.
 * NULL if that is no instruction. */
const struct insn *insn_look(const struct insn_decoder *d, const uint8_t *bytes, unsigned avail,
                             struct insn *room);
/* A near jump to a constant place, maybe on a condition of flags. Not CALL, LOOP, JRCXZ. */
bool insn_jump(const struct insn *in);
/* Flags that are surely overwritten, the immediate considered. */
uint16_t insn_kills(const struct insn *in);
/* As insn_decode, without the cache. */
enum insn_result insn_decode_full(const struct insn_decoder *d, const uint8_t *bytes,
                                  unsigned avail, struct insn *in);

/* insn_cache.c: decodings by the bytes that decide them, which displacements and immediates do
 * not. */
struct insn_cache *insn_cache_create(void);
void insn_cache_destroy(struct insn_cache *ic);

/* Number 0 - 15 of the general register that holds `r`, or -1. *high: AH, CH, DH, BH. */
int insn_gpr(ZydisRegister r, bool *high);

#endif
