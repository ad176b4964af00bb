/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interrupt controllers wired as on a board: 8254 and other lines through HPET, 8259, I/O APIC
 * and the fabric to two local APICs; messages from several threads at once; timers on a loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "bus/bus.h"
#include "dev/apic_internal.h"
#include "dev/gsi.h"
#include "dev/hpet.h"
#include "dev/irq_out.h"
#include "dev/pit.h"

#define CPUS 2
#define RAM_SIZE 0x10000
#define MSI_BASE 0xfee00000u

struct board {
    struct loop *loop;
    struct vclock *clock;
    struct bus *ports, *mmio;
    struct ram *ram;
    struct apic_bus *apics;
    struct lapic *cpu[CPUS];
    struct gsi gsi;
    struct hpet *hpet;
    struct pit *pit;
    atomic_uint kicks[CPUS];
    atomic_uint inits[CPUS];
    atomic_int started[CPUS]; /* vector of the last SIPI */
};

static void on_kick(void *opaque, unsigned vcpu)
{
    struct board *b = opaque;

    atomic_fetch_add(&b->kicks[vcpu], 1);
}

static void on_init(void *opaque, unsigned vcpu)
{
    struct board *b = opaque;

    atomic_fetch_add(&b->inits[vcpu], 1);
}

static void on_sipi(void *opaque, unsigned vcpu, uint8_t vector)
{
    struct board *b = opaque;

    atomic_store(&b->started[vcpu], vector);
}

static uint64_t tsc_now(void *opaque, unsigned vcpu)
{
    struct board *b = opaque;

    (void)vcpu;
    return vclock_now(b->clock) * 3 + 12345;
}

static uint64_t tsc_khz(void *opaque)
{
    (void)opaque;
    return 3000000;
}

static void create_controllers(struct board *b)
{
    struct pic_config pic = {.intr = {apic_bus_set_intr, b->apics, 0}};
    struct ioapic_config ioapic = {.msi = apic_bus_msi(b->apics), .id = 0};

    assert_int_equal(pic_create(&pic, &b->gsi.pic), 0);
    apic_bus_set_pic(b->apics, b->gsi.pic);
    assert_int_equal(pic_map(b->gsi.pic, b->ports), 0);
    assert_int_equal(ioapic_create(&ioapic, &b->gsi.ioapic), 0);
    assert_int_equal(ioapic_map(b->gsi.ioapic, b->mmio, IOAPIC_MMIO_BASE), 0);
    assert_int_equal(apic_bus_on_eoi(b->apics, ioapic_eoi, b->gsi.ioapic), 0);
}

static void create_timers(struct board *b)
{
    struct hpet_config hpet = {.loop = b->loop,
                               .clock = b->clock,
                               .lines = {gsi_set_line, &b->gsi, 0},
                               .msi = apic_bus_msi(b->apics)};
    struct pit_config pit = {.loop = b->loop, .clock = b->clock};

    assert_int_equal(hpet_create(&hpet, &b->hpet), 0);
    assert_int_equal(hpet_map(b->hpet, b->mmio, HPET_MMIO_BASE), 0);
    pit.irq = (struct pin){hpet_isa_in, b->hpet, 0};
    assert_int_equal(pit_create(&pit, &b->pit), 0);
    assert_int_equal(pit_map(b->pit, b->ports), 0);
}

static void open_board(struct board *b)
{
    struct apic_bus_config cfg = {
        .cpus = CPUS,
        .ops = {.kick = on_kick,
                .init = on_init,
                .sipi = on_sipi,
                .tsc_now = tsc_now,
                .tsc_khz = tsc_khz,
                .extint_ack = pic_acknowledge},
        .opaque = b,
    };

    memset(b, 0, sizeof(*b));
    assert_int_equal(loop_create(&b->loop), 0);
    assert_int_equal(vclock_create(&b->clock), 0);
    assert_int_equal(bus_create(&b->ports, 0x10000), 0);
    assert_int_equal(bus_create(&b->mmio, 1ull << 32), 0);
    assert_int_equal(ram_create(&b->ram, RAM_SIZE, NULL), 0);
    assert_int_equal(ram_add(b->ram, 0, RAM_SIZE, false, NULL), 0);
    cfg.loop = b->loop;
    cfg.clock = b->clock;
    cfg.ram = b->ram;
    assert_int_equal(apic_bus_create(&cfg, &b->apics), 0);
    for (unsigned i = 0; i < CPUS; i++)
        b->cpu[i] = apic_bus_lapic(b->apics, i);
    create_controllers(b);
    create_timers(b);
}

