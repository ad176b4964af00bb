/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --cpu: what a level has, more and less of it, and hosts that do not offer it. */
#include "test.h"

#include <string.h>

#include "x86/cpuid.h"

enum { EAX, EBX, ECX, EDX };

struct bit {
    uint32_t leaf, subleaf;
    unsigned reg, bit;
};

/* x86-64 psABI, 3.1.1, "micro-architecture levels". */
static const struct {
    const char *name;
    enum cpuid_level level;
    struct bit bit;
} abi[] = {
    {"fpu", CPUID_BASELINE, {1, 0, EDX, 0}},
    {"cx8", CPUID_BASELINE, {1, 0, EDX, 8}},
    {"cmov", CPUID_BASELINE, {1, 0, EDX, 15}},
    {"mmx", CPUID_BASELINE, {1, 0, EDX, 23}},
    {"fxsr", CPUID_BASELINE, {1, 0, EDX, 24}},
    {"sse", CPUID_BASELINE, {1, 0, EDX, 25}},
    {"sse2", CPUID_BASELINE, {1, 0, EDX, 26}},
    {"syscall", CPUID_BASELINE, {0x80000001, 0, EDX, 11}},
    {"cx16", CPUID_V2, {1, 0, ECX, 13}},
    {"lahf", CPUID_V2, {0x80000001, 0, ECX, 0}},
    {"popcnt", CPUID_V2, {1, 0, ECX, 23}},
    {"sse3", CPUID_V2, {1, 0, ECX, 0}},
    {"sse4_1", CPUID_V2, {1, 0, ECX, 19}},
    {"sse4_2", CPUID_V2, {1, 0, ECX, 20}},
    {"ssse3", CPUID_V2, {1, 0, ECX, 9}},
    {"avx", CPUID_V3, {1, 0, ECX, 28}},
    {"avx2", CPUID_V3, {7, 0, EBX, 5}},
    {"bmi1", CPUID_V3, {7, 0, EBX, 3}},
    {"bmi2", CPUID_V3, {7, 0, EBX, 8}},
    {"f16c", CPUID_V3, {1, 0, ECX, 29}},
    {"fma", CPUID_V3, {1, 0, ECX, 12}},
    {"lzcnt", CPUID_V3, {0x80000001, 0, ECX, 5}},
    {"movbe", CPUID_V3, {1, 0, ECX, 22}},
    {"xsave", CPUID_V3, {1, 0, ECX, 26}},
    {"avx512f", CPUID_V4, {7, 0, EBX, 16}},
    {"avx512bw", CPUID_V4, {7, 0, EBX, 30}},
    {"avx512cd", CPUID_V4, {7, 0, EBX, 28}},
    {"avx512dq", CPUID_V4, {7, 0, EBX, 17}},
    {"avx512vl", CPUID_V4, {7, 0, EBX, 31}},
};

/* Of no level there. */
static const struct bit aes = {1, 0, ECX, 25};

static struct bit feature(const char *name)
{
    for (unsigned i = 0; i < sizeof(abi) / sizeof(abi[0]); i++)
        if (strcmp(abi[i].name, name) == 0)
            return abi[i].bit;
    fail_msg("no feature %s", name);
    return aes;
}

static struct cpuid_offer everything(void)
{
    static const struct {
        uint32_t leaf, subleaf;
        bool indexed;
    } leaf[] = {{1, 0, false},          {6, 0, false},          {7, 0, true},
                {7, 1, true},           {0xd, 0, true},         {0xd, 1, true},
                {0x40000001, 0, false}, {0x80000001, 0, false}, {0x80000007, 0, false},
                {0x80000008, 0, false}, {0x8000000a, 0, false}, {0x80000021, 0, false}};
    struct cpuid_offer o = {.count = sizeof(leaf) / sizeof(leaf[0])};

    for (unsigned i = 0; i < o.count; i++)
        o.leaf[i] = (struct cpuid_leaf){leaf[i].leaf, leaf[i].subleaf, leaf[i].indexed, UINT32_MAX,
                                        UINT32_MAX,   UINT32_MAX,      UINT32_MAX};
    return o;
}

static uint32_t *reg_of(struct cpuid_leaf *l, unsigned reg)
{
    return reg == EAX ? &l->eax : reg == EBX ? &l->ebx : reg == ECX ? &l->ecx : &l->edx;
}

