/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Sound Blaster 16: see sb16.h. While anything sounds, a timer mixes what its time has come
 * for, in pieces of 5 ms: both ways of the DSP, the OPL3 and the direct output. Bytes move by DMA
 * with the lock dropped; whoever begins another transfer meanwhile changes the way's epoch.
 */
#include "dev/sound/sb16.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/lock.h"
#include "dev/chip/ct1745.h"
#include "dev/chip/opl3.h"
#include "dev/chip/sb16_dsp.h"
#include "dev/irq_out.h"
#include "dev/sound/line.h"
#include "dev/ticks.h"

enum {
    PORTS = 16,
    FM_PORTS = 4,
    PIECE = SOUND_RATE / 200,
    ROUND_NS = 5000000,
    LATE_NS = 200000000,
    LATE = SOUND_RATE / 5,
    FM_MAX = OPL3_RATE / 5 + 64, /* frames */
    DIRECT = SOUND_RATE / 20,    /* how long a level is held */
};

struct sb16 {
    struct sb16_config cfg;
    struct bus *ports;
    unsigned mapped; /* ranges, as destroy takes them back */
    struct timer *timer;
    struct lock lock; /* below */
    struct irq_out irq[CT1745_IRQS];
    uint32_t epoch[SB16_WAYS]; /* of the transfer that the line is of */
    int16_t fm[2 * FM_MAX];    /* made and not heard yet */
    unsigned fm_count;
    int16_t direct[LATE]; /* likewise, of the direct output */
    unsigned direct_count;
    bool armed, paused;
    /* State. */
    struct sb16_dsp dsp;
    struct ct1745 mixer;
    struct opl3 opl3;
    struct sound_line way[SB16_WAYS], fm_line;
    uint64_t moved_ns;    /* all before was heard; paused: how long ago */
    uint32_t direct_left; /* frames for which the direct output is still heard */
};

static bool irq_level(const struct sb16 *s, unsigned i)
{
    return s->dsp.interrupts != 0 && ct1745_irq(&s->mixer) == ct1745_irqs[i];
}

/* Lock held. */
static void update_irq(struct sb16 *s)
{
    for (unsigned i = 0; i < CT1745_IRQS; i++)
        irq_out_set(&s->irq[i], irq_level(s, i));
}

static void flush_irq(struct sb16 *s)
{
    for (unsigned i = 0; i < CT1745_IRQS; i++)
        irq_out_flush(&s->irq[i]);
}

/* Lock held before. */
static void unlock_and_tell(struct sb16 *s)
{
    update_irq(s);
    lock_drop(&s->lock);
    flush_irq(s);
}

static bool sounds(const struct sb16 *s)
{
    return sb16_dsp_runs(&s->dsp, SB16_WAY_8) || sb16_dsp_runs(&s->dsp, SB16_WAY_16) ||
           s->direct_left > 0 || !opl3_silent(&s->opl3);
}

static unsigned frames_since(const struct sb16 *s, uint64_t now)
{
    uint64_t n = now > s->moved_ns ? ticks_of_ns(now - s->moved_ns, SOUND_RATE) : 0;

    return n < LATE ? (unsigned)n : LATE;
}

/* --- sources; lock held --- */

/* FM for so many frames that are heard from now on. */
static void make_fm(struct sb16 *s, unsigned frames)
{
    unsigned needs = sound_line_needs(&s->fm_line, OPL3_RATE, frames);

    needs = needs < FM_MAX ? needs : FM_MAX;
    if (needs <= s->fm_count)
        return;
    opl3_generate(&s->opl3, s->fm + 2 * s->fm_count, needs - s->fm_count);
    s->fm_count = needs;
}

static void hold_direct(struct sb16 *s, unsigned frames)
{
    while (s->direct_count < frames && s->direct_count < LATE)
        s->direct[s->direct_count++] = s->direct_left > 0 ? s->dsp.level : 0;
}