static void destroy(struct device d)
{
    if (d.ops->pause != NULL)
        d.ops->pause(d.self);
    d.ops->destroy(d.self);
}

static void close_board(struct board *b)
{
    destroy(pit_device(b->pit));
    destroy(hpet_device(b->hpet));
    destroy(ioapic_device(b->gsi.ioapic));
    destroy(pic_device(b->gsi.pic));
    apic_bus_destroy(b->apics);
    ram_destroy(b->ram);
    bus_destroy(b->mmio);
    bus_destroy(b->ports);
    loop_destroy(b->loop);
    vclock_destroy(b->clock);
}

static void stop(void *opaque)
{
    loop_stop(opaque);
}

static void run_loop(struct board *b, uint64_t ns)
{
    struct timer *end;

    assert_int_equal(timer_create_on(b->loop, b->clock, stop, b->loop, &end), 0);
    timer_arm(end, vclock_now(b->clock) + ns);
    loop_run(b->loop);
    timer_destroy(end);
}

static void wrmsr(struct lapic *l, uint32_t index, uint64_t value)
{
    assert_true(lapic_msr_write(l, index, value));
}

static void x2_on(struct lapic *l)
{
    uint64_t base;

    assert_true(lapic_msr_read(l, 0x1b, &base));
    wrmsr(l, 0x1b, base | 1 << 10);
    wrmsr(l, 0x80f, 0x1ff);
}

static void x_on(struct lapic *l)
{
    lapic_mmio_write(l, 0xf0, 0x1ff, 4);
}

/* Takes the vector that is expected and ends it. */
static void expect(struct lapic *l, int vector)
{
    assert_true(lapic_interrupt_pending(l));
    assert_int_equal(lapic_interrupt_take(l), vector);
    if (lapic_mmio_page(l) != UINT64_MAX)
        lapic_mmio_write(l, 0xb0, 0, 4);
    else
        wrmsr(l, 0x80b, 0);
}

static void expect_nothing(struct lapic *l)
{
    assert_false(lapic_interrupt_pending(l));
    assert_int_equal(lapic_interrupt_take(l), -1);
}

static void test_ipi(void **state)
{
    struct board b;

    (void)state;
    open_board(&b);
    x2_on(b.cpu[0]);
    x2_on(b.cpu[1]);
    assert_true(lapic_mmio_page(b.cpu[0]) == UINT64_MAX);
    wrmsr(b.cpu[0], 0x830, 1ull << 32 | 0xf1); /* to 1 */
    expect_nothing(b.cpu[0]);
    assert_int_equal(atomic_load(&b.kicks[1]), 1);
    expect(b.cpu[1], 0xf1);
    wrmsr(b.cpu[1], 0x830, 0xc00f2); /* all but self */
    expect(b.cpu[0], 0xf2);
    expect_nothing(b.cpu[1]);
    wrmsr(b.cpu[1], 0x830, 0x800f3); /* all */
    expect(b.cpu[0], 0xf3);
    expect(b.cpu[1], 0xf3);
    wrmsr(b.cpu[0], 0x83f, 0x44); /* self */
    expect(b.cpu[0], 0x44);
    wrmsr(b.cpu[0], 0x830, 3ull << 32 | 0x8f4); /* logical, cluster 0, both */
    expect(b.cpu[0], 0xf4);
    expect(b.cpu[1], 0xf4);
    assert_false(lapic_msr_write(b.cpu[0], 0x80e, 0));
    close_board(&b);
}

