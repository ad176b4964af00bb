/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 82540EM on PCI: registers, interrupts, life; see e1000.h. Manual 317453. */
#include "dev/e1000.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/e1000_internal.h"

#define BAR_SIZE 0x20000u
#define ITR_NS 256u /* 13.4.18 */

enum { IOADDR = 0, IODATA = 4, IO_SIZE = 64 };

/* --- interrupts --- */

/* ITR puts at least so much time between two interrupts. */
void e1000_note(struct e1000 *e)
{
    bool want = e1000_asserted(&e->chip);
    uint32_t itr = e->chip.reg[E1000_ITR];
    uint64_t now = 0;

    if (want && !e->level && itr != 0)
        now = vclock_now(e->nic.cfg.clock);
    if (now < e->not_before && now != 0) {
        timer_arm(e->throttle, e->not_before);
        want = false;
    } else if (now != 0) {
        e->not_before = now + (uint64_t)itr * ITR_NS;
    }
    e->level = want;
    pci_intx_store(&e->nic.func, want);
}

void e1000_unlock(struct e1000 *e)
{
    nic_unlock(&e->nic);
    pci_intx_update(&e->nic.func);
}

static void on_throttle(void *opaque)
{
    struct e1000 *e = opaque;

    nic_lock(&e->nic);
    if (!e->nic.paused)
        e1000_note(e);
    e1000_unlock(e);
}

/* --- registers --- */

static uint64_t bar_read(void *opaque, uint64_t offset, unsigned size)
{
    struct e1000 *e = opaque;
    uint32_t v;

    nic_lock(&e->nic);
    v = e1000_read(&e->chip, (uint32_t)offset & ~3u);
    e1000_note(e);
    e1000_unlock(e);
    return v;
}

static void bar_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct e1000 *e = opaque;
    unsigned did;

    nic_lock(&e->nic);
    did = e1000_write(&e->chip, (uint32_t)offset & ~3u, (uint32_t)value);
    if ((did & E1000_DID_RESET) != 0) {
        e->epoch++;
        e->not_before = 0;
    }
    e1000_note(e);
    e1000_unlock(e);
    if ((did & E1000_DID_TX) != 0)
        nic_kick(&e->nic);
    if ((did & (E1000_DID_RX | E1000_DID_RESET)) != 0)
        nic_kick_starved(&e->nic);
}

static const struct bus_ops bar_ops = {
    .name = "e1000", .read = bar_read, .write = bar_write, .min_size = 4, .max_size = 4};

/* 13.3.1.1: the registers through an address and a data port. */
static uint64_t io_read(void *opaque, uint64_t offset, unsigned size)
{
    struct e1000 *e = opaque;
    uint32_t address;

    nic_lock(&e->nic);
    address = e->chip.ioaddr;
    nic_unlock(&e->nic);
    if (offset == IOADDR)
        return address;
    return offset == IODATA && address < BAR_SIZE ? bar_read(e, address, 4) : 0;
}

static void io_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct e1000 *e = opaque;
    uint32_t address;

    nic_lock(&e->nic);
    if (offset == IOADDR)
        e->chip.ioaddr = (uint32_t)value & 0xfffff;
    address = e->chip.ioaddr;
    nic_unlock(&e->nic);
    if (offset == IODATA && address < BAR_SIZE)
        bar_write(e, address, value, 4);
}

static const struct bus_ops io_ops = {
    .name = "e1000-io", .read = io_read, .write = io_write, .min_size = 4, .max_size = 4};

/* --- the cable --- */

static void on_run(void *self)
{
    struct e1000 *e = self;

    e1000_run_tx(e);
    /* Of what was sent, and what a pause kept from being told. */
    nic_lock(&e->nic);
    e1000_note(e);
    e1000_unlock(e);
}

static void on_link(void *self, bool up)
{
    struct e1000 *e = self;

    nic_lock(&e->nic);
    e1000_cable(&e->chip, up);
    e1000_note(e);
    e1000_unlock(e);
}

