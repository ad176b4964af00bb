/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taps; see tap.h. The interface is the kernel's Documentation/networking/tuntap.rst. */
#include "net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "base/log.h"

/* Frames, or bytes, that are read before the guest hears of them and others have their turn. */
#define BATCH_FRAMES 64u
#define BATCH_BYTES (512u << 10)

/* More pieces than this are copied together first. */
#define PIECES 60u

struct net_tap {
    int fd;
    struct loop_watch *watch;
    const struct net_peer_ops *peer;
    void *peer_opaque;
    bool held; /* `frame` waits for room in the guest, nothing is read */
    bool gone; /* the interface was deleted: nothing will ever be read again */
    struct virtio_net_hdr header;
    size_t len;
    uint8_t frame[NET_FRAME_MAX];
};

/* --- towards the guest --- */

/* Both ends are on this host, so the header is in its byte order. */
static struct net_meta meta_of(const struct virtio_net_hdr *h)
{
    return (struct net_meta){
        .flags = h->flags & (NET_NEEDS_CSUM | NET_DATA_VALID),
        .gso = h->gso_type,
        .hdr_len = h->hdr_len,
        .gso_size = h->gso_size,
        .csum_start = h->csum_start,
        .csum_offset = h->csum_offset,
    };
}

static void watch(struct net_tap *t)
{
    loop_watch_set(t->watch, t->held || t->gone ? 0 : LOOP_READ);
}

static void lose(struct net_tap *t)
{
    t->gone = true;
    watch(t);
    log_warn("tap: the interface was deleted; the cable is out");
    if (t->peer != NULL && t->peer->link != NULL)
        t->peer->link(t->peer_opaque, false);
}

static bool next_frame(struct net_tap *t)
{
    struct iovec iov[2] = {{&t->header, sizeof(t->header)}, {t->frame, sizeof(t->frame)}};
    ssize_t n = readv(t->fd, iov, 2);

    if (n < 0 && errno == EBADFD)
        lose(t);
    if (n < (ssize_t)sizeof(t->header))
        return false;
    t->len = (size_t)n - sizeof(t->header);
    return true;
}

static bool offer(struct net_tap *t)
{
    struct iovec iov = {t->frame, t->len};
    struct net_meta meta = meta_of(&t->header);

    return t->peer == NULL || t->peer->receive(t->peer_opaque, &meta, &iov, 1);
}

static void hold(struct net_tap *t, bool held)
{
    if (t->held == held)
        return;
    t->held = held;
    watch(t);
}

static void on_frames(void *opaque, int fd, unsigned events)
{
    struct net_tap *t = opaque;
    size_t bytes = 0;

    for (unsigned i = 0; i < BATCH_FRAMES && bytes < BATCH_BYTES && next_frame(t); i++) {
        if (!offer(t)) {
            hold(t, true);
            break;
        }
        bytes += t->len;
    }
    if (t->peer != NULL)
        t->peer->receive_end(t->peer_opaque);
}

static void tap_ready(void *self)
{
    struct net_tap *t = self;

    if (!t->held || !offer(t))
        return;
    hold(t, false);
    on_frames(t, t->fd, LOOP_READ);
}

/* --- from the guest --- */

static void tap_sendv(void *self, const struct net_meta *m, const struct iovec *pieces,
                      unsigned count)
{
    struct net_tap *t = self;
    struct virtio_net_hdr h = {
        .flags = m->flags & NET_NEEDS_CSUM,
        .gso_type = m->gso,
        .hdr_len = m->hdr_len,
        .gso_size = m->gso_size,
        .csum_start = m->csum_start,
        .csum_offset = m->csum_offset,
    };
    struct iovec iov[PIECES + 1] = {{&h, sizeof(h)}};

    memcpy(iov + 1, pieces, count * sizeof(*iov));
    if (writev(t->fd, iov, (int)count + 1) < 0 && errno == EINVAL)
        log_guest("tap: the host refuses a frame whose offloads make no sense");
}

static void tap_send(void *self, const struct net_meta *meta, uint8_t *frame, size_t len)
{
    struct iovec iov = {frame, len};

    tap_sendv(self, meta, &iov, 1);
}

static void tap_send_end(void *self)
{
}

/* --- life --- */

static void tap_attach(void *self, const struct net_peer_ops *ops, void *opaque)
{
    struct net_tap *t = self;

    t->peer = ops;
    t->peer_opaque = opaque;
    hold(t, false);
}

