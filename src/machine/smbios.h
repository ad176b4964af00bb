/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SMBIOS tables (DMTF DSP0134): without firmware at LAYOUT_SMBIOS_BASE, with a 3.0 entry
 * point. */
#ifndef DOPPEL_MACHINE_SMBIOS_H
#define DOPPEL_MACHINE_SMBIOS_H

#include "base/err.h"
#include "machine/layout.h"
#include "x86/topology.h"

struct smbios_config {
    const char *name; /* shown as the system's serial number; NULL: none */
    uint8_t uuid[16];
    unsigned vcpus;
    struct x86_topology topology; /* all 0: flat */
};

int smbios_write(const struct smbios_config *cfg, const struct layout *l, struct ram *ram,
                 struct err *e) MUST_CHECK;

/* For firmware: the tables, and an SMBIOS 2.8 entry point without addresses and checksums, which
 * the firmware makes. */
struct smbios_blobs {
    uint8_t anchor[31];
    uint8_t tables[4096];
    uint32_t len;
};
int smbios_build(const struct smbios_config *cfg, const struct layout *l, struct smbios_blobs *b,
                 struct err *e) MUST_CHECK;

#endif
