/* SPDX-License-Identifier: GPL-2.0-or-later */
/* User-mode NAT by libslirp; see slirp.h. The interface follows libslirp 4.7's libslirp.h. */
#include "net/slirp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "net/frame.h"
#include "net/offload.h"
#include "net/slirp_poll.h"

/*
 * What we tell libslirp the MTU is: the most it accepts. It then neither fragments what it sends
 * (we do, where the guest cannot take it) nor refuses large frames.
 */
#define SLIRP_MTU 65521u

/*
 * The segment size of its TCP. Connections that the guest opens get it through libslirp's MRU,
 * whatever the guest's SYN offers; those from outside go by the guest's answer, which is made to
 * offer it. libslirp updates the window it advertises when it has grown by two segments and knows
 * no window scaling, so two segments have to fit well into 64 KB.
 */
#define SLIRP_MSS 16384u
#define SLIRP_MRU (SLIRP_MSS + 40u)

/* More than net_make_gso looks at. */
#define HEADERS 1024u

/* Frames that wait for the guest. Above the first mark sockets are not read any more; above the
 * second, frames are dropped. */
#define QUEUE_THROTTLE (256u << 10)
#define QUEUE_MAX (4u << 20)

struct queued_frame {
    struct queued_frame *next;
    struct net_meta meta;
    size_t len;
    uint8_t bytes[];
};

struct net_user {
    Slirp *slirp;
    struct loop *loop;
    struct vclock *clock;
    struct slirp_poll poll;
    uint64_t deadline_ns; /* monotonic: when libslirp wants to be called at the latest */
    const struct net_peer_ops *peer;
    void *peer_opaque;
    unsigned offloads; /* of the device */
    bool unannounced;  /* frames were handed over since the last receive_end */
    struct queued_frame *queue, **queue_tail;
    size_t queue_bytes;
    uint8_t scratch[NET_FRAME_MAX]; /* a frame towards the guest that has to be changed */
};

static uint64_t monotonic_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* --- towards the guest --- */

/* A frame in two pieces, so that its headers may be others than those in front of its payload. */
struct pieces {
    struct iovec iov[2];
};

static struct pieces whole(const void *frame, size_t len)
{
    return (struct pieces){{{(void *)(uintptr_t)frame, len}}};
}

static bool offer(struct net_user *u, const struct net_meta *meta, const struct pieces *p)
{
    if (!u->peer->receive(u->peer_opaque, meta, p->iov, p->iov[1].iov_len != 0 ? 2 : 1))
        return false;
    u->unannounced = true;
    return true;
}

static void announce(struct net_user *u)
{
    if (!u->unannounced)
        return;
    u->unannounced = false;
    u->peer->receive_end(u->peer_opaque);
}

static void enqueue(struct net_user *u, const struct net_meta *meta, const struct pieces *p)
{
    size_t len = p->iov[0].iov_len + p->iov[1].iov_len;
    if (u->queue_bytes + len > QUEUE_MAX)
        return;
    struct queued_frame *f = malloc(sizeof(*f) + len);
    if (f == NULL)
        return;
    *f = (struct queued_frame){.meta = *meta, .len = len};
    memcpy(f->bytes, p->iov[0].iov_base, p->iov[0].iov_len);
    if (p->iov[1].iov_len != 0)
        memcpy(f->bytes + p->iov[0].iov_len, p->iov[1].iov_base, p->iov[1].iov_len);
    *u->queue_tail = f;
    u->queue_tail = &f->next;
    u->queue_bytes += len;
}

static void dequeue(struct net_user *u)
{
    struct queued_frame *f = u->queue;
    u->queue = f->next;
    if (u->queue == NULL)
        u->queue_tail = &u->queue;
    u->queue_bytes -= f->len;
    free(f);
}

static void queue_flush(struct net_user *u)
{
    while (u->queue != NULL)
        dequeue(u);
}

static void deliver(struct net_user *u, const struct net_meta *meta, struct pieces p)
{
    if (u->peer == NULL)
        return;
    if (u->queue != NULL || !offer(u, meta, &p))
        enqueue(u, meta, &p);
}

