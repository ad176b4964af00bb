/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The subject: a machine of RAM and one vCPU under an engine, which runs cases as guest code.
 *
 * The guest's page tables map the arena of diff.h for user mode, its pages scattered in physical
 * memory, and the tables, IDT, TSS and exception stubs of the test far up in the kernel half, out
 * of reach of the cases' pointers. Descriptors have Linux's selectors, so that a case that reads
 * one sees what it sees natively. Each of the 256 vectors has a stub that halts: after ENGINE_EXIT_
 * HALT the address of the HLT says which vector, the frame on the IST stack where.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "diff.h"
#include "guest_internal.h"

static uint32_t port_read(void *opaque, unsigned vcpu, uint16_t port, unsigned size)
{
    return UINT32_MAX;
}

static void port_write(void *opaque, unsigned vcpu, uint16_t port, uint32_t value, unsigned size)
{
}

static uint64_t mmio_read(void *opaque, unsigned vcpu, gpa_t gpa, unsigned size)
{
    return UINT64_MAX;
}

static void mmio_write(void *opaque, unsigned vcpu, gpa_t gpa, uint64_t value, unsigned size)
{
}

static bool msr_read(void *opaque, unsigned vcpu, uint32_t index, uint64_t *value)
{
    return false;
}

static bool msr_write(void *opaque, unsigned vcpu, uint32_t index, uint64_t value)
{
    return false;
}

static unsigned cr8_read(void *opaque, unsigned vcpu)
{
    return 0;
}

static void cr8_write(void *opaque, unsigned vcpu, unsigned value)
{
}

static bool interrupt_pending(void *opaque, unsigned vcpu)
{
    struct subject *s = opaque;

    return atomic_load(&s->irq);
}

static int interrupt_take(void *opaque, unsigned vcpu)
{
    struct subject *s = opaque;

    if (!atomic_exchange(&s->irq, false))
        return -1;
    atomic_fetch_add(&s->irqs, 1);
    return IRQ_VECTOR;
}

static bool nmi_take(void *opaque, unsigned vcpu)
{
    return false;
}

static const struct engine_host quiet_host = {
    .port_read = port_read,
    .port_write = port_write,
    .mmio_read = mmio_read,
    .mmio_write = mmio_write,
    .msr_read = msr_read,
    .msr_write = msr_write,
    .cr8_read = cr8_read,
    .cr8_write = cr8_write,
    .interrupt_pending = interrupt_pending,
    .interrupt_take = interrupt_take,
    .nmi_take = nmi_take,
};

void subject_put(struct subject *s, gpa_t gpa, const void *buf, size_t len)
{
    if (ram_write(s->ram, gpa, buf, len) != 0)
        abort();
}

void subject_get(struct subject *s, gpa_t gpa, void *buf, size_t len)
{
    if (ram_read(s->ram, gpa, buf, len) != 0)
        abort();
}

void subject_put64(struct subject *s, gpa_t gpa, uint64_t value)
{
    subject_put(s, gpa, &value, sizeof(value));
}

uint64_t subject_get64(struct subject *s, gpa_t gpa)
{
    uint64_t value;

    subject_get(s, gpa, &value, sizeof(value));
    return value;
}

/* Maps one 4 KB page; makes the tables above it as needed. */
/* Returns where the entry lies. */
static gpa_t map(struct subject *s, uint64_t linear, gpa_t gpa, uint64_t flags)
{
    gpa_t table = s->base.cr3;

    for (int shift = 39; shift > 12; shift -= 9) {
        gpa_t slot = table + ((linear >> shift) & 511) * 8;
        uint64_t entry = subject_get64(s, slot);

        if ((entry & PTE_P) == 0) {
            entry = s->next_table | PTE_P | PTE_W | PTE_U;
            s->next_table += DIFF_PAGE;
            subject_put64(s, slot, entry);
        }
        table = entry & ~0xfffull;
    }
    table += ((linear >> 12) & 511) * 8;
    subject_put64(s, table, gpa | PTE_P | flags);
    return table;
}

