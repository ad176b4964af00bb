/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands between a guest's frames and libslirp: parsing, checksums, segmentation,
 * fragmentation. The input is the metadata and the frame; every function works on an allocation of
 * exactly the frame's size, so that a step over its end is seen.
 */
#include "fuzz.h"

#include "net/frame.h"
#include "net/offload.h"

struct pieces {
    unsigned count;
    size_t largest;
};

static void on_piece(void *opaque, uint8_t *frame, size_t len)
{
    struct pieces *p = opaque;
    struct net_layout at;
    FUZZ_REQUIRE(net_parse(frame, len, &at) == 0 && at.end == len);
    p->count++;
    p->largest = len > p->largest ? len : p->largest;
}

static uint8_t *copy_of(const uint8_t *frame, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    FUZZ_REQUIRE(copy != NULL);
    if (len > 0)
        memcpy(copy, frame, len);
    return copy;
}

static void segment(const uint8_t *frame, size_t len, const struct net_meta *meta)
{
    struct pieces p = {0};
    uint8_t *f = copy_of(frame, len);
    int ret = net_segment(f, len, meta, on_piece, &p);
    FUZZ_REQUIRE((ret == 0) == (p.count > 0) && p.largest <= len);
    free(f);
}

static void fragment(const uint8_t *frame, size_t len, unsigned mtu)
{
    struct pieces p = {0};
    uint8_t *f = copy_of(frame, len);
    int ret = net_fragment4(f, len, mtu, on_piece, &p);
    FUZZ_REQUIRE((ret == 0) == (p.count > 0) && p.largest <= mtu + NET_ETH_LEN + 4);
    free(f);
}

/* A frame described as GSO must be one that the other direction accepts. */
static void round_trip(const uint8_t *frame, size_t len)
{
    struct net_meta meta;
    uint8_t *f = copy_of(frame, len);
    if (net_make_gso(f, len, &meta) > 0) {
        struct pieces p = {0};
        FUZZ_REQUIRE(net_csum_complete(f, len, &meta) == 0);
        FUZZ_REQUIRE(net_tcp_csum(f, len, &meta) == 0);
        FUZZ_REQUIRE(net_segment(f, len, &meta, on_piece, &p) == 0);
    }
    free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct net_meta meta = {.flags = fuzz_u8(&in),
                            .gso = fuzz_u8(&in),
                            .gso_size = fuzz_u16(&in),
                            .csum_start = fuzz_u16(&in),
                            .csum_offset = fuzz_u16(&in)};
    unsigned mtu = 68 + fuzz_u16(&in) % 9000;
    uint8_t *f = copy_of(in.p, in.left);
    if (net_csum_complete(f, in.left, &meta) == 0)
        net_raise_mss(f, in.left, 16384);
    if (net_tcp_csum(f, in.left, &meta) == 0)
        net_raise_mss(f, in.left, 1);
    free(f);
    segment(in.p, in.left, &meta);
    fragment(in.p, in.left, mtu);
    round_trip(in.p, in.left);
    return 0;
}
