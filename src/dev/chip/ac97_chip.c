/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AC'97 registers: see ac97_chip.h. */
#include "dev/chip/ac97_chip.h"

#include <string.h>

enum { /* codec, 5.7 */
       RESET = 0x00,
       MASTER = 0x02,
       HEADPHONE = 0x04,
       MONO = 0x06,
       BEEP = 0x0a,
       PHONE = 0x0c,
       MIC = 0x0e,
       LINE_IN = 0x10,
       AUX = 0x16,
       PCM_OUT = 0x18,
       RECORD_SELECT = 0x1a,
       RECORD_GAIN = 0x1c,
       GENERAL = 0x20,
       POWER = 0x26,
       DAC_RATE = 0x2c,
       ADC_RATE = 0x32,
       VENDOR1 = 0x7c,
       VENDOR2 = 0x7e,
};
enum { MUTE = 0x8000, POWER_READY = 15 };
enum { /* controller */
       BDBAR = 0x0,
       CIV = 0x4,
       LVI = 0x5,
       SR = 0x6,
       PICB = 0x8,
       PIV = 0xa,
       CR = 0xb,
       GLOB_CNT = 0x2c,
       GLOB_STA = 0x30,
       CAS = 0x34,
};
enum { SR_DCH = 1, SR_CELV = 2, SR_LVBCI = 4, SR_BCIS = 8, SR_FIFOE = 16, SR_W1C = 28 };
enum { CR_RUN = 1, CR_RESET = 2, CR_LVBIE = 4, CR_FEIE = 8, CR_IOCE = 16, CR_KEPT = 29 };
enum { CNT_COLD = 2, CNT_WARM = 4, CNT_KEPT = 0x3f & ~CNT_WARM, STA_READY = 1 << 8 };
#define DESCRIPTOR_IOC 0x80000000u

/* --- codec --- */

static void reset_mixer(struct ac97_chip *c)
{
    static const struct {
        uint8_t reg;
        uint16_t value;
    } values[] = {
        {MASTER, MUTE},        {HEADPHONE, MUTE},     {MONO, MUTE},        {PHONE, MUTE | 8},
        {MIC, MUTE | 8},       {PCM_OUT, 0x8808},     {RECORD_GAIN, MUTE}, {POWER, POWER_READY},
        {DAC_RATE, AC97_RATE}, {ADC_RATE, AC97_RATE}, {VENDOR1, 0x8384},   {VENDOR2, 0x7600},
    };

    memset(c->mixer, 0, sizeof(c->mixer));
    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        c->mixer[values[i].reg / 2] = values[i].value;
    for (unsigned reg = LINE_IN; reg <= AUX; reg += 2)
        c->mixer[reg / 2] = 0x8808;
}

uint16_t ac97_mixer_read(struct ac97_chip *c, uint32_t offset)
{
    c->semaphore = 0;
    return offset < 2 * sizeof(c->mixer) / sizeof(c->mixer[0]) ? c->mixer[offset / 2] : 0;
}

/* Attenuations have five bits; a set sixth one reads as the most that there is (5.7.2). */
static uint16_t volume(uint16_t value)
{
    if (value & 0x2000)
        value |= 0x1f00;
    if (value & 0x20)
        value |= 0x1f;
    return value & (MUTE | 0x1f1f);
}

void ac97_mixer_write(struct ac97_chip *c, uint32_t offset, uint16_t value)
{
    c->semaphore = 0;
    switch (offset) {
    case RESET:
        reset_mixer(c);
        break;
    case MASTER:
    case HEADPHONE:
        c->mixer[offset / 2] = volume(value);
        break;
    case MONO:
        c->mixer[offset / 2] = volume(value) & (MUTE | 0x1f);
        break;
    case BEEP:
        c->mixer[offset / 2] = value & (MUTE | 0x1e);
        break;
    case PHONE:
    case MIC:
        c->mixer[offset / 2] = value & (MUTE | 0x5f);
        break;
    case RECORD_SELECT:
        c->mixer[offset / 2] = value & 0x0707;
        break;
    case RECORD_GAIN:
        c->mixer[offset / 2] = value & (MUTE | 0x0f0f);
        break;
    case GENERAL:
        c->mixer[offset / 2] = value & 0xfb80;
        break;
    case POWER:
        c->mixer[offset / 2] = (value & 0xff00) | POWER_READY;
        break;
    default:
        if (offset >= LINE_IN && offset <= PCM_OUT)
            c->mixer[offset / 2] = value & (MUTE | 0x1f1f);
    }
}

/* Steps of 1.5 dB: 0.8414 of the voltage. Eight of them louder is 12 dB. */
static uint32_t factor(int steps)
{
    double g = 65536;

    for (; steps > 0; steps--)
        g *= 0.84139514;
    for (; steps < 0; steps++)
        g /= 0.84139514;
    return (uint32_t)g;
}

