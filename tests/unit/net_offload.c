/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checksums, segmentation, fragmentation and header parsing of src/net. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>

#include "net/frame.h"
#include "net/offload.h"
#include "net_frames.h"

#define GUEST 0x0a00020fu
#define HOST 0x0a000202u

static const struct frame_ends ends = {
    .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56},
    .peer_mac = {0x52, 0x55, 0x0a, 0, 2, 2},
    .ip = GUEST,
    .peer_ip = HOST,
    .port = 40000,
    .peer_port = 80,
    .seq = 0xfffffff0, /* wraps within a few segments */
    .ack = 77,
};

/* --- the checksum --- */

/* RFC 1071, section 3. */
static void sum_of_rfc1071(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    uint16_t sum = net_sum_finish(net_sum(bytes, sizeof(bytes), 0));
    const uint8_t *s = (const uint8_t *)&sum;
    assert_int_equal(s[0], 0x22);
    assert_int_equal(s[1], 0x0d);
}

/* A header with a published checksum (0xb861). */
static void sum_of_ip_header(void **state)
{
    uint8_t ip[20] = {0x45, 0, 0,    0x73, 0, 0, 0x40, 0,    0x40, 0x11,
                      0,    0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0,    0xc7};
    uint16_t sum = net_sum_finish(net_sum(ip, sizeof(ip), 0));
    memcpy(ip + 10, &sum, 2);
    assert_int_equal(ip[10], 0xb8);
    assert_int_equal(ip[11], 0x61);
}

static void sum_matches_plain_loop(void **state)
{
    uint8_t bytes[5000];
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    memset(bytes + 1000, 0xff, 2000);
    for (unsigned start = 0; start < 9; start++) {
        for (unsigned len = 0; len < 200; len++) {
            unsigned n = len < 150 ? len : 5000 - start - len;
            uint16_t sum = net_sum_finish(net_sum(bytes + start, n, 0));
            unsigned plain = ~frame_sum(bytes + start, n, 0) & 0xffff;
            assert_int_equal(frame_get16((uint8_t *)&sum), plain);
        }
    }
}

static void sum_of_64k_ones(void **state)
{
    uint8_t *bytes = malloc(65536);
    memset(bytes, 0xff, 65536);
    assert_int_equal(net_sum_finish(net_sum(bytes, 65536, UINT32_MAX)), 0);
    free(bytes);
}

static void completes_partial_sums(void **state)
{
    uint8_t f[2048], data[1001];
    memset(data, 0xa5, sizeof(data));
    for (int version = 4; version <= 6; version += 2) {
        size_t len = frame_tcp(f, &ends, version, T_ACK, NULL, 0, data, sizeof(data), false);
        struct net_meta m = {
            .flags = NET_NEEDS_CSUM, .csum_start = version == 4 ? 34 : 54, .csum_offset = 16};
        assert_int_not_equal(frame_l4_sum(f), 0xffff);
        assert_int_equal(net_csum_complete(f, len, &m), 0);
        assert_int_equal(frame_l4_sum(f), 0xffff);
    }
}

static void refuses_sums_outside(void **state)
{
    uint8_t f[64] = {0};
    static const struct net_meta bad[] = {
        {.flags = NET_NEEDS_CSUM, .csum_start = 64},
        {.flags = NET_NEEDS_CSUM, .csum_start = 0xffff, .csum_offset = 0xffff},
        {.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 29},
        {.flags = NET_NEEDS_CSUM, .csum_start = 2, .csum_offset = 16},
    };
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(net_csum_complete(f, sizeof(f), &bad[i]), -EPROTO);
    struct net_meta none = {.csum_start = 0xffff};
    assert_int_equal(net_csum_complete(f, sizeof(f), &none), 0);
}

/* --- segmentation --- */

struct collector {
    unsigned count;
    size_t bytes;
    int version;
    unsigned opts_len, max_payload;
    uint32_t seq;
    unsigned flags; /* of the last piece */
    bool cwr_late, fin_early, ended;
    uint8_t data[70000];
};

static void check_segment(void *opaque, uint8_t *f, size_t len)
{
    struct collector *c = opaque;
    unsigned l4 = FRAME_ETH + (c->version == 4 ? 20 : 40), head = l4 + 20 + c->opts_len;
    assert_true(len >= head && len - head <= c->max_payload);
    if (c->version == 4) {
        assert_true(frame_ip4_ok(f));
        assert_int_equal(frame_get16(f + 16), len - FRAME_ETH);
        assert_int_equal(frame_get16(f + 18), (0x1234 + c->count) & 0xffff);
    } else {
        assert_int_equal(frame_get16(f + 18), len - l4);
    }
    assert_int_equal(frame_l4_sum(f), 0xffff);
    assert_int_equal(frame_get32(f + l4 + 4), c->seq);
    c->flags = f[l4 + 13];
    c->cwr_late |= c->count > 0 && (c->flags & T_CWR);
    c->fin_early |= c->ended;
    c->ended |= (c->flags & (T_FIN | T_PSH)) != 0;
    memcpy(c->data + c->bytes, f + head, len - head);
    c->bytes += len - head;
    c->seq += (uint32_t)(len - head);
    c->count++;
}

