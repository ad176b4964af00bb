/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VMware SVGA II on PCI (15ad:0405) without 3D, with the VGA that it is until a driver enables
 * it. BAR 0 is ports: index, value, status of the interrupt; BAR 1 the VGA's memory, which is the
 * frame buffer; BAR 2 the memory of the FIFO.
 */
#ifndef DOPPEL_DEV_SVGA_H
#define DOPPEL_DEV_SVGA_H

#include "dev/device.h"
#include "dev/vga.h"
#include "dev/video.h"

#define SVGA_FIFO_SIZE (2u << 20)

struct svga_config {
    struct vga_config vga; /* its bus, slot and memory are the card's; func and BARs are set here */
    uint8_t *fifo;         /* SVGA_FIFO_SIZE bytes, of the RAM's backing */
    struct loop *loop;     /* where long work goes on */
    void (*fifo_placed)(void *opaque, uint64_t base); /* as vga.placed, with its opaque */
};

struct svga;

/* *vga is a device of its own, which is destroyed after this one. */
int svga_create(const struct svga_config *cfg, struct svga **out, struct device *vga,
                struct err *e) MUST_CHECK;
struct device svga_device(struct svga *s);
struct video svga_video(struct svga *s);

#endif
