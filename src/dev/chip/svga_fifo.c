/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of a VMware SVGA II. The FIFO is memory that the guest changes at any time: its limits
 * are read once for each run and checked, words are read once, and what a command needs is there
 * before it begins. A FIFO that makes no sense is empty; behind a command that we do not know
 * nothing is known either, so the rest goes.
 */
#include <string.h>

#include "base/log.h"
#include "dev/chip/svga_internal.h"

enum command {
    CMD_UPDATE = 1,
    CMD_RECT_COPY = 3,
    CMD_DEFINE_CURSOR = 19,
    CMD_DEFINE_ALPHA_CURSOR = 22,
    CMD_UPDATE_VERBOSE = 25,
    CMD_FENCE = 30,
    CMD_ESCAPE = 33,
};

enum { ARGS_MAX = 7, CURSOR_LIMIT = 1024 };

struct fifo {
    struct svga_chip *chip;
    uint32_t min, max, next, stop; /* bytes from the start of the memory */
    uint32_t work;                 /* bytes of pixels moved so far */
};

static bool open_fifo(struct fifo *f, struct svga_chip *c)
{
    *f = (struct fifo){.chip = c,
                       .min = svga_load(c, FIFO_MIN),
                       .max = svga_load(c, FIFO_MAX),
                       .next = svga_load(c, FIFO_NEXT_CMD),
                       .stop = svga_load(c, FIFO_STOP)};
    return ((f->min | f->max | f->next | f->stop) & 3) == 0 && f->min >= 4 * (FIFO_STOP + 1) &&
           f->min < f->max && f->max <= c->fifo_size && f->next >= f->min && f->next < f->max &&
           f->stop >= f->min && f->stop < f->max;
}

/* Words that are there. */
static uint32_t available(const struct fifo *f)
{
    return (f->next >= f->stop ? f->next - f->stop : f->max - f->stop + f->next - f->min) / 4;
}

static uint32_t peek(const struct fifo *f, uint32_t i)
{
    uint32_t room = (f->max - f->stop) / 4;

    return svga_load(f->chip, i < room ? f->stop / 4 + i : f->min / 4 + i - room);
}

static void skip(struct fifo *f, uint32_t words)
{
    uint32_t room = (f->max - f->stop) / 4;

    f->stop = words < room ? f->stop + 4 * words : f->min + 4 * (words - room);
}

/* --- commands, which are all there --- */

static bool inside(const struct svga_chip *c, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    return x <= c->width && w <= c->width - x && y <= c->height && h <= c->height - y;
}

static void rect_copy(struct fifo *f, const uint32_t *a)
{
    struct svga_chip *c = f->chip;
    uint32_t bytes = c->bpp / 8, w = a[4], h = a[5];
    uint64_t line = svga_pitch(c);
    bool up = a[3] > a[1]; /* the last row first */

    if (w == 0 || h == 0 || !inside(c, a[0], a[1], w, h) || !inside(c, a[2], a[3], w, h))
        return;
    for (uint32_t i = 0; i < h; i++) {
        uint32_t row = up ? h - 1 - i : i;
        uint64_t from = (a[1] + row) * line + a[0] * bytes;
        uint64_t to = (a[3] + row) * line + a[2] * bytes;

        if (from + w * bytes <= c->vram_size && to + w * bytes <= c->vram_size)
            memmove(c->vram + to, c->vram + from, w * bytes);
    }
    f->work += w * bytes * h;
}

static void fence(struct svga_chip *c, uint32_t value)
{
    if (value == 0) /* says that there are none */
        return;
    svga_store(c, FIFO_FENCE, value);
    c->irq_status |= SVGA_IRQ_FENCE;
    if (value == svga_load(c, FIFO_FENCE_GOAL))
        c->irq_status |= SVGA_IRQ_GOAL;
}

/* a: ID, hot spot, size. false: it is none that we keep. */
static bool begin_cursor(struct svga_chip *c, const uint32_t *a, bool masks)
{
    bool good = a[3] > 0 && a[3] <= CURSOR_MAX && a[4] > 0 && a[4] <= CURSOR_MAX;

    c->cursor.width = good ? a[3] : 0;
    c->cursor.height = good ? a[4] : 0;
    c->cursor.hot_x = a[1];
    c->cursor.hot_y = a[2];
    c->cursor.masks = masks;
    return good;
}

/* Words of a mask: rows are whole ones. */
static uint32_t mask_words(uint32_t width, uint32_t height, uint32_t depth)
{
    return (width * depth + 31) / 32 * height;
}

/* A pixel of a mask as a colour: with one bit all of it, the upper bit of a byte first. */
static uint32_t mask_pixel(const struct fifo *f, uint32_t at, uint32_t width, uint32_t depth,
                           uint32_t x, uint32_t y)
{
    uint32_t bit = x * depth, word = peek(f, at + (width * depth + 31) / 32 * y + bit / 32);

    switch (depth) {
    case 1:
        return word >> ((bit & 24) + 7 - (bit & 7)) & 1 ? 0xffffff : 0;
    case 16:
        return video_of_565(word >> (bit & 16));
    default:
        return word & 0xffffff;
    }
}

