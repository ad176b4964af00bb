/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets that people and tools connect to while a machine runs: listeners and the connections that
 * they accept, on a loop. All functions and callbacks are for the loop's thread, or for the one
 * that runs the loop afterwards.
 */
#ifndef DOPPEL_VM_SOCKET_H
#define DOPPEL_VM_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/loop.h"

#define SOCKET_BACKLOG (1u << 20) /* bytes that a peer may leave unread until it is hung up on */

/* "unix:PATH", or "tcp:PORT" (loopback only), "tcp:ADDRESS:PORT", "tcp:[ADDRESS]:PORT". */
struct listener;
struct listener_config {
    struct loop *loop;
    const char *option; /* for errors */
    /* A connection, which is now the callee's. */
    void (*accepted)(void *opaque, int fd);
    void *opaque;
};
int listener_create(const char *address, const struct listener_config *cfg, struct listener **out,
                    struct err *e) MUST_CHECK;
/* A socket file of mode 0600, in place of one that nobody listens on any more. */
int listener_create_unix(const char *path, const struct listener_config *cfg, struct listener **out,
                         struct err *e) MUST_CHECK;
void listener_destroy(struct listener *l); /* NULL is fine; removes the socket file */
/* "unix:/run/x", "tcp:127.0.0.1:1234" */
const char *listener_where(const struct listener *l);

struct stream;
struct stream_config {
    struct loop *loop;
    void (*input)(void *opaque, const uint8_t *bytes, size_t len);
    /* The peer is gone: the callee destroys the stream, now or later. */
    void (*closed)(void *opaque);
    void *opaque;
};
/* Takes fd in any case. */
int stream_create(int fd, const struct stream_config *cfg, struct stream **out) MUST_CHECK;
/* Never waits: what the peer does not take now is kept. One that leaves too much is hung up on:
 * `closed` follows. */
void stream_send(struct stream *s, const void *bytes, size_t len);
void stream_hang_up(struct stream *s); /* `closed` follows */
/* Not from `input`. What is not sent yet is tried once more. NULL is fine. */
void stream_destroy(struct stream *s);

#endif
