/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every class of the generic device suite (tests/device/suite.h) for the fuzz targets: made when it
 * is first asked for, kept, and reset before each input.
 */
#ifndef DOPPEL_FUZZ_DEVICES_H
#define DOPPEL_FUZZ_DEVICES_H

#include "../tests/device/suite.h"
#include "fuzz.h"

struct fuzz_device {
    const struct suite_class *cls;
    struct suite_env env;
    struct device dev;
};

/* The device that `choice` stands for, in its reset state. */
struct fuzz_device *fuzz_device(uint8_t choice);
/* The one of that class. */
struct fuzz_device *fuzz_device_named(const char *name);
/* The next bytes of the input, at most `max`, to guest memory. */
void fuzz_poke(struct fuzz_device *d, struct fuzz_input *in, uint32_t gpa, unsigned max);
/* One access to one of the class's ranges, as the input says. */
void fuzz_access(struct fuzz_device *d, struct fuzz_input *in);
/* Lets everything happen that was posted; may then pause the device and let it go on. */
void fuzz_wait(struct fuzz_device *d, bool pause);

#endif
