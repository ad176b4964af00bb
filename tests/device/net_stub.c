/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other end of a network card's cable; see net_stub.h. */
#include "net_stub.h"

#include <stdlib.h>
#include <string.h>

static void on_attach(void *self, const struct net_peer_ops *ops, void *opaque)
{
    struct net_stub *s = self;

    s->peer = ops;
    s->peer_opaque = opaque;
}

static void on_other(void *self)
{
    struct net_stub *s = self;

    if (s->other != NULL)
        s->other(s->opaque);
}

static void on_offloads(void *self, unsigned offloads)
{
    on_other(self);
}

static void on_send(void *self, const struct net_meta *meta, uint8_t *frame, size_t len)
{
    struct net_stub *s = self;

    s->send(s->opaque, meta, frame, len);
}

static void on_send_end(void *self)
{
    ((struct net_stub *)self)->batches++;
    on_other(self);
}

static bool on_link(void *self)
{
    return true;
}

static const struct net_backend_ops backend_ops = {.name = "stub",
                                                   .attach = on_attach,
                                                   .set_offloads = on_offloads,
                                                   .send = on_send,
                                                   .send_end = on_send_end,
                                                   .ready = on_other,
                                                   .link_up = on_link};

struct net_backend net_stub_backend(struct net_stub *s, unsigned offloads)
{
    return (struct net_backend){.ops = &backend_ops, .self = s, .offloads = offloads};
}

bool net_stub_receive(struct net_stub *s, const struct net_meta *meta, void *frame, size_t len)
{
    struct iovec iov[2] = {{frame, len / 2}, {(char *)frame + len / 2, len - len / 2}};
    bool taken = s->peer->receive(s->peer_opaque, meta, iov, 2);

    s->peer->receive_end(s->peer_opaque);
    return taken;
}

/* --- of a suite's class --- */

static void scribble(void *opaque, const struct net_meta *meta, uint8_t *frame, size_t len)
{
    memset(frame, 0, len);
    suite_activity(opaque);
}

static void count(void *opaque)
{
    suite_activity(opaque);
}

struct net_backend net_stub_suite(struct suite_env *env)
{
    struct net_stub *s = calloc(1, sizeof(*s));

    if (s == NULL)
        abort();
    *s = (struct net_stub){.send = scribble, .other = count, .opaque = env};
    env->extra = s;
    return net_stub_backend(s, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6);
}

void net_stub_free(struct suite_env *env)
{
    free(env->extra);
}
