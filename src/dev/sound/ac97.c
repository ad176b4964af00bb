/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AC'97: see ac97.h. While a channel runs, a timer moves what its time has come for; a read of a
 * position between two of its rounds says how far the codec would be by now.
 */
#include "dev/sound/ac97.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/lock.h"
#include "base/log.h"
#include "dev/chip/ac97_chip.h"
#include "dev/ticks.h"

enum { ROUND_NS = 5000000, CHUNK = 1024, DESCRIPTORS = 64, LATE_NS = 200000000 };

struct ac97 {
    struct ac97_config cfg;
    struct pci_func func;
    struct timer *timer;
    struct lock lock; /* below */
    struct ac97_chip chip;
    uint64_t moved_ns; /* all samples before this time were moved; paused: how long ago it was */
    bool paused, armed;
};

static const struct pci_func_info info = {
    .name = "ac97",
    .vendor = 0x8086,
    .device = 0x2415,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x040100,
    .revision = 1,
    .pin = 1,
    .multifunction = true, /* boards put such devices side by side */
};

/* Lock held before. */
static void unlock_and_tell(struct ac97 *s)
{
    pci_intx_store(&s->func, ac97_level(&s->chip));
    lock_drop(&s->lock);
    pci_intx_update(&s->func);
}

/* --- samples --- */

static uint32_t frames_since(const struct ac97 *s, uint64_t now)
{
    return now > s->moved_ns ? (uint32_t)ticks_of_ns(now - s->moved_ns, AC97_RATE) : 0;
}

static void play(struct ac97 *s, uint32_t address, uint32_t count, const uint32_t gain[2])
{
    uint8_t raw[2 * CHUNK];
    int16_t out[CHUNK];

    if (ram_read(s->cfg.ram, address, raw, 2 * (uint64_t)count) < 0)
        memset(raw, 0, sizeof(raw));
    for (uint32_t i = 0; i < count; i++)
        out[i] = sound_sample((int64_t)(int16_t)ld_le16(raw + 2 * i) * gain[i % 2] / 65536);
    if (s->cfg.out.play != NULL)
        s->cfg.out.play(s->cfg.out.opaque, out, count / 2);
}

static void record(struct ac97 *s, uint32_t address, uint32_t count)
{
    static const uint8_t silence[2 * CHUNK];

    if (ram_write(s->cfg.ram, address, silence, 2 * (uint64_t)count) < 0)
        log_guest("ac97: recording to %#x, which is no memory", address);
}

/* A descriptor; false: the channel wants none. Lock held, dropped in between. */
static bool fetch(struct ac97 *s, unsigned channel)
{
    uint32_t address;
    uint8_t raw[8] = {0};
    bool good;

    if (!ac97_wants(&s->chip, channel, &address))
        return false;
    lock_drop(&s->lock);
    good = ram_read(s->cfg.ram, address, raw, sizeof(raw)) == 0;
    lock_take(&s->lock);
    if (!good)
        log_guest("ac97: descriptors at %#x, which is no memory", address);
    ac97_descriptor(&s->chip, channel, ld_le32(raw), ld_le32(raw + 4));
    return true;
}

/* Lock held, dropped in between. Frames are whole, whatever a buffer's length. */
static void run_channel(struct ac97 *s, unsigned channel, uint32_t samples)
{
    unsigned fetches = 0;

    while (samples > 0) {
        uint32_t address, n, gain[2];

        if (fetch(s, channel)) {
            if (++fetches == DESCRIPTORS) /* of nothing but empty buffers */
                break;
            continue;
        }
        n = ac97_samples(&s->chip, channel, &address);
        if (n == 0)
            break;
        n = n < samples ? n : samples;
        n = n < CHUNK ? n : CHUNK;
        ac97_gain(&s->chip, gain);
        lock_drop(&s->lock);
        if (channel == AC97_PCM_OUT)
            play(s, address, n, gain);
        else
            record(s, address, n);
        lock_take(&s->lock);
        ac97_moved(&s->chip, channel, n);
        samples -= n;
    }
}

static bool any_runs(const struct ac97 *s)
{
    for (unsigned i = 0; i < AC97_CHANNELS; i++)
        if (ac97_runs(&s->chip, i))
            return true;
    return false;
}

/* Lock held. */
static void arm(struct ac97 *s, uint64_t now)
{
    if (s->armed || s->paused || !any_runs(s))
        return;
    s->armed = true;
    timer_arm(s->timer, ticks_later(now, ROUND_NS));
}

static void on_timer(void *opaque)
{
    struct ac97 *s = opaque;
    uint64_t now = vclock_now(s->cfg.clock);
    uint32_t frames;

    lock_take(&s->lock);
    s->armed = false;
    if (s->paused) {
        lock_drop(&s->lock);
        return;
    }
    if (now - s->moved_ns > LATE_NS) /* nobody was let run; what is late stays late */
        s->moved_ns = now - LATE_NS;
    frames = frames_since(s, now);
    s->moved_ns += ticks_scale(frames, NS_PER_SECOND, AC97_RATE);
    for (unsigned i = 0; i < AC97_CHANNELS && pci_func_master(&s->func); i++)
        run_channel(s, i, ac97_samples_of(i, frames));
    arm(s, now);
    unlock_and_tell(s);
}

