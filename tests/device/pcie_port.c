/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A root port of PCI Express: who is reached through it, and its slot as drivers use it. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bits.h"
#include "dev/pcie_port.h"
#include "suite_env.h"

#define PORT PCI_DEVFN(28, 2)
#define CAP 0x40
#define LINK_STATUS (CAP + 0x12)
#define SLOT_CAPS (CAP + 0x14)
#define SLOT_CONTROL (CAP + 0x18)
#define SLOT_STATUS (CAP + 0x1a)
#define WINDOW 0xc0100000u
#define BAR (WINDOW + 0x4000)

enum { ON = 0x1f9, OFF = 0x7f9, BLINK = 0x2f9 }; /* with hot plug's interrupts but the link's */

struct env {
    struct suite_env suite;
    struct device port;
    struct pci_func card;
    unsigned spent, edges;
    bool level;
};

static void on_spent(void *opaque)
{
    ((struct env *)opaque)->spent++;
}

static void on_pin(void *opaque, unsigned line, bool level)
{
    struct env *v = opaque;

    v->edges += level;
    v->level = level;
}

static uint64_t card_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0xabcd0000u + offset;
}

static const struct bus_ops card_ops = {.name = "card", .read = card_read, .max_size = 4};
static const struct pci_func_info info = {
    .name = "card", .vendor = 0x1234, .device = 0x5678, .class_code = 0xff0000, .pin = 1};

static int setup(void **state)
{
    struct env *v = calloc(1, sizeof(*v));
    struct pcie_port_config cfg = {.devfn = PORT, .number = 3, .spent = on_spent, .opaque = v};
    struct err e;

    suite_env_init(&v->suite, 1 << 20);
    v->suite.intx = (struct pin){on_pin, v, 0};
    cfg.bus = suite_pci(&v->suite);
    assert_int_equal(pcie_port_create(&cfg, &v->port, &e), 0);
    assert_int_equal(pci_func_init(&v->card, &info, NULL, v), 0);
    pci_func_bar(&v->card, 0, PCI_BAR_MEM32, 0x1000, &card_ops, v);
    *state = v;
    return 0;
}

static int teardown(void **state)
{
    struct env *v = *state;

    pci_remove(&v->card);
    pci_func_finish(&v->card);
    v->port.ops->destroy(v->port.self);
    suite_env_finish(&v->suite);
    free(v);
    return 0;
}

static uint32_t get(struct env *v, unsigned reg, unsigned size)
{
    return pci_config_read(v->suite.pci, 0, PORT, reg, size);
}

static void put(struct env *v, unsigned reg, unsigned size, uint32_t value)
{
    pci_config_write(v->suite.pci, 0, PORT, reg, size, value);
}

static uint32_t id(struct env *v, unsigned bus)
{
    return pci_config_read(v->suite.pci, bus, 0, 0, 4);
}

static void number(struct env *v, unsigned bus)
{
    put(v, 0x18, 4, bus << 16 | bus << 8);
}

static void plug(struct env *v)
{
    struct err e;

    assert_int_equal(pci_add(v->suite.pci, PCI_BEHIND(PORT), &v->card, &e), 0);
    pcie_port_insert(&v->port);
}

static void test_what_it_is(void **state)
{
    struct env *v = *state;

    assert_int_equal(get(v, 0, 4), 0x29408086);
    assert_int_equal(get(v, 0x0e, 1), 0x81);
    assert_int_equal(get(v, CAP, 1), 0x10);
    assert_int_equal(get(v, CAP + 2, 2), 0x142);
    assert_int_equal(get(v, SLOT_CAPS, 4) >> 19, 3);
    assert_int_equal(get(v, SLOT_CAPS, 4) & 0x7f, 0x5b);
    assert_int_equal(get(v, SLOT_STATUS, 2), 0);
    assert_int_equal(get(v, SLOT_CONTROL, 2) & 0x700, 0x700); /* off, and so is its light */
    assert_int_equal(get(v, LINK_STATUS, 2) & 0x2000, 0);
    put(v, 0x2c, 4, 0x1234567); /* no subsystem but the upper half of a window */
    assert_int_equal(get(v, 0x2c, 4), 0x1234567);
}

