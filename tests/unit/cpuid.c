/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CPUID policy and instruction, and the CPU's reset state. */
#include "test.h"

#include <cpuid.h>
#include <string.h>

#include "x86/cpu.h"
#include "x86/cpuid.h"

static const struct cpuid_dynamic running = {
    .cr4 = 1u << 18, .xcr0 = 7, .apic_id = 5, .apic_enabled = true};

static bool host_is_amd(void)
{
    uint32_t a, b, c, d;

    __cpuid(0, a, b, c, d);
    return b == 0x68747541;
}

static int setup(void **state)
{
    static struct cpuid_table t;
    struct err e = {0};

    *state = &t;
    return cpuid_table_build(&t, 2600000, 1, &e);
}

static void identity_is_the_hosts(void **state)
{
    uint32_t g[4], h[4];

    cpuid_execute(*state, &running, 0, 0, g);
    __cpuid(0, h[0], h[1], h[2], h[3]);
    assert_memory_equal(g + 1, h + 1, 12);
    assert_true(g[0] >= 0xd && g[0] <= 0x16);
    cpuid_execute(*state, &running, 1, 0, g);
    __cpuid(1, h[0], h[1], h[2], h[3]);
    assert_int_equal(g[0], h[0]);
    for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; leaf++) {
        cpuid_execute(*state, &running, leaf, 0, g);
        __cpuid(leaf, h[0], h[1], h[2], h[3]);
        assert_memory_equal(g, h, sizeof(g));
    }
}

/* What translated code executes on the host must be there; what the engine adds, always. */
static void features(void **state)
{
    uint32_t g[4], h[4];

    cpuid_execute(*state, &running, 1, 0, g);
    __cpuid(1, h[0], h[1], h[2], h[3]);
    assert_int_equal(g[2] & ~h[2] & ~(1u << 17 | 1u << 21 | 1u << 24 | 1u << 31), 0);
    assert_true(g[2] & 1u << 31);  /* hypervisor */
    assert_true(g[2] & 1u << 21);  /* x2APIC */
    assert_true(g[2] & 1u << 24);  /* TSC deadline */
    assert_false(g[2] & 1u << 3);  /* MONITOR */
    assert_false(g[2] & 1u << 5);  /* VMX */
    assert_false(g[2] & 1u << 15); /* PDCM */
    cpuid_execute(*state, &running, 7, 0, g);
    __cpuid_count(7, 0, h[0], h[1], h[2], h[3]);
    assert_int_equal(g[0], 1);
    assert_int_equal(g[1] & ~h[1] & ~(1u << 1 | 1u << 6 | 1u << 7 | 1u << 10 | 1u << 13 | 1u << 20),
                     0);
    assert_int_equal(g[1] & (1u << 6 | 1u << 13), 1u << 6 | 1u << 13); /* FDP_EXCPTN_ONLY, no FCS */
    assert_false(g[1] & (1u << 2 | 1u << 4 | 1u << 11 | 1u << 14 | 1u << 25)); /* SGX TSX MPX PT */
    assert_int_equal(g[2] & ~h[2] & ~(1u << 2 | 1u << 3 | 1u << 31), 0);
    assert_int_equal(g[2] & (1u << 3 | 1u << 31), 1u << 3 | 1u << 31);          /* PKU PKS */
    assert_false(g[2] & (1u << 4 | 1u << 7 | 1u << 16));                        /* OSPKE CET LA57 */
    assert_false(g[3] & (1u << 5 | 1u << 20 | 1u << 22 | 1u << 24 | 1u << 25)); /* UINTR CET AMX */
    cpuid_execute(*state, &running, 0x80000001, 0, g);
    assert_false(g[2] & 1u << 2);               /* SVM */
    assert_false(g[3] & (1u << 30 | 1u << 31)); /* 3DNow! */
    assert_true(g[3] & 1u << 29);
    cpuid_execute(*state, &running, 0x80000007, 0, g);
    assert_true(g[3] & 1u << 8);
}

static void dynamic_bits(void **state)
{
    struct cpuid_dynamic off = running;
    uint32_t g[4];

    cpuid_execute(*state, &running, 1, 0, g);
    assert_true(g[2] & 1u << 27);
    assert_true(g[3] & 1u << 9);
    assert_int_equal(g[1] >> 24, 5);
    off.cr4 = 0;
    off.apic_enabled = false;
    cpuid_execute(*state, &off, 1, 0, g);
    assert_false(g[2] & 1u << 27);
    assert_false(g[3] & 1u << 9);
    cpuid_execute(*state, &running, 0xb, 0, g);
    assert_int_equal(g[3], 5);
    cpuid_execute(*state, &running, 0xb, 9, g);
    assert_int_equal(g[0] | g[1], 0);
    assert_int_equal(g[2], 9);
    assert_int_equal(g[3], 5);
}

static void hypervisor_leaves(void **state)
{
    uint32_t g[4];

    cpuid_execute(*state, &running, 0x40000000, 0, g);
    assert_memory_equal(g + 1, "KVMKVMKVM\0\0\0", 12);
    assert_int_equal(g[0], 0x40000010);
    cpuid_execute(*state, &running, 0x40000001, 0, g);
    assert_int_equal(g[0], 1u << 1 | 1u << 3 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 9 | 1u << 11 |
                               1u << 13 | 1u << 24);
    cpuid_execute(*state, &running, 0x40000010, 0, g);
    assert_int_equal(g[0], 2600000);
    assert_int_equal(g[1], CPUID_APIC_KHZ);
}

