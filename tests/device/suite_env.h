/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands around a device in tests and fuzz targets: RAM, a clock, a loop that the caller runs,
 * buses, and a PCI bus for those that want one. What cannot be made ends the program.
 */
#ifndef DOPPEL_TESTS_DEVICE_SUITE_ENV_H
#define DOPPEL_TESTS_DEVICE_SUITE_ENV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/pci.h"
#include "bus/pin.h"
#include "dev/device.h"
#include "loop/loop.h"
#include "mem/ram.h"

/* Where things are that suite_pci and suite_place put somewhere. */
#define SUITE_ECAM 0xb0000000u
#define SUITE_WINDOW 0xc0000000u
#define SUITE_WINDOW_SIZE 0x4000000u
#define SUITE_PORTS 0xc000u
#define SUITE_PORTS_SIZE 0x100u

struct suite_env {
    struct loop *loop;
    struct vclock *clock;
    struct ram *ram; /* from address 0 */
    struct bus *ports, *mmio;
    struct pci_bus *pci;  /* NULL before suite_pci */
    struct msi_sink msi;  /* counts as activity */
    struct pin intx;      /* of the PCI bus; likewise */
    atomic_uint activity; /* every call out of the device so far */
    void *extra;          /* the class's own: what create made besides the device */
};

void suite_env_init(struct suite_env *env, uint64_t ram_size);
void suite_env_finish(struct suite_env *env); /* the device is gone */

/* A pin whose changes count as activity. */
struct pin suite_pin(struct suite_env *env, unsigned line);
/* Every back-end callback of a class calls this. */
void suite_activity(struct suite_env *env);

/* Makes the PCI bus, with ECAM; its messages go to `msi`, all its lines to `intx`, which may have
 * been replaced. */
struct pci_bus *suite_pci(struct suite_env *env);
/* Gives all BARs a place in the window and the ports; the function decodes them and is a master. */
void suite_place(struct suite_env *env, unsigned devfn);

/* Runs the loop until everything has happened that was posted. */
void suite_settle(struct suite_env *env);

/* What a device need not have. */
void suite_pause(const struct device *d);
void suite_resume(const struct device *d);
void *suite_state_object(const struct device *d);

#endif
