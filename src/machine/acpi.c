/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ACPI tables of the board: see acpi.h. Section numbers are those of ACPI 6.4. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "dev/acpi_pm.h"
#include "dev/apic.h"
#include "dev/hpet.h"
#include "dev/ioapic.h"
#include "dev/rtc.h"
#include "machine/acpi.h"

/* dsdt_aml_code[], made by iasl */
#include "dsdt.hex"

enum {
    AREA = LAYOUT_ACPI_END - LAYOUT_ACPI_BASE - ACPI_RSDP_ROOM,
    HEADER = 36,
    TABLES = 5,
    POINTERS = 4 + 2 * TABLES,
};

/* The area being filled. `at` never leaves it: `full` is set instead and writes go to the start,
 * which is then not used. */
struct area {
    const struct acpi_config *cfg;
    gpa_t base;
    uint8_t mem[AREA];
    uint32_t at;
    bool full;
    struct {
        uint32_t at;
        uint8_t size;
    } pointer[POINTERS]; /* addresses inside the tables that are relative to base */
    unsigned pointers;
};

static gpa_t gpa_of(const struct area *a, const uint8_t *p)
{
    return a->base + (gpa_t)(p - a->mem);
}

static void put_pointer(struct area *a, uint8_t *p, uint8_t size, const uint8_t *to)
{
    if (size == 8)
        st_le64(p, gpa_of(a, to));
    else
        st_le32(p, (uint32_t)gpa_of(a, to));
    if (a->pointers < POINTERS) {
        a->pointer[a->pointers].at = (uint32_t)(p - a->mem);
        a->pointer[a->pointers++].size = size;
    }
}

static uint8_t *take(struct area *a, uint32_t len, uint32_t align)
{
    uint32_t at = (a->at + align - 1) & ~(align - 1);

    if (at + len > AREA) {
        a->full = true;
        at = 0;
    }
    a->at = at + len;
    return a->mem + at;
}

/* The common header, 5.2.6; the checksum is put when the table is complete. */
static uint8_t *table(struct area *a, const char *sig, uint8_t revision, uint32_t len)
{
    uint8_t *t = take(a, len, 64);

    memset(t, 0, len);
    memcpy(t, sig, 4);
    st_le32(t + 4, len);
    t[8] = revision;
    memcpy(t + 10, "DOPPEL", 6);
    memcpy(t + 16, "DPLPC   ", 8);
    st_le32(t + 24, 1);
    memcpy(t + 28, "DPL ", 4);
    st_le32(t + 32, 1);
    return t;
}

static void finish(uint8_t *t)
{
    t[9] = 0;
    t[9] = byte_checksum(t, ld_le32(t + 4));
}

/* --- DSDT --- */

/* What the guest may have to itself: PCI Firmware 3.2, table 4-6. A guest that is to look after
 * slots needs the capability, too. */
enum { OSC_HOT_PLUG = 1 << 0, OSC_CAPABILITY = 1 << 4 };

/* Sets a value that the DSDT declares by name: NameOp (08), the name, QWordPrefix (0e) or
 * DWordPrefix (0c), value. */
static void patch(uint8_t *dsdt, uint32_t len, const char *name, unsigned size, uint64_t value)
{
    uint8_t pattern[6] = {0x08, 0, 0, 0, 0, size == 8 ? 0x0e : 0x0c};
    uint8_t *p;

    memcpy(pattern + 1, name, 4);
    p = memmem(dsdt, len, pattern, sizeof(pattern));
    if (p != NULL && size == 8)
        st_le64(p + sizeof(pattern), value);
    else if (p != NULL)
        st_le32(p + sizeof(pattern), (uint32_t)value);
}

