/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The AC'97 controller of an ICH as a PCI function: BAR 0 the codec, BAR 1 the bus masters, INTA.
 * What is played goes to a struct sound_out at the pace of the machine's clock; what is recorded is
 * silence. Samples move on the loop, which is the main thread's.
 */
#ifndef DOPPEL_DEV_SOUND_AC97_H
#define DOPPEL_DEV_SOUND_AC97_H

#include "bus/pci.h"
#include "dev/device.h"
#include "dev/sound/sound.h"
#include "loop/loop.h"
#include "mem/ram.h"

struct ac97_config {
    struct pci_bus *bus;
    unsigned devfn;
    struct ram *ram;
    struct loop *loop;
    struct vclock *clock;
    struct sound_out out;
};

int ac97_create(const struct ac97_config *cfg, struct device *out, struct err *e) MUST_CHECK;

#endif