static void send_to(struct lapic *from, uint8_t dest, uint32_t command)
{
    lapic_mmio_write(from, 0x310, (uint64_t)dest << 24, 4);
    lapic_mmio_write(from, 0x300, command, 4);
}

/* Ids that the guest wrote: nobody answers to the old one, and several may have the same. */
static void test_ipi_to_written_id(void **state)
{
    struct board b;

    (void)state;
    open_board(&b);
    x_on(b.cpu[0]);
    x_on(b.cpu[1]);
    lapic_mmio_write(b.cpu[1], 0x20, 0x2a000000, 4);
    send_to(b.cpu[0], 1, 0xf1);
    expect_nothing(b.cpu[1]);
    send_to(b.cpu[0], 0x2a, 0xf2);
    expect(b.cpu[1], 0xf2);
    expect_nothing(b.cpu[0]);
    lapic_mmio_write(b.cpu[0], 0x20, 0x2a000000, 4);
    send_to(b.cpu[0], 0x2a, 0xf3);
    expect(b.cpu[0], 0xf3);
    expect(b.cpu[1], 0xf3);
    send_to(b.cpu[0], 0xff, 0xf4);
    expect(b.cpu[0], 0xf4);
    expect(b.cpu[1], 0xf4);
    send_to(b.cpu[0], 0x2a, 0x400f5); /* to self */
    expect(b.cpu[0], 0xf5);
    expect_nothing(b.cpu[1]);
    x2_on(b.cpu[1]); /* has its first id again */
    send_to(b.cpu[0], 1, 0xf6);
    expect(b.cpu[1], 0xf6);
    close_board(&b);
}

static void test_start_up(void **state)
{
    struct board b;
    unsigned kicks;

    (void)state;
    open_board(&b);
    x_on(b.cpu[0]);
    x_on(b.cpu[1]);
    lapic_mmio_write(b.cpu[0], 0x310, 1u << 24, 4);
    lapic_mmio_write(b.cpu[0], 0x300, 0xc500, 4); /* INIT, assert */
    assert_int_equal(atomic_load(&b.inits[1]), 1);
    assert_int_equal(lapic_mmio_read(b.cpu[1], 0xf0, 4), 0xff); /* reset */
    lapic_mmio_write(b.cpu[0], 0x300, 0x8500, 4);
    assert_int_equal(atomic_load(&b.inits[1]), 1);
    lapic_mmio_write(b.cpu[0], 0x300, 0x699, 4);
    assert_int_equal(atomic_load(&b.started[1]), 0x99);
    assert_false(lapic_init_take(b.cpu[0]));
    assert_int_equal(lapic_sipi_take(b.cpu[0]), -1);
    assert_true(lapic_init_take(b.cpu[1]));
    assert_false(lapic_init_take(b.cpu[1]));
    assert_int_equal(lapic_sipi_take(b.cpu[1]), 0x99);
    assert_int_equal(lapic_sipi_take(b.cpu[1]), -1);
    lapic_mmio_write(b.cpu[0], 0x300, 0x69a, 4); /* a second one, which nobody waits for */
    lapic_mmio_write(b.cpu[0], 0x300, 0xc500, 4);
    assert_true(lapic_init_take(b.cpu[1]));
    assert_int_equal(lapic_sipi_take(b.cpu[1]), -1);
    lapic_mmio_write(b.cpu[0], 0x300, 0x400, 4); /* NMI */
    assert_true(lapic_nmi_pending(b.cpu[1]));
    assert_true(lapic_nmi_take(b.cpu[1]));
    assert_false(lapic_nmi_take(b.cpu[1]));
    kicks = atomic_load(&b.kicks[1]);
    for (unsigned i = 0; i < 3; i++)
        lapic_mmio_write(b.cpu[0], 0x300, 0x400, 4);
    assert_int_equal(atomic_load(&b.kicks[1]), kicks + 2);
    assert_true(lapic_nmi_take(b.cpu[1]));
    assert_true(lapic_nmi_take(b.cpu[1]));
    assert_false(lapic_nmi_take(b.cpu[1]));
    close_board(&b);
}

