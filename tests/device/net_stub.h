/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other end of a network card's cable in tests and fuzz targets: counts, sends frames. */
#ifndef DOPPEL_TESTS_DEVICE_NET_STUB_H
#define DOPPEL_TESTS_DEVICE_NET_STUB_H

#include "net/net.h"
#include "suite_env.h"

struct net_stub {
    void (*send)(void *opaque, const struct net_meta *meta, uint8_t *frame, size_t len);
    void (*other)(void *opaque); /* offloads, the end of a batch, room for frames; may be NULL */
    void *opaque;
    unsigned batches; /* that the card has ended */
    const struct net_peer_ops *peer;
    void *peer_opaque;
};

/* A back end that takes these NET_OFFLOAD_*; its link is up. */
struct net_backend net_stub_backend(struct net_stub *s, unsigned offloads);
/* One frame to the card, in two pieces, and the end of the batch. false: it had no room. */
bool net_stub_receive(struct net_stub *s, const struct net_meta *meta, void *frame, size_t len);

/* That of a suite's class, kept in env->extra until net_stub_free: every call is activity. */
struct net_backend net_stub_suite(struct suite_env *env);
void net_stub_free(struct suite_env *env);

#endif