static void test_comes(void **state)
{
    struct env *v = *state;

    number(v, 5);
    put(v, SLOT_CONTROL, 2, OFF);
    plug(v);
    assert_int_equal(get(v, SLOT_STATUS, 2), 0x49);
    assert_true(v->level);
    assert_int_equal(id(v, 5), UINT32_MAX);
    put(v, SLOT_STATUS, 2, 0x49);
    assert_false(v->level);
    put(v, SLOT_CONTROL, 2, ON);
    assert_int_equal(get(v, SLOT_STATUS, 2), 0x140);
    assert_int_equal(get(v, LINK_STATUS, 2) & 0x2000, 0x2000);
    assert_false(v->level); /* the link's change is not asked for */
    put(v, SLOT_CONTROL, 2, ON | 0x1000);
    assert_true(v->level);
    assert_int_equal(id(v, 5), 0x56781234);
    assert_int_equal(id(v, 6), UINT32_MAX);
    assert_int_equal(pci_config_read(v->suite.pci, 5, 8, 0, 4), UINT32_MAX);
    bus_write(v->suite.ports, 0xcf8, 0x80050000, 4);
    assert_int_equal(bus_read(v->suite.ports, 0xcfc, 4), 0x56781234);
    assert_true(pcie_port_link(&v->port));
}

static void test_goes(void **state)
{
    struct env *v = *state;

    number(v, 1);
    plug(v);
    put(v, SLOT_CONTROL, 2, ON);
    put(v, SLOT_STATUS, 2, 0xffff);
    assert_int_equal(pcie_port_press(&v->port), 0);
    assert_int_equal(get(v, SLOT_STATUS, 2), 0x41);
    assert_true(v->level);
    put(v, SLOT_STATUS, 2, 1);
    put(v, SLOT_CONTROL, 2, BLINK);
    assert_int_equal(pcie_port_press(&v->port), -EBUSY);
    assert_int_equal(get(v, SLOT_STATUS, 2), 0x40);
    assert_int_equal(v->spent, 0);
    put(v, SLOT_CONTROL + 1, 1, OFF >> 8);
    assert_int_equal(v->spent, 1);
    assert_true(pcie_port_spent(&v->port));
    assert_int_equal(id(v, 1), UINT32_MAX);
    pci_remove(&v->card);
    pcie_port_take(&v->port);
    assert_false(pcie_port_spent(&v->port));
    assert_int_equal(get(v, SLOT_STATUS, 2), 0x108);
}

/* What it was doing has to end before the card may answer again. */
static void test_off_and_on(void **state)
{
    struct env *v = *state;

    number(v, 1);
    plug(v);
    put(v, SLOT_CONTROL, 2, ON);
    put(v, SLOT_CONTROL, 2, OFF);
    put(v, SLOT_CONTROL, 2, ON);
    assert_int_equal(v->spent, 1);
    assert_int_equal(id(v, 1), UINT32_MAX);
    pcie_port_renewed(&v->port);
    assert_int_equal(id(v, 1), 0x56781234);
    put(v, PCI_REG_BRIDGE_CONTROL, 2, 0x40); /* a reset of its bus is the same */
    put(v, PCI_REG_BRIDGE_CONTROL, 2, 0);
    assert_int_equal(v->spent, 2);
    assert_int_equal(id(v, 1), UINT32_MAX);
    pcie_port_renewed(&v->port);
    assert_int_equal(id(v, 1), 0x56781234);
}

static uint32_t card_word(struct env *v)
{
    return (uint32_t)bus_read(v->suite.mmio, BAR + 4, 4);
}

