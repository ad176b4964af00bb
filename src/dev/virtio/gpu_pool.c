/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pictures of a virtio GPU: see gpu_pool.h. */
#include "dev/virtio/gpu_pool.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "dev/video.h"

enum { ENTRY = 16, PAGE = 4096, ENTRIES_MAX = 1 << 16 };

/* The formats' names tell the order of bytes in memory: 5.7.6.8, "Formats". */
enum {
    B8G8R8A8 = 1,
    B8G8R8X8 = 2,
    A8R8G8B8 = 3,
    X8R8G8B8 = 4,
    R8G8B8A8 = 67,
    X8B8G8R8 = 68,
    A8B8G8R8 = 121,
    R8G8B8X8 = 134,
};

static bool format_known(uint32_t format)
{
    switch (format) {
    case B8G8R8A8:
    case B8G8R8X8:
    case A8R8G8B8:
    case X8R8G8B8:
    case R8G8B8A8:
    case X8B8G8R8:
    case A8B8G8R8:
    case R8G8B8X8:
        return true;
    default:
        return false;
    }
}

static uint32_t pixel(uint32_t format, uint32_t v)
{
    switch (format) {
    case A8R8G8B8:
    case X8R8G8B8:
        return __builtin_bswap32(v);
    case R8G8B8A8:
    case R8G8B8X8:
        return (v & 0xff00ff00) | (v & 0xff) << 16 | (v >> 16 & 0xff);
    case X8B8G8R8:
    case A8B8G8R8:
        return v >> 8 | v << 24;
    default:
        return v;
    }
}

void gpu_pool_pixels(const struct gpu_pool *p, uint32_t format, uint64_t at, uint32_t *out,
                     unsigned n)
{
    memcpy(out, p->memory + at, (size_t)n * 4);
    if (format != B8G8R8A8 && format != B8G8R8X8)
        for (unsigned i = 0; i < n; i++)
            out[i] = pixel(format, out[i]);
}

/* --- room --- */

static uint32_t pages(uint64_t bytes)
{
    return (uint32_t)((bytes + PAGE - 1) / PAGE * PAGE);
}

static uint32_t pixel_bytes(const struct gpu_resource *r)
{
    return pages((uint64_t)r->width * r->height * 4);
}

static uint32_t list_bytes(const struct gpu_resource *r)
{
    return pages((uint64_t)r->entries * ENTRY);
}

/* Where the first thing ends that a range would overlap; 0: it is free. */
static uint32_t in_the_way(const struct gpu_pool *p, uint32_t at, uint32_t size)
{
    for (unsigned i = 0; i < GPU_RESOURCES; i++) {
        const struct gpu_resource *r = &p->resources[i];

        if (r->id == 0)
            continue;
        if (range_overlap(at, size, r->pixels, pixel_bytes(r)))
            return r->pixels + pixel_bytes(r);
        if (r->entries != 0 && range_overlap(at, size, r->backing, list_bytes(r)))
            return r->backing + list_bytes(r);
    }
    return 0;
}

/* The first room that is large enough, in whole pages. */
static bool find_room(const struct gpu_pool *p, uint32_t size, uint32_t *at)
{
    uint32_t end;

    *at = 0;
    if (size > GPU_POOL_SIZE)
        return false;
    while ((end = in_the_way(p, *at, size)) != 0) {
        if (end > GPU_POOL_SIZE - size)
            return false;
        *at = end;
    }
    return true;
}

/* --- commands --- */

void gpu_pool_reset(struct gpu_pool *p)
{
    memset(p->resources, 0, sizeof(p->resources));
}

struct gpu_resource *gpu_pool_find(struct gpu_pool *p, uint32_t id)
{
    for (unsigned i = 0; i < GPU_RESOURCES && id != 0; i++)
        if (p->resources[i].id == id)
            return &p->resources[i];
    return NULL;
}

static struct gpu_resource *free_entry(struct gpu_pool *p)
{
    for (unsigned i = 0; i < GPU_RESOURCES; i++)
        if (p->resources[i].id == 0)
            return &p->resources[i];
    return NULL;
}

enum gpu_response gpu_pool_create(struct gpu_pool *p, uint32_t id, uint32_t format, uint32_t width,
                                  uint32_t height)
{
    struct gpu_resource *r = free_entry(p);
    struct gpu_resource made = {.id = id, .format = format, .width = width, .height = height};

    if (id == 0 || gpu_pool_find(p, id) != NULL)
        return GPU_ERR_INVALID_RESOURCE_ID;
    if (!format_known(format) || width == 0 || height == 0 || width > VIDEO_MAX ||
        height > VIDEO_MAX)
        return GPU_ERR_INVALID_PARAMETER;
    if (r == NULL || !find_room(p, pixel_bytes(&made), &made.pixels))
        return GPU_ERR_OUT_OF_MEMORY;
    memset(p->memory + made.pixels, 0, pixel_bytes(&made));
    *r = made;
    return GPU_OK_NODATA;
}

enum gpu_response gpu_pool_unref(struct gpu_pool *p, uint32_t id)
{
    struct gpu_resource *r = gpu_pool_find(p, id);

    if (r == NULL)
        return GPU_ERR_INVALID_RESOURCE_ID;
    *r = (struct gpu_resource){0};
    return GPU_OK_NODATA;
}

