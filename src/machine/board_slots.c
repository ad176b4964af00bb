/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Slots for cards that come and go: root ports of PCI Express, which the guest's own driver looks
 * after. A card belongs to its I/O loop, so it is made and destroyed there, while the machine is
 * paused: no vCPU is in its registers, and it has nothing under way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/pcie_port.h"
#include "dev/virtio/virtio_blk.h"
#include "machine/machine_internal.h"

static void on_spent(void *opaque)
{
    struct machine *m = opaque;

    m->cfg.hooks.card_off(m->cfg.hooks.opaque);
}

int board_create_slots(struct machine *m, struct err *e)
{
    for (unsigned i = 0; i < m->cfg.slots; i++) {
        struct machine_slot *s = &m->slot[i];
        struct pcie_port_config cfg = {
            .bus = m->pci, .number = i + 1, .spent = on_spent, .opaque = m};
        int rc;

        s->devfn = cfg.devfn = board_optional_devfn(m);
        rc = pcie_port_create(&cfg, &s->port, e);
        if (rc == 0)
            rc = machine_own(m, s->port, e);
        if (rc < 0)
            return rc;
        m->slots++;
    }
    return 0;
}

void board_slots_resized(struct machine *m, const struct block_backend *b)
{
    for (unsigned i = 0; i < m->slots; i++)
        if (m->slot[i].card.ops != NULL && m->slot[i].what.kind == MACHINE_CARD_DISK)
            virtio_blk_resized(m->slot[i].card.self, b);
}

/* --- on the card's loop --- */

struct job {
    struct machine *m;
    struct machine_slot *slot;
    int rc;
    struct err *e;
};

static int create(struct job *j)
{
    struct machine_slot *s = j->slot;
    const struct machine_card *c = &s->what;
    unsigned number = (unsigned)(s - j->m->slot), devfn = PCI_BEHIND(s->devfn);

    switch (c->kind) {
    case MACHINE_CARD_DISK:
        return board_disk(j->m, devfn, c->disk, c->io, &s->card, j->e);
    case MACHINE_CARD_NVME:
        return board_nvme(j->m, devfn, MACHINE_MAX_DISKS + number, c->disk, c->io, &s->card, j->e);
    default:
        return board_net(j->m, devfn, MACHINE_MAX_NETS + number, &c->net, c->cable, c->io, &s->card,
                         j->e);
    }
}

static void create_job(void *opaque)
{
    struct job *j = opaque;

    j->rc = create(j);
    if (j->rc < 0)
        j->slot->card.ops = NULL;
}

static void destroy_job(void *opaque)
{
    struct job *j = opaque;

    j->slot->card.ops->destroy(j->slot->card.self);
}

/* --- on the main thread --- */

static int on_loop(struct machine *m, struct machine_slot *s, loop_fn *fn, struct err *e)
{
    struct job j = {.m = m, .slot = s, .e = e};

    return loop_call(s->what.io, fn, &j) < 0 ? err_set(e, ENOMEM, "out of memory") : j.rc;
}

int machine_plug(struct machine *m, unsigned slot, const struct machine_card *card, struct err *e)
{
    struct machine_slot *s = &m->slot[slot];
    int rc;

    if (m->device_count == MACHINE_DEVICES)
        return err_set(e, ENOSPC, "the machine has too many devices");
    s->what = *card;
    rc = on_loop(m, s, create_job, e);
    if (rc < 0)
        return rc;
    if (s->card.ops->pause != NULL) /* as all others are */
        s->card.ops->pause(s->card.self);
    rc = machine_own(m, s->card, e);
    if (rc == 0)
        pcie_port_insert(&s->port);
    return rc;
}

int machine_unplug(struct machine *m, unsigned slot, struct err *e)
{
    struct machine_slot *s = &m->slot[slot];
    int rc;

    s->card.ops->reset(s->card.self);
    rc = on_loop(m, s, destroy_job, e);
    if (rc < 0)
        return rc;
    machine_disown(m, &s->card);
    s->card.ops = NULL;
    pcie_port_take(&s->port);
    return 0;
}

void machine_card_renew(struct machine *m, unsigned slot)
{
    struct machine_slot *s = &m->slot[slot];

    s->card.ops->reset(s->card.self);
    pcie_port_renewed(&s->port);
}

bool machine_card_off(struct machine *m, unsigned slot)
{
    return pcie_port_spent(&m->slot[slot].port);
}

bool machine_card_idle(struct machine *m, unsigned slot)
{
    return !pcie_port_link(&m->slot[slot].port);
}

int machine_unplug_ask(struct machine *m, unsigned slot)
{
    return pcie_port_press(&m->slot[slot].port);
}
