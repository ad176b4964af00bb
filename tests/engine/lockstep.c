/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lockstep: one flat guest on two engines, an instruction at a time; after each the states are
 * compared, and at the end the memory. The first divergence is reported with both states.
 *
 *   test-lockstep                      the translator with itself, and with KVM where that runs
 *   test-lockstep FILE [STEPS]         flat 32-bit code from FILE instead of our own
 *
 * The guest does not push its flags, which shows the steps under KVM.
 * An engine may stop in the middle of a repeated string instruction: it goes on until it is done.
 */
#include "test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flat.h"

/* The guest: what an operating system does when it starts, and a bit of everything. */
__asm__(".section .rodata\n"
        "lockstep_code: .code32\n"
        "  mov $0x9000, %edi; mov $0x12345678, %eax; mov $64, %ecx; cld; rep stosl\n"
        "  mov $0x9000, %esi; mov $0x9800, %edi; mov $200, %ecx; rep movsb\n"
        "  mov $0x9000, %esi; mov $0x9800, %edi; mov $50, %ecx; repe cmpsb\n"
        "  setne %bl; lahf; push $0x8d5; popf; seto %dl; sahf\n"
        "  xor %edx, %edx; mov $1000003, %eax; mov $97, %ecx; div %ecx\n"
        "  imul $-7, %edx, %esi; shld $5, %eax, %esi; rcl $3, %edi; bswap %eax; bsr %eax, %ebp\n"
        "  lock xadd %eax, 0x9004; cmpxchg %ecx, 0x9008; btsl $9, 0x9010; adc %eax, %edx\n"
        "  call 1f; jmp 2f\n"
        "1: push %ebp; mov %esp, %ebp; enter $16, $1; leave; leave; ret $0\n"
        "2: lgdt %cs:gdtr - lockstep_code + 0x8000\n"
        "  mov $16, %eax; mov %eax, %ds; mov %eax, %fs; mov %fs, %ecx; sgdt 0x9100; sidt 0x9110\n"
        "  mov $0xb000, %esi; movl $0x83, (%esi)\n" /* one page of 4 MB */
        "  mov $0x610, %eax; mov %eax, %cr4; mov %esi, %cr3; mov %cr0, %eax\n"
        "  or $0x80010000, %eax; mov %eax, %cr0; mov %cr3, %ebx; mov %cr0, %ecx; smsw %edx\n"
        "  invlpg 0x9000; mov $0x277, %ecx; rdmsr; xor $1, %al; wrmsr; rdmsr\n"
        "  fninit; fldpi; fld1; faddp; fstl 0x9200; fistpl 0x9208; fnstsw %ax\n"
        "  movd %eax, %xmm0; pshufd $0, %xmm0, %xmm1; paddd %xmm1, %xmm0; movdqu %xmm0, 0x9210\n"
        "  mov $12, %ecx\n"
        "3: in $0x60, %al; out %al, $0x61; add %al, %ah; loop 3b\n"
        "  mov 0x9000, %eax; cpuid; xor %eax, %eax; mov %eax, 0x9300\n"
        "  mov $0x1badbabe, %eax; out %al, $0xf4; hlt\n"
        "gdtr: .word 23; .long gdt - lockstep_code + 0x8000\n"
        "gdt: .quad 0, 0xcf9b000000ffff, 0xcf93000000ffff\n"
        "lockstep_end: .code64\n"
        ".previous\n");
extern const uint8_t lockstep_code[], lockstep_end[];

enum { MOST_STEPS = 20000, REPEATS = 100000 };

static struct x86_cpu before;

/* One whole instruction; its repetitions count as one. */
static enum engine_exit step(struct flat *f)
{
    enum engine_exit why;
    uint8_t opcode[4];
    unsigned n = 0;
    bool string;

    f->ops->get_state(f->vcpu, f->cpu);
    before = *f->cpu;
    string =
        ram_read(f->ram, before.rip, opcode, sizeof(opcode)) == 0 && (opcode[0] & 0xfe) == 0xf2;
    do {
        f->ops->debug_step(f->vcpu, true);
        why = f->ops->run(f->vcpu);
        f->ops->get_state(f->vcpu, f->cpu);
    } while (string && why == ENGINE_EXIT_DEBUG && f->cpu->rip == before.rip && n++ < REPEATS);
    return why;
}

/* What stepping itself leaves in the state. */
static void forget_steps(struct x86_cpu *c)
{
    c->rflags &= ~UINT64_C(0x10100); /* RF, TF */
    c->dr[6] &= ~UINT64_C(0x4000);
    for (unsigned i = 0; i < X86_SEG_COUNT; i++) /* accessed */
        c->seg[i].attr |= 1;
}

