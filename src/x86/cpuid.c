/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy by which the guest's CPUID is made: the features of cpuid_features.c that the engine
 * offers and the user's choice lets through, and the leaves around them. Hypervisor leaves: Linux'
 * Documentation/virt/kvm/x86/cpuid.rst.
 */
#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "x86/cpu.h"
#include "x86/cpuid_internal.h"

#define XCR0_OFFERED (0x1u | XCR0_AVX512)

struct host {
    bool amd;
    unsigned family;
    uint32_t max_basic, max_extended;
    uint64_t xcr0;
    bool xsave;
    const struct cpuid_request *ask;
    uint64_t shown[CPUID_MAX_FEATURES / 64]; /* by number of a feature */
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

/* What KVM offers. */
static struct regs offer(const struct host *h, uint32_t leaf, uint32_t subleaf)
{
    const struct cpuid_offer *o = h->ask->offer;

    for (unsigned i = 0; i < o->count; i++)
        if (o->leaf[i].leaf == leaf && (!o->leaf[i].indexed || o->leaf[i].subleaf == subleaf))
            return (struct regs){{o->leaf[i].eax, o->leaf[i].ebx, o->leaf[i].ecx, o->leaf[i].edx}};
    return (struct regs){{0}};
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
    if (h->ask->offer != NULL) {
        struct regs x = offer(h, 0xd, 0);

        h->xcr0 = x.r[EAX] | (uint64_t)x.r[EDX] << 32 | 3;
        h->xsave = offer(h, 1, 0).r[ECX] >> 26 & 1;
    }
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

static bool by_translator(const struct host *h, const struct cpuid_feature *f)
{
    if (f->kind != HOST)
        return f->kind == ENGINE || f->kind == TRANSLATOR ||
               f->kind == (h->amd ? ENGINE_AMD : ENGINE_INTEL) ||
               (f->kind == TRANSLATOR_AMD && h->amd);
    return host_cpuid(h, f->leaf, f->subleaf).r[f->reg] >> f->bit & 1;
}

static bool by_engine(const struct host *h, const struct cpuid_feature *f)
{
    if (f->kind == PLATFORM || f->kind == DEADLINE)
        return f->kind == PLATFORM || h->ask->offer == NULL;
    if ((h->xcr0 & f->xcr0) != f->xcr0)
        return false;
    if (f->leaf == 0xd || (f->leaf == 1 && f->reg == ECX && f->bit == 26))
        if (!h->xsave)
            return false;
    /* Zen 5: RDSEED may give 0 and say that it is random (AMD-SB-7055). Whether the microcode is
     * mended cannot be seen from here. */
    if (f->leaf == 7 && f->reg == EBX && f->bit == 18 && h->amd && h->family == 0x1a)
        return false;
    if (h->ask->offer == NULL)
        return by_translator(h, f);
    return f->kind != TRANSLATOR && f->kind != TRANSLATOR_AMD &&
           (offer(h, f->leaf, f->subleaf).r[f->reg] >> f->bit & 1);
}

/* What a level says nothing of: our own devices, and how vulnerable the processor is. */
static bool beyond_levels(const struct cpuid_feature *f)
{
    return f->kind == PLATFORM || f->kind == DEADLINE || f->kind == ENGINE_AMD ||
           f->kind == ENGINE_INTEL || f->kind == PROCESSOR;
}

static bool has(const uint64_t *set, unsigned i)
{
    return set[i / 64] >> (i % 64) & 1;
}

static bool wanted(const struct cpuid_policy *p, unsigned i)
{
    const struct cpuid_feature *f = &cpuid_features[i];

    if (has(p->remove, i))
        return false;
    if (has(p->add, i) || p->level == CPUID_HOST || beyond_levels(f))
        return true;
    return f->level != 0 && f->level <= (unsigned)p->level;
}

static const char *const level_names[] = {"host", "baseline", "v2", "v3", "v4"};

static int missing(const struct host *h, const struct cpuid_feature *f, bool by_name, struct err *e)
{
    const char *why = h->ask->offer != NULL ? "KVM on this host" : "this host's processor";

    if (by_name)
        return err_set(e, ENOTSUP, "--cpu: %s does not offer the feature '%s'; leave +%s out", why,
                       f->name, f->name);
    return err_set(e, ENOTSUP,
                   "--cpu: %s has the feature '%s', which %s does not offer; choose a lower level "
                   "or host",
                   level_names[h->ask->policy.level], f->name, why);
}

static bool shown(const struct host *h, const char *name)
{
    for (unsigned i = 0; i < cpuid_feature_count; i++)
        if (strcmp(cpuid_features[i].name, name) == 0)
            return has(h->shown, i);
    return false;
}

/* Takes away what needs vector state that is not there any more. */
static void drop_dependants(struct host *h)
{
    uint64_t xcr0 = !shown(h, "xsave")     ? XCR0_SSE
                    : !shown(h, "avx")     ? XCR0_SSE
                    : !shown(h, "avx512f") ? XCR0_AVX
                                           : XCR0_AVX512;

    h->xcr0 &= xcr0 | 1;
    h->xsave = h->xsave && shown(h, "xsave");
    for (unsigned i = 0; i < cpuid_feature_count; i++)
        if ((cpuid_features[i].xcr0 & ~xcr0) != 0 || (cpuid_features[i].leaf == 0xd && !h->xsave))
            h->shown[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

static int choose_features(struct host *h, struct err *e)
{
    const struct cpuid_policy *p = &h->ask->policy;

    for (unsigned i = 0; i < cpuid_feature_count; i++) {
        const struct cpuid_feature *f = &cpuid_features[i];

        if (!wanted(p, i))
            continue;
        if (by_engine(h, f))
            h->shown[i / 64] |= UINT64_C(1) << (i % 64);
        else if (has(p->add, i) || (p->level != CPUID_HOST && !beyond_levels(f)))
            return missing(h, f, has(p->add, i), e);
    }
    drop_dependants(h);
    return 0;
}

/* The feature bits of one register. */
static uint32_t offered(const struct host *h, uint32_t leaf, uint32_t subleaf, enum cpuid_reg reg)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < cpuid_feature_count; i++) {
        const struct cpuid_feature *f = &cpuid_features[i];

        if (f->leaf == leaf && f->subleaf == subleaf && f->reg == reg && has(h->shown, i))
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

/* The CPUs of a socket, up to a power of two: ids that are set aside for them. */
static unsigned socket_ids(const struct x86_topology *t)
{
    return 1u << x86_topology_socket_shift(t);
}

static uint32_t at_most(uint32_t n, uint32_t max)
{
    return n < max ? n : max;
}

static void build_identity(struct cpuid_table *t, const struct host *h,
                           const struct x86_topology *topo)
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
    l->ebx = (o.r[EBX] & 0xff00u) | at_most(socket_ids(topo), 0xff) << 16; /* CLFLUSH line, CPUs */
    if (topo->cores * topo->threads > 1)
        l->edx |= 1u << 28;
}

/* The cache leaves of the host, but that a socket shares the last level and a core the others. Leaf
 * 4 (Intel) and 8000001d (AMD) have one format. */
static void build_caches(struct cpuid_table *t, const struct host *h, uint32_t leaf,
                         const struct x86_topology *topo)
{
    for (uint32_t i = 0; i < 8; i++) {
        struct regs o = host_cpuid(h, leaf, i);
        struct cpuid_leaf *l = leaf_add(t, leaf, i, true);
        unsigned level = o.r[EAX] >> 5 & 7;
        uint32_t sharing = level >= 3 ? socket_ids(topo) - 1 : topo->threads - 1;

        if ((o.r[EAX] & 0x1f) == 0)
            break;
        leaf_set(l, &o);
        l->eax = (o.r[EAX] & 0x3fff) | sharing << 14;
        if (leaf == 4)
            l->eax |= at_most(socket_ids(topo) / topo->threads - 1, 63) << 26;
    }
}

static void build_topology(struct cpuid_table *t, const struct x86_topology *topo)
{
    struct cpuid_leaf *l = leaf_add(t, 0xb, 0, true);

    t->thread_bits = (uint8_t)x86_topology_thread_bits(topo);
    t->socket_shift = (uint8_t)x86_topology_socket_shift(topo);
    l->eax = t->thread_bits;
    l->ebx = topo->threads;
    l->ecx = 1u << 8; /* SMT level */
    l = leaf_add(t, 0xb, 1, true);
    l->eax = t->socket_shift;
    l->ebx = topo->cores * topo->threads;
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
    struct cpuid_leaf *one = leaf_features(t, h, 0xd, 1, true);
    if (!(one->eax & 2)) /* XSAVES is made of XSAVEC */
        one->eax &= ~8u;
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
    if (!(offered(h, 7, 0, ECX) >> 3 & 1))
        return;
    top->eax |= 1u << XSAVE_PKRU; /* the translator's own */
    top->ecx = XSAVE_PKRU_OFFSET + XSAVE_PKRU_SIZE;
    struct cpuid_leaf *pkru = leaf_add(t, 0xd, XSAVE_PKRU, true);
    pkru->eax = XSAVE_PKRU_SIZE;
    pkru->ebx = XSAVE_PKRU_OFFSET;
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
                        const struct x86_topology *topo)
{
    struct cpuid_leaf *l;
    struct regs o;

    build_identity(t, h, topo);
    if (!h->amd) {
        o = host_cpuid(h, 2, 0);
        leaf_set(leaf_add(t, 2, 0, false), &o);
        build_caches(t, h, 4, topo);
    }
    leaf_features(t, h, 6, 0, false);
    l = leaf_features(t, h, 7, 0, true);
    l->eax = 1; /* highest subleaf */
    leaf_features(t, h, 7, 1, true);
    build_topology(t, topo);
    build_xsave(t, h);
    build_frequency(t, h, tsc_khz);
}

/* Features of KVM's interface: no delays on port writes (1), the clock's MSRs 4b564d00/01 (3),
 * stolen time (5), ends of interrupts in memory (6), HLT that a hypercall ends (7), flushes that
 * wait in memory for a vCPU that does not run (9), IPIs to many (11), time given to another vCPU
 * (13), a clock that is the same on all CPUs (24). */
#define PV_ALWAYS (1u << 1 | 1u << 3 | 1u << 6 | 1u << 24)
#define PV_SCHEDULER (1u << 5 | 1u << 9) /* of whoever decides when a vCPU runs */
#define PV_HYPERCALLS (1u << 7 | 1u << 11 | 1u << 13)

/* A kernel with KVM answers hypercalls itself, and reaches no local APIC of ours. */
static uint32_t paravirtual(const struct host *h)
{
    if (h->ask->offer == NULL)
        return PV_ALWAYS | PV_SCHEDULER | PV_HYPERCALLS;
    return PV_ALWAYS | (offer(h, 0x40000001u, 0).r[EAX] & PV_SCHEDULER);
}

/* "KVMKVMKVM": the interface that guests look for. */
static void build_hypervisor(struct cpuid_table *t, const struct host *h, uint64_t tsc_khz)
{
    struct cpuid_leaf *l = leaf_add(t, 0x40000000u, 0, false);

    l->eax = 0x40000010u;
    l->ebx = 0x4b4d564bu;
    l->ecx = 0x564b4d56u;
    l->edx = 0x4du;
    l = leaf_add(t, 0x40000001u, 0, false);
    l->eax = paravirtual(h);
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

static void build_extended(struct cpuid_table *t, const struct host *h,
                           const struct x86_topology *topo)
{
    struct cpuid_leaf *l;
    struct regs o;
    uint32_t phys;

    build_ext_identity(t, h);
    leaf_features(t, h, 0x80000007u, 0, false);
    o = host_cpuid(h, 0x80000008u, 0);
    phys = o.r[EAX] & 0xff;
    if (h->ask->offer != NULL && (offer(h, 0x80000008u, 0).r[EAX] & 0xff) != 0)
        phys = offer(h, 0x80000008u, 0).r[EAX] & 0xff;
    if (h->ask->phys_max != 0 && phys > h->ask->phys_max)
        phys = h->ask->phys_max;
    l = leaf_features(t, h, 0x80000008u, 0, false);
    l->eax = (phys < 36 ? 36 : phys > 48 ? 48 : phys) | 48u << 8;
    if (!h->amd)
        return;
    l->ecx = (topo->cores * topo->threads - 1) | (uint32_t)t->socket_shift << 12;
    o = host_cpuid(h, 0x8000001au, 0);
    l = leaf_add(t, 0x8000001au, 0, false);
    l->eax = o.r[EAX];
    if (offered(h, 0x80000001u, 0, ECX) & 1u << 22) {
        build_caches(t, h, 0x8000001du, topo);
        l = leaf_add(t, 0x8000001eu, 0, false); /* and ids of APIC, core and node, dynamic */
        l->ebx = (topo->threads - 1) << 8;
    }
    leaf_features(t, h, 0x80000021u, 0, false);
}

int cpuid_table_make(struct cpuid_table *t, const struct cpuid_request *ask, struct err *e)
{
    struct host h = {.ask = ask};
    struct x86_topology topo = ask->topology;
    int rc;

    if (ask->vcpus == 0 || ask->vcpus > 255)
        return err_set(e, EINVAL, "%u virtual CPUs cannot be described to the guest", ask->vcpus);
    if (topo.sockets == 0)
        topo = x86_topology_flat(ask->vcpus);
    memset(t, 0, sizeof(*t));
    host_probe(&h);
    rc = choose_features(&h, e);
    if (rc < 0)
        return rc;
    build_basic(t, &h, ask->tsc_khz, &topo);
    build_hypervisor(t, &h, ask->tsc_khz);
    build_extended(t, &h, &topo);
    return 0;
}

int cpuid_table_build(struct cpuid_table *t, uint64_t tsc_khz, unsigned vcpus, struct err *e)
{
    const struct cpuid_request ask = {.tsc_khz = tsc_khz, .vcpus = vcpus};

    return cpuid_table_make(t, &ask, e);
}

unsigned cpuid_phys_bits(const struct cpuid_table *t)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->leaf[i].leaf == 0x80000008u)
            return t->leaf[i].eax & 0xff;
    return 36;
}

bool cpuid_has(const struct cpuid_table *t, uint32_t leaf, unsigned reg, unsigned bit)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct cpuid_leaf *l = &t->leaf[i];
        const uint32_t r[4] = {l->eax, l->ebx, l->ecx, l->edx};

