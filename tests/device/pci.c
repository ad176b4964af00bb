/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI: configuration space by both ways, BARs, INTx, MSI, MSI-X, state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bus/pci.h"
#include "dev/pci_plain.h"

#define ECAM 0xb0000000u
#define DEVFN PCI_DEVFN(3, 0)

struct env {
    struct bus *mmio, *ports;
    struct pci_bus *bus;
    struct pin pins[4];
    bool level[4];
    unsigned edges;
    unsigned msis;
    uint64_t msi_addr;
    uint32_t msi_data;
    unsigned cf9_writes;
    struct pci_func f;
    uint64_t last_offset, last_value;
    uint64_t placed; /* what the BAR that others serve was told last */
    unsigned places;
};

static void on_pin(void *opaque, unsigned line, bool level)
{
    struct env *v = opaque;
    v->level[line] = level;
    v->edges++;
}

static void on_msi(void *opaque, uint64_t addr, uint32_t data)
{
    struct env *v = opaque;
    v->msis++;
    v->msi_addr = addr;
    v->msi_data = data;
}

static uint64_t bar_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0x1122334455667788u + offset;
}

static void bar_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct env *v = opaque;
    v->last_offset = offset;
    v->last_value = value;
}

static void on_placed(void *opaque, uint64_t base)
{
    struct env *v = opaque;
    v->placed = base;
    v->places++;
}

static uint64_t cf9_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0x5a;
}

static void cf9_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct env *v = opaque;
    v->cf9_writes++;
}

static const struct bus_ops bar_ops = {"bar", bar_read, bar_write, 1, 8};
static const struct bus_ops cf9_ops = {"cf9", cf9_read, cf9_write, 1, 1};

static const struct pci_func_info info = {.name = "test",
                                          .vendor = 0x1234,
                                          .device = 0x5678,
                                          .subsystem_vendor = 0x1af4,
                                          .subsystem = 0x1100,
                                          .class_code = 0x020304,
                                          .revision = 7,
                                          .pin = 1};

static int setup(void **state)
{
    struct env *v = calloc(1, sizeof(*v));
    assert_int_equal(bus_create(&v->mmio, UINT64_C(1) << 40), 0);
    assert_int_equal(bus_create(&v->ports, 0x10000), 0);
    for (unsigned i = 0; i < 4; i++)
        v->pins[i] = (struct pin){on_pin, v, i};
    struct pci_bus_config cfg = {.mmio = v->mmio,
                                 .ports = v->ports,
                                 .msi = {on_msi, v},
                                 .intx = v->pins,
                                 .intx_count = 4,
                                 .cf9 = &cf9_ops,
                                 .cf9_opaque = v};
    assert_int_equal(pci_bus_create(&cfg, &v->bus), 0);
    assert_int_equal(pci_bus_ecam(v->bus, ECAM, 256), 0);
    assert_int_equal(pci_func_init(&v->f, &info, NULL, v), 0);
    pci_func_bar(&v->f, 0, PCI_BAR_MEM32, 0x2000, &bar_ops, v);
    pci_func_bar(&v->f, 1, PCI_BAR_IO, 32, &bar_ops, v);
    pci_func_bar(&v->f, 2, PCI_BAR_MEM64_PREFETCH, 0x100000, &bar_ops, v);
    pci_func_msi(&v->f, 4);
    pci_func_msix(&v->f, 5, 70);
    struct err e = {0};
    assert_int_equal(pci_add(v->bus, DEVFN, &v->f, &e), 0);
    *state = v;
    return 0;
}

static int teardown(void **state)
{
    struct env *v = *state;
    pci_remove(&v->f);
    pci_func_finish(&v->f);
    pci_bus_destroy(v->bus);
    bus_destroy(v->mmio);
    bus_destroy(v->ports);
    free(v);
    return 0;
}

static uint32_t cfg_get(struct env *v, unsigned reg, unsigned size)
{
    return pci_config_read(v->bus, 0, DEVFN, reg, size);
}

static void cfg_set(struct env *v, unsigned reg, unsigned size, uint32_t value)
{
    pci_config_write(v->bus, 0, DEVFN, reg, size, value);
}

