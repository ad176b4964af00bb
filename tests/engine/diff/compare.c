/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Are two results of one case equal, as far as the architecture (and for dead flags the engine's
 * licence) makes them so? And how to show a case in which they are not.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gen.h"

#define SS_VECTOR 12
#define GP_VECTOR 13
#define PF_VECTOR 14
#define MF_VECTOR 16
#define PF_PRESENT 1u
#define PF_USER 4u
#define LARGEST_ACCESS 512                   /* bytes: FXRSTOR */
#define HIGH_HALF ((1ull << 47) - DIFF_PAGE) /* where Linux's user half ends */

static const char *const gpr_names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

struct text {
    char *at; /* NULL: nothing is kept */
    size_t left;
    bool equal;
};

static void differ(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void differ(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    t->equal = false;
    if (t->at == NULL)
        return;
    va_start(ap, fmt);
    n = vsnprintf(t->at, t->left, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= t->left)
        n = (int)strlen(t->at);
    t->at += n;
    t->left -= (size_t)n;
}

static void compare_number(struct text *t, const char *name, uint64_t want, uint64_t got)
{
    if (want != got)
        differ(t, "  %-8s native %016lx engine %016lx\n", name, want, got);
}

static void compare_bytes(struct text *t, const char *name, unsigned number, const uint8_t *want,
                          const uint8_t *got, unsigned len)
{
    if (memcmp(want, got, len) == 0)
        return;
    differ(t, "  %s%-5u native ", name, number);
    for (unsigned i = len; i-- > 0;)
        differ(t, "%02x", want[i]);
    differ(t, "\n           engine ");
    for (unsigned i = len; i-- > 0;)
        differ(t, "%02x", got[i]);
    differ(t, "\n");
}

/* Gives components that are in their initial state their values, so that images compare. */
static void normalize(uint8_t *x)
{
    uint64_t bv;
    const uint16_t fcw = 0x37f;

    memcpy(&bv, x + 512, 8);
    if ((bv & 1) == 0) {
        memset(x, 0, 24);
        memset(x + 32, 0, 128);
        memcpy(x, &fcw, 2);
    }
    if ((bv & 2) == 0)
        memset(x + 160, 0, 256);
    for (unsigned i = 2; i < 8; i++)
        if ((diff_xcr0() >> i & 1) != 0 && (bv >> i & 1) == 0)
            memset(x + diff_xsave_component(i).offset, 0, diff_xsave_component(i).size);
}

static void compare_legacy(struct text *t, const uint8_t *w, const uint8_t *g)
{
    compare_bytes(t, "fcw", 0, w, g, 2);
    compare_bytes(t, "fsw", 0, w + 2, g + 2, 2);
    compare_bytes(t, "ftw", 0, w + 4, g + 4, 1);
    compare_bytes(t, "mxcsr", 0, w + 24, g + 24, 4);
    for (unsigned i = 0; i < 8; i++)
        compare_bytes(t, "st", i, w + 32 + i * 16, g + 32 + i * 16, 10);
}

static void compare_vectors(struct text *t, const uint8_t *w, const uint8_t *g)
{
    uint64_t xcr0 = diff_xcr0();
    struct diff_component ymm = diff_xsave_component(2), k = diff_xsave_component(5),
                          zmm = diff_xsave_component(6), high = diff_xsave_component(7);

    for (unsigned i = 0; i < 16; i++) {
        compare_bytes(t, "xmm", i, w + 160 + i * 16, g + 160 + i * 16, 16);
        if (xcr0 & 4)
            compare_bytes(t, "ymmh", i, w + ymm.offset + i * 16, g + ymm.offset + i * 16, 16);
        if (xcr0 & 0x40)
            compare_bytes(t, "zmmh", i, w + zmm.offset + i * 32, g + zmm.offset + i * 32, 32);
        if (xcr0 & 0x80)
            compare_bytes(t, "zmm", 16 + i, w + high.offset + i * 64, g + high.offset + i * 64, 64);
    }
    for (unsigned i = 0; i < 8 && (xcr0 & 0x20); i++)
        compare_bytes(t, "k", i, w + k.offset + i * 8, g + k.offset + i * 8, 8);
}

static void compare_data(struct text *t, const uint8_t *w, const uint8_t *g)
{
    unsigned shown = 0;

    for (unsigned i = 0; i < DIFF_DATA_SIZE && shown < 8; i += 8)
        if (memcmp(w + i, g + i, 8) != 0) {
            char name[16];
            uint64_t a, b;

            memcpy(&a, w + i, 8);
            memcpy(&b, g + i, 8);
            snprintf(name, sizeof(name), "%x", DIFF_DATA + i);
            compare_number(t, name, a, b);
            shown++;
        }
}

static void compare_gprs(struct text *t, enum diff_mode mode, const struct diff_result *want,
                         const struct diff_result *got)
{
    for (unsigned i = 0; i < 16; i++) {
        /* In compatibility mode the upper halves are nobody's business. */
        uint64_t mask = diff_narrow(mode) && i < 8 ? UINT32_MAX : UINT64_MAX;

        compare_number(t, gpr_names[i], want->regs.gpr[i] & mask, got->regs.gpr[i] & mask);
    }
}

/* The instruction at the address of a fault; false: there is none. */
static bool faulting(const struct gen *g, const struct gen_seq *seq, const struct diff_result *r,
                     ZydisDecodedInstruction *in)
{
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

    for (unsigned i = 0; i < seq->count; i++)
        if (seq->at[i] == r->regs.rip && r->vector != 3)
            return ZYAN_SUCCESS(ZydisDecoderDecodeFull(
                gen_decoder(g, seq->mode), seq->item[i].bytes, seq->item[i].len, in, op));
    return false;
}

/* POPA that faults midway may have loaded some registers. */
static bool partial_registers(const struct gen *g, const struct gen_seq *seq,
                              const struct diff_result *r)
{
    ZydisDecodedInstruction in;

    return faulting(g, seq, r, &in) &&
           (in.mnemonic == ZYDIS_MNEMONIC_POPA || in.mnemonic == ZYDIS_MNEMONIC_POPAD);
}

/* A gather or scatter that faults midway may have done any of its elements. */
static bool partial(const struct gen *g, const struct gen_seq *seq, const struct diff_result *r)
{
    ZydisDecodedInstruction in;

    return faulting(g, seq, r, &in) && (in.meta.category == ZYDIS_CATEGORY_GATHER ||
                                        in.meta.category == ZYDIS_CATEGORY_AVX2GATHER ||
                                        in.meta.category == ZYDIS_CATEGORY_SCATTER);
}

/* Large and masked accesses name any missing byte of theirs. */
static bool any_byte(const struct gen *g, const struct gen_seq *seq, const struct diff_result *r)
{
    ZydisDecodedInstruction in;

    if (!faulting(g, seq, r, &in))
        return false;
    switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_POPA:
    case ZYDIS_MNEMONIC_POPAD:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VPMASKMOVD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ:
        return true;
    default:
        return in.avx.mask.mode > ZYDIS_MASK_MODE_DISABLED;
    }
}

