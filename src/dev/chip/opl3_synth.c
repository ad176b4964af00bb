/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Synthesis of the OPL3: see opl3.h. An operator is a phase that advances with the channel's
 * frequency, an envelope, and a wave form; what goes into one's phase from another's output is
 * frequency modulation.
 *
 *   phase -> + modulation -> log sine -> + envelope, level, key scale, tremolo -> exponent -> out
 */
#include "dev/chip/opl3_internal.h"
#include "dev/sound/sound.h"

#define PHASE_MASK 0x7ffffu
#define ATTENUATION_MAX 0x1000u /* nothing is heard */

/* What of a channel its operators need. */
struct pitch {
    uint16_t fnum;
    uint8_t block;
};

/* Registers of an operator: five groups at these bases. */
static uint8_t op_reg(const struct opl3 *o, unsigned op, unsigned base)
{
    unsigned n = op % 18;

    return o->reg[op / 18][base + n / 6 * 8 + n % 6];
}

static uint8_t channel_reg(const struct opl3 *o, unsigned channel, unsigned base)
{
    return o->reg[channel / 9][base + channel % 9];
}

static struct pitch pitch_of(const struct opl3 *o, unsigned channel)
{
    uint8_t high;

    if (opl3_four(o, channel, 1))
        channel -= 3;
    high = channel_reg(o, channel, 0xb0);
    return (struct pitch){(uint16_t)((high & 3) << 8 | channel_reg(o, channel, 0xa0)),
                          high >> 2 & 7};
}

/* --- envelope --- */

/* In which of eight steps something happens, for the two lower bits of a rate. */
static const uint8_t some[4] = {0xaa, 0xba, 0xee, 0xfe}, twice[4] = {0, 0x88, 0xaa, 0xee};

static unsigned step(unsigned rate, uint32_t clock)
{
    unsigned octave = rate >> 2, part = rate & 3, shift;

    if (octave == 0)
        return 0;
    if (octave == 15)
        return 4;
    if (octave > 12)
        return 1u << (octave - 13) << (twice[part] >> (clock & 7) & 1);
    shift = 12 - octave;
    if ((clock & ((1u << shift) - 1)) != 0)
        return 0;
    return some[part] >> (clock >> shift & 7) & 1;
}

/* Rates count by quarters of an octave; with KSR higher notes are faster by up to four octaves. */
static unsigned rate_of(const struct opl3 *o, unsigned op, struct pitch p, unsigned four_bits)
{
    bool note_select = (o->reg[0][8] & 0x40) != 0, ksr = (op_reg(o, op, 0x20) & 0x10) != 0;
    unsigned key = p.block * 2u | (p.fnum >> (note_select ? 8 : 9) & 1);
    unsigned rate = 4 * four_bits + (key >> (ksr ? 0 : 2));

    return four_bits == 0 ? 0 : rate < 63 ? rate : 63;
}

static void fall(struct opl3_operator *s, unsigned by)
{
    s->env = (uint16_t)(s->env + by < OPL3_SILENT ? s->env + by : OPL3_SILENT);
}

static void attack(struct opl3_operator *s, unsigned rate, unsigned by)
{
    int env = s->env;

    env = rate >= 60 ? 0 : env + (~env * (int)by >> 3);
    s->env = (uint16_t)(env > 0 ? env : 0);
    if (s->env == 0)
        s->stage = OPL3_DECAY;
}

static void envelope(struct opl3 *o, unsigned op, struct pitch p)
{
    struct opl3_operator *s = &o->op[op];
    uint8_t ad = op_reg(o, op, 0x60), sr = op_reg(o, op, 0x80);
    unsigned level = (sr >> 4 == 15 ? 31u : sr >> 4) << 4;
    unsigned four_bits = s->stage == OPL3_ATTACK  ? ad >> 4
                         : s->stage == OPL3_DECAY ? ad & 15
                                                  : sr & 15;
    unsigned rate = rate_of(o, op, p, four_bits), by = step(rate, o->clock);
    bool holds = (op_reg(o, op, 0x20) & 0x20) != 0;

    if (s->stage == OPL3_ATTACK)
        attack(s, rate, by);
    else if (s->stage != OPL3_SUSTAIN || !holds)
        fall(s, by);
    if (s->stage == OPL3_DECAY && s->env >= level)
        s->stage = OPL3_SUSTAIN;
}

void opl3_key(struct opl3 *o, unsigned op, uint8_t who, bool down)
{
    struct opl3_operator *s = &o->op[op];
    uint8_t before = s->key;

    s->key = (uint8_t)(down ? before | who : before & ~who);
    if (before == 0 && s->key != 0) {
        s->stage = OPL3_ATTACK;
        s->phase = 0;
    } else if (before != 0 && s->key == 0) {
        s->stage = OPL3_RELEASE;
    }
}

/* --- level --- */