static void deliver_plain(void *opaque, uint8_t *frame, size_t len)
{
    struct net_meta meta = {.flags = NET_DATA_VALID};
    deliver(opaque, &meta, whole(frame, len));
}

/* A frame beyond the MTU: TCP goes as GSO, for which only its headers are changed and copied, or in
 * segments; other IPv4 in fragments. IPv6 fragments are the business of the sender, which libslirp
 * does not do: the packet is lost. */
static void deliver_large(struct net_user *u, const uint8_t *frame, size_t len)
{
    struct net_meta meta = {0};
    size_t copied = len < HEADERS ? len : HEADERS;
    memcpy(u->scratch, frame, copied);
    int headers = net_make_gso(u->scratch, len, &meta), ret;
    if (headers > 0 &&
        (u->offloads & (meta.gso == NET_GSO_TCP4 ? NET_OFFLOAD_TSO4 : NET_OFFLOAD_TSO6)) != 0) {
        size_t at = (size_t)headers;
        deliver(u, &meta,
                (struct pieces){{{u->scratch, at}, {(void *)(uintptr_t)(frame + at), len - at}}});
        return;
    }
    memcpy(u->scratch + copied, frame + copied, len - copied);
    if (headers > 0)
        ret = net_segment(u->scratch, len, &meta, deliver_plain, u);
    else
        ret = net_fragment4(u->scratch, len, NET_MTU, deliver_plain, u);
    if (ret != 0)
        log_debug("user network: a packet of %zu bytes cannot be cut into pieces, dropped", len);
}

static ssize_t on_send_packet(const void *frame, size_t len, void *opaque)
{
    struct net_user *u = opaque;
    if (len > sizeof(u->scratch))
        return (ssize_t)len;
    if (len > NET_MTU + NET_ETH_LEN) {
        deliver_large(u, frame, len);
    } else {
        struct net_meta meta = {.flags = NET_DATA_VALID};
        deliver(u, &meta, whole(frame, len));
    }
    return (ssize_t)len;
}

/* --- from the guest --- */

static void input(void *opaque, uint8_t *frame, size_t len)
{
    struct net_user *u = opaque;
    slirp_input(u->slirp, frame, (int)len);
}

/* The connection ends in libslirp: the size of the pieces is ours, a guest's may be a byte each. */
static void send_gso(struct net_user *u, const struct net_meta *meta, uint8_t *frame, size_t len)
{
    struct net_meta pieces = *meta;
    int ret;
    if (len <= SLIRP_MTU + NET_ETH_LEN) {
        ret = net_tcp_csum(frame, len, meta);
        if (ret == 0)
            input(u, frame, len);
    } else {
        pieces.gso_size = SLIRP_MSS;
        ret = net_segment(frame, len, &pieces, input, u);
    }
    if (ret != 0)
        log_guest("user network: a frame to be segmented is malformed, dropped");
}

static void user_send(void *self, const struct net_meta *meta, uint8_t *frame, size_t len)
{
    struct net_user *u = self;
    if (meta->gso != NET_GSO_NONE) {
        send_gso(u, meta, frame, len);
        return;
    }
    if (net_csum_complete(frame, len, meta) != 0) {
        log_guest("user network: checksum offsets outside the frame, dropped");
        return;
    }
    if (u->offloads & (NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6))
        net_raise_mss(frame, len, SLIRP_MSS);
    input(u, frame, len);
}

static void user_send_end(void *self)
{
    announce(self);
}

static void user_ready(void *self)
{
    struct net_user *u = self;
    while (u->queue != NULL) {
        struct pieces p = whole(u->queue->bytes, u->queue->len);
        if (!offer(u, &u->queue->meta, &p))
            break;
        dequeue(u);
    }
    announce(u);
}

static void user_attach(void *self, const struct net_peer_ops *ops, void *opaque)
{
    struct net_user *u = self;
    queue_flush(u);
    u->peer = ops;
    u->peer_opaque = opaque;
}

static void user_set_offloads(void *self, unsigned offloads)
{
    struct net_user *u = self;
    queue_flush(u);
    u->offloads = offloads;
}

