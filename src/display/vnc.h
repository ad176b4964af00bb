/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The screen for VNC viewers (RFC 6143, by libvncserver), with its keyboard and pointer. A thread
 * of its own draws, compresses and waits for viewers; nothing is drawn while nobody looks. Viewers
 * in a browser (noVNC) speak WebSocket at the same place.
 */
#ifndef DOPPEL_DISPLAY_VNC_H
#define DOPPEL_DISPLAY_VNC_H

#include "base/err.h"
#include "dev/video.h"
#include "display/input.h"

#define VNC_PASSWORD_MAX 8 /* what of a password counts */

struct vnc_config {
    const struct video *video; /* outlives the server, as what follows */
    struct input_sink input;
    const char *name;     /* what viewers put into the title */
    const char *password; /* NULL: none is asked for */
};

struct vnc;

int vnc_create(const struct vnc_config *cfg, struct vnc **out, struct err *e) MUST_CHECK;
/* Hangs up on all viewers and ends the thread. NULL is fine. */
void vnc_destroy(struct vnc *v);
/* A viewer's connection, the server's from now on. Any thread. */
void vnc_connection(struct vnc *v, int fd);

#endif
