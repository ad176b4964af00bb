/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Input of a serial port reaches a virtual CPU whatever else interrupts it: the way from the line
 * through the 16550, the I/O APIC and a local APIC to a thread that behaves as a vCPU with an
 * operating system does. It sleeps when nothing is pending, ends interrupts in memory where it may
 * (lapic_pv.c), and looks at its local APIC in the middle of a handler, as every exit makes it.
 * Two more threads send it interrupts of lower and of higher priority and wait for each.
 */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "dev/apic.h"
#include "dev/gsi.h"
#include "dev/serial.h"
#include "suite_env.h"

enum { LOW = 0x30, SERIAL = 0x40, HIGH = 0xe0, RAM_SIZE = 0x10000, WORD = 0x800 };
enum { BURSTS = 3000, PATIENCE_S = 20 };
enum { RBR = 0x3f8, IER, IIR, LCR, MCR, LSR };

static struct {
    struct suite_env around;
    struct apic_bus *apics;
    struct lapic *cpu;
    struct gsi gsi;
    struct serial *serial;
    pthread_mutex_t lock; /* for the bell */
    pthread_cond_t rung;
    bool bell;
    atomic_bool quit, room;
    atomic_uint handled[256];
    atomic_ullong bytes, sum;
} b;

static void on_kick(void *opaque, unsigned vcpu)
{
    (void)opaque;
    (void)vcpu;
    pthread_mutex_lock(&b.lock);
    b.bell = true;
    pthread_cond_signal(&b.rung);
    pthread_mutex_unlock(&b.lock);
}

static void on_room(void *opaque)
{
    (void)opaque;
    atomic_store(&b.room, true);
}

/* --- the vCPU --- */

/* What an operating system does that has been given KVM's MSR. */
static void end_of_interrupt(void)
{
    uint8_t *word = ram_ptr(b.around.ram, WORD, 1, true);

    if (*word & 1)
        *word &= (uint8_t)~1u;
    else
        lapic_mmio_write(b.cpu, 0xb0, 0, 4);
}

static void serial_handler(void)
{
    while (!(bus_read(b.around.ports, IIR, 1) & 1))
        while (bus_read(b.around.ports, LSR, 1) & 1) {
            atomic_fetch_add(&b.sum, bus_read(b.around.ports, RBR, 1));
            atomic_fetch_add(&b.bytes, 1);
        }
}

static void take_interrupt(unsigned turn)
{
    int vector = lapic_interrupt_take(b.cpu);

    if (vector < 0)
        return;
    if (turn % 3 == 0)
        (void)lapic_interrupt_asked(b.cpu); /* an exit before the handler's first instruction */
    if (turn % 2 == 0)
        end_of_interrupt();
    if (vector == SERIAL)
        serial_handler();
    if (turn % 5 == 0)
        (void)lapic_interrupt_asked(b.cpu);
    if (turn % 2 != 0)
        end_of_interrupt();
    atomic_fetch_add(&b.handled[vector], 1);
}

static void *vcpu(void *opaque)
{
    for (unsigned turn = 0; !atomic_load(&b.quit); turn++) {
        if (lapic_interrupt_asked(b.cpu)) {
            take_interrupt(turn);
            continue;
        }
        pthread_mutex_lock(&b.lock);
        while (!b.bell)
            pthread_cond_wait(&b.rung, &b.lock);
        b.bell = false;
        pthread_mutex_unlock(&b.lock);
    }
    return opaque;
}

/* --- the others --- */

static bool wait_for(atomic_ullong *counter, unsigned long long value)
{
    struct timespec start, now, pause = {.tv_nsec = 20000};

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        if (atomic_load(counter) >= value)
            return true;
        nanosleep(&pause, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < PATIENCE_S);
    return false;
}

struct sender {
    unsigned vector;
    atomic_ullong stuck;
};

static void *send_vectors(void *opaque)
{
    struct sender *s = opaque;
    struct msi_sink msi = apic_bus_msi(b.apics);
    struct timespec start, now;

    while (!atomic_load(&b.quit)) {
        unsigned before = atomic_load(&b.handled[s->vector]);

        clock_gettime(CLOCK_MONOTONIC, &start);
        msi_send(&msi, APIC_MMIO_BASE, s->vector);
        do {
            sched_yield();
            clock_gettime(CLOCK_MONOTONIC, &now);
        } while (atomic_load(&b.handled[s->vector]) == before && !atomic_load(&b.quit) &&
                 now.tv_sec - start.tv_sec < PATIENCE_S);
        if (atomic_load(&b.handled[s->vector]) == before && !atomic_load(&b.quit))
            atomic_store(&s->stuck, 1);
    }
    return NULL;
}