static bool user_link_up(void *self)
{
    return true;
}

/* --- the event loop --- */

static int on_add_poll(int fd, int events, void *opaque)
{
    struct net_user *u = opaque;
    unsigned want = 0;
    if (events & SLIRP_POLL_OUT)
        want |= LOOP_WRITE;
    if ((events & SLIRP_POLL_IN) && u->queue_bytes < QUEUE_THROTTLE)
        want |= LOOP_READ;
    return want != 0 && slirp_poll_add(&u->poll, fd, want) ? fd : -1;
}

static int on_get_revents(int fd, void *opaque)
{
    struct net_user *u = opaque;
    unsigned got = slirp_poll_events(&u->poll, fd);
    int events = 0;
    if (got & LOOP_READ)
        events |= SLIRP_POLL_IN;
    if (got & LOOP_WRITE)
        events |= SLIRP_POLL_OUT;
    if (got & LOOP_HUP)
        events |= SLIRP_POLL_HUP | SLIRP_POLL_ERR;
    return events;
}

/* After the wait: tell libslirp what happened. */
static void after_wait(struct net_user *u)
{
    if (!u->poll.any && monotonic_ns() < u->deadline_ns)
        return;
    slirp_pollfds_poll(u->slirp, 0, on_get_revents, u);
    slirp_poll_clear(&u->poll);
    announce(u);
}

/* Before the wait: ask libslirp what to wait for. */
static void before_wait(struct net_user *u, int64_t *timeout_ns)
{
    uint32_t timeout_ms = UINT32_MAX;
    slirp_poll_begin(&u->poll);
    slirp_pollfds_fill(u->slirp, &timeout_ms, on_add_poll, u);
    slirp_poll_commit(&u->poll);
    u->deadline_ns = UINT64_MAX;
    if (timeout_ms == UINT32_MAX)
        return;
    int64_t wait = (int64_t)timeout_ms * 1000000;
    u->deadline_ns = monotonic_ns() + (uint64_t)wait;
    if (*timeout_ns < 0 || *timeout_ns > wait)
        *timeout_ns = wait;
}

static void on_prepare(void *opaque, int64_t *timeout_ns)
{
    if (timeout_ns != NULL)
        before_wait(opaque, timeout_ns);
    else
        after_wait(opaque);
}

static void on_register_fd(int fd, void *opaque)
{
}

static void on_unregister_fd(int fd, void *opaque)
{
    struct net_user *u = opaque;
    slirp_poll_forget(&u->poll, fd);
}

static void on_notify(void *opaque)
{
}

static void on_guest_error(const char *msg, void *opaque)
{
    log_guest("user network: %s", msg);
}

static int64_t on_clock_ns(void *opaque)
{
    return (int64_t)monotonic_ns();
}

/* A timer of libslirp's: which one, on the loop. */
struct slirp_timer {
    struct net_user *user;
    SlirpTimerId id;
    void *cb_opaque;
    struct timer *timer;
};

static void on_timer(void *opaque)
{
    struct slirp_timer *t = opaque;
    slirp_handle_timer(t->user->slirp, t->id, t->cb_opaque);
    announce(t->user);
}

static void *on_timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
    struct net_user *u = opaque;
    struct slirp_timer *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    *t = (struct slirp_timer){.user = u, .id = id, .cb_opaque = cb_opaque};
    if (timer_create_on(u->loop, u->clock, on_timer, t, &t->timer) != 0) {
        free(t);
        return NULL;
    }
    return t;
}

static void on_timer_free(void *timer, void *opaque)
{
    struct slirp_timer *t = timer;
    if (t == NULL)
        return;
    timer_destroy(t->timer);
    free(t);
}

/* `expire_ms` is on on_clock_ns's clock, the loop's timers are on the machine's. */
static void on_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    struct slirp_timer *t = timer;
    if (t == NULL)
        return;
    int64_t left = expire_ms * 1000000 - on_clock_ns(NULL);
    timer_arm(t->timer, vclock_now(t->user->clock) + (uint64_t)(left > 0 ? left : 0));
}

