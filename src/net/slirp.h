/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User-mode NAT by libslirp: the guest's connections become ordinary sockets of this process, so no
 * privilege is needed. The guest sees 10.0.2.0/24: gateway and host at 10.0.2.2, name server at
 * 10.0.2.3, its own address 10.0.2.15 by DHCP; with IPv6 also fec0::/64.
 *
 * All of libslirp runs on the loop given at creation, which may be the main loop, better one of the
 * network's own: sockets never block, but copying and checksums take time. One iteration of the
 * loop reports the sockets that are ready to libslirp and collects those it wants next.
 *
 * TCP: libslirp is made to send segments larger than the MTU. A guest that takes large frames gets
 * them as GSO frames, for others they are segmented here. From the guest, libslirp takes GSO frames
 * whole.
 *
 * Two of these in one process share libslirp's notion of time (a static of the library), so it is
 * the host's monotonic clock, not the machine's.
 */
#ifndef DOPPEL_NET_SLIRP_H
#define DOPPEL_NET_SLIRP_H

#include "base/err.h"
#include "loop/loop.h"
#include "net/net.h"
#include "net/netopt.h"

struct net_user_config {
    struct loop *loop;    /* everything runs here */
    struct vclock *clock; /* for the loop's timers (router advertisements) */
    const struct net_options *options;
};

/* Starts the network and binds the forwarded ports; before the loop runs, or on its thread. Not a
 * usage error but -errno: a port that is taken or privileged. The loop is destroyed after the back
 * end. */
int net_user_create(const struct net_user_config *cfg, struct net_backend *out,
                    struct err *e) MUST_CHECK;

#endif
