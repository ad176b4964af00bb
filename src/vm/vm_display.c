/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is shown a machine's screen: VNC viewers, whose connections come in on the main loop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "display/vnc.h"
#include "vm/socket.h"
#include "vm/vm_internal.h"

struct vm_display {
    struct vnc *vnc;
    struct listener *listener;
    char password[VNC_PASSWORD_MAX + 1];
    char address[256];
};

static void on_connection(void *opaque, int fd)
{
    struct vm_display *d = opaque;

    vnc_connection(d->vnc, fd);
}

static int read_password(struct vm_display *d, const char *path, struct err *e)
{
    char line[256];
    FILE *f = fopen(path, "re");
    bool good = f != NULL && fgets(line, sizeof(line), f) != NULL;
    size_t n;

    if (f == NULL)
        return err_set(e, errno, "--display: cannot open %s: %s", path, strerror(errno));
    fclose(f);
    n = good ? strcspn(line, "\r\n") : 0;
    if (n == 0)
        return err_set(e, EINVAL, "--display: there is no password in the first line of %s", path);
    if (n > VNC_PASSWORD_MAX) /* the rest would not be asked for, which nobody expects */
        return err_set(e, EINVAL, "--display: VNC passwords have up to %d characters; shorten %s",
                       VNC_PASSWORD_MAX, path);
    memcpy(d->password, line, n);
    return 0;
}

/* A VNC address as one of a listener: "unix:PATH" is one, "HOST:PORT" becomes "tcp:HOST:PORT". */
static int address_of(struct vm_display *d, const char *vnc, struct err *e)
{
    int n;

    if (strncmp(vnc, "unix:", 5) == 0)
        n = snprintf(d->address, sizeof(d->address), "%s", vnc);
    else
        n = snprintf(d->address, sizeof(d->address), "tcp:%s", vnc[0] == ':' ? vnc + 1 : vnc);
    return n < (int)sizeof(d->address) ? 0
                                       : err_set(e, ENAMETOOLONG, "--display: %s is too long", vnc);
}

int vm_display_create(struct vm *vm, struct err *e)
{
    const struct display_options *o = &vm->cfg.display;
    struct vnc_config vnc = {.video = machine_video(vm->machine),
                             .input = vm_input_sink(vm),
                             .name = vm->cfg.name != NULL ? vm->cfg.name : "doppel"};
    struct listener_config cfg = {
        .loop = vm->loop, .option = "--display", .accepted = on_connection};
    struct vm_display *d;
    int rc = 0;

    if (o->vnc == NULL)
        return 0;
    if (vnc.video == NULL)
        return err_set(e, ENODEV, "--display: the machine has no screen");
    vm->display = d = calloc(1, sizeof(*d));
    if (d == NULL)
        return err_set(e, ENOMEM, "out of memory");
    cfg.opaque = d;
    if (o->password_file != NULL) {
        rc = read_password(d, o->password_file, e);
        vnc.password = d->password;
    }
    if (rc == 0)
        rc = address_of(d, o->vnc, e);
    if (rc == 0)
        rc = vnc_create(&vnc, &d->vnc, e);
    return rc == 0 ? listener_create(d->address, &cfg, &d->listener, e) : rc;
}

void vm_display_destroy(struct vm *vm)
{
    if (vm->display == NULL)
        return;
    listener_destroy(vm->display->listener);
    vnc_destroy(vm->display->vnc);
    free(vm->display);
    vm->display = NULL;
}

const char *vm_vnc_where(const struct vm *vm)
{
    return vm->display != NULL ? listener_where(vm->display->listener) : NULL;
}
