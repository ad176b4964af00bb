/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of an x86 CPU as GDB numbers them: see regs.h. */
#include "gdb/regs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XSTATE_BV 512 /* of struct x86_cpu's XSAVE image: Intel SDM vol. 1, 13.4.2 */
#define XSAVE_AVX 576

enum feature { CORE, SSE, AVX, SEGMENTS, SYSTEM };

enum kind {
    WORD,     /* a field of struct x86_cpu: `at`, `bytes` */
    FLAGS,    /* RFLAGS */
    SELECTOR, /* of segment `at` */
    CONTROL,  /* a WORD that may change only in the bits of `free` */
    FIXED,    /* a WORD that may not change */
    IMAGE,    /* of the XSAVE image: `at`, `bytes`, component `comp` */
    TAGS,     /* the x87's tag word, which the image has in short */
};

struct reg {
    const char *name, *type;
    uint8_t size; /* that GDB sees */
    uint8_t feature, kind, comp;
    uint8_t bytes; /* in struct x86_cpu */
    uint16_t at;
    uint64_t free;
};

#define AT(field) \
    .at = offsetof(struct x86_cpu, field), .bytes = sizeof(((struct x86_cpu *)0)->field)
#define GPR(name, n, type)                                                      \
    {                                                                           \
        name, type, 8, CORE, WORD, .at = 8 * (n) /* gpr is first */, .bytes = 8 \
    }
#define SEL(name, n)                                 \
    {                                                \
        name, "int32", 4, CORE, SELECTOR, .at = (n), \
    }
#define ST(n)                                                                  \
    {                                                                          \
        "st" #n, "i387_ext", 10, CORE, IMAGE, .at = 32 + 16 * (n), .bytes = 10 \
    }
#define X87(name, off, n)                                      \
    {                                                          \
        name, "int", 4, CORE, IMAGE, .at = (off), .bytes = (n) \
    }
#define XMM(n)                                                                           \
    {                                                                                    \
        "xmm" #n, "vec128", 16, SSE, IMAGE, .comp = 1, .at = 160 + 16 * (n), .bytes = 16 \
    }
#define YMMH(n)                                                                         \
    {                                                                                   \
        "ymm" #n "h", "uint128", 16, AVX, IMAGE, .comp = 2, .at = XSAVE_AVX + 16 * (n), \
                                                 .bytes = 16                            \
    }
#define SYS(name, kind, field, ...)                              \
    {                                                            \
        name, "int64", 8, SYSTEM, kind, AT(field), ##__VA_ARGS__ \
    }

