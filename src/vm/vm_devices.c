/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks, network, console, parallel port, sound and watchdog of a machine, and the threads that
 * serve the first two: disks one, the network one, each with a loop of its own, so that neither
 * waits for the other nor for a vCPU.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/slirp.h"
#include "net/tap.h"
#include "vm/swtpm.h"
#include "vm/vm_internal.h"
#include "vm/wav.h"

/* --- I/O threads --- */

static void *io_main(void *opaque)
{
    struct vm_io *io = opaque;

    loop_run(io->loop);
    return NULL;
}

static int io_create(struct vm_io *io, struct err *e)
{
    int rc = loop_create(&io->loop);

    return rc < 0 ? err_set(e, -rc, "cannot create an event loop: %s", strerror(-rc)) : 0;
}

static int io_start(struct vm_io *io, const char *name, struct err *e)
{
    int rc = io->loop != NULL ? pthread_create(&io->thread, NULL, io_main, io) : 0;

    if (rc != 0)
        return err_set(e, rc, "cannot start the %s thread: %s", name, strerror(rc));
    if (io->loop == NULL)
        return 0;
    io->started = true;
    pthread_setname_np(io->thread, name);
    return 0;
}

static void io_stop(struct vm_io *io)
{
    if (!io->started)
        return;
    loop_stop(io->loop);
    pthread_join(io->thread, NULL);
    io->started = false;
}

static void io_destroy(struct vm_io *io)
{
    if (io->loop != NULL)
        loop_destroy(io->loop);
}

/* --- disks --- */

static int attach_disk(struct vm *vm, unsigned i, struct err *e)
{
    const struct vm_disk *d = &vm->cfg.disks[i];
    const struct block_options o = {
        .path = d->path, .format = d->format, .readonly = d->readonly, .snapshot = d->snapshot};
    struct loop *io = vm->disk_io.loop;
    int rc = d->path != NULL ? block_open(&o, &vm->disks[i], e) : 0;

    if (rc < 0)
        return rc;
    switch (d->bus) {
    case VM_DISK_ATA:
        return machine_add_ata_disk(vm->machine, vm->disks[i], io, e);
    case VM_DISK_NVME:
        return machine_add_nvme(vm->machine, vm->disks[i], io, e);
    case VM_DISK_CDROM:
        return machine_add_cdrom(vm->machine, d->adapter, vm->disks[i], io, e);
    case VM_DISK_SCSI:
        return machine_add_scsi_disk(vm->machine, d->adapter, vm->disks[i], io, e);
    case VM_DISK_FLOPPY:
        return machine_add_floppy(vm->machine, vm->disks[i], io, e);
    default:
        return machine_add_disk(vm->machine, vm->disks[i], io, e);
    }
}

static int attach_disks(struct vm *vm, struct err *e)
{
    int rc = vm->cfg.disk_count > 0 || vm->cfg.slots > 0 ? io_create(&vm->disk_io, e) : 0;

    if (rc == 0 && vm->disk_io.loop != NULL)
        loop_lend(vm->disk_io.loop);
    for (unsigned i = 0; i < vm->cfg.disk_count && rc == 0; i++)
        rc = attach_disk(vm, i, e);
    return rc;
}

/* How many of its kind come before it. */
unsigned vm_drive_number(const struct vm *vm, unsigned i)
{
    enum vm_disk_bus bus = vm->cfg.disks[i].bus;
    unsigned n = 0;

    for (unsigned k = 0; k < i; k++)
        n += vm->cfg.disks[k].bus == bus &&
             (bus != VM_DISK_SCSI || vm->cfg.disks[k].adapter == vm->cfg.disks[i].adapter);
    return n;
}

bool vm_disk_removable(const struct vm *vm, unsigned i)
{
    return vm->cfg.disks[i].bus == VM_DISK_CDROM || vm->cfg.disks[i].bus == VM_DISK_FLOPPY;
}

