/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Character back ends: see chardev.h. Opening them is in chardev_open.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vm/chardev_internal.h"

/* --- output --- */

/* One write that does not block (as far as the kind of file allows). Bytes, 0: not now, < 0: the
 * other side is gone. */
static ssize_t write_some(struct chardev *c, const uint8_t *buf, size_t len)
{
    ssize_t n;

    do {
        if (c->socket)
            n = send(c->out_fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        else
            n = write(c->out_fd, buf, len);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    return n;
}

/* Writes what is buffered; lock held. */
static void drain(struct chardev *c)
{
    while (c->out_len > 0 && c->out_fd >= 0) {
        size_t run = CHARDEV_BUFFER - c->out_head;
        ssize_t n = write_some(c, c->out + c->out_head, run < c->out_len ? run : c->out_len);

        if (n == 0)
            return;
        if (n < 0) {
            c->out_len = 0;
            break;
        }
        c->out_head = (c->out_head + (size_t)n) % CHARDEV_BUFFER;
        c->out_len -= (size_t)n;
        c->out_lossy = false;
    }
    if (c->out_fd < 0)
        c->out_len = 0;
}

static size_t buffer(struct chardev *c, const uint8_t *buf, size_t len)
{
    size_t room = CHARDEV_BUFFER - c->out_len;
    size_t n = len < room ? len : room;

    for (size_t i = 0; i < n; i++)
        c->out[(c->out_head + c->out_len + i) % CHARDEV_BUFFER] = buf[i];
    c->out_len += n;
    return n;
}

/* Loop's thread: watches for writability as long as something waits. */
static void output_update(void *opaque)
{
    struct chardev *c = opaque;
    bool waiting, tell;

    lock_take(&c->lock);
    drain(c);
    waiting = c->out_len > 0;
    tell = !waiting && c->out_stalled;
    if (tell)
        c->out_stalled = false;
    c->out_posted = false;
    pthread_cond_broadcast(&c->room);
    lock_drop(&c->lock);
    if (c->out_watch != NULL)
        loop_watch_set(c->out_watch, waiting ? LOOP_WRITE : 0);
    if (tell && c->peer.output_ready != NULL)
        c->peer.output_ready(c->peer.opaque);
}

void chardev_writable(void *opaque, int fd, unsigned events)
{
    output_update(opaque);
}

/* Asks the loop to go on with the buffer; lock held. */
static void post_output(struct chardev *c)
{
    if (c->out_posted || c->out_len == 0)
        return;
    c->out_posted = loop_post(c->loop, output_update, c) == 0;
}

/* Waits for room; false: patience is at its end. Lock held. */
static bool wait_room(struct chardev *c)
{
    struct timespec until;
    int rc = 0;

    if (c->out_lossy)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CHARDEV_PATIENCE_MS / 1000;
    while (c->out_len == CHARDEV_BUFFER && rc == 0)
        rc = lock_timedwait(&c->lock, &c->room, &until);
    if (c->out_len == CHARDEV_BUFFER)
        c->out_lossy = true;
    return !c->out_lossy;
}

size_t chardev_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    bool on_loop = loop_is_current(c->loop);
    size_t done = 0;

    lock_take(&c->lock);
    while (c->out_fd >= 0 && done < len) {
        done += buffer(c, buf + done, len - done);
        drain(c);
        post_output(c);
        if (done < len && c->out_len == CHARDEV_BUFFER && (on_loop || !wait_room(c)))
            break;
    }
    if (c->out_fd < 0)
        done = len;
    if (done < len && on_loop)
        c->out_stalled = true;
    lock_drop(&c->lock);
    return done;
}

/* --- input --- */

/* Offers what waits; then reads on as long as there is room. A terminal is always read, so that
 * the escape key works whatever the guest does. */
static void input_offer(struct chardev *c)
{
    size_t n = 0;

    if (c->in_len > 0 && c->peer.input != NULL)
        n = c->peer.input(c->peer.opaque, c->in, c->in_len);
    c->in_len -= n;
    memmove(c->in, c->in + n, c->in_len);
    if (c->in_watch != NULL)
        loop_watch_set(c->in_watch, c->terminal || c->in_len < CHARDEV_INPUT / 2 ? LOOP_READ : 0);
}

static void input_closed(struct chardev *c)
{
    loop_unwatch(c->in_watch);
    c->in_watch = NULL;
    if (c->listen_fd >= 0)
        chardev_hang_up(c);
    else
        c->in_fd = -1;
}

/* Reads once. false: nothing more to read now. */
static bool input_read(struct chardev *c)
{
    uint8_t buf[1024];
    size_t room = CHARDEV_INPUT - c->in_len, take;
    ssize_t n;

    do {
        n = read(c->in_fd, buf, c->terminal || room > sizeof(buf) ? sizeof(buf) : room);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        /* A pseudo-terminal whose other side closed gives EIO until it is opened again. */
        if (n == 0 || (errno != EAGAIN && errno != EIO))
            input_closed(c);
        return false;
    }
    take = (size_t)n;
    if (c->terminal && c->filter != NULL)
        take = c->filter(c->opaque, buf, take);
    if (take > room)
        take = room;
    memcpy(c->in + c->in_len, buf, take);
    c->in_len += take;
    return true;
}

void chardev_readable(void *opaque, int fd, unsigned events)
{
    struct chardev *c = opaque;

    if (c->terminal || c->in_len < CHARDEV_INPUT)
        input_read(c);
    input_offer(c);
}

/* A regular file on stdin cannot be watched; it is read whenever there is room. */
static void input_pump(void *opaque)
{
    struct chardev *c = opaque;

    atomic_store(&c->in_posted, false);
    input_offer(c);
    while (c->in_always && c->in_fd >= 0 && c->in_len < CHARDEV_INPUT && input_read(c)) {
        size_t before = c->in_len;

        input_offer(c);
        if (c->in_len == before)
            break;
    }
}

void chardev_input_ready(struct chardev *c)
{
    if (!atomic_exchange(&c->in_posted, true) && loop_post(c->loop, input_pump, c) < 0)
        atomic_store(&c->in_posted, false);
}

void chardev_attach(struct chardev *c, const struct chardev_peer *peer)
{
    c->peer = *peer;
    chardev_input_ready(c);
}

const char *chardev_where(const struct chardev *c)
{
    return c->where[0] != '\0' ? c->where : NULL;
}
