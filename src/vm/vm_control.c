/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket of a machine: a listener, a session for each peer, events for all of them. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/list.h"
#include "vm/qmp.h"
#include "vm/socket.h"
#include "vm/vm_internal.h"

#define MAX_PEERS 16

struct peer {
    struct vm_control *control;
    struct stream *stream;
    struct qmp_session *session;
    struct list link;
};

struct vm_control {
    struct vm *vm;
    struct listener *listener;
    struct list peers;
    unsigned count;
};

static void to_peer(void *opaque, const void *bytes, size_t len)
{
    struct peer *p = opaque;

    stream_send(p->stream, bytes, len);
}

static void peer_destroy(struct peer *p)
{
    list_remove(&p->link);
    p->control->count--;
    qmp_session_destroy(p->session);
    stream_destroy(p->stream);
    free(p);
}

static void on_closed(void *opaque)
{
    peer_destroy(opaque);
}

static void on_input(void *opaque, const uint8_t *bytes, size_t len)
{
    struct peer *p = opaque;

    if (!qmp_session_input(p->session, bytes, len))
        stream_hang_up(p->stream);
}

static void on_connection(void *opaque, int fd)
{
    struct vm_control *c = opaque;
    struct peer *p = c->count < MAX_PEERS ? calloc(1, sizeof(*p)) : NULL;
    const struct stream_config stream = {
        .loop = c->vm->loop, .input = on_input, .closed = on_closed, .opaque = p};
    const struct qmp_config qmp = {.vm = c->vm, .tables = qmp_tables, .send = to_peer, .opaque = p};

    if (p == NULL) {
        close(fd);
        return;
    }
    p->control = c;
    list_append(&c->peers, &p->link);
    c->count++;
    if (stream_create(fd, &stream, &p->stream) < 0 || qmp_session_create(&qmp, &p->session) < 0)
        peer_destroy(p);
}

void vm_control_event(struct vm *vm, const char *name, json_t *data)
{
    if (vm->control != NULL)
        LIST_EACH(at, &vm->control->peers)
    qmp_session_event(LIST_ITEM(at, struct peer, link)->session, name, data);
    json_decref(data);
}

int vm_control_create(struct vm *vm, struct err *e)
{
    struct vm_control *c;
    struct listener_config cfg = {
        .loop = vm->loop, .option = "--control", .accepted = on_connection};

    if (vm->cfg.control == NULL)
        return 0;
    c = calloc(1, sizeof(*c));
    if (c == NULL)
        return err_set(e, ENOMEM, "out of memory");
    c->vm = vm;
    list_init(&c->peers);
    vm->control = c;
    cfg.opaque = c;
    return listener_create_unix(vm->cfg.control, &cfg, &c->listener, e);
}

void vm_control_destroy(struct vm *vm)
{
    struct vm_control *c = vm->control;

    if (c == NULL)
        return;
    listener_destroy(c->listener); /* first: peers take their end for the machine's */
    LIST_EACH_SAFE(at, &c->peers)
    peer_destroy(LIST_ITEM(at, struct peer, link));
    free(c);
    vm->control = NULL;
}
