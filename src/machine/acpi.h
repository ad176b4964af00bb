/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI tables of the board (ACPI 6.4): RSDP, RSDT, XSDT, FADT with FACS and DSDT, MADT, MCFG,
 * HPET. They fill [LAYOUT_ACPI_BASE, LAYOUT_ACPI_END); the RSDP comes first, where a guest that
 * scans for it looks.
 */
#ifndef DOPPEL_MACHINE_ACPI_H
#define DOPPEL_MACHINE_ACPI_H

#include "base/err.h"
#include "machine/layout.h"

#define ACPI_RSDP_ADDR LAYOUT_ACPI_BASE

/* Writes all tables into RAM. */
int acpi_write(const struct layout *l, unsigned vcpus, struct ram *ram, struct err *e) MUST_CHECK;

#endif
