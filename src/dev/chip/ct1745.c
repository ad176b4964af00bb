/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mixer of a Sound Blaster 16: see ct1745.h. */
#include "dev/chip/ct1745.h"

#include <errno.h>
#include <string.h>

enum {
    RESET = 0x00,
    MASTER = 0x30,
    VOICE = 0x32,
    FM = 0x34,
    OUTPUTS = 0x3c,
    INPUT_LEFT = 0x3d,
    INPUT_RIGHT = 0x3e,
    OUTPUT_GAIN = 0x41,
    TREBLE = 0x44,
    IRQ = 0x80,
    DMA = 0x81,
    INTERRUPTS = 0x82,
};

/* Which bits of a register there are; 0: there is no such register. */
static uint8_t mask_of(uint8_t at)
{
    if (at >= 0x30 && at <= 0x3a) /* volumes of 5 bits */
        return 0xf8;
    if (at == 0x3b || (at >= 0x3f && at <= 0x42)) /* speaker, gains */
        return 0xc0;
    if (at >= TREBLE && at <= 0x47)
        return 0xf0;
    switch (at) {
    case OUTPUTS:
        return 0x1f;
    case INPUT_LEFT:
    case INPUT_RIGHT:
        return 0x7f;
    case 0x43:
        return 0x01;
    case IRQ:
        return 0x0f;
    case DMA:
        return 0xeb;
    default:
        return 0;
    }
}

/* Registers of the Sound Blaster Pro: four bits for the left, four for the right. What they show is
 * the pair that it returns; 0: it is none of them. */
static uint8_t old_pair(uint8_t at)
{
    switch (at) {
    case 0x04:
        return VOICE;
    case 0x22:
        return MASTER;
    case 0x26:
        return FM;
    case 0x28:
        return 0x36;
    case 0x2e:
        return 0x38;
    default:
        return 0;
    }
}

static void set_levels(struct ct1745 *m)
{
    uint8_t irq = m->reg[IRQ], dma = m->reg[DMA];

    memset(m->reg, 0, sizeof(m->reg));
    memset(m->reg + MASTER, 0xc0, 6);
    m->reg[OUTPUTS] = 0x1f;
    m->reg[INPUT_LEFT] = 0x15;
    m->reg[INPUT_RIGHT] = 0x0b;
    memset(m->reg + TREBLE, 0x80, 4);
    m->reg[IRQ] = irq;
    m->reg[DMA] = dma;
}

void ct1745_init(struct ct1745 *m)
{
    m->index = 0;
    m->reg[IRQ] = 0x02;
    m->reg[DMA] = 0x22;
    set_levels(m);
}

uint8_t ct1745_read(const struct ct1745 *m, uint8_t interrupts)
{
    uint8_t pair = old_pair(m->index);

    if (pair != 0)
        return (uint8_t)((m->reg[pair] & 0xf0) | m->reg[pair + 1] >> 4);
    if (m->index == 0x0a) /* microphone, three bits */
        return m->reg[0x3a] >> 5;
    if (m->index == INTERRUPTS)
        return interrupts;
    return mask_of(m->index) != 0 ? m->reg[m->index] : 0xff;
}

void ct1745_write(struct ct1745 *m, uint8_t value)
{
    uint8_t pair = old_pair(m->index);

    if (m->index == RESET) {
        set_levels(m);
    } else if (pair != 0) {
        m->reg[pair] = (uint8_t)((value & 0xf0) | 0x08);
        m->reg[pair + 1] = (uint8_t)(value << 4 | 0x08);
    } else if (m->index == 0x0a) {
        m->reg[0x3a] = (uint8_t)(value << 5 | 0x18);
    } else {
        m->reg[m->index] = value & mask_of(m->index);
    }
}

const uint8_t ct1745_irqs[CT1745_IRQS] = {9, 5, 7, 10};

unsigned ct1745_irq(const struct ct1745 *m)
{
    return m->reg[IRQ] != 0 ? ct1745_irqs[__builtin_ctz(m->reg[IRQ])] : 0;
}

int ct1745_dma(const struct ct1745 *m, bool wide)
{
    unsigned high = m->reg[DMA] & 0xe0u, low = m->reg[DMA] & 0x0bu;

    if (wide && high != 0)
        return __builtin_ctz(high);
    return low != 0 ? __builtin_ctz(low) : -1;
}

/* --- levels: 2 dB for each step of 32, 6 dB for each of the gains --- */

static uint32_t volume(uint8_t reg)
{
    static const uint16_t factor[31] = {52,    66,    83,    104,   131,   165,   207,  261,
                                        328,   414,   521,   655,   825,   1039,  1308, 1646,
                                        2072,  2609,  3285,  4135,  5206,  6554,  8250, 10387,
                                        13076, 16462, 20724, 26090, 32846, 41350, 52057};

    return reg >> 3 == 31 ? 65536 : factor[reg >> 3];
}

void ct1745_gain(const struct ct1745 *m, bool fm, uint32_t gain[2])
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t v = volume(m->reg[(fm ? FM : VOICE) + i]);

        v = v * volume(m->reg[MASTER + i]) / 65536;
        gain[i] = (uint32_t)(v << (m->reg[OUTPUT_GAIN + i] >> 6));
    }
}

/* --- state --- */

static int validate(const void *object, struct err *e)
{
    const struct ct1745 *m = object;

    for (unsigned i = 0; i < sizeof(m->reg); i++)
        if ((m->reg[i] & ~mask_of((uint8_t)i)) != 0)
            return err_set(e, EINVAL, "ct1745: register %#x has bits that there are not", i);
    return 0;
}

static const struct state_field fields[] = {
    STATE_U8_F(struct ct1745, index),
    STATE_BYTES_F(struct ct1745, reg),
    STATE_END_F,
};
const struct state_table ct1745_state = {
    .name = "ct1745", .version = 1, .fields = fields, .validate = validate};
