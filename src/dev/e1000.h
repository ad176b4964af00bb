/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Intel 82540EM ("PRO/1000 MT Desktop"), a network card that every operating system of the last
 * twenty years has a driver for: chip/e1000_chip.h on PCI, with DMA and a cable.
 */
#ifndef DOPPEL_DEV_E1000_H
#define DOPPEL_DEV_E1000_H

#include "dev/nic.h"

int e1000_create(const struct nic_config *cfg, struct device *out, struct err *e) MUST_CHECK;

#endif
