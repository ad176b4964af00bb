/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy by which the guest's CPUID is made from the host's: Intel SDM vol. 2 CPUID, AMD64 APM
 * vol. 3 appendix E, and Linux' Documentation/virt/kvm/x86/cpuid.rst for the hypervisor leaves.
 *
 * One table names every feature bit that a guest may see and what it takes:
 *
 *   HOST    host user mode executes the instructions, and the engine copies them
 *   ENGINE  the engine implements it, whatever the host has
 *
 * A bit that is not in the table is not shown. So a feature of a CPU that is newer than this file
 * stays hidden, and so do the things that are not built: VMX, SVM, MONITOR, performance counters,
 * processor trace, 5-level paging, protection keys, CET, SGX, TSX, AMX, user interrupts, 3DNow!,
 * XOP and TBM, CLZERO.
 *
 * Vulnerabilities. The guest's page tables are walked in software and its pages are ordinary user
 * pages of this process, its indirect branches become look-ups: page-table isolation, retpolines,
 * VERW and return untraining in the guest protect nothing and cost much. So the bits with which a
 * CPU says that it needs none of them are set. What protects the host from the guest and guests
 * from each other are the host's own mitigations between processes.
 */
#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "x86/cpuid.h"

enum reg { EAX, EBX, ECX, EDX };
enum kind { HOST, ENGINE, ENGINE_AMD, ENGINE_INTEL };

#define XCR0_SSE 0x2u
#define XCR0_AVX 0x6u
#define XCR0_AVX512 0xe6u
#define XCR0_OFFERED (0x1u | XCR0_AVX512)

struct feature {
    uint32_t leaf, subleaf;
    enum reg reg;
    uint8_t bit;
    enum kind kind;
    uint8_t xcr0; /* components that the host's operating system must have enabled */
};

