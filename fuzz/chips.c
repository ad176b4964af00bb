/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Register accesses of every kind to every device class, with resets and pauses in between. */
#include "devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct fuzz_device *d = fuzz_device(fuzz_u8(&in));
    while (in.left > 0) {
        switch (in.p[0]) {
        case 0xfc:
            d->dev.ops->reset(d->dev.self);
            fuzz_u8(&in);
            break;
        case 0xfd:
            suite_pause(&d->dev);
            suite_resume(&d->dev);
            fuzz_u8(&in);
            break;
        case 0xfe:
            suite_settle(&d->env);
            fuzz_u8(&in);
            break;
        default:
            fuzz_access(d, &in);
            break;
        }
    }
    suite_settle(&d->env);
    return 0;
}