/* AVX comes last of GDB's features, so that leaving it out moves nothing but our own. */
static const struct reg regs[] = {
    GPR("rax", X86_RAX, "int64"),
    GPR("rbx", X86_RBX, "int64"),
    GPR("rcx", X86_RCX, "int64"),
    GPR("rdx", X86_RDX, "int64"),
    GPR("rsi", X86_RSI, "int64"),
    GPR("rdi", X86_RDI, "int64"),
    GPR("rbp", X86_RBP, "data_ptr"),
    GPR("rsp", X86_RSP, "data_ptr"),
    GPR("r8", 8, "int64"),
    GPR("r9", 9, "int64"),
    GPR("r10", 10, "int64"),
    GPR("r11", 11, "int64"),
    GPR("r12", 12, "int64"),
    GPR("r13", 13, "int64"),
    GPR("r14", 14, "int64"),
    GPR("r15", 15, "int64"),
    {"rip", "code_ptr", 8, CORE, WORD, AT(rip)},
    {"eflags", "i386_eflags", 4, CORE, FLAGS, AT(rflags)},
    SEL("cs", X86_CS),
    SEL("ss", X86_SS),
    SEL("ds", X86_DS),
    SEL("es", X86_ES),
    SEL("fs", X86_FS),
    SEL("gs", X86_GS),
    ST(0),
    ST(1),
    ST(2),
    ST(3),
    ST(4),
    ST(5),
    ST(6),
    ST(7),
    X87("fctrl", 0, 2),
    X87("fstat", 2, 2),
    {"ftag", "int", 4, CORE, TAGS, .at = 4, .bytes = 1},
    X87("fiseg", 12, 2),
    X87("fioff", 8, 4),
    X87("foseg", 20, 2),
    X87("fooff", 16, 4),
    X87("fop", 6, 2),
    XMM(0),
    XMM(1),
    XMM(2),
    XMM(3),
    XMM(4),
    XMM(5),
    XMM(6),
    XMM(7),
    XMM(8),
    XMM(9),
    XMM(10),
    XMM(11),
    XMM(12),
    XMM(13),
    XMM(14),
    XMM(15),
    {"mxcsr", "i386_mxcsr", 4, SSE, IMAGE, .comp = 1, .at = 24, .bytes = 4},
    {"fs_base", "int64", 8, SEGMENTS, WORD, AT(seg[X86_FS].base)},
    {"gs_base", "int64", 8, SEGMENTS, WORD, AT(seg[X86_GS].base)},
    SYS("k_gs_base", WORD, kernel_gs_base),
    /* What would change the mode stays: PE, PG; PAE, LA57, PCIDE; LME, LMA. */
    SYS("cr0", CONTROL, cr0, .free = 0x6005003e),
    SYS("cr2", WORD, cr2),
    SYS("cr3", CONTROL, cr3, .free = 0x000ffffffffff01f),
    SYS("cr4", CONTROL, cr4, .free = 0x7007cf),
    SYS("efer", CONTROL, efer, .free = 0x801),
    SYS("dr0", FIXED, dr[0]),
    SYS("dr1", FIXED, dr[1]),
    SYS("dr2", FIXED, dr[2]),
    SYS("dr3", FIXED, dr[3]),
    SYS("dr6", FIXED, dr[6]),
    SYS("dr7", FIXED, dr[7]),
    SYS("gdtr_base", FIXED, gdtr.base),
    SYS("gdtr_limit", FIXED, gdtr.limit),
    SYS("idtr_base", FIXED, idtr.base),
    SYS("idtr_limit", FIXED, idtr.limit),
    SYS("ldtr", FIXED, ldtr.selector),
    SYS("ldtr_base", FIXED, ldtr.base),
    SYS("tr", FIXED, tr.selector),
    SYS("tr_base", FIXED, tr.base),
    SYS("star", FIXED, star),
    SYS("lstar", FIXED, lstar),
    SYS("fmask", FIXED, fmask),
    SYS("xcr0", FIXED, xcr0),
    YMMH(0),
    YMMH(1),
    YMMH(2),
    YMMH(3),
    YMMH(4),
    YMMH(5),
    YMMH(6),
    YMMH(7),
    YMMH(8),
    YMMH(9),
    YMMH(10),
    YMMH(11),
    YMMH(12),
    YMMH(13),
    YMMH(14),
    YMMH(15),
};

#define COUNT (sizeof(regs) / sizeof(regs[0]))

_Static_assert(offsetof(struct x86_cpu, gpr) == 0, "GPR() counts from the start");

unsigned gdb_reg_count(bool avx)
{
    return COUNT - (avx ? 0 : 16);
}

unsigned gdb_reg_size(unsigned n)
{
    return regs[n].size;
}

const char *gdb_reg_name(unsigned n)
{
    return regs[n].name;
}

bool gdb_reg_system(unsigned n)
{
    return regs[n].feature == SYSTEM;
}

/* --- the XSAVE image --- */

static bool present(const struct x86_cpu *cpu, unsigned comp)
{
    return cpu->xsave[XSTATE_BV] >> comp & 1;
}

/* Two bits for each physical register: 3 empty, 1 zero, 2 neither zero nor normal, 0 valid. Intel
 * SDM vol. 1, 8.1.7 and 10.5.1.1. */
static unsigned tag(const struct x86_cpu *cpu, unsigned phys)
{
    unsigned top = (unsigned)cpu->xsave[3] >> 3 & 7;
    const uint8_t *st = cpu->xsave + 32 + 16 * ((phys - top) & 7);
    uint64_t mantissa;
    unsigned exponent;

    if (!(cpu->xsave[4] >> phys & 1))
        return 3;
    memcpy(&mantissa, st, sizeof(mantissa));
    exponent = (st[8] | (unsigned)st[9] << 8) & 0x7fff;
    if (exponent == 0)
        return mantissa == 0 ? 1 : 2;
    return exponent == 0x7fff || !(mantissa >> 63) ? 2 : 0;
}

static unsigned tags(const struct x86_cpu *cpu)
{
    unsigned v = 0;

    if (!present(cpu, 0))
        return 0xffff;
    for (unsigned i = 0; i < 8; i++)
        v |= tag(cpu, i) << (2 * i);
    return v;
}