/* Attenuation that grows with the note: 6 dB an octave before it is divided. */
static unsigned key_scale(struct pitch p, unsigned ksl)
{
    static const uint8_t rom[16] = {0, 32, 40, 45, 48, 51, 53, 55, 56, 58, 59, 60, 61, 62, 63, 64};
    static const uint8_t shift[4] = {0, 1, 2, 0}; /* 3, 1.5 and 6 dB */
    int v = rom[p.fnum >> 6] * 4 - (8 - p.block) * 32;

    return ksl == 0 || v <= 0 ? 0 : (unsigned)v >> shift[ksl];
}

/* A triangle of 3.7 Hz, 4.8 or 1 dB deep. */
static unsigned tremolo(const struct opl3 *o)
{
    unsigned at = o->clock / 64 % 210, v = at < 105 ? at : 210 - at;

    return (o->reg[0][0xbd] & OPL3_DEEP_TREMOLO) != 0 ? v >> 2 : v >> 4;
}

static unsigned attenuation(const struct opl3 *o, unsigned op, struct pitch p)
{
    uint8_t level = op_reg(o, op, 0x40);
    unsigned v = o->op[op].env + ((level & 0x3fu) << 2) + key_scale(p, level >> 6);

    if ((op_reg(o, op, 0x20) & 0x80) != 0)
        v += tremolo(o);
    return v < OPL3_SILENT ? v << 3 : ATTENUATION_MAX;
}

/* --- phase --- */

/* 6.1 Hz in eight steps: 0, half, whole, half, and the same downwards; 7 or 14 cents. */
static unsigned vibrato(const struct opl3 *o, uint16_t fnum)
{
    unsigned at = o->clock >> 10 & 7;
    int by = fnum >> 7;

    if ((at & 3) == 0)
        return fnum;
    if ((at & 1) != 0)
        by >>= 1;
    if ((o->reg[0][0xbd] & OPL3_DEEP_VIBRATO) == 0)
        by >>= 1;
    return (unsigned)(fnum + (at < 4 ? by : -by));
}

static void advance(struct opl3 *o, unsigned op, struct pitch p)
{
    static const uint8_t twice_multiple[16] = {1,  2,  4,  6,  8,  10, 12, 14,
                                               16, 18, 20, 20, 24, 24, 30, 30};
    uint8_t mode = op_reg(o, op, 0x20);
    unsigned fnum = (mode & 0x40) != 0 ? vibrato(o, p.fnum) : p.fnum;

    o->op[op].phase += ((fnum << p.block) >> 1) * twice_multiple[mode & 15] >> 1;
    o->op[op].phase &= PHASE_MASK;
}

/* --- wave forms: a phase of ten bits --- */

static unsigned log_sine(unsigned phase)
{
    return opl3_log_sine[(phase & 0x100) != 0 ? ~phase & 0xff : phase & 0xff];
}

/* Attenuation of a wave form; *negative: below the axis. */
static unsigned wave(unsigned form, unsigned phase, bool *negative)
{
    bool second = (phase & 0x200) != 0, quarter = (phase & 0x100) != 0;

    *negative = false;
    switch (form) {
    case 0: /* sine */
        *negative = second;
        return log_sine(phase);
    case 1: /* its first half */
        return second ? ATTENUATION_MAX : log_sine(phase);
    case 2: /* both halves above */
        return log_sine(phase);
    case 3: /* what rises of them */
        return quarter ? ATTENUATION_MAX : log_sine(phase);
    case 4: /* a whole sine in the first half */
        *negative = quarter;
        return second ? ATTENUATION_MAX : log_sine(phase << 1);
    case 5:
        return second ? ATTENUATION_MAX : log_sine(phase << 1);
    case 6: /* square */
        *negative = second;
        return 0;
    default: /* falls exponentially, and the same upside down */
        *negative = second;
        return (second ? ~phase & 0x1ff : phase & 0x1ff) << 3;
    }
}

static int sample(unsigned attenuation, bool negative)
{
    unsigned whole = attenuation >> 8;
    int v = whole > 12 ? 0 : (int)((opl3_exponent[~attenuation & 0xff] + 1024u) << 1 >> whole);

    return negative ? ~v : v;
}

/* What the operator gives at this phase of ten bits. */
static int sound(struct opl3 *o, unsigned op, struct pitch p, unsigned phase)
{
    struct opl3_operator *s = &o->op[op];
    unsigned form = op_reg(o, op, 0xe0) & 7, level = attenuation(o, op, p);
    bool negative;

    if (!opl3_new(o))
        form = (o->reg[0][1] & 0x20) != 0 ? form & 3 : 0;
    level += wave(form, phase & 0x3ff, &negative);
    s->out[1] = s->out[0];
    s->out[0] = (int16_t)(level >= ATTENUATION_MAX ? 0 : sample(level, negative));
    return s->out[0];
}

static unsigned phase_of(const struct opl3 *o, unsigned op)
{
    return o->op[op].phase >> 9;
}

/* The operator with `modulation` in its phase. */
static int play(struct opl3 *o, unsigned op, struct pitch p, int modulation)
{
    return sound(o, op, p, phase_of(o, op) + (unsigned)modulation);
}

