/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of a VGA (IBM PS/2 hardware interface technical reference, "Video subsystem"),
 * with the linear modes of the Bochs display interface ("dispi"; Bochs' vbe.h, version B0C5). No
 * lock, no clock: who asks for what follows a screen's timing says what time it is.
 *
 * Memory: a VGA has four planes of 64 KB. Byte `o` of plane p is at vga_index(p, o) of the memory,
 * which is such that the four bytes of an offset are neighbours, and that what 256-colour modes of
 * four chained planes show is the first 64 KB as they are: their window can be the memory itself.
 * Linear modes use the memory from its start.
 */
#ifndef DOPPEL_DEV_CHIP_VGA_CHIP_H
#define DOPPEL_DEV_CHIP_VGA_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define VGA_WINDOW_BASE 0xa0000u
#define VGA_WINDOW_SIZE 0x20000u
#define VGA_BANK_SIZE 0x10000u /* of what may be memory itself, at the window's start */

enum vga_dispi {
    DISPI_ID,
    DISPI_XRES,
    DISPI_YRES,
    DISPI_BPP,
    DISPI_ENABLE,
    DISPI_BANK,
    DISPI_VIRT_WIDTH,
    DISPI_VIRT_HEIGHT,
    DISPI_X_OFFSET,
    DISPI_Y_OFFSET,
    DISPI_MEMORY_64K,
    DISPI_COUNT
};

enum { /* of DISPI_ENABLE */
       DISPI_ENABLED = 0x01,
       DISPI_GETCAPS = 0x02,
       DISPI_8BIT_DAC = 0x20,
       DISPI_LFB = 0x40,
       DISPI_NOCLEAR = 0x80,
};

#define VGA_MAX_WIDTH 2560u
#define VGA_MAX_HEIGHT 1600u

/* Of the attribute controller; below 16 is the palette. */
enum vga_attr_reg {
    ATTR_MODE = 0x10,
    ATTR_OVERSCAN = 0x11,
    ATTR_PLANES = 0x12,
    ATTR_PANNING = 0x13,
    ATTR_COLOR = 0x14,
};

struct vga_chip {
    uint8_t *vram; /* fixed, as is its size: a multiple of 256 KB */
    uint32_t vram_size;

    uint8_t misc, feature;
    uint8_t seq_index, seq[8];
    uint8_t gfx_index, gfx[16];
    uint8_t crtc_index, crtc[32];
    uint8_t attr_index, attr[32]; /* index: bit 5, the screen is on */
    bool attr_data;               /* the next write to 3c0 is data */
    uint8_t dac_mask, dac_read, dac_write, dac_state;
    uint8_t dac_part, dac_latch[3]; /* of the entry that is being written or read */
    uint8_t palette[768];
    uint8_t latch[4];
    uint16_t dispi_index, dispi[DISPI_COUNT];
};

extern const struct state_table vga_chip_state;

void vga_chip_init(struct vga_chip *c, uint8_t *vram, uint32_t size);
void vga_chip_reset(struct vga_chip *c); /* not the memory */

/* Ports 3b0 - 3df. */
uint8_t vga_chip_read(struct vga_chip *c, uint16_t port, uint64_t now_ns);
void vga_chip_write(struct vga_chip *c, uint16_t port, uint8_t value);

uint16_t vga_chip_dispi_read(const struct vga_chip *c, uint16_t index);
void vga_chip_dispi_write(struct vga_chip *c, uint16_t index, uint16_t value);

/* Accesses to the window; `at` counts from a0000. */
uint8_t vga_chip_window_read(struct vga_chip *c, uint32_t at);
void vga_chip_window_write(struct vga_chip *c, uint32_t at, uint8_t value);

/* Is the first bank of the window nothing but the memory from *offset on at this time? */
bool vga_chip_direct(const struct vga_chip *c, uint32_t *offset);

/* Does a linear mode (more than 4 bits a pixel) or any mode of the dispi show? */
bool vga_chip_linear(const struct vga_chip *c);
bool vga_chip_dispi_on(const struct vga_chip *c);
/* Bytes from one row to the next in a mode of the dispi (of a plane with 4 bits a pixel). */
uint32_t vga_chip_pitch(const struct vga_chip *c);

/* The fields of the CRTC that are spread over several registers. */
unsigned vga_chip_v_total(const struct vga_chip *c);
unsigned vga_chip_v_display(const struct vga_chip *c);
unsigned vga_chip_line_compare(const struct vga_chip *c);

static inline uint32_t vga_index(unsigned plane, uint32_t o)
{
    return (o >> 16) << 18 | (o & 3) << 16 | (o & 0xfffc) | plane;
}

#endif