static unsigned find_cap(struct env *v, uint8_t id)
{
    unsigned at = cfg_get(v, PCI_REG_CAPS, 1);
    while (at != 0 && cfg_get(v, at, 1) != id)
        at = cfg_get(v, at + 1, 1);
    return at;
}

static void legacy_access(void **state)
{
    struct env *v = *state;
    bus_write(v->ports, 0xcf8, 0x80000000u | DEVFN << 8, 4);
    assert_int_equal(bus_read(v->ports, 0xcf8, 4), 0x80000000u | DEVFN << 8);
    assert_int_equal(bus_read(v->ports, 0xcfc, 4), 0x56781234);
    assert_int_equal(bus_read(v->ports, 0xcfe, 2), 0x5678);
    assert_int_equal(bus_read(v->ports, 0xcff, 1), 0x56);
    bus_write(v->ports, 0xcf8, 0x80000000u | PCI_DEVFN(9, 0) << 8, 4);
    assert_int_equal(bus_read(v->ports, 0xcfc, 4), 0xffffffff);
    bus_write(v->ports, 0xcf8, 0x80010000u | DEVFN << 8, 4); /* bus 1 */
    assert_int_equal(bus_read(v->ports, 0xcfc, 4), 0xffffffff);
    bus_write(v->ports, 0xcf8, DEVFN << 8, 4); /* not enabled */
    assert_int_equal(bus_read(v->ports, 0xcfc, 2), 0xffff);
    bus_write(v->ports, 0xcf9, 6, 1);
    assert_int_equal(v->cf9_writes, 1);
    assert_int_equal(bus_read(v->ports, 0xcf9, 1), 0x5a);
    assert_int_equal(bus_read(v->ports, 0xcf8, 4), DEVFN << 8);
}

static void ecam_access(void **state)
{
    struct env *v = *state;
    uint64_t at = ECAM + (DEVFN << 12);
    assert_int_equal(bus_read(v->mmio, at, 4), 0x56781234);
    assert_int_equal(bus_read(v->mmio, at + 2, 2), 0x5678);
    assert_int_equal(bus_read(v->mmio, at + 0x100, 4), 0);
    assert_int_equal(bus_read(v->mmio, at + 0x1000, 4), 0xffffffff);
    assert_int_equal(bus_read(v->mmio, at + (1 << 20), 4), 0xffffffff);
    bus_write(v->mmio, at + PCI_REG_INT_LINE, 0xab, 1);
    assert_int_equal(cfg_get(v, PCI_REG_INT_LINE, 1), 0xab);
    bus_write(v->mmio, at, 0xdeadbeef, 4);
    assert_int_equal(bus_read(v->mmio, at, 4), 0x56781234);
}

static void bar_sizing(void **state)
{
    struct env *v = *state;
    cfg_set(v, PCI_REG_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_IO);
    for (unsigned reg = 0x10; reg < 0x28; reg += 4)
        cfg_set(v, reg, 4, 0xffffffff);
    assert_int_equal(cfg_get(v, 0x10, 4), 0xffffe000);
    assert_int_equal(cfg_get(v, 0x14, 4), 0xffffffe1);
    assert_int_equal(cfg_get(v, 0x18, 4), 0xfff0000c);
    assert_int_equal(cfg_get(v, 0x1c, 4), 0xffffffff);
    assert_int_equal(cfg_get(v, 0x20, 4), 0);
    assert_int_equal(cfg_get(v, 0x24, 4), 0xfffff000);
    /* Nothing is mapped while it is being sized. */
    assert_int_equal(bus_read(v->mmio, 0xffffe000, 4), 0xffffffff);
}

