/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DSP of a Sound Blaster 16: see sb16_dsp.h. */
#include "dev/chip/sb16_dsp.h"

#include <string.h>

#include "base/bits.h"

enum { PORT_RESET = 6, PORT_READ = 0xa, PORT_WRITE = 0xc, PORT_STATUS = 0xe, PORT_ACK16 = 0xf };
enum { VERSION_MAJOR = 4, VERSION_MINOR = 5, READY = 0xaa, DEFAULT_RATE = 11025 };
enum { GENERIC_RECORDS = 8, GENERIC_REPEATS = 4, MODE_SIGNED = 0x10, MODE_STEREO = 0x20 };

static const char copyright[] = "COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.";
_Static_assert(sizeof(copyright) <= SB16_DSP_OUT, "it can be read");

/* Bytes of a sample. */
static unsigned width(unsigned way)
{
    return way == SB16_WAY_16 ? 2 : 1;
}

static void give(struct sb16_dsp *d, uint8_t value)
{
    if (d->out_count < SB16_DSP_OUT)
        d->out[d->out_count++] = value;
}

static void stop(struct sb16_dsp *d, unsigned way)
{
    struct sb16_way *w = &d->way[way];
    uint32_t epoch = w->epoch + 1;

    *w = (struct sb16_way){.rate = DEFAULT_RATE, .epoch = epoch};
}

void sb16_dsp_init(struct sb16_dsp *d)
{
    uint32_t epoch[SB16_WAYS] = {d->way[0].epoch, d->way[1].epoch};

    memset(d, 0, sizeof(*d));
    d->out_rate = d->in_rate = DEFAULT_RATE;
    d->block = 0x7ff;
    for (unsigned i = 0; i < SB16_WAYS; i++) {
        d->way[i].epoch = epoch[i];
        stop(d, i);
    }
}

/* In high-speed mode a reset only ends that. */
static void reset(struct sb16_dsp *d, uint8_t value)
{
    bool ends = d->in_reset && (value & 1) == 0;

    d->in_reset = (value & 1) != 0;
    if (!ends)
        return;
    if (d->high_speed) {
        d->high_speed = false;
        stop(d, SB16_WAY_8);
        return;
    }
    sb16_dsp_init(d);
    give(d, READY);
}

/* --- transfers --- */

static uint32_t clamp_rate(uint32_t rate)
{
    return rate < SB16_RATE_MIN ? SB16_RATE_MIN : rate > SB16_RATE_MAX ? SB16_RATE_MAX : rate;
}

static void begin(struct sb16_dsp *d, unsigned way, uint16_t samples_minus_1, struct sb16_way w)
{
    w.epoch = d->way[way].epoch + 1;
    w.on = true;
    w.block = (samples_minus_1 + 1u) * width(way);
    w.left = w.block;
    w.rate = w.records ? d->in_rate : d->out_rate;
    if (d->by_constant && w.stereo)
        w.rate /= 2;
    w.rate = clamp_rate(w.rate);
    d->way[way] = w;
}

static uint16_t word(uint8_t low, uint8_t high)
{
    return (uint16_t)(low | high << 8);
}

/* 0xb0 to 0xcf: format and length follow. */
static void generic(struct sb16_dsp *d)
{
    unsigned way = d->command < 0xc0 ? SB16_WAY_16 : SB16_WAY_8;
    uint8_t mode = d->parameter[0];

    begin(d, way, word(d->parameter[1], d->parameter[2]),
          (struct sb16_way){.records = (d->command & GENERIC_RECORDS) != 0,
                            .repeats = (d->command & GENERIC_REPEATS) != 0,
                            .is_signed = (mode & MODE_SIGNED) != 0,
                            .stereo = (mode & MODE_STEREO) != 0});
}

/* The commands of older cards: 8 bits, unsigned. */
static void old(struct sb16_dsp *d, uint16_t length, bool records, bool repeats)
{
    begin(d, SB16_WAY_8, length,
          (struct sb16_way){.records = records, .repeats = repeats, .stereo = d->old_stereo});
}

static void pause_way(struct sb16_dsp *d, unsigned way, bool paused)
{
    d->way[way].paused = paused;
}

/* --- commands --- */

static unsigned parameters_of(uint8_t command)
{
    if (command >= 0xb0 && command <= 0xcf)
        return 3;
    switch (command) {
    case 0x05:
    case 0x0e:
    case 0x14:
    case 0x16:
    case 0x17:
    case 0x24:
    case 0x41:
    case 0x42:
    case 0x48:
    case 0x74:
    case 0x75:
    case 0x76:
    case 0x77:
    case 0x80:
        return 2;
    case 0x04:
    case 0x08:
    case 0x0f:
    case 0x10:
    case 0x38:
    case 0x40:
    case 0xe0:
    case 0xe2:
    case 0xe4:
        return 1;
    default:
        return 0;
    }
}

