/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net under a small driver: transfers through the user-mode network (loopback only), and
 * everything else against a back end that the test plays itself.
 */
#include "../unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "../unit/net_client.h"
#include "dev/virtio/virtio_net.h"
#include "net/slirp.h"
#include "net_driver.h"

#define BIT(n) (UINT64_C(1) << (n))
#define ALL_FEATURES UINT64_C(0xffffffff)
#define NO_RING_FEATURES (~(BIT(28) | BIT(29)))
#define TIMEOUT_NS (20u * UINT64_C(1000000000))

static const uint8_t default_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

/* --- transfers through the user-mode network --- */

struct machine {
    struct loop *loop;
    struct vclock *clock;
    struct timer *timeout, *later;
    struct net_backend net;
    struct net_driver drv;
    struct net_client client;
    bool late;
};

static void on_timeout(void *opaque)
{
    struct machine *m = opaque;
    m->late = true;
    loop_stop(m->loop);
}

static void client_send(void *opaque, const struct net_meta *meta, uint8_t *frame, size_t len)
{
    struct machine *m = opaque;
    nd_send(&m->drv, meta, frame, len);
}

static void client_finished(void *opaque)
{
    struct machine *m = opaque;
    loop_stop(m->loop);
}

static void client_input(void *opaque, const struct net_meta *meta, const uint8_t *f, size_t len)
{
    struct machine *m = opaque;
    net_client_input(&m->client, meta, f, len);
}

static void machine_up(struct machine *m)
{
    struct net_options o;
    struct err e = {0};
    memset(m, 0, sizeof(*m));
    assert_int_equal(net_options_parse(&o, "user", &e), 0);
    assert_int_equal(loop_create(&m->loop), 0);
    assert_int_equal(vclock_create(&m->clock), 0);
    assert_int_equal(timer_create_on(m->loop, m->clock, on_timeout, m, &m->timeout), 0);
    struct net_user_config cfg = {.loop = m->loop, .clock = m->clock, .options = &o};
    assert_int_equal(net_user_create(&cfg, &m->net, &e), 0);
    nd_create(&m->drv, m->loop, &m->net);
    m->drv.input = client_input;
    m->drv.opaque = m;
    m->client.send = client_send;
    m->client.finished = client_finished;
    m->client.opaque = m;
}

static void machine_down(struct machine *m)
{
    nd_destroy(&m->drv);
    m->net.ops->destroy(m->net.self);
    timer_destroy(m->timeout);
    timer_destroy(m->later);
    vclock_destroy(m->clock);
    loop_destroy(m->loop);
}

static void machine_run(struct machine *m)
{
    timer_arm(m->timeout, vclock_now(m->clock) + TIMEOUT_NS);
    loop_run(m->loop);
    if (m->client.phase == CLIENT_FAILED)
        fail_msg("%s", m->client.why);
    assert_false(m->late);
    assert_false(m->drv.overflow);
}

static void transfer(struct machine *m, size_t upload, size_t download, bool tso)
{
    struct net_server server;
    net_server_start(&server, upload, download);
    m->client.server_port = server.port;
    m->client.upload = upload;
    m->client.download = download;
    m->client.tso = tso;
    net_client_start(&m->client, default_mac);
    machine_run(m);
    net_server_join(&server);
    assert_true(server.ok);
    assert_int_equal(m->client.got, download);
    assert_int_equal(m->client.ends.ip, 0x0a00020f);
}

static void all_features(void **state)
{
    struct machine m;
    machine_up(&m);
    nd_start(&m.drv, ALL_FEATURES & NO_RING_FEATURES, 64, 2048);
    transfer(&m, 3000000, 3000000, true);
    assert_true(m.client.gso_frames > 0);
    assert_true(m.drv.interrupts < m.drv.received * 2 + 1000);
    machine_down(&m);
}

static void no_features(void **state)
{
    struct machine m;
    machine_up(&m);
    nd_start(&m.drv, 0, 32, 1526);
    transfer(&m, 300000, 300000, false);
    assert_true(m.client.largest <= 1514);
    machine_down(&m);
}

