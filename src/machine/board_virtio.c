/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtio devices of the board and the slots they sit in. */
#include <errno.h>
#include <stdio.h>

#include "dev/nvme/nvme.h"
#include "dev/virtio/virtio_blk.h"
#include "dev/virtio/virtio_console.h"
#include "dev/virtio/virtio_input.h"
#include "dev/virtio/virtio_rng.h"
#include "machine/machine_internal.h"

enum { SLOT_CONSOLE = 1, SLOT_RNG = 2, SLOT_DISKS = 4, SLOT_TABLET = 26 };

_Static_assert(SLOT_DISKS + MACHINE_MAX_DISKS <= SLOT_TABLET, "every disk has a slot");

/* On the 440FX board slot 1 is the bridge's. */
static unsigned slot_of(const struct machine *m, unsigned slot)
{
    return m->cfg.board == MACHINE_PC ? slot + 1 : slot;
}

/* BARs have no place before there is an engine, and after it. */
static int doorbell(void *opaque, uint64_t gpa, int fd, bool on)
{
    struct machine *m = opaque;

    return m->engine != NULL ? m->cfg.engine->doorbell(m->engine, gpa, fd, on) : -ENODEV;
}

struct virtio_place board_virtio_place(struct machine *m, unsigned devfn, struct loop *loop)
{
    return (struct virtio_place){
        .bus = m->pci,
        .devfn = devfn,
        .ram = m->ram,
        .loop = loop,
        .doorbells = {m->cfg.engine->doorbell != NULL ? doorbell : NULL, m}};
}

static struct virtio_place place(struct machine *m, unsigned slot, struct loop *loop)
{
    return board_virtio_place(m, PCI_DEVFN(slot_of(m, slot), 0), loop);
}

static void bootable(struct machine *m, char kind, const char *format, unsigned slot)
{
    char path[40];

    snprintf(path, sizeof(path), format, slot_of(m, slot));
    board_bootable(m, kind, path);
}

int board_create_rng(struct machine *m, struct err *e)
{
    const struct virtio_place at = place(m, SLOT_RNG, m->cfg.loop);
    struct device d;
    int rc = virtio_rng_create(&at, &d, e);

    return rc == 0 ? machine_own(m, d, e) : rc;
}

/* Beside a screen, unless it has a USB tablet. */
int board_create_tablet(struct machine *m, struct err *e)
{
    const struct virtio_place at = place(m, SLOT_TABLET, m->cfg.loop);
    struct device d;
    int rc;

    if (!m->cfg.vga || m->cfg.usb_tablet)
        return 0;
    rc = virtio_tablet_create(&at, &d, e);
    if (rc < 0)
        return rc;
    m->tablet = d.self;
    return machine_own(m, d, e);
}

int board_disk(struct machine *m, unsigned devfn, struct block_backend *b, struct loop *io,
               struct device *out, struct err *e)
{
    struct loop *const loops[] = {io};
    const struct virtio_blk_config cfg = {
        .place = board_virtio_place(m, devfn, io),
        .backend = b,
        .loops = loops,
        .loop_count = 1,
        .queues = m->cfg.vcpus < VIRTIO_BLK_MAX_QUEUES ? m->cfg.vcpus : VIRTIO_BLK_MAX_QUEUES};

    return virtio_blk_create(&cfg, out, e);
}

int board_nvme(struct machine *m, unsigned devfn, unsigned number, struct block_backend *b,
               struct loop *io, struct device *out, struct err *e)
{
    const struct nvme_config cfg = {
        .bus = m->pci, .devfn = devfn, .ram = m->ram, .backend = b, .loop = io, .number = number};

    return nvme_create(&cfg, out, e);
}

/* The next disk's slot. */
static int next_disk(const struct machine *m, unsigned *devfn, struct err *e)
{
    *devfn = PCI_DEVFN(slot_of(m, SLOT_DISKS + m->disks), 0);
    return m->disks == MACHINE_MAX_DISKS
               ? err_set(e, ENOSPC, "--disk: a machine has at most %d disks", MACHINE_MAX_DISKS)
               : 0;
}

int machine_add_disk(struct machine *m, struct block_backend *b, struct loop *io, struct err *e)
{
    unsigned devfn;
    struct device d;
    int rc = next_disk(m, &devfn, e);

    if (rc == 0)
        rc = board_disk(m, devfn, b, io, &d, e);
    if (rc < 0)
        return rc;
    bootable(m, 'c', "scsi@%x/disk@0,0", SLOT_DISKS + m->disks);
    m->disk[m->disks++] = d.self;
    return machine_own(m, d, e);
}

int machine_add_nvme(struct machine *m, struct block_backend *b, struct loop *io, struct err *e)
{
    unsigned devfn;
    struct device d;
    int rc = next_disk(m, &devfn, e);

    if (rc == 0)
        rc = board_nvme(m, devfn, m->disks, b, io, &d, e);
    if (rc < 0)
        return rc;
    /* Firmware knows the emulated controller by this name. */
    bootable(m, 'c', "pci8086,5845@%x/namespace@1,0", SLOT_DISKS + m->disks);
    m->disks++;
    return machine_own(m, d, e);
}

void machine_disk_resized(struct machine *m, const struct block_backend *b)
{
    for (unsigned i = 0; i < m->disks; i++)
        if (m->disk[i] != NULL)
            virtio_blk_resized(m->disk[i], b);
    board_scsi_resized(m, b);
    board_slots_resized(m, b);
}

int machine_add_console(struct machine *m, const struct machine_console *c, struct err *e)
{
    const struct virtio_console_config cfg = {.place = place(m, SLOT_CONSOLE, m->cfg.loop),
                                              .output = c->output,
                                              .input_ready = c->input_ready,
                                              .opaque = c->opaque};
    struct device d;
    int rc = virtio_console_create(&cfg, &d, e);

    if (rc < 0)
        return rc;
    rc = machine_own(m, d, e);
    if (rc == 0)
        m->console = d.self;
    return rc;
}

size_t machine_console_input(struct machine *m, const void *data, size_t len)
{
    return m->console != NULL ? virtio_console_input(m->console, data, len) : len;
}

void machine_console_output_ready(struct machine *m)
{
    if (m->console != NULL)
        virtio_console_output_ready(m->console);
}

void machine_console_resize(struct machine *m, uint16_t cols, uint16_t rows)
{
    if (m->console != NULL)
        virtio_console_resize(m->console, cols, rows);
}