static void define_cursor(struct fifo *f, const uint32_t *a)
{
    struct cursor *to = &f->chip->cursor;
    uint32_t and_at = 8, xor_at = 8 + mask_words(a[3], a[4], a[5]);

    if (!begin_cursor(f->chip, a, true))
        return;
    for (uint32_t y = 0; y < to->height; y++)
        for (uint32_t x = 0; x < to->width; x++) {
            to->keep[y * to->width + x] = mask_pixel(f, and_at, a[3], a[5], x, y);
            to->color[y * to->width + x] = mask_pixel(f, xor_at, a[3], a[6], x, y);
        }
}

static void define_alpha_cursor(struct fifo *f, const uint32_t *a)
{
    if (!begin_cursor(f->chip, a, false))
        return;
    for (uint32_t i = 0; i < a[3] * a[4]; i++)
        f->chip->cursor.color[i] = peek(f, 6 + i);
}

static bool depth_known(uint32_t depth)
{
    return depth == 1 || depth == 16 || depth == 32;
}

/* Words of the command with what follows its arguments; 0: it is wrong. */
static uint32_t length(uint32_t command, uint32_t args, const uint32_t *a)
{
    uint32_t more = 0;

    if (command == CMD_DEFINE_CURSOR || command == CMD_DEFINE_ALPHA_CURSOR) {
        if (a[3] > CURSOR_LIMIT || a[4] > CURSOR_LIMIT)
            return 0;
        more = a[3] * a[4];
    }
    if (command == CMD_DEFINE_CURSOR) {
        if (!depth_known(a[5]) || !depth_known(a[6]))
            return 0;
        more = mask_words(a[3], a[4], a[5]) + mask_words(a[3], a[4], a[6]);
    }
    if (command == CMD_ESCAPE)
        more = a[1] / 4 + (a[1] % 4 != 0);
    return 1 + args + more;
}

/* Words behind the command's own that all of its kind have; 0: it is none. */
static uint32_t args_of(uint32_t command)
{
    switch (command) {
    case CMD_FENCE:
        return 1;
    case CMD_ESCAPE:
        return 2;
    case CMD_UPDATE:
        return 4;
    case CMD_UPDATE_VERBOSE:
    case CMD_DEFINE_ALPHA_CURSOR:
        return 5;
    case CMD_RECT_COPY:
        return 6;
    case CMD_DEFINE_CURSOR:
        return 7;
    default:
        return 0;
    }
}

static void run(struct fifo *f, uint32_t command, const uint32_t *a)
{
    switch (command) {
    case CMD_RECT_COPY:
        rect_copy(f, a);
        break;
    case CMD_DEFINE_CURSOR:
        define_cursor(f, a);
        break;
    case CMD_DEFINE_ALPHA_CURSOR:
        define_alpha_cursor(f, a);
        break;
    case CMD_FENCE:
        fence(f->chip, a[0]);
        break;
    default: /* updates: who shows the picture looks for himself */
        break;
    }
}

/* true: one was run; false: there is none that is complete. */
static bool run_one(struct fifo *f)
{
    uint32_t have = available(f), command, count, n, args[ARGS_MAX] = {0};

    if (have == 0)
        return false;
    command = peek(f, 0);
    count = args_of(command);
    if (have < 1 + count)
        return false;
    for (uint32_t i = 0; i < count; i++)
        args[i] = peek(f, 1 + i);
    n = count != 0 ? length(command, count, args) : 0;
    if (n == 0 || n > (f->max - f->min) / 4 - 1) {
        log_guest("svga: command %u makes no sense", command);
        f->stop = f->next;
        return false;
    }
    if (have < n)
        return false;
    run(f, command, args);
    skip(f, n);
    f->work += 4 * n;
    return true;
}

/* The driver rings only where it finds us idle: who becomes idle looks once more. */
static bool idle(struct fifo *f)
{
    __atomic_store_n(&f->chip->fifo[FIFO_BUSY], 0, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&f->chip->fifo[FIFO_NEXT_CMD], __ATOMIC_SEQ_CST) == f->next;
}

bool svga_chip_run(struct svga_chip *c, uint32_t budget)
{
    uint32_t work = 0;
    struct fifo f;

    if (c->config_done == 0)
        return false;
    do {
        uint32_t before;

        if (!open_fifo(&f, c)) {
            svga_store(c, FIFO_BUSY, 0);
            return false;
        }
        before = f.stop;
        f.work = work;
        while (f.work < budget && run_one(&f))
            work = f.work;
        svga_store(c, FIFO_STOP, f.stop);
        if (f.stop != before)
            c->irq_status |= SVGA_IRQ_PROGRESS;
        if (f.work >= budget)
            return true;
        work++; /* a driver that changes its mind all the time ends, too */
    } while (!idle(&f));
    return false;
}