static uint64_t host_xcr0(void)
{
    uint32_t lo, hi;

    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static void xsave_leaves(void **state)
{
    struct cpuid_dynamic dyn = running;
    uint32_t g[4], h[4];

    cpuid_execute(*state, &running, 1, 0, g);
    if (!(g[2] & 1u << 26))
        skip();
    dyn.xcr0 = 3;
    cpuid_execute(*state, &dyn, 0xd, 0, g);
    assert_int_equal(g[0] & ~0x2e7u, 0);
    assert_int_equal(g[0] & ~host_xcr0() & ~0x200u, 0); /* PKRU is the engine's own */
    assert_int_equal(g[1], 576);
    assert_true(g[2] <= X86_XSAVE_SIZE);
    /* With all that is offered switched on, the standard size is the maximal one. */
    dyn.xcr0 = g[0];
    cpuid_execute(*state, &dyn, 0xd, 0, g);
    assert_int_equal(g[1], g[2]);
    cpuid_execute(*state, &dyn, 0xd, 1, h);
    assert_false(h[0] & 1u << 0);                   /* XSAVEOPT */
    assert_int_equal(h[0] >> 3 & 1, h[0] >> 1 & 1); /* XSAVES with XSAVEC */
    if (h[0] & 2)
        assert_true(h[1] >= 576 && h[1] <= g[1]);
    if (g[0] & 4) {
        dyn.xcr0 = 7;
        cpuid_execute(*state, &dyn, 0xd, 0, g);
        assert_int_equal(g[1], 832);
        cpuid_execute(*state, &dyn, 0xd, 1, h);
        assert_int_equal(h[0] & 2 ? h[1] : 832, 832);
    }
    cpuid_execute(*state, &dyn, 0xd, 9, g); /* PKRU */
    assert_int_equal(g[0], XSAVE_PKRU_SIZE);
    assert_int_equal(g[1], XSAVE_PKRU_OFFSET);
}

static void out_of_range(void **state)
{
    uint32_t g[4], top[4];

    cpuid_execute(*state, &running, 0x12345, 0, g);
    if (host_is_amd()) {
        assert_int_equal(g[0] | g[1] | g[2] | g[3], 0);
    } else {
        cpuid_execute(*state, &running, 0, 0, top);
        cpuid_execute(*state, &running, top[0], 0, top);
        assert_memory_equal(g, top, sizeof(g));
    }
    cpuid_execute(*state, &running, 0x400000ff, 0, g);
    assert_int_equal(g[0] | g[1] | g[2] | g[3], 0);
}

static void address_width(void **state)
{
    uint32_t g[4];

    cpuid_execute(*state, &running, 0x80000008, 0, g);
    assert_int_equal(g[0] & 0xff, cpuid_phys_bits(*state));
    assert_int_equal(g[0] >> 8 & 0xff, 48);
    assert_in_range(cpuid_phys_bits(*state), 36, 48);
}

static void address_width_limit(void **state)
{
    const struct cpuid_request ask = {.tsc_khz = 2000000, .vcpus = 1, .phys_max = 37};
    struct cpuid_table t;
    struct err e;

    assert_int_equal(cpuid_table_make(&t, &ask, &e), 0);
    assert_in_range(cpuid_phys_bits(&t), 36, 37);
}

/* The engine calls it with the guest's vector registers live. */
static void keeps_vector_registers(void **state)
{
    uint32_t g[4], before[4] = {1, 2, 3, 4}, after[4];

    __asm__ volatile("movdqu %0, %%xmm7" ::"m"(before) : "xmm7");
    for (uint32_t i = 0; i < 32; i++)
        cpuid_execute(*state, &running, i, 0, g);
    __asm__ volatile("movdqu %%xmm7, %0" : "=m"(after));
    assert_memory_equal(before, after, sizeof(before));
}

static void many_cpus(void **state)
{
    struct cpuid_table t;
    struct err e = {0};
    uint32_t g[4];

    assert_int_equal(cpuid_table_build(&t, 0, 4, &e), 0);
    cpuid_execute(&t, &running, 1, 0, g);
    assert_int_equal(g[1] >> 16 & 0xff, 4);
    assert_true(g[3] & 1u << 28);
    cpuid_execute(&t, &running, 0xb, 1, g);
    assert_int_equal(g[0], 2);
    assert_int_equal(g[1], 4);
    assert_true(cpuid_table_build(&t, 0, 0, &e) < 0);
    assert_true(cpuid_table_build(&t, 0, 256, &e) < 0);
}

static void reset_state(void **state)
{
    static struct x86_cpu c;

    memset(&c, 0xff, sizeof(c));
    x86_cpu_reset(&c);
    assert_int_equal(c.rip, 0xfff0);
    assert_int_equal(c.seg[X86_CS].base, 0xffff0000);
    assert_int_equal(c.seg[X86_CS].selector, 0xf000);
    assert_int_equal(c.cr0, 0x60000010);
    assert_int_equal(c.rflags, 2);
    assert_int_equal(c.efer | c.cr3 | c.cr4, 0);
    assert_int_equal(c.xcr0, 1);
    assert_int_equal(c.dr[7], 0x400);
    assert_false(c.seg[X86_DS].unusable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_is_the_hosts),
        cmocka_unit_test(features),
        cmocka_unit_test(dynamic_bits),
        cmocka_unit_test(hypervisor_leaves),
        cmocka_unit_test(xsave_leaves),
        cmocka_unit_test(out_of_range),
        cmocka_unit_test(address_width),
        cmocka_unit_test(address_width_limit),
        cmocka_unit_test(keeps_vector_registers),
        cmocka_unit_test(many_cpus),
        cmocka_unit_test(reset_state),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
