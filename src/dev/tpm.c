/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A TPM: lock and back end around its interface. An answer that comes while the machine is paused
 * waits; a state that was saved while a command was carried out goes on with TPM_RC_RETRY, which
 * drivers take for what it says. While the TPM is started after a sleep, a command waits.
 */
#include "dev/tpm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/lock.h"
#include "base/log.h"
#include "dev/chip/tpm_tis.h"

/* What answer is awaited that is not the guest's: to TPM2_Startup of this type (TPM 2.0, part 3,
 * 9.3). */
enum startup { STARTUP_NONE, STARTUP_STATE, STARTUP_CLEAR };

struct tpm {
    struct tpm_backend backend;
    struct bus *mmio; /* NULL: not mapped */
    struct lock lock; /* below */
    struct tpm_tis chip;
    bool sent; /* the back end has a command, or will have it: */
    bool held; /* when the TPM is started */
    enum startup starting;
    bool paused;
    uint8_t late[TPM_TIS_BUFFER]; /* an answer that came while paused */
    size_t late_len;              /* 0: none */
};

static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    struct tpm *t = opaque;
    uint32_t value;

    lock_take(&t->lock);
    value = tpm_tis_read(&t->chip, (uint32_t)offset, size);
    lock_drop(&t->lock);
    return value;
}

static void send(struct tpm *t, const uint8_t *command, size_t len)
{
    int rc = t->backend.send(t->backend.opaque, command, len);

    if (rc >= 0)
        return;
    log_guest("tpm: a command is not taken: %s", strerror(-rc));
    lock_take(&t->lock);
    t->sent = false;
    tpm_tis_fail(&t->chip, TPM_RC_FAILURE);
    lock_drop(&t->lock);
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct tpm *t = opaque;
    uint8_t command[TPM_TIS_BUFFER];
    size_t len = 0;

    lock_take(&t->lock);
    if (tpm_tis_write(&t->chip, (uint32_t)offset, (uint32_t)value, size)) {
        t->sent = true;
        t->held = t->starting != STARTUP_NONE;
        len = t->held ? 0 : t->chip.count;
        memcpy(command, t->chip.buffer, len);
    }
    lock_drop(&t->lock);
    if (len > 0)
        send(t, command, len);
}

static const struct bus_ops mmio_ops = {
    .name = "tpm", .read = mmio_read, .write = mmio_write, .min_size = 1, .max_size = 4};

/* The lock is held. */
static void startup(struct tpm *t, enum startup how)
{
    uint8_t command[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, how == STARTUP_STATE};
    int rc = t->backend.send(t->backend.opaque, command, sizeof(command));

    t->starting = rc < 0 ? STARTUP_NONE : how;
    if (rc < 0)
        log_warn("tpm: it cannot be started again: %s", strerror(-rc));
}

void tpm_wake(struct tpm *t)
{
    lock_take(&t->lock);
    startup(t, STARTUP_STATE);
    lock_drop(&t->lock);
}

/* The answer to a startup. A guest that did not save the TPM's state has none to go on with. */
static void started(struct tpm *t, const uint8_t *answer, size_t len)
{
    uint8_t command[TPM_TIS_BUFFER];
    size_t held = 0;

    lock_take(&t->lock);
    if (t->starting == STARTUP_STATE && (len < 10 || ld_be32(answer + 6) != 0))
        startup(t, STARTUP_CLEAR);
    else
        t->starting = STARTUP_NONE;
    if (t->held && t->starting == STARTUP_NONE) {
        t->held = false;
        held = t->chip.count;
        memcpy(command, t->chip.buffer, held);
    }
    lock_drop(&t->lock);
    if (held > 0)
        send(t, command, held);
}

void tpm_answer(struct tpm *t, const uint8_t *answer, size_t len)
{
    bool ours;

    len = len <= TPM_TIS_BUFFER ? len : 0;
    lock_take(&t->lock);
    ours = t->starting != STARTUP_NONE;
    lock_drop(&t->lock);
    if (ours) {
        started(t, answer, len);
        return;
    }
    lock_take(&t->lock);
    if (t->sent && t->paused && len > 0) {
        memcpy(t->late, answer, len);
        t->late_len = len;
    } else if (t->sent && !t->paused) {
        tpm_tis_answer(&t->chip, answer, (uint32_t)len);
        t->sent = false;
    }
    lock_drop(&t->lock);
}

static void tpm_reset(void *self)
{
    struct tpm *t = self;

    lock_take(&t->lock);
    tpm_tis_reset(&t->chip);
    t->sent = t->held = false;
    t->starting = STARTUP_NONE;
    t->late_len = 0;
    lock_drop(&t->lock);
    t->backend.reset(t->backend.opaque);
}

static void tpm_pause(void *self)
{
    struct tpm *t = self;

    lock_take(&t->lock);
    t->paused = true;
    lock_drop(&t->lock);
}

static void tpm_resume(void *self)
{
    struct tpm *t = self;

    lock_take(&t->lock);
    t->paused = false;
    if (t->late_len > 0)
        tpm_tis_answer(&t->chip, t->late, (uint32_t)t->late_len);
    else if (!t->sent && t->chip.state == TPM_EXECUTION)
        tpm_tis_fail(&t->chip, TPM_RC_RETRY);
    t->sent = t->sent && t->late_len == 0;
    t->late_len = 0;
    lock_drop(&t->lock);
}

static void tpm_destroy(void *self)
{
    struct tpm *t = self;

    if (t->mmio != NULL)
        bus_unmap(t->mmio, TPM_BASE, &mmio_ops, t);
    lock_finish(&t->lock);
    free(t);
}

static void *tpm_state_object(void *self)
{
    struct tpm *t = self;

    return &t->chip;
}

static const struct device_ops tpm_ops = {
    .name = "tpm",
    .reset = tpm_reset,
    .pause = tpm_pause,
    .resume = tpm_resume,
    .destroy = tpm_destroy,
    .state = &tpm_tis_state,
    .state_object = tpm_state_object,
};

struct device tpm_device(struct tpm *t)
{
    return (struct device){&tpm_ops, t};
}

int tpm_create(const struct tpm_backend *b, struct bus *mmio, struct tpm **out)
{
    struct tpm *t = calloc(1, sizeof(*t));
    int rc;

    if (t == NULL)
        return -ENOMEM;
    t->backend = *b;
    lock_init(&t->lock, LOCK_DEVICE);
    tpm_tis_reset(&t->chip);
    rc = bus_map(mmio, TPM_BASE, TPM_TIS_SIZE, &mmio_ops, t);
    if (rc < 0) {
        tpm_destroy(t);
        return rc;
    }
    t->mmio = mmio;
    *out = t;
    return 0;
}