static const struct feature features[] = {
    /* 1 ECX */
    {1, 0, ECX, 0, HOST, XCR0_SSE},  /* SSE3 */
    {1, 0, ECX, 1, HOST, XCR0_SSE},  /* PCLMULQDQ */
    {1, 0, ECX, 9, HOST, XCR0_SSE},  /* SSSE3 */
    {1, 0, ECX, 12, HOST, XCR0_AVX}, /* FMA */
    {1, 0, ECX, 13, HOST},           /* CMPXCHG16B */
    {1, 0, ECX, 17, ENGINE},         /* PCID */
    {1, 0, ECX, 19, HOST, XCR0_SSE}, /* SSE4.1 */
    {1, 0, ECX, 20, HOST, XCR0_SSE}, /* SSE4.2 */
    {1, 0, ECX, 21, ENGINE},         /* x2APIC */
    {1, 0, ECX, 22, HOST},           /* MOVBE */
    {1, 0, ECX, 23, HOST},           /* POPCNT */
    {1, 0, ECX, 24, ENGINE},         /* TSC deadline */
    {1, 0, ECX, 25, HOST, XCR0_SSE}, /* AES */
    {1, 0, ECX, 26, HOST, XCR0_SSE}, /* XSAVE */
    {1, 0, ECX, 28, HOST, XCR0_AVX}, /* AVX */
    {1, 0, ECX, 29, HOST, XCR0_AVX}, /* F16C */
    {1, 0, ECX, 30, HOST},           /* RDRAND */
    {1, 0, ECX, 31, ENGINE},         /* hypervisor present */
    /* 1 EDX; APIC (9) is dynamic */
    {1, 0, EDX, 0, HOST},    /* FPU */
    {1, 0, EDX, 2, ENGINE},  /* DE */
    {1, 0, EDX, 3, ENGINE},  /* PSE */
    {1, 0, EDX, 4, HOST},    /* TSC */
    {1, 0, EDX, 5, ENGINE},  /* MSR */
    {1, 0, EDX, 6, ENGINE},  /* PAE */
    {1, 0, EDX, 7, ENGINE},  /* MCE */
    {1, 0, EDX, 8, HOST},    /* CMPXCHG8B */
    {1, 0, EDX, 9, ENGINE},  /* APIC */
    {1, 0, EDX, 11, ENGINE}, /* SYSENTER */
    {1, 0, EDX, 12, ENGINE}, /* MTRR */
    {1, 0, EDX, 13, ENGINE}, /* PGE */
    {1, 0, EDX, 14, ENGINE}, /* MCA */
    {1, 0, EDX, 15, HOST},   /* CMOV */
    {1, 0, EDX, 16, ENGINE}, /* PAT */
    {1, 0, EDX, 17, ENGINE}, /* PSE36 */
    {1, 0, EDX, 19, HOST},   /* CLFLUSH */
    {1, 0, EDX, 23, HOST},   /* MMX */
    {1, 0, EDX, 24, HOST},   /* FXSR */
    {1, 0, EDX, 25, HOST},   /* SSE */
    {1, 0, EDX, 26, HOST},   /* SSE2 */
    {1, 0, EDX, 27, HOST},   /* self snoop */
    /* 6 EAX */
    {6, 0, EAX, 2, ENGINE}, /* ARAT: the APIC timer never stops */
    /* 7.0 EBX */
    {7, 0, EBX, 0, HOST},               /* FSGSBASE */
    {7, 0, EBX, 1, ENGINE},             /* TSC_ADJUST */
    {7, 0, EBX, 3, HOST},               /* BMI1 */
    {7, 0, EBX, 5, HOST, XCR0_AVX},     /* AVX2 */
    {7, 0, EBX, 6, HOST},               /* FDP_EXCPTN_ONLY */
    {7, 0, EBX, 7, ENGINE},             /* SMEP */
    {7, 0, EBX, 8, HOST},               /* BMI2 */
    {7, 0, EBX, 9, HOST},               /* ERMS */
    {7, 0, EBX, 10, ENGINE},            /* INVPCID */
    {7, 0, EBX, 13, HOST},              /* FCS and FDS deprecated */
    {7, 0, EBX, 16, HOST, XCR0_AVX512}, /* AVX512F */
    {7, 0, EBX, 17, HOST, XCR0_AVX512}, /* AVX512DQ */
    {7, 0, EBX, 18, HOST},              /* RDSEED */
    {7, 0, EBX, 19, HOST},              /* ADX */
    {7, 0, EBX, 20, ENGINE},            /* SMAP */
    {7, 0, EBX, 21, HOST, XCR0_AVX512}, /* AVX512_IFMA */
    {7, 0, EBX, 23, HOST},              /* CLFLUSHOPT */
    {7, 0, EBX, 24, HOST},              /* CLWB */
    {7, 0, EBX, 28, HOST, XCR0_AVX512}, /* AVX512CD */
    {7, 0, EBX, 29, HOST, XCR0_SSE},    /* SHA */
    {7, 0, EBX, 30, HOST, XCR0_AVX512}, /* AVX512BW */
    {7, 0, EBX, 31, HOST, XCR0_AVX512}, /* AVX512VL */
    /* 7.0 ECX */
    {7, 0, ECX, 1, HOST, XCR0_AVX512},  /* AVX512_VBMI */
    {7, 0, ECX, 2, ENGINE},             /* UMIP */
    {7, 0, ECX, 6, HOST, XCR0_AVX512},  /* AVX512_VBMI2 */
    {7, 0, ECX, 8, HOST, XCR0_SSE},     /* GFNI */
    {7, 0, ECX, 9, HOST, XCR0_AVX},     /* VAES */
    {7, 0, ECX, 10, HOST, XCR0_AVX},    /* VPCLMULQDQ */
    {7, 0, ECX, 11, HOST, XCR0_AVX512}, /* AVX512_VNNI */
    {7, 0, ECX, 12, HOST, XCR0_AVX512}, /* AVX512_BITALG */
    {7, 0, ECX, 14, HOST, XCR0_AVX512}, /* AVX512_VPOPCNTDQ */
    {7, 0, ECX, 22, HOST},              /* RDPID */
    /* 7.0 EDX */
    {7, 0, EDX, 4, HOST},               /* FSRM */
    {7, 0, EDX, 8, HOST, XCR0_AVX512},  /* AVX512_VP2INTERSECT */
    {7, 0, EDX, 14, HOST},              /* SERIALIZE */
    {7, 0, EDX, 23, HOST, XCR0_AVX512}, /* AVX512_FP16 */
    {7, 0, EDX, 26, ENGINE_INTEL},      /* SPEC_CTRL */
    {7, 0, EDX, 29, ENGINE_INTEL},      /* ARCH_CAPABILITIES */
    /* 7.1 EAX */
    {7, 1, EAX, 4, HOST, XCR0_AVX},    /* AVX-VNNI */
    {7, 1, EAX, 5, HOST, XCR0_AVX512}, /* AVX512_BF16 */
    {7, 1, EAX, 10, HOST},             /* FZRM */
    {7, 1, EAX, 11, HOST},             /* FSRS */
    {7, 1, EAX, 12, HOST},             /* FSRC */
    /* d.1 EAX. Not XSAVEOPT: its init and modified optimisations depend on what the host saved
     * last; not XSAVES: the host keeps it to itself. */
    {0xd, 1, EAX, 1, HOST}, /* XSAVEC */
    {0xd, 1, EAX, 2, HOST}, /* XGETBV with ECX = 1 */
    /* 80000001 ECX */
    {0x80000001, 0, ECX, 0, HOST},            /* LAHF in 64-bit mode */
    {0x80000001, 0, ECX, 5, HOST},            /* LZCNT */
    {0x80000001, 0, ECX, 6, HOST, XCR0_SSE},  /* SSE4A */
    {0x80000001, 0, ECX, 7, HOST, XCR0_SSE},  /* misaligned SSE */
    {0x80000001, 0, ECX, 8, HOST},            /* PREFETCHW */
    {0x80000001, 0, ECX, 16, HOST, XCR0_AVX}, /* FMA4 */
    {0x80000001, 0, ECX, 22, HOST},           /* TOPOEXT */
    /* 80000001 EDX */
    {0x80000001, 0, EDX, 11, ENGINE},         /* SYSCALL */
    {0x80000001, 0, EDX, 20, ENGINE},         /* NX */
    {0x80000001, 0, EDX, 22, HOST, XCR0_SSE}, /* MMXEXT */
    {0x80000001, 0, EDX, 26, ENGINE},         /* 1 GB pages */
    {0x80000001, 0, EDX, 27, HOST},           /* RDTSCP */
    {0x80000001, 0, EDX, 29, ENGINE},         /* long mode */
    /* 80000007 EDX */
    {0x80000007, 0, EDX, 8, ENGINE}, /* invariant TSC */
    /* 80000008 EBX */
    {0x80000008, 0, EBX, 2, HOST},        /* FXSAVE always saves the error pointers */
    {0x80000008, 0, EBX, 29, ENGINE_AMD}, /* BTC_NO: no branch type confusion */
    /* 80000021 EAX */
    {0x80000021, 0, EAX, 0, HOST},        /* no nested data breakpoints */
    {0x80000021, 0, EAX, 2, ENGINE_AMD},  /* LFENCE always serializes */
    {0x80000021, 0, EAX, 6, ENGINE_AMD},  /* null selector clears base */
    {0x80000021, 0, EAX, 8, ENGINE_AMD},  /* automatic IBRS */
    {0x80000021, 0, EAX, 29, ENGINE_AMD}, /* SRSO_NO: no speculative return stack overflow */
};