/* The memory below 4 GB that PCI devices may have: around ECAM. */
static void patch_windows(uint8_t *t, uint32_t len, const struct acpi_config *cfg)
{
    uint64_t below = cfg->pci32_base, above = cfg->pci32_base;

    if (cfg->ecam_base != 0 && cfg->ecam_base >= cfg->pci32_base)
        above = cfg->ecam_base + LAYOUT_ECAM_SIZE;
    patch(t, len, "P32B", 4, below);
    patch(t, len, "P32L", 4, above > below ? cfg->ecam_base - below : 0);
    patch(t, len, "P33B", 4, above);
    patch(t, len, "P33L", 4, LAYOUT_PCI32_END - above);
    patch(t, len, "P64B", 8, cfg->pci64_base);
    patch(t, len, "P64L", 8, cfg->pci64_size);
    patch(t, len, "ECMB", 4, cfg->ecam_base);
    patch(t, len, "ECML", 4, cfg->ecam_base != 0 ? LAYOUT_ECAM_SIZE : 0);
}

static uint8_t *put_dsdt(struct area *a)
{
    static const char names[4][5] = {"IRQA", "IRQB", "IRQC", "IRQD"};
    const struct acpi_config *cfg = a->cfg;
    const uint32_t len = sizeof(dsdt_aml_code);
    uint8_t *t = take(a, len, 64);

    memcpy(t, dsdt_aml_code, len);
    patch_windows(t, len, cfg);
    patch(t, len, "LPCA", 4, cfg->lpc_slot << 16);
    patch(t, len, "ROTA", 4, cfg->intx_shift);
    patch(t, len, "LPTP", 4, cfg->lpt);
    patch(t, len, "TPMP", 4, cfg->tpm);
    patch(t, len, "OSCN", 4, cfg->hot_plug ? OSC_HOT_PLUG | OSC_CAPABILITY : 0);
    for (unsigned i = 0; i < 4; i++)
        patch(t, len, names[i], 4, cfg->pic_irq[i]);
    finish(t);
    return t;
}

/* --- FADT, 5.2.9 --- */

enum fadt {
    FADT_LEN = 276,
    FADT_FACS = 36,
    FADT_DSDT = 40,
    FADT_SCI_INT = 46,
    FADT_PM1A_EVT = 56,
    FADT_PM1A_CNT = 64,
    FADT_PM_TMR = 76,
    FADT_GPE0 = 80,
    FADT_PM1_EVT_LEN = 88,
    FADT_PM1_CNT_LEN = 89,
    FADT_PM_TMR_LEN = 91,
    FADT_GPE0_LEN = 92,
    FADT_C2_LATENCY = 96,
    FADT_C3_LATENCY = 98,
    FADT_CENTURY = 108,
    FADT_BOOT_ARCH = 109,
    FADT_FLAGS = 112,
    FADT_RESET_REG = 116,
    FADT_RESET_VALUE = 128,
    FADT_MINOR = 131,
    FADT_X_FACS = 132,
    FADT_X_DSDT = 140,
    FADT_X_PM1A_EVT = 148,
    FADT_X_PM1A_CNT = 172,
    FADT_X_PM_TMR = 208,
    FADT_X_GPE0 = 220,
};

/* Generic address, 5.2.3.2, in port space. access: 1 byte, 2 word, 3 dword. */
static void put_gas(uint8_t *p, uint16_t port, uint8_t bits, uint8_t access)
{
    p[0] = 1;
    p[1] = bits;
    p[2] = 0;
    p[3] = access;
    st_le64(p + 4, port);
}

/* It comes first: ACPI_FACS_ADDR. */
static uint8_t *put_facs(struct area *a)
{
    uint8_t *t = take(a, 64, 64);

    memset(t, 0, 64);
    memcpy(t, "FACS", 4);
    st_le32(t + 4, 64);
    t[32] = 2;
    return t;
}