static void segment(int version, size_t size, uint16_t gso_size, unsigned expected)
{
    static const uint8_t opts[12] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t *data = malloc(size), *f = malloc(size + 200);
    struct collector *c = calloc(1, sizeof(*c));
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    size_t len = frame_tcp(f, &ends, version, T_ACK | T_PSH | T_FIN | T_CWR, opts, sizeof(opts),
                           data, size, false);
    struct net_meta m = {.flags = NET_NEEDS_CSUM,
                         .gso = version == 4 ? NET_GSO_TCP4 : NET_GSO_TCP6 | NET_GSO_ECN,
                         .gso_size = gso_size};
    c->version = version;
    c->opts_len = sizeof(opts);
    c->max_payload = gso_size;
    c->seq = ends.seq;
    assert_int_equal(net_segment(f, len, &m, check_segment, c), 0);
    assert_int_equal(c->count, expected);
    assert_int_equal(c->bytes, size);
    assert_memory_equal(c->data, data, size);
    assert_int_equal(c->flags & (T_FIN | T_PSH), T_FIN | T_PSH);
    assert_false(c->fin_early);
    assert_false(c->cwr_late);
    free(c);
    free(f);
    free(data);
}

static void segments_tcp(void **state)
{
    for (int version = 4; version <= 6; version += 2) {
        segment(version, 5000, 1448, 4);
        segment(version, 2896, 1448, 2);
        segment(version, 1, 1448, 1);
        segment(version, 65000, 1448, 45);
        segment(version, 301, 7, 43);
    }
}

static void segment_without_payload(void **state)
{
    uint8_t f[128];
    size_t len = frame_tcp(f, &ends, 4, T_ACK, NULL, 0, NULL, 0, false);
    struct net_meta m = {.gso = NET_GSO_TCP4, .gso_size = 1448};
    struct collector *c = calloc(1, sizeof(*c));
    c->version = 4;
    c->seq = ends.seq;
    assert_int_equal(net_segment(f, len, &m, check_segment, c), 0);
    assert_int_equal(c->count, 1);
    free(c);
}

static void emit_nothing(void *opaque, uint8_t *f, size_t len)
{
    fail_msg("a frame was emitted");
}

static void refuses_to_segment(void **state)
{
    uint8_t f[256], data[100] = {0};
    size_t len = frame_tcp(f, &ends, 4, T_ACK, NULL, 0, data, sizeof(data), true);
    struct net_meta m = {.gso = NET_GSO_TCP6, .gso_size = 10};
    assert_int_equal(net_segment(f, len, &m, emit_nothing, NULL), -EPROTO);
    m = (struct net_meta){.gso = NET_GSO_TCP4, .gso_size = 0};
    assert_int_equal(net_segment(f, len, &m, emit_nothing, NULL), -EPROTO);
    m.gso_size = 10;
    assert_int_equal(net_segment(f, 40, &m, emit_nothing, NULL), -EPROTO);
    f[46] = 0xf0; /* TCP header longer than the packet */
    frame_put16(f + 16, 60);
    assert_int_equal(net_segment(f, len, &m, emit_nothing, NULL), -EPROTO);
    len = frame_udp(f, &ends, data, sizeof(data));
    assert_int_equal(net_segment(f, len, &m, emit_nothing, NULL), -EPROTO);
    assert_int_equal(net_tcp_csum(f, len, &m), -EPROTO);
}

/* The sum of a whole GSO frame does not depend on what the guest left in the field. */
static void sums_gso_frames(void **state)
{
    uint8_t f[4096], data[3000];
    memset(data, 0x5a, sizeof(data));
    size_t len = frame_tcp(f, &ends, 4, T_ACK, NULL, 0, data, sizeof(data), false);
    struct net_meta m = {.gso = NET_GSO_TCP4, .gso_size = 1448};
    frame_put16(f + 50, 0xbeef);
    assert_int_equal(net_tcp_csum(f, len, &m), 0);
    assert_int_equal(frame_l4_sum(f), 0xffff);
    assert_true(frame_ip4_ok(f));
}

