/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Offloads in software: what a network card would do to a frame that is larger than the MTU or
 * whose checksum is missing, for back ends that want plain frames.
 *
 * Frames and metadata come from guests. Functions work in place on the caller's buffer; pieces are
 * built over bytes that have been emitted already, so an emitted piece is valid during the call
 * only, and the frame is garbage afterwards.
 */
#ifndef DOPPEL_NET_OFFLOAD_H
#define DOPPEL_NET_OFFLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/net.h"

typedef void net_emit_fn(void *opaque, uint8_t *frame, size_t len);

/* Fills in the checksum that `meta` asks for. 0, or -EPROTO: the offsets lie outside the frame. */
int net_csum_complete(uint8_t *frame, size_t len, const struct net_meta *meta) MUST_CHECK;

/* The checksum of a whole TCP frame that `meta` calls TCP4 or TCP6, without trusting what the guest
 * put in as pseudo-header sum. -EPROTO: it is no such frame. */
int net_tcp_csum(uint8_t *frame, size_t len, const struct net_meta *meta) MUST_CHECK;

/* Cuts a TCP frame into frames with at most meta->gso_size bytes of payload and complete checksums.
 * -EPROTO: not such a frame, nothing was emitted. */
int net_segment(uint8_t *frame, size_t len, const struct net_meta *meta, net_emit_fn *emit,
                void *opaque) MUST_CHECK;

/* Cuts an IPv4 packet into fragments of at most `mtu` (>= 68) bytes. Options, if any, are repeated
 * in every fragment. -EPROTO: not IPv4, or options leave no room; nothing was emitted. */
int net_fragment4(uint8_t *frame, size_t len, unsigned mtu, net_emit_fn *emit,
                  void *opaque) MUST_CHECK;

/* Describes a TCP frame larger than the MTU as a GSO frame for a receiver that sums and segments
 * for itself: fills `meta` and replaces the checksum by that of the pseudo header. Returns the
 * number of leading bytes that hold all headers, or -EPROTO: no TCP frame. Only those bytes are
 * changed. */
int net_make_gso(uint8_t *frame, size_t len, struct net_meta *meta) MUST_CHECK;

/* If the frame is a TCP SYN that offers exactly the maximum segment size of NET_MTU, makes it offer
 * `mss` instead and corrects the checksum, which must be complete. */
void net_raise_mss(uint8_t *frame, size_t len, uint16_t mss);

#endif