static void large_buffers(void **state)
{
    struct machine m;
    machine_up(&m);
    nd_start(&m.drv,
             BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) |
                 BIT(VIRTIO_NET_F_GUEST_TSO6),
             8, 65562);
    transfer(&m, 300000, 3000000, false);
    assert_true(m.client.gso_frames > 0);
    machine_down(&m);
}

/* So few buffers that the device runs dry all the time. */
static void few_buffers(void **state)
{
    struct machine m;
    machine_up(&m);
    nd_start(&m.drv, ALL_FEATURES & NO_RING_FEATURES, 9, 2048);
    transfer(&m, 100000, 2000000, true);
    machine_down(&m);
}

static void second_driver(void **state)
{
    struct machine m;
    machine_up(&m);
    nd_start(&m.drv, ALL_FEATURES & NO_RING_FEATURES, 64, 2048);
    transfer(&m, 100000, 100000, true);
    nd_start(&m.drv, 0, 32, 1526);
    struct net_client fresh = {.send = client_send, .finished = client_finished, .opaque = &m};
    m.client = fresh;
    transfer(&m, 100000, 100000, false);
    assert_int_equal(m.client.gso_frames, 0);
    machine_down(&m);
}

/* --- against a back end of the test's own --- */

struct fake {
    struct loop *loop;
    struct net_backend net;
    struct net_driver drv;
    const struct net_peer_ops *peer;
    void *peer_opaque;
    unsigned offloads, sent, ready;
    struct net_meta last_meta; /* of the last frame sent */
    size_t last_len;
    unsigned inputs; /* frames that the driver got */
    struct net_meta in_meta;
    size_t in_len;
    uint8_t in[NET_FRAME_MAX];
};

static void fake_attach(void *self, const struct net_peer_ops *ops, void *opaque)
{
    struct fake *f = self;
    f->peer = ops;
    f->peer_opaque = opaque;
}

static void fake_offloads(void *self, unsigned offloads)
{
    ((struct fake *)self)->offloads = offloads;
}

static void fake_send(void *self, const struct net_meta *meta, uint8_t *frame, size_t len)
{
    struct fake *f = self;
    f->sent++;
    f->last_meta = *meta;
    f->last_len = len;
    memset(frame, 0xee, len); /* it may be scribbled on */
}

static void fake_send_end(void *self)
{
}

static void fake_ready(void *self)
{
    ((struct fake *)self)->ready++;
}

static bool fake_link(void *self)
{
    return true;
}

static const struct net_backend_ops fake_ops = {
    .name = "fake",
    .attach = fake_attach,
    .set_offloads = fake_offloads,
    .send = fake_send,
    .send_end = fake_send_end,
    .ready = fake_ready,
    .link_up = fake_link,
};

static void fake_input(void *opaque, const struct net_meta *meta, const uint8_t *frame, size_t len)
{
    struct fake *f = opaque;
    f->inputs++;
    f->in_meta = *meta;
    f->in_len = len;
    memcpy(f->in, frame, len);
}

static void fake_up(struct fake *f)
{
    memset(f, 0, sizeof(*f));
    f->net =
        (struct net_backend){.ops = &fake_ops,
                             .self = f,
                             .offloads = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6};
    assert_int_equal(loop_create(&f->loop), 0);
    nd_create(&f->drv, f->loop, &f->net);
    f->drv.input = fake_input;
    f->drv.opaque = f;
}

static void fake_down(struct fake *f)
{
    nd_destroy(&f->drv);
    assert_null(f->peer);
    loop_destroy(f->loop);
}

/* A frame from the network, in two pieces; true: taken. */
static bool from_network(struct fake *f, const uint8_t *mac, size_t len, struct net_meta meta)
{
    uint8_t *frame = malloc(len);
    for (size_t i = 0; i < len; i++)
        frame[i] = net_pattern(i);
    memcpy(frame, mac, 6);
    struct iovec iov[2] = {{frame, 14}, {frame + 14, len - 14}};
    bool taken = f->peer->receive(f->peer_opaque, &meta, iov, 2);
    f->peer->receive_end(f->peer_opaque);
    free(frame);
    return taken;
}

/* How many frames the driver gets when one for `mac` arrives. */
static unsigned passes(struct fake *f, const uint8_t *mac)
{
    unsigned before = f->inputs;
    assert_true(from_network(f, mac, 60, (struct net_meta){0}));
    return f->inputs - before;
}

