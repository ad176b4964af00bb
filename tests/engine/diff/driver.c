/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver: guest code at CPL 0 that runs a batch of cases one after the other, as an operating
 * system runs programs, without leaving the engine. For each case it maps the case's data pages,
 * loads the vector state by XRSTOR and the rest by IRETQ; the exception that ends the case brings
 * it back, and it keeps the state (XSAVE) beside the case. So everything that a case needs is
 * translated code, and blocks, links and TLB entries of one case meet those of the next.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest_internal.h"

/* One case in guest memory; the assembly knows the offsets. */
struct slot {
    uint64_t gpr[16];                     /* 0 */
    uint64_t rip, cs, rflags, rsp, ss;    /* 128: IRETQ pops them where they lie */
    uint64_t fs_base, gs_base;            /* 168 */
    uint64_t data_selector, tls_selector; /* 184 */
    uint64_t xcr0;                        /* 200 */
    uint64_t data_pte[2];                 /* 208 */
    uint64_t out_gpr[16];                 /* 224 */
    uint64_t out_error, out_rip, out_cs, out_rflags, out_rsp, out_ss; /* 352 */
    uint64_t out_vector, out_cr2;                                     /* 400 */
    uint8_t pad[4096 - 416];
    uint8_t xsave[DIFF_XSAVE];     /* 4096 */
    uint8_t out_xsave[DIFF_XSAVE]; /* 8192 */
    uint8_t data[DIFF_DATA_SIZE];  /* 12288 */
};
_Static_assert(offsetof(struct slot, xsave) == 4096 && sizeof(struct slot) == 20480, "layout");

#define NOT_REACHED UINT64_MAX

extern const uint8_t driver_code[], driver_next[], driver_common[], driver_end[];
extern const uint8_t driver_current[], driver_left[], driver_ptes[];

__asm__(".section .rodata\n"
        ".balign 16\n"
        "driver_code:\n"
        "driver_next:\n"
        "    mov driver_current(%rip), %rbx\n"
        "    mov driver_ptes(%rip), %rdx\n"
        "    mov 208(%rbx), %rax; mov %rax, (%rdx)\n"
        "    mov driver_ptes+8(%rip), %rdx\n"
        "    mov 216(%rbx), %rax; mov %rax, (%rdx)\n"
        "    mov $0x20000000, %eax; invlpg (%rax); add $0x1000, %eax; invlpg (%rax)\n"
        "    mov $0x7f0020000000, %rax; invlpg (%rax); add $0x1000, %rax; invlpg (%rax)\n"
        "    mov 200(%rbx), %eax; xor %edx, %edx; xrstor64 4096(%rbx)\n"
        "    mov 184(%rbx), %eax; mov %eax, %ds; mov %eax, %es\n"
        "    mov 192(%rbx), %eax; mov %eax, %fs; mov %eax, %gs\n"
        "    test %eax, %eax; jnz 1f\n"
        "    mov $0xc0000100, %ecx; mov 168(%rbx), %eax; mov 172(%rbx), %edx; wrmsr\n"
        "    mov $0xc0000101, %ecx; mov 176(%rbx), %eax; mov 180(%rbx), %edx; wrmsr\n"
        "1:  mov 0(%rbx), %rax; mov 8(%rbx), %rcx; mov 16(%rbx), %rdx\n"
        "    mov 40(%rbx), %rbp; mov 48(%rbx), %rsi; mov 56(%rbx), %rdi\n"
        "    mov 64(%rbx), %r8; mov 72(%rbx), %r9; mov 80(%rbx), %r10; mov 88(%rbx), %r11\n"
        "    mov 96(%rbx), %r12; mov 104(%rbx), %r13; mov 112(%rbx), %r14; mov 120(%rbx), %r15\n"
        "    lea 128(%rbx), %rsp\n"
        "    mov 24(%rbx), %rbx\n"
        "    iretq\n"
        /* Stack: RBX, RAX, vector, error code, RIP, CS, RFLAGS, RSP, SS. */
        "driver_common:\n"
        "    push %rax; push %rbx\n"
        "    mov driver_current(%rip), %rbx\n"
        "    mov %rcx, 232(%rbx); mov %rdx, 240(%rbx)\n"
        "    mov %rbp, 264(%rbx); mov %rsi, 272(%rbx); mov %rdi, 280(%rbx)\n"
        "    mov %r8, 288(%rbx); mov %r9, 296(%rbx); mov %r10, 304(%rbx); mov %r11, 312(%rbx)\n"
        "    mov %r12, 320(%rbx); mov %r13, 328(%rbx); mov %r14, 336(%rbx); mov %r15, 344(%rbx)\n"
        "    pop %rax; mov %rax, 248(%rbx)\n"
        "    pop %rax; mov %rax, 224(%rbx)\n"
        "    pop %rax; mov %rax, 400(%rbx)\n"
        "    cld; mov %rsp, %rsi; lea 352(%rbx), %rdi; mov $6, %ecx; rep movsq\n"
        "    mov %cr2, %rax; mov %rax, 408(%rbx)\n"
        "    mov 200(%rbx), %eax; xor %edx, %edx; xsave64 8192(%rbx)\n"
        "    addq $20480, driver_current(%rip)\n"
        "    decq driver_left(%rip); jnz driver_next\n"
        "1:  hlt; jmp 1b\n"
        ".balign 8\n"
        "driver_current: .quad 0\n"
        "driver_left: .quad 0\n"
        "driver_ptes: .quad 0, 0\n"
        "driver_end:\n"
        ".text\n");