/* The 2 MB at `alias` are mapped as those at `linear` are, by the same table. */
static void map_again(struct subject *s, uint64_t alias, uint64_t linear)
{
    gpa_t table = s->base.cr3;

    map(s, alias, 0, 0);
    gpa_t again = table;
    for (int shift = 39; shift > 21; shift -= 9) {
        table = subject_get64(s, table + ((linear >> shift) & 511) * 8) & ~0xfffull;
        again = subject_get64(s, again + ((alias >> shift) & 511) * 8) & ~0xfffull;
    }
    subject_put64(s, again + ((alias >> 21) & 511) * 8,
                  subject_get64(s, table + ((linear >> 21) & 511) * 8));
}

/* Where a code page lies in physical memory: neighbours never are. */
static gpa_t code_gpa(unsigned page)
{
    return GPA_CODE + ((page * 37 + 11) % DIFF_CODE_PAGES) * 2 * DIFF_PAGE;
}

static void build_tables(struct subject *s, const uint8_t *readonly)
{
    static const uint8_t int3[DIFF_PAGE] = {[0 ... DIFF_PAGE - 1] = 0xcc};

    s->base.cr3 = GPA_TABLES;
    s->next_table = GPA_TABLES + DIFF_PAGE;
    for (gpa_t gpa = 0; gpa < GPA_KERNEL_END; gpa += DIFF_PAGE)
        map(s, KERNEL_BASE + gpa, gpa, PTE_W);
    for (gpa_t gpa = GPA_RING; gpa < GPA_RING_END; gpa += DIFF_PAGE)
        map(s, KERNEL_BASE + gpa, gpa, PTE_W);
    for (unsigned i = 0; i < DIFF_CODE_PAGES; i++) {
        map(s, DIFF_CODE + i * DIFF_PAGE, code_gpa(i), PTE_U);
        subject_put(s, code_gpa(i), int3, DIFF_PAGE);
    }
    s->data[0] = GPA_DATA;
    s->data[1] = GPA_DATA + 5 * DIFF_PAGE;
    for (unsigned i = 0; i < 2; i++)
        s->data_pte[i] = map(s, DIFF_DATA + i * DIFF_PAGE, s->data[i], PTE_U | PTE_W | PTE_NX);
    map_again(s, DIFF_HIGH, DIFF_DATA);
    s->readonly = GPA_DATA + 9 * DIFF_PAGE;
    map(s, DIFF_RO, s->readonly, PTE_U | PTE_NX);
    subject_put(s, s->readonly, readonly, DIFF_PAGE);
}

/* Linux's GDT, as far as a program can see it. */
static void build_gdt(struct subject *s)
{
    static const uint64_t gdt[] = {
        [0x08 / 8] = 0x00cf9b000000ffff,
        [0x10 / 8] = 0x00af9b000000ffff,
        [0x18 / 8] = 0x00cf93000000ffff,
        [0x20 / 8] = 0x00cffb000000ffff,
        [0x28 / 8] = 0x00cff3000000ffff,
        [0x30 / 8] = 0x00affb000000ffff,
        [0x60 / 8] = 0x00cff3000000ffff | (uint64_t)DIFF_TLS_BASE << 16,
        [0x78 / 8] = 0,
    };
    uint64_t tss = KERNEL_BASE + GPA_TSS;

    subject_put(s, GPA_GDT, gdt, sizeof(gdt));
    subject_put64(s, GPA_GDT + 0x40,
                  0x00008b0000000067 | (tss & 0xffffff) << 16 | (tss >> 24 & 0xff) << 56);
    subject_put64(s, GPA_GDT + 0x48, tss >> 32);
    subject_put64(s, GPA_TSS + 4, KERNEL_BASE + GPA_STACK_TOP);    /* RSP0 */
    subject_put64(s, GPA_TSS + 0x24, KERNEL_BASE + GPA_STACK_TOP); /* IST1 */
    subject_put64(s, GPA_TSS + 0x64, 0x68ull << 16);               /* no I/O map */
}