static bool is_cmps(const ZydisDecodedInstruction *in)
{
    return in->meta.category == ZYDIS_CATEGORY_STRINGOP && (in->opcode & 0xfe) == 0xa6;
}

/* CMPS reads its operands in an order that the manuals leave open: a Zen 3 begins with the one at
 * rDI, a Zen 4 with the one at rSI for REPE CMPSB. */
static bool other_operand(const struct gen *g, const struct gen_seq *seq,
                          const struct diff_result *want, const struct diff_result *got)
{
    ZydisDecodedInstruction in;

    if (!faulting(g, seq, want, &in) || !is_cmps(&in))
        return false;
    uint64_t mask = UINT64_MAX >> (64 - in.address_width);
    uint64_t apart = (want->regs.gpr[6] - want->regs.gpr[7]) & mask;
    uint64_t moved = (want->cr2 - got->cr2) & mask, back = (got->cr2 - want->cr2) & mask;
    uint64_t slack = diff_segmented(seq->mode) ? 0x800 : 8; /* bases differ */
    return ((moved - apart + slack) & mask) < 2 * slack ||
           ((back - apart + slack) & mask) < 2 * slack;
}

/*
 * Two reasons to fault, and which comes first is up to the CPU (SDM vol. 3, table 6-2): misaligned
 * and not there, or a pending x87 exception before an operand that is not there. Likewise an
 * operand that runs over 4 GB in 32-bit code (vol. 3, 5.3).
 */
static uint32_t stack_base(const struct diff_case *c)
{
    return diff_segmented(c->mode) ? c->seg[DIFF_SS].base : 0;
}

static bool is_address(const struct diff_result *r)
{
    return r->vector == SS_VECTOR || r->vector == GP_VECTOR || r->vector == PF_VECTOR;
}

static bool same_group(const struct diff_case *c, const struct diff_result *want,
                       const struct diff_result *got)
{

    if (diff_narrow(c->mode) && want->vector == SS_VECTOR && got->vector == PF_VECTOR)
        return (uint32_t)(got->cr2 - stack_base(c) + 64) < 128;
    return is_address(got) &&
           ((want->vector == GP_VECTOR && want->error == 0) || want->vector == MF_VECTOR);
}