struct host {
    bool amd;
    unsigned family;
    uint32_t max_basic, max_extended;
    uint64_t xcr0;
    bool xsave;
};

struct regs {
    uint32_t r[4];
};

static struct regs host_cpuid(const struct host *h, uint32_t leaf, uint32_t subleaf)
{
    struct regs o = {{0}};
    uint32_t max = leaf & 0x80000000u ? h->max_extended : h->max_basic;

    if (leaf <= max)
        __cpuid_count(leaf, subleaf, o.r[EAX], o.r[EBX], o.r[ECX], o.r[EDX]);
    return o;
}

static uint64_t host_xgetbv(void)
{
    uint32_t lo, hi;

    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static void host_probe(struct host *h)
{
    uint32_t a, b, c, d;

    __cpuid(0, h->max_basic, b, c, d);
    /* "AuthenticAMD" and "HygonGenuine" */
    h->amd = (b == 0x68747541 && d == 0x69746e65) || (b == 0x6f677948 && d == 0x6e65476e);
    __cpuid(0x80000000u, h->max_extended, b, c, d);
    __cpuid(1, a, b, c, d);
    h->family = (a >> 8 & 0xf) + ((a >> 8 & 0xf) == 0xf ? a >> 20 & 0xff : 0);
    h->xsave = (c & 1u << 26) && (c & 1u << 27);
    /* Without XSAVE the operating system still saves x87 and SSE (FXSAVE). */
    h->xcr0 = h->xsave ? host_xgetbv() : 3;
}

static struct cpuid_leaf *leaf_add(struct cpuid_table *t, uint32_t leaf, uint32_t subleaf,
                                   bool indexed)
{
    /* The leaves are enumerated below; their number does not depend on input. */
    struct cpuid_leaf *l = &t->leaf[t->count < CPUID_MAX_LEAVES - 1 ? t->count++ : t->count];

    *l = (struct cpuid_leaf){.leaf = leaf, .subleaf = subleaf, .indexed = indexed};
    return l;
}

static void leaf_set(struct cpuid_leaf *l, const struct regs *r)
{
    l->eax = r->r[EAX];
    l->ebx = r->r[EBX];
    l->ecx = r->r[ECX];
    l->edx = r->r[EDX];
}

static bool feature_offered(const struct host *h, const struct feature *f)
{
    struct regs o;

    if (f->kind != HOST)
        return f->kind == ENGINE || (f->kind == ENGINE_AMD) == h->amd;
    if ((h->xcr0 & f->xcr0) != f->xcr0)
        return false;
    if (f->leaf == 0xd && !h->xsave)
        return false;
    if (f->leaf == 1 && f->reg == ECX && f->bit == 26)
        return h->xsave;
    /* Zen 5: RDSEED may give 0 and say that it is random (AMD-SB-7055). Whether the microcode is
     * mended cannot be seen from here. */
    if (f->leaf == 7 && f->reg == EBX && f->bit == 18 && h->amd && h->family == 0x1a)
        return false;
    o = host_cpuid(h, f->leaf, f->subleaf);
    return o.r[f->reg] >> f->bit & 1;
}

/* The feature bits of one register. */
static uint32_t offered(const struct host *h, uint32_t leaf, uint32_t subleaf, enum reg reg)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        const struct feature *f = &features[i];

        if (f->leaf == leaf && f->subleaf == subleaf && f->reg == reg && feature_offered(h, f))
            bits |= 1u << f->bit;
    }
    return bits;
}