static void test_msi(void **state)
{
    struct board b;
    struct msi_sink msi;

    (void)state;
    open_board(&b);
    msi = apic_bus_msi(b.apics);
    msi_send(&msi, MSI_BASE | 1 << 12, 0x31); /* software-disabled: lost */
    expect_nothing(b.cpu[1]);
    x_on(b.cpu[0]);
    x_on(b.cpu[1]);
    lapic_mmio_write(b.cpu[0], 0xd0, 1u << 24, 4);
    lapic_mmio_write(b.cpu[1], 0xd0, 2u << 24, 4);
    msi_send(&msi, MSI_BASE | 1 << 12, 0x31);
    expect(b.cpu[1], 0x31);
    msi_send(&msi, MSI_BASE | 0xff << 12, 0x32);
    expect(b.cpu[0], 0x32);
    expect(b.cpu[1], 0x32);
    lapic_cr8_write(b.cpu[0], 8);
    msi_send(&msi, MSI_BASE | 3 << 12 | 0xc, 0x91); /* logical, the one with less to do */
    expect_nothing(b.cpu[0]);
    expect(b.cpu[1], 0x91);
    assert_int_equal(lapic_cr8_read(b.cpu[0]), 8);
    msi_send(&msi, MSI_BASE, 0x7f); /* held back by the task priority */
    expect_nothing(b.cpu[0]);
    lapic_cr8_write(b.cpu[0], 0);
    expect(b.cpu[0], 0x7f);
    msi_send(&msi, 0xfec00000, 0x31); /* no local APIC */
    close_board(&b);
}

static void set_rte(struct board *b, unsigned pin, uint32_t low)
{
    bus_write(b->mmio, IOAPIC_MMIO_BASE, 0x10 + pin * 2, 4);
    bus_write(b->mmio, IOAPIC_MMIO_BASE + 0x10, low, 4);
}

static void test_level_through_the_ioapic(void **state)
{
    struct board b;

    (void)state;
    open_board(&b);
    x2_on(b.cpu[0]);
    set_rte(&b, 9, 0x8051);
    gsi_set_line(&b.gsi, 9, true);
    expect(b.cpu[0], 0x51);
    expect(b.cpu[0], 0x51); /* the EOI brought it back: the line is still up */
    gsi_set_line(&b.gsi, 9, false);
    expect(b.cpu[0], 0x51); /* that one was on its way */
    expect_nothing(b.cpu[0]);
    close_board(&b);
}

static void start_pic(struct board *b)
{
    static const uint8_t icw[] = {0x30, 4, 1};

    bus_write(b->ports, 0x20, 0x11, 1);
    for (unsigned i = 0; i < sizeof(icw); i++)
        bus_write(b->ports, 0x21, icw[i], 1);
}

static void test_pic_through_lint0(void **state)
{
    struct board b;

    (void)state;
    open_board(&b);
    start_pic(&b);
    x_on(b.cpu[0]);
    gsi_set_line(&b.gsi, 4, true);
    expect_nothing(b.cpu[0]);
    lapic_mmio_write(b.cpu[0], 0x350, 0x700, 4); /* LINT0: ExtINT */
    assert_true(lapic_interrupt_pending(b.cpu[0]));
    assert_int_equal(lapic_interrupt_take(b.cpu[0]), 0x34);
    expect_nothing(b.cpu[0]);
    gsi_set_line(&b.gsi, 1, true);
    assert_int_equal(lapic_interrupt_take(b.cpu[0]), 0x31);
    close_board(&b);
}

