/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI tables of the board (ACPI 6.4): RSDP, RSDT, XSDT, FADT with FACS and DSDT, MADT, HPET,
 * MCFG where there is ECAM and TPM2 where there is one.
 *
 * Without firmware they are written to [LAYOUT_ACPI_BASE, LAYOUT_ACPI_END); the RSDP comes first,
 * where a guest that scans for it looks. Firmware gets them through fw_cfg as blobs whose addresses
 * count from the start of the blob, and a list of commands how to place and link them.
 */
#ifndef DOPPEL_MACHINE_ACPI_H
#define DOPPEL_MACHINE_ACPI_H

#include "base/err.h"
#include "machine/layout.h"

#define ACPI_RSDP_ADDR LAYOUT_ACPI_BASE
#define ACPI_RSDP_SIZE 36
#define ACPI_RSDP_ROOM 64
#define ACPI_FACS_ADDR (LAYOUT_ACPI_BASE + ACPI_RSDP_ROOM) /* without firmware */

#define ACPI_FILE_RSDP "etc/acpi/rsdp"
#define ACPI_FILE_TABLES "etc/acpi/tables"
#define ACPI_FILE_LOADER "etc/table-loader"
#define ACPI_LOADER_MAX 4096

struct acpi_config {
    unsigned vcpus;
    uint64_t ecam_base;  /* 0: none */
    uint64_t pci32_base; /* the first address for PCI devices; ECAM may lie between */
    uint64_t pci64_base, pci64_size;
    uint32_t lpc_slot;   /* device << 16 | function of the bridge to the legacy devices */
    uint32_t intx_shift; /* pin p of slot s drives line (s + p + shift) % 4 */
    bool vga;            /* there may be one: the guest looks */
    bool tpm;            /* there is a TPM */
    bool hot_plug;       /* there are ports with slots for the guest to look after */
    bool lpt;            /* there is a parallel port */
    uint8_t pic_irq[4];  /* what the lines are for the 8259 */
};

/* Writes all tables into RAM. */
int acpi_write(const struct acpi_config *cfg, struct ram *ram, struct err *e) MUST_CHECK;

/* The files for firmware. Their sizes do not depend on the configuration's addresses. */
struct acpi_blobs {
    uint8_t rsdp[ACPI_RSDP_SIZE];
    uint8_t tables[LAYOUT_ACPI_END - LAYOUT_ACPI_BASE];
    uint8_t loader[ACPI_LOADER_MAX];
    uint32_t loader_len;
};
int acpi_build(const struct acpi_config *cfg, struct acpi_blobs *b, struct err *e) MUST_CHECK;

#endif
