/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host bridges of the boards as PCI functions: 440FX (82441FX data sheet, 290549) and Q35
 * (Intel 3 Series Express Chipset Family data sheet, 316966). What they decide about memory is told
 * to the board: the programmable attributes of the area below 1 MB (PAM, 440FX 3.2.13, Q35 5.1.16),
 * and the Q35's place of ECAM (PCIEXBAR, 5.1.15).
 */
#ifndef DOPPEL_DEV_HOST_BRIDGE_H
#define DOPPEL_DEV_HOST_BRIDGE_H

#include "bus/pci.h"
#include "dev/device.h"

enum host_bridge_kind { HOST_BRIDGE_440FX, HOST_BRIDGE_Q35 };

/* Segments of PAM: 16 KB each from c0000 on, the last one the 64 KB at f0000. */
#define HOST_BRIDGE_SEGMENTS 13
enum { PAM_READ = 1, PAM_WRITE = 2 }; /* memory, not the bus, answers reads and takes writes */

static inline uint32_t host_bridge_segment_base(unsigned segment)
{
    return 0xc0000u + segment * 0x4000u;
}

static inline uint32_t host_bridge_segment_size(unsigned segment)
{
    return segment == HOST_BRIDGE_SEGMENTS - 1 ? 0x10000u : 0x4000u;
}

struct host_bridge_config {
    struct pci_bus *bus;
    enum host_bridge_kind kind;
    /* On the thread of the access or of reset and restore, with no lock held; only on changes. */
    void (*pam)(void *opaque, const uint8_t attributes[HOST_BRIDGE_SEGMENTS]);
    void (*ecam)(void *opaque, uint64_t base, unsigned buses); /* buses 0: none; Q35 */
    void *opaque;
};

/* In slot 0 of `bus`. */
int host_bridge_create(const struct host_bridge_config *cfg, struct device *out,
                       struct err *e) MUST_CHECK;

/* What firmware does where there is none: all of the area is memory, ECAM is at `ecam`. */
void host_bridge_program(const struct device *d, uint64_t ecam);

#endif