/* Bytes of a way, at most so many, from or to memory; how many there are. Drops the lock. */
static unsigned move_way(struct sb16 *s, unsigned way, uint8_t *raw, unsigned bytes)
{
    unsigned done = 0;

    while (done < bytes) {
        const struct sb16_way *w = &s->dsp.way[way];
        uint32_t n = sb16_dsp_wants(&s->dsp, way), epoch = w->epoch;
        bool records = w->records, silent = w->silent, end;
        int channel = ct1745_dma(&s->mixer, way == SB16_WAY_16);

        n = n < bytes - done ? n : bytes - done;
        if (n == 0 || (channel < 0 && !silent))
            break;
        if (!silent) {
            lock_drop(&s->lock);
            n = dma_move(s->cfg.dma, (unsigned)channel,
                         records ? I8237_TO_MEMORY : I8237_FROM_MEMORY, raw + done, n, &end);
            lock_take(&s->lock);
        }
        if (n == 0 || epoch != s->dsp.way[way].epoch)
            break;
        sb16_dsp_moved(&s->dsp, way, n);
        done += n;
    }
    return done;
}

/* Frames of a way that a piece needs; drops the lock. */
static unsigned pull(struct sb16 *s, unsigned way, unsigned frames, int16_t *in)
{
    uint8_t raw[4 * PIECE];
    unsigned size, count, bytes;
    bool records = s->dsp.way[way].records;
    uint16_t silence;

    if (s->epoch[way] != s->dsp.way[way].epoch) {
        s->epoch[way] = s->dsp.way[way].epoch;
        memset(&s->way[way], 0, sizeof(s->way[way]));
    }
    size = sb16_dsp_frame(&s->dsp, way);
    count = sound_line_needs(&s->way[way], s->dsp.way[way].rate, frames);
    silence = sb16_dsp_silence(&s->dsp, way);
    for (unsigned i = 0; i < sizeof(raw); i += 2)
        st_le16(raw + i, silence);
    bytes = move_way(s, way, raw, count * size);
    for (unsigned i = 0; i < bytes / size; i++)
        sb16_dsp_decode(&s->dsp, way, raw + (size_t)i * size, in + 2 * (size_t)i);
    return records ? 0 : bytes / size;
}

/* --- mixing --- */

static void add_fm(struct sb16 *s, int32_t *mix, unsigned frames)
{
    unsigned used;
    uint32_t gain[2];

    make_fm(s, frames);
    used = sound_line_needs(&s->fm_line, OPL3_RATE, frames);
    used = used < s->fm_count ? used : s->fm_count;
    ct1745_gain(&s->mixer, true, gain);
    sound_line_add(&s->fm_line, OPL3_RATE, s->fm, used, gain, mix, frames);
    s->fm_count -= used;
    memmove(s->fm, s->fm + 2 * used, 4 * (size_t)s->fm_count);
}

static void add_direct(struct sb16 *s, int32_t *mix, unsigned frames, const uint32_t gain[2])
{
    hold_direct(s, frames);
    for (unsigned i = 0; i < 2 * frames; i++)
        mix[i] += (int32_t)((int64_t)s->direct[i / 2] * gain[i % 2] / 65536);
    s->direct_count -= frames;
    memmove(s->direct, s->direct + frames, 2 * (size_t)s->direct_count);
    s->direct_left -= s->direct_left < frames ? s->direct_left : frames;
}

/* Lock held, dropped in between. */
static void piece(struct sb16 *s, unsigned frames)
{
    int16_t in[SB16_WAYS][2 * PIECE], out[2 * PIECE];
    int32_t mix[2 * PIECE] = {0};
    unsigned count[SB16_WAYS] = {0};
    bool runs[SB16_WAYS];
    uint32_t gain[2], rate[SB16_WAYS];

    for (unsigned i = 0; i < SB16_WAYS; i++) {
        runs[i] = sb16_dsp_runs(&s->dsp, i);
        rate[i] = s->dsp.way[i].rate;
        if (runs[i])
            count[i] = pull(s, i, frames, in[i]);
    }
    ct1745_gain(&s->mixer, false, gain);
    for (unsigned i = 0; i < SB16_WAYS; i++)
        if (runs[i])
            sound_line_add(&s->way[i], rate[i], in[i], count[i], gain, mix, frames);
    add_fm(s, mix, frames);
    add_direct(s, mix, frames, gain);
    s->moved_ns += ticks_scale(frames, NS_PER_SECOND, SOUND_RATE);
    unlock_and_tell(s);
    sound_clip(mix, out, frames);
    if (s->cfg.out.play != NULL)
        s->cfg.out.play(s->cfg.out.opaque, out, frames);
    lock_take(&s->lock);
}

