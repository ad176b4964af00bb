/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MC146818 real-time clock with 128 bytes of CMOS memory at ports 0x70/0x71, IRQ 8. The time is
 * the host's UTC plus what the guest set. Motorola MC146818A data sheet.
 */
#ifndef DOPPEL_DEV_RTC_H
#define DOPPEL_DEV_RTC_H

#include <stdint.h>

#include "bus/bus.h"
#include "bus/pin.h"
#include "dev/device.h"
#include "loop/loop.h"

#define RTC_IRQ 8
#define RTC_CENTURY 0x32 /* CMOS index of the century, for the FADT */

struct rtc_config {
    struct loop *loop;
    struct vclock *clock;
    struct pin irq; /* IRQ 8, through hpet_isa_in when there is an HPET */
    /* Nanoseconds since 1970, UTC. NULL: the host's clock. Any thread; must not call back. */
    int64_t (*utc_ns)(void *opaque);
    void *opaque;
};

struct rtc;

int rtc_create(const struct rtc_config *cfg, struct rtc **out) MUST_CHECK;
struct device rtc_device(struct rtc *r);
int rtc_map(struct rtc *r, struct bus *ports) MUST_CHECK;

/* Contents of the CMOS memory that the board provides; kept across reset. Before the machine runs.
 * index 0x0e - 0x7f. */
void rtc_set_cmos(struct rtc *r, unsigned index, uint8_t value);
/* The memory size where SeaBIOS looks for it: 0x15-0x18, 0x30/0x31, 0x34/0x35, 0x5b-0x5d. */
void rtc_set_memory(struct rtc *r, uint64_t below_4g, uint64_t above_4g);

#endif