void ac97_gain(const struct ac97_chip *c, uint32_t gain[2])
{
    uint16_t master = c->mixer[MASTER / 2], pcm = c->mixer[PCM_OUT / 2];
    bool mute = ((master | pcm) & MUTE) != 0;

    gain[0] = mute ? 0 : factor((master >> 8 & 31) + (pcm >> 8 & 31) - 8);
    gain[1] = mute ? 0 : factor((master & 31) + (pcm & 31) - 8);
}

/* --- channels --- */

static bool channel_level(const struct ac97_channel *n)
{
    return ((n->sr & SR_LVBCI) != 0 && (n->cr & CR_LVBIE) != 0) ||
           ((n->sr & SR_BCIS) != 0 && (n->cr & CR_IOCE) != 0) ||
           ((n->sr & SR_FIFOE) != 0 && (n->cr & CR_FEIE) != 0);
}

bool ac97_level(const struct ac97_chip *c)
{
    for (unsigned i = 0; i < AC97_CHANNELS; i++)
        if (channel_level(&c->channel[i]))
            return true;
    return false;
}

static void reset_channel(struct ac97_channel *n)
{
    *n = (struct ac97_channel){.sr = SR_DCH};
}

/* Goes to the next buffer of the list. */
static void next_buffer(struct ac97_channel *n)
{
    n->civ = n->piv;
    n->piv = (n->piv + 1) % 32;
    n->picb = 0;
    n->wanted = true;
    n->sr &= (uint16_t) ~(SR_DCH | SR_CELV);
}

static void write_cr(struct ac97_channel *n, uint8_t value)
{
    bool was = (n->cr & CR_RUN) != 0, run = (value & CR_RUN) != 0;

    if ((value & CR_RESET) != 0 && !run) {
        reset_channel(n);
        return;
    }
    n->cr = value & CR_KEPT;
    if (run && !was && n->picb == 0)
        next_buffer(n);
    else if (run && !was)
        n->sr &= (uint16_t)~SR_DCH;
    else if (!run)
        n->sr |= SR_DCH;
}

/* A channel that halted at its last valid buffer goes on when there is another one. */
static void write_lvi(struct ac97_channel *n, uint8_t value)
{
    n->lvi = value & 31;
    if ((n->cr & CR_RUN) != 0 && (n->sr & SR_CELV) != 0)
        next_buffer(n);
}

static void end_buffer(struct ac97_channel *n)
{
    if (n->ioc)
        n->sr |= SR_BCIS;
    if (n->civ == n->lvi)
        n->sr |= SR_LVBCI | SR_CELV | SR_DCH;
    else
        next_buffer(n);
}

uint32_t ac97_samples_of(unsigned channel, uint32_t frames)
{
    return channel == AC97_MICROPHONE ? frames : 2 * frames;
}

bool ac97_runs(const struct ac97_chip *c, unsigned channel)
{
    const struct ac97_channel *n = &c->channel[channel];

    return (n->cr & CR_RUN) != 0 && (n->sr & SR_DCH) == 0;
}

bool ac97_wants(const struct ac97_chip *c, unsigned channel, uint32_t *address)
{
    const struct ac97_channel *n = &c->channel[channel];

    *address = n->bdbar + 8u * n->civ;
    return ac97_runs(c, channel) && n->wanted;
}

void ac97_descriptor(struct ac97_chip *c, unsigned channel, uint32_t pointer, uint32_t control)
{
    struct ac97_channel *n = &c->channel[channel];

    if (!ac97_runs(c, channel) || !n->wanted)
        return;
    n->wanted = false;
    n->at = pointer & ~UINT32_C(1);
    n->picb = control & 0xffff;
    n->ioc = (control & DESCRIPTOR_IOC) != 0;
    if (n->picb == 0)
        end_buffer(n);
}

uint32_t ac97_samples(const struct ac97_chip *c, unsigned channel, uint32_t *address)
{
    const struct ac97_channel *n = &c->channel[channel];

    *address = n->at;
    return ac97_runs(c, channel) && !n->wanted ? n->picb : 0;
}

void ac97_moved(struct ac97_chip *c, unsigned channel, uint32_t count)
{
    struct ac97_channel *n = &c->channel[channel];

    if (!ac97_runs(c, channel) || n->wanted || n->picb == 0)
        return;
    if (count > n->picb)
        count = n->picb;
    n->picb = (uint16_t)(n->picb - count);
    n->at += 2 * count;
    if (n->picb == 0)
        end_buffer(n);
}

/* --- controller --- */

static uint32_t status(const struct ac97_chip *c)
{
    uint32_t v = (c->control & CNT_COLD) != 0 ? STA_READY : 0;

    for (unsigned i = 0; i < AC97_CHANNELS; i++)
        if (channel_level(&c->channel[i]))
            v |= UINT32_C(1) << (5 + i);
    return v;
}