/* An interrupt gate on IST1; programs may use those of INT3 and INTO. */
void subject_put_gate(struct subject *s, gpa_t idt, unsigned vector, uint64_t handler)
{
    uint64_t dpl = vector == 3 || vector == 4 ? 3 : 0;

    subject_put64(s, idt + vector * 16,
                  (handler & 0xffff) | 0x10ull << 16 | 1ull << 32 | (0x8e | dpl << 5) << 40 |
                      (handler >> 16 & 0xffff) << 48);
    subject_put64(s, idt + vector * 16 + 8, handler >> 32);
}

static void build_idt(struct subject *s)
{
    static const uint8_t hlt[STUB_SIZE] = {0xf4, 0xeb, 0xfd};
    static const uint8_t iret[STUB_SIZE] = {0x48, 0xcf};

    for (unsigned i = 0; i < 256; i++) {
        subject_put(s, GPA_STUBS + i * STUB_SIZE, i == IRQ_VECTOR ? iret : hlt, STUB_SIZE);
        subject_put_gate(s, GPA_IDT, i, KERNEL_BASE + GPA_STUBS + i * STUB_SIZE);
    }
}

static struct x86_segment segment(uint16_t selector, uint16_t attr)
{
    return (struct x86_segment){.selector = selector, .attr = attr, .limit = UINT32_MAX};
}

static void build_cpu(struct subject *s)
{
    struct x86_cpu *c = &s->base;
    gpa_t cr3 = c->cr3;

    x86_cpu_reset(c);
    c->cr3 = cr3;
    c->cr0 = 0x80050033; /* PG AM WP NE ET MP PE */
    c->cr4 = 0x50620;    /* OSXSAVE FSGSBASE OSXMMEXCPT OSFXSR PAE */
    c->efer = 0xd01;     /* NXE LMA LME SCE */
    c->xcr0 = s->xcr0;
    c->gdtr = (struct x86_table){KERNEL_BASE + GPA_GDT, 0x7f};
    c->idtr = (struct x86_table){KERNEL_BASE + GPA_IDT, 0xfff};
    c->tr = (struct x86_segment){
        .base = KERNEL_BASE + GPA_TSS, .limit = 0x67, .selector = 0x40, .attr = 0x8b};
    c->ldtr = (struct x86_segment){.unusable = true};
    c->mp_state = X86_MP_RUNNABLE;
}

/* Kicks a case that does not end; gives up on an engine that does not react. */
static void *watch(void *opaque)
{
    struct subject *s = opaque;
    uint64_t seen = 0;
    unsigned same = 0;

    while (!atomic_load(&s->stop)) {
        struct timespec t = {0, TICK_MS * 1000000};
        uint64_t now = atomic_load(&s->runs);

        nanosleep(&t, NULL);
        same = now == seen && atomic_load(&s->running) ? same + 1 : 0;
        seen = now;
        if (same >= s->patience && same % 2 == 0) {
            atomic_store(&s->hung, true);
            s->ops->kick(s->vcpu, true);
        }
        if (same >= 20000 / TICK_MS) {
            fprintf(stderr, "# the engine does not come back from a case after a kick\n");
            abort();
        }
    }
    return NULL;
}

/* Interrupts at irregular distances of some tens of microseconds. */
static void *interrupt(void *opaque)
{
    struct subject *s = opaque;
    struct diff_rng rng;

    diff_rng_seed(&rng, 7);
    while (!atomic_load(&s->stop)) {
        struct timespec t = {0, 1000 + diff_below(&rng, 40000)};

        nanosleep(&t, NULL);
        atomic_store(&s->irq, true);
        s->ops->kick(s->vcpu, false);
    }
    return NULL;
}

