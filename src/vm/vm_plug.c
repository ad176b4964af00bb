/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices that come and go while the machine runs. All on the main thread, where the machine stands
 * still for the moment in which something is put in or taken out.
 *
 *   image, network   opened under a name; may be closed while no device uses it
 *   SCSI disk        comes and goes at once; the guest is told
 *   card in a slot   goes when the guest has let go of it and turned its slot off, or when the
 *                    machine is reset; until then vm_unplug_device may be called again
 *
 * Nobody takes a card out of the hands of a guest that does not answer.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/slirp.h"
#include "net/tap.h"
#include "vm/vm_internal.h"

enum { IMAGES = 16, NETS = 8, DEVICES = 16, NAME = 64 };

struct image {
    char name[NAME]; /* empty: there is none */
    struct block_backend *backend;
    bool used;
};

struct net {
    char name[NAME]; /* likewise */
    struct net_backend backend;
    bool used;
};

/* What a driver stands for. */
struct driver {
    const char *name;
    bool scsi;
    enum machine_card_kind kind;
    enum net_model model;
};

struct plugged {
    char id[NAME]; /* likewise */
    const struct driver *driver;
    struct image *image;
    struct net *net;
    unsigned place; /* the slot, or the target */
    bool leaving;   /* the guest was asked to let go of it */
};

struct vm_plug {
    struct image images[IMAGES];
    struct net nets[NETS];
    struct plugged devices[DEVICES];
};

static const struct driver drivers[] = {
    {.name = "virtio-blk-pci", .kind = MACHINE_CARD_DISK},
    {.name = "nvme", .kind = MACHINE_CARD_NVME},
    {.name = "scsi-hd", .scsi = true},
    {.name = "virtio-net-pci", .kind = MACHINE_CARD_NET, .model = NET_VIRTIO},
    {.name = "e1000", .kind = MACHINE_CARD_NET, .model = NET_E1000},
    {.name = "pcnet", .kind = MACHINE_CARD_NET, .model = NET_PCNET},
};

static bool is_net(const struct driver *d)
{
    return !d->scsi && d->kind == MACHINE_CARD_NET;
}

/* --- names --- */

static struct image *find_image(struct vm *vm, const char *name)
{
    for (struct image *i = vm->plug->images; i < vm->plug->images + IMAGES; i++)
        if (strcmp(i->name, name) == 0)
            return i;
    return NULL;
}

static struct net *find_net(struct vm *vm, const char *name)
{
    for (struct net *n = vm->plug->nets; n < vm->plug->nets + NETS; n++)
        if (strcmp(n->name, name) == 0)
            return n;
    return NULL;
}

static struct plugged *find_device(struct vm *vm, const char *id)
{
    for (struct plugged *p = vm->plug->devices; p < vm->plug->devices + DEVICES; p++)
        if (strcmp(p->id, id) == 0)
            return p;
    return NULL;
}

/* A letter, then letters, digits and some signs; of no disk that the machine began with. */
static int check_name(struct vm *vm, const char *what, const char *name, struct err *e)
{
    bool good = isalpha((unsigned char)name[0]) && strlen(name) < NAME;
    unsigned i;
    struct err none;

    for (const char *c = name; *c != '\0' && good; c++)
        good = isalnum((unsigned char)*c) || strchr("-._", *c) != NULL;
    if (!good)
        return err_set(e, EINVAL, "Parameter '%s' is no name: a letter, then letters, digits, -._",
                       what);
    return vm_find_disk(vm, name, &i, &none) == 0
               ? err_set(e, EEXIST, "'%s' is a disk that the machine began with", name)
               : 0;
}

/* --- images --- */

