/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The user-mode network with a small client in place of the guest. Loopback only. */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/slirp.h"
#include "net_client.h"

/* More than the buffers of a loopback connection hold. */
#define SLOW_UPLOAD 24000000u

#define TIMEOUT_NS (20u * UINT64_C(1000000000))

static const uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

struct fixture {
    struct loop *loop;
    struct vclock *clock;
    struct timer *timeout, *later;
    struct net_backend net;
    struct net_client client;
    bool late;
    unsigned refuse; /* frames to refuse before each that is taken */
    unsigned refused;
    unsigned ends, received;
    size_t largest_sent;
    uint16_t syn_port; /* of a SYN that arrived */
    uint8_t frame[NET_FRAME_MAX];
};

static void on_timeout(void *opaque)
{
    struct fixture *f = opaque;
    f->late = true;
    loop_stop(f->loop);
}

static void on_ready(void *opaque)
{
    struct fixture *f = opaque;
    f->net.ops->ready(f->net.self);
}

static bool receive(void *opaque, const struct net_meta *meta, const struct iovec *iov,
                    unsigned count)
{
    struct fixture *f = opaque;
    if (f->refused < f->refuse) {
        f->refused++;
        timer_arm(f->later, vclock_now(f->clock) + 100000);
        return false;
    }
    f->refused = 0;
    f->received++;
    const uint8_t *frame = f->frame;
    size_t len = 0;
    for (unsigned i = 0; i < count; i++) {
        assert_true(iov[i].iov_len <= sizeof(f->frame) - len);
        memcpy(f->frame + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    if (len >= 54 && frame_get16(frame + 12) == 0x0800 && frame[23] == 6 &&
        (frame[47] & (T_SYN | T_ACK)) == T_SYN) {
        f->syn_port = (uint16_t)frame_get16(frame + 36);
        loop_stop(f->loop);
    }
    net_client_input(&f->client, meta, frame, len);
    return true;
}

static void receive_end(void *opaque)
{
    struct fixture *f = opaque;
    f->ends++;
}

static const struct net_peer_ops peer = {.receive = receive, .receive_end = receive_end};

/* A receive() may not call back: what the client sends waits for the loop. */
struct outgoing {
    struct fixture *f;
    struct net_meta meta;
    size_t len;
    uint8_t frame[];
};

static void send_now(void *opaque)
{
    struct outgoing *o = opaque;
    o->f->net.ops->send(o->f->net.self, &o->meta, o->frame, o->len);
    o->f->net.ops->send_end(o->f->net.self);
    free(o);
}

static void client_send(void *opaque, const struct net_meta *meta, uint8_t *frame, size_t len)
{
    struct fixture *f = opaque;
    struct outgoing *o = malloc(sizeof(*o) + len);
    assert_non_null(o);
    *o = (struct outgoing){.f = f, .meta = *meta, .len = len};
    memcpy(o->frame, frame, len);
    f->largest_sent = len > f->largest_sent ? len : f->largest_sent;
    assert_int_equal(loop_post(f->loop, send_now, o), 0);
}

static void client_finished(void *opaque)
{
    struct fixture *f = opaque;
    loop_stop(f->loop);
}

static void set_up(struct fixture *f, const char *network)
{
    struct net_options o;
    struct err e = {0};
    memset(f, 0, sizeof(*f));
    assert_int_equal(net_options_parse(&o, network, &e), 0);
    assert_int_equal(loop_create(&f->loop), 0);
    assert_int_equal(vclock_create(&f->clock), 0);
    assert_int_equal(timer_create_on(f->loop, f->clock, on_timeout, f, &f->timeout), 0);
    assert_int_equal(timer_create_on(f->loop, f->clock, on_ready, f, &f->later), 0);
    struct net_user_config cfg = {.loop = f->loop, .clock = f->clock, .options = &o};
    if (net_user_create(&cfg, &f->net, &e) != 0)
        fail_msg("%s", e.text);
    f->net.ops->attach(f->net.self, &peer, f);
    f->client.send = client_send;
    f->client.finished = client_finished;
    f->client.opaque = f;
}

static void tear_down(struct fixture *f)
{
    /* What was posted runs, so that it is freed. */
    f->client.phase = CLIENT_DONE;
    assert_int_equal(loop_post(f->loop, client_finished, f), 0);
    loop_run(f->loop);

    f->net.ops->destroy(f->net.self);
    timer_destroy(f->timeout);
    timer_destroy(f->later);
    vclock_destroy(f->clock);
    loop_destroy(f->loop);
}

static void run(struct fixture *f)
{
    timer_arm(f->timeout, vclock_now(f->clock) + TIMEOUT_NS);
    loop_run(f->loop);
    if (f->client.phase == CLIENT_FAILED)
        fail_msg("%s", f->client.why);
    assert_false(f->late);
}

static void transfer(struct fixture *f, unsigned offloads, size_t upload, size_t download)
{
    struct net_server server;
    net_server_start(&server, upload, download);
    f->client.server_port = server.port;
    f->client.upload = upload;
    f->client.download = download;
    f->client.tso = offloads != 0;
    f->net.ops->set_offloads(f->net.self, offloads);
    net_client_start(&f->client, mac);
    run(f);
    net_server_join(&server);
    assert_true(server.ok);
    assert_int_equal(f->client.got, download);
    assert_int_equal(f->client.ends.ip, 0x0a00020f);
}

static void plain_transfer(void **state)
{
    struct fixture f;
    set_up(&f, "user");
    transfer(&f, 0, 300000, 300000);
    assert_true(f.client.largest <= NET_MTU + NET_ETH_LEN);
    assert_int_equal(f.client.gso_frames, 0);
    assert_true(f.ends > 0);
    tear_down(&f);
}

static void offloaded_transfer(void **state)
{
    struct fixture f;
    set_up(&f, "user,ipv6=on");
    transfer(&f, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6, 5000000, 5000000);
    assert_true(f.client.largest > 4 * NET_MTU);
    assert_true(f.client.gso_frames > 0);
    tear_down(&f);
}

/* A frame that is too large for libslirp and says that its segments are of one byte: each would be
 * acknowledged. */
static void tiny_segments(void **state)
{
    struct fixture f;
    set_up(&f, "user");
    f.client.large = UINT16_MAX - 40;
    f.client.mss = 1;
    transfer(&f, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4, UINT16_MAX - 40, 1);
    assert_int_equal(f.largest_sent, NET_ETH_LEN + UINT16_MAX);
    assert_true(f.received < 100);
    tear_down(&f);
}

/* Every frame is refused twice before it is taken: none is lost, none comes twice. */
static void slow_guest(void **state)
{
    struct fixture f;
    set_up(&f, "user");
    f.refuse = 2;
    transfer(&f, 0, 20000, 200000);
    tear_down(&f);
}

/* The window closes and opens again and again; the client sends no probes, so that an update that
 * does not come is a time-out. */
static void slow_server(void **state)
{
    struct fixture f;
    struct net_server server;
    set_up(&f, "user");
    net_server_start(&server, SLOW_UPLOAD, 1);
    server.delay_us = 500;
    f.client.server_port = server.port;
    f.client.upload = SLOW_UPLOAD;
    f.client.download = 1;
    f.client.tso = true;
    f.net.ops->set_offloads(f.net.self, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4);
    net_client_start(&f.client, mac);
    run(&f);
    net_server_join(&server);
    assert_true(server.ok);
    tear_down(&f);
}

static void offload_changes_drop_what_waits(void **state)
{
    struct fixture f;
    set_up(&f, "user");
    f.refuse = UINT32_MAX;
    uint8_t frame[400];
    struct net_meta meta = {0};
    size_t len = frame_dhcp(frame, mac, 1, 0);
    f.net.ops->send(f.net.self, &meta, frame, len);
    assert_int_equal(f.refused, 1);
    f.net.ops->set_offloads(f.net.self, NET_OFFLOAD_CSUM);
    f.net.ops->ready(f.net.self);
    assert_int_equal(f.refused, 1); /* nothing was offered again */
    tear_down(&f);
}

static uint16_t free_port(int *fd)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(*fd, 1), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&addr, &len), 0);
    return ntohs(addr.sin_port);
}

