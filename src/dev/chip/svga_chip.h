/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of a VMware SVGA II without 3D: VMware SVGA Device Developer Kit, svga_reg.h and
 * "VMware SVGA Device Interface and Programming Model". No lock, no interrupt line.
 *
 *     driver ----- commands ----> FIFO memory: MIN | ...commands... | MAX
 *       |                            NEXT_CMD: where the driver writes, STOP: where we read
 *       `--- SYNC register ------> svga_chip_run
 *
 * The frame buffer is memory of the card that the guest writes to; the picture is what is in it.
 * Commands move parts of it, tell the cursor's shape, and mark points in time (fences).
 */
#ifndef DOPPEL_DEV_CHIP_SVGA_CHIP_H
#define DOPPEL_DEV_CHIP_SVGA_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "dev/cursor.h"
#include "dev/video.h"
#include "state/state.h"

#define SVGA_MAX_WIDTH 2560u
#define SVGA_MAX_HEIGHT 1600u
#define SVGA_SCRATCH 64u /* registers that are the driver's */

enum svga_reg {
    SVGA_ID = 0,
    SVGA_ENABLE = 1,
    SVGA_WIDTH = 2,
    SVGA_HEIGHT = 3,
    SVGA_REG_MAX_WIDTH = 4,
    SVGA_REG_MAX_HEIGHT = 5,
    SVGA_DEPTH = 6,
    SVGA_BITS_PER_PIXEL = 7,
    SVGA_PSEUDOCOLOR = 8,
    SVGA_RED_MASK = 9,
    SVGA_GREEN_MASK = 10,
    SVGA_BLUE_MASK = 11,
    SVGA_BYTES_PER_LINE = 12,
    SVGA_FB_START = 13,
    SVGA_FB_OFFSET = 14,
    SVGA_VRAM_SIZE = 15,
    SVGA_FB_SIZE = 16,
    SVGA_CAPABILITIES = 17,
    SVGA_MEM_START = 18,
    SVGA_MEM_SIZE = 19,
    SVGA_CONFIG_DONE = 20,
    SVGA_SYNC = 21,
    SVGA_BUSY = 22,
    SVGA_GUEST_ID = 23,
    SVGA_CURSOR_ID = 24,
    SVGA_CURSOR_X = 25,
    SVGA_CURSOR_Y = 26,
    SVGA_CURSOR_ON = 27,
    SVGA_HOST_BITS_PER_PIXEL = 28,
    SVGA_SCRATCH_SIZE = 29,
    SVGA_MEM_REGS = 30,
    SVGA_NUM_DISPLAYS = 31,
    SVGA_PITCHLOCK = 32,
    SVGA_IRQMASK = 33,
    SVGA_PALETTE = 1024, /* 768 of them */
    SVGA_SCRATCH_BASE = 1024 + 768,
};

enum svga_fifo_reg {
    FIFO_MIN,
    FIFO_MAX,
    FIFO_NEXT_CMD,
    FIFO_STOP,
    FIFO_CAPABILITIES,
    FIFO_FLAGS,
    FIFO_FENCE,
    FIFO_CURSOR_ON = 9,
    FIFO_CURSOR_X = 10,
    FIFO_CURSOR_Y = 11,
    FIFO_FENCE_GOAL = 289,
    FIFO_BUSY = 290,
    FIFO_REGS = 291,
};

enum svga_irq { SVGA_IRQ_FENCE = 1, SVGA_IRQ_PROGRESS = 2, SVGA_IRQ_GOAL = 4 };

struct svga_chip {
    uint8_t *vram; /* fixed, as are the next ones */
    uint32_t vram_size;
    uint32_t *fifo; /* the guest writes to it at any time */
    uint32_t fifo_size;
    uint32_t width_wanted, height_wanted; /* the monitor's */
    uint32_t vram_base, fifo_base;        /* where PCI has put them */

    uint32_t index, id, enable, width, height, bpp, config_done, guest_id, pitchlock;
    uint32_t irq_mask, irq_status;
    uint32_t cursor_x, cursor_y, cursor_on;
    uint8_t palette[768];
    uint32_t scratch[SVGA_SCRATCH];
    struct cursor cursor;
};
extern const struct state_table svga_chip_state;

void svga_chip_init(struct svga_chip *c, uint8_t *vram, uint32_t vram_size, uint8_t *fifo,
                    uint32_t fifo_size, uint32_t width, uint32_t height);
void svga_chip_reset(struct svga_chip *c); /* not the memory */

/* The register that the index selects. */
uint32_t svga_chip_read(struct svga_chip *c);
/* true: there may be commands to run. */
bool svga_chip_write(struct svga_chip *c, uint32_t value);

/* Runs commands until there are none, or for about `budget` bytes of pixels; true: some are left.
 */
bool svga_chip_run(struct svga_chip *c, uint32_t budget);

/* The level of its interrupt. */
static inline bool svga_chip_irq(const struct svga_chip *c)
{
    return (c->irq_status & c->irq_mask) != 0;
}

/* Is it shown instead of the VGA? */
bool svga_chip_shown(const struct svga_chip *c);
/* Draws the picture; the registers stand still meanwhile. 0 or -ENOMEM. */
int svga_chip_draw(const struct svga_chip *c, struct video_surface *s) MUST_CHECK;

#endif