static void lack(struct cpuid_offer *o, struct bit b)
{
    for (unsigned i = 0; i < o->count; i++)
        if (o->leaf[i].leaf == b.leaf && o->leaf[i].subleaf == b.subleaf)
            *reg_of(&o->leaf[i], b.reg) &= ~(1u << b.bit);
}

static bool shows(const struct cpuid_table *t, struct bit b)
{
    const struct cpuid_dynamic dyn = {.xcr0 = 7, .apic_enabled = true};
    uint32_t out[4];

    cpuid_execute(t, &dyn, b.leaf, b.subleaf, out);
    return out[b.reg] >> b.bit & 1;
}

/* offer NULL: the translator. */
static int make(struct cpuid_table *t, const char *policy, const struct cpuid_offer *offer,
                struct err *e)
{
    struct cpuid_request ask = {.tsc_khz = 2000000, .vcpus = 1, .offer = offer};

    assert_int_equal(cpuid_policy_parse(&ask.policy, "--cpu", policy, e), 0);
    return cpuid_table_make(t, &ask, e);
}

static const char *const names[] = {
    [CPUID_BASELINE] = "baseline", [CPUID_V2] = "v2", [CPUID_V3] = "v3", [CPUID_V4] = "v4"};

static void check_level(const struct cpuid_table *t, enum cpuid_level level)
{
    for (unsigned i = 0; i < sizeof(abi) / sizeof(abi[0]); i++)
        if (shows(t, abi[i].bit) != (abi[i].level <= level))
            fail_msg("%s: %s of %s", names[level], abi[i].name, names[abi[i].level]);
}

static void test_levels(void **state)
{
    const struct cpuid_offer all = everything();
    struct cpuid_table t;
    struct err e = {0};

    (void)state;
    for (unsigned level = CPUID_BASELINE; level <= CPUID_V4; level++) {
        assert_int_equal(make(&t, names[level], &all, &e), 0);
        check_level(&t, (enum cpuid_level)level);
    }
}

/* The same levels where the translator shows them, as far as this host's processor has them. */
static void test_levels_translated(void **state)
{
    struct cpuid_table t;
    struct err e = {0};

    (void)state;
    assert_int_equal(make(&t, "baseline", NULL, &e), 0);
    check_level(&t, CPUID_BASELINE);
    for (unsigned level = CPUID_V2; level <= CPUID_V4; level++)
        if (make(&t, names[level], NULL, &e) == 0)
            check_level(&t, (enum cpuid_level)level);
        else
            assert_non_null(strstr(e.text, names[level]));
}

/* The translator's own: performance counters where the vendor is AMD, whatever KVM would offer. */
static void test_counters(void **state)
{
    const struct bit perfctr_core = {0x80000001, 0, ECX, 23};
    const struct cpuid_offer all = everything();
    const struct cpuid_dynamic dyn = {.xcr0 = 7};
    struct cpuid_table t;
    struct err e = {0};
    uint32_t id[4];

    (void)state;
    assert_int_equal(make(&t, "host", &all, &e), 0);
    assert_false(shows(&t, perfctr_core));
    assert_int_equal(make(&t, "host", NULL, &e), 0);
    cpuid_execute(&t, &dyn, 0, 0, id);
    assert_int_equal(shows(&t, perfctr_core), id[ECX] == 0x444d4163 || id[ECX] == 0x656e6975);
    assert_int_equal(make(&t, "host,-perfctr_core", NULL, &e), 0);
    assert_false(shows(&t, perfctr_core));
}

/* A level is the same on a host that offers more. */
static void test_level_hides_the_host(void **state)
{
    struct cpuid_offer more = everything(), less = more;
    struct cpuid_table one, other;
    struct err e = {0};

    (void)state;
    lack(&less, feature("avx"));
    lack(&less, feature("avx2"));
    lack(&less, feature("avx512f"));
    lack(&less, aes);
    assert_int_equal(make(&one, "v2", &more, &e), 0);
    assert_int_equal(make(&other, "v2", &less, &e), 0);
    assert_int_equal(one.count, other.count);
    assert_memory_equal(one.leaf, other.leaf, one.count * sizeof(one.leaf[0]));
    assert_int_equal(make(&one, "host", &more, &e), 0);
    assert_int_equal(make(&other, "host", &less, &e), 0);
    assert_true(shows(&one, feature("avx2")));
    assert_false(shows(&other, feature("avx2")));
}

static void refused(const char *policy, const struct cpuid_offer *offer, const char *first,
                    const char *second)
{
    struct cpuid_table t;
    struct err e = {0};

    assert_true(make(&t, policy, offer, &e) < 0);
    if (strstr(e.text, "--cpu") == NULL || strstr(e.text, first) == NULL ||
        strstr(e.text, second) == NULL)
        fail_msg("not '%s' and '%s': %s", first, second, e.text);
}