static struct cpuid_leaf *leaf_features(struct cpuid_table *t, const struct host *h, uint32_t leaf,
                                        uint32_t subleaf, bool indexed)
{
    struct cpuid_leaf *l = leaf_add(t, leaf, subleaf, indexed);

    l->eax = offered(h, leaf, subleaf, EAX);
    l->ebx = offered(h, leaf, subleaf, EBX);
    l->ecx = offered(h, leaf, subleaf, ECX);
    l->edx = offered(h, leaf, subleaf, EDX);
    return l;
}

/* Bits needed for the ids of n things. */
static unsigned id_bits(unsigned n)
{
    unsigned bits = 0;

    while ((1u << bits) < n)
        bits++;
    return bits;
}

static void build_identity(struct cpuid_table *t, const struct host *h, unsigned vcpus)
{
    struct regs o = host_cpuid(h, 0, 0);
    struct cpuid_leaf *l = leaf_add(t, 0, 0, false);

    leaf_set(l, &o);
    if (h->amd)
        l->eax = 0xd;
    else
        l->eax = h->max_basic < 0x16 ? h->max_basic : 0x16;

    o = host_cpuid(h, 1, 0);
    l = leaf_features(t, h, 1, 0, false);
    l->eax = o.r[EAX];
    l->ebx = (o.r[EBX] & 0xff00u) | vcpus << 16; /* CLFLUSH line, logical processors */
    if (vcpus > 1)
        l->edx |= 1u << 28;
}

