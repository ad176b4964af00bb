/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio GPU, virtio 1.2 section 5.7: queue 0 carries commands, queue 1 the cursor's.
 *
 * Commands are done in their order, at once, on the device's loop. A flush does nothing: who shows
 * the picture looks at the resource as often as he likes (dev/video.h).
 */
#include "dev/virtio/virtio_gpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "dev/chip/edid.h"
#include "dev/cursor.h"

enum {
    QUEUE_CONTROL,
    QUEUE_CURSOR,
    QUEUES,
    QUEUE_SIZE = 64,
    SEGMENTS = 1024, /* of a request: lists of pages come in many */
    CLASS_VGA = 0x030000,
    CLASS_DISPLAY = 0x038000,
    FEATURE_EDID = 1, /* 5.7.3 */
    EVENT_DISPLAY = 1,
    CONFIG_SIZE = 16, /* 5.7.4 */
    HEADER = 24,      /* 5.7.6.7 */
    FLAG_FENCE = 1,
    SCANOUTS_MAX = 16,
    EDID_ROOM = 1024,
    REPLY_MAX = HEADER + 8 + EDID_ROOM,
    ARGS_MAX = 48,
    WORK_MAX = 16 << 20, /* bytes transferred before others on the loop have their turn */
    PLAIN_WIDTH = 640,   /* of the black picture before there is one */
    PLAIN_HEIGHT = 400,
};

enum command {
    GET_DISPLAY_INFO = 0x100,
    RESOURCE_CREATE_2D = 0x101,
    RESOURCE_UNREF = 0x102,
    SET_SCANOUT = 0x103,
    RESOURCE_FLUSH = 0x104,
    TRANSFER_TO_HOST_2D = 0x105,
    RESOURCE_ATTACH_BACKING = 0x106,
    RESOURCE_DETACH_BACKING = 0x107,
    GET_EDID = 0x10a,
    UPDATE_CURSOR = 0x300,
    MOVE_CURSOR = 0x301,
};

struct virtio_gpu {
    struct virtio_dev vdev;
    struct virtio_pci pci;
    bool has_vga;
    struct video vga;
    struct lock lock; /* all below */
    uint32_t width, height;
    uint32_t events;
    bool driven;          /* a driver has set the scanout: the VGA is not shown any more */
    uint32_t shown;       /* resource; 0: none */
    struct gpu_rect rect; /* of it, inside */
    struct cursor cursor;
    struct gpu_pool pool;
};

/* A command as it is being done. */
struct command_state {
    const struct virtq_req *req;
    uint8_t args[ARGS_MAX]; /* what follows the header, zeros behind its end */
    uint8_t reply[REPLY_MAX];
    uint32_t reply_len;
    uint32_t work; /* bytes transferred */
};

static struct gpu_rect rect_of(const uint8_t *p)
{
    return (struct gpu_rect){ld_le32(p), ld_le32(p + 4), ld_le32(p + 8), ld_le32(p + 12)};
}

/* --- commands; lock held --- */

static enum gpu_response get_display_info(struct virtio_gpu *g, struct command_state *c)
{
    uint8_t *mode = c->reply + HEADER;

    st_le32(mode + 8, g->width);
    st_le32(mode + 12, g->height);
    st_le32(mode + 16, 1);
    c->reply_len = HEADER + SCANOUTS_MAX * 24;
    return GPU_OK_DISPLAY_INFO;
}

static enum gpu_response get_edid(struct virtio_gpu *g, struct command_state *c)
{
    if (ld_le32(c->args) != 0)
        return GPU_ERR_INVALID_PARAMETER;
    st_le32(c->reply + HEADER, EDID_SIZE);
    edid_make(c->reply + HEADER + 8, g->width, g->height);
    c->reply_len = HEADER + 8 + EDID_ROOM;
    return GPU_OK_EDID;
}

static enum gpu_response create_2d(struct virtio_gpu *g, struct command_state *c)
{
    const uint8_t *a = c->args;

    return gpu_pool_create(&g->pool, ld_le32(a), ld_le32(a + 4), ld_le32(a + 8), ld_le32(a + 12));
}