static void put_pm_blocks(uint8_t *t)
{
    st_le32(t + FADT_PM1A_EVT, ACPI_PM_BASE + ACPI_PM1_EVT);
    st_le32(t + FADT_PM1A_CNT, ACPI_PM_BASE + ACPI_PM1_CNT);
    st_le32(t + FADT_PM_TMR, ACPI_PM_BASE + ACPI_PM_TMR);
    st_le32(t + FADT_GPE0, ACPI_PM_BASE + ACPI_PM_GPE0);
    t[FADT_PM1_EVT_LEN] = 4;
    t[FADT_PM1_CNT_LEN] = 2;
    t[FADT_PM_TMR_LEN] = 4;
    t[FADT_GPE0_LEN] = ACPI_PM_GPE0_LEN;
    put_gas(t + FADT_X_PM1A_EVT, ACPI_PM_BASE + ACPI_PM1_EVT, 32, 2);
    put_gas(t + FADT_X_PM1A_CNT, ACPI_PM_BASE + ACPI_PM1_CNT, 16, 2);
    put_gas(t + FADT_X_PM_TMR, ACPI_PM_BASE + ACPI_PM_TMR, 32, 3);
    put_gas(t + FADT_X_GPE0, ACPI_PM_BASE + ACPI_PM_GPE0, ACPI_PM_GPE0_LEN * 8, 1);
}

static uint8_t *put_fadt(struct area *a, const uint8_t *facs, const uint8_t *dsdt)
{
    enum {
        WBINVD = 1 << 0,
        PROC_C1 = 1 << 2,
        NO_SLEEP_BUTTON = 1 << 5,
        TMR_VAL_EXT = 1 << 8,
        RESET_REG_SUP = 1 << 10,
    };
    enum { LEGACY_DEVICES = 1 << 0, KBD_8042 = 1 << 1, NO_VGA = 1 << 2 };
    uint8_t *t = table(a, "FACP", 6, FADT_LEN);

    put_pointer(a, t + FADT_FACS, 4, facs);
    put_pointer(a, t + FADT_DSDT, 4, dsdt);
    put_pointer(a, t + FADT_X_DSDT, 8, dsdt);
    st_le16(t + FADT_SCI_INT, ACPI_PM_SCI);
    put_pm_blocks(t);
    st_le16(t + FADT_C2_LATENCY, 0xfff); /* there is no C2, */
    st_le16(t + FADT_C3_LATENCY, 0xfff); /* no C3 */
    t[FADT_CENTURY] = RTC_CENTURY;
    st_le16(t + FADT_BOOT_ARCH, (uint16_t)(LEGACY_DEVICES | KBD_8042 | (a->cfg->vga ? 0 : NO_VGA)));
    st_le32(t + FADT_FLAGS, WBINVD | PROC_C1 | NO_SLEEP_BUTTON | TMR_VAL_EXT | RESET_REG_SUP);
    put_gas(t + FADT_RESET_REG, 0xcf9, 8, 1);
    t[FADT_RESET_VALUE] = 6;
    t[FADT_MINOR] = 4;
    finish(t);
    return t;
}

/* --- MADT, 5.2.12 --- */

static uint8_t *madt_override(uint8_t *p, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    p[0] = 2;
    p[1] = 10;
    p[2] = 0;
    p[3] = irq;
    st_le32(p + 4, gsi);
    st_le16(p + 8, flags);
    return p + 10;
}

static uint8_t *madt_cpus(uint8_t *p, unsigned vcpus)
{
    for (unsigned i = 0; i < vcpus; i++, p += 8) {
        p[0] = 0;
        p[1] = 8;
        p[2] = (uint8_t)i;
        p[3] = (uint8_t)i;
        st_le32(p + 4, 1); /* enabled */
    }
    return p;
}

static uint8_t *put_madt(struct area *a, unsigned vcpus)
{
    enum { PCAT_COMPAT = 1, LEVEL_HIGH = 0xd };
    uint8_t *t = table(a, "APIC", 5, HEADER + 8 + vcpus * 8 + 12 + 10 + 10 + 6);
    uint8_t *p = t + HEADER;

    st_le32(p, APIC_MMIO_BASE);
    st_le32(p + 4, PCAT_COMPAT);
    p = madt_cpus(p + 8, vcpus);
    p[0] = 1; /* I/O APIC 0, GSI 0 and up */
    p[1] = 12;
    st_le32(p + 4, IOAPIC_MMIO_BASE);
    p = madt_override(p + 12, 0, 2, 0);
    p = madt_override(p, ACPI_PM_SCI, ACPI_PM_SCI, LEVEL_HIGH);
    p[0] = 4; /* NMI: LINT1 of all processors */
    p[1] = 6;
    p[2] = 0xff;
    p[5] = 1;
    finish(t);
    return t;
}

