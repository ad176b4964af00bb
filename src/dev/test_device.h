/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What test kernels use to see ports, device memory and interrupt lines from the other side, at the
 * places that kvm-unit-tests and QEMU's pc-testdev agree on:
 *
 *   port e0 - e3         a register of 32 bits
 *   port e4 - e7         a write asks to unmap a page in the host: accepted, without effect
 *   ports 2000 - 2017    the level of an interrupt line, 0 or 1; write only
 *   ff000000 - ff00ffff  device memory: 64 KB that keep what is written
 */
#ifndef DOPPEL_DEV_TEST_DEVICE_H
#define DOPPEL_DEV_TEST_DEVICE_H

#include "bus/bus.h"
#include "bus/pin.h"
#include "dev/device.h"

#define TEST_DEVICE_PORT 0xe0
#define TEST_DEVICE_LINES_PORT 0x2000
#define TEST_DEVICE_LINES 24
#define TEST_DEVICE_MMIO 0xff000000u
#define TEST_DEVICE_MMIO_SIZE 0x10000u

struct test_device_config {
    struct pin lines; /* the first of TEST_DEVICE_LINES */
};

struct test_device;

int test_device_create(const struct test_device_config *cfg, struct test_device **out) MUST_CHECK;
struct device test_device_device(struct test_device *d);
int test_device_map(struct test_device *d, struct bus *ports, struct bus *mmio) MUST_CHECK;

#endif