static void configuration(void **state)
{
    struct fake f;
    fake_up(&f);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(nd_read(&f.drv, f.drv.config + i, 1), default_mac[i]);
    assert_int_equal(nd_read(&f.drv, f.drv.config + 6, 2), 1);
    f.peer->link(f.peer_opaque, false);
    assert_int_equal(nd_read(&f.drv, f.drv.config + 6, 2), 0);
    uint64_t want = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) |
                    BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CTRL_VQ);
    assert_true((nd_offered(&f.drv) & want) == want);
    fake_down(&f);
}

static void without_cable(void **state)
{
    struct loop *loop;
    struct net_driver *d = calloc(1, sizeof(*d));
    uint8_t frame[60] = {0};
    assert_int_equal(loop_create(&loop), 0);
    nd_create(d, loop, NULL);
    assert_int_equal(nd_read(d, d->config + 6, 2), 0);
    assert_int_equal(nd_offered(d) & BIT(VIRTIO_NET_F_CSUM), 0);
    nd_start(d, 0, 4, 1526);
    nd_send(d, &(struct net_meta){0}, frame, sizeof(frame));
    nd_settle(d);
    assert_int_equal(d->queues[ND_TX].busy, 0);
    nd_destroy(d);
    loop_destroy(loop);
    free(d);
}

static void mergeable_buffers(void **state)
{
    struct fake f;
    fake_up(&f);
    nd_start(&f.drv, ALL_FEATURES & NO_RING_FEATURES, 32, 100);
    nd_settle(&f.drv);
    assert_int_equal(f.offloads, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6);
    for (size_t len = 60; len <= 3188; len += len < 300 ? 1 : 97) {
        unsigned before = f.inputs;
        assert_true(from_network(&f, default_mac, len, (struct net_meta){.flags = NET_DATA_VALID}));
        assert_int_equal(f.inputs, before + 1);
        assert_int_equal(f.in_len, len);
        assert_int_equal(f.in_meta.flags, NET_DATA_VALID);
        for (size_t i = 6; i < len; i++)
            assert_int_equal(f.in[i], net_pattern(i));
        nd_settle(&f.drv);
    }
    fake_down(&f);
}

/* What does not fit now is refused, what never fits is dropped. */
static void starvation(void **state)
{
    struct fake f;
    fake_up(&f);
    nd_start(&f.drv, BIT(VIRTIO_NET_F_MRG_RXBUF), 2, 100);
    f.drv.hold_rx = true;
    nd_settle(&f.drv);
    unsigned ready = f.ready;
    assert_false(from_network(&f, default_mac, 500, (struct net_meta){0}));
    assert_false(from_network(&f, default_mac, 500, (struct net_meta){0}));
    assert_int_equal(f.inputs, 0);
    nd_post_rx(&f.drv, 5);
    nd_kick(&f.drv, ND_RX);
    nd_settle(&f.drv);
    assert_true(f.ready > ready);
    assert_true(from_network(&f, default_mac, 250, (struct net_meta){0}));
    assert_int_equal(f.inputs, 1);
    assert_false(from_network(&f, default_mac, 60, (struct net_meta){0}));
    nd_start(&f.drv, 0, 4, 1526);
    nd_settle(&f.drv);
    assert_true(from_network(&f, default_mac, 1515, (struct net_meta){0}));
    assert_int_equal(f.inputs, 1);
    assert_true(from_network(&f, default_mac, 1514, (struct net_meta){0}));
    assert_int_equal(f.inputs, 2);
    fake_down(&f);
}

static void frames_for_nobody(void **state)
{
    struct fake f;
    fake_up(&f);
    assert_true(from_network(&f, default_mac, 60, (struct net_meta){0})); /* no driver */
    nd_start(&f.drv, 0, 4, 1526);
    nd_settle(&f.drv);
    struct net_meta gso = {.flags = NET_NEEDS_CSUM, .gso = NET_GSO_TCP4, .gso_size = 1000};
    assert_true(from_network(&f, default_mac, 1000, gso)); /* not negotiated */
    assert_true(from_network(&f, default_mac, 1000, (struct net_meta){.flags = NET_NEEDS_CSUM}));
    assert_int_equal(f.inputs, 0);
    f.drv.dev.ops->pause(f.drv.dev.self);
    assert_false(from_network(&f, default_mac, 60, (struct net_meta){0}));
    assert_int_equal(f.inputs, 0);
    unsigned ready = f.ready;
    f.drv.dev.ops->resume(f.drv.dev.self);
    nd_settle(&f.drv);
    assert_true(f.ready > ready);
    assert_true(from_network(&f, default_mac, 60, (struct net_meta){0}));
    assert_int_equal(f.inputs, 1);
    fake_down(&f);
}