int vm_plug_image(struct vm *vm, const char *name, const struct block_options *o, struct err *e)
{
    int rc = check_name(vm, "node-name", name, e);
    struct image *i = find_image(vm, "");

    if (rc == 0 && find_image(vm, name) != NULL)
        rc = err_set(e, EEXIST, "Duplicate nodes with node-name='%s'", name);
    if (rc == 0 && i == NULL)
        rc = err_set(e, ENOSPC, "There are %d images already", IMAGES);
    if (rc == 0)
        rc = block_open(o, &i->backend, e);
    if (rc == 0)
        snprintf(i->name, NAME, "%s", name);
    return rc;
}

int vm_unplug_image(struct vm *vm, const char *name, struct err *e)
{
    struct image *i = name[0] != '\0' ? find_image(vm, name) : NULL;

    if (i == NULL)
        return err_set(e, ENODEV, "Failed to find node with node-name='%s'", name);
    if (i->used)
        return err_set(e, EBUSY, "Node '%s' is busy: a device uses it", name);
    block_close(i->backend);
    *i = (struct image){0};
    return 0;
}

/* --- networks, on their loop --- */

struct net_job {
    struct vm *vm;
    const struct net_options *options;
    struct net_backend *backend;
    struct err *e;
    int rc;
};

static void open_net(void *opaque)
{
    struct net_job *j = opaque;
    struct loop *io = j->vm->net_io.loop;
    const struct net_user_config user = {
        .options = j->options, .loop = io, .clock = machine_clock(j->vm->machine)};

    j->rc = j->options->kind == NET_TAP ? net_tap_create(io, j->options, j->backend, j->e)
                                        : net_user_create(&user, j->backend, j->e);
}

static void close_net(void *opaque)
{
    struct net_job *j = opaque;

    j->backend->ops->destroy(j->backend->self);
}

int vm_plug_net(struct vm *vm, const char *name, const struct net_options *o, struct err *e)
{
    struct net *n = find_net(vm, "");
    struct net_job j = {.vm = vm, .options = o, .backend = n != NULL ? &n->backend : NULL, .e = e};
    int rc = check_name(vm, "id", name, e);

    if (rc == 0 && find_net(vm, name) != NULL)
        rc = err_set(e, EEXIST, "Duplicate ID '%s' for netdev", name);
    if (rc == 0 && vm->cfg.slots == 0)
        rc = err_set(e, ENODEV, "The machine has no slot for a network card, see --slots");
    if (rc == 0 && n == NULL)
        rc = err_set(e, ENOSPC, "There are %d networks already", NETS);
    if (rc == 0 && (loop_call(vm->net_io.loop, open_net, &j) < 0))
        rc = err_set(e, ENOMEM, "out of memory");
    if (rc == 0)
        rc = j.rc;
    if (rc == 0)
        snprintf(n->name, NAME, "%s", name);
    return rc;
}

int vm_unplug_net(struct vm *vm, const char *name, struct err *e)
{
    struct net *n = name[0] != '\0' ? find_net(vm, name) : NULL;
    struct net_job j = {.backend = n != NULL ? &n->backend : NULL};

    if (n == NULL)
        return err_set(e, ENODEV, "Device '%s' not found", name);
    if (n->used)
        return err_set(e, EBUSY, "Network '%s' is busy: a card uses it", name);
    if (loop_call(vm->net_io.loop, close_net, &j) < 0)
        return err_set(e, ENOMEM, "out of memory");
    *n = (struct net){0};
    return 0;
}

/* --- devices --- */

static bool slot_taken(struct vm *vm, unsigned slot)
{
    for (struct plugged *p = vm->plug->devices; p < vm->plug->devices + DEVICES; p++)
        if (p->id[0] != '\0' && !p->driver->scsi && p->place == slot)
            return true;
    return false;
}

