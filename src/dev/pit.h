/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8254 interval timer of a PC at ports 0x40-0x43, and port 0x61 (gate of counter 2, speaker
 * data, refresh toggle, OUT2). Counter 0 drives IRQ 0. Intel 8254 data sheet.
 */
#ifndef DOPPEL_DEV_PIT_H
#define DOPPEL_DEV_PIT_H

#include "bus/bus.h"
#include "bus/pin.h"
#include "dev/device.h"
#include "loop/loop.h"

#define PIT_HZ 1193182

struct pit_config {
    struct loop *loop;
    struct vclock *clock;
    struct pin irq; /* OUT0: IRQ 0, through hpet_isa_in when there is an HPET */
};

struct pit;

int pit_create(const struct pit_config *cfg, struct pit **out) MUST_CHECK;
struct device pit_device(struct pit *p);
int pit_map(struct pit *p, struct bus *ports) MUST_CHECK;

#endif