static gpa_t in_guest(const uint8_t *place)
{
    return GPA_DRIVER + (gpa_t)(place - driver_code);
}

static gpa_t stub_gpa(unsigned vector)
{
    return GPA_DRIVER + 0x800 + vector * STUB_SIZE;
}

static bool has_error(unsigned vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
}

/* PUSH 0 where the CPU pushes no error code, PUSH vector, JMP driver_common. */
static void put_stub(struct subject *s, unsigned vector)
{
    uint8_t b[STUB_SIZE] = {0x6a, 0x00};
    unsigned n = 2;
    uint32_t relative;

    if (has_error(vector))
        n = 0;
    b[n++] = 0x68;
    memcpy(b + n, &vector, 4);
    n += 4;
    b[n++] = 0xe9;
    relative = (uint32_t)(in_guest(driver_common) - (stub_gpa(vector) + n + 4));
    memcpy(b + n, &relative, 4);
    subject_put(s, stub_gpa(vector), b, sizeof(b));
}

void driver_build(struct subject *s)
{
    subject_put(s, GPA_DRIVER, driver_code, (size_t)(driver_end - driver_code));
    for (unsigned i = 0; i < 2; i++)
        subject_put64(s, in_guest(driver_ptes) + i * 8, KERNEL_BASE + s->data_pte[i]);
    for (unsigned i = 0; i < 256; i++) {
        put_stub(s, i);
        subject_put_gate(s, GPA_DRIVER_IDT, i,
                         KERNEL_BASE + (i == IRQ_VECTOR ? GPA_STUBS + i * STUB_SIZE : stub_gpa(i)));
    }
}

static gpa_t slot_gpa(uint32_t i)
{
    return GPA_RING + i * sizeof(struct slot);
}

static void put_slot(struct subject *s, uint32_t i, const struct diff_case *c, struct slot *slot)
{
    bool compat = c->mode == DIFF_USER32, kernel = c->mode == DIFF_KERNEL;

    memset(slot, 0, sizeof(*slot));
    memcpy(slot->gpr, c->regs.gpr, sizeof(slot->gpr));
    slot->rip = c->regs.rip;
    slot->rflags = c->regs.rflags;
    slot->rsp = c->regs.gpr[X86_RSP];
    slot->cs = compat ? 0x23 : kernel ? 0x10 : 0x33;
    slot->ss = kernel ? 0x18 : 0x2b;
    slot->fs_base = c->regs.fs_base;
    slot->gs_base = c->regs.gs_base;
    slot->data_selector = compat ? 0x2b : 0;
    slot->tls_selector = compat ? c->regs.tls_selector : 0;
    slot->xcr0 = s->xcr0;
    for (unsigned p = 0; p < 2; p++)
        slot->data_pte[p] = (slot_gpa(i) + offsetof(struct slot, data) + p * DIFF_PAGE) | PTE_P |
                            PTE_W | PTE_U | PTE_NX;
    slot->out_vector = NOT_REACHED;
    memcpy(slot->xsave, c->xsave, sizeof(slot->xsave));
    memcpy(slot->data, c->data, sizeof(slot->data));
    subject_put(s, slot_gpa(i), slot, sizeof(*slot));
    subject_put_code(s, (uint32_t)c->regs.rip, c->code, c->code_len);
}