static void set_constant(struct sb16_dsp *d, uint8_t constant)
{
    d->out_rate = d->in_rate = 1000000u / (256u - constant);
    d->by_constant = true;
}

/* High byte first, unlike lengths. */
static void set_rate(struct sb16_dsp *d, uint32_t *rate)
{
    *rate = clamp_rate(word(d->parameter[1], d->parameter[0]));
    d->by_constant = false;
    if (d->command == 0x41) /* recording follows, as it does on the card */
        d->in_rate = *rate;
}

/* Those that play and record, and what goes with it. */
static bool transfer_command(struct sb16_dsp *d)
{
    uint16_t length = word(d->parameter[0], d->parameter[1]);

    switch (d->command) {
    case 0x14:
        old(d, length, false, false);
        break;
    case 0x1c:
        old(d, d->block, false, true);
        break;
    case 0x24:
        old(d, length, true, false);
        break;
    case 0x2c:
        old(d, d->block, true, true);
        break;
    case 0x90:
    case 0x91:
    case 0x98:
    case 0x99: /* on this DSP high speed differs by how it ends only */
        d->high_speed = true;
        old(d, d->block, (d->command & 8) != 0, (d->command & 1) == 0);
        break;
    case 0x80:
        begin(d, SB16_WAY_8, length, (struct sb16_way){.silent = true});
        break;
    case 0xa0:
    case 0xa8:
        d->old_stereo = d->command == 0xa8;
        break;
    case 0xd0:
    case 0xd4:
        pause_way(d, SB16_WAY_8, d->command == 0xd0);
        break;
    case 0xd5:
    case 0xd6:
        pause_way(d, SB16_WAY_16, d->command == 0xd5);
        break;
    case 0x45:
    case 0x47: /* go on with what was about to end */
        d->way[d->command == 0x47].ends = false;
        break;
    case 0xd9:
    case 0xda:
        d->way[d->command == 0xd9].ends = true;
        break;
    default:
        return false;
    }
    return true;
}

static bool question(struct sb16_dsp *d)
{
    switch (d->command) {
    case 0x0f: /* a register of the ASP */
        give(d, 0xff);
        break;
    case 0x20:
        give(d, 0x80);
        break;
    case 0xd8:
        give(d, d->speaker ? 0xff : 0);
        break;
    case 0xe0:
        give(d, (uint8_t)~d->parameter[0]);
        break;
    case 0xe1:
        give(d, VERSION_MAJOR);
        give(d, VERSION_MINOR);
        break;
    case 0xe3:
        d->out_count = 0;
        for (unsigned i = 0; i < sizeof(copyright); i++)
            give(d, (uint8_t)copyright[i]);
        break;
    case 0xe8:
        give(d, d->test);
        break;
    case 0xf8:
        give(d, 0);
        break;
    default:
        return false;
    }
    return true;
}

/* true: a new level of the direct output. */
static bool execute(struct sb16_dsp *d)
{
    if (d->command >= 0xb0 && d->command <= 0xcf) {
        generic(d);
        return false;
    }
    if (transfer_command(d) || question(d))
        return false;
    switch (d->command) {
    case 0x10:
        d->level = (int16_t)((d->parameter[0] - 0x80) * 256);
        return true;
    case 0x40:
        set_constant(d, d->parameter[0]);
        break;
    case 0x41:
        set_rate(d, &d->out_rate);
        break;
    case 0x42:
        set_rate(d, &d->in_rate);
        break;
    case 0x48:
        d->block = word(d->parameter[0], d->parameter[1]);
        break;
    case 0xd1:
    case 0xd3:
        d->speaker = d->command == 0xd1;
        break;
    case 0xe4:
        d->test = d->parameter[0];
        break;
    case 0xf2:
        d->interrupts |= 1;
        break;
    case 0xf3:
        d->interrupts |= 2;
        break;
    default:
        break;
    }
    return false;
}

static bool command(struct sb16_dsp *d, uint8_t value)
{
    if (d->got < d->needed) {
        d->parameter[d->got++] = value;
    } else {
        d->command = value;
        d->needed = (uint8_t)parameters_of(value);
        d->got = 0;
    }
    return d->got == d->needed && execute(d);
}

/* --- ports --- */

static uint8_t take(struct sb16_dsp *d)
{
    if (d->out_count == 0)
        return d->last;
    d->last = d->out[0];
    d->out_count--;
    memmove(d->out, d->out + 1, d->out_count);
    return d->last;
}

uint8_t sb16_dsp_read(struct sb16_dsp *d, unsigned port)
{
    switch (port) {
    case PORT_READ:
        return take(d);
    case PORT_WRITE: /* it is never busy */
        return 0x7f;
    case PORT_STATUS:
        d->interrupts &= (uint8_t)~1;
        return d->out_count > 0 ? 0xff : 0x7f;
    case PORT_ACK16:
        d->interrupts &= (uint8_t)~2;
        return 0xff;
    default:
        return 0xff;
    }
}

