/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What firmware asks the board: fw_cfg's files and the CMOS memory. Names and formats: QEMU
 * docs/specs/fw_cfg.rst; SeaBIOS docs/Runtime_config.md.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "machine/machine_internal.h"
#include "machine/smbios.h"

enum {
    KEY_IRQ0_OVERRIDE = 0x8002,
    CMOS_CPUS = 0x5f,
    MENU_WAIT_MS = 5000,
};

struct acpi_config board_acpi(struct machine *m)
{
    const struct layout *l = &m->layout;
    bool firmware = l->rom_size != 0;
    struct acpi_config a = {.vcpus = m->cfg.vcpus,
                            .ecam_base = m->ecam_base,
                            .pci32_base = LAYOUT_PCI32_BASE,
                            .pci64_base = l->pci64_base,
                            .pci64_size = l->pci64_size,
                            .vga = m->layout.video_size != 0,
                            .lpt = m->parallel,
                            .tpm = m->cfg.tpm,
                            .hot_plug = m->slots > 0,
                            .lpc_slot = m->lpc_devfn >> 3,
                            .intx_shift = m->intx_shift};

    if (firmware)
        a.pci32_base = l->low_end > LAYOUT_LOW_SPLIT ? l->low_end : LAYOUT_LOW_SPLIT;
    for (unsigned i = 0; i < MACHINE_INTX; i++)
        a.pic_irq[i] = board_pirq(m, i);
    return a;
}

/* The firmware has placed ECAM and routed the interrupts when it asks for the tables. */
static void refresh_acpi(void *opaque)
{
    struct machine *m = opaque;
    struct acpi_config cfg = board_acpi(m);
    struct err e;

    if (acpi_build(&cfg, m->acpi, &e) < 0)
        log_error("%s", e.text);
}

static int add_acpi(struct machine *m, struct err *e)
{
    struct acpi_config cfg = board_acpi(m);
    struct acpi_blobs *b = m->acpi = calloc(1, sizeof(*b));
    int rc;

    if (b == NULL)
        return err_set(e, ENOMEM, "out of memory");
    cfg.ecam_base = m->cfg.board == MACHINE_PC ? 0 : LAYOUT_ECAM_BASE;
    rc = acpi_build(&cfg, b, e);
    if (rc == 0)
        rc = fwcfg_add_live(m->fwcfg, ACPI_FILE_RSDP, b->rsdp, sizeof(b->rsdp), refresh_acpi, m);
    if (rc == 0)
        rc = fwcfg_add_live(m->fwcfg, ACPI_FILE_TABLES, b->tables, sizeof(b->tables), refresh_acpi,
                            m);
    if (rc == 0)
        rc = fwcfg_add_live(m->fwcfg, ACPI_FILE_LOADER, b->loader, b->loader_len, refresh_acpi, m);
    return rc;
}

static int add_smbios(struct machine *m, struct err *e)
{
    struct smbios_config cfg = {
        .name = m->cfg.name, .vcpus = m->cfg.vcpus, .topology = m->cfg.topology};
    struct smbios_blobs b;
    int rc;

    memcpy(cfg.uuid, m->uuid, sizeof(cfg.uuid));
    rc = smbios_build(&cfg, &m->layout, &b, e);
    if (rc == 0)
        rc =
            fwcfg_add_file(m->fwcfg, "etc/smbios/smbios-anchor", b.anchor, sizeof(b.anchor), false);
    if (rc == 0)
        rc = fwcfg_add_file(m->fwcfg, "etc/smbios/smbios-tables", b.tables, b.len, false);
    return rc;
}

static void put_range(uint8_t *p, uint64_t base, uint64_t size)
{
    st_le64(p, base);
    st_le64(p + 8, size);
    st_le32(p + 16, E820_RAM);
}

/* RAM alone: what is reserved the firmware knows. */
static int add_e820(struct machine *m)
{
    const struct layout *l = &m->layout;
    uint8_t e820[2 * 20];
    unsigned n = 1;

    put_range(e820, 0, l->low_end);
    if (l->high_end > LAYOUT_HIGH_BASE)
        put_range(e820 + 20 * n++, LAYOUT_HIGH_BASE, l->high_end - LAYOUT_HIGH_BASE);
    return fwcfg_add_file(m->fwcfg, "etc/e820", e820, n * 20, false);
}

