/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A TPM 2.0 at 0xfed40000, by its TIS interface, in front of a TPM that somebody else runs: the
 * back end gets whole commands and brings whole answers, one at a time.
 */
#ifndef DOPPEL_DEV_TPM_H
#define DOPPEL_DEV_TPM_H

#include "bus/bus.h"
#include "dev/device.h"

#define TPM_BASE 0xfed40000u

struct tpm;

struct tpm_backend {
    void *opaque;
    /* A command, at most 4096 bytes, on the thread of a vCPU or the main one, also with the
     * device's lock held; or -errno. */
    int (*send)(void *opaque, const uint8_t *command, size_t len);
    /* The power is switched off and on; main thread. What was sent before gets no answer. */
    void (*reset)(void *opaque);
};

int tpm_create(const struct tpm_backend *b, struct bus *mmio, struct tpm **out) MUST_CHECK;
struct device tpm_device(struct tpm *t);
/* After a sleep, where no firmware does it: the TPM, which had no power, goes on with the state
 * that the guest saved; main thread. */
void tpm_wake(struct tpm *t);
/* The answer to what was sent; main thread. */
void tpm_answer(struct tpm *t, const uint8_t *answer, size_t len);

#endif