static void receive_filter(void **state)
{
    static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
    static const uint8_t group[6] = {1, 0, 0x5e, 0, 0, 1}, group2[6] = {1, 0, 0x5e, 0, 0, 2};
    static const uint8_t other[6] = {2, 0, 0, 0, 0, 1}, other2[6] = {2, 0, 0, 0, 0, 2};
    const uint8_t on = 1, off = 0;
    uint8_t table[20] = {1};
    struct fake f;
    fake_up(&f);
    nd_start(&f.drv, ALL_FEATURES & NO_RING_FEATURES, 32, 2048);
    nd_settle(&f.drv);
    assert_int_equal(passes(&f, other), 1); /* no filter was set */
    assert_int_equal(nd_control(&f.drv, 0, 0, &off, 1), 0);
    assert_int_equal(passes(&f, other), 0);
    assert_int_equal(passes(&f, group), 0);
    assert_int_equal(passes(&f, default_mac), 1);
    assert_int_equal(passes(&f, broadcast), 1);
    memcpy(table + 4, other, 6);
    table[10] = 1;
    memcpy(table + 14, group, 6);
    assert_int_equal(nd_control(&f.drv, 1, 0, table, 20), 0);
    assert_int_equal(passes(&f, other), 1);
    assert_int_equal(passes(&f, other2), 0);
    assert_int_equal(passes(&f, group), 1);
    assert_int_equal(passes(&f, group2), 0);
    assert_int_equal(nd_control(&f.drv, 0, 1, &on, 1), 0);
    assert_int_equal(passes(&f, group2), 1);
    assert_int_equal(nd_control(&f.drv, 0, 3, &on, 1), 0);
    assert_int_equal(passes(&f, group), 0);
    assert_int_equal(nd_control(&f.drv, 0, 5, &on, 1), 0);
    assert_int_equal(passes(&f, broadcast), 0);
    assert_int_equal(nd_control(&f.drv, 1, 1, other2, 6), 0);
    assert_int_equal(passes(&f, other2), 1);
    assert_int_equal(passes(&f, default_mac), 0);
    assert_int_equal(nd_read(&f.drv, f.drv.config + 5, 1), 2);
    nd_start(&f.drv, 0, 4, 1526);
    assert_int_equal(nd_read(&f.drv, f.drv.config + 5, 1), 0x56);
    fake_down(&f);
}

static void large_tables(void **state)
{
    static const uint8_t other[6] = {2, 0, 0, 0, 0, 1};
    const uint8_t off = 0;
    uint8_t table[8 + 6 * 200] = {0};
    struct fake f;
    fake_up(&f);
    nd_start(&f.drv, ALL_FEATURES & NO_RING_FEATURES, 32, 2048);
    nd_settle(&f.drv);
    assert_int_equal(nd_control(&f.drv, 0, 0, &off, 1), 0);
    assert_int_equal(passes(&f, other), 0);
    table[0] = 200;
    assert_int_equal(nd_control(&f.drv, 1, 0, table, sizeof(table)), 0);
    assert_int_equal(passes(&f, other), 1);
    table[0] = 0;
    assert_int_equal(nd_control(&f.drv, 1, 0, table, 8), 0);
    assert_int_equal(passes(&f, other), 0);
    fake_down(&f);
}