void subject_interrupts(struct subject *s)
{
    s->interrupts = true;
    if (pthread_create(&s->interrupter, NULL, interrupt, s) != 0)
        abort();
}

void subject_counters(struct subject *s)
{
    struct x86_pmu *p = &s->base.pmu;

    p->select[0] = 0x5300c0; /* instructions, with an interrupt */
    p->count[0] = X86_PMU_MASK - 30;
    p->select[1] = 0x5300c2; /* branches */
    p->count[1] = X86_PMU_MASK - 7;
}

uint64_t subject_counted(const struct subject *s)
{
    return s->counted;
}

uint64_t subject_interrupt_count(const struct subject *s)
{
    return atomic_load(&s->irqs);
}

static const char *create_vcpu(struct subject *s)
{
    static char text[600];
    struct err e = {0};
    struct engine_config cfg = {.ram = s->ram, .host = &s->host, .cpuid = &s->cpuid, .vcpus = 1};

    if (cpuid_table_build(&s->cpuid, 1000000, 1, &e) != 0 || s->ops->probe(&e) != 0 ||
        s->ops->create(&cfg, &s->engine, &e) != 0 ||
        s->ops->vcpu_create(s->engine, 0, &s->vcpu, &e) != 0) {
        snprintf(text, sizeof(text), "%s", e.text);
        return text;
    }
    return NULL;
}

static void limit_xcr0(struct subject *s, uint64_t xcr0)
{
    uint32_t out[4];

    subject_cpuid(s, 0xd, 0, out);
    s->xcr0 = xcr0 & (out[0] | (uint64_t)out[3] << 32);
}

void subject_build(struct subject *s, const uint8_t *readonly)
{
    build_tables(s, readonly);
    build_gdt(s);
    build_idt(s);
    driver_build(s);
}

struct subject *subject_create(const char *engine, uint64_t xcr0, const uint8_t *readonly,
                               const char **why)
{
    struct subject *s = aligned_alloc(64, (sizeof(*s) + 63) & ~63ul);
    struct err e = {0};

    memset(s, 0, sizeof(*s));
    s->patience = 2000 / TICK_MS;
    s->host = quiet_host;
    s->host.opaque = s;
    s->ops = engine_find(engine);
    *why = "there is no such engine in this build";
    if (s->ops == NULL) {
        free(s);
        return NULL;
    }
    if (ram_create(&s->ram, RAM_SIZE, &e) != 0 || ram_add(s->ram, 0, RAM_SIZE, false, &e) != 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    *why = create_vcpu(s);
    if (*why != NULL)
        return NULL;
    subject_build(s, readonly);
    limit_xcr0(s, xcr0);
    build_cpu(s);
    if (pthread_create(&s->watchdog, NULL, watch, s) != 0)
        abort();
    return s;
}

void subject_destroy(struct subject *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->stop, true);
    pthread_join(s->watchdog, NULL);
    if (s->interrupts)
        pthread_join(s->interrupter, NULL);
    s->ops->vcpu_destroy(s->vcpu);
    s->ops->destroy(s->engine);
    ram_destroy(s->ram);
    free(s);
}

void subject_cpuid(struct subject *s, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    struct cpuid_dynamic dyn = {.cr4 = 0x50620, .xcr0 = 7};

    cpuid_execute(&s->cpuid, &dyn, leaf, subleaf, out);
}

/* Writes code through the page tables' scatter. */
void subject_put_code(struct subject *s, uint32_t linear, const uint8_t *bytes, uint32_t len)
{
    while (len > 0) {
        uint32_t offset = linear - DIFF_CODE;
        uint32_t n = DIFF_PAGE - offset % DIFF_PAGE;

        n = n < len ? n : len;
        subject_put(s, code_gpa(offset / DIFF_PAGE) + offset % DIFF_PAGE, bytes, n);
        linear += n;
        bytes += n;
        len -= n;
    }
}

