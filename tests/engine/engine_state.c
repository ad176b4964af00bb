/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is set is what is got, on every engine that this host runs; the guest goes on from it. */
#include "test.h"

#include <string.h>

#include "flat.h"

static bool open_or_skip(struct flat *f, const char *engine)
{
    struct err e = {0};

    if (flat_open(f, engine, &e))
        return true;
    if (f->engine != NULL || strcmp(engine, "bt") == 0)
        fail_msg("%s: %s", engine, e.text);
    print_message("skip - %s: %s\n", engine, e.text);
    flat_close(f);
    return false;
}

static void fill_msrs(struct x86_cpu *c)
{
    c->star = 0x0023001000000000;
    c->lstar = 0xffffffff81800000;
    c->cstar = 0xffffffff81900000;
    c->fmask = 0x47700;
    c->kernel_gs_base = 0xffff888000000000;
    c->tsc_aux = 5;
    c->pat = 0x0007040600070401;
    c->sysenter_cs = 0x10;
    c->sysenter_esp = 0xc9000000; /* AMD's have 32 bits */
    c->sysenter_eip = 0x81a00000;
    c->mtrr_def_type = 0xc06;
    for (unsigned i = 0; i < 11; i++)
        c->mtrr_fixed[i] = 0x0606060606060600 + 6 * (i & 1);
    c->mtrr_base[0] = 0x80000000;
    c->mtrr_mask[0] = 0xf80000800;
    c->mtrr_base[3] = 0x4000000006;
    c->mtrr_mask[3] = 0xfffffe0800;
    c->tsc_adjust = 0x1234;
}

/* Stolen time is told by whoever has it to tell. */
static void fill_steal(const struct flat *f, struct x86_cpu *c)
{
    static const struct cpuid_dynamic none;
    uint32_t leaf[4];

    cpuid_execute(&f->cpuid, &none, 0x40000001, 0, leaf);
    c->kvm_steal = leaf[0] >> 5 & 1 ? 0x4041 : 0;
}

/* KVM's counters are not ours. */
static void fill_counters(const struct flat *f, struct x86_cpu *c)
{
    if (strcmp(f->ops->name, "bt") != 0)
        return;
    c->pmu.select[0] = 0x5300c0;
    c->pmu.count[0] = 0xfffffffffff0;
    c->pmu.select[5] = 0x410076;
    c->pmu.count[5] = 12345;
}

/* 64-bit mode, user or kernel, in the middle of everything. */
static void fill(struct x86_cpu *c)
{
    x86_cpu_reset(c);
    for (unsigned i = 0; i < 16; i++)
        c->gpr[i] = 0x1111111111111111u * (i + 1);
    c->rip = 0xffffffff81234567;
    c->rflags = 0x40a97;
    c->seg[X86_CS] = (struct x86_segment){.selector = 0x10, .limit = UINT32_MAX, .attr = 0xa09b};
    c->seg[X86_SS] = (struct x86_segment){.selector = 0x18, .limit = UINT32_MAX, .attr = 0xc093};
    for (unsigned i = X86_DS; i < X86_SEG_COUNT; i++)
        c->seg[i] = c->seg[X86_SS];
    c->seg[X86_ES] = c->seg[X86_SS];
    c->seg[X86_FS].base = 0x7f0012345678;
    c->seg[X86_GS].base = 0xffff888012345678;
    c->tr = (struct x86_segment){
        .selector = 0x40, .base = 0xfffffe0000003000, .limit = 0x206f, .attr = 0x8b};
    c->ldtr = (struct x86_segment){.selector = 0x50, .base = 0x5000, .limit = 0xff, .attr = 0x82};
    c->gdtr = (struct x86_table){.base = 0xfffffe0000001000, .limit = 0x7f};
    c->idtr = (struct x86_table){.base = 0xfffffe0000000000, .limit = 0xfff};
    c->cr0 = 0x80050033;
    c->cr2 = 0x7fff12345678;
    c->cr3 = 0x2000;
    c->cr4 = 0x6b0;
    c->cr8 = 3;
    c->efer = 0xd01;
    c->dr[0] = 0xffffffff81000000;
    c->dr[3] = 0x401000;
    c->dr[6] = 0xffff0ff1;
    c->dr[7] = 0x10000403;
    fill_msrs(c);
    c->xsave[0] = 0x7f;
    c->xsave[1] = 2;
    for (unsigned i = 160; i < 416; i++)
        c->xsave[i] = (uint8_t)(i * 7);
}

/* Sets it, gets it; `what` names the case. */
static void round_trip(struct flat *f, const struct x86_cpu *want, const char *what)
{
    static struct x86_cpu got;
    const char *difference;
    struct err e = {0};

    if (f->ops->set_state(f->vcpu, want, &e) < 0)
        fail_msg("%s: %s: %s", f->ops->name, what, e.text);
    f->ops->get_state(f->vcpu, &got);
    difference = flat_difference(want, &got);
    if (difference != NULL) {
        flat_print(stderr, "set", want);
        flat_print(stderr, "got", &got);
        fail_msg("%s: %s: %s is not what was set", f->ops->name, what, difference);
    }
    assert_true(got.tsc - want->tsc < UINT64_C(100000000000));
}