static void test_host_lacks(void **state)
{
    struct cpuid_offer o = everything();
    struct cpuid_table t;
    struct err e = {0};

    (void)state;
    lack(&o, feature("avx2"));
    refused("v3", &o, "v3 has the feature 'avx2'", "lower level");
    refused("v4", &o, "v4 has the feature 'avx2'", "lower level");
    refused("v2,+avx2", &o, "'avx2'", "leave +avx2 out");
    assert_int_equal(make(&t, "v2", &o, &e), 0);
    assert_int_equal(make(&t, "v3,-avx2", &o, &e), 0);
    assert_true(shows(&t, feature("avx")));
}

static void test_more_and_less(void **state)
{
    const struct cpuid_offer all = everything();
    struct cpuid_table t;
    struct err e = {0};

    (void)state;
    assert_int_equal(make(&t, "v2,+aes,-sse4_2", &all, &e), 0);
    assert_true(shows(&t, aes));
    assert_true(shows(&t, feature("cx16")));
    assert_false(shows(&t, feature("sse4_2")));
    /* Without XSAVE there is nowhere to keep what AVX computes. */
    assert_int_equal(make(&t, "v4,-xsave", &all, &e), 0);
    assert_true(shows(&t, aes));
    assert_false(shows(&t, feature("avx")));
    assert_false(shows(&t, feature("avx2")));
    assert_false(shows(&t, feature("avx512f")));
}

/* Of KVM's interface: what is ours, always; what the kernel has to do, if it offers it; hypercalls,
 * which reach no local APIC of ours, never. */
static void test_paravirtual(void **state)
{
    static const unsigned always[] = {1, 3, 6, 24}, kernels[] = {5, 9}, never[] = {4, 7, 11, 13};
    struct cpuid_offer all = everything(), none = all;
    struct cpuid_table with, without;
    struct err e = {0};

    (void)state;
    for (unsigned i = 0; i < 32; i++)
        lack(&none, (struct bit){0x40000001, 0, EAX, i});
    assert_int_equal(make(&with, "host", &all, &e), 0);
    assert_int_equal(make(&without, "host", &none, &e), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(shows(&with, (struct bit){0x40000001, 0, EAX, always[i]}));
        assert_true(shows(&without, (struct bit){0x40000001, 0, EAX, always[i]}));
        assert_false(shows(&with, (struct bit){0x40000001, 0, EAX, never[i]}));
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_true(shows(&with, (struct bit){0x40000001, 0, EAX, kernels[i]}));
        assert_false(shows(&without, (struct bit){0x40000001, 0, EAX, kernels[i]}));
    }
}

/* KVM keeps writes of that MSR to itself on some hosts, for a local APIC that is not there. */
static void test_no_deadlines_on_kvm(void **state)
{
    const struct bit deadline = {1, 0, ECX, 24};
    const struct cpuid_offer all = everything();
    struct cpuid_table t;
    struct err e = {0};

    (void)state;
    assert_int_equal(make(&t, "host", NULL, &e), 0);
    assert_true(shows(&t, deadline));
    assert_int_equal(make(&t, "baseline", NULL, &e), 0);
    assert_true(shows(&t, deadline));
    assert_int_equal(make(&t, "host", &all, &e), 0);
    assert_false(shows(&t, deadline));
    assert_int_equal(make(&t, "v3", &all, &e), 0);
    assert_false(shows(&t, deadline));
    refused("host,+tsc_deadline_timer", &all, "'tsc_deadline_timer'", "KVM");
}

static void test_words(void **state)
{
    static const char *const wrong[] = {"", "v5", "v2,aes", "v2,+no_such", "v2,", "host,+", "V2"};
    struct cpuid_policy p;

    (void)state;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct err e = {0};

        assert_true(cpuid_policy_parse(&p, "--cpu", wrong[i], &e) < 0);
        assert_true(e.usage);
        assert_non_null(strstr(e.text, "--cpu"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),      cmocka_unit_test(test_levels_translated),
        cmocka_unit_test(test_counters),    cmocka_unit_test(test_level_hides_the_host),
        cmocka_unit_test(test_host_lacks),  cmocka_unit_test(test_more_and_less),
        cmocka_unit_test(test_paravirtual), cmocka_unit_test(test_no_deadlines_on_kvm),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