/* --- registers --- */

static uint64_t mixer_read(void *opaque, uint64_t offset, unsigned size)
{
    struct ac97 *s = opaque;
    uint16_t v;

    lock_take(&s->lock);
    v = ac97_mixer_read(&s->chip, (uint32_t)offset);
    lock_drop(&s->lock);
    return v;
}

static void mixer_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct ac97 *s = opaque;

    lock_take(&s->lock);
    ac97_mixer_write(&s->chip, (uint32_t)offset, (uint16_t)value);
    lock_drop(&s->lock);
}

static uint64_t master_read(void *opaque, uint64_t offset, unsigned size)
{
    struct ac97 *s = opaque;
    uint64_t now = vclock_now(s->cfg.clock);
    uint32_t v;

    lock_take(&s->lock);
    v = ac97_master_read(&s->chip, (uint32_t)offset, size, frames_since(s, now));
    lock_drop(&s->lock);
    return v;
}

static void master_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct ac97 *s = opaque;
    uint64_t now = vclock_now(s->cfg.clock);
    bool ran;

    lock_take(&s->lock);
    ran = any_runs(s);
    ac97_master_write(&s->chip, (uint32_t)offset, (uint32_t)value, size);
    if (!ran)
        s->moved_ns = now;
    arm(s, now);
    unlock_and_tell(s);
}

static const struct bus_ops mixer_ops = {
    .name = "ac97-codec", .read = mixer_read, .write = mixer_write, .min_size = 2, .max_size = 2};
static const struct bus_ops master_ops = {.name = "ac97-master",
                                          .read = master_read,
                                          .write = master_write,
                                          .min_size = 1,
                                          .max_size = 4};

/* --- life --- */

static void ac97_device_reset(void *self)
{
    struct ac97 *s = self;

    pci_func_reset(&s->func);
    lock_take(&s->lock);
    timer_cancel(s->timer);
    s->armed = false;
    s->moved_ns = 0;
    ac97_reset(&s->chip);
    unlock_and_tell(s);
}

static void ac97_pause(void *self)
{
    struct ac97 *s = self;
    uint64_t now = vclock_now(s->cfg.clock);

    lock_take(&s->lock);
    if (!s->paused)
        s->moved_ns = any_runs(s) && now > s->moved_ns ? now - s->moved_ns : 0;
    s->paused = true;
    s->armed = false;
    timer_cancel(s->timer);
    lock_drop(&s->lock);
}

static void ac97_resume(void *self)
{
    struct ac97 *s = self;
    uint64_t now = vclock_now(s->cfg.clock);

    lock_take(&s->lock);
    if (s->paused)
        s->moved_ns = now > s->moved_ns ? now - s->moved_ns : 0;
    s->paused = false;
    arm(s, now);
    lock_drop(&s->lock);
}

static void ac97_restore(void *self)
{
    struct ac97 *s = self;

    pci_func_restore(&s->func);
}

static void ac97_destroy(void *self)
{
    struct ac97 *s = self;

    if (s == NULL)
        return;
    pci_remove(&s->func);
    pci_func_finish(&s->func);
    timer_destroy(s->timer);
    lock_finish(&s->lock);
    free(s);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct ac97, func, 1, &pci_func_state),
    STATE_STRUCT_F(struct ac97, chip, 1, &ac97_chip_state),
    STATE_U64_F(struct ac97, moved_ns),
    STATE_END_F,
};
static const struct state_table state_table = {.name = "ac97", .version = 1, .fields = fields};

static const struct device_ops ac97_ops = {
    .name = "ac97",
    .reset = ac97_device_reset,
    .pause = ac97_pause,
    .resume = ac97_resume,
    .restore = ac97_restore,
    .destroy = ac97_destroy,
    .state = &state_table,
};

int ac97_create(const struct ac97_config *cfg, struct device *out, struct err *e)
{
    struct ac97 *s = calloc(1, sizeof(*s));
    int rc;

    if (s == NULL || pci_func_init(&s->func, &info, NULL, NULL) < 0) {
        free(s);
        return err_set(e, ENOMEM, "no memory for the sound device");
    }
    s->cfg = *cfg;
    lock_init(&s->lock, LOCK_DEVICE);
    ac97_reset(&s->chip);
    pci_func_bar(&s->func, 0, PCI_BAR_IO, AC97_MIXER_SIZE, &mixer_ops, s);
    pci_func_bar(&s->func, 1, PCI_BAR_IO, AC97_MASTER_SIZE, &master_ops, s);
    rc = timer_create_on(cfg->loop, cfg->clock, on_timer, s, &s->timer);
    rc = rc < 0 ? err_set(e, -rc, "cannot create a timer: %s", strerror(-rc))
                : pci_add(cfg->bus, cfg->devfn, &s->func, e);
    if (rc < 0) {
        ac97_destroy(s);
        return rc;
    }
    *out = (struct device){&ac97_ops, s};
    return 0;
}
