/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SCSI adapters in the generic suite: a disk and a CD-ROM drive each, with commands under way. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "buslogic_driver.h"
#include "dev/scsi/buslogic.h"
#include "dev/virtio/virtio_scsi.h"
#include "suite.h"
#include "temp_disk.h"
#include "virtio_driver.h"

#define DEVFN PCI_DEVFN(3, 0)
#define DISK_SIZE (256 << 10)

static void finish(struct suite_env *env)
{
    temp_drives_close(env->extra);
}

static void on_eject(void *opaque, const struct scsi_unit *u)
{
    suite_activity(opaque);
}

/* --- virtio --- */

#define RINGS 0x10000u
#define BUFFERS 0x100000u
#define COUNT 16u
#define BARS_SIZE 0x100000u

static int create_virtio(struct suite_env *env, struct device *dev)
{
    struct temp_drives *x = temp_drives(DISK_SIZE);
    const struct virtio_scsi_config cfg = {
        .place = {.bus = suite_pci(env), .devfn = DEVFN, .ram = env->ram, .loop = env->loop},
        .queues = 2,
        .ejected = on_eject,
        .opaque = env};
    int rc = virtio_scsi_create(&cfg, dev, NULL);

    env->extra = x;
    if (rc == 0)
        rc = virtio_scsi_add(dev->self, 0, SCSI_DISK, x->disk, NULL);
    return rc == 0 ? virtio_scsi_add(dev->self, 1, SCSI_CDROM, x->cd, NULL) : rc;
}

static void add_requests(struct suite_env *env, struct drv_ring *r, unsigned queue)
{
    bool kick;

    for (unsigned i = 0; i < COUNT / 2; i++) {
        uint32_t at = BUFFERS + queue * 0x20000 + i * 0x2000;
        const struct drv_seg s[] = {
            {at, 51, false}, {at + 0x100, 108, true}, {at + 0x1000, 2048, true}};
        uint8_t request[51] = {1, i % 2};

        request[19] = 0x28;
        request[19 + 5] = (uint8_t)i;
        request[19 + 8] = i % 2 ? 1 : 4;
        if (ram_write(env->ram, at, request, sizeof(request)) < 0)
            abort();
        drv_add(r, s, 3, &kick);
    }
}

/* Reads in both request queues, a reset in the control queue, room for an event. */
static void busy_virtio(struct suite_env *env, struct device *dev)
{
    static const struct drv_seg control[] = {{BUFFERS, 24, false}, {BUFFERS + 0x40, 1, true}};
    static const struct drv_seg event = {BUFFERS + 0x80, 16, true};
    uint8_t *mem = ram_ptr(env->ram, 0, SUITE_RAM_SIZE, true);
    struct drv_ring rings[4];
    struct drv_dev d;
    gpa_t at = RINGS;
    bool kick;

    suite_place(env, DEVFN);
    drv_begin(&d, env->ports, env->mmio, DEVFN);
    for (unsigned q = 0; q < 4; q++) {
        at = drv_ring_init(&rings[q], mem, at, COUNT, false, false, true);
        drv_enable_queue(&d, q, &rings[q], 0);
    }
    memset(mem + BUFFERS, 0, 24);
    mem[BUFFERS + 4] = 5; /* reset unit 0 of target 0 */
    mem[BUFFERS + 8] = 1;
    drv_add(&rings[0], control, 2, &kick);
    drv_add(&rings[1], &event, 1, &kick);
    add_requests(env, &rings[2], 2);
    add_requests(env, &rings[3], 3);
    drv_ok(&d);
    for (unsigned q = 4; q-- > 0;)
        drv_kick(&d, q);
    virtio_scsi_resized(dev->self, ((struct temp_drives *)env->extra)->disk);
}

const struct suite_class suite_virtio_scsi = {
    .name = "virtio-scsi",
    .create = create_virtio,
    .finish = finish,
    .busy = busy_virtio,
    .ranges = {{false, 0xcf8, 8},
               {true, SUITE_WINDOW, BARS_SIZE},
               {true, SUITE_WINDOW, 0x40},
               {true, SUITE_ECAM + (DEVFN << 12), 4096}},
};

/* --- BusLogic --- */

static int create_buslogic(struct suite_env *env, struct device *dev)
{
    struct temp_drives *x = temp_drives(DISK_SIZE);
    const struct buslogic_config cfg = {.bus = suite_pci(env),
                                        .devfn = DEVFN,
                                        .ram = env->ram,
                                        .loop = env->loop,
                                        .ejected = on_eject,
                                        .opaque = env};
    int rc = buslogic_create(&cfg, dev, NULL);

    env->extra = x;
    if (rc == 0)
        rc = buslogic_add(dev->self, 0, SCSI_DISK, x->disk, NULL);
    return rc == 0 ? buslogic_add(dev->self, 1, SCSI_CDROM, x->cd, NULL) : rc;
}

/* Reads of both drives in all mailboxes, more than there is room to tell of. */
static void busy_buslogic(struct suite_env *env, struct device *dev)
{
    struct bld d;

    bld_find(&d, env, DEVFN);
    bld_start(&d, true, 8);
    for (unsigned i = 0; i < 8; i++) {
        struct bld_ccb c = {.opcode = 3,
                            .target = (uint8_t)(i % 2),
                            .data = BUFFERS + i * 0x2000,
                            .len = 2048,
                            .cdb_len = 10,
                            .cdb = {0x28, 0, 0, 0, 0, (uint8_t)i, 0, 0, i % 2 ? 1 : 4}};

        bld_submit(&d, &c);
    }
}

const struct suite_class suite_buslogic = {
    .name = "buslogic",
    .create = create_buslogic,
    .finish = finish,
    .busy = busy_buslogic,
    .ranges = {{false, 0xcf8, 8},
               {false, SUITE_PORTS, 32},
               {true, SUITE_WINDOW, 32},
               {true, SUITE_ECAM + (DEVFN << 12), 4096}},
};