/* All whose time has come; lock held, dropped in between. */
static void catch_up(struct sb16 *s, uint64_t now)
{
    if (now > s->moved_ns && now - s->moved_ns > LATE_NS) /* nobody was let run */
        s->moved_ns = now - LATE_NS;
    for (unsigned left = frames_since(s, now), n; left > 0 && sounds(s); left -= n) {
        n = left < PIECE ? left : PIECE;
        piece(s, n);
    }
}

static void arm(struct sb16 *s, uint64_t now)
{
    if (s->armed || s->paused || !sounds(s))
        return;
    s->armed = true;
    timer_arm(s->timer, ticks_later(now, ROUND_NS));
}

static void on_timer(void *opaque)
{
    struct sb16 *s = opaque;
    uint64_t now = vclock_now(s->cfg.clock);

    lock_take(&s->lock);
    s->armed = false;
    if (!s->paused) {
        catch_up(s, now);
        arm(s, now);
    }
    unlock_and_tell(s);
}

/* --- ports --- */

/* Silence begins no time: what sounds next does. */
static void note_time(struct sb16 *s, uint64_t now)
{
    if (sounds(s))
        return;
    s->moved_ns = now;
    s->fm_count = s->direct_count = 0;
}

static void fm_write_at(struct sb16 *s, unsigned port, uint8_t value)
{
    uint64_t now = vclock_now(s->cfg.clock);

    lock_take(&s->lock);
    note_time(s, now);
    if (port % 2 == 1 && sounds(s))
        make_fm(s, frames_since(s, now));
    opl3_write(&s->opl3, port, value, now);
    arm(s, now);
    lock_drop(&s->lock);
}

static uint8_t fm_read_at(struct sb16 *s, unsigned port)
{
    uint64_t now = vclock_now(s->cfg.clock);
    uint8_t value;

    lock_take(&s->lock);
    value = opl3_read(&s->opl3, port, now);
    lock_drop(&s->lock);
    return value;
}

static uint64_t fm_read(void *opaque, uint64_t offset, unsigned size)
{
    return fm_read_at(opaque, (unsigned)offset);
}

static void fm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    fm_write_at(opaque, (unsigned)offset, (uint8_t)value);
}

enum { FM_OLD = 8, MIXER_INDEX = 4, MIXER_DATA = 5 };

static bool is_fm(uint64_t offset)
{
    return offset < FM_PORTS || offset / 2 == FM_OLD / 2;
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    struct sb16 *s = opaque;
    uint8_t value;

    if (is_fm(offset))
        return fm_read_at(s, offset & 3);
    lock_take(&s->lock);
    if (offset == MIXER_INDEX)
        value = s->mixer.index;
    else if (offset == MIXER_DATA)
        value = ct1745_read(&s->mixer, s->dsp.interrupts);
    else
        value = sb16_dsp_read(&s->dsp, (unsigned)offset);
    unlock_and_tell(s);
    return value;
}

/* The direct output: its old level was heard until now. */
static void dsp_write(struct sb16 *s, unsigned port, uint8_t value, uint64_t now)
{
    int16_t before = s->dsp.level, level;

    if (!sb16_dsp_write(&s->dsp, port, value))
        return;
    level = s->dsp.level;
    s->dsp.level = before;
    hold_direct(s, frames_since(s, now));
    s->dsp.level = level;
    s->direct_left = DIRECT;
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct sb16 *s = opaque;
    uint64_t now = vclock_now(s->cfg.clock);

    if (is_fm(offset)) {
        fm_write_at(s, offset & 3, (uint8_t)value);
        return;
    }
    lock_take(&s->lock);
    note_time(s, now);
    if (offset == MIXER_INDEX)
        s->mixer.index = (uint8_t)value;
    else if (offset == MIXER_DATA)
        ct1745_write(&s->mixer, (uint8_t)value);
    else
        dsp_write(s, (unsigned)offset, (uint8_t)value, now);
    arm(s, now);
    unlock_and_tell(s);
}

static const struct bus_ops port_ops = {
    .name = "sb16", .read = port_read, .write = port_write, .min_size = 1, .max_size = 1};
static const struct bus_ops fm_ops = {
    .name = "opl3", .read = fm_read, .write = fm_write, .min_size = 1, .max_size = 1};

/* --- life --- */