static void bad_commands(void **state)
{
    uint8_t data[32];
    uint64_t offloads = BIT(VIRTIO_NET_F_GUEST_CSUM);
    struct fake f;
    memset(data, 0xff, sizeof(data));
    fake_up(&f);
    nd_start(&f.drv, ALL_FEATURES & NO_RING_FEATURES, 4, 2048);
    nd_settle(&f.drv);
    assert_int_equal(nd_control(&f.drv, 99, 0, data, 1), 1);
    assert_int_equal(nd_control(&f.drv, 0, 99, data, 1), 1);
    assert_int_equal(nd_control(&f.drv, 0, 0, data, 0), 1);
    assert_int_equal(nd_control(&f.drv, 1, 0, data, 32), 1); /* more entries than bytes */
    assert_int_equal(nd_control(&f.drv, 1, 0, data, 7), 1);
    assert_int_equal(nd_control(&f.drv, 1, 1, data, 6), 1); /* a multicast address of one's own */
    assert_int_equal(nd_control(&f.drv, 1, 1, data, 5), 1);
    assert_int_equal(nd_control(&f.drv, 5, 0, data, 8), 1);
    assert_int_equal(nd_control(&f.drv, 5, 0, &offloads, 8), 0);
    assert_int_equal(f.offloads, NET_OFFLOAD_CSUM);
    offloads = 0;
    assert_int_equal(nd_control(&f.drv, 5, 0, &offloads, 8), 0);
    assert_int_equal(f.offloads, 0);
    fake_down(&f);
}

static void bad_transmissions(void **state)
{
    uint8_t frame[200] = {0};
    struct fake f;
    fake_up(&f);
    nd_start(&f.drv, BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4), 4, 2048);
    nd_send(&f.drv, &(struct net_meta){.flags = NET_NEEDS_CSUM, .csum_start = 0xffff}, frame, 100);
    nd_settle(&f.drv);
    assert_int_equal(f.sent, 1); /* offsets are the back end's to check */
    assert_int_equal(f.last_len, 100);
    assert_int_equal(f.last_meta.csum_start, 0xffff);
    nd_send(&f.drv, &(struct net_meta){.gso = NET_GSO_TCP4}, frame, 100);
    nd_send(&f.drv, &(struct net_meta){.flags = 1, .gso = NET_GSO_TCP6}, frame, 100);
    nd_send(&f.drv, &(struct net_meta){.flags = 1, .gso = 3}, frame, 100);
    nd_send(&f.drv, &(struct net_meta){.flags = 1, .gso = 0xff}, frame, 100);
    nd_send(&f.drv, &(struct net_meta){.flags = 1, .gso = NET_GSO_ECN}, frame, 100);
    for (size_t len = 0; len < 12 + 14; len++)
        nd_send_raw(&f.drv, frame, len);
    uint8_t *large = calloc(1, NET_FRAME_MAX + 13);
    nd_send_raw(&f.drv, large, NET_FRAME_MAX + 13);
    nd_settle(&f.drv);
    assert_int_equal(f.sent, 1);
    assert_int_equal(f.drv.queues[ND_TX].busy, 0); /* all came back */
    nd_send_raw(&f.drv, large, NET_FRAME_MAX + 12);
    nd_settle(&f.drv);
    assert_int_equal(f.sent, 2);
    assert_int_equal(nd_status(&f.drv), 15);
    free(large);
    fake_down(&f);
}

static void useless_receive_buffer(void **state)
{
    struct fake f;
    fake_up(&f);
    nd_start(&f.drv, 0, 4, 11);
    nd_settle(&f.drv);
    assert_true(from_network(&f, default_mac, 60, (struct net_meta){0}));
    assert_int_equal(nd_status(&f.drv) & VIRTIO_STATUS_NEEDS_RESET, VIRTIO_STATUS_NEEDS_RESET);
    nd_start(&f.drv, 0, 4, 1526);
    nd_settle(&f.drv);
    assert_true(from_network(&f, default_mac, 60, (struct net_meta){0}));
    assert_int_equal(f.inputs, 1);
    fake_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_features),
        cmocka_unit_test(no_features),
        cmocka_unit_test(large_buffers),
        cmocka_unit_test(few_buffers),
        cmocka_unit_test(second_driver),
        cmocka_unit_test(configuration),
        cmocka_unit_test(without_cable),
        cmocka_unit_test(mergeable_buffers),
        cmocka_unit_test(starvation),
        cmocka_unit_test(frames_for_nobody),
        cmocka_unit_test(receive_filter),
        cmocka_unit_test(large_tables),
        cmocka_unit_test(bad_commands),
        cmocka_unit_test(bad_transmissions),
        cmocka_unit_test(useless_receive_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
