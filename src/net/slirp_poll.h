/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sockets of libslirp as watches of an event loop.
 *
 * libslirp thinks in poll(): before a wait it lists the sockets it cares about, after it it asks
 * what happened to each. The loop thinks in watches that stay. This keeps the watches equal to the
 * latest list (few change from one wait to the next) and collects what they report.
 */
#ifndef DOPPEL_NET_SLIRP_POLL_H
#define DOPPEL_NET_SLIRP_POLL_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"

struct slirp_sock {
    struct loop_watch *watch; /* NULL: not watched */
    uint8_t want;             /* LOOP_* of the list being made */
    uint8_t armed;            /* LOOP_* of the watch */
    uint8_t got;              /* LOOP_* reported since the last slirp_poll_clear */
    bool listed;              /* it is in `fds` */
};

struct slirp_poll {
    struct loop *loop;
    struct slirp_sock *socks; /* indexed by file descriptor */
    int capacity;
    int *fds; /* those with a watch or a wish; room for `capacity` */
    unsigned count;
    bool any; /* something was reported */
};

void slirp_poll_init(struct slirp_poll *p, struct loop *loop);
void slirp_poll_finish(struct slirp_poll *p);

void slirp_poll_begin(struct slirp_poll *p); /* a new list */
/* Adds fd for `events` (LOOP_*); false: out of memory, it is left out this time. */
bool slirp_poll_add(struct slirp_poll *p, int fd, unsigned events);
void slirp_poll_commit(struct slirp_poll *p); /* the list is complete: adjust the watches */

unsigned slirp_poll_events(const struct slirp_poll *p, int fd); /* LOOP_* reported */
void slirp_poll_clear(struct slirp_poll *p);

void slirp_poll_forget(struct slirp_poll *p, int fd); /* it is about to be closed */

#endif