static void taken_port(void **state)
{
    int fd;
    char text[64];
    struct net_options o;
    struct err e = {0};
    struct loop *loop;
    struct net_backend net;
    snprintf(text, sizeof(text), "user,hostfwd=tcp:127.0.0.1:%u-:22", free_port(&fd));
    assert_int_equal(net_options_parse(&o, text, &e), 0);
    assert_int_equal(loop_create(&loop), 0);
    struct net_user_config cfg = {.loop = loop, .options = &o};
    assert_int_equal(net_user_create(&cfg, &net, &e), -EADDRINUSE);
    assert_false(e.usage);
    assert_non_null(strstr(e.text, "in use"));
    assert_non_null(strstr(e.text, "tcp:127.0.0.1:"));
    loop_destroy(loop);
    close(fd);
}

/* A connection to the forwarded port arrives as a SYN at the guest's. */
static void forwarded_port(void **state)
{
    int fd;
    char text[64];
    struct fixture f;
    uint16_t port = free_port(&fd);
    close(fd);
    snprintf(text, sizeof(text), "user,hostfwd=tcp:127.0.0.1:%u-:2222", port);
    set_up(&f, text);
    f.client.arp_only = true;
    net_client_start(&f.client, mac);
    run(&f);
    assert_int_equal(f.client.phase, CLIENT_DONE);
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(s, (struct sockaddr *)&addr, sizeof(addr)), 0);
    run(&f);
    assert_int_equal(f.syn_port, 2222);
    close(s);
    tear_down(&f);
}