static void test_pit_interrupt(void **state)
{
    struct board b;
    unsigned ticks = 0;

    (void)state;
    open_board(&b);
    start_pic(&b);
    x_on(b.cpu[0]);
    lapic_mmio_write(b.cpu[0], 0x350, 0x700, 4);
    bus_write(b.ports, 0x43, 0x34, 1);
    bus_write(b.ports, 0x40, 0xa9, 1);
    bus_write(b.ports, 0x40, 0x04, 1); /* 1 ms */
    for (unsigned i = 0; i < 8; i++) {
        run_loop(&b, 2000000);
        if (lapic_interrupt_take(b.cpu[0]) == 0x30)
            ticks++;
        bus_write(b.ports, 0x20, 0x20, 1);
    }
    assert_in_range(ticks, 6, 8);
    /* In legacy replacement mode the HPET takes the line. */
    bus_write(b.mmio, HPET_MMIO_BASE + 0x10, 2, 8);
    run_loop(&b, 2000000);
    lapic_interrupt_take(b.cpu[0]);
    bus_write(b.ports, 0x20, 0x20, 1);
    run_loop(&b, 3000000);
    expect_nothing(b.cpu[0]);
    close_board(&b);
}

/* Arms the deadline and runs the loop until it has come; a busy host may be late, but never early.
 */
static void check_deadline(struct board *b, uint64_t wait)
{
    uint64_t deadline = tsc_now(b, 0) + wait;

    wrmsr(b->cpu[0], 0x6e0, deadline);
    while (!lapic_interrupt_pending(b->cpu[0]))
        run_loop(b, 200000);
    assert_true(tsc_now(b, 0) >= deadline);
    expect(b->cpu[0], 0xec);
    expect_nothing(b->cpu[0]);
}

static void test_tsc_deadline(void **state)
{
    struct board b;
    uint64_t value;

    (void)state;
    open_board(&b);
    x2_on(b.cpu[0]);
    wrmsr(b.cpu[0], 0x832, 0x400ec);
    check_deadline(&b, 6000000); /* 2 ms */
    wrmsr(b.cpu[0], 0x6e0, tsc_now(&b, 0) + 300000000);
    check_deadline(&b, 3000000); /* earlier than armed */
    wrmsr(b.cpu[0], 0x6e0, tsc_now(&b, 0) + 60000000);
    check_deadline(&b, 90000000); /* later than armed */
    assert_true(lapic_msr_read(b.cpu[0], 0x6e0, &value));
    assert_int_equal(value, 0);
    wrmsr(b.cpu[0], 0x6e0, 1); /* in the past */
    expect(b.cpu[0], 0xec);
    close_board(&b);
}

static void test_timer_stands_still_while_paused(void **state)
{
    struct board b;
    struct device d;

    (void)state;
    open_board(&b);
    x_on(b.cpu[0]);
    lapic_mmio_write(b.cpu[0], 0x3e0, 0xb, 4);
    lapic_mmio_write(b.cpu[0], 0x320, 0x40, 4);
    lapic_mmio_write(b.cpu[0], 0x380, 50000000, 4); /* 50 ms */
    d = lapic_device(b.cpu[0]);
    d.ops->pause(d.self);
    run_loop(&b, 60000000);
    d.ops->resume(d.self);
    assert_in_range(lapic_mmio_read(b.cpu[0], 0x390, 4), 1, 50000000);
    while (!lapic_interrupt_pending(b.cpu[0]))
        run_loop(&b, 1000000);
    expect(b.cpu[0], 0x40);
    close_board(&b);
}

#define ROUNDS 20000

/* Sends both CPUs the vectors 0x40 - 0x7f in turn. */
static void *sender(void *opaque)
{
    struct board *b = opaque;
    struct msi_sink msi = apic_bus_msi(b->apics);

    for (unsigned i = 0; i < ROUNDS; i++)
        msi_send(&msi, MSI_BASE | (i & 1) << 12, 0x40 + (i >> 1 & 63));
    return NULL;
}

/* Pulls a level-triggered line up and down. */
static void *puller(void *opaque)
{
    struct board *b = opaque;

    for (unsigned i = 0; i < ROUNDS; i++)
        gsi_set_line(&b->gsi, 16, (i & 1) == 0);
    return NULL;
}