/* --- others --- */

/* PCI Firmware specification 3.0, 4.1.2. */
static uint8_t *put_mcfg(struct area *a)
{
    uint8_t *t = table(a, "MCFG", 1, HEADER + 8 + 16);

    st_le64(t + HEADER + 8, a->cfg->ecam_base);
    t[HEADER + 8 + 11] = LAYOUT_ECAM_BUSES - 1;
    finish(t);
    return t;
}

/* IA-PC HPET specification 1.0a, 3.2.4. */
static uint8_t *put_hpet(struct area *a)
{
    uint8_t *t = table(a, "HPET", 1, HEADER + 20);

    st_le32(t + HEADER, HPET_BLOCK_ID);
    st_le64(t + HEADER + 8, HPET_MMIO_BASE);
    finish(t);
    return t;
}

/* TCG ACPI Specification 1.2, 7.3: its interface is that of TIS, and there is no log. */
static uint8_t *put_tpm2(struct area *a)
{
    enum { CLIENT = 0, START_TIS = 6 };
    uint8_t *t = table(a, "TPM2", 4, HEADER + 16);

    st_le16(t + HEADER, CLIENT);
    st_le32(t + HEADER + 12, START_TIS);
    finish(t);
    return t;
}

/* 5.2.5.3, without checksums. */
static void put_rsdp(uint8_t *rsdp, gpa_t rsdt, gpa_t xsdt)
{
    memset(rsdp, 0, ACPI_RSDP_SIZE);
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "DOPPEL", 6);
    rsdp[15] = 2;
    st_le32(rsdp + 16, (uint32_t)rsdt);
    st_le32(rsdp + 20, ACPI_RSDP_SIZE);
    st_le64(rsdp + 24, xsdt);
}

/* All tables; what the roots are is told last. */
struct tables {
    uint8_t *fadt, *rsdt, *xsdt;
};

static struct tables build(struct area *a)
{
    uint8_t *list[TABLES], *facs = put_facs(a), *dsdt = put_dsdt(a);
    struct tables t;
    unsigned n = 0;

    list[n++] = t.fadt = put_fadt(a, facs, dsdt);
    list[n++] = put_madt(a, a->cfg->vcpus);
    list[n++] = put_hpet(a);
    if (a->cfg->ecam_base != 0)
        list[n++] = put_mcfg(a);
    if (a->cfg->tpm)
        list[n++] = put_tpm2(a);
    t.rsdt = table(a, "RSDT", 1, HEADER + n * 4);
    t.xsdt = table(a, "XSDT", 1, HEADER + n * 8);
    for (unsigned i = 0; i < n; i++) {
        put_pointer(a, t.rsdt + HEADER + i * 4, 4, list[i]);
        put_pointer(a, t.xsdt + HEADER + i * 8, 8, list[i]);
    }
    finish(t.rsdt);
    finish(t.xsdt);
    return t;
}

static int begin(const struct acpi_config *cfg, gpa_t base, struct area **out, struct err *e)
{
    if (cfg->vcpus > 255) /* an 8-bit APIC id each; more than that would not fit either */
        return err_set(e, EINVAL, "the ACPI tables cannot describe %u CPUs", cfg->vcpus);
    *out = calloc(1, sizeof(**out));
    if (*out == NULL)
        return err_set(e, ENOMEM, "out of memory");
    (*out)->cfg = cfg;
    (*out)->base = base;
    return 0;
}

int acpi_write(const struct acpi_config *cfg, struct ram *ram, struct err *e)
{
    uint8_t rsdp[ACPI_RSDP_SIZE];
    struct area *a;
    struct tables t;
    int rc = begin(cfg, LAYOUT_ACPI_BASE + ACPI_RSDP_ROOM, &a, e);

    if (rc < 0)
        return rc;
    t = build(a);
    put_rsdp(rsdp, gpa_of(a, t.rsdt), gpa_of(a, t.xsdt));
    rsdp[8] = byte_checksum(rsdp, 20);
    rsdp[32] = byte_checksum(rsdp, ACPI_RSDP_SIZE);
    if (a->full)
        rc = err_set(e, ENOSPC, "the ACPI tables for %u CPUs do not fit", cfg->vcpus);
    else
        rc = ram_load(ram, a->base, a->mem, a->at);
    if (rc == 0)
        rc = ram_load(ram, ACPI_RSDP_ADDR, rsdp, sizeof(rsdp));
    free(a);
    return rc;
}

