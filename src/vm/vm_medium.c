/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Media of CD-ROM and floppy drives: changed by a person, trays opened by the guest. */
#include <errno.h>
#include <string.h>

#include "vm/vm_internal.h"

static void tell_tray(struct vm *vm, unsigned i, bool open)
{
    char name[VM_DISK_NAME];

    vm_disk_name(vm, i, name);
    vm_control_event(vm, "DEVICE_TRAY_MOVED",
                     json_pack("{s:s,s:s,s:b}", "device", name, "id", name, "tray-open", open));
}

void vm_tray_opened(void *opaque, unsigned cdrom)
{
    struct vm *vm = opaque;

    atomic_fetch_or(&vm->trays, 1u << cdrom);
    vm_raise_event(vm, EVENT_TRAY);
}

void vm_trays_event(struct vm *vm)
{
    unsigned trays = atomic_exchange(&vm->trays, 0);

    for (unsigned i = 0; i < vm->cfg.disk_count; i++)
        if (vm->cfg.disks[i].bus == VM_DISK_CDROM && (trays >> vm_drive_number(vm, i) & 1) != 0)
            tell_tray(vm, i, true);
}

int vm_change_medium(struct vm *vm, unsigned i, const char *path, bool force, struct err *e)
{
    const struct vm_disk *d = &vm->cfg.disks[i];
    const struct block_options o = {
        .path = path, .format = "raw", .readonly = d->readonly, .snapshot = d->snapshot};
    struct block_backend *next = NULL, *old = vm->disks[i];
    unsigned drive = vm_drive_number(vm, i);
    bool floppy = d->bus == VM_DISK_FLOPPY;
    char name[VM_DISK_NAME];
    int rc = 0;

    vm_disk_name(vm, i, name);
    if (!floppy && !force && old != NULL && machine_cdrom_locked(vm->machine, drive)) {
        machine_cdrom_request(vm->machine, drive);
        return err_set(e, EBUSY,
                       "Device '%s' is locked by the guest, which is asked to eject; try again, or "
                       "use force",
                       name);
    }
    if (path != NULL)
        rc = block_open(&o, &next, e);
    if (rc == 0 && floppy)
        rc = machine_check_floppy(next, e);
    if (rc < 0) { /* what is in the drive stays there */
        block_close(next);
        return rc;
    }
    rc = floppy ? machine_change_floppy(vm->machine, drive, next)
                : machine_change_cdrom(vm->machine, drive, next);
    vm->disks[i] = rc == 0 ? next : NULL;
    block_close(old);
    if (old != NULL)
        tell_tray(vm, i, true);
    if (rc < 0) {
        block_close(next);
        return err_set(e, -rc, "Device '%s' cannot use '%s': %s", name, path, strerror(-rc));
    }
    if (next != NULL)
        tell_tray(vm, i, false);
    return 0;
}
