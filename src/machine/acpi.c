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

enum { AREA = LAYOUT_ACPI_END - LAYOUT_ACPI_BASE, HEADER = 36, TABLES = 4 };

/* The area being filled. `at` never leaves it: `full` is set instead and writes go to the start,
 * which is then not used. */
struct area {
    uint8_t mem[AREA];
    uint32_t at;
    bool full;
};

static gpa_t gpa_of(const struct area *a, const uint8_t *p)
{
    return LAYOUT_ACPI_BASE + (gpa_t)(p - a->mem);
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

static uint8_t sum(const uint8_t *p, uint32_t len)
{
    uint8_t s = 0;

    while (len-- > 0)
        s = (uint8_t)(s + *p++);
    return s;
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
    t[9] = (uint8_t)-sum(t, ld_le32(t + 4));
}

/* --- DSDT --- */

/* Sets a QWord that the DSDT declares by name: NameOp (08), the name, QWordPrefix (0e), value. */
static void patch_qword(uint8_t *dsdt, uint32_t len, const char *name, uint64_t value)
{
    uint8_t pattern[6] = {0x08, 0, 0, 0, 0, 0x0e};
    uint8_t *p;

    memcpy(pattern + 1, name, 4);
    p = memmem(dsdt, len, pattern, sizeof(pattern));
    if (p != NULL)
        st_le64(p + sizeof(pattern), value);
}

static uint8_t *put_dsdt(struct area *a, const struct layout *l)
{
    const uint32_t len = sizeof(dsdt_aml_code);
    uint8_t *t = take(a, len, 64);

    memcpy(t, dsdt_aml_code, len);
    patch_qword(t, len, "P64B", l->pci64_base);
    patch_qword(t, len, "P64L", l->pci64_size);
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

static uint8_t *put_fadt(struct area *a, gpa_t facs, gpa_t dsdt)
{
    enum {
        WBINVD = 1 << 0,
        PROC_C1 = 1 << 2,
        NO_SLEEP_BUTTON = 1 << 5,
        NO_RTC_WAKE = 1 << 6,
        TMR_VAL_EXT = 1 << 8,
        RESET_REG_SUP = 1 << 10,
    };
    enum { LEGACY_DEVICES = 1 << 0, KBD_8042 = 1 << 1, NO_VGA = 1 << 2 };
    uint8_t *t = table(a, "FACP", 6, FADT_LEN);

    st_le32(t + FADT_FACS, (uint32_t)facs);
    st_le32(t + FADT_DSDT, (uint32_t)dsdt);
    st_le64(t + FADT_X_DSDT, dsdt);
    st_le16(t + FADT_SCI_INT, ACPI_PM_SCI);
    put_pm_blocks(t);
    st_le16(t + FADT_C2_LATENCY, 0xfff); /* there is no C2, */
    st_le16(t + FADT_C3_LATENCY, 0xfff); /* no C3 */
    t[FADT_CENTURY] = RTC_CENTURY;
    st_le16(t + FADT_BOOT_ARCH, LEGACY_DEVICES | KBD_8042 | NO_VGA);
    st_le32(t + FADT_FLAGS,
            WBINVD | PROC_C1 | NO_SLEEP_BUTTON | NO_RTC_WAKE | TMR_VAL_EXT | RESET_REG_SUP);
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

    st_le64(t + HEADER + 8, LAYOUT_ECAM_BASE);
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

static void put_roots(struct area *a, uint8_t *rsdp, uint8_t *const tables[TABLES])
{
    uint8_t *rsdt = table(a, "RSDT", 1, HEADER + TABLES * 4);
    uint8_t *xsdt = table(a, "XSDT", 1, HEADER + TABLES * 8);

    for (unsigned i = 0; i < TABLES; i++) {
        st_le32(rsdt + HEADER + i * 4, (uint32_t)gpa_of(a, tables[i]));
        st_le64(xsdt + HEADER + i * 8, gpa_of(a, tables[i]));
    }
    finish(rsdt);
    finish(xsdt);
    memset(rsdp, 0, 36); /* 5.2.5.3 */
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "DOPPEL", 6);
    rsdp[15] = 2;
    st_le32(rsdp + 16, (uint32_t)gpa_of(a, rsdt));
    st_le32(rsdp + 20, 36);
    st_le64(rsdp + 24, gpa_of(a, xsdt));
    rsdp[8] = (uint8_t)-sum(rsdp, 20);
    rsdp[32] = (uint8_t)-sum(rsdp, 36);
}

int acpi_write(const struct layout *l, unsigned vcpus, struct ram *ram, struct err *e)
{
    struct area *a;
    uint8_t *tables[TABLES], *rsdp, *facs, *dsdt;
    int rc;

    if (vcpus > 255) /* an 8-bit APIC id each; more than that would not fit either */
        return err_set(e, EINVAL, "the ACPI tables cannot describe %u CPUs", vcpus);
    a = calloc(1, sizeof(*a));
    if (a == NULL)
        return err_set(e, ENOMEM, "out of memory");
    rsdp = take(a, 36, 16);
    facs = put_facs(a);
    dsdt = put_dsdt(a, l);
    tables[0] = put_fadt(a, gpa_of(a, facs), gpa_of(a, dsdt));
    tables[1] = put_madt(a, vcpus);
    tables[2] = put_mcfg(a);
    tables[3] = put_hpet(a);
    put_roots(a, rsdp, tables);
    if (a->full)
        rc = err_set(e, ENOSPC, "the ACPI tables for %u CPUs do not fit", vcpus);
    else
        rc = ram_load(ram, LAYOUT_ACPI_BASE, a->mem, a->at);
    free(a);
    return rc;
}