        if (l->leaf == leaf && l->subleaf == 0)
            return r[reg] >> bit & 1;
    }
    return false;
}

/* --- the user's words --- */

static int feature_find(const char *name, size_t len)
{
    for (unsigned i = 0; i < cpuid_feature_count; i++)
        if (strlen(cpuid_features[i].name) == len && memcmp(cpuid_features[i].name, name, len) == 0)
            return (int)i;
    return -1;
}

static int parse_level(struct cpuid_policy *p, const char *option, const char *word, size_t len,
                       struct err *e)
{
    for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
        if (strlen(level_names[i]) == len && memcmp(level_names[i], word, len) == 0) {
            p->level = (enum cpuid_level)i;
            return 0;
        }
    return err_usage(e,
                     "%s: '%.*s' is unknown; use host, baseline, v2, v3 or v4, and then +FEATURE "
                     "or -FEATURE",
                     option, (int)len, word);
}

static int parse_feature(struct cpuid_policy *p, const char *option, const char *word, size_t len,
                         struct err *e)
{
    int i = len > 1 && (word[0] == '+' || word[0] == '-') ? feature_find(word + 1, len - 1) : -1;
    uint64_t *to, *from;

    if (i < 0)
        return err_usage(e,
                         "%s: '%.*s' is no +FEATURE or -FEATURE that is known here; names are "
                         "those of /proc/cpuinfo",
                         option, (int)len, word);
    to = word[0] == '+' ? p->add : p->remove;
    from = word[0] == '+' ? p->remove : p->add;
    to[i / 64] |= UINT64_C(1) << (i % 64);
    from[i / 64] &= ~(UINT64_C(1) << (i % 64));
    return 0;
}

int cpuid_policy_parse(struct cpuid_policy *p, const char *option, const char *text, struct err *e)
{
    size_t len = strcspn(text, ",");
    int rc;

    *p = (struct cpuid_policy){.level = CPUID_HOST};
    rc = parse_level(p, option, text, len, e);
    while (rc == 0 && text[len] == ',') {
        text += len + 1;
        len = strcspn(text, ",");
        rc = parse_feature(p, option, text, len, e);
    }
    return rc;
}
