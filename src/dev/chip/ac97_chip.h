/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AC'97 audio: the codec's mixer registers (Audio Codec '97 revision 2.3, 5.7; 48 kHz only) and the
 * controller's bus master registers (Intel 82801AA data sheet, chapter 13) with three channels:
 * PCM in, PCM out, microphone.
 *
 * Pure: a channel says which descriptor or which samples it wants next, the device moves them.
 */
#ifndef DOPPEL_DEV_CHIP_AC97_CHIP_H
#define DOPPEL_DEV_CHIP_AC97_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define AC97_RATE 48000u
#define AC97_MIXER_SIZE 256u
#define AC97_MASTER_SIZE 64u

enum ac97_channel_id { AC97_PCM_IN, AC97_PCM_OUT, AC97_MICROPHONE, AC97_CHANNELS };

struct ac97_channel {
    uint32_t bdbar; /* where the 32 descriptors are */
    uint8_t civ, lvi, piv, cr;
    uint16_t sr, picb; /* picb: samples left in the buffer */
    uint32_t at;       /* of the next sample */
    bool ioc;
    bool wanted; /* the descriptor of civ is to be fetched */
};

struct ac97_chip {
    uint16_t mixer[64];
    struct ac97_channel channel[AC97_CHANNELS];
    uint32_t control; /* GLOB_CNT */
    uint8_t semaphore;
};
extern const struct state_table ac97_chip_state;

void ac97_reset(struct ac97_chip *c);

uint16_t ac97_mixer_read(struct ac97_chip *c, uint32_t offset); /* even offsets */
void ac97_mixer_write(struct ac97_chip *c, uint32_t offset, uint16_t value);

/* Any size; `ahead`: for how many frames a channel that runs has run since ac97_moved. */
uint32_t ac97_master_read(struct ac97_chip *c, uint32_t offset, unsigned size, uint32_t ahead);
void ac97_master_write(struct ac97_chip *c, uint32_t offset, uint32_t value, unsigned size);

/* Samples of a channel in so many frames: the microphone is mono. */
uint32_t ac97_samples_of(unsigned channel, uint32_t frames);
bool ac97_runs(const struct ac97_chip *c, unsigned channel);
/* The channel wants the descriptor (8 bytes) at this address. */
bool ac97_wants(const struct ac97_chip *c, unsigned channel, uint32_t *address);
void ac97_descriptor(struct ac97_chip *c, unsigned channel, uint32_t pointer, uint32_t control);
/* How many samples of two bytes can be moved at *address; 0: none. */
uint32_t ac97_samples(const struct ac97_chip *c, unsigned channel, uint32_t *address);
/* n of them were. */
void ac97_moved(struct ac97_chip *c, unsigned channel, uint32_t n);

bool ac97_level(const struct ac97_chip *c); /* of the interrupt */
/* Factors for what is played, of 65536; 0: mute. */
void ac97_gain(const struct ac97_chip *c, uint32_t gain[2]);

#endif