static void test_windows(void **state)
{
    struct env *v = *state;

    number(v, 1);
    plug(v);
    put(v, SLOT_CONTROL, 2, ON);
    pci_config_write(v->suite.pci, 1, 0, 0x10, 4, BAR);
    pci_config_write(v->suite.pci, 1, 0, PCI_REG_COMMAND, 2, PCI_CMD_MEM);
    assert_int_equal(card_word(v), UINT32_MAX);
    put(v, PCI_REG_COMMAND, 2, PCI_CMD_MEM);
    put(v, 0x20, 4, WINDOW | WINDOW >> 16);
    assert_int_equal(card_word(v), 0xabcd0004);
    put(v, 0x20, 4, (WINDOW + 0x100000) | (WINDOW + 0x100000) >> 16);
    assert_int_equal(card_word(v), UINT32_MAX);
    put(v, 0x24, 4, WINDOW | WINDOW >> 16); /* prefetchable */
    put(v, 0x28, 4, 0);
    assert_int_equal(card_word(v), 0xabcd0004);
    put(v, 0x28, 4, 1);
    assert_int_equal(card_word(v), UINT32_MAX);
    put(v, 0x28, 4, 0);
    put(v, PCI_REG_COMMAND, 2, 0);
    assert_int_equal(card_word(v), UINT32_MAX);
    put(v, PCI_REG_COMMAND, 2, PCI_CMD_MEM);
    assert_int_equal(card_word(v), 0xabcd0004);
    put(v, SLOT_CONTROL, 2, OFF);
    assert_int_equal(card_word(v), UINT32_MAX);
}

/* A reset machine's card is there at once, and gets its place as all others do. */
static void test_reset_and_assign(void **state)
{
    struct env *v = *state;
    const struct pci_windows w = {.mem32_base = SUITE_WINDOW + 0x1000, .mem32_size = 0x1000000};
    uint32_t base;
    struct err e;

    plug(v);
    v->port.ops->reset(v->port.self);
    pci_func_reset(&v->card);
    assert_int_equal(get(v, SLOT_STATUS, 2), 0x40);
    assert_int_equal(pci_bus_assign(v->suite.pci, &w, &e), 0);
    assert_int_equal(get(v, 0x18, 4), 0x010100);
    assert_int_equal(id(v, 1), 0x56781234);
    base = pci_config_read(v->suite.pci, 1, 0, 0x10, 4);
    assert_int_equal(get(v, 0x20, 4), (base & 0xfff00000) + 0x100000 + (base >> 20 << 4));
    assert_int_equal((uint32_t)bus_read(v->suite.mmio, base, 4), 0xabcd0000);
}

static void test_lines(void **state)
{
    struct env *v = *state;

    plug(v);
    put(v, SLOT_CONTROL, 2, ON);
    put(v, SLOT_STATUS, 2, 0xffff);
    v->edges = 0;
    pci_intx_set(&v->card, true);
    assert_int_equal(v->edges, 1);
    pci_intx_set(&v->card, false);
    assert_false(v->level);
}

static void test_hostile(void **state)
{
    struct env *v = *state;
    struct pci_func other;
    struct err e;

    plug(v);
    assert_int_equal(pci_func_init(&other, &info, NULL, v), 0);
    assert_int_equal(pci_add(v->suite.pci, PCI_BEHIND(PORT), &other, &e), -EEXIST);
    assert_int_equal(pci_add(v->suite.pci, PCI_BEHIND(PORT) | 8, &other, &e), -EEXIST);
    assert_int_equal(pci_add(v->suite.pci, PCI_BEHIND(PCI_DEVFN(4, 0)), &other, &e), -EEXIST);
    pci_func_finish(&other);
    srandom(7);
    for (unsigned i = 0; i < 200000; i++) {
        unsigned size = 1u << random() % 3, reg = (unsigned)random() % 0x80 & ~(size - 1);

        pci_config_write(v->suite.pci, random() % 3, PORT * (random() % 2), reg, size,
                         (uint32_t)random() << random() % 3);
        if (random() % 64 == 0)
            pcie_port_renewed(&v->port);
    }
    v->port.ops->reset(v->port.self);
    assert_int_equal(get(v, SLOT_STATUS, 2), 0x40);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(test_what_it_is),       T(test_comes),   T(test_goes),
                                       T(test_off_and_on),       T(test_windows), T(test_lines),
                                       T(test_reset_and_assign), T(test_hostile)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