static uint8_t channel_byte(const struct ac97_channel *n, uint32_t reg, uint32_t ahead)
{
    /* Never the last one: that is for ac97_moved, with all that follows from it. */
    uint16_t picb = n->picb > ahead + 2 ? (uint16_t)(n->picb - ahead) : n->picb < 2 ? n->picb : 2;

    switch (reg) {
    case BDBAR:
    case BDBAR + 1:
    case BDBAR + 2:
    case BDBAR + 3:
        return (uint8_t)(n->bdbar >> 8 * reg);
    case CIV:
        return n->civ;
    case LVI:
        return n->lvi;
    case SR:
        return (uint8_t)n->sr;
    case PICB:
        return (uint8_t)picb;
    case PICB + 1:
        return (uint8_t)(picb >> 8);
    case PIV:
        return n->piv;
    case CR:
        return n->cr;
    default:
        return 0;
    }
}

static uint8_t master_byte(struct ac97_chip *c, uint32_t offset, uint32_t ahead)
{
    uint8_t old = c->semaphore;
    unsigned channel = offset / 16;

    if (offset < 0x10 * AC97_CHANNELS && offset % 16 < 12)
        return channel_byte(&c->channel[channel], offset % 16,
                            ac97_runs(c, channel) ? ac97_samples_of(channel, ahead) : 0);
    if (offset >= GLOB_CNT && offset < GLOB_CNT + 4)
        return (uint8_t)(c->control >> 8 * (offset - GLOB_CNT));
    if (offset >= GLOB_STA && offset < GLOB_STA + 4)
        return (uint8_t)(status(c) >> 8 * (offset - GLOB_STA));
    if (offset != CAS)
        return 0;
    c->semaphore = 1;
    return old;
}

uint32_t ac97_master_read(struct ac97_chip *c, uint32_t offset, unsigned size, uint32_t ahead)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)master_byte(c, offset + i, ahead) << 8 * i;
    return v;
}

static void write_control(struct ac97_chip *c, uint32_t value)
{
    bool was = (c->control & CNT_COLD) != 0;

    c->control = value & CNT_KEPT;
    if (was && (value & CNT_COLD) == 0) {
        reset_mixer(c);
        for (unsigned i = 0; i < AC97_CHANNELS; i++)
            reset_channel(&c->channel[i]);
    }
}

static void write_byte(struct ac97_chip *c, uint32_t offset, uint8_t value)
{
    struct ac97_channel *n = &c->channel[offset / 16 % AC97_CHANNELS];
    uint32_t reg = offset % 16;

    if (offset >= 16 * AC97_CHANNELS)
        return;
    if (reg < BDBAR + 4)
        n->bdbar = ((n->bdbar & ~(UINT32_C(0xff) << 8 * reg)) | (uint32_t)value << 8 * reg) & ~7u;
    else if (reg == LVI)
        write_lvi(n, value);
    else if (reg == SR)
        n->sr &= (uint16_t) ~(value & SR_W1C);
    else if (reg == CR)
        write_cr(n, value);
}

void ac97_master_write(struct ac97_chip *c, uint32_t offset, uint32_t value, unsigned size)
{
    if (offset == GLOB_CNT && size == 4) {
        write_control(c, value);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        if (offset + i < GLOB_CNT)
            write_byte(c, offset + i, (uint8_t)(value >> 8 * i));
}

/* --- life --- */

void ac97_reset(struct ac97_chip *c)
{
    memset(c, 0, sizeof(*c));
    reset_mixer(c);
    for (unsigned i = 0; i < AC97_CHANNELS; i++)
        reset_channel(&c->channel[i]);
}

static const struct state_field channel_fields[] = {
    STATE_U32_F(struct ac97_channel, bdbar),
    STATE_MAX_F(struct ac97_channel, civ, STATE_U8, 31),
    STATE_MAX_F(struct ac97_channel, lvi, STATE_U8, 31),
    STATE_MAX_F(struct ac97_channel, piv, STATE_U8, 31),
    STATE_U8_F(struct ac97_channel, cr),
    STATE_U16_F(struct ac97_channel, sr),
    STATE_U16_F(struct ac97_channel, picb),
    STATE_U32_F(struct ac97_channel, at),
    STATE_BOOL_F(struct ac97_channel, ioc),
    STATE_BOOL_F(struct ac97_channel, wanted),
    STATE_END_F,
};
static const struct state_table channel_state = {
    .name = "ac97-channel", .version = 1, .fields = channel_fields};

static const struct state_field fields[] = {
    STATE_ARRAY_F(struct ac97_chip, mixer, STATE_U16, 64),
    STATE_STRUCT_F(struct ac97_chip, channel, AC97_CHANNELS, &channel_state),
    STATE_U32_F(struct ac97_chip, control),
    STATE_U8_F(struct ac97_chip, semaphore),
    STATE_END_F,
};
const struct state_table ac97_chip_state = {.name = "ac97-chip", .version = 1, .fields = fields};