/* Nonsense from the guest is dropped; the network still works. */
static void hostile_frames(void **state)
{
    struct fixture f;
    uint8_t *frame = malloc(NET_FRAME_MAX);
    uint32_t seed = 99;
    set_up(&f, "user");
    f.net.ops->set_offloads(f.net.self, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6);
    for (unsigned i = 0; i < 3000; i++) {
        struct frame_ends ends = {.ip = 0x0a00020f, .peer_ip = 0x0a000202};
        uint8_t data[600] = {0};
        size_t len = frame_tcp(frame, &ends, i & 1 ? 4 : 6, T_ACK | T_RST, NULL, 0, data,
                               sizeof(data), true);
        for (unsigned k = 0; k < 3; k++) {
            seed = seed * 1664525u + 1013904223u;
            /* addresses stay: nothing but the host's loopback may be addressed */
            frame[k == 0 ? 12 + (seed >> 8) % 12 : 34 + (seed >> 8) % 40] ^= (uint8_t)(seed >> 24);
        }
        frame_put32(frame + 30, 0x0a000202);
        struct net_meta meta = {.flags = (uint8_t)(seed >> 3),
                                .gso = (uint8_t)(seed >> 28),
                                .gso_size = (uint16_t)(seed >> 7 & 1023),
                                .csum_start = (uint16_t)(seed >> 11 & 127),
                                .csum_offset = (uint16_t)(seed >> 5 & 127)};
        f.net.ops->send(f.net.self, &meta, frame, (seed >> 9) % 8 == 0 ? seed % 64 : len);
    }
    free(frame);
    f.client.arp_only = true;
    net_client_start(&f.client, mac);
    run(&f);
    assert_int_equal(f.client.phase, CLIENT_DONE);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_transfer), cmocka_unit_test(offloaded_transfer),
        cmocka_unit_test(tiny_segments),  cmocka_unit_test(slow_guest),
        cmocka_unit_test(slow_server),    cmocka_unit_test(offload_changes_drop_what_waits),
        cmocka_unit_test(taken_port),     cmocka_unit_test(forwarded_port),
        cmocka_unit_test(hostile_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