void vm_disk_name(const struct vm *vm, unsigned i, char name[VM_DISK_NAME])
{
    unsigned n = vm_drive_number(vm, i);

    if (vm->cfg.disks[i].bus == VM_DISK_CDROM)
        snprintf(name, VM_DISK_NAME, "cd%u", n);
    else if (vm->cfg.disks[i].bus == VM_DISK_FLOPPY)
        snprintf(name, VM_DISK_NAME, "floppy%u", n);
    else if (vm->cfg.disks[i].bus == VM_DISK_SCSI)
        snprintf(name, VM_DISK_NAME, "%s%u",
                 vm->cfg.disks[i].adapter == MACHINE_ADAPTER_BUSLOGIC ? "buslogic" : "scsi", n);
    else if (vm->cfg.disks[i].bus == VM_DISK_NVME)
        snprintf(name, VM_DISK_NAME, "nvme%un1", n);
    else
        snprintf(name, VM_DISK_NAME, "%s%c", vm->cfg.disks[i].bus == VM_DISK_ATA ? "sd" : "vd",
                 (char)('a' + n));
}

int vm_find_disk(const struct vm *vm, const char *device, unsigned *out, struct err *e)
{
    char name[VM_DISK_NAME];

    for (*out = 0; *out < vm->cfg.disk_count; ++*out) {
        vm_disk_name(vm, *out, name);
        if (strcmp(name, device) == 0)
            return 0;
    }
    return err_set(e, ENODEV, "Device '%s' not found", device);
}

/* --- network --- */

static int attach_net(struct vm *vm, unsigned i, struct err *e)
{
    const struct net_options *o = &vm->cfg.nets[i];
    struct loop *io = vm->net_io.loop;
    const struct net_user_config user = {
        .options = o, .loop = io, .clock = machine_clock(vm->machine)};
    struct machine_net card = {.model = o->model};
    int rc = o->kind == NET_TAP ? net_tap_create(io, o, &vm->nets[i], e)
                                : net_user_create(&user, &vm->nets[i], e);

    memcpy(card.mac, o->mac, sizeof(card.mac));
    return rc == 0 ? machine_add_net(vm->machine, &card, &vm->nets[i], io, e) : rc;
}

static int attach_nets(struct vm *vm, struct err *e)
{
    int rc = vm->cfg.net_count > 0 || vm->cfg.slots > 0 ? io_create(&vm->net_io, e) : 0;

    for (unsigned i = 0; i < vm->cfg.net_count && rc == 0; i++)
        rc = attach_net(vm, i, e);
    return rc;
}

/* --- console --- */

static size_t console_input(void *opaque, const uint8_t *buf, size_t len)
{
    struct vm *vm = opaque;

    return machine_console_input(vm->machine, buf, len);
}

static void console_writable(void *opaque)
{
    struct vm *vm = opaque;

    machine_console_output_ready(vm->machine);
}

/* Linux takes the size from a change alone, not when its driver starts. So the console has none
 * until the guest's first output shows that the driver is there. */
static size_t console_output(void *opaque, const void *data, size_t len)
{
    struct vm *vm = opaque;

    if (!vm->console_used) {
        vm->console_used = true;
        machine_console_resize(vm->machine, vm->cfg.cols, vm->cfg.rows);
    }
    return chardev_write(vm->console, data, len);
}

static void console_input_ready(void *opaque)
{
    struct vm *vm = opaque;

    chardev_input_ready(vm->console);
}

static int attach_console(struct vm *vm, struct err *e)
{
    const struct chardev_peer peer = {
        .opaque = vm, .input = console_input, .output_ready = console_writable};
    const struct machine_console c = {
        .opaque = vm, .output = console_output, .input_ready = console_input_ready};
    int rc;

    if (vm->cfg.console.kind == CHARDEV_NONE)
        return 0;
    rc = machine_add_console(vm->machine, &c, e);
    if (rc == 0)
        chardev_attach(vm->console, &peer);
    return rc;
}

void vm_console_reset(struct vm *vm)
{
    vm->console_used = false;
    machine_console_resize(vm->machine, 0, 0);
}