/* Two addresses that fault, in an order that is up to the CPU: operands of CMPS, parts of large,
 * masked and 80-bit ones, and the stack and the target of a call, which the manuals of the vendors
 * check in different order. */
static bool two_addresses(const struct gen *g, const struct gen_seq *seq,
                          const struct diff_result *want, const struct diff_result *got)
{
    ZydisDecodedInstruction in;

    if (!is_address(want) || !is_address(got) || !faulting(g, seq, want, &in))
        return false;
    return is_cmps(&in) || in.meta.category == ZYDIS_CATEGORY_CALL ||
           in.meta.category == ZYDIS_CATEGORY_X87_ALU || any_byte(g, seq, want);
}

/* A far return with a bad selector, reached by a case that went astray: a Zen 3 looks at the stack
 * behind the immediate's bytes before it looks at the selector. */
static bool far_return(const struct diff_case *c, const struct diff_result *want,
                       const struct diff_result *got)
{
    uint64_t at = want->regs.rip - c->regs.rip;

    if (want->vector != PF_VECTOR || got->vector != GP_VECTOR)
        return false;
    while (at < c->code_len && (c->code[at] & 0xf0) == 0x40) /* REX */
        at++;
    return at < c->code_len && (c->code[at] & 0xfe) == 0xca;
}

static void compare_fault(struct text *t, const struct gen *g, const struct gen_seq *seq,
                          const struct diff_case *c, const struct diff_result *want,
                          const struct diff_result *got)
{
    uint64_t ignore = seq->mode == DIFF_KERNEL ? PF_USER : 0;

    bool same = same_group(c, want, got) || two_addresses(g, seq, want, got);

    if (!same && !far_return(c, want, got))
        compare_number(t, "vector", want->vector, got->vector);
    compare_number(t, "rip", want->regs.rip, got->regs.rip);
    if (want->vector != got->vector)
        return;
    if (want->vector == PF_VECTOR) {
        uint64_t apart = want->cr2 > got->cr2 ? want->cr2 - got->cr2 : got->cr2 - want->cr2;

        if ((apart >= LARGEST_ACCESS || !any_byte(g, seq, want)) &&
            !other_operand(g, seq, want, got))
            compare_number(t, "cr2", want->cr2, got->cr2);
        if (want->cr2 >= HIGH_HALF) /* Linux shows a protection fault in any case */
            ignore |= PF_PRESENT;
        if (want->cr2 - DIFF_CODE < DIFF_CODE_SIZE) /* which it maps when it is touched */
            ignore |= PF_PRESENT;
    }
    if (want->vector >= 10 && want->vector <= 17)
        compare_number(t, "error", want->error & ~ignore, got->error & ~ignore);
}

/* MASKMOVQ and MASKMOVDQU may fault although they would store nothing. */
static bool may_fault(const struct gen *g, const struct gen_seq *seq,
                      const struct diff_result *want, const struct diff_result *got)
{
    ZydisDecodedInstruction in;

    bool address = want->vector == PF_VECTOR || want->vector == GP_VECTOR;

    if (!address || got->regs.rip == want->regs.rip || !faulting(g, seq, want, &in))
        return false;
    return in.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ || in.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
           in.mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU;
}

static void compare_done(struct text *t, const struct gen *g, const struct gen_seq *seq,
                         const struct diff_case *c, const struct diff_result *want,
                         const struct diff_result *got)
{
    static uint8_t w[DIFF_XSAVE], x[DIFF_XSAVE];
    uint32_t flags = flow_flags(g, seq, want->vector, want->regs.rip) | DIFF_DF | DIFF_ID;

    if (seq->mode != DIFF_KERNEL)
        flags |= DIFF_AC | DIFF_TF;
    compare_fault(t, g, seq, c, want, got);
    compare_number(t, "rflags", want->regs.rflags & flags, got->regs.rflags & flags);
    if (!partial_registers(g, seq, want))
        compare_gprs(t, seq->mode, want, got);
    if (partial(g, seq, want))
        return;
    memcpy(w, want->xsave, sizeof(w));
    memcpy(x, got->xsave, sizeof(x));
    normalize(w);
    normalize(x);
    compare_legacy(t, w, x);
    compare_vectors(t, w, x);
    compare_data(t, want->data, got->data);
}

/* A case that came to lie inside its own instructions may have met a privileged one, which the two
 * privilege levels take differently. */