/* The cache leaves of the host, told that each virtual CPU is one core and shares the last level.
 * Leaf 4 (Intel) and 8000001d (AMD) have one format. */
static void build_caches(struct cpuid_table *t, const struct host *h, uint32_t leaf, unsigned vcpus)
{
    for (uint32_t i = 0; i < 8; i++) {
        struct regs o = host_cpuid(h, leaf, i);
        struct cpuid_leaf *l = leaf_add(t, leaf, i, true);
        unsigned level = o.r[EAX] >> 5 & 7;
        uint32_t sharing = level >= 3 ? vcpus - 1 : 0;

        if ((o.r[EAX] & 0x1f) == 0)
            break;
        leaf_set(l, &o);
        l->eax = (o.r[EAX] & 0x3fff) | sharing << 14;
        if (leaf == 4)
            l->eax |= ((1u << id_bits(vcpus)) - 1) << 26;
    }
}

static void build_topology(struct cpuid_table *t, unsigned vcpus)
{
    struct cpuid_leaf *l = leaf_add(t, 0xb, 0, true);

    l->eax = 0;
    l->ebx = 1;
    l->ecx = 1u << 8; /* SMT level */
    l = leaf_add(t, 0xb, 1, true);
    l->eax = id_bits(vcpus);
    l->ebx = vcpus;
    l->ecx = 2u << 8 | 1; /* core level */
}

static void build_xsave(struct cpuid_table *t, const struct host *h)
{
    uint64_t xcr0 = h->xcr0 & XCR0_OFFERED;
    struct cpuid_leaf *top;

    if (!h->xsave)
        return;
    if ((xcr0 & XCR0_AVX) != XCR0_AVX)
        xcr0 &= XCR0_SSE | 1;
    if ((xcr0 & XCR0_AVX512) != XCR0_AVX512)
        xcr0 &= XCR0_AVX | 1;
    top = leaf_add(t, 0xd, 0, true);
    top->eax = (uint32_t)xcr0;
    top->ecx = 576; /* grows below; EBX is dynamic */
    leaf_features(t, h, 0xd, 1, true);
    for (uint32_t i = 2; i < 8; i++) {
        struct regs o = host_cpuid(h, 0xd, i);
        struct cpuid_leaf *l;

        if (!(xcr0 >> i & 1))
            continue;
        l = leaf_add(t, 0xd, i, true);
        l->eax = o.r[EAX];
        l->ebx = o.r[EBX];
        l->ecx = o.r[ECX] & 2; /* aligned in the compacted format */
        if (l->ebx + l->eax > top->ecx)
            top->ecx = l->ebx + l->eax;
    }
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t r = a % b;

        a = b;
        b = r;
    }
    return a;
}

/* Intel's leaves 15 (TSC / crystal ratio) and 16 (MHz). The crystal is the local APIC's clock. A
 * ratio whose arithmetic in 32 bits would overflow, as guests do it, stays unsaid. */
static void build_frequency(struct cpuid_table *t, const struct host *h, uint64_t tsc_khz)
{
    const uint64_t crystal_khz = CPUID_APIC_KHZ;
    uint64_t g = gcd(tsc_khz, crystal_khz);
    struct cpuid_leaf *l;

    if (h->amd || h->max_basic < 0x16 || tsc_khz == 0)
        return;
    l = leaf_add(t, 0x15, 0, false);
    if (crystal_khz * (tsc_khz / g) <= UINT32_MAX) {
        l->eax = (uint32_t)(crystal_khz / g);
        l->ebx = (uint32_t)(tsc_khz / g);
        l->ecx = (uint32_t)crystal_khz * 1000;
    }
    l = leaf_add(t, 0x16, 0, false);
    l->eax = l->ebx = (uint32_t)(tsc_khz / 1000) & 0xffff;
    l->ecx = 100;
}

