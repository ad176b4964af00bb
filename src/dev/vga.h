/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VGA on PCI, as QEMU's "VGA" (1234:1111): docs/specs/standard-vga.rst. Its registers at their
 * old ports and its window at a0000; linear modes by the Bochs interface; BAR 0 is the memory, BAR
 * 2 holds the registers and the monitor's EDID; the expansion ROM holds a video BIOS.
 */
#ifndef DOPPEL_DEV_VGA_H
#define DOPPEL_DEV_VGA_H

#include "bus/bus.h"
#include "bus/pci.h"
#include "dev/device.h"
#include "dev/video.h"
#include "loop/loop.h"

#define VGA_MEMORY_SIZE (16u << 20)
#define VGA_MEMORY_BAR 0u
#define VGA_REGS_BAR 2u
#define VGA_NO_BAR 6u

struct vga_config {
    /* The function of a card with more to it, which adds it to its bus, resets and restores it; its
     * BARs are the memory and, unless VGA_NO_BAR, the registers. NULL: one of its own, as above. */
    struct pci_func *func;
    unsigned memory_bar, regs_bar;
    struct pci_bus *pci;
    unsigned devfn;
    struct bus *ports, *mmio;
    struct vclock *clock;
    uint8_t *vram;      /* VGA_MEMORY_SIZE bytes, of the RAM's backing */
    const uint8_t *rom; /* copied; NULL: there is none */
    size_t rom_size;
    unsigned width, height; /* that the monitor prefers */
    /* The memory is at `base` now, or nowhere (PCI_UNMAPPED). No lock held, as for the other. */
    void (*placed)(void *opaque, uint64_t base);
    /* The window's first 64 KB are the memory from `offset` on, or accesses to it are the
     * device's. */
    void (*window)(void *opaque, bool direct, uint32_t offset);
    void *opaque;
};

struct vga;

int vga_create(const struct vga_config *cfg, struct vga **out, struct err *e) MUST_CHECK;
struct device vga_device(struct vga *v);
struct video vga_video(struct vga *v);

#endif
