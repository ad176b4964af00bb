/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A flash chip in memory: see pflash.h. */
#include "dev/pflash.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/log.h"
#include "dev/chip/pflash_chip.h"

struct pflash {
    struct pflash_config cfg;
    struct lock lock; /* all below */
    struct pflash_chip chip;
    bool array;                  /* what the board was told, */
    bool busy, again;            /* and whether somebody is telling it */
    uint32_t seen_from, seen_to; /* changed since the chip was in read-array mode */
    uint32_t save_from, save_to; /* not in the file yet */
    bool posted;
};

/* --- the file --- */

static void widen(uint32_t *from, uint32_t *to, uint32_t a, uint32_t b)
{
    if (a == b)
        return;
    if (*from == *to) {
        *from = a;
        *to = b;
        return;
    }
    *from = a < *from ? a : *from;
    *to = b > *to ? b : *to;
}

/* What is programmed while it is written goes into the file the next time. */
static void save(struct pflash *p)
{
    uint32_t from, to;

    lock_take(&p->lock);
    from = p->save_from;
    to = p->save_to;
    p->save_from = p->save_to = 0;
    p->posted = false;
    lock_drop(&p->lock);
    while (from < to && p->cfg.fd >= 0) {
        ssize_t n = pwrite(p->cfg.fd, p->cfg.data + from, to - from, from);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            log_error("the file of the firmware's variables cannot be written");
            return;
        }
        from += (uint32_t)n;
    }
}

static void save_posted(void *opaque)
{
    save(opaque);
}

/* --- registers --- */

/* One thread tells the board at a time, in the order of the changes. */
static void update(struct pflash *p)
{
    bool post = false;

    lock_take(&p->lock);
    widen(&p->seen_from, &p->seen_to, p->chip.dirty_from, p->chip.dirty_to);
    widen(&p->save_from, &p->save_to, p->chip.dirty_from, p->chip.dirty_to);
    p->chip.dirty_from = p->chip.dirty_to = 0;
    p->again = true;
    while (p->again && !p->busy) {
        bool array = pflash_chip_array(&p->chip);
        uint32_t from = p->seen_from, to = p->seen_to;

        p->again = false;
        if (array == p->array)
            break;
        p->busy = true;
        p->array = array;
        if (array)
            p->seen_from = p->seen_to = 0;
        lock_drop(&p->lock);
        p->cfg.array(p->cfg.opaque, array, from, to);
        lock_take(&p->lock);
        p->busy = false;
    }
    if (p->array && p->save_from != p->save_to && !p->posted && p->cfg.fd >= 0)
        post = p->posted = true;
    lock_drop(&p->lock);
    if (post && loop_post(p->cfg.loop, save_posted, p) < 0)
        save(p);
}

static uint64_t flash_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pflash *p = opaque;
    uint64_t value = 0;

    lock_take(&p->lock);
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)pflash_chip_read(&p->chip, (uint32_t)offset + i) << 8 * i;
    lock_drop(&p->lock);
    return value;
}

static void flash_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pflash *p = opaque;

    lock_take(&p->lock);
    for (unsigned i = 0; i < size; i++)
        pflash_chip_write(&p->chip, (uint32_t)offset + i, (uint8_t)(value >> 8 * i));
    lock_drop(&p->lock);
    update(p);
}

static const struct bus_ops flash_ops = {
    .name = "pflash", .read = flash_read, .write = flash_write, .min_size = 1, .max_size = 8};

/* --- life --- */

static void pflash_reset(void *self)
{
    struct pflash *p = self;

    lock_take(&p->lock);
    pflash_chip_reset(&p->chip);
    lock_drop(&p->lock);
    update(p);
}

static void pflash_pause(void *self)
{
    save(self);
}

static void pflash_restore(void *self)
{
    update(self);
}

static void pflash_destroy(void *self)
{
    struct pflash *p = self;

    if (p == NULL)
        return;
    save(p);
    if (p->cfg.fd >= 0)
        close(p->cfg.fd);
    lock_finish(&p->lock);
    free(p);
}

static void *pflash_state_object(void *self)
{
    return &((struct pflash *)self)->chip;
}

static const struct device_ops pflash_ops = {
    .name = "pflash",
    .reset = pflash_reset,
    .pause = pflash_pause,
    .restore = pflash_restore,
    .destroy = pflash_destroy,
    .state = &pflash_chip_state,
    .state_object = pflash_state_object,
};

int pflash_create(const struct pflash_config *cfg, struct pflash **out)
{
    struct pflash *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return -ENOMEM;
    p->cfg = *cfg;
    p->array = true;
    lock_init(&p->lock, LOCK_DEVICE);
    pflash_chip_init(&p->chip, cfg->data, cfg->size, cfg->readonly);
    *out = p;
    return 0;
}

struct device pflash_device(struct pflash *p)
{
    return (struct device){.ops = &pflash_ops, .self = p};
}

int pflash_map(struct pflash *p, struct bus *mmio, uint64_t base)
{
    return bus_map(mmio, base, p->cfg.size, &flash_ops, p);
}