static void sb16_reset(void *self)
{
    struct sb16 *s = self;

    lock_take(&s->lock);
    timer_cancel(s->timer);
    s->armed = false;
    s->moved_ns = 0;
    s->direct_left = s->direct_count = s->fm_count = 0;
    sb16_dsp_init(&s->dsp);
    ct1745_init(&s->mixer);
    opl3_reset(&s->opl3);
    memset(s->way, 0, sizeof(s->way));
    memset(&s->fm_line, 0, sizeof(s->fm_line));
    unlock_and_tell(s);
}

/* What was made up to now is heard first, so that none of it is state. */
static void sb16_pause(void *self)
{
    struct sb16 *s = self;
    uint64_t now = vclock_now(s->cfg.clock);

    lock_take(&s->lock);
    if (!s->paused) {
        catch_up(s, now);
        s->moved_ns = sounds(s) && now > s->moved_ns ? now - s->moved_ns : 0;
        s->fm_count = s->direct_count = 0;
        opl3_turn_times(&s->opl3, now);
    }
    s->paused = true;
    s->armed = false;
    timer_cancel(s->timer);
    unlock_and_tell(s);
}

static void sb16_resume(void *self)
{
    struct sb16 *s = self;
    uint64_t now = vclock_now(s->cfg.clock);

    lock_take(&s->lock);
    if (s->paused) {
        s->moved_ns = now > s->moved_ns ? now - s->moved_ns : 0;
        opl3_turn_times(&s->opl3, now);
    }
    s->paused = false;
    arm(s, now);
    lock_drop(&s->lock);
}

static void sb16_restore(void *self)
{
    struct sb16 *s = self;

    for (unsigned i = 0; i < SB16_WAYS; i++)
        s->epoch[i] = s->dsp.way[i].epoch;
    for (unsigned i = 0; i < CT1745_IRQS; i++)
        irq_out_restore(&s->irq[i], irq_level(s, i));
}

static void sb16_destroy(void *self)
{
    struct sb16 *s = self;

    if (s->mapped > 0)
        bus_unmap(s->ports, SB16_PORT, &port_ops, s);
    if (s->mapped > 1)
        bus_unmap(s->ports, SB16_FM_PORT, &fm_ops, s);
    timer_destroy(s->timer);
    lock_finish(&s->lock);
    free(s);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct sb16, dsp, 1, &sb16_dsp_state),
    STATE_STRUCT_F(struct sb16, mixer, 1, &ct1745_state),
    STATE_STRUCT_F(struct sb16, opl3, 1, &opl3_state),
    STATE_STRUCT_F(struct sb16, way, SB16_WAYS, &sound_line_state),
    STATE_STRUCT_F(struct sb16, fm_line, 1, &sound_line_state),
    STATE_U64_F(struct sb16, moved_ns),
    STATE_MAX_F(struct sb16, direct_left, STATE_U32, DIRECT),
    STATE_END_F,
};
static const struct state_table state_table = {.name = "sb16", .version = 1, .fields = fields};

static const struct device_ops sb16_ops = {
    .name = "sb16",
    .reset = sb16_reset,
    .pause = sb16_pause,
    .resume = sb16_resume,
    .restore = sb16_restore,
    .destroy = sb16_destroy,
    .state = &state_table,
};

static int map(struct sb16 *s)
{
    int rc = bus_map(s->ports, SB16_PORT, PORTS, &port_ops, s);

    if (rc < 0)
        return rc;
    s->mapped = 1;
    rc = bus_map(s->ports, SB16_FM_PORT, FM_PORTS, &fm_ops, s);
    s->mapped += rc == 0;
    return rc;
}

int sb16_create(const struct sb16_config *cfg, struct bus *ports, struct device *out)
{
    struct sb16 *s = calloc(1, sizeof(*s));
    int rc;

    if (s == NULL)
        return -ENOMEM;
    s->cfg = *cfg;
    s->ports = ports;
    lock_init(&s->lock, LOCK_DEVICE);
    for (unsigned i = 0; i < CT1745_IRQS; i++) {
        struct pin pin = cfg->lines;

        pin.line = ct1745_irqs[i];
        irq_out_init(&s->irq[i], pin);
    }
    rc = timer_create_on(cfg->loop, cfg->clock, on_timer, s, &s->timer);
    if (rc == 0)
        rc = map(s);
    if (rc < 0) {
        sb16_destroy(s);
        return rc;
    }
    sb16_reset(s);
    *out = (struct device){&sb16_ops, s};
    return 0;
}
