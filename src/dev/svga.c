/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VMware SVGA II: PCI, ports and lock around the register model. See svga.h. */
#include "dev/svga.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "dev/chip/svga_chip.h"

enum {
    PORTS_SIZE = 16,
    PORT_INDEX = 0,
    PORT_VALUE = 1,
    PORT_IRQ = 8,
    BAR_PORTS = 0,
    BAR_VRAM = 1,
    BAR_FIFO = 2,
    BUDGET = 32 << 20, /* bytes of pixels at once, on a vCPU or on the loop */
};

struct svga {
    struct svga_config cfg;
    struct video vga;
    struct lock lock; /* all below */
    bool paused, posted;
    struct svga_chip chip;
    struct pci_func func;
};

/* Lock held; the caller tells the line afterwards. */
static void store_line(struct svga *s)
{
    pci_intx_store(&s->func, svga_chip_irq(&s->chip));
}

static void on_loop(void *opaque);

/* Runs commands, the rest on the loop. */
static void run(struct svga *s)
{
    bool post = false;

    lock_take(&s->lock);
    if (!s->paused && svga_chip_run(&s->chip, BUDGET)) {
        post = !s->posted;
        s->posted = true;
    }
    store_line(s);
    lock_drop(&s->lock);
    pci_intx_update(&s->func);
    if (post && loop_post(s->cfg.loop, on_loop, s) < 0) {
        lock_take(&s->lock);
        s->posted = false; /* the driver asks again */
        lock_drop(&s->lock);
    }
}

static void on_loop(void *opaque)
{
    struct svga *s = opaque;

    lock_take(&s->lock);
    s->posted = false;
    lock_drop(&s->lock);
    run(s);
}

/* --- ports --- */

static uint64_t ports_read(void *opaque, uint64_t offset, unsigned size)
{
    struct svga *s = opaque;
    uint32_t value = UINT32_MAX;

    if (size != 4)
        return UINT32_MAX;
    lock_take(&s->lock);
    if (offset == PORT_INDEX)
        value = s->chip.index;
    else if (offset == PORT_VALUE)
        value = svga_chip_read(&s->chip);
    else if (offset == PORT_IRQ)
        value = s->chip.irq_status;
    lock_drop(&s->lock);
    return value;
}

static void ports_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct svga *s = opaque;
    bool commands = false;

    if (size != 4)
        return;
    lock_take(&s->lock);
    if (offset == PORT_INDEX)
        s->chip.index = (uint32_t)value;
    else if (offset == PORT_VALUE)
        commands = svga_chip_write(&s->chip, (uint32_t)value);
    else if (offset == PORT_IRQ)
        s->chip.irq_status &= ~(uint32_t)value;
    store_line(s);
    lock_drop(&s->lock);
    pci_intx_update(&s->func);
    if (commands)
        run(s);
}

static const struct bus_ops ports_ops = {
    .name = "svga", .read = ports_read, .write = ports_write, .min_size = 1, .max_size = 4};

/* --- memory: told to the board, and what registers say of it --- */

static void note_base(struct svga *s, uint32_t *where, uint64_t base)
{
    lock_take(&s->lock);
    *where = base == PCI_UNMAPPED ? 0 : (uint32_t)base;
    lock_drop(&s->lock);
}

static void vram_placed(void *opaque, uint64_t base)
{
    struct svga *s = opaque;

    note_base(s, &s->chip.vram_base, base);
    s->cfg.vga.placed(s->cfg.vga.opaque, base);
}

static void window(void *opaque, bool direct, uint32_t offset)
{
    struct svga *s = opaque;

    s->cfg.vga.window(s->cfg.vga.opaque, direct, offset);
}

static void fifo_placed(void *opaque, uint64_t base)
{
    struct svga *s = opaque;

    note_base(s, &s->chip.fifo_base, base);
    s->cfg.fifo_placed(s->cfg.vga.opaque, base);
}

/* --- the picture --- */

