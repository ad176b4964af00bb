/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio SCSI host with commands that no driver sends: the input is a row of commands with any
 * CDB, of whatever sizes of data, in any queue, of task management, of changes of the medium, of
 * register accesses and pauses.
 */
#include "devices.h"

#include "../tests/device/virtio_driver.h"
#include "dev/virtio/virtio_scsi.h"

#define DEVFN PCI_DEVFN(3, 0) /* as in class_scsi.c */
#define RINGS 0x10000u
#define REQUEST 0x80000u
#define RESPONSE 0x81000u
#define DATA 0x100000u
#define ENTRIES 16u
#define QUEUES 4u

struct driver {
    struct fuzz_device *f;
    struct fuzz_input *in;
    struct drv_dev dev;
    struct drv_ring rings[QUEUES];
    uint8_t *mem;
};

/* What the drive has at first. */
static struct block_backend *medium;

static void close_tray(struct driver *d)
{
    struct scsi_unit *cd = virtio_scsi_unit(d->f->dev.self, 1);

    if (cd->backend == NULL)
        FUZZ_REQUIRE(scsi_unit_change(cd, medium) == 0);
    medium = cd->backend;
}

static void start(struct driver *d)
{
    gpa_t at = RINGS;

    close_tray(d);
    memset(d->mem, 0, DATA);
    suite_place(&d->f->env, DEVFN);
    drv_find(&d->dev, d->f->env.ports, d->f->env.mmio, DEVFN);
    bus_write(d->f->env.mmio, d->dev.regs + 0x14, 0, 1); /* the status */
    suite_settle(&d->f->env);
    drv_negotiate(&d->dev, DRV_SIMPLE);
    for (unsigned q = 0; q < QUEUES; q++) {
        at = drv_ring_init(&d->rings[q], d->mem, at, ENTRIES, false, false, true);
        drv_enable_queue(&d->dev, q, &d->rings[q], 0);
    }
    drv_ok(&d->dev);
    suite_settle(&d->f->env);
}

static void add(struct driver *d, unsigned queue, const struct drv_seg *s, unsigned n)
{
    uint32_t len;
    uint16_t id;
    bool kick;

    if (drv_add(&d->rings[queue], s, n, &kick) < 0) {
        suite_settle(&d->f->env);
        while (drv_used(&d->rings[queue], &id, &len))
            ;
        (void)!drv_add(&d->rings[queue], s, n, &kick);
    }
    drv_kick(&d->dev, queue);
}

/* A request header that mostly names a unit; the CDB is the input's. */
static void command(struct driver *d, uint8_t what)
{
    uint8_t *p = d->mem + REQUEST, odd = fuzz_u8(d->in);
    bool in = (what & 0x10) != 0;
    uint32_t len = (odd & 1) != 0 ? fuzz_u16(d->in) : fuzz_u8(d->in) * 512u;
    const struct drv_seg s[4] = {{REQUEST, (odd & 2) != 0 ? fuzz_u8(d->in) + 1u : 51, false},
                                 {in ? RESPONSE : DATA, in ? 108 : len + 1, in},
                                 {in ? DATA : RESPONSE, in ? len + 1 : 108, true}};

    memset(p, 0, 51);
    p[0] = (odd & 4) != 0 ? fuzz_u8(d->in) : 1;
    p[1] = (odd & 8) != 0 ? fuzz_u8(d->in) : what >> 5 & 1;
    p[3] = (odd & 16) != 0 ? fuzz_u8(d->in) : 0;
    for (unsigned i = 0; i < 16; i++)
        p[19 + i] = fuzz_u8(d->in);
    if (odd & 32)
        fuzz_poke(d->f, d->in, DATA, 64); /* parameters */
    add(d, 2 + (what >> 6 & 1), s, 3);
}

static void control(struct driver *d)
{
    const struct drv_seg s[2] = {{REQUEST, 24, false}, {RESPONSE, 5, true}};
    uint8_t *p = d->mem + REQUEST;

    memset(p, 0, 24);
    p[0] = fuzz_u8(d->in);
    p[4] = fuzz_u8(d->in) & 7;
    p[8] = 1;
    p[9] = fuzz_u8(d->in);
    add(d, 0, s, 2);
}

static void person(struct driver *d, uint8_t what)
{
    struct scsi_unit *disk = virtio_scsi_unit(d->f->dev.self, 0),
                     *cd = virtio_scsi_unit(d->f->dev.self, 1);
    const struct drv_seg event = {RESPONSE + 0x200, 16, true};

    switch (what >> 3 & 3) {
    case 0:
        FUZZ_REQUIRE(scsi_unit_change(cd, cd->backend != NULL ? NULL : medium) == 0);
        break;
    case 1:
        scsi_unit_request_eject(cd);
        break;
    case 2:
        virtio_scsi_resized(d->f->dev.self, disk->backend);
        break;
    default:
        add(d, 1, &event, 1);
        break;
    }
}

static void step(struct driver *d)
{
    uint8_t what = fuzz_u8(d->in);

    switch (what & 7) {
    case 0:
    case 1:
    case 2:
        command(d, what);
        break;
    case 3:
        control(d);
        break;
    case 4:
        person(d, what);
        break;
    case 5:
        fuzz_access(d->f, d->in);
        break;
    default:
        fuzz_wait(d->f, what >> 3 == 1);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input in = {bytes, size};
    struct driver d = {.f = fuzz_device_named("virtio-scsi"), .in = &in};

    d.mem = ram_ptr(d.f->env.ram, 0, SUITE_RAM_SIZE, true);
    start(&d);
    while (in.left > 0)
        step(&d);
    suite_settle(&d.f->env);
    return 0;
}
