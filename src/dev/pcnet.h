/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The AMD PCnet-PCI II (Am79C970A), the network card of older virtual machines and of many systems
 * from before 2005: chip/pcnet_chip.h on PCI, with DMA and a cable.
 *
 * Its driver tells it of frames to be sent (TDMD). It is not told of new receive buffers: while a
 * frame waits for one, it looks when the driver touches its registers, and once a millisecond.
 */
#ifndef DOPPEL_DEV_PCNET_H
#define DOPPEL_DEV_PCNET_H

#include "dev/nic.h"

int pcnet_create(const struct nic_config *cfg, struct device *out, struct err *e) MUST_CHECK;

#endif