static bool same_memory(struct flat *a, struct flat *b)
{
    static uint8_t x[4096], y[4096];

    for (gpa_t gpa = 0; gpa < FLAT_MEMORY; gpa += sizeof(x)) {
        if (ram_read(a->ram, gpa, x, sizeof(x)) < 0 || ram_read(b->ram, gpa, y, sizeof(y)) < 0)
            return false;
        for (unsigned i = 0; i < sizeof(x); i++)
            if (x[i] != y[i]) {
                fprintf(stderr, "memory at %#" PRIx64 ": %02x under %s, %02x under %s\n", gpa + i,
                        x[i], a->ops->name, y[i], b->ops->name);
                return false;
            }
    }
    return true;
}

static void report(struct flat *a, struct flat *b, unsigned n, const char *what)
{
    fprintf(stderr, "divergence after step %u, in %s\n", n, what);
    flat_print(stderr, "before", &before);
    flat_print(stderr, a->ops->name, a->cpu);
    flat_print(stderr, b->ops->name, b->cpu);
}

/* Steps until both stopped. true: they agree all the way. */
static bool run_both(struct flat *a, struct flat *b, unsigned most, unsigned *steps)
{
    for (*steps = 1; *steps <= most; ++*steps) {
        enum engine_exit x = step(a), y = step(b);
        const char *what;

        forget_steps(a->cpu);
        forget_steps(b->cpu);
        what = x != y ? "how they stopped" : flat_difference(a->cpu, b->cpu);
        if (what != NULL) {
            report(a, b, *steps, what);
            return false;
        }
        if (a->stop || x != ENGINE_EXIT_DEBUG)
            return same_memory(a, b);
    }
    return same_memory(a, b);
}

static bool open_pair(struct flat *a, struct flat *b, const char *second)
{
    struct err e = {0};

    if (!flat_open(a, "bt", &e))
        fail_msg("bt: %s", e.text);
    if (flat_open(b, second, &e))
        return true;
    if (b->engine != NULL)
        fail_msg("%s: %s", second, e.text);
    print_message("skip - bt and %s: %s\n", second, e.text);
    flat_close(a);
    flat_close(b);
    return false;
}

static const uint8_t *code;
static unsigned code_size, most_steps = MOST_STEPS;

static void start_pair(struct flat *a, struct flat *b)
{
    a->cpuid = b->cpuid; /* one guest, one processor */
    flat_start(a, code, code_size);
    flat_start(b, code, code_size);
}

static void pair(const char *second)
{
    struct flat a, b;
    unsigned steps;

    if (!open_pair(&a, &b, second))
        return;
    start_pair(&a, &b);
    if (!run_both(&a, &b, most_steps, &steps))
        fail_msg("bt and %s diverge after %u steps", second, steps);
    print_message("# bt and %s agree over %u steps\n", second, steps);
    if (code == lockstep_code) {
        assert_in_range(steps, 100, 1000);
        assert_true(a.stop && b.stop);
    }
    flat_close(&a);
    flat_close(&b);
}

static void test_bt_with_itself(void **state)
{
    (void)state;
    pair("bt");
}

static void test_bt_with_kvm(void **state)
{
    (void)state;
    pair("kvm");
}

/* One bit of one register, and the difference is found at the instruction that shows it. */
static void test_divergence_is_found(void **state)
{
    struct flat a, b;
    struct err e = {0};
    unsigned steps;

    (void)state;
    if (!open_pair(&a, &b, "bt"))
        return;
    start_pair(&a, &b);
    for (unsigned i = 0; i < 20; i++) {
        step(&a);
        step(&b);
    }
    b.cpu->gpr[X86_RBP] ^= 0x10;
    assert_int_equal(b.ops->set_state(b.vcpu, b.cpu, &e), 0);
    assert_false(run_both(&a, &b, most_steps, &steps));
    assert_int_equal(steps, 1);
    flat_close(&a);
    flat_close(&b);
}

static int load_file(const char *path)
{
    static uint8_t room[FLAT_MEMORY - FLAT_CODE];
    FILE *f = fopen(path, "rb");

    if (f == NULL)
        return -1;
    code_size = (unsigned)fread(room, 1, sizeof(room), f);
    code = room;
    fclose(f);
    return code_size > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bt_with_itself),
        cmocka_unit_test(test_bt_with_kvm),
        cmocka_unit_test(test_divergence_is_found),
    };

    code = lockstep_code;
    code_size = (unsigned)(lockstep_end - lockstep_code);
    if (argc > 1 && load_file(argv[1]) < 0) {
        fprintf(stderr, "cannot read %s\n", argv[1]);
        return 2;
    }
    if (argc > 2)
        most_steps = (unsigned)strtoul(argv[2], NULL, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
