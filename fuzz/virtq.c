/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtqueues of both layouts in memory that the input fills and keeps changing: where the rings
 * lie, what is in them, and in which order the device pops, gives back, pushes and commits.
 */
#include "fuzz.h"

#include "dev/virtio/virtio.h"

#define RAM_SIZE 0x10000u
#define ROM_BASE 0x20000u
#define ROM_SIZE 0x1000u
#define HELD 8u

struct held {
    struct virtq_req req;
    struct iovec iov[VIRTQ_MAX_CHAIN];
    gpa_t gpa[VIRTQ_MAX_CHAIN];
};

static struct {
    struct ram *ram;
    struct loop *loop;
    struct virtio_dev dev;
    struct held held[HELD];
    unsigned count;      /* of them */
    bool last_is_latest; /* held[count - 1] is what was popped last */
} t;

static void config_read(void *self, uint32_t offset, void *buf, uint32_t len)
{
    memset(buf, 0, len);
}

static void run(void *self, unsigned queue)
{
}

static const struct virtio_ops ops = {
    .name = "fuzz", .device_id = VIRTIO_DEV_ENTROPY, .config_read = config_read, .run = run};

static void set_up(void)
{
    struct virtio_dev_config cfg = {
        .ops = &ops, .config_size = 4, .queue_count = 1, .queue_size = VIRTQ_MAX_SIZE};
    FUZZ_REQUIRE(ram_create(&t.ram, RAM_SIZE + ROM_SIZE, NULL) == 0);
    FUZZ_REQUIRE(ram_add(t.ram, 0, RAM_SIZE, false, NULL) == 0);
    FUZZ_REQUIRE(ram_add(t.ram, ROM_BASE, ROM_SIZE, true, NULL) == 0);
    FUZZ_REQUIRE(loop_create(&t.loop) == 0);
    cfg.ram = t.ram;
    cfg.loop = t.loop;
    FUZZ_REQUIRE(virtio_dev_init(&t.dev, &cfg) == 0);
}

/* The driver's part of the start-up, with what the input wants. */
static void start(struct fuzz_input *in)
{
    uint8_t features = fuzz_u8(in);
    uint64_t accepted = VIRTIO_BIT(VIRTIO_FEATURE_VERSION_1) |
                        (features & 1 ? VIRTIO_BIT(VIRTIO_FEATURE_INDIRECT) : 0) |
                        (features & 2 ? VIRTIO_BIT(VIRTIO_FEATURE_EVENT_IDX) : 0) |
                        (features & 4 ? VIRTIO_BIT(VIRTIO_FEATURE_PACKED) : 0);
    struct virtq_setup s = {.enabled = true};
    s.size = features & 8 ? fuzz_u16(in) : (uint16_t)(1u << fuzz_u8(in) % 8);
    s.desc = fuzz_u16(in) & ~15u;
    s.driver = fuzz_u16(in) & ~3u;
    s.device = fuzz_u16(in) & ~3u;
    virtio_set_status(&t.dev, 3);
    virtio_set_driver_features(&t.dev, 0, (uint32_t)accepted);
    virtio_set_driver_features(&t.dev, 1, (uint32_t)(accepted >> 32));
    virtio_set_status(&t.dev, 11);
    virtio_queue_set(&t.dev, 0, &s);
    virtio_set_status(&t.dev, 15);
}

static void fill(struct fuzz_input *in)
{
    uint8_t *mem = ram_ptr(t.ram, 0, RAM_SIZE, true);
    unsigned size = fuzz_u16(in);
    memset(mem, 0, RAM_SIZE);
    size = size < in->left ? size : (unsigned)in->left;
    if (size > 0)
        memcpy(mem, in->p, size);
    in->p += size;
    in->left -= size;
}

static void pop(struct virtq *q)
{
    if (t.count == HELD)
        return;
    struct held *h = &t.held[t.count];
    h->req = (struct virtq_req){.iov = h->iov, .gpa = h->gpa, .max = VIRTQ_MAX_CHAIN};
    if (virtq_pop(q, &h->req) <= 0)
        return;
    t.count++;
    t.last_is_latest = true;
}

static void push(struct virtq *q, unsigned i, uint32_t written)
{
    virtq_push(q, &t.held[i].req, written);
    t.last_is_latest &= i != t.count - 1;
    /* iov and gpa point into their own entry: entries stay where they are, the last one moves. */
    if (i != t.count - 1) {
        struct held *from = &t.held[t.count - 1], *to = &t.held[i];
        size_t skip = (size_t)(from->req.iov - from->iov);
        *to = *from;
        to->req.iov = to->iov + skip;
        to->req.gpa = to->gpa + skip;
        t.last_is_latest = false;
    }
    t.count--;
}

static void use(struct virtq *q, struct held *h, struct fuzz_input *in)
{
    uint8_t buf[64] = {0};
    struct virtq_req *r = &h->req;
    uint32_t offset = fuzz_u16(in), n = fuzz_u8(in);
    FUZZ_REQUIRE(virtq_req_read(r, offset, buf, sizeof(buf)) <= sizeof(buf));
    FUZZ_REQUIRE(virtq_req_write(q, r, offset, buf, sizeof(buf)) <= sizeof(buf));
    if (n <= r->out_len)
        virtq_req_drop_out(r, n);
    if (n <= r->in_len)
        virtq_req_drop_in_tail(r, n);
    virtq_req_written(q, r, 0, n < r->in_len ? n : r->in_len);
}

static void step(struct virtq *q, struct fuzz_input *in)
{
    uint8_t op = fuzz_u8(in);
    uint16_t value;
    switch (op % 8) {
    case 0:
    case 1:
        pop(q);
        break;
    case 2:
        if (t.count > 0)
            push(q, (op >> 3) % t.count, fuzz_u16(in));
        break;
    case 3:
        if (t.count > 0 && t.last_is_latest) {
            virtq_unpop(q, &t.held[--t.count].req);
            t.last_is_latest = false;
        }
        break;
    case 4:
        virtq_commit(q);
        break;
    case 5:
        value = fuzz_u16(in);
        FUZZ_REQUIRE(ram_write(t.ram, fuzz_u16(in) & ~1u, &value, 2) == 0);
        break;
    case 6:
        if (t.count > 0)
            use(q, &t.held[(op >> 3) % t.count], in);
        break;
    default:
        if (op & 8)
            virtq_kicks_off(q);
        else if (virtq_kicks_on(q))
            FUZZ_REQUIRE(virtio_live(&t.dev));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    if (t.ram == NULL)
        set_up();
    virtio_dev_reset(&t.dev);
    t.count = 0;
    t.last_is_latest = false;
    start(&in);
    fill(&in);
    FUZZ_REQUIRE(virtio_hold(&t.dev));
    while (in.left > 0)
        step(&t.dev.queues[0], &in);
    while (t.count > 0)
        push(&t.dev.queues[0], t.count - 1, 0);
    virtq_commit(&t.dev.queues[0]);
    virtio_release(&t.dev);
    return 0;
}
