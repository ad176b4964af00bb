/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of the PC's DMA: two Intel 8237A (data sheet order number 231466) and the page
 * registers beside them. Channels 0 to 3 move bytes, 5 to 7 words; 4 connects the first controller
 * to the second. No lock, no memory: it says where a channel's next bytes go, and is told how many
 * went there.
 */
#ifndef DOPPEL_DEV_CHIP_I8237_H
#define DOPPEL_DEV_CHIP_I8237_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define I8237_CHANNELS 8u
#define I8237_REGS 16u  /* of each controller */
#define I8237_PAGES 16u /* page registers, of which channels use seven */

struct i8237_channel {
    uint16_t base_address, base_count;
    uint16_t address, count;
    uint8_t mode;
};

struct i8237 {
    struct i8237_channel channel[I8237_CHANNELS];
    uint8_t page[I8237_PAGES];
    uint8_t mask, request, status; /* a bit for each channel; status: it has reached its end */
    uint8_t command[2];
    bool high[2]; /* the next byte of a register of 16 bits is the high one */
};

extern const struct state_table i8237_state;

enum i8237_direction { I8237_VERIFY, I8237_TO_MEMORY, I8237_FROM_MEMORY };

void i8237_reset(struct i8237 *d);
/* A register of a controller. */
uint8_t i8237_read(struct i8237 *d, unsigned controller, unsigned reg);
void i8237_write(struct i8237 *d, unsigned controller, unsigned reg, uint8_t value);
/* Of a device that asks for a channel: the memory of its next bytes, in rising order; 0: the
 * channel is masked, or goes the other way. `direction` is what the device wants to do: VERIFY
 * goes well with either. *verify: nothing is to be moved, only counted. */
uint32_t i8237_next(const struct i8237 *d, unsigned channel, enum i8237_direction direction,
                    uint32_t *address, bool *verify);
/* They went there. true: terminal count, the channel has come to its end. */
bool i8237_moved(struct i8237 *d, unsigned channel, uint32_t bytes);

#endif