static void bar_mapping(void **state)
{
    struct env *v = *state;
    cfg_set(v, 0x10, 4, 0xe0000000);
    cfg_set(v, 0x14, 4, 0xc000);
    cfg_set(v, 0x18, 4, 0);
    cfg_set(v, 0x1c, 4, 0x10);
    assert_int_equal(bus_read(v->mmio, 0xe0000000, 4), 0xffffffff);
    cfg_set(v, PCI_REG_COMMAND, 2, PCI_CMD_MEM);
    assert_int_equal(bus_read(v->mmio, 0xe0000000, 4), 0x55667788);
    assert_int_equal(bus_read(v->mmio, 0x1000000010, 4), 0x55667798);
    assert_int_equal(bus_read(v->ports, 0xc000, 4), 0xffffffff);
    cfg_set(v, PCI_REG_COMMAND, 2, PCI_CMD_IO);
    assert_int_equal(bus_read(v->mmio, 0xe0000000, 4), 0xffffffff);
    assert_int_equal(bus_read(v->ports, 0xc004, 4), 0x5566778c);
    cfg_set(v, PCI_REG_COMMAND, 2, PCI_CMD_IO | PCI_CMD_MEM);
    cfg_set(v, 0x10, 4, 0xe1000000); /* moves */
    assert_int_equal(bus_read(v->mmio, 0xe0000000, 4), 0xffffffff);
    bus_write(v->mmio, 0xe1000123, 0x77, 1);
    assert_int_equal(v->last_offset, 0x123);
    cfg_set(v, 0x1c, 4, 0x80000000); /* beyond the address space: decodes nothing */
    assert_int_equal(bus_read(v->mmio, 0x1000000000, 4), 0xffffffff);
}

static void assign(void **state)
{
    struct env *v = *state;
    static const uint8_t irq[4] = {10, 11, 12, 5};
    struct pci_windows w = {.mem32_base = 0xc0000000,
                            .mem32_size = 0x8000,
                            .mem64_base = UINT64_C(1) << 36,
                            .mem64_size = UINT64_C(1) << 30,
                            .io_base = 0xc000,
                            .io_size = 0x1000,
                            .irq = irq};
    struct err e = {0};
    assert_int_equal(pci_bus_assign(v->bus, &w, &e), 0);
    assert_int_equal(cfg_get(v, 0x10, 4), 0xc0000000);
    assert_int_equal(cfg_get(v, 0x14, 4), 0xc001);
    assert_int_equal(cfg_get(v, 0x1c, 4), 0x10);
    assert_int_equal(cfg_get(v, PCI_REG_COMMAND, 2), PCI_CMD_IO | PCI_CMD_MEM);
    assert_int_equal(cfg_get(v, PCI_REG_INT_LINE, 1), 5); /* slot 3, INTA */
    assert_int_equal(bus_read(v->mmio, UINT64_C(1) << 36, 4), 0x55667788);
    w.mem32_size = 0x1000;
    assert_int_equal(pci_bus_assign(v->bus, &w, &e), -28 /* ENOSPC */);
    assert_non_null(strstr(e.text, "test"));
}

static void intx(void **state)
{
    struct env *v = *state;
    struct pci_func other;
    struct err e = {0};
    assert_int_equal(pci_func_init(&other, &info, NULL, v), 0);
    assert_int_equal(pci_add(v->bus, PCI_DEVFN(7, 0), &other, &e), 0); /* same line: 7 % 4 */
    pci_intx_set(&v->f, true);
    assert_true(v->level[3]);
    assert_int_equal(cfg_get(v, PCI_REG_STATUS, 2) & 8, 8);
    pci_intx_set(&other, true);
    pci_intx_set(&v->f, false);
    assert_true(v->level[3]);
    pci_config_write(v->bus, 0, PCI_DEVFN(7, 0), PCI_REG_COMMAND, 2, PCI_CMD_INTX_OFF);
    assert_false(v->level[3]);
    pci_config_write(v->bus, 0, PCI_DEVFN(7, 0), PCI_REG_COMMAND, 2, 0);
    assert_true(v->level[3]);
    pci_remove(&other);
    assert_false(v->level[3]);
    assert_int_equal(v->edges, 4);
    pci_func_finish(&other);
}

static void msi(void **state)
{
    struct env *v = *state;
    unsigned cap = find_cap(v, 5);
    assert_int_not_equal(cap, 0);
    assert_int_equal(cfg_get(v, cap + 2, 2), 2 << 1 | 1 << 7 | 1 << 8);
    cfg_set(v, cap + 4, 4, 0xfee01000);
    cfg_set(v, cap + 12, 2, 0x4043);
    cfg_set(v, cap + 2, 2, 1 | 2 << 4); /* four vectors */
    pci_msi_notify(&v->f, 1);
    assert_int_equal(v->msis, 0); /* no bus master */
    cfg_set(v, PCI_REG_COMMAND, 2, PCI_CMD_MASTER);
    pci_msi_notify(&v->f, 1);
    assert_int_equal(v->msis, 1);
    assert_int_equal(v->msi_addr, 0xfee01000);
    assert_int_equal(v->msi_data, 0x4041);
    cfg_set(v, cap + 16, 4, 1 << 2);
    pci_msi_notify(&v->f, 2);
    assert_int_equal(v->msis, 1);
    assert_int_equal(cfg_get(v, cap + 20, 4), 1 << 2);
    cfg_set(v, cap + 16, 4, 0);
    assert_int_equal(v->msis, 2);
    assert_int_equal(v->msi_data, 0x4042);
    assert_int_equal(cfg_get(v, cap + 20, 4), 0);
}

