/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of a parallel NOR flash with one byte-wide device: Intel's command set as in CFI
 * (JESD68, JEP137 command set 1; Intel StrataFlash 28F640J3 data sheet, table 4). No lock, no
 * clock: programming and erasing are done at once.
 *
 * In read-array mode reads are plain memory, which the chip does not see. The first command ends
 * that mode; then all reads come here until a command goes back to it.
 */
#ifndef DOPPEL_DEV_CHIP_PFLASH_CHIP_H
#define DOPPEL_DEV_CHIP_PFLASH_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define PFLASH_BLOCK 4096u
#define PFLASH_BUFFER 64u

struct pflash_chip {
    uint8_t *data; /* the caller's, `size` bytes, a multiple of PFLASH_BLOCK */
    uint32_t size;
    bool readonly; /* programming and erasing fail, as if all blocks were locked */
    /* Bytes that changed: [dirty_from, dirty_to); the caller takes them. */
    uint32_t dirty_from, dirty_to;
    /* State. */
    uint8_t command; /* the mode, or the command that waits for its second cycle */
    uint8_t status;
    uint8_t buffer[PFLASH_BUFFER]; /* of a buffered program */
    uint32_t buffer_at, buffer_len, buffer_done;
};
extern const struct state_table pflash_chip_state;

void pflash_chip_init(struct pflash_chip *c, uint8_t *data, uint32_t size, bool readonly);
void pflash_chip_reset(struct pflash_chip *c);

bool pflash_chip_array(const struct pflash_chip *c); /* in read-array mode? */

/* offset < size. */
uint8_t pflash_chip_read(const struct pflash_chip *c, uint32_t offset);
void pflash_chip_write(struct pflash_chip *c, uint32_t offset, uint8_t value);

#endif