static enum gpu_response unref(struct virtio_gpu *g, struct command_state *c)
{
    uint32_t id = ld_le32(c->args);

    if (id == g->shown)
        g->shown = 0;
    return gpu_pool_unref(&g->pool, id);
}

static enum gpu_response set_scanout(struct virtio_gpu *g, struct command_state *c)
{
    struct gpu_rect rect = rect_of(c->args);
    uint32_t id = ld_le32(c->args + 20);
    const struct gpu_resource *r = gpu_pool_find(&g->pool, id);

    if (ld_le32(c->args + 16) != 0)
        return GPU_ERR_INVALID_SCANOUT_ID;
    if (id == 0) {
        g->shown = 0;
        return GPU_OK_NODATA;
    }
    if (r == NULL)
        return GPU_ERR_INVALID_RESOURCE_ID;
    if (!gpu_rect_inside(&rect, r->width, r->height))
        return GPU_ERR_INVALID_PARAMETER;
    g->driven = true;
    g->shown = id;
    g->rect = rect;
    return GPU_OK_NODATA;
}

static enum gpu_response flush(struct virtio_gpu *g, struct command_state *c)
{
    const struct gpu_resource *r = gpu_pool_find(&g->pool, ld_le32(c->args + 16));
    struct gpu_rect rect = rect_of(c->args);

    if (r == NULL)
        return GPU_ERR_INVALID_RESOURCE_ID;
    return gpu_rect_inside(&rect, r->width, r->height) ? GPU_OK_NODATA : GPU_ERR_INVALID_PARAMETER;
}

static enum gpu_response transfer(struct virtio_gpu *g, struct command_state *c)
{
    struct gpu_rect rect = rect_of(c->args);
    enum gpu_response rc = gpu_pool_transfer(&g->pool, ld_le32(c->args + 24), &rect,
                                             ld_le64(c->args + 16), g->vdev.ram);

    if (rc == GPU_OK_NODATA)
        c->work = rect.width * rect.height * 4;
    return rc;
}

static enum gpu_response attach(struct virtio_gpu *g, struct command_state *c)
{
    return gpu_pool_attach(&g->pool, ld_le32(c->args), ld_le32(c->args + 4), c->req, HEADER + 8);
}

static enum gpu_response detach(struct virtio_gpu *g, struct command_state *c)
{
    return gpu_pool_detach(&g->pool, ld_le32(c->args));
}

/* 5.7.6.10: position, resource, hot spot. */
static enum gpu_response move_cursor(struct virtio_gpu *g, struct command_state *c)
{
    if (ld_le32(c->args) != 0)
        return GPU_ERR_INVALID_SCANOUT_ID;
    g->cursor.x = (int32_t)(ld_le32(c->args + 4) - g->cursor.hot_x);
    g->cursor.y = (int32_t)(ld_le32(c->args + 8) - g->cursor.hot_y);
    return GPU_OK_NODATA;
}

/* The shape is what the resource holds now. */
static enum gpu_response update_cursor(struct virtio_gpu *g, struct command_state *c)
{
    uint32_t id = ld_le32(c->args + 16);
    const struct gpu_resource *r = gpu_pool_find(&g->pool, id);

    if (ld_le32(c->args) != 0)
        return GPU_ERR_INVALID_SCANOUT_ID;
    g->cursor.shown = false;
    if (id == 0)
        return move_cursor(g, c);
    if (r == NULL)
        return GPU_ERR_INVALID_RESOURCE_ID;
    if (r->width > CURSOR_MAX || r->height > CURSOR_MAX)
        return GPU_ERR_INVALID_PARAMETER;
    g->cursor.shown = true;
    g->cursor.width = r->width;
    g->cursor.height = r->height;
    g->cursor.hot_x = ld_le32(c->args + 20);
    g->cursor.hot_y = ld_le32(c->args + 24);
    gpu_pool_pixels(&g->pool, r->format, r->pixels, g->cursor.color, r->width * r->height);
    return move_cursor(g, c);
}

