/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One guest instruction as the translator sees it: Zydis' decoding plus masks of the general
 * registers and arithmetic flags it touches.
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
    int64_t disp;
    uint16_t size;  /* bytes */
    uint8_t access; /* enum bt_access: R, W */
};

struct insn {
    ZydisDecodedInstruction z;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    uint8_t raw[16];
    uint16_t off; /* in the page */
    uint8_t len;
    uint8_t opsize; /* bytes: 2, 4, 8 (1 for byte operations keeps 1) */
    bool has_mem;
    struct insn_mem mem;
    uint16_t read, write, full;        /* GPRs read, written, written whole without being read */
    uint16_t fl_read, fl_kill, fl_mod; /* read; surely overwritten; possibly changed */
};

/* Decoder state for one mode of the CPU. */
struct insn_decoder {
    ZydisDecoder z;
    bool long64;
    uint8_t bits; /* 16, 32, 64 */
};

void insn_decoder_init(struct insn_decoder *d, unsigned bits, bool long_mode);

enum insn_result { INSN_OK, INSN_INVALID, INSN_TOO_LONG, INSN_MORE };
/* Decodes at most `avail` bytes. INSN_MORE: the instruction goes on beyond them. */
enum insn_result insn_decode(const struct insn_decoder *d, const uint8_t *bytes, unsigned avail,
                             struct insn *in);
/* Only length, mnemonic and flags. */
enum insn_result insn_peek(const struct insn_decoder *d, const uint8_t *bytes, unsigned avail,
                           struct insn *in);

/* Has a mask over the elements of its memory operand? Does it insist on an aligned one? */
bool insn_masked(const struct insn *in);
bool insn_aligned(const struct insn *in);

/* Number 0 - 15 of the general register that holds `r`, or -1. *high: AH, CH, DH, BH. */
int insn_gpr(ZydisRegister r, bool *high);

#endif