static void load_memory(struct subject *s, const struct diff_case *c)
{
    static const uint8_t int3[DIFF_MAX_CODE] = {[0 ... DIFF_MAX_CODE - 1] = 0xcc};

    if (s->last_code_len != 0)
        subject_put_code(s, s->last_code, int3, s->last_code_len);
    s->last_code = (uint32_t)c->regs.rip;
    s->last_code_len = c->code_len;
    subject_put_code(s, s->last_code, c->code, c->code_len);
    for (unsigned i = 0; i < 2; i++)
        subject_put(s, s->data[i], c->data + i * DIFF_PAGE, DIFF_PAGE);
}

static struct x86_segment ldt_segment(struct subject *s, unsigned n, const struct diff_segment *d)
{
    unsigned type = n == DIFF_CS ? 0x9 | (d->readonly ? 0 : 2) : 0x1 | (d->readonly ? 0 : 2);
    uint64_t attr = 0xf0 | type | (d->down ? 4 : 0) | 1u << 12 | (uint64_t)d->big << 14 |
                    (uint64_t)d->pages << 15;

    subject_put64(s, GPA_LDT + (n + 1) * 8,
                  (d->limit & 0xffff) | (uint64_t)(d->base & 0xffffff) << 16 | attr << 40 |
                      (uint64_t)(d->limit >> 16) << 48 | (uint64_t)(d->base >> 24) << 56);
    return (struct x86_segment){.selector = DIFF_LDT_SELECTOR(n),
                                .base = d->base,
                                .limit = d->pages ? d->limit << 12 | 0xfff : d->limit,
                                .attr = (uint16_t)attr};
}

static void load_ldt(struct subject *s, struct x86_cpu *x, const struct diff_case *c)
{
    x->ldtr = (struct x86_segment){
        .selector = 0x50, .base = KERNEL_BASE + GPA_LDT, .limit = 0x2f, .attr = 0x82};
    x->seg[X86_CS] = ldt_segment(s, DIFF_CS, &c->seg[DIFF_CS]);
    x->seg[X86_SS] = ldt_segment(s, DIFF_SS, &c->seg[DIFF_SS]);
    x->seg[X86_DS] = ldt_segment(s, DIFF_DS, &c->seg[DIFF_DS]);
    x->seg[X86_ES] = ldt_segment(s, DIFF_ES, &c->seg[DIFF_ES]);
    x->seg[X86_FS] = x->seg[X86_GS] = x->seg[X86_ES];
    x->rip = (uint32_t)(x->rip - c->seg[DIFF_CS].base);
}

static void load_segments(struct x86_cpu *x, const struct diff_case *c)
{
    bool compat = c->mode == DIFF_USER32;
    struct x86_segment null = {.unusable = true};

    x->seg[X86_CS] = segment(0x33, 0xa0fb);
    x->seg[X86_SS] = segment(0x2b, 0xc0f3);
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        if (i != X86_CS && i != X86_SS)
            x->seg[i] = null;
    x->seg[X86_FS].base = c->regs.fs_base;
    x->seg[X86_GS].base = c->regs.gs_base;
    if (c->mode == DIFF_KERNEL) {
        x->seg[X86_CS] = segment(0x10, 0xa09b);
        x->seg[X86_SS] = segment(0x18, 0xc093);
    }
    if (!compat)
        return;
    x->seg[X86_CS] = segment(0x23, 0xc0fb);
    x->seg[X86_DS] = x->seg[X86_ES] = x->seg[X86_SS];
    x->seg[X86_FS] = segment(c->regs.tls_selector, 0xc0f3);
    x->seg[X86_FS].base = c->regs.tls_selector == DIFF_TLS_SELECTOR ? DIFF_TLS_BASE : 0;
    x->seg[X86_GS] = x->seg[X86_FS];
}