static const struct {
    uint16_t type;
    uint8_t queue, args; /* which one it belongs to, bytes behind the header */
    enum gpu_response (*run)(struct virtio_gpu *g, struct command_state *c);
} commands[] = {
    {GET_DISPLAY_INFO, QUEUE_CONTROL, 0, get_display_info},
    {RESOURCE_CREATE_2D, QUEUE_CONTROL, 16, create_2d},
    {RESOURCE_UNREF, QUEUE_CONTROL, 8, unref},
    {SET_SCANOUT, QUEUE_CONTROL, 24, set_scanout},
    {RESOURCE_FLUSH, QUEUE_CONTROL, 24, flush},
    {TRANSFER_TO_HOST_2D, QUEUE_CONTROL, 32, transfer},
    {RESOURCE_ATTACH_BACKING, QUEUE_CONTROL, 8, attach},
    {RESOURCE_DETACH_BACKING, QUEUE_CONTROL, 8, detach},
    {GET_EDID, QUEUE_CONTROL, 8, get_edid},
    {UPDATE_CURSOR, QUEUE_CURSOR, 32, update_cursor},
    {MOVE_CURSOR, QUEUE_CURSOR, 32, move_cursor},
};

static enum gpu_response run_command(struct virtio_gpu *g, unsigned queue, uint32_t type,
                                     struct command_state *c)
{
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (commands[i].type != type || commands[i].queue != queue)
            continue;
        if (virtq_req_read(c->req, HEADER, c->args, commands[i].args) != commands[i].args)
            return GPU_ERR_INVALID_PARAMETER;
        return commands[i].run(g, c);
    }
    return GPU_ERR_UNSPEC;
}

/* Does a request and tells its answer; returns the bytes of work. */
static uint32_t serve(struct virtio_gpu *g, unsigned queue, const struct virtq_req *r)
{
    struct virtq *q = &g->vdev.queues[queue];
    struct command_state c = {.req = r, .reply_len = HEADER};
    uint8_t header[HEADER] = {0};
    enum gpu_response rc = GPU_ERR_UNSPEC;

    if (virtq_req_read(r, 0, header, HEADER) == HEADER) {
        lock_take(&g->lock);
        rc = run_command(g, queue, ld_le32(header), &c);
        lock_drop(&g->lock);
    }
    st_le32(c.reply, rc);
    if (ld_le32(header + 4) & FLAG_FENCE) { /* flag, fence and context come back */
        st_le32(c.reply + 4, FLAG_FENCE);
        memcpy(c.reply + 8, header + 8, 12);
    }
    virtq_push(q, r, virtq_req_write(q, r, 0, c.reply, c.reply_len));
    return c.work;
}

static void gpu_run(void *self, unsigned queue)
{
    struct virtio_gpu *g = self;
    struct virtq *q = &g->vdev.queues[queue];
    struct iovec iov[SEGMENTS];
    gpa_t gpa[SEGMENTS];
    unsigned budget = QUEUE_SIZE;
    uint32_t work = 0;

    do {
        struct virtq_req r = {.iov = iov, .gpa = gpa, .max = SEGMENTS};

        virtq_kicks_off(q);
        while (budget > 0 && work < WORK_MAX && virtq_pop(q, &r) > 0) {
            work += serve(g, queue, &r);
            budget--;
            r = (struct virtq_req){.iov = iov, .gpa = gpa, .max = SEGMENTS};
        }
    } while (budget > 0 && work < WORK_MAX && virtq_kicks_on(q));
    virtq_commit(q);
    if (budget == 0 || work >= WORK_MAX)
        virtio_kick(&g->vdev, queue);
}

/* --- configuration --- */

static void config_read(void *self, uint32_t offset, void *buf, uint32_t len)
{
    struct virtio_gpu *g = self;
    uint8_t space[CONFIG_SIZE] = {0};

    lock_take(&g->lock);
    st_le32(space, g->events);
    lock_drop(&g->lock);
    st_le32(space + 8, 1); /* scanouts */
    memcpy(buf, space + offset, len);
}

/* events_clear, at 4: the bits that the driver has seen. */
static void config_write(void *self, uint32_t offset, const void *buf, uint32_t len)
{
    struct virtio_gpu *g = self;
    uint8_t space[CONFIG_SIZE] = {0};

    memcpy(space + offset, buf, len);
    lock_take(&g->lock);
    g->events &= ~ld_le32(space + 4);
    lock_drop(&g->lock);
}