static void *receiver(void *opaque)
{
    struct lapic *l = opaque;
    unsigned idle = 0;

    while (idle < 200000) {
        idle = lapic_interrupt_pending(l) ? 0 : idle + 1;
        if (lapic_interrupt_take(l) >= 0)
            wrmsr(l, 0x80b, 0);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct board b;
    pthread_t t[4];

    (void)state;
    open_board(&b);
    x2_on(b.cpu[0]);
    x2_on(b.cpu[1]);
    set_rte(&b, 16, 0x8081);
    assert_int_equal(pthread_create(&t[0], NULL, sender, &b), 0);
    assert_int_equal(pthread_create(&t[1], NULL, puller, &b), 0);
    assert_int_equal(pthread_create(&t[2], NULL, receiver, b.cpu[0]), 0);
    assert_int_equal(pthread_create(&t[3], NULL, receiver, b.cpu[1]), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    while (lapic_interrupt_take(b.cpu[0]) >= 0)
        wrmsr(b.cpu[0], 0x80b, 0);
    gsi_set_line(&b.gsi, 16, true); /* the line still works */
    expect(b.cpu[0], 0x81);
    assert_true(atomic_load(&b.kicks[0]) > 0);
    close_board(&b);
}

/* Many threads change an output; the pin must end at the last level and see every edge. */
struct line {
    pthread_mutex_t lock;
    struct irq_out out;
    bool level, shown;
    unsigned wanted_edges, edges; /* edges: only the delivering thread */
};

static void on_pin(void *opaque, unsigned line, bool level)
{
    struct line *l = opaque;

    (void)line;
    assert_int_not_equal(l->shown, level);
    l->shown = level;
    l->edges++;
}

static void *toggler(void *opaque)
{
    struct line *l = opaque;

    for (unsigned i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&l->lock);
        l->level = !l->level;
        l->wanted_edges++;
        irq_out_set(&l->out, l->level);
        pthread_mutex_unlock(&l->lock);
        irq_out_flush(&l->out);
    }
    return NULL;
}

static void test_output_keeps_order(void **state)
{
    struct line l = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t t[3];

    (void)state;
    irq_out_init(&l.out, (struct pin){on_pin, &l, 0});
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, toggler, &l), 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(l.shown, l.level);
    assert_int_equal(l.edges, l.wanted_edges);
}

/* The vCPU saw that an end is deferred; before it looks in which word, an INIT drops both. */
static void test_init_drops_ends_in_memory(void **state)
{
    const uint8_t ones = 0xff;
    uint8_t now = 0;
    struct board b;

    (void)state;
    open_board(&b);
    x2_on(b.cpu[0]);
    wrmsr(b.cpu[0], APIC_PV_EOI_MSR, 0x1001);
    wrmsr(b.cpu[0], 0x83f, 0x40); /* to itself */
    assert_int_equal(lapic_interrupt_take(b.cpu[0]), 0x40);
    assert_int_equal(ram_read(b.ram, 0x1000, &now, 1), 0);
    assert_int_equal(now, 1);
    assert_int_equal(ram_write(b.ram, 0, &ones, 1), 0);
    lapic_chip_init(&b.cpu[0]->chip);
    assert_true(atomic_load(&b.cpu[0]->deferred));
    assert_int_equal(lapic_interrupt_take(b.cpu[0]), -1);
    assert_int_equal(ram_read(b.ram, 0, &now, 1), 0);
    assert_int_equal(now, ones);
    close_board(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ipi),
        cmocka_unit_test(test_ipi_to_written_id),
        cmocka_unit_test(test_start_up),
        cmocka_unit_test(test_msi),
        cmocka_unit_test(test_level_through_the_ioapic),
        cmocka_unit_test(test_pic_through_lint0),
        cmocka_unit_test(test_pit_interrupt),
        cmocka_unit_test(test_tsc_deadline),
        cmocka_unit_test(test_timer_stands_still_while_paused),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_output_keeps_order),
        cmocka_unit_test(test_init_drops_ends_in_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
