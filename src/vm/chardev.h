/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Character back ends: what a serial port, a parallel port or a virtio console is connected to on
 * the host.
 *
 *   stdio       standard input and output
 *   file:F      output to a file, no input
 *   unix:F      a listening socket, one peer at a time; output without a peer is dropped
 *   pty         a new pseudo-terminal
 *   socket      unix:F, the path being chosen by the machine's name
 *
 * Input is read on the loop's thread and offered to the device; what it does not take waits.
 * Output is written at once by the thread that brings it; what the other side does not take waits
 * in a buffer. A full buffer makes the writer wait, at most for CHARDEV_PATIENCE_MS; a side that
 * takes nothing for so long loses output until it takes something again.
 */
#ifndef DOPPEL_VM_CHARDEV_H
#define DOPPEL_VM_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/loop.h"

#define CHARDEV_PATIENCE_MS 1000

enum chardev_kind {
    CHARDEV_NONE,
    CHARDEV_STDIO,
    CHARDEV_FILE,
    CHARDEV_UNIX,
    CHARDEV_PTY,
    CHARDEV_SOCKET /* not for chardev_create: its owner makes it CHARDEV_UNIX */
};

struct chardev_options {
    enum chardev_kind kind;
    const char *path; /* of file and unix, the caller's; else NULL */
};

/* Reads "stdio", "none", "pty", "socket", "file:F" or "unix:F"; `option` names it in errors. */
int chardev_options_parse(struct chardev_options *o, const char *option, const char *text,
                          struct err *e) MUST_CHECK;

struct chardev_config {
    struct loop *loop;
    const char *option; /* for errors */
    /* Sees input of a terminal on stdin before the guest does (escape key): edits the `len` bytes
     * in place and returns how many are left. May be NULL. Loop's thread. */
    size_t (*filter)(void *opaque, uint8_t *buf, size_t len);
    void *opaque;
};

/* The device. input is called on the loop's thread and returns how many bytes were taken;
 * output_ready (may be NULL) on the loop's thread after chardev_write took less than offered. */
struct chardev_peer {
    void *opaque;
    size_t (*input)(void *opaque, const uint8_t *buf, size_t len);
    void (*output_ready)(void *opaque);
};

struct chardev;

int chardev_create(const struct chardev_options *o, const struct chardev_config *cfg,
                   struct chardev **out, struct err *e) MUST_CHECK;
/* No thread uses it any more and no loop runs; NULL is fine. */
void chardev_destroy(struct chardev *c);

/* Connects the device; before the loop runs. */
void chardev_attach(struct chardev *c, const struct chardev_peer *peer);

/* Output, any thread. On the loop's thread it never waits and may take less than `len`. */
size_t chardev_write(struct chardev *c, const uint8_t *buf, size_t len);
/* The device has room for input again; any thread. */
void chardev_input_ready(struct chardev *c);

/* Where a person finds it ("/dev/pts/3"), or NULL. */
const char *chardev_where(const struct chardev *c);

#endif