static const SlirpCb callbacks = {
    .send_packet = on_send_packet,
    .guest_error = on_guest_error,
    .clock_get_ns = on_clock_ns,
    .timer_new_opaque = on_timer_new,
    .timer_free = on_timer_free,
    .timer_mod = on_timer_mod,
    .register_poll_fd = on_register_fd,
    .unregister_poll_fd = on_unregister_fd,
    .notify = on_notify,
};

/* --- life --- */

static void user_destroy(void *self)
{
    struct net_user *u = self;
    u->peer = NULL;
    queue_flush(u);
    loop_remove_prepare(u->loop, on_prepare, u);
    if (u->slirp != NULL)
        slirp_cleanup(u->slirp);
    slirp_poll_finish(&u->poll);
    free(u);
}

static const struct net_backend_ops user_ops = {
    .name = "user",
    .attach = user_attach,
    .set_offloads = user_set_offloads,
    .send = user_send,
    .send_end = user_send_end,
    .ready = user_ready,
    .link_up = user_link_up,
    .destroy = user_destroy,
};

static void fill_config(SlirpConfig *c, const struct net_options *o)
{
    *c = (SlirpConfig){.version = 4, .in_enabled = true, .in6_enabled = o->ipv6};
    inet_pton(AF_INET, "10.0.2.0", &c->vnetwork);
    inet_pton(AF_INET, "255.255.255.0", &c->vnetmask);
    inet_pton(AF_INET, "10.0.2.2", &c->vhost);
    inet_pton(AF_INET, "10.0.2.3", &c->vnameserver);
    inet_pton(AF_INET, "10.0.2.15", &c->vdhcp_start);
    inet_pton(AF_INET6, "fec0::", &c->vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &c->vhost6);
    inet_pton(AF_INET6, "fec0::3", &c->vnameserver6);
    c->vprefix_len = 64;
    c->if_mtu = SLIRP_MTU;
    c->if_mru = SLIRP_MRU;
}

static const char *bind_hint(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "the host port is in use; choose another";
    case EACCES:
        return "the host port is privileged; choose one above 1023";
    case EADDRNOTAVAIL:
        return "the address is not one of this host's";
    default:
        return strerror(error);
    }
}

static int add_forwards(struct net_user *u, const struct net_options *o, struct err *e)
{
    for (unsigned i = 0; i < o->forward_count; i++) {
        const struct net_forward *f = &o->forwards[i];
        char text[NET_FORWARD_TEXT];
        errno = 0;
        if (slirp_add_hostfwd(u->slirp, f->udp, f->host_addr, f->host_port, f->guest_addr,
                              f->guest_port) == 0)
            continue;
        int error = errno != 0 ? errno : EADDRINUSE;
        return err_set(e, error, "cannot forward %s: %s", net_forward_text(f, text),
                       bind_hint(error));
    }
    return 0;
}

int net_user_create(const struct net_user_config *cfg, struct net_backend *out, struct err *e)
{
    SlirpConfig config;
    struct net_user *u = calloc(1, sizeof(*u));
    if (u == NULL)
        return err_set(e, ENOMEM, "no memory for the user network");
    u->loop = cfg->loop;
    u->clock = cfg->clock;
    u->queue_tail = &u->queue;
    slirp_poll_init(&u->poll, cfg->loop);
    fill_config(&config, cfg->options);
    u->slirp = slirp_new(&config, &callbacks, u);
    if (u->slirp == NULL) {
        user_destroy(u);
        return err_set(e, EINVAL, "libslirp %s refuses the network's configuration",
                       slirp_version_string());
    }
    int ret = add_forwards(u, cfg->options, e);
    if (ret == 0 && loop_add_prepare(cfg->loop, on_prepare, u) != 0)
        ret = err_set(e, ENOMEM, "no memory for the user network");
    if (ret != 0) {
        user_destroy(u);
        return ret;
    }
    *out = (struct net_backend){
        .ops = &user_ops,
        .self = u,
        .offloads = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6,
    };
    return 0;
}