/* --- the picture --- */

/* What there is to draw, as it was at one moment. */
struct view {
    const struct gpu_pool *pool;
    uint32_t format, pitch; /* pitch in pixels */
    uint64_t at;            /* of the first pixel in the pool */
    uint32_t width, height;
    struct cursor cursor;
};

/* Lock held. */
static bool look(struct virtio_gpu *g, struct view *v)
{
    const struct gpu_resource *r = gpu_pool_find(&g->pool, g->shown);

    if (r == NULL || !gpu_rect_inside(&g->rect, r->width, r->height))
        return false;
    v->pool = &g->pool;
    v->format = r->format;
    v->pitch = r->width;
    v->at = r->pixels + ((uint64_t)g->rect.y * r->width + g->rect.x) * 4;
    v->width = g->rect.width;
    v->height = g->rect.height;
    v->cursor = g->cursor;
    return true;
}

static int draw_view(const struct view *v, struct video_surface *s)
{
    uint32_t row[VIDEO_MAX], with_cursor[VIDEO_MAX];
    int rc = video_resize(s, v->width, v->height);

    for (unsigned y = 0; rc == 0 && y < v->height; y++) {
        gpu_pool_pixels(v->pool, v->format, v->at + (uint64_t)y * v->pitch * 4, row, v->width);
        video_row(s, y, cursor_row(&v->cursor, y, row, v->width, with_cursor));
    }
    return rc;
}

static int draw(void *self, struct video_surface *s)
{
    struct virtio_gpu *g = self;
    struct view v;
    bool driven, something;
    int rc = 0;

    lock_take(&g->lock);
    driven = g->driven;
    something = look(g, &v);
    lock_drop(&g->lock);
    if (something)
        return draw_view(&v, s);
    if (!driven && g->has_vga)
        return g->vga.draw(g->vga.self, s);
    if (s->width == 0)
        rc = video_resize(s, PLAIN_WIDTH, PLAIN_HEIGHT);
    if (rc == 0)
        video_blank(s);
    return rc;
}

/* The monitor becomes another one. */
static void resize(void *self, unsigned width, unsigned height)
{
    struct virtio_gpu *g = self;
    bool changed;

    lock_take(&g->lock);
    changed = width != g->width || height != g->height;
    g->width = width;
    g->height = height;
    if (changed)
        g->events |= EVENT_DISPLAY;
    lock_drop(&g->lock);
    if (changed)
        virtio_config_changed(&g->vdev);
}

struct video virtio_gpu_video(struct virtio_gpu *g)
{
    return (struct video){.draw = draw, .resize = resize, .self = g};
}

/* --- life --- */

static void gpu_virtio_reset(void *self)
{
    struct virtio_gpu *g = self;

    lock_take(&g->lock);
    gpu_pool_reset(&g->pool);
    memset(&g->cursor, 0, sizeof(g->cursor));
    g->rect = (struct gpu_rect){0};
    g->events = g->shown = 0;
    g->driven = false;
    lock_drop(&g->lock);
}

static const struct virtio_ops gpu_virtio_ops = {
    .name = "virtio-gpu",
    .device_id = VIRTIO_DEV_GPU,
    .config_read = config_read,
    .config_write = config_write,
    .run = gpu_run,
    .reset = gpu_virtio_reset,
};

static void gpu_reset(void *self)
{
    struct virtio_gpu *g = self;

    virtio_pci_reset(&g->pci);
}

static void gpu_pause(void *self)
{
    struct virtio_gpu *g = self;

    virtio_pci_pause(&g->pci);
}

static void gpu_resume(void *self)
{
    struct virtio_gpu *g = self;

    virtio_pci_resume(&g->pci);
}

static void gpu_restore(void *self)
{
    struct virtio_gpu *g = self;

    virtio_pci_restore(&g->pci);
}

static void gpu_destroy(void *self)
{
    struct virtio_gpu *g = self;

    if (g == NULL)
        return;
    virtio_pci_finish(&g->pci);
    virtio_dev_finish(&g->vdev);
    lock_finish(&g->lock);
    free(g);
}

