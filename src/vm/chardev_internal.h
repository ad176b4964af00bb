/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A character back end as its own files see it. */
#ifndef DOPPEL_VM_CHARDEV_INTERNAL_H
#define DOPPEL_VM_CHARDEV_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "vm/chardev.h"

#define CHARDEV_BUFFER 65536u
#define CHARDEV_INPUT 8192u

struct chardev {
    struct loop *loop;
    enum chardev_kind kind;
    char where[128];
    size_t (*filter)(void *opaque, uint8_t *buf, size_t len);
    void *opaque;
    struct chardev_peer peer;
    bool socket;   /* out_fd is one */
    bool terminal; /* input comes from a person's terminal */

    /* Input: the loop's thread. */
    int in_fd; /* -1: none */
    struct loop_watch *in_watch;
    bool in_always; /* a file that cannot be watched */
    uint8_t in[CHARDEV_INPUT];
    size_t in_len;
    atomic_bool in_posted;

    int listen_fd; /* unix: -1 else */
    int slave_fd;  /* pty: kept open so that the master never hangs up; -1 else */
    struct loop_watch *listen_watch;
    char unlink_path[108]; /* the socket's file, removed at the end */

    struct lock lock; /* below */
    pthread_cond_t room;
    int out_fd;                   /* -1: output is dropped */
    struct loop_watch *out_watch; /* loop's thread */
    uint8_t out[CHARDEV_BUFFER];  /* a ring */
    size_t out_head, out_len;
    bool out_lossy;   /* patience ended; no waiting until something is taken */
    bool out_stalled; /* the device waits for output_ready */
    bool out_posted;
};

void chardev_readable(void *opaque, int fd, unsigned events);
void chardev_writable(void *opaque, int fd, unsigned events);
/* unix: the peer is gone, the next one may come. Loop's thread. */
void chardev_hang_up(struct chardev *c);

#endif