enum gpu_response gpu_pool_attach(struct gpu_pool *p, uint32_t id, uint32_t entries,
                                  const struct virtq_req *req, uint32_t at)
{
    struct gpu_resource *r = gpu_pool_find(p, id);
    uint32_t room, len = entries * ENTRY;

    if (r == NULL)
        return GPU_ERR_INVALID_RESOURCE_ID;
    if (r->entries != 0)
        return GPU_ERR_UNSPEC;
    if (entries == 0 || entries > ENTRIES_MAX)
        return GPU_ERR_INVALID_PARAMETER;
    if (!find_room(p, pages(len), &room))
        return GPU_ERR_OUT_OF_MEMORY;
    if (virtq_req_read(req, at, p->memory + room, len) != len)
        return GPU_ERR_INVALID_PARAMETER;
    r->backing = room;
    r->entries = entries;
    return GPU_OK_NODATA;
}

enum gpu_response gpu_pool_detach(struct gpu_pool *p, uint32_t id)
{
    struct gpu_resource *r = gpu_pool_find(p, id);

    if (r == NULL)
        return GPU_ERR_INVALID_RESOURCE_ID;
    r->backing = r->entries = 0;
    return GPU_OK_NODATA;
}

bool gpu_rect_inside(const struct gpu_rect *r, uint32_t width, uint32_t height)
{
    return r->width > 0 && r->height > 0 && range_inside(r->x, r->width, 0, width) &&
           range_inside(r->y, r->height, 0, height);
}

/* A walk through a list, forwards. */
struct walk {
    const uint8_t *list;
    uint32_t entries, next;
    uint64_t gpa, start, len; /* the current piece, and where it begins in what is prepared */
};

/* Makes the piece with `offset` in it the current one. */
static bool walk_to(struct walk *w, uint64_t offset)
{
    while (offset - w->start >= w->len) {
        if (w->next == w->entries)
            return false;
        w->start += w->len;
        w->gpa = ld_le64(w->list + (size_t)w->next * ENTRY);
        w->len = ld_le32(w->list + (size_t)w->next * ENTRY + 8);
        w->next++;
    }
    return true;
}

static bool copy(struct walk *w, const struct ram *ram, uint64_t offset, uint8_t *to, uint64_t len)
{
    while (len > 0) {
        uint64_t skip, n;

        if (!walk_to(w, offset))
            return false;
        skip = offset - w->start;
        n = len < w->len - skip ? len : w->len - skip;
        if (w->gpa > UINT64_MAX - skip || ram_read(ram, w->gpa + skip, to, n) < 0)
            return false;
        offset += n;
        to += n;
        len -= n;
    }
    return true;
}

enum gpu_response gpu_pool_transfer(struct gpu_pool *p, uint32_t id, const struct gpu_rect *rect,
                                    uint64_t offset, const struct ram *ram)
{
    const struct gpu_resource *r = gpu_pool_find(p, id);
    struct walk w = {0};

    if (r == NULL)
        return GPU_ERR_INVALID_RESOURCE_ID;
    if (!gpu_rect_inside(rect, r->width, r->height) || offset > UINT32_MAX)
        return GPU_ERR_INVALID_PARAMETER;
    if (r->entries == 0)
        return GPU_ERR_UNSPEC;
    w.list = p->memory + r->backing;
    w.entries = r->entries;
    for (uint32_t y = 0; y < rect->height; y++) {
        uint64_t at = ((uint64_t)(rect->y + y) * r->width + rect->x) * 4;

        if (!copy(&w, ram, offset + (uint64_t)y * r->width * 4, p->memory + r->pixels + at,
                  (uint64_t)rect->width * 4))
            return GPU_ERR_UNSPEC;
    }
    return GPU_OK_NODATA;
}

/* --- state --- */

static int validate(const void *object, struct err *e)
{
    const struct gpu_resource *r = object;

    if (r->id == 0)
        return 0;
    if (!format_known(r->format) || r->width == 0 || r->height == 0 || r->width > VIDEO_MAX ||
        r->height > VIDEO_MAX || r->entries > ENTRIES_MAX || r->pixels % PAGE != 0 ||
        r->backing % PAGE != 0 || !range_inside(r->pixels, pixel_bytes(r), 0, GPU_POOL_SIZE) ||
        !range_inside(r->backing, list_bytes(r), 0, GPU_POOL_SIZE))
        return err_set(e, EINVAL, "virtio-gpu: resource %u does not lie in the memory", r->id);
    return 0;
}

static const struct state_field resource_fields[] = {
    STATE_U32_F(struct gpu_resource, id),      STATE_U32_F(struct gpu_resource, format),
    STATE_U32_F(struct gpu_resource, width),   STATE_U32_F(struct gpu_resource, height),
    STATE_U32_F(struct gpu_resource, pixels),  STATE_U32_F(struct gpu_resource, backing),
    STATE_U32_F(struct gpu_resource, entries), STATE_END_F,
};
static const struct state_table resource_state = {
    .name = "virtio-gpu-resource", .version = 1, .fields = resource_fields, .validate = validate};

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct gpu_pool, resources, GPU_RESOURCES, &resource_state),
    STATE_END_F,
};
const struct state_table gpu_pool_state = {
    .name = "virtio-gpu-pool", .version = 1, .fields = fields};