/* --- for firmware --- */

/* A command of the loader, 128 bytes: QEMU docs/specs/ describes it by its header files; EDK II's
 * OvmfPkg/Include/IndustryStandard/QemuLoader.h is the firmware's side. */
enum loader { LOADER_ALLOCATE = 1, LOADER_POINTER = 2, LOADER_CHECKSUM = 3, LOADER_SIZE = 128 };
enum { LOADER_HIGH = 1, LOADER_FSEG = 2, LOADER_NAME = 56 };

static uint8_t *command(struct acpi_blobs *b, uint32_t what, const char *file)
{
    uint8_t *p = b->loader + b->loader_len;

    b->loader_len += LOADER_SIZE;
    st_le32(p, what);
    strncpy((char *)p + 4, file, LOADER_NAME - 1);
    return p + 4 + LOADER_NAME;
}

static void load(struct acpi_blobs *b, const char *file, uint32_t align, uint8_t zone)
{
    uint8_t *p = command(b, LOADER_ALLOCATE, file);

    st_le32(p, align);
    p[4] = zone;
}

static void relocate(struct acpi_blobs *b, const char *file, uint32_t at, uint8_t size)
{
    uint8_t *p = command(b, LOADER_POINTER, file);

    strncpy((char *)p, ACPI_FILE_TABLES, LOADER_NAME - 1);
    st_le32(p + LOADER_NAME, at);
    p[LOADER_NAME + 4] = size;
}

/* The byte at start + `at` makes the sum of `len` bytes 0. */
static void checksum(struct acpi_blobs *b, const char *file, uint32_t start, uint32_t at,
                     uint32_t len)
{
    uint8_t *p = command(b, LOADER_CHECKSUM, file);

    st_le32(p, start + at);
    st_le32(p + 4, start);
    st_le32(p + 8, len);
}

static void checksum_table(struct acpi_blobs *b, const struct area *a, uint8_t *t)
{
    t[9] = 0;
    checksum(b, ACPI_FILE_TABLES, (uint32_t)(t - a->mem), 9, ld_le32(t + 4));
}

_Static_assert((2 + POINTERS + 2 + 3 + 2) * LOADER_SIZE <= ACPI_LOADER_MAX, "all commands fit");

int acpi_build(const struct acpi_config *cfg, struct acpi_blobs *b, struct err *e)
{
    struct area *a;
    struct tables t;
    int rc = begin(cfg, 0, &a, e);

    if (rc < 0)
        return rc;
    memset(b, 0, sizeof(*b));
    t = build(a);
    if (a->full)
        rc = err_set(e, ENOSPC, "the ACPI tables for %u CPUs do not fit", cfg->vcpus);
    put_rsdp(b->rsdp, gpa_of(a, t.rsdt), gpa_of(a, t.xsdt));
    load(b, ACPI_FILE_RSDP, 16, LOADER_FSEG);
    load(b, ACPI_FILE_TABLES, 64, LOADER_HIGH);
    for (unsigned i = 0; i < a->pointers; i++)
        relocate(b, ACPI_FILE_TABLES, a->pointer[i].at, a->pointer[i].size);
    checksum_table(b, a, t.fadt);
    checksum_table(b, a, t.rsdt);
    checksum_table(b, a, t.xsdt);
    relocate(b, ACPI_FILE_RSDP, 16, 4);
    relocate(b, ACPI_FILE_RSDP, 24, 8);
    checksum(b, ACPI_FILE_RSDP, 0, 8, 20);
    checksum(b, ACPI_FILE_RSDP, 0, 32, ACPI_RSDP_SIZE);
    memcpy(b->tables, a->mem, a->at);
    free(a);
    return rc;
}