static void check_all(const char *engine)
{
    static struct x86_cpu cpu;
    struct flat f;

    if (!open_or_skip(&f, engine))
        return;
    x86_cpu_reset(&cpu);
    round_trip(&f, &cpu, "reset");
    fill(&cpu);
    fill_steal(&f, &cpu);
    fill_counters(&f, &cpu);
    round_trip(&f, &cpu, "64-bit mode");
    cpu.tsc = UINT64_C(123456789012345);
    round_trip(&f, &cpu, "time stamp counter");
    cpu.nmi_blocked = true;
    cpu.nmi_pending = true;
    round_trip(&f, &cpu, "inside an NMI, with another");
    cpu.event_pending = true;
    cpu.event_type = 3;
    cpu.event_vector = 14;
    cpu.event_has_error = true;
    cpu.event_error = 7;
    round_trip(&f, &cpu, "a page fault that is due");
    cpu.event_has_error = false;
    cpu.event_error = 0;
    cpu.event_type = 0;
    cpu.event_vector = 0x41;
    round_trip(&f, &cpu, "an interrupt that is due");
    cpu.event_pending = false;
    cpu.event_vector = 0;
    cpu.nmi_blocked = cpu.nmi_pending = false;
    cpu.interrupt_shadow = true;
    round_trip(&f, &cpu, "behind STI");
    cpu.interrupt_shadow = false;
    cpu.mp_state = X86_MP_HALTED;
    round_trip(&f, &cpu, "halted");
    cpu.mp_state = X86_MP_INIT;
    round_trip(&f, &cpu, "waiting for a start-up message");
    flat_close(&f);
}

static void test_round_trip_bt(void **state)
{
    (void)state;
    check_all("bt");
}

static void test_round_trip_kvm(void **state)
{
    (void)state;
    check_all("kvm");
}

/* Runs, is stopped, goes into another machine and goes on there. */
static void move_on(const char *from, const char *to)
{
    /* mov ecx, 1000; 1: inc eax; movd xmm1, eax; dec ecx; jnz 1b; out 0xf4, al; inc ebx;
     * out 0xf4, al; jmp . */
    static const uint8_t code[] = {0xb9, 0xe8, 0x03, 0,    0,    0x40, 0x66, 0x0f, 0x6e, 0xc8,
                                   0x49, 0x75, 0xf8, 0xe6, 0xf4, 0x43, 0xe6, 0xf4, 0xeb, 0xfe};
    struct flat a, b;
    struct err e = {0};

    if (!open_or_skip(&a, from))
        return;
    if (!open_or_skip(&b, to)) {
        flat_close(&a);
        return;
    }
    flat_start(&a, code, sizeof(code));
    a.cpu->cr4 = 0x600;
    assert_int_equal(a.ops->set_state(a.vcpu, a.cpu, &e), 0);
    assert_true(flat_run(&a));
    a.ops->get_state(a.vcpu, a.cpu);
    assert_int_equal(a.cpu->gpr[X86_RAX], 1000);
    assert_int_equal(a.cpu->rip, FLAT_CODE + 15); /* the OUT is complete */
    flat_start(&b, code, sizeof(code));
    assert_int_equal(b.ops->set_state(b.vcpu, a.cpu, &e), 0);
    assert_true(flat_run(&b));
    b.ops->get_state(b.vcpu, b.cpu);
    assert_int_equal(b.cpu->gpr[X86_RBX], 1);
    assert_int_equal(b.cpu->gpr[X86_RAX], 1000);
    assert_int_equal(b.cpu->rip, FLAT_CODE + 18);
    assert_memory_equal(b.cpu->xsave + 160, a.cpu->xsave + 160, 256);
    flat_close(&a);
    flat_close(&b);
}

/* Counters count on in the machine that the state goes to. */
static void test_move_counters(void **state)
{
    /* mov ecx, 1000; 1: dec ecx; jnz 1b; out 0xf4, al; mov ecx, 500; 1: dec ecx; jnz 1b;
     * out 0xf4, al; jmp . */
    static const uint8_t code[] = {0xb9, 0xe8, 0x03, 0, 0,    0x49, 0x75, 0xfd, 0xe6, 0xf4, 0xb9,
                                   0xf4, 0x01, 0,    0, 0x49, 0x75, 0xfd, 0xe6, 0xf4, 0xeb, 0xfe};
    struct flat a, b;
    struct err e = {0};

    (void)state;
    assert_true(open_or_skip(&a, "bt"));
    assert_true(open_or_skip(&b, "bt"));
    flat_start(&a, code, sizeof(code));
    a.cpu->pmu.select[0] = 0x4200c0; /* CPL 0: instructions, */
    a.cpu->pmu.select[1] = 0x4200c2; /* branches; */
    a.cpu->pmu.select[2] = 0x4100c0; /* programs' */
    a.cpu->pmu.count[0] = UINT64_MAX;
    assert_int_equal(a.ops->set_state(a.vcpu, a.cpu, &e), 0);
    assert_true(flat_run(&a));
    a.ops->get_state(a.vcpu, a.cpu);
    assert_int_equal(a.cpu->pmu.count[0], 2001);
    assert_int_equal(a.cpu->pmu.count[1], 1000);
    assert_int_equal(a.cpu->pmu.count[2], 0);
    flat_start(&b, code, sizeof(code));
    assert_int_equal(b.ops->set_state(b.vcpu, a.cpu, &e), 0);
    assert_true(flat_run(&b));
    b.ops->get_state(b.vcpu, b.cpu);
    assert_int_equal(b.cpu->pmu.count[0], 3003);
    assert_int_equal(b.cpu->pmu.count[1], 1500);
    flat_close(&a);
    flat_close(&b);
}

static void test_move(void **state)
{
    (void)state;
    move_on("bt", "bt");
    move_on("kvm", "kvm");
    move_on("kvm", "bt");
    move_on("bt", "kvm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_bt),
        cmocka_unit_test(test_round_trip_kvm),
        cmocka_unit_test(test_move),
        cmocka_unit_test(test_move_counters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
