/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration space and BARs: accesses of every size through the ports, through ECAM and to
 * memory, on a bus with a host bridge, a multifunction bridge and two virtio devices.
 */
#include "fuzz.h"

#include "bus/pci.h"
#include "dev/pci_plain.h"
#include "dev/virtio/virtio_rng.h"

#define ECAM 0xb0000000u
#define WINDOW 0xc0000000u
#define DEVICES 4u

static struct {
    struct ram *ram;
    struct loop *loop;
    struct bus *mmio, *ports;
    struct pci_bus *pci;
    struct device dev[DEVICES];
} t;

static void on_pin(void *opaque, unsigned line, bool level)
{
}

static void on_msi(void *opaque, uint64_t addr, uint32_t data)
{
}

static void set_up(void)
{
    static const struct pin intx[4] = {
        {on_pin, NULL, 0}, {on_pin, NULL, 1}, {on_pin, NULL, 2}, {on_pin, NULL, 3}};
    FUZZ_REQUIRE(ram_create(&t.ram, 0x10000, NULL) == 0);
    FUZZ_REQUIRE(ram_add(t.ram, 0, 0x10000, false, NULL) == 0);
    FUZZ_REQUIRE(loop_create(&t.loop) == 0);
    FUZZ_REQUIRE(bus_create(&t.ports, 0x10000) == 0);
    FUZZ_REQUIRE(bus_create(&t.mmio, UINT64_C(1) << 40) == 0);
    struct pci_bus_config cfg = {
        .mmio = t.mmio, .ports = t.ports, .msi = {on_msi, NULL}, .intx = intx, .intx_count = 4};
    FUZZ_REQUIRE(pci_bus_create(&cfg, &t.pci) == 0);
    FUZZ_REQUIRE(pci_bus_ecam(t.pci, ECAM, 1) == 0);
    FUZZ_REQUIRE(pci_plain_create(t.pci, 0, &pci_plain_piix4_pm, &t.dev[0], NULL) == 0);
    FUZZ_REQUIRE(pci_plain_create(t.pci, PCI_DEVFN(31, 0), &pci_plain_ich9_lpc, &t.dev[1], NULL) ==
                 0);
    for (unsigned i = 2; i < DEVICES; i++) {
        struct virtio_place place = {
            .bus = t.pci, .devfn = PCI_DEVFN(i, 0), .ram = t.ram, .loop = t.loop};
        FUZZ_REQUIRE(virtio_rng_create(&place, &t.dev[i], NULL) == 0);
    }
}

static void reset(void)
{
    struct pci_windows w = {.mem32_base = WINDOW, .mem32_size = 1 << 24};
    pci_bus_reset(t.pci);
    for (unsigned i = 0; i < DEVICES; i++)
        t.dev[i].ops->reset(t.dev[i].self);
    FUZZ_REQUIRE(pci_bus_assign(t.pci, &w, NULL) == 0);
}

/* A register of one of the functions that exist, in configuration mechanism 1's format. */
static uint32_t config_address(struct fuzz_input *in)
{
    static const uint8_t slots[8] = {0, 2, 3, 31, 2, 3, 4, 0};
    uint8_t where = fuzz_u8(in);
    return 0x80000000u | (uint32_t)slots[where & 7] << 11 | (where & 8 ? 1u << 8 : 0) |
           (where & 0x80 ? 1u << 16 : 0);
}

static void access(struct bus *b, uint64_t addr, unsigned size, bool write, uint64_t value)
{
    if (write)
        bus_write(b, addr, value, size);
    else
        bus_read(b, addr, size);
}

static void step(struct fuzz_input *in)
{
    uint8_t op = fuzz_u8(in);
    bool write = (op & 0x80) != 0;
    uint32_t config = config_address(in), offset = fuzz_u16(in);
    uint64_t value = write ? fuzz_take(in, 4) : 0;
    switch (op & 3) {
    case 0:
        bus_write(t.ports, 0xcf8, config | (offset & 0xfc), 4);
        access(t.ports, 0xcfc + (offset & 3), fuzz_size(in, 0), write, value);
        break;
    case 1:
        access(t.mmio, ECAM + ((config & 0xffffff) >> 8 << 12) + (offset & 0xfff), fuzz_size(in, 1),
               write, value);
        break;
    case 2:
        access(t.mmio, WINDOW + offset, fuzz_size(in, 1), write, value);
        break;
    default:
        access(t.ports, 0xcf8 + (offset & 7), fuzz_size(in, 0), write, value);
        break;
    }
}

/* What was reached must be something that can be saved and loaded again. */
static void save_and_load(void)
{
    for (unsigned i = 0; i < DEVICES; i++) {
        const struct device *d = &t.dev[i];
        void *object = d->ops->state_object != NULL ? d->ops->state_object(d->self) : d->self;
        struct err e = {0};
        uint8_t *record;
        size_t len;
        if (d->ops->pause != NULL)
            d->ops->pause(d->self);
        FUZZ_REQUIRE(state_save(d->ops->state, object, &record, &len) == 0);
        d->ops->reset(d->self);
        FUZZ_REQUIRE(state_load(d->ops->state, object, record, len, &e) == 0);
        if (d->ops->restore != NULL)
            d->ops->restore(d->self);
        if (d->ops->resume != NULL)
            d->ops->resume(d->self);
        free(record);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    if (t.ram == NULL)
        set_up();
    reset();
    while (in.left > 0)
        step(&in);
    save_and_load();
    return 0;
}