static int choose_slot(struct vm *vm, const char *bus, unsigned *slot, struct err *e)
{
    char name[16];

    if (vm->cfg.slots == 0)
        return err_set(e, ENODEV, "The machine has no slots for cards, see --slots");
    for (*slot = 0; *slot < vm->cfg.slots; ++*slot) {
        snprintf(name, sizeof(name), "slot%u", *slot + 1);
        if (bus != NULL && strcmp(bus, name) != 0)
            continue;
        if (!slot_taken(vm, *slot))
            return 0;
        if (bus != NULL)
            return err_set(e, EBUSY, "Slot '%s' is taken", bus);
    }
    return bus != NULL ? err_set(e, ENODEV, "Bus '%s' not found", bus)
                       : err_set(e, ENOSPC, "All slots are taken");
}

static int put_in(struct vm *vm, struct plugged *p, const struct vm_device *d, struct err *e)
{
    struct machine_card card = {.kind = p->driver->kind,
                                .io = is_net(p->driver) ? vm->net_io.loop : vm->disk_io.loop,
                                .disk = p->image != NULL ? p->image->backend : NULL,
                                .cable = p->net != NULL ? &p->net->backend : NULL,
                                .net.model = p->driver->model};
    int rc;

    memcpy(card.net.mac, d->mac, sizeof(card.net.mac));
    if (p->driver->scsi)
        return machine_plug_scsi(vm->machine, p->image->backend, &p->place, e);
    rc = choose_slot(vm, d->bus, &p->place, e);
    if (rc < 0)
        return rc;
    vm_freeze(vm);
    rc = machine_plug(vm->machine, p->place, &card, e);
    vm_thaw(vm);
    return rc;
}

/* What the driver needs, and nobody else has. */
static int find_back_end(struct vm *vm, struct plugged *p, const struct vm_device *d, struct err *e)
{
    const char *need = is_net(p->driver) ? "netdev" : "drive";
    const char *name = is_net(p->driver) ? d->netdev : d->drive;

    if ((is_net(p->driver) ? d->drive : d->netdev) != NULL)
        return err_set(e, EINVAL, "Driver '%s' takes no '%s'", d->driver,
                       is_net(p->driver) ? "drive" : "netdev");
    if (name == NULL || name[0] == '\0')
        return err_set(e, EINVAL, "Parameter '%s' is missing", need);
    if (is_net(p->driver))
        p->net = find_net(vm, name);
    else
        p->image = find_image(vm, name);
    if (p->net == NULL && p->image == NULL)
        return err_set(e, ENODEV, "Property '%s.%s' can't find value '%s'", d->driver, need, name);
    if (p->net != NULL ? p->net->used : p->image->used)
        return err_set(e, EBUSY, "'%s' is in use by another device", name);
    return 0;
}

