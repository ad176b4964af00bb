/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ATA adapters in the generic suite: a disk and a CD-ROM drive each, with commands under way. */
#include <stdlib.h>

#include "base/bits.h"
#include "dev/ahci.h"
#include "dev/ide.h"
#include "suite.h"
#include "temp_disk.h"

#define DEVFN PCI_DEVFN(1, 1)
#define BM_BASE SUITE_PORTS
#define PRD 0x1000u
#define BUFFER 0x10000u
#define DISK_SIZE (256 << 10)

static void finish(struct suite_env *env)
{
    temp_drives_close(env->extra);
}

static void on_eject(void *opaque, const struct ata_unit *u)
{
    suite_activity(opaque);
}

/* --- IDE --- */

static int create_ide(struct suite_env *env, struct device *dev)
{
    struct temp_drives *x = temp_drives(DISK_SIZE);
    const struct ide_config cfg = {.bus = suite_pci(env),
                                   .devfn = DEVFN,
                                   .ports = env->ports,
                                   .ram = env->ram,
                                   .loop = env->loop,
                                   .irq = {suite_pin(env, 14), suite_pin(env, 15)},
                                   .ejected = on_eject,
                                   .opaque = env};
    int rc = ide_create(&cfg, dev, NULL);

    env->extra = x;
    if (rc == 0)
        rc = ide_add(dev, 0, ATA_DISK, x->disk, NULL);
    return rc == 0 ? ide_add(dev, 2, ATA_CDROM, x->cd, NULL) : rc;
}

/* A read of 64 sectors by the bus master of the first channel. */
static void busy_ide(struct suite_env *env, struct device *dev)
{
    uint8_t prd[8];

    suite_place(env, DEVFN);
    st_le32(prd, BUFFER);
    st_le32(prd + 4, 0x80000000u | 64 * 512);
    if (ram_write(env->ram, PRD, prd, sizeof(prd)) < 0)
        abort();
    bus_write(env->ports, BM_BASE + 4, PRD, 4);
    bus_write(env->ports, 0x1f6, 0x40, 1);
    bus_write(env->ports, 0x1f2, 64, 1);
    bus_write(env->ports, 0x1f7, 0xc8, 1);
    bus_write(env->ports, BM_BASE, 9, 1);
}

const struct suite_class suite_ide = {
    .name = "ide",
    .create = create_ide,
    .finish = finish,
    .busy = busy_ide,
    .ranges = {{false, 0x1f0, 8},
               {false, 0x170, 8},
               {false, 0x3f6, 1},
               {false, 0x376, 1},
               {false, BM_BASE, 16},
               {false, 0xcf8, 8}},
};

/* --- AHCI --- */

#define AHCI_BAR SUITE_WINDOW
#define LIST 0x2000u
#define FISES 0x3000u
#define TABLE 0x4000u

static int create_ahci(struct suite_env *env, struct device *dev)
{
    struct temp_drives *x = temp_drives(DISK_SIZE);
    const struct ahci_config cfg = {.bus = suite_pci(env),
                                    .devfn = DEVFN,
                                    .ram = env->ram,
                                    .loop = env->loop,
                                    .ejected = on_eject,
                                    .opaque = env};
    int rc = ahci_create(&cfg, dev, NULL);

    env->extra = x;
    if (rc == 0)
        rc = ahci_add(dev, 0, ATA_DISK, x->disk, NULL);
    return rc == 0 ? ahci_add(dev, 1, ATA_CDROM, x->cd, NULL) : rc;
}

/* A queued read of 64 sectors in slot 0 and in slot 5. */
static void busy_ahci(struct suite_env *env, struct device *dev)
{
    static const uint8_t slots[] = {0, 5};

    suite_place(env, DEVFN);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t header[32] = {5, 0, 1}, table[0x90] = {0x27, 0x80, 0x60, 64};

        st_le64(header + 8, TABLE + 0x100 * i);
        table[12] = (uint8_t)(slots[i] << 3);
        st_le64(table + 0x80, BUFFER + 0x10000 * i);
        st_le32(table + 0x8c, 64 * 512 - 1);
        if (ram_write(env->ram, LIST + 32 * slots[i], header, sizeof(header)) < 0 ||
            ram_write(env->ram, TABLE + 0x100 * i, table, sizeof(table)) < 0)
            abort();
    }
    bus_write(env->mmio, AHCI_BAR + 0x04, 2, 4);
    bus_write(env->mmio, AHCI_BAR + 0x100, LIST, 4);
    bus_write(env->mmio, AHCI_BAR + 0x108, FISES, 4);
    bus_write(env->mmio, AHCI_BAR + 0x114, 0xffffffff, 4);
    bus_write(env->mmio, AHCI_BAR + 0x118, 0x17, 4);
    bus_write(env->mmio, AHCI_BAR + 0x134, 0x21, 4);
    bus_write(env->mmio, AHCI_BAR + 0x138, 0x21, 4);
}

const struct suite_class suite_ahci = {
    .name = "ahci",
    .create = create_ahci,
    .finish = finish,
    .busy = busy_ahci,
    .ranges = {{true, AHCI_BAR, 0x400}, {false, 0xcf8, 8}},
};