static int draw(void *self, struct video_surface *surface)
{
    struct svga *s = self;
    struct svga_chip chip;

    lock_take(&s->lock);
    chip = s->chip;
    lock_drop(&s->lock);
    if (svga_chip_shown(&chip))
        return svga_chip_draw(&chip, surface);
    return s->vga.draw(s->vga.self, surface);
}

struct video svga_video(struct svga *s)
{
    return (struct video){.draw = draw, .self = s};
}

/* --- life --- */

static void svga_reset(void *self)
{
    struct svga *s = self;

    lock_take(&s->lock);
    svga_chip_reset(&s->chip);
    store_line(s);
    lock_drop(&s->lock);
    pci_intx_update(&s->func);
    pci_func_reset(&s->func);
}

static void svga_pause(void *self)
{
    struct svga *s = self;

    lock_take(&s->lock);
    s->paused = true;
    lock_drop(&s->lock);
}

static void svga_resume(void *self)
{
    struct svga *s = self;

    lock_take(&s->lock);
    s->paused = false;
    lock_drop(&s->lock);
    run(s);
}

static void svga_restore(void *self)
{
    struct svga *s = self;

    lock_take(&s->lock);
    store_line(s);
    lock_drop(&s->lock);
    pci_func_restore(&s->func);
}

static void svga_destroy(void *self)
{
    struct svga *s = self;

    if (s == NULL)
        return;
    pci_remove(&s->func);
    pci_func_finish(&s->func);
    lock_finish(&s->lock);
    free(s);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct svga, chip, 1, &svga_chip_state),
    STATE_STRUCT_F(struct svga, func, 1, &pci_func_state),
    STATE_END_F,
};
static const struct state_table svga_state = {.name = "svga-card", .version = 1, .fields = fields};

static const struct device_ops svga_ops = {
    .name = "svga",
    .reset = svga_reset,
    .pause = svga_pause,
    .resume = svga_resume,
    .restore = svga_restore,
    .destroy = svga_destroy,
    .state = &svga_state,
};

struct device svga_device(struct svga *s)
{
    return (struct device){&svga_ops, s};
}

static int add_vga(struct svga *s, struct device *out, struct err *e)
{
    struct vga_config c = s->cfg.vga;
    struct vga *vga;
    int rc;

    c.func = &s->func;
    c.memory_bar = BAR_VRAM;
    c.regs_bar = VGA_NO_BAR;
    c.placed = vram_placed;
    c.window = window;
    c.opaque = s;
    rc = vga_create(&c, &vga, e);
    if (rc < 0)
        return rc;
    s->vga = vga_video(vga);
    *out = vga_device(vga);
    return 0;
}

int svga_create(const struct svga_config *cfg, struct svga **out, struct device *vga, struct err *e)
{
    static const struct pci_func_info info = {.name = "svga",
                                              .vendor = 0x15ad,
                                              .device = 0x0405,
                                              .subsystem_vendor = 0x15ad,
                                              .subsystem = 0x0405,
                                              .class_code = 0x030000,
                                              .pin = 1};
    struct svga *s = calloc(1, sizeof(*s));
    int rc;

    if (s == NULL || pci_func_init(&s->func, &info, NULL, NULL) < 0) {
        free(s);
        return err_set(e, ENOMEM, "out of memory");
    }
    s->cfg = *cfg;
    lock_init(&s->lock, LOCK_DEVICE);
    svga_chip_init(&s->chip, cfg->vga.vram, VGA_MEMORY_SIZE, cfg->fifo, SVGA_FIFO_SIZE,
                   cfg->vga.width, cfg->vga.height);
    pci_func_bar(&s->func, BAR_PORTS, PCI_BAR_IO, PORTS_SIZE, &ports_ops, s);
    pci_func_bar_placed(&s->func, BAR_FIFO, PCI_BAR_MEM32, SVGA_FIFO_SIZE, fifo_placed, s);
    rc = add_vga(s, vga, e);
    if (rc < 0) {
        svga_destroy(s);
        return rc;
    }
    rc = pci_add(cfg->vga.pci, cfg->vga.devfn, &s->func, e);
    if (rc < 0) {
        svga_destroy(s);
        vga->ops->destroy(vga->self);
        return rc;
    }
    *out = s;
    return 0;
}