static const struct driver *find_driver(const char *name)
{
    for (unsigned i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
        if (strcmp(drivers[i].name, name) == 0)
            return &drivers[i];
    return NULL;
}

int vm_plug_device(struct vm *vm, const struct vm_device *d, struct err *e)
{
    struct plugged p = {.driver = find_driver(d->driver)}, *at = find_device(vm, "");
    int rc = check_name(vm, "id", d->id, e);

    if (rc == 0 && p.driver == NULL)
        rc = err_set(e, ENODEV, "'%s' is not a device that comes and goes", d->driver);
    if (rc == 0 && find_device(vm, d->id) != NULL)
        rc = err_set(e, EEXIST, "Duplicate device ID '%s'", d->id);
    if (rc == 0 && at == NULL)
        rc = err_set(e, ENOSPC, "There are %d devices already", DEVICES);
    if (rc == 0)
        rc = find_back_end(vm, &p, d, e);
    if (rc == 0)
        rc = put_in(vm, &p, d, e);
    if (rc < 0)
        return rc;
    snprintf(p.id, NAME, "%s", d->id);
    if (p.image != NULL)
        p.image->used = true;
    if (p.net != NULL)
        p.net->used = true;
    *at = p;
    return 0;
}

/* It is out of the machine. */
static void forget(struct vm *vm, struct plugged *p)
{
    char path[NAME + 24];

    if (p->image != NULL)
        p->image->used = false;
    if (p->net != NULL)
        p->net->used = false;
    snprintf(path, sizeof(path), "/machine/peripheral/%s", p->id);
    vm_control_event(vm, "DEVICE_DELETED", json_pack("{s:s,s:s}", "device", p->id, "path", path));
    *p = (struct plugged){0};
}

/* The machine stands still. */
static int take_out(struct vm *vm, struct plugged *p, struct err *e)
{
    int rc = machine_unplug(vm->machine, p->place, e);

    if (rc == 0)
        forget(vm, p);
    return rc;
}

int vm_unplug_device(struct vm *vm, const char *id, struct err *e)
{
    struct plugged *p = id[0] != '\0' ? find_device(vm, id) : NULL;
    int rc;

    if (p == NULL)
        return err_set(e, ENODEV, "Device '%s' not found", id);
    if (p->driver->scsi) {
        machine_unplug_scsi(vm->machine, p->place);
        forget(vm, p);
        return 0;
    }
    if (machine_card_idle(vm->machine, p->place)) {
        vm_freeze(vm);
        rc = take_out(vm, p, e);
        vm_thaw(vm);
        return rc;
    }
    if (machine_unplug_ask(vm->machine, p->place) < 0)
        return err_set(e, EBUSY, "The guest is about to turn device '%s' on or off; try again", id);
    p->leaving = true;
    return 0;
}

/* --- events --- */

static bool in_slot(const struct plugged *p)
{
    return p->id[0] != '\0' && !p->driver->scsi;
}

static void card_off(struct vm *vm, struct plugged *p)
{
    struct err e;

    vm_freeze(vm);
    if (!p->leaving || take_out(vm, p, &e) < 0)
        machine_card_renew(vm->machine, p->place);
    vm_thaw(vm);
}

void vm_plug_event(struct vm *vm)
{
    for (struct plugged *p = vm->plug->devices; p < vm->plug->devices + DEVICES; p++)
        if (in_slot(p) && machine_card_off(vm->machine, p->place))
            card_off(vm, p);
}

void vm_plug_reset(struct vm *vm)
{
    struct err e;

    for (struct plugged *p = vm->plug->devices; p < vm->plug->devices + DEVICES; p++)
        if (in_slot(p) && p->leaving) {
            machine_pause(vm->machine);
            (void)!take_out(vm, p, &e);
        }
    if (vm->pauses == 0)
        machine_resume(vm->machine);
}

/* --- what others ask --- */

struct block_backend *vm_plug_find_image(struct vm *vm, const char *name)
{
    struct plugged *p = name[0] != '\0' ? find_device(vm, name) : NULL;
    struct image *i = p != NULL ? p->image : name[0] != '\0' ? find_image(vm, name) : NULL;

    return i != NULL ? i->backend : NULL;
}

bool vm_plug_disk(struct vm *vm, unsigned i, const char **id, struct block_backend **b)
{
    for (struct plugged *p = vm->plug->devices; p < vm->plug->devices + DEVICES; p++)
        if (p->image != NULL && i-- == 0) {
            *id = p->id;
            *b = p->image->backend;
            return true;
        }
    return false;
}

/* --- life --- */

int vm_plug_create(struct vm *vm, struct err *e)
{
    vm->plug = calloc(1, sizeof(*vm->plug));
    return vm->plug == NULL ? err_set(e, ENOMEM, "out of memory") : 0;
}

void vm_plug_destroy(struct vm *vm)
{
    struct vm_plug *p = vm->plug;

    if (p == NULL)
        return;
    for (unsigned i = 0; i < NETS; i++)
        if (p->nets[i].name[0] != '\0')
            p->nets[i].backend.ops->destroy(p->nets[i].backend.self);
    for (unsigned i = 0; i < IMAGES; i++)
        block_close(p->images[i].backend);
    free(p);
    vm->plug = NULL;
}
