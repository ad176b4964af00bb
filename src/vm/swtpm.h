/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A software TPM: the program swtpm, started here with a folder for its state, or one that listens
 * already. It is asked by its control channel (man swtpm_ioctls) and gets commands by a socket that
 * it is given there. All for the main thread, swtpm_send for any.
 */
#ifndef DOPPEL_VM_SWTPM_H
#define DOPPEL_VM_SWTPM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/loop.h"

struct swtpm;

/* where: "unix:PATH" of a control channel, or a folder, which is made where there is none. */
int swtpm_create(const char *option, const char *where, struct loop *loop, struct swtpm **out,
                 struct err *e) MUST_CHECK;
void swtpm_destroy(struct swtpm *s); /* NULL is fine; a swtpm that was started ends */

/* Where answers go, on the loop; before the first command. */
void swtpm_attach(struct swtpm *s, void (*answer)(void *opaque, const uint8_t *buf, size_t len),
                  void *opaque);
int swtpm_send(struct swtpm *s, const uint8_t *command, size_t len) MUST_CHECK;
/* Power off and on; what was sent is not answered any more. */
int swtpm_reset(struct swtpm *s) MUST_CHECK;

#endif