static void msix(void **state)
{
    struct env *v = *state;
    unsigned cap = find_cap(v, 0x11);
    assert_int_equal(cfg_get(v, cap + 2, 2), 69);
    cfg_set(v, 0x24, 4, 0xd0000000);
    cfg_set(v, PCI_REG_COMMAND, 2, PCI_CMD_MASTER | PCI_CMD_MEM);
    uint64_t entry = 0xd0000000 + 16 * 66;
    assert_int_equal(bus_read(v->mmio, entry + 12, 4), 1);
    bus_write(v->mmio, entry, 0xfee02003, 8);
    bus_write(v->mmio, entry + 8, 0x31, 4);
    assert_false(pci_msix_notify(&v->f, 66));
    cfg_set(v, cap + 2, 2, 0x8000);
    assert_true(pci_msix_notify(&v->f, 66));
    assert_int_equal(v->msis, 0); /* masked */
    assert_int_equal(bus_read(v->mmio, 0xd0000808, 8), 4);
    bus_write(v->mmio, entry + 12, 0, 4);
    assert_int_equal(v->msis, 1);
    assert_int_equal(v->msi_addr, 0xfee02000);
    assert_int_equal(v->msi_data, 0x31);
    assert_int_equal(bus_read(v->mmio, 0xd0000808, 8), 0);
    cfg_set(v, cap + 2, 2, 0xc000); /* function mask */
    pci_msix_notify(&v->f, 66);
    assert_int_equal(v->msis, 1);
    cfg_set(v, cap + 2, 2, 0x8000);
    assert_int_equal(v->msis, 2);
    assert_true(pci_msix_notify(&v->f, 70)); /* there is none */
    assert_true(pci_msix_notify(&v->f, 0xffff));
    assert_int_equal(v->msis, 2);
    bus_write(v->mmio, 0xd0000800, 0xffffffff, 4);
    assert_int_equal(bus_read(v->mmio, 0xd0000800, 4), 0);
}

static void saved_state(void **state)
{
    struct env *v = *state;
    uint8_t *a, *b;
    size_t alen, blen;
    struct err e = {0};
    cfg_set(v, 0x10, 4, 0xe0000000);
    cfg_set(v, PCI_REG_COMMAND, 2, PCI_CMD_MEM);
    pci_intx_set(&v->f, true);
    assert_int_equal(state_save(&pci_func_state, &v->f, &a, &alen), 0);
    pci_func_reset(&v->f);
    assert_false(v->level[3]);
    assert_int_equal(bus_read(v->mmio, 0xe0000000, 4), 0xffffffff);
    v->f.config[0] = 0xee; /* a record with another vendor does not bring it */
    assert_int_equal(state_load(&pci_func_state, &v->f, a, alen, &e), 0);
    v->f.config[0] = 0xee;
    assert_false(v->level[3]);
    pci_func_restore(&v->f);
    assert_true(v->level[3]);
    assert_int_equal(bus_read(v->mmio, 0xe0000000, 4), 0x55667788);
    assert_int_equal(cfg_get(v, 0, 2), 0x1234);
    assert_int_equal(state_save(&pci_func_state, &v->f, &b, &blen), 0);
    assert_int_equal(alen, blen);
    assert_memory_equal(a, b, alen);
    free(a);
    free(b);
}

