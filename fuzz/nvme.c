/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The NVMe controller with queues that a driver has made and commands that no driver sends: the
 * input is a row of commands, doorbells, pieces of memory (PRP lists, shadow doorbells, ranges),
 * register accesses, resets and pauses.
 */
#include "devices.h"

#include "../tests/device/nvme_driver.h"
#include "../tests/device/virtio_driver.h"

#define DEVFN PCI_DEVFN(3, 0) /* as in class_nvme.c */
#define LISTS 0x20000u        /* four pages for PRP lists and the like */
#define DATA 0x100000u
#define MEMORY 0x30000u /* below it is all that the input may have changed */

static void start(struct fuzz_device *f, struct nvd *d)
{
    memset(ram_ptr(f->env.ram, 0, MEMORY, true), 0, MEMORY);
    f->cls->busy(&f->env, &f->dev); /* BARs and bus mastering */
    suite_settle(&f->env);
    *d = (struct nvd){
        .mmio = f->env.mmio, .ram = f->env.ram, .bar = drv_bar(f->env.ports, DEVFN, 0)};
    bus_write(d->mmio, d->bar + 0x14, 0, 4);
    suite_settle(&f->env);
    nvd_enable(d);
    for (unsigned q = 1; q < 3; q++) {
        nvd_submit(d, 0, nvd_create_cq(q));
        nvd_submit(d, 0, nvd_create_sq(q));
    }
    suite_settle(&f->env);
}

/* Memory that a command names: lists, data, or anything. */
static uint64_t address(struct fuzz_input *in)
{
    uint8_t how = fuzz_u8(in);

    switch (how & 3) {
    case 0:
        return LISTS + (how >> 2 & 3) * 0x1000u + (how >> 4) * 8u;
    case 1:
        return DATA + (how >> 2) * 0x1000u;
    case 2:
        return fuzz_u32(in);
    default:
        return fuzz_take(in, 8);
    }
}

static struct nvd_command command(struct fuzz_input *in)
{
    struct nvd_command c = {.opcode = fuzz_u8(in), .flags = 0, .cid = fuzz_u8(in), .nsid = 1};
    uint8_t odd = fuzz_u8(in);

    if (odd & 1)
        c.nsid = fuzz_u32(in);
    if (odd & 2)
        c.flags = fuzz_u8(in);
    c.prp1 = address(in);
    c.prp2 = address(in);
    for (unsigned i = 0; i < 6; i++)
        c.cdw[i] = odd >> (2 + i) & 1 ? fuzz_u32(in) : fuzz_u8(in);
    return c;
}

static void step(struct fuzz_device *f, struct nvd *d, struct fuzz_input *in)
{
    struct nvd_completion e;
    uint8_t what = fuzz_u8(in);

    switch (what & 7) {
    case 0:
    case 1:
    case 2:
        nvd_submit(d, what & 7, command(in));
        break;
    case 3:
        fuzz_poke(f, in, LISTS + (what >> 3 & 3) * 0x1000u, 32);
        break;
    case 4:
        bus_write(d->mmio, d->bar + 0x1000 + (what >> 3) * 4u, fuzz_u16(in), 4);
        break;
    case 5:
        fuzz_access(f, in);
        break;
    case 6:
        fuzz_wait(f, what >> 3 == 1);
        break;
    default:
        (void)nvd_take(d, (what >> 3) % 3, &e);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct fuzz_device *f = fuzz_device_named("nvme");
    struct nvd d;

    start(f, &d);
    while (in.left > 0)
        step(f, &d, &in);
    suite_settle(&f->env);
    return 0;
}