static void get_slot(struct subject *s, uint32_t i, const struct diff_case *c,
                     struct diff_result *r, struct slot *slot)
{
    static const uint8_t int3[DIFF_MAX_CODE] = {[0 ... DIFF_MAX_CODE - 1] = 0xcc};

    subject_get(s, slot_gpa(i), slot, sizeof(*slot));
    subject_put_code(s, (uint32_t)c->regs.rip, int3, c->code_len);
    r->note[0] = '\0';
    r->status = slot->out_vector == NOT_REACHED ? DIFF_NOT_RUN : DIFF_DONE;
    memcpy(r->regs.gpr, slot->out_gpr, sizeof(r->regs.gpr));
    r->regs.gpr[X86_RSP] = slot->out_rsp;
    r->regs.rip = slot->out_rip;
    r->regs.rflags = slot->out_rflags;
    r->vector = (unsigned)slot->out_vector;
    r->error = slot->out_error;
    r->cr2 = slot->out_cr2;
    memcpy(r->xsave, slot->out_xsave, sizeof(r->xsave));
    memcpy(r->data, slot->data, sizeof(r->data));
}

static enum engine_exit run_driver(struct subject *s, uint32_t n)
{
    struct x86_cpu x = s->base;
    struct err e = {0};

    subject_put64(s, in_guest(driver_current), KERNEL_BASE + GPA_RING);
    subject_put64(s, in_guest(driver_left), n);
    x.rip = KERNEL_BASE + GPA_DRIVER;
    x.rflags = 2;
    x.idtr.base = KERNEL_BASE + GPA_DRIVER_IDT;
    x.gpr[X86_RSP] = KERNEL_BASE + GPA_STACK_TOP;
    x.seg[X86_CS] = (struct x86_segment){.selector = 0x10, .attr = 0xa09b, .limit = UINT32_MAX};
    x.seg[X86_SS] = (struct x86_segment){.selector = 0x18, .attr = 0xc093, .limit = UINT32_MAX};
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        if (i != X86_CS && i != X86_SS)
            x.seg[i] = (struct x86_segment){.unusable = true};
    if (s->ops->set_state(s->vcpu, &x, &e) != 0)
        return ENGINE_EXIT_ERROR;
    return subject_watched_run(s);
}

/* The data pages as subject_run has them. */
static void restore_data(struct subject *s)
{
    for (unsigned i = 0; i < 2; i++)
        subject_put64(s, s->data_pte[i], s->data[i] | PTE_P | PTE_W | PTE_U | PTE_NX);
}

void subject_run_batch(struct subject *s, const struct diff_case *c, struct diff_result *r,
                       uint32_t n)
{
    struct slot *slot = malloc(sizeof(*slot));
    enum engine_exit exit;
    bool over = false;

    if (slot == NULL)
        abort();
    for (uint32_t i = 0; i < n; i++)
        put_slot(s, i, &c[i], slot);
    exit = run_driver(s, n);
    for (uint32_t i = 0; i < n; i++) {
        get_slot(s, i, &c[i], &r[i], slot);
        if (r[i].status != DIFF_NOT_RUN)
            continue;
        /* The first that did not end is the one that stopped the batch. */
        r[i].status = over ? DIFF_NOT_RUN : exit == ENGINE_EXIT_KICKED ? DIFF_TIMEOUT : DIFF_LOST;
        snprintf(r[i].note, sizeof(r[i].note), "the driver stopped with exit %d%s", (int)exit,
                 over ? " before this case" : " in this case");
        over = true;
    }
    restore_data(s);
    free(slot);
}
