/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tap: a network interface of the host whose other end is the guest's network card, for machines
 * that are to be members of the host's own networks.
 *
 * The interface is one that an administrator made for this user, or one that this process makes if
 * it may. Frames carry the header of virtio-net, so both sides leave checksums and segmentation to
 * each other: a stream crosses in pieces of up to 64 KB.
 */
#ifndef DOPPEL_NET_TAP_H
#define DOPPEL_NET_TAP_H

#include "base/err.h"
#include "loop/loop.h"
#include "net/net.h"
#include "net/netopt.h"

/* Opens the interface (and makes it a port of options->bridge, if that is not empty); before the
 * loop runs. The loop is destroyed after the back end. */
int net_tap_create(struct loop *loop, const struct net_options *options, struct net_backend *out,
                   struct err *e) MUST_CHECK;

#endif