static void plain_functions(void **state)
{
    struct env *v = *state;
    struct device host, lpc, twice;
    struct err e = {0};
    assert_int_equal(pci_plain_create(v->bus, 0, &pci_plain_piix4_pm, &host, &e), 0);
    assert_int_equal(pci_plain_create(v->bus, PCI_DEVFN(31, 0), &pci_plain_ich9_lpc, &lpc, &e), 0);
    assert_int_equal(pci_config_read(v->bus, 0, 0, 0, 4), 0x71138086);
    assert_int_equal(pci_config_read(v->bus, 0, PCI_DEVFN(31, 0), 0, 4), 0x29188086);
    assert_int_equal(pci_config_read(v->bus, 0, PCI_DEVFN(31, 0), 0x0e, 1), 0x80);
    assert_true(pci_plain_create(v->bus, 0, &pci_plain_piix4_pm, &twice, &e) < 0);
    assert_non_null(strstr(e.text, "taken"));
    host.ops->destroy(host.self);
    lpc.ops->destroy(lpc.self);
    assert_int_equal(pci_config_read(v->bus, 0, 0, 0, 4), 0xffffffff);
}

static void random_accesses(void **state)
{
    struct env *v = *state;
    srand(1);
    for (unsigned i = 0; i < 200000; i++) {
        unsigned size = 1u << (unsigned)(rand() % 3), reg = (unsigned)rand() % 0x100;
        cfg_set(v, reg, size, (uint32_t)rand() << 1 ^ (uint32_t)rand());
        cfg_get(v, (unsigned)rand() % 4100, size);
        bus_write(v->ports, 0xcf8 + (unsigned)rand() % 8, (uint32_t)rand(), size);
        pci_msix_notify(&v->f, (unsigned)rand() % 128);
        pci_msi_notify(&v->f, (unsigned)rand() % 64);
        pci_intx_set(&v->f, rand() % 2 != 0);
    }
    assert_int_equal(cfg_get(v, 0, 4), 0x56781234);
}

/* A BAR that somebody else serves, and the expansion ROM with its own enable bit. */
static void memory_and_rom(void **state)
{
    struct env *v = *state;
    struct pci_func f;
    unsigned devfn = PCI_DEVFN(4, 0);
    assert_int_equal(pci_func_init(&f, &info, NULL, v), 0);
    pci_func_bar_placed(&f, 0, PCI_BAR_MEM32_PREFETCH, 0x1000000, on_placed, v);
    pci_func_rom(&f, 0x10000, &bar_ops, v);
    assert_int_equal(pci_add(v->bus, devfn, &f, NULL), 0);
    assert_int_equal(v->places, 0);
    pci_config_write(v->bus, 0, devfn, 0x10, 4, 0xffffffff);
    assert_int_equal(pci_config_read(v->bus, 0, devfn, 0x10, 4), 0xff000008);
    pci_config_write(v->bus, 0, devfn, 0x30, 4, 0xfffff800);
    assert_int_equal(pci_config_read(v->bus, 0, devfn, 0x30, 4), 0xffff0000);
    pci_config_write(v->bus, 0, devfn, 0x10, 4, 0xd0000000);
    pci_config_write(v->bus, 0, devfn, 0x30, 4, 0xd2000000);
    pci_config_write(v->bus, 0, devfn, 0x04, 2, PCI_CMD_MEM);
    assert_int_equal(v->placed, 0xd0000000);
    assert_int_equal(bus_read(v->mmio, 0xd0000000, 4), 0xffffffff); /* not the bus's */
    assert_int_equal(bus_read(v->mmio, 0xd2000000, 4), 0xffffffff);
    pci_config_write(v->bus, 0, devfn, 0x30, 4, 0xd2000001);
    assert_int_equal(bus_read(v->mmio, 0xd2000010, 8), 0x1122334455667788u + 0x10);
    pci_config_write(v->bus, 0, devfn, 0x10, 4, 0xe0000000);
    assert_int_equal(v->placed, 0xe0000000);
    pci_config_write(v->bus, 0, devfn, 0x04, 2, 0);
    assert_int_equal(v->placed, PCI_UNMAPPED);
    assert_int_equal(bus_read(v->mmio, 0xd2000010, 4), 0xffffffff);
    assert_int_equal(v->places, 3);
    pci_remove(&f);
    pci_func_finish(&f);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(legacy_access),
        T(ecam_access),
        T(bar_sizing),
        T(bar_mapping),
        T(assign),
        T(intx),
        T(msi),
        T(msix),
        T(saved_state),
        T(plain_functions),
        T(memory_and_rom),
        T(random_accesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