void vm_terminal_size(struct vm *vm, uint16_t cols, uint16_t rows)
{
    if (vm->cfg.console.kind != CHARDEV_STDIO)
        return;
    vm->cfg.cols = cols;
    vm->cfg.rows = rows;
    if (vm->console_used)
        machine_console_resize(vm->machine, cols, rows);
}

/* --- parallel port --- */

static void on_print(void *opaque, const uint8_t *buf, size_t len)
{
    struct vm *vm = opaque;

    chardev_write(vm->parallel, buf, len);
}

static int attach_parallel(struct vm *vm, struct err *e)
{
    const struct machine_printer printer = {.print = on_print, .opaque = vm};

    return vm->cfg.parallel.kind != CHARDEV_NONE ? machine_add_parallel(vm->machine, &printer, e)
                                                 : 0;
}

/* --- sound --- */

static int attach_sound(struct vm *vm, struct err *e)
{
    struct sound_out out = {0};
    int rc;

    if (vm->cfg.sound == VM_SOUND_NONE)
        return 0;
    if (vm->cfg.wav != NULL) {
        rc = wav_create("--sound", vm->cfg.wav, &vm->wav, e);
        if (rc < 0)
            return rc;
        out = wav_sound(vm->wav);
    }
    return vm->cfg.sound == VM_SOUND_SB16 ? machine_add_sb16(vm->machine, &out, e)
                                          : machine_add_sound(vm->machine, &out, e);
}

/* --- watchdog --- */

const char *const vm_watchdog_names[VM_WATCHDOG_ACTIONS] = {[VM_WATCHDOG_ABSENT] = "absent",
                                                            [VM_WATCHDOG_RESET] = "reset",
                                                            [VM_WATCHDOG_POWEROFF] = "poweroff",
                                                            [VM_WATCHDOG_PAUSE] = "pause",
                                                            [VM_WATCHDOG_NONE] = "none"};

void vm_watchdog_event(struct vm *vm)
{
    vm_control_event(vm, "WATCHDOG",
                     json_pack("{s:s}", "action", vm_watchdog_names[vm->cfg.watchdog]));
    if (vm->cfg.watchdog == VM_WATCHDOG_RESET)
        vm_raise_event(vm, EVENT_RESET);
    else if (vm->cfg.watchdog == VM_WATCHDOG_POWEROFF)
        vm_raise_event(vm, EVENT_POWER_OFF);
    else if (vm->cfg.watchdog == VM_WATCHDOG_PAUSE)
        vm_pause(vm);
}

/* --- all of them --- */

int vm_attach_devices(struct vm *vm, struct err *e)
{
    int rc = attach_disks(vm, e);

    if (rc == 0)
        rc = attach_nets(vm, e);
    if (rc == 0)
        rc = attach_sound(vm, e);
    if (rc == 0)
        rc = attach_parallel(vm, e);
    if (rc == 0)
        rc = vm_attach_tpm(vm, e);
    if (rc == 0 && vm->cfg.watchdog != VM_WATCHDOG_ABSENT)
        rc = machine_add_watchdog(vm->machine, e);
    return rc == 0 ? attach_console(vm, e) : rc;
}

int vm_start_io(struct vm *vm, struct err *e)
{
    int rc = io_start(&vm->disk_io, "disk", e);

    return rc == 0 ? io_start(&vm->net_io, "net", e) : rc;
}

void vm_stop_io(struct vm *vm)
{
    io_stop(&vm->disk_io);
    io_stop(&vm->net_io);
}

void vm_close_devices(struct vm *vm)
{
    wav_destroy(vm->wav);
    swtpm_destroy(vm->tpm);
    for (unsigned i = 0; i < vm->cfg.net_count; i++)
        if (vm->nets[i].ops != NULL)
            vm->nets[i].ops->destroy(vm->nets[i].self);
    for (unsigned i = 0; i < vm->cfg.disk_count; i++)
        block_close(vm->disks[i]);
    io_destroy(&vm->disk_io);
    io_destroy(&vm->net_io);
}