static const struct nic_ops nic_ops = {
    .offloads = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6,
    .run = on_run,
    .fits = e1000_fits,
    .receive = e1000_receive,
    .receive_end = e1000_receive_end,
    .link = on_link,
};

/* --- life --- */

static void e1000_dev_reset(void *self)
{
    struct e1000 *e = self;
    bool paused = nic_quiesce(&e->nic);

    nic_lock(&e->nic);
    e1000_reset(&e->chip, true);
    e->epoch++;
    e->not_before = 0;
    e->nic.paused = paused;
    nic_unlock(&e->nic);
    pci_func_reset(&e->nic.func);
    nic_lock(&e->nic);
    e1000_note(e);
    e1000_unlock(e);
    nic_kick_starved(&e->nic);
}

static void e1000_pause(void *self)
{
    struct e1000 *e = self;

    nic_quiesce(&e->nic);
}

static void e1000_resume(void *self)
{
    struct e1000 *e = self;

    nic_resume(&e->nic);
}

static void e1000_restore(void *self)
{
    struct e1000 *e = self;

    pci_func_restore(&e->nic.func);
    nic_lock(&e->nic);
    e->epoch++;
    e->not_before = 0;
    e1000_note(e);
    e1000_unlock(e);
}

static void e1000_destroy(void *self)
{
    struct e1000 *e = self;

    if (e == NULL)
        return;
    nic_detach(&e->nic);
    pci_remove(&e->nic.func);
    pci_func_finish(&e->nic.func);
    timer_destroy(e->throttle);
    nic_finish(&e->nic);
    free(e->strip);
    free(e);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct e1000, nic.func, 1, &pci_func_state),
    STATE_STRUCT_F(struct e1000, chip, 1, &e1000_chip_state),
    STATE_END_F,
};
static const struct state_table e1000_state = {.name = "e1000", .version = 1, .fields = fields};

static const struct device_ops device_ops = {
    .name = "e1000",
    .reset = e1000_dev_reset,
    .pause = e1000_pause,
    .resume = e1000_resume,
    .restore = e1000_restore,
    .destroy = e1000_destroy,
    .state = &e1000_state,
};

/* 4.1: memory, no flash, ports. */
static int init_pci(struct e1000 *e, struct err *err)
{
    static const struct pci_func_info info = {
        .name = "e1000",
        .vendor = 0x8086,
        .device = 0x100e,
        .subsystem_vendor = 0x1af4,
        .subsystem = 0x1100,
        .class_code = 0x020000,
        .revision = 2,
        .pin = 1,
    };
    struct pci_func *f = &e->nic.func;

    if (pci_func_init(f, &info, NULL, e) < 0)
        return err_set(err, ENOMEM, "no memory for a network card");
    pci_func_bar(f, 0, PCI_BAR_MEM32, BAR_SIZE, &bar_ops, e);
    pci_func_bar(f, 2, PCI_BAR_IO, IO_SIZE, &io_ops, e);
    return pci_add(e->nic.cfg.bus, e->nic.cfg.devfn, f, err);
}

int e1000_create(const struct nic_config *cfg, struct device *out, struct err *err)
{
    struct e1000 *e = calloc(1, sizeof(*e));
    int rc;

    if (e == NULL || (e->strip = malloc(NET_FRAME_MAX)) == NULL) {
        free(e);
        return err_set(err, ENOMEM, "no memory for a network card");
    }
    rc = nic_init(&e->nic, cfg, &nic_ops, e, err);
    if (rc < 0) {
        free(e->strip);
        free(e);
        return rc;
    }
    e1000_init(&e->chip, cfg->mac);
    e->chip.cable = nic_link(&e->nic);
    rc = init_pci(e, err);
    if (rc == 0 && timer_create_on(cfg->loop, cfg->clock, on_throttle, e, &e->throttle) < 0)
        rc = err_set(err, ENOMEM, "no memory for a network card");
    if (rc < 0) {
        e1000_destroy(e);
        return rc;
    }
    nic_attach(&e->nic);
    *out = (struct device){.ops = &device_ops, .self = e};
    return 0;
}
