/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SMBIOS 3.0 entry point and tables (DMTF DSP0134) at LAYOUT_SMBIOS_BASE. */
#ifndef DOPPEL_MACHINE_SMBIOS_H
#define DOPPEL_MACHINE_SMBIOS_H

#include "base/err.h"
#include "machine/layout.h"

struct smbios_config {
    const char *name; /* shown as the system's serial number; NULL: none */
    uint8_t uuid[16];
    unsigned vcpus;
};

int smbios_write(const struct smbios_config *cfg, const struct layout *l, struct ram *ram,
                 struct err *e) MUST_CHECK;

#endif