bool sb16_dsp_write(struct sb16_dsp *d, unsigned port, uint8_t value)
{
    if (port == PORT_RESET)
        reset(d, value);
    else if (port == PORT_WRITE && !d->in_reset && !d->high_speed)
        return command(d, value);
    return false;
}

/* --- samples --- */

bool sb16_dsp_runs(const struct sb16_dsp *d, unsigned way)
{
    return d->way[way].on && !d->way[way].paused;
}

unsigned sb16_dsp_frame(const struct sb16_dsp *d, unsigned way)
{
    return (d->way[way].stereo ? 2u : 1u) * width(way);
}

uint32_t sb16_dsp_wants(const struct sb16_dsp *d, unsigned way)
{
    return sb16_dsp_runs(d, way) ? d->way[way].left : 0;
}

void sb16_dsp_moved(struct sb16_dsp *d, unsigned way, uint32_t bytes)
{
    struct sb16_way *w = &d->way[way];

    w->left -= bytes < w->left ? bytes : w->left;
    if (w->left != 0 || !w->on)
        return;
    d->interrupts |= way == SB16_WAY_16 ? 2 : 1;
    w->left = w->block;
    if (w->repeats && !w->ends)
        return;
    w->on = w->ends = false;
    if (way == SB16_WAY_8)
        d->high_speed = false;
}

static int16_t value_of(const struct sb16_dsp *d, unsigned way, const uint8_t *raw)
{
    uint16_t v = way == SB16_WAY_16 ? ld_le16(raw) : (uint16_t)(raw[0] << 8);

    return (int16_t)(d->way[way].is_signed ? v : v ^ 0x8000);
}

void sb16_dsp_decode(const struct sb16_dsp *d, unsigned way, const uint8_t *raw, int16_t out[2])
{
    out[0] = value_of(d, way, raw);
    out[1] = d->way[way].stereo ? value_of(d, way, raw + width(way)) : out[0];
}

uint16_t sb16_dsp_silence(const struct sb16_dsp *d, unsigned way)
{
    if (d->way[way].is_signed)
        return 0;
    return way == SB16_WAY_16 ? 0x8000 : 0x8080;
}

/* --- state --- */

static const struct state_field way_fields[] = {
    STATE_BOOL_F(struct sb16_way, on),
    STATE_BOOL_F(struct sb16_way, paused),
    STATE_BOOL_F(struct sb16_way, repeats),
    STATE_BOOL_F(struct sb16_way, ends),
    STATE_BOOL_F(struct sb16_way, records),
    STATE_BOOL_F(struct sb16_way, is_signed),
    STATE_BOOL_F(struct sb16_way, stereo),
    STATE_BOOL_F(struct sb16_way, silent),
    STATE_MAX_F(struct sb16_way, block, STATE_U32, 0x20000),
    STATE_MAX_F(struct sb16_way, left, STATE_U32, 0x20000),
    STATE_MAX_F(struct sb16_way, rate, STATE_U32, SB16_RATE_MAX),
    STATE_END_F,
};
static const struct state_table way_state = {
    .name = "sb16-way", .version = 1, .fields = way_fields};

static const struct state_field fields[] = {
    STATE_U8_F(struct sb16_dsp, command),
    STATE_MAX_F(struct sb16_dsp, needed, STATE_U8, 3),
    STATE_MAX_F(struct sb16_dsp, got, STATE_U8, 3),
    STATE_BYTES_F(struct sb16_dsp, parameter),
    STATE_BYTES_F(struct sb16_dsp, out),
    STATE_MAX_F(struct sb16_dsp, out_count, STATE_U8, SB16_DSP_OUT),
    STATE_U8_F(struct sb16_dsp, last),
    STATE_BOOL_F(struct sb16_dsp, in_reset),
    STATE_BOOL_F(struct sb16_dsp, speaker),
    STATE_BOOL_F(struct sb16_dsp, high_speed),
    STATE_BOOL_F(struct sb16_dsp, old_stereo),
    STATE_U8_F(struct sb16_dsp, test),
    STATE_U16_F(struct sb16_dsp, block),
    STATE_MAX_F(struct sb16_dsp, out_rate, STATE_U32, 1000000),
    STATE_MAX_F(struct sb16_dsp, in_rate, STATE_U32, 1000000),
    STATE_BOOL_F(struct sb16_dsp, by_constant),
    STATE_MAX_F(struct sb16_dsp, interrupts, STATE_U8, 3),
    STATE_FIELD_(struct sb16_dsp, level, STATE_U16, 1, 0),
    STATE_STRUCT_F(struct sb16_dsp, way, SB16_WAYS, &way_state),
    STATE_END_F,
};
const struct state_table sb16_dsp_state = {.name = "sb16-dsp", .version = 1, .fields = fields};