static void image_get(const struct x86_cpu *cpu, const struct reg *r, uint8_t *bytes)
{
    static const uint8_t fcw[2] = {0x7f, 0x03};

    /* XRSTOR takes MXCSR from the image whatever XSTATE_BV says. */
    if (present(cpu, r->comp) || r->at == 24)
        memcpy(bytes, cpu->xsave + r->at, r->bytes);
    else if (r->at == 0)
        memcpy(bytes, fcw, sizeof(fcw));
}

/* The component was in its initial state: that is now written down. */
static void make_present(struct x86_cpu *cpu, unsigned comp)
{
    if (present(cpu, comp))
        return;
    if (comp == 0) {
        memset(cpu->xsave, 0, 24);
        memset(cpu->xsave + 32, 0, 128);
        cpu->xsave[0] = 0x7f;
        cpu->xsave[1] = 0x03;
    } else if (comp == 1) {
        memset(cpu->xsave + 160, 0, 256);
    } else {
        memset(cpu->xsave + XSAVE_AVX, 0, 256);
    }
    cpu->xsave[XSTATE_BV] |= (uint8_t)(1u << comp);
}

static int image_set(struct x86_cpu *cpu, const struct reg *r, const uint8_t *bytes)
{
    if (r->comp == 2 && !(cpu->xcr0 >> 2 & 1))
        return -EINVAL;
    if (r->at == 24 && (bytes[2] | bytes[3]) != 0)
        return -EINVAL;
    make_present(cpu, r->comp);
    memcpy(cpu->xsave + r->at, bytes, r->bytes);
    return 0;
}

static int tags_set(struct x86_cpu *cpu, uint64_t value)
{
    uint8_t full = 0;

    for (unsigned i = 0; i < 8; i++)
        if ((value >> (2 * i) & 3) != 3)
            full |= (uint8_t)(1u << i);
    make_present(cpu, 0);
    cpu->xsave[4] = full;
    return 0;
}

/* --- one register --- */

void gdb_reg_get(const struct x86_cpu *cpu, unsigned n, uint8_t *bytes)
{
    const struct reg *r = &regs[n];
    uint32_t v;

    memset(bytes, 0, r->size);
    switch (r->kind) {
    case SELECTOR:
        memcpy(bytes, &cpu->seg[r->at].selector, 2);
        break;
    case IMAGE:
        image_get(cpu, r, bytes);
        break;
    case TAGS:
        v = tags(cpu);
        memcpy(bytes, &v, sizeof(v));
        break;
    default:
        memcpy(bytes, (const uint8_t *)cpu + r->at, r->bytes < r->size ? r->bytes : r->size);
    }
}

#define RFLAGS_FREE 0x257fd5ull /* all but VM, VIF, VIP and what is reserved */

static bool canonical(uint64_t lin)
{
    return (uint64_t)((int64_t)(lin << 7) >> 7) == lin; /* with 57 bits, too */
}

static int word_set(struct x86_cpu *cpu, const struct reg *r, uint64_t value)
{
    bool base = r->feature == SEGMENTS || r->at == offsetof(struct x86_cpu, kernel_gs_base);

    if (base && !canonical(value))
        return -EINVAL;
    memcpy((uint8_t *)cpu + r->at, &value, r->bytes);
    if (r->at == offsetof(struct x86_cpu, rip) && cpu->mp_state == X86_MP_HALTED)
        cpu->mp_state = X86_MP_RUNNABLE; /* it goes on elsewhere */
    return 0;
}

/* In real mode a selector says all; elsewhere it would have to be loaded by the CPU. */
static int selector_set(struct x86_cpu *cpu, unsigned seg, uint64_t value)
{
    if ((cpu->cr0 & 1) || value > 0xffff)
        return -EINVAL;
    cpu->seg[seg].selector = (uint16_t)value;
    cpu->seg[seg].base = value << 4;
    return 0;
}

int gdb_reg_set(struct x86_cpu *cpu, unsigned n, const uint8_t *bytes)
{
    const struct reg *r = &regs[n];
    uint8_t old[GDB_REG_MAX];
    uint64_t now = 0, value = 0;

    gdb_reg_get(cpu, n, old);
    if (memcmp(old, bytes, r->size) == 0)
        return 0; /* debuggers write back what they read */
    memcpy(&value, bytes, r->size < 8 ? r->size : 8);
    memcpy(&now, old, r->size < 8 ? r->size : 8);
    switch (r->kind) {
    case WORD:
        return word_set(cpu, r, value);
    case FLAGS:
        if ((now ^ value) & ~RFLAGS_FREE)
            return -EINVAL;
        cpu->rflags = value;
        return 0;
    case SELECTOR:
        return selector_set(cpu, r->at, value);
    case CONTROL:
        if ((now ^ value) & ~r->free)
            return -EINVAL;
        return word_set(cpu, r, value);
    case IMAGE:
        return image_set(cpu, r, bytes);
    case TAGS:
        return tags_set(cpu, value);
    default:
        return -EINVAL;
    }
}