static void describes_large_frames(void **state)
{
    uint8_t f[9000], data[8000];
    memset(data, 0x33, sizeof(data));
    for (int version = 4; version <= 6; version += 2) {
        struct net_meta m;
        unsigned l4 = version == 4 ? 34 : 54;
        size_t len = frame_tcp(f, &ends, version, T_ACK, NULL, 0, data, sizeof(data), true);
        assert_int_equal(net_make_gso(f, len, &m), (int)l4 + 20);
        assert_int_equal(m.gso, version == 4 ? NET_GSO_TCP4 : NET_GSO_TCP6);
        assert_int_equal(m.gso_size, version == 4 ? 1460 : 1440);
        assert_int_equal(m.flags, NET_NEEDS_CSUM);
        assert_int_equal(m.csum_start, l4);
        assert_int_equal(net_csum_complete(f, len, &m), 0);
        assert_int_equal(frame_l4_sum(f), 0xffff);
    }
}

/* --- fragmentation --- */

struct pieces {
    unsigned count, next;
    bool last;
    uint8_t data[5000];
};

static void check_fragment(void *opaque, uint8_t *f, size_t len)
{
    struct pieces *p = opaque;
    unsigned word = frame_get16(f + 20), offset = (word & 0x1fff) * 8;
    assert_true(len <= NET_MTU + NET_ETH_LEN);
    assert_true(frame_ip4_ok(f));
    assert_int_equal(frame_get16(f + 16), len - FRAME_ETH);
    assert_int_equal(offset, p->next);
    assert_false(p->last);
    p->last = (word & 0x2000) == 0;
    memcpy(p->data + offset, f + 34, len - 34);
    p->next = offset + (unsigned)len - 34;
    p->count++;
}

static void fragments_udp(void **state)
{
    uint8_t f[4500], data[4000], whole[4500];
    struct pieces p = {0};
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i / 3);
    size_t len = frame_udp(f, &ends, data, sizeof(data));
    memcpy(whole, f, len);
    assert_int_equal(net_fragment4(f, len, NET_MTU, check_fragment, &p), 0);
    assert_int_equal(p.count, 3);
    assert_true(p.last);
    assert_int_equal(p.next, len - 34);
    assert_memory_equal(p.data, whole + 34, len - 34);
}

static void refuses_to_fragment(void **state)
{
    uint8_t f[3000], data[2000] = {0};
    size_t len = frame_tcp(f, &ends, 6, T_ACK, NULL, 0, data, sizeof(data), true);
    assert_int_equal(net_fragment4(f, len, NET_MTU, emit_nothing, NULL), -EPROTO);
}

/* --- maximum segment size --- */

static void raise(const uint8_t *opts, unsigned opts_len, unsigned at, unsigned expected)
{
    uint8_t f[128];
    size_t len = frame_tcp(f, &ends, 4, T_SYN, opts, opts_len, NULL, 0, true);
    net_raise_mss(f, len, 16384);
    assert_int_equal(frame_get16(f + 54 + at), expected);
    assert_int_equal(frame_l4_sum(f), 0xffff);
}

static void raises_mss(void **state)
{
    raise((const uint8_t[]){2, 4, 5, 0xb4}, 4, 2, 16384);
    raise((const uint8_t[]){1, 2, 4, 5, 0xb4, 1, 1, 0}, 8, 3, 16384);
    raise((const uint8_t[]){4, 2, 2, 4, 5, 0xb4, 1, 1}, 8, 4, 16384);
    raise((const uint8_t[]){2, 4, 5, 0x78}, 4, 2, 1400);
    raise((const uint8_t[]){0, 0, 2, 4, 5, 0xb4, 1, 1}, 8, 4, 1460);
    raise((const uint8_t[]){9, 0, 2, 4, 5, 0xb4, 1, 1}, 8, 4, 1460);
    raise((const uint8_t[]){9, 200, 2, 4, 5, 0xb4, 1, 1}, 8, 4, 1460);
}

static void raises_mss_of_ip6_and_only_of_syn(void **state)
{
    static const uint8_t opts[4] = {2, 4, 5, 0xa0};
    uint8_t f[128];
    size_t len = frame_tcp(f, &ends, 6, T_SYN, opts, 4, NULL, 0, true);
    net_raise_mss(f, len, 16384);
    assert_int_equal(frame_get16(f + 76), 16384);
    assert_int_equal(frame_l4_sum(f), 0xffff);
    len = frame_tcp(f, &ends, 6, T_ACK, opts, 4, NULL, 0, true);
    net_raise_mss(f, len, 16384);
    assert_int_equal(frame_get16(f + 76), 1440);
}

/* --- parsing --- */

