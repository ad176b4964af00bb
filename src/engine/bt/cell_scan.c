/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pages of code may run in a cell: those without instructions that neither do there what the
 * guest expects nor fault. CPUID would tell of the host, SGDT and kin of its tables. (RDTSC faults
 * there: PR_SET_TSC.)
 *
 * This is about fidelity, not safety: a program that hides such an instruction from the search sees
 * the host's numbers, and that is all. So bytes that look like one count only if one is read there
 * from most of some places before them; x86 code falls into step within a few instructions.
 */
#include <Zydis/Zydis.h>

#include "cell.h"

#define VOTERS 5u

/* The byte behind 0F. `more`: the ModRM byte. */
static bool sensitive(uint8_t op, uint8_t more, bool xsave)
{
    unsigned reg = more >> 3 & 7;
    bool memory = more >> 6 != 3;

    switch (op) {
    case 0x01: /* SGDT, SIDT, SMSW, XGETBV, RDPRU, RDPKRU, WRPKRU, ...; not XEND, XTEST, RDTSCP */
        return more != 0xd5 && more != 0xd6 && more != 0xf9;
    case 0x00: /* SLDT, STR, VERR, VERW */
    case 0x02: /* LAR */
    case 0x03: /* LSL */
    case 0x33: /* RDPMC */
    case 0x34: /* SYSENTER: the host's kernel does not say where it was */
    case 0xa2: /* CPUID */
        return true;
    case 0xae: /* XSAVE, XSAVEOPT */
        return xsave && memory && (reg == 4 || reg == 6);
    case 0xc7: /* RDPID; XSAVEC */
        return (!memory && reg == 7) || (xsave && memory && reg == 4);
    default:
        return false;
    }
}

static bool is_sensitive(const ZydisDecodedInstruction *z, const uint8_t *at, bool xsave)
{
    if (z->opcode_map == ZYDIS_OPCODE_MAP_0F && z->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY) {
        if (z->mnemonic == ZYDIS_MNEMONIC_RDSEED)
            return false;
        return sensitive(z->opcode, z->raw.modrm.offset != 0 ? at[z->raw.modrm.offset] : 0, xsave);
    }
    return z->opcode == 0xcd && z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;
}

/* Read from `from` on, is there a sensitive instruction at `at`? */
static bool found(const ZydisDecoder *d, const uint8_t *code, unsigned from, unsigned at,
                  bool xsave)
{
    ZydisDecodedInstruction z;

    while (from <= at) {
        if (!ZYAN_SUCCESS(
                ZydisDecoderDecodeInstruction(d, NULL, code + from, CELL_CODE - from, &z))) {
            from++;
            continue;
        }
        if (from + z.length > at)
            return is_sensitive(&z, code + from, xsave);
        from += z.length;
    }
    return false;
}

/* Could one be at these bytes? */
static bool suspect(const uint8_t *code, bool xsave)
{
    if (code[0] == 0x0f)
        return sensitive(code[1], code[2], xsave);
    return code[0] == 0xcd && (code[1] == 0x80 || code[1] == 3 || code[1] == 4);
}

/* Where the k-th voter begins to read. What is before the page may not be known: then those for its
 * first bytes begin at these. */
static unsigned start(unsigned at, unsigned k, bool before)
{
    unsigned from = at - CELL_BEFORE;

    if (before || from >= CELL_BEFORE)
        return from + 11 * k;
    return CELL_BEFORE + k < at ? CELL_BEFORE + k : at;
}

bool bt_cell_plain(const uint8_t code[CELL_CODE], bool before, bool xsave)
{
    ZydisDecoder d;

    ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (unsigned i = CELL_BEFORE; i < CELL_BEFORE + 4096; i++) {
        unsigned votes = 0;
        if (!suspect(code + i, xsave))
            continue;
        for (unsigned k = 0; k < VOTERS; k++)
            votes += found(&d, code, start(i, k, before), i, xsave);
        if (votes > VOTERS / 2)
            return false;
    }
    return true;
}
