/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host bridges: see host_bridge.h. */
#include "dev/host_bridge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAM_REGS 7 /* PAM0: f0000 in its high half; then two segments each */
#define PCIEXBAR 0x60
#define PCIEXBAR_ENABLE 1u

struct host_bridge {
    struct host_bridge_config cfg;
    unsigned pam_reg;
    struct pci_func func;
    struct lock lock; /* told, busy, again */
    uint8_t told[HOST_BRIDGE_SEGMENTS];
    uint64_t told_ecam;
    bool busy, again;
};

static const struct pci_func_info infos[] = {
    [HOST_BRIDGE_440FX] = {.name = "440fx",
                           .vendor = 0x8086,
                           .device = 0x1237,
                           .subsystem_vendor = 0x1af4,
                           .subsystem = 0x1100,
                           .class_code = 0x060000,
                           .revision = 2},
    [HOST_BRIDGE_Q35] = {.name = "q35-host",
                         .vendor = 0x8086,
                         .device = 0x29c0,
                         .subsystem_vendor = 0x1af4,
                         .subsystem = 0x1100,
                         .class_code = 0x060000},
};

static void read_pam(struct host_bridge *h, uint8_t pam[HOST_BRIDGE_SEGMENTS])
{
    for (unsigned i = 1; i < PAM_REGS; i++) {
        uint32_t v = pci_func_reg(&h->func, h->pam_reg + i, 1);

        pam[2 * i - 2] = v & 3;
        pam[2 * i - 1] = v >> 4 & 3;
    }
    pam[HOST_BRIDGE_SEGMENTS - 1] = pci_func_reg(&h->func, h->pam_reg, 1) >> 4 & 3;
}

/* PCIEXBAR as it is told: base | buses, or 0. */
static uint64_t read_ecam(struct host_bridge *h)
{
    uint64_t bar = (uint64_t)pci_func_reg(&h->func, PCIEXBAR + 4, 4) << 32 |
                   pci_func_reg(&h->func, PCIEXBAR, 4);
    unsigned size = bar >> 1 & 3; /* 256, 128 or 64 buses; 3 is reserved */
    uint64_t buses = 256u >> size;

    if (h->cfg.kind != HOST_BRIDGE_Q35 || (bar & PCIEXBAR_ENABLE) == 0 || size == 3)
        return 0;
    return (bar & 0xffff00000000 & ~((buses << 20) - 1)) | (bar & 0xf0000000 & -(buses << 20)) |
           buses;
}

static void tell(struct host_bridge *h, const uint8_t pam[HOST_BRIDGE_SEGMENTS], uint64_t ecam,
                 bool new_pam, bool new_ecam)
{
    if (new_pam)
        h->cfg.pam(h->cfg.opaque, pam);
    if (new_ecam)
        h->cfg.ecam(h->cfg.opaque, ecam & ~UINT64_C(0xfff), (unsigned)(ecam & 0xfff));
}

/* One thread tells the board at a time; another one that changes registers meanwhile leaves a note,
 * so that the last values win without a lock held across the call. */
static void update(struct host_bridge *h)
{
    uint8_t pam[HOST_BRIDGE_SEGMENTS];

    lock_take(&h->lock);
    h->again = true;
    while (h->again && !h->busy) {
        bool new_pam, new_ecam;
        uint64_t ecam;

        h->busy = true;
        h->again = false;
        read_pam(h, pam);
        ecam = read_ecam(h);
        new_pam = memcmp(pam, h->told, sizeof(pam)) != 0;
        new_ecam = ecam != h->told_ecam;
        memcpy(h->told, pam, sizeof(pam));
        h->told_ecam = ecam;
        lock_drop(&h->lock);
        tell(h, pam, ecam, new_pam, new_ecam);
        lock_take(&h->lock);
        h->busy = false;
    }
    lock_drop(&h->lock);
}

static void config_written(void *opaque, unsigned reg, unsigned size, uint32_t value)
{
    if (reg + size > 0x40)
        update(opaque);
}

static const struct pci_func_hooks hooks = {.config_written = config_written};

static void host_bridge_reset(void *self)
{
    struct host_bridge *h = self;

    pci_func_reset(&h->func);
    update(h);
}

static void host_bridge_restore(void *self)
{
    struct host_bridge *h = self;

    pci_func_restore(&h->func);
    update(h);
}

static void host_bridge_destroy(void *self)
{
    struct host_bridge *h = self;

    if (h == NULL)
        return;
    pci_remove(&h->func);
    pci_func_finish(&h->func);
    lock_finish(&h->lock);
    free(h);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct host_bridge, func, 1, &pci_func_state),
    STATE_END_F,
};
static const struct state_table state_table = {
    .name = "host-bridge", .version = 1, .fields = fields};

static const struct device_ops host_bridge_ops = {
    .name = "host-bridge",
    .reset = host_bridge_reset,
    .restore = host_bridge_restore,
    .destroy = host_bridge_destroy,
    .state = &state_table,
};

static void declare(struct host_bridge *h)
{
    pci_func_set8(&h->func, h->pam_reg, 0, 0x30);
    for (unsigned i = 1; i < PAM_REGS; i++)
        pci_func_set8(&h->func, h->pam_reg + i, 0, 0x33);
    if (h->cfg.kind != HOST_BRIDGE_Q35)
        return;
    pci_func_set32(&h->func, PCIEXBAR, 0, 0xfc000007);
    pci_func_set32(&h->func, PCIEXBAR + 4, 0, 0xf);
}

int host_bridge_create(const struct host_bridge_config *cfg, struct device *out, struct err *e)
{
    struct host_bridge *h = calloc(1, sizeof(*h));
    int rc;

    if (h == NULL || pci_func_init(&h->func, &infos[cfg->kind], &hooks, h) < 0) {
        free(h);
        return err_set(e, ENOMEM, "no memory for the host bridge");
    }
    h->cfg = *cfg;
    h->pam_reg = cfg->kind == HOST_BRIDGE_Q35 ? 0x90 : 0x59;
    lock_init(&h->lock, LOCK_DEVICE);
    declare(h);
    rc = pci_add(cfg->bus, PCI_DEVFN(0, 0), &h->func, e);
    if (rc < 0) {
        host_bridge_destroy(h);
        return rc;
    }
    *out = (struct device){&host_bridge_ops, h};
    return 0;
}

void host_bridge_program(const struct device *d, uint64_t ecam)
{
    struct host_bridge *h = d->self;
    struct pci_bus *bus = h->cfg.bus;

    pci_config_write(bus, 0, 0, h->pam_reg, 1, 0x30);
    for (unsigned i = 1; i < PAM_REGS; i++)
        pci_config_write(bus, 0, 0, h->pam_reg + i, 1, 0x33);
    if (h->cfg.kind != HOST_BRIDGE_Q35)
        return;
    pci_config_write(bus, 0, 0, PCIEXBAR + 4, 4, (uint32_t)(ecam >> 32));
    pci_config_write(bus, 0, 0, PCIEXBAR, 4, (uint32_t)ecam | PCIEXBAR_ENABLE);
}