static void parses_vlan_and_extensions(void **state)
{
    uint8_t f[256] = {0};
    struct net_layout at;
    frame_put16(f + 12, 0x8100);
    frame_put16(f + 16, 0x86dd);
    f[18] = 0x60;
    frame_put16(f + 22, 8 + 16 + 8 + 20);
    f[24] = 0;      /* hop by hop, 8 bytes */
    f[58] = 60;     /* then destination options, 16 bytes */
    f[58 + 8] = 44; /* then a fragment header that says "all of it" */
    f[58 + 9] = 1;
    f[58 + 24] = 6;
    assert_int_equal(net_parse(f, 18 + 40 + 52, &at), 0);
    assert_int_equal(at.l3, 18);
    assert_int_equal(at.l4, 18 + 40 + 32);
    assert_int_equal(at.proto, NET_PROTO_TCP);
    assert_int_equal(at.end, 18 + 40 + 52);
    assert_false(at.fragment);
    frame_put16(f + 58 + 26, 1); /* more fragments */
    assert_int_equal(net_parse(f, 18 + 40 + 52, &at), 0);
    assert_true(at.fragment);
    f[58 + 9] = 255;
    assert_int_equal(net_parse(f, 18 + 40 + 52, &at), -EPROTO);
}

static void ignores_padding(void **state)
{
    uint8_t f[64] = {0};
    struct net_layout at;
    size_t len = frame_tcp(f, &ends, 4, T_ACK, NULL, 0, NULL, 0, true);
    assert_int_equal(net_parse(f, 60, &at), 0);
    assert_int_equal(at.end, len);
}

/* Whatever the bytes are, nothing outside the frame is touched (the sanitizers see it). */
static void touch(void *opaque, uint8_t *f, size_t len)
{
    volatile uint8_t *first = f, *last = f + len - 1;
    *first = *last;
}

static void survives_mutations(void **state)
{
    uint8_t proto[2000], data[900] = {0};
    static const uint8_t opts[8] = {2, 4, 5, 0xb4, 1, 1, 4, 2};
    uint32_t seed = 12345;
    for (unsigned round = 0; round < 20000; round++) {
        size_t len = round % 3 == 0 ? frame_udp(proto, &ends, data, sizeof(data))
                                    : frame_tcp(proto, &ends, round % 3 == 1 ? 4 : 6, T_SYN, opts,
                                                sizeof(opts), data, sizeof(data), false);
        for (unsigned i = 0; i < 4; i++) {
            seed = seed * 1664525u + 1013904223u;
            proto[12 + (seed >> 8) % 70] = (uint8_t)(seed >> 24);
        }
        len = (seed >> 16) % 4 == 0 ? (seed >> 4) % (len + 1) : len;
        uint8_t *f = malloc(len > 0 ? len : 1);
        struct net_meta m = {.flags = NET_NEEDS_CSUM,
                             .gso = (seed >> 5) & 1 ? NET_GSO_TCP4 : NET_GSO_TCP6,
                             .gso_size = (uint16_t)(seed >> 20 & 255),
                             .csum_start = (uint16_t)(seed >> 3 & 63),
                             .csum_offset = (uint16_t)(seed >> 9 & 2047)},
                        made;
        memcpy(f, proto, len);
        (void)!net_csum_complete(f, len, &m);
        net_raise_mss(f, len, 16384);
        (void)!net_tcp_csum(f, len, &m);
        switch (round % 4) {
        case 0:
            (void)!net_segment(f, len, &m, touch, NULL);
            break;
        case 1:
            (void)!net_fragment4(f, len, 68 + (seed & 511), touch, NULL);
            break;
        default:
            (void)!net_make_gso(f, len, &made);
            break;
        }
        free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_of_rfc1071),
        cmocka_unit_test(sum_of_ip_header),
        cmocka_unit_test(sum_matches_plain_loop),
        cmocka_unit_test(sum_of_64k_ones),
        cmocka_unit_test(completes_partial_sums),
        cmocka_unit_test(refuses_sums_outside),
        cmocka_unit_test(segments_tcp),
        cmocka_unit_test(segment_without_payload),
        cmocka_unit_test(refuses_to_segment),
        cmocka_unit_test(sums_gso_frames),
        cmocka_unit_test(describes_large_frames),
        cmocka_unit_test(fragments_udp),
        cmocka_unit_test(refuses_to_fragment),
        cmocka_unit_test(raises_mss),
        cmocka_unit_test(raises_mss_of_ip6_and_only_of_syn),
        cmocka_unit_test(parses_vlan_and_extensions),
        cmocka_unit_test(ignores_padding),
        cmocka_unit_test(survives_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