/* The first operator of a channel, which may modulate itself. */
static int play_first(struct opl3 *o, unsigned channel, struct pitch p)
{
    unsigned op = opl3_first(channel), fb = channel_reg(o, channel, 0xc0) >> 1 & 7;
    int back = o->op[op].out[0] + o->op[op].out[1];

    return play(o, op, p, fb == 0 ? 0 : back >> (9 - fb));
}

/* --- channels --- */

static bool connection(const struct opl3 *o, unsigned channel)
{
    return (channel_reg(o, channel, 0xc0) & 1) != 0;
}

static int two(struct opl3 *o, unsigned channel, struct pitch p)
{
    int first = play_first(o, channel, p);
    bool side_by_side = connection(o, channel);
    int second = play(o, opl3_first(channel) + 3, p, side_by_side ? 0 : first);

    return side_by_side ? first + second : second;
}

static int four(struct opl3 *o, unsigned channel, struct pitch p)
{
    unsigned op = opl3_first(channel);
    bool a = connection(o, channel), b = connection(o, channel + 3);
    int s1 = play_first(o, channel, p), s2 = play(o, op + 3, p, a ? 0 : s1);
    int s3 = play(o, op + 6, p, a != b && b ? 0 : s2), s4;

    if (a && b) { /* 1 + 2 -> 3 + 4 */
        s4 = play(o, op + 9, p, 0);
        return s1 + s3 + s4;
    }
    s4 = play(o, op + 9, p, s3);
    if (a) /* 1 + 2 -> 3 -> 4 */
        return s1 + s4;
    return b ? s2 + s4 : s4; /* 1 -> 2 + 3 -> 4; all in a row */
}

/* Channels 6 to 8 as drums; those without a pitch of their own mix bits of two phases and noise. */
static int drum(struct opl3 *o, unsigned channel, struct pitch p)
{
    enum { HIHAT = 13, TOM = 14, SNARE = 16, CYMBAL = 17 };
    unsigned h = phase_of(o, HIHAT), c = phase_of(o, CYMBAL), noise = o->noise & 1;
    unsigned mixed = ((h >> 2 ^ h >> 7) | (h >> 3 ^ c >> 5) | (c >> 3 ^ c >> 5)) & 1;

    if (channel == 6) {
        int first = play_first(o, 6, p);

        return 2 * play(o, opl3_first(6) + 3, p, connection(o, 6) ? 0 : first);
    }
    if (channel == 7)
        return 2 * (sound(o, HIHAT, p, mixed << 9 | ((mixed ^ noise) != 0 ? 0xd0 : 0x34)) +
                    sound(o, SNARE, p, (h >> 8 & 1) << 9 | ((h >> 8 & 1) ^ noise) << 8));
    return 2 * (play(o, TOM, p, 0) + sound(o, CYMBAL, p, mixed << 9 | 0x80));
}

static int channel_sound(struct opl3 *o, unsigned channel, struct pitch p)
{
    if (opl3_four(o, channel, 1)) /* is heard with its first half */
        return 0;
    if (opl3_four(o, channel, 0))
        return four(o, channel, p);
    if (channel >= 6 && channel <= 8 && (o->reg[0][0xbd] & OPL3_RHYTHM) != 0)
        return drum(o, channel, p);
    return two(o, channel, p);
}

static bool rests(const struct opl3 *o, unsigned op)
{
    return o->op[op].env == OPL3_SILENT && o->op[op].key == 0;
}

static bool channel_rests(const struct opl3 *o, unsigned channel)
{
    unsigned op = opl3_first(channel);

    return rests(o, op) && rests(o, op + 3);
}

bool opl3_silent(const struct opl3 *o)
{
    for (unsigned i = 0; i < OPL3_OPERATORS; i++)
        if (!rests(o, i))
            return false;
    return true;
}

static void next_operator(struct opl3 *o, unsigned op, struct pitch p)
{
    envelope(o, op, p);
    advance(o, op, p);
}

/* The noise of the drums: a shift register of 23 bits. */
static void next_noise(struct opl3 *o)
{
    o->noise = o->noise >> 1 | ((o->noise ^ o->noise >> 14) & 1) << 22;
}

static void frame(struct opl3 *o, int *left, int *right)
{
    bool all = !opl3_new(o);

    *left = *right = 0;
    for (unsigned i = 0; i < OPL3_CHANNELS; i++) {
        struct pitch p = pitch_of(o, i);
        uint8_t to = channel_reg(o, i, 0xc0);
        bool idle = channel_rests(o, i) && !opl3_four(o, i, 0) && (i < 6 || i > 8);
        int v = idle ? 0 : channel_sound(o, i, p);

        *left += all || (to & 0x10) != 0 ? v : 0;
        *right += all || (to & 0x20) != 0 ? v : 0;
        if (idle)
            continue;
        next_operator(o, opl3_first(i), p);
        next_operator(o, opl3_first(i) + 3, p);
    }
    next_noise(o);
    o->clock++;
}

void opl3_generate(struct opl3 *o, int16_t *out, unsigned frames)
{
    for (unsigned i = 0; i < frames; i++) {
        int left, right;

        frame(o, &left, &right);
        out[2 * i] = sound_sample(left);
        out[2 * i + 1] = sound_sample(right);
    }
}
