/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The network cards of the board and the slots they sit in. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dev/e1000.h"
#include "dev/pcnet.h"
#include "dev/virtio/virtio_net.h"
#include "machine/machine_internal.h"

/* What the other cards leave free on each board. */
static const uint8_t slots[][MACHINE_MAX_NETS] = {
    [MACHINE_Q35] = {3, 24, 27}, [MACHINE_PC] = {4, 26, 31}};

static void address(uint8_t to[6], const uint8_t given[6], unsigned number)
{
    static const uint8_t none[6], first[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

    if (memcmp(given, none, 6) != 0) {
        memcpy(to, given, 6);
        return;
    }
    memcpy(to, first, 6);
    to[5] = (uint8_t)(to[5] + number);
}

int board_net(struct machine *m, unsigned devfn, unsigned number, const struct machine_net *card,
              const struct net_backend *backend, struct loop *io, struct device *out, struct err *e)
{
    struct nic_config cfg = {.bus = m->pci,
                             .devfn = devfn,
                             .ram = m->ram,
                             .loop = io,
                             .clock = m->clock,
                             .backend = backend};
    struct virtio_net_config virtio = {.place = board_virtio_place(m, devfn, io),
                                       .backend = backend};

    address(cfg.mac, card->mac, number);
    if (card->model == NET_E1000)
        return e1000_create(&cfg, out, e);
    if (card->model == NET_PCNET)
        return pcnet_create(&cfg, out, e);
    memcpy(virtio.mac, cfg.mac, sizeof(virtio.mac));
    return virtio_net_create(&virtio, out, e);
}

int machine_add_net(struct machine *m, const struct machine_net *card,
                    const struct net_backend *backend, struct loop *io, struct err *e)
{
    struct device d;
    char path[40];
    unsigned slot;
    int rc;

    if (m->nets == MACHINE_MAX_NETS)
        return err_set(e, ENOSPC, "--net: a machine has at most %d network cards",
                       MACHINE_MAX_NETS);
    slot = slots[m->cfg.board][m->nets];
    rc = board_net(m, PCI_DEVFN(slot, 0), m->nets, card, backend, io, &d, e);
    if (rc < 0)
        return rc;
    snprintf(path, sizeof(path), "ethernet@%x/ethernet-phy@0", slot);
    board_bootable(m, 'n', path);
    m->nets++;
    return machine_own(m, d, e);
}