static bool astray(const struct gen_seq *seq, const struct diff_result *r)
{
    for (unsigned i = 0; i <= seq->count; i++)
        if (r->regs.rip == seq->at[i])
            return false;
    return seq->mode == DIFF_KERNEL && r->vector == GP_VECTOR && r->regs.rip >= DIFF_CODE &&
           r->regs.rip < DIFF_CODE + DIFF_CODE_SIZE;
}

bool diff_compare(const struct gen *g, const struct gen_seq *seq, const struct diff_case *c,
                  const struct diff_result *want, const struct diff_result *got, char *out,
                  size_t size)
{
    struct text t = {out, size, true};

    if (got->status == DIFF_DONE && (may_fault(g, seq, want, got) || astray(seq, want)))
        return true;
    if (want->status != DIFF_DONE || got->status == DIFF_NOT_RUN)
        return true; /* it killed the oracle or never ends: nothing to compare with */
    if (got->status != DIFF_DONE)
        differ(&t, "  engine %s: %s\n", got->status == DIFF_TIMEOUT ? "hangs" : "stops", got->note);
    else
        compare_done(&t, g, seq, c, want, got);
    return t.equal;
}

void diff_print_bytes(const struct gen *g, const struct diff_case *c)
{
    ZydisFormatter f;
    uint32_t at = 0;

    ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
    while (at < c->code_len) {
        ZydisDecodedInstruction in;
        ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
        char text[128] = "?";
        unsigned len = 1;

        if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(gen_decoder(g, c->mode), c->code + at,
                                                c->code_len - at, &in, op))) {
            ZydisFormatterFormatInstruction(&f, &in, op, in.operand_count_visible, text,
                                            sizeof(text), c->regs.rip + at, NULL);
            len = in.length;
        }
        printf("  %08lx  ", c->regs.rip + at);
        for (unsigned b = 0; b < 15; b++)
            b < len ? printf("%02x", c->code[at + b]) : printf("  ");
        printf("  %s\n", text);
        at += len;
    }
}

void diff_print_code(const struct gen *g, const struct gen_seq *seq)
{
    ZydisFormatter f;

    ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
    for (unsigned i = 0; i < seq->count; i++) {
        ZydisDecodedInstruction in;
        ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
        char text[128] = "?";

        if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(gen_decoder(g, seq->mode), seq->item[i].bytes,
                                                seq->item[i].len, &in, op)))
            ZydisFormatterFormatInstruction(&f, &in, op, in.operand_count_visible, text,
                                            sizeof(text), seq->at[i], NULL);
        printf("  %08x  ", seq->at[i]);
        for (unsigned b = 0; b < 15; b++)
            b < seq->item[i].len ? printf("%02x", seq->item[i].bytes[b]) : printf("  ");
        printf("  %s\n", text);
    }
}

void diff_print(const struct gen *g, const struct gen_seq *seq, const struct diff_case *c,
                const struct diff_result *want, const struct diff_result *got)
{
    static const char *const modes[] = {"user64", "user32", "kernel", "seg32", "seg16"};
    static const char *const segments[] = {"cs", "ds", "es", "ss"};
    static char out[16384];
    uint32_t mxcsr, fcw;

    memcpy(&mxcsr, c->xsave + 24, 4);
    memcpy(&fcw, c->xsave, 4);
    printf("  mode %s\n", modes[seq->mode]);
    diff_print_code(g, seq);
    for (unsigned i = 0; i < 16; i++)
        printf("  %-3s %016lx%s", gpr_names[i], c->regs.gpr[i], i % 4 == 3 ? "\n" : "");
    printf("  rflags %lx fs %lx gs %lx mxcsr %x fcw+fsw %x\n", c->regs.rflags, c->regs.fs_base,
           c->regs.gs_base, mxcsr, fcw);
    for (unsigned i = 0; i < DIFF_SEGMENTS && diff_segmented(seq->mode); i++)
        printf("  %s base %x limit %x%s%s%s%s\n", segments[i], c->seg[i].base, c->seg[i].limit,
               c->seg[i].pages ? " pages" : "", c->seg[i].big ? " big" : "",
               c->seg[i].down ? " down" : "", c->seg[i].readonly ? " readonly" : "");
    printf("  native: vector %u error %lx rip %lx rflags %lx cr2 %lx\n", want->vector, want->error,
           want->regs.rip, want->regs.rflags, want->cr2);
    if (got->status == DIFF_DONE)
        printf("  engine: vector %u error %lx rip %lx rflags %lx cr2 %lx\n", got->vector,
               got->error, got->regs.rip, got->regs.rflags, got->cr2);
    out[0] = '\0';
    diff_compare(g, seq, c, want, got, out, sizeof(out));
    printf("%s", out);
    fflush(stdout);
}
