/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libslirp's poll lists on an event loop; see slirp_poll.h. */
#include "net/slirp_poll.h"

#include <stdlib.h>
#include <string.h>

void slirp_poll_init(struct slirp_poll *p, struct loop *loop)
{
    memset(p, 0, sizeof(*p));
    p->loop = loop;
}

void slirp_poll_finish(struct slirp_poll *p)
{
    for (unsigned i = 0; i < p->count; i++)
        loop_unwatch(p->socks[p->fds[i]].watch);
    free(p->socks);
    free(p->fds);
}

static void on_event(void *opaque, int fd, unsigned events)
{
    struct slirp_poll *p = opaque;
    p->socks[fd].got |= (uint8_t)events;
    p->any = true;
}

void slirp_poll_begin(struct slirp_poll *p)
{
    for (unsigned i = 0; i < p->count; i++)
        p->socks[p->fds[i]].want = 0;
}

static bool grow(struct slirp_poll *p, int fd)
{
    int capacity = p->capacity > 0 ? p->capacity : 64;
    while (capacity <= fd)
        capacity *= 2;
    struct slirp_sock *socks = realloc(p->socks, (size_t)capacity * sizeof(*socks));
    if (socks == NULL)
        return false;
    p->socks = socks;
    int *fds = realloc(p->fds, (size_t)capacity * sizeof(*fds));
    if (fds == NULL)
        return false;
    p->fds = fds;
    memset(socks + p->capacity, 0, (size_t)(capacity - p->capacity) * sizeof(*socks));
    p->capacity = capacity;
    return true;
}

bool slirp_poll_add(struct slirp_poll *p, int fd, unsigned events)
{
    if (fd < 0 || (fd >= p->capacity && !grow(p, fd)))
        return false;
    struct slirp_sock *s = &p->socks[fd];
    s->want = (uint8_t)events;
    if (!s->listed) {
        s->listed = true;
        p->fds[p->count++] = fd;
    }
    return true;
}

/* A socket that nobody asks about is unwatched rather than paused: a peer that hung up would be
 * reported again and again. */
static void adjust(struct slirp_poll *p, int fd)
{
    struct slirp_sock *s = &p->socks[fd];
    if (s->want == s->armed)
        return;
    if (s->want == 0) {
        loop_unwatch(s->watch);
        s->watch = NULL;
        s->got = 0;
    } else if (s->watch != NULL) {
        loop_watch_set(s->watch, s->want);
    } else if (loop_watch(p->loop, fd, s->want, on_event, p, &s->watch) != 0) {
        s->watch = NULL;
        s->want = 0; /* tried again with the next list */
    }
    s->armed = s->want;
}

void slirp_poll_commit(struct slirp_poll *p)
{
    for (unsigned i = 0; i < p->count;) {
        int fd = p->fds[i];
        adjust(p, fd);
        if (p->socks[fd].armed != 0) {
            i++;
            continue;
        }
        p->socks[fd].listed = false;
        p->fds[i] = p->fds[--p->count];
    }
}

unsigned slirp_poll_events(const struct slirp_poll *p, int fd)
{
    return fd >= 0 && fd < p->capacity ? p->socks[fd].got : 0;
}

void slirp_poll_clear(struct slirp_poll *p)
{
    for (unsigned i = 0; i < p->count; i++)
        p->socks[p->fds[i]].got = 0;
    p->any = false;
}

void slirp_poll_forget(struct slirp_poll *p, int fd)
{
    if (fd < 0 || fd >= p->capacity)
        return;
    struct slirp_sock *s = &p->socks[fd];
    loop_unwatch(s->watch);
    s->watch = NULL;
    s->want = s->armed = s->got = 0; /* it leaves the list at the next commit */
}