static int add_number(struct machine *m, const char *name, uint64_t value)
{
    uint8_t v[8];

    st_le64(v, value);
    return fwcfg_add_file(m->fwcfg, name, v, sizeof(v), false);
}

/* A byte for each state from S0: bit 7 that it is there, and its SLP_TYP. */
static int add_sleep_states(struct machine *m)
{
    static const uint8_t states[6] = {
        0x80, 0, 0, 0x80 | ACPI_PM_SLP_TYP_S3, 0, 0x80 | ACPI_PM_SLP_TYP_UEFI};

    return fwcfg_add_file(m->fwcfg, "etc/system-states", states, sizeof(states), false);
}

static int add_roms(struct machine *m, struct err *e)
{
    int rc = 0;

    for (unsigned i = 0; i < m->cfg.rom_count && rc == 0; i++) {
        struct file f;
        char name[56];
        const char *slash = strrchr(m->cfg.roms[i], '/');
        uint8_t *data = NULL;

        rc = file_open(&f, "--option-rom", m->cfg.roms[i], e);
        if (rc < 0)
            return rc;
        snprintf(name, sizeof(name), "genroms/%s", slash != NULL ? slash + 1 : m->cfg.roms[i]);
        if (f.size == 0 || f.size > 0x20000)
            rc = err_set(e, EINVAL, "--option-rom: %s is not an option ROM; they have up to 128K",
                         f.path);
        else
            rc = file_read_all(&f, &data, e);
        if (rc == 0 && (rc = fwcfg_add_file(m->fwcfg, name, data, f.size, false)) < 0)
            err_set(e, -rc, "--option-rom: %s cannot be added: %s", f.path, strerror(-rc));
        free(data);
        file_close(&f);
    }
    return rc;
}

int board_create_fwcfg_files(struct machine *m, struct err *e)
{
    int rc;

    if (m->layout.rom_size == 0)
        return 0;
    rtc_set_cmos(m->rtc, CMOS_CPUS, (uint8_t)(m->cfg.vcpus - 1));
    rc = add_acpi(m, e);
    if (rc == 0)
        rc = add_smbios(m, e);
    if (rc == 0)
        rc = add_e820(m);
    if (rc == 0)
        rc = fwcfg_add_u32(m->fwcfg, KEY_IRQ0_OVERRIDE, 1);
    if (rc == 0)
        rc = fwcfg_add_u16(m->fwcfg, FWCFG_BOOT_MENU, m->cfg.boot_menu);
    if (rc == 0 && m->cfg.boot_menu)
        rc = add_number(m, "etc/boot-menu-wait", MENU_WAIT_MS);
    if (rc == 0) /* the BIOS speaks through COM1, too: there may be no screen */
        rc = add_number(m, "etc/sercon-port", SERIAL_COM1_PORT);
    if (rc == 0)
        rc = add_sleep_states(m);
    return rc == 0 ? add_roms(m, e) : rc;
}

/* --- boot order --- */

void board_bootable(struct machine *m, char kind, const char *path)
{
    struct machine_boot *b = &m->boot[m->boot_count];

    if (m->boot_count == MACHINE_BOOTABLE)
        return;
    b->kind = kind;
    snprintf(b->path, sizeof(b->path), "/pci@i0cf8/%s", path);
    m->boot_count++;
}

int board_boot_order(struct machine *m, struct err *e)
{
    char text[(MACHINE_BOOTABLE + 1) * (sizeof(m->boot[0].path) + 1)];
    size_t n = 0;
    int rc;

    if (m->layout.rom_size == 0 || m->boot_ordered)
        return 0;
    m->boot_ordered = true;
    if (m->cfg.kernel != NULL && m->cfg.firmware.kind != FIRMWARE_UEFI)
        n = (size_t)snprintf(text, sizeof(text), "/rom@" BOARD_KERNEL_ROM);
    for (const char *k = m->cfg.boot_order; k != NULL && *k != '\0'; k++)
        for (unsigned i = 0; i < m->boot_count; i++)
            if (m->boot[i].kind == *k)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? "\n" : "",
                                      m->boot[i].path);
    if (n == 0)
        return 0;
    rc = fwcfg_add_file(m->fwcfg, "bootorder", text, n + 1, false);
    return rc < 0 ? err_set(e, -rc, "--boot: the boot order cannot be told: %s", strerror(-rc)) : 0;
}