static void tap_set_offloads(void *self, unsigned offloads)
{
    struct net_tap *t = self;
    unsigned flags = 0;

    if (offloads & NET_OFFLOAD_CSUM)
        flags |= TUN_F_CSUM;
    if (offloads & NET_OFFLOAD_TSO4)
        flags |= TUN_F_TSO4;
    if (offloads & NET_OFFLOAD_TSO6)
        flags |= TUN_F_TSO6;
    if (ioctl(t->fd, TUNSETOFFLOAD, (unsigned long)flags) < 0)
        log_warn("tap: the host does not take offloads: %s", strerror(errno));
    hold(t, false); /* the frame that waits may not suit any more */
}

static bool tap_link_up(void *self)
{
    return !((struct net_tap *)self)->gone;
}

static void tap_destroy(void *self)
{
    struct net_tap *t = self;

    loop_unwatch(t->watch);
    close(t->fd);
    free(t);
}

static const struct net_backend_ops tap_ops = {
    .name = "tap",
    .attach = tap_attach,
    .set_offloads = tap_set_offloads,
    .send = tap_send,
    .sendv = tap_sendv,
    .sendv_max = PIECES,
    .send_end = tap_send_end,
    .ready = tap_ready,
    .link_up = tap_link_up,
    .destroy = tap_destroy,
};

static int open_tap(const char *name, struct ifreq *req, struct err *e)
{
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return err_set(e, errno, "--net tap: cannot open /dev/net/tun: %s", strerror(errno));
    *req = (struct ifreq){.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    memcpy(req->ifr_name, name, strlen(name));
    if (ioctl(fd, TUNSETIFF, req) == 0)
        return fd;
    int error = errno;
    close(fd);
    if (error == EPERM)
        return err_set(e, error,
                       "--net tap: this user may not make interfaces; have one made with 'ip "
                       "tuntap add dev tap0 mode tap user USER' and name it with ifname=");
    return err_set(e, error, "--net tap: cannot use interface '%s': %s", name,
                   error == EBUSY    ? "another process uses it"
                   : error == EINVAL ? "it is no tap, or one of another mode"
                                     : strerror(error));
}

static int join_bridge(int sock, const struct ifreq *tap, const char *bridge, struct err *e)
{
    struct ifreq req = {.ifr_ifindex = (int)if_nametoindex(tap->ifr_name)};

    memcpy(req.ifr_name, bridge, strlen(bridge));
    if (ioctl(sock, SIOCBRADDIF, &req) == 0 || errno == EBUSY) /* busy: it is a port already */
        return 0;
    return err_set(e, errno, "--net tap: cannot add %s to bridge '%s': %s", tap->ifr_name, bridge,
                   errno == ENODEV || errno == EOPNOTSUPP ? "there is no such bridge"
                                                          : strerror(errno));
}

/* Who may, also brings the interface up; for others the administrator has. */
static int set_up(const struct ifreq *tap, const char *bridge, struct err *e)
{
    struct ifreq req = *tap;
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

    if (sock < 0)
        return err_set(e, errno, "--net tap: no socket: %s", strerror(errno));
    if (bridge[0] != '\0')
        rc = join_bridge(sock, tap, bridge, e);
    if (rc == 0 && ioctl(sock, SIOCGIFFLAGS, &req) == 0 && (req.ifr_flags & IFF_UP) == 0) {
        req.ifr_flags |= IFF_UP;
        if (ioctl(sock, SIOCSIFFLAGS, &req) < 0)
            log_warn("tap: interface %s is down; bring it up with 'ip link set %s up'",
                     tap->ifr_name, tap->ifr_name);
    }
    close(sock);
    return rc;
}

int net_tap_create(struct loop *loop, const struct net_options *options, struct net_backend *out,
                   struct err *e)
{
    struct net_tap *t = calloc(1, sizeof(*t));
    struct ifreq req;
    int rc;

    if (t == NULL)
        return err_set(e, ENOMEM, "no memory for a tap");
    t->fd = open_tap(options->ifname, &req, e);
    if (t->fd < 0) {
        rc = t->fd;
        free(t);
        return rc;
    }
    rc = set_up(&req, options->bridge, e);
    if (rc == 0 && loop_watch(loop, t->fd, LOOP_READ, on_frames, t, &t->watch) < 0)
        rc = err_set(e, ENOMEM, "no memory for a tap");
    if (rc < 0) {
        tap_destroy(t);
        return rc;
    }
    *out = (struct net_backend){
        .ops = &tap_ops,
        .self = t,
        .offloads = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6,
    };
    return 0;
}