static void build_basic(struct cpuid_table *t, const struct host *h, uint64_t tsc_khz,
                        unsigned vcpus)
{
    struct cpuid_leaf *l;
    struct regs o;

    build_identity(t, h, vcpus);
    if (!h->amd) {
        o = host_cpuid(h, 2, 0);
        leaf_set(leaf_add(t, 2, 0, false), &o);
        build_caches(t, h, 4, vcpus);
    }
    leaf_features(t, h, 6, 0, false);
    l = leaf_features(t, h, 7, 0, true);
    l->eax = 1; /* highest subleaf */
    leaf_features(t, h, 7, 1, true);
    build_topology(t, vcpus);
    build_xsave(t, h);
    build_frequency(t, h, tsc_khz);
}

/* "KVMKVMKVM": the interface that guests look for. Features: no delays on port writes (1), the
 * clock's MSRs 4b564d00/01 (3), a clock that is the same on all CPUs (24). */
static void build_hypervisor(struct cpuid_table *t, uint64_t tsc_khz)
{
    struct cpuid_leaf *l = leaf_add(t, 0x40000000u, 0, false);

    l->eax = 0x40000010u;
    l->ebx = 0x4b4d564bu;
    l->ecx = 0x564b4d56u;
    l->edx = 0x4du;
    l = leaf_add(t, 0x40000001u, 0, false);
    l->eax = 1u << 1 | 1u << 3 | 1u << 24;
    l = leaf_add(t, 0x40000010u, 0, false);
    l->eax = (uint32_t)tsc_khz;
    l->ebx = CPUID_APIC_KHZ;
}

static void build_ext_identity(struct cpuid_table *t, const struct host *h)
{
    struct regs o = host_cpuid(h, 0x80000000u, 0);
    struct cpuid_leaf *l = leaf_add(t, 0x80000000u, 0, false);
    struct regs id = host_cpuid(h, 0x80000001u, 0);
    uint32_t max = h->amd ? 0x80000021u : 0x80000008u;

    leaf_set(l, &o);
    l->eax = max;
    l = leaf_features(t, h, 0x80000001u, 0, false);
    l->eax = id.r[EAX];
    if (h->amd) {
        /* AMD repeats bits of leaf 1, and the package type. */
        l->ebx = id.r[EBX] & 0xf0000000u;
        l->edx |= t->leaf[1].edx & 0x0183f3ffu;
    }
    for (uint32_t i = 0x80000002u; i <= 0x80000006u; i++) {
        o = host_cpuid(h, i, 0);
        leaf_set(leaf_add(t, i, 0, false), &o);
    }
}

static void build_extended(struct cpuid_table *t, const struct host *h, unsigned vcpus)
{
    struct cpuid_leaf *l;
    struct regs o;
    uint32_t phys;

    build_ext_identity(t, h);
    leaf_features(t, h, 0x80000007u, 0, false);
    o = host_cpuid(h, 0x80000008u, 0);
    phys = o.r[EAX] & 0xff;
    l = leaf_features(t, h, 0x80000008u, 0, false);
    l->eax = (phys < 36 ? 36 : phys > 48 ? 48 : phys) | 48u << 8;
    if (!h->amd)
        return;
    l->ecx = (vcpus - 1) | id_bits(vcpus) << 12;
    o = host_cpuid(h, 0x8000001au, 0);
    l = leaf_add(t, 0x8000001au, 0, false);
    l->eax = o.r[EAX];
    if (offered(h, 0x80000001u, 0, ECX) & 1u << 22) {
        build_caches(t, h, 0x8000001du, vcpus);
        leaf_add(t, 0x8000001eu, 0, false); /* EAX, EBX: APIC and core id, dynamic */
    }
    leaf_features(t, h, 0x80000021u, 0, false);
}

int cpuid_table_build(struct cpuid_table *t, uint64_t tsc_khz, unsigned vcpus, struct err *e)
{
    struct host h;

    if (vcpus == 0 || vcpus > 255)
        return err_set(e, EINVAL, "%u virtual CPUs cannot be described to the guest", vcpus);
    memset(t, 0, sizeof(*t));
    host_probe(&h);
    build_basic(t, &h, tsc_khz, vcpus);
    build_hypervisor(t, tsc_khz);
    build_extended(t, &h, vcpus);
    return 0;
}

unsigned cpuid_phys_bits(const struct cpuid_table *t)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->leaf[i].leaf == 0x80000008u)
            return t->leaf[i].eax & 0xff;
    return 36;
}