/* --- the description --- */

static const char sse_types[] =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
    "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
    "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
    "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
    "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
    "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
    "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/></union>"
    "<flags id=\"i386_mxcsr\" size=\"4\"><field name=\"IE\" start=\"0\" end=\"0\"/>"
    "<field name=\"DE\" start=\"1\" end=\"1\"/><field name=\"ZE\" start=\"2\" end=\"2\"/>"
    "<field name=\"OE\" start=\"3\" end=\"3\"/><field name=\"UE\" start=\"4\" end=\"4\"/>"
    "<field name=\"PE\" start=\"5\" end=\"5\"/><field name=\"DAZ\" start=\"6\" end=\"6\"/>"
    "<field name=\"IM\" start=\"7\" end=\"7\"/><field name=\"DM\" start=\"8\" end=\"8\"/>"
    "<field name=\"ZM\" start=\"9\" end=\"9\"/><field name=\"OM\" start=\"10\" end=\"10\"/>"
    "<field name=\"UM\" start=\"11\" end=\"11\"/><field name=\"PM\" start=\"12\" end=\"12\"/>"
    "<field name=\"FZ\" start=\"15\" end=\"15\"/></flags>";

static const char core_types[] =
    "<flags id=\"i386_eflags\" size=\"4\"><field name=\"CF\" start=\"0\" end=\"0\"/>"
    "<field name=\"\" start=\"1\" end=\"1\"/><field name=\"PF\" start=\"2\" end=\"2\"/>"
    "<field name=\"AF\" start=\"4\" end=\"4\"/><field name=\"ZF\" start=\"6\" end=\"6\"/>"
    "<field name=\"SF\" start=\"7\" end=\"7\"/><field name=\"TF\" start=\"8\" end=\"8\"/>"
    "<field name=\"IF\" start=\"9\" end=\"9\"/><field name=\"DF\" start=\"10\" end=\"10\"/>"
    "<field name=\"OF\" start=\"11\" end=\"11\"/><field name=\"NT\" start=\"14\" end=\"14\"/>"
    "<field name=\"RF\" start=\"16\" end=\"16\"/><field name=\"VM\" start=\"17\" end=\"17\"/>"
    "<field name=\"AC\" start=\"18\" end=\"18\"/><field name=\"VIF\" start=\"19\" end=\"19\"/>"
    "<field name=\"VIP\" start=\"20\" end=\"20\"/><field name=\"ID\" start=\"21\" end=\"21\"/>"
    "</flags>";

static const struct {
    const char *name, *types;
} features[] = {
    [CORE] = {"org.gnu.gdb.i386.core", core_types}, [SSE] = {"org.gnu.gdb.i386.sse", sse_types},
    [AVX] = {"org.gnu.gdb.i386.avx", ""},           [SEGMENTS] = {"org.gnu.gdb.i386.segments", ""},
    [SYSTEM] = {"org.doppel.x86.system", ""},
};

static void describe(FILE *f, const struct reg *r)
{
    fprintf(f, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"", r->name, r->size * 8u, r->type);
    if (r->feature == SYSTEM)
        fputs(" group=\"system\"", f);
    else if (r->feature == CORE && (r->kind == IMAGE || r->kind == TAGS))
        fputs(" group=\"float\"", f);
    fputs("/>", f);
}

char *gdb_regs_xml(bool avx)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    int last = -1;

    if (f == NULL)
        return NULL;
    fputs("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
          "<architecture>i386:x86-64</architecture>",
          f);
    for (unsigned i = 0; i < gdb_reg_count(avx); i++) {
        if (regs[i].feature != last)
            fprintf(f, "%s<feature name=\"%s\">%s", last >= 0 ? "</feature>" : "",
                    features[regs[i].feature].name, features[regs[i].feature].types);
        last = regs[i].feature;
        describe(f, &regs[i]);
    }
    fputs("</feature></target>", f);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