/* The exception that ended the case, read off the stub's address and the frame it got. */
static void read_frame(struct subject *s, const struct x86_cpu *x, struct diff_result *r)
{
    uint64_t stub = x->rip - (KERNEL_BASE + GPA_STUBS);
    uint64_t stack = x->gpr[X86_RSP] - KERNEL_BASE;
    uint64_t frame[6] = {0};
    unsigned words = stack == GPA_STACK_TOP - 48 ? 6 : 5;

    if (stub >= 256 * STUB_SIZE || stack != GPA_STACK_TOP - words * 8u) {
        r->status = DIFF_LOST;
        snprintf(r->note, sizeof(r->note), "halted at rip %#lx, rsp %#lx", x->rip, x->gpr[X86_RSP]);
        return;
    }
    subject_get(s, stack, frame + (6 - words), words * 8u);
    memcpy(r->regs.gpr, x->gpr, sizeof(r->regs.gpr));
    r->regs.rip = frame[1];
    r->regs.rflags = frame[3];
    r->regs.gpr[X86_RSP] = frame[4];
    r->error = frame[0];
    r->vector = (unsigned)(stub / STUB_SIZE);
    r->cr2 = x->cr2;
    r->status = DIFF_DONE;
}

static void lost(struct subject *s, struct diff_result *r, enum engine_exit exit,
                 const struct x86_cpu *x)
{
    r->status = exit == ENGINE_EXIT_KICKED ? DIFF_TIMEOUT : DIFF_LOST;
    snprintf(r->note, sizeof(r->note), "exit %d at rip %#lx%s%s", (int)exit, x->rip,
             exit == ENGINE_EXIT_ERROR ? ": " : "",
             exit == ENGINE_EXIT_ERROR ? s->ops->strerror(s->vcpu) : "");
}

enum engine_exit subject_watched_run(struct subject *s)
{
    static struct x86_cpu after;
    enum engine_exit exit;

    atomic_fetch_add(&s->runs, 1);
    s->hung = false;
    atomic_store(&s->running, true);
    do
        exit = s->ops->run(s->vcpu);
    while (exit == ENGINE_EXIT_KICKED && !atomic_load(&s->hung));
    atomic_store(&s->running, false);
    s->ops->get_state(s->vcpu, &after);
    s->counted += (after.pmu.count[0] - s->base.pmu.count[0]) & X86_PMU_MASK;
    return exit;
}

void subject_prepare(struct subject *s, const struct diff_case *c, struct x86_cpu *x)
{
    load_memory(s, c);
    *x = s->base;
    memcpy(x->gpr, c->regs.gpr, sizeof(x->gpr));
    x->rip = c->regs.rip;
    x->rflags = c->regs.rflags;
    memcpy(x->xsave, c->xsave, sizeof(x->xsave));
    if (diff_segmented(c->mode))
        load_ldt(s, x, c);
    else
        load_segments(x, c);
}

void subject_run(struct subject *s, const struct diff_case *c, struct diff_result *r)
{
    struct x86_cpu x;
    struct err e = {0};
    enum engine_exit exit;

    subject_prepare(s, c, &x);
    r->note[0] = '\0';
    r->status = DIFF_LOST;
    if (s->ops->set_state(s->vcpu, &x, &e) != 0) {
        snprintf(r->note, sizeof(r->note), "set_state: %.120s", e.text);
        return;
    }
    exit = subject_watched_run(s);
    s->ops->get_state(s->vcpu, &x);
    if (exit == ENGINE_EXIT_HALT)
        read_frame(s, &x, r);
    else
        lost(s, r, exit, &x);
    if (diff_segmented(c->mode))
        r->regs.rip = (uint32_t)(r->regs.rip + c->seg[DIFF_CS].base);
    memcpy(r->xsave, x.xsave, sizeof(r->xsave));
    for (unsigned i = 0; i < 2; i++)
        subject_get(s, s->data[i], r->data + i * DIFF_PAGE, DIFF_PAGE);
}