static const struct state_field rect_fields[] = {
    STATE_U32_F(struct gpu_rect, x),
    STATE_U32_F(struct gpu_rect, y),
    STATE_U32_F(struct gpu_rect, width),
    STATE_U32_F(struct gpu_rect, height),
    STATE_END_F,
};
static const struct state_table rect_state = {
    .name = "virtio-gpu-rect", .version = 1, .fields = rect_fields};

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct virtio_gpu, vdev, 1, &virtio_dev_state),
    STATE_STRUCT_F(struct virtio_gpu, pci, 1, &virtio_pci_state),
    STATE_MAX_F(struct virtio_gpu, width, STATE_U32, VIDEO_MAX),
    STATE_MAX_F(struct virtio_gpu, height, STATE_U32, VIDEO_MAX),
    STATE_MAX_F(struct virtio_gpu, events, STATE_U32, EVENT_DISPLAY),
    STATE_BOOL_F(struct virtio_gpu, driven),
    STATE_U32_F(struct virtio_gpu, shown),
    STATE_STRUCT_F(struct virtio_gpu, rect, 1, &rect_state),
    STATE_STRUCT_F(struct virtio_gpu, cursor, 1, &cursor_state),
    STATE_STRUCT_F(struct virtio_gpu, pool, 1, &gpu_pool_state),
    STATE_END_F,
};
static const struct state_table gpu_state = {.name = "virtio-gpu", .version = 1, .fields = fields};

static const struct device_ops gpu_ops = {
    .name = "virtio-gpu",
    .reset = gpu_reset,
    .pause = gpu_pause,
    .resume = gpu_resume,
    .restore = gpu_restore,
    .destroy = gpu_destroy,
    .state = &gpu_state,
};

struct device virtio_gpu_device(struct virtio_gpu *g)
{
    return (struct device){&gpu_ops, g};
}

/* On the same function: its memory is BAR 0, its registers BAR 2, as of other cards with a VGA. */
static int add_vga(struct virtio_gpu *g, const struct vga_config *cfg, struct device *out,
                   struct err *e)
{
    struct vga_config c = *cfg;
    struct vga *vga;
    int rc;

    c.func = &g->pci.func;
    rc = vga_create(&c, &vga, e);
    if (rc < 0)
        return rc;
    g->has_vga = true;
    g->vga = vga_video(vga);
    *out = vga_device(vga);
    return 0;
}

int virtio_gpu_create(const struct virtio_gpu_config *cfg, struct virtio_gpu **out,
                      struct device *vga, struct err *e)
{
    struct virtio_gpu *g = calloc(1, sizeof(*g));
    struct virtio_dev_config vc = {.ops = &gpu_virtio_ops,
                                   .self = g,
                                   .ram = cfg->place.ram,
                                   .features = VIRTIO_BIT(FEATURE_EDID),
                                   .no_packed = cfg->place.no_packed,
                                   .config_size = CONFIG_SIZE,
                                   .queue_count = QUEUES,
                                   .queue_size = QUEUE_SIZE,
                                   .loop = cfg->place.loop};
    int rc;

    if (g == NULL || virtio_dev_init(&g->vdev, &vc) < 0) {
        free(g);
        return err_set(e, ENOMEM, "cannot set up the virtio GPU");
    }
    lock_init(&g->lock, LOCK_DEVICE);
    g->pool.memory = cfg->memory;
    g->width = cfg->width;
    g->height = cfg->height;
    rc = virtio_pci_declare(&g->pci, &g->vdev, &cfg->place,
                            cfg->vga != NULL ? CLASS_VGA : CLASS_DISPLAY, e);
    if (rc < 0) {
        virtio_dev_finish(&g->vdev);
        lock_finish(&g->lock);
        free(g);
        return rc;
    }
    rc = cfg->vga != NULL ? add_vga(g, cfg->vga, vga, e) : 0;
    if (rc == 0)
        rc = pci_add(cfg->place.bus, cfg->place.devfn, &g->pci.func, e);
    if (rc < 0) {
        bool has_vga = g->has_vga;

        gpu_destroy(g);
        if (has_vga)
            vga->ops->destroy(vga->self);
        return rc;
    }
    *out = g;
    return 0;
}