/* What does not fit is offered again when there is room. */
static void type(const uint8_t *text, size_t len)
{
    struct timespec pause = {.tv_nsec = 10000};
    unsigned patience = PATIENCE_S * 50000u;

    for (size_t at = 0; at < len && patience > 0;) {
        atomic_store(&b.room, false);
        at += serial_rx(b.serial, text + at, len - at);
        for (; at < len && !atomic_load(&b.room) && patience > 0; patience--)
            nanosleep(&pause, NULL);
    }
}

static int setup(void **state)
{
    struct apic_bus_config cfg = {.cpus = 1, .ops = {.kick = on_kick}};
    struct ioapic_config ioapic = {.id = 0};
    struct serial_config serial = {.backend = {.rx_ready = on_room},
                                   .irq = {gsi_set_line, &b.gsi, SERIAL_COM1_IRQ}};

    (void)state;
    memset(&b, 0, sizeof(b));
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.rung, NULL);
    suite_env_init(&b.around, RAM_SIZE);
    cfg.loop = b.around.loop;
    cfg.clock = b.around.clock;
    cfg.ram = b.around.ram;
    assert_int_equal(apic_bus_create(&cfg, &b.apics), 0);
    b.cpu = apic_bus_lapic(b.apics, 0);
    ioapic.msi = apic_bus_msi(b.apics);
    assert_int_equal(ioapic_create(&ioapic, &b.gsi.ioapic), 0);
    assert_int_equal(ioapic_map(b.gsi.ioapic, b.around.mmio, IOAPIC_MMIO_BASE), 0);
    assert_int_equal(apic_bus_on_eoi(b.apics, ioapic_eoi, b.gsi.ioapic), 0);
    assert_int_equal(serial_create(&serial, &b.serial), 0);
    assert_int_equal(serial_map(b.serial, b.around.ports, RBR), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    serial_device(b.serial).ops->destroy(b.serial);
    ioapic_device(b.gsi.ioapic).ops->destroy(b.gsi.ioapic);
    apic_bus_destroy(b.apics);
    suite_env_finish(&b.around);
    pthread_cond_destroy(&b.rung);
    pthread_mutex_destroy(&b.lock);
    return 0;
}

/* As an operating system does before it opens the port. */
static void set_up_controllers(bool in_memory)
{
    lapic_mmio_write(b.cpu, 0xf0, 0x1ff, 4);
    lapic_mmio_write(b.cpu, 0x80, 0x10, 4);
    if (in_memory)
        assert_true(lapic_msr_write(b.cpu, APIC_PV_EOI_MSR, WORD | 1));
    bus_write(b.around.mmio, IOAPIC_MMIO_BASE, 0x11 + 2 * SERIAL_COM1_IRQ, 4);
    bus_write(b.around.mmio, IOAPIC_MMIO_BASE + 0x10, 0, 4);
    bus_write(b.around.mmio, IOAPIC_MMIO_BASE, 0x10 + 2 * SERIAL_COM1_IRQ, 4);
    bus_write(b.around.mmio, IOAPIC_MMIO_BASE + 0x10, SERIAL, 4);
    bus_write(b.around.ports, IIR, 0x81, 1);
    bus_write(b.around.ports, MCR, 0x0b, 1);
    bus_write(b.around.ports, IER, 0x05, 1);
}

static void all_arrives(bool in_memory)
{
    struct sender low = {.vector = LOW}, high = {.vector = HIGH};
    pthread_t thread[3];
    uint64_t typed = 0, sum = 0, seed = 1;
    bool arrived = true;

    set_up_controllers(in_memory);
    pthread_create(&thread[0], NULL, vcpu, NULL);
    pthread_create(&thread[1], NULL, send_vectors, &low);
    pthread_create(&thread[2], NULL, send_vectors, &high);
    for (unsigned i = 0; i < BURSTS && arrived; i++) {
        uint8_t text[48];
        size_t len;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        len = 1 + (seed >> 33) % sizeof(text);
        for (size_t n = 0; n < len; n++)
            sum += text[n] = (uint8_t)(seed >> (n % 56));
        type(text, len);
        typed += len;
        arrived = seed >> 62 != 0 || wait_for(&b.bytes, typed);
    }
    arrived = arrived && wait_for(&b.bytes, typed);
    atomic_store(&b.quit, true);
    on_kick(NULL, 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    assert_true(arrived);
    assert_int_equal(b.bytes, typed);
    assert_int_equal(b.sum, sum);
    assert_int_equal(low.stuck + high.stuck, 0);
}

static void test_ends_by_register(void **state)
{
    (void)state;
    all_arrives(false);
}

static void test_ends_in_memory(void **state)
{
    (void)state;
    all_arrives(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ends_by_register, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends_in_memory, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
