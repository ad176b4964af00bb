/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio tablet, virtio 1.2 section 5.8: queue 0 carries events to the guest, queue 1 what the
 * guest tells (lights, of which there are none).
 *
 * What the pointer does changes `now`; on the device's loop the difference to what the guest was
 * told becomes events, as there are buffers for them, with a report at the end.
 */
#include "dev/virtio/virtio_input.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

#define QUEUE_SIZE 64
#define SEGMENTS 4 /* of a buffer, which holds 8 bytes */

enum { QUEUE_EVENTS, QUEUE_STATUS, QUEUES };
enum { BUS_VIRTUAL = 6 }; /* linux/input.h */
enum { GROUP = 7 };       /* events that a change can have */

enum { /* 5.8.2 */
       CFG_ID_NAME = 0x01,
       CFG_ID_DEVIDS = 0x03,
       CFG_EV_BITS = 0x11,
       CFG_ABS_INFO = 0x12,
       CFG_DATA = 8,
       CFG_SIZE = 136,
};

/* Where the pointer is; the wheel's notches are those that the guest was not told yet. */
struct pointer {
    uint32_t x, y, buttons;
    int32_t wheel;
};

struct virtio_input {
    struct virtio_dev vdev;
    struct virtio_pci pci;
    struct lock lock; /* all below */
    uint8_t select, subsel;
    struct pointer now, told;
    uint32_t clicks; /* buttons that went down since the guest was told of them, even if up again */
    uint32_t pressed; /* in the open group: a button goes up in a later one */
    bool group;       /* events went out that no report has closed yet */
};

struct event {
    uint16_t type, code;
    uint32_t value;
};

/* --- events --- */

static const uint16_t button_code[] = {BTN_LEFT, BTN_RIGHT, BTN_MIDDLE};

/* The next step that makes `told` the same as `now`; after the last one the group is closed. Lock
 * held. */
static bool next_event(const struct virtio_input *in, struct event *ev)
{
    const struct pointer *now = &in->now, *told = &in->told;
    uint32_t buttons = (now->buttons | in->clicks) ^ told->buttons;
    unsigned i = buttons != 0 ? (unsigned)__builtin_ctz(buttons) : 0;

    if (now->x != told->x) {
        *ev = (struct event){EV_ABS, ABS_X, now->x};
    } else if (now->y != told->y) {
        *ev = (struct event){EV_ABS, ABS_Y, now->y};
    } else if (buttons != 0 && !(in->pressed >> i & 1)) {
        *ev = (struct event){EV_KEY, button_code[i], !(told->buttons >> i & 1)};
    } else if (now->wheel != 0) {
        *ev = (struct event){EV_REL, REL_WHEEL, (uint32_t)now->wheel};
    } else {
        *ev = (struct event){EV_SYN, SYN_REPORT, 0};
        return in->group;
    }
    return true;
}

/* The guest has it. Lock held. */
static void note_told(struct virtio_input *in, const struct event *ev)
{
    in->group = ev->type != EV_SYN;
    if (ev->type == EV_SYN)
        in->pressed = 0;
    if (ev->type == EV_REL)
        in->now.wheel -= (int32_t)ev->value;
    else if (ev->type == EV_ABS)
        *(ev->code == ABS_X ? &in->told.x : &in->told.y) = ev->value;
    for (unsigned i = 0; ev->type == EV_KEY && i < 3; i++)
        if (button_code[i] == ev->code) {
            in->told.buttons = (in->told.buttons & ~(1u << i)) | ev->value << i;
            in->clicks &= ~(1u << i);
            in->pressed |= ev->value << i;
        }
}

static void write_event(struct virtq *q, const struct virtq_req *r, const struct event *ev)
{
    uint8_t raw[8];

    st_le16(raw, ev->type);
    st_le16(raw + 2, ev->code);
    st_le32(raw + 4, ev->value);
    virtq_push(q, r, virtq_req_write(q, r, 0, raw, sizeof(raw)));
}

/* On the loop. Without buffers the guest's kick brings us back. */
static void run_events(struct virtio_input *in)
{
    struct virtq *q = &in->vdev.queues[QUEUE_EVENTS];
    struct iovec iov[SEGMENTS];
    gpa_t gpa[SEGMENTS];
    struct virtq_req r = {.iov = iov, .gpa = gpa, .max = SEGMENTS};
    unsigned budget = QUEUE_SIZE;

    while (budget > 0) {
        struct event ev;
        bool have;

        lock_take(&in->lock);
        have = next_event(in, &ev);
        lock_drop(&in->lock);
        if (!have) {
            virtq_kicks_off(q);
            break;
        }
        if (virtq_pop(q, &r) <= 0) {
            if (virtq_kicks_on(q))
                continue;
            break;
        }
        write_event(q, &r, &ev);
        lock_take(&in->lock);
        note_told(in, &ev);
        lock_drop(&in->lock);
        budget--;
    }
    virtq_commit(q);
    if (budget == 0) /* others on the loop have their turn */
        virtio_kick(&in->vdev, QUEUE_EVENTS);
}

static void run_status(struct virtio_input *in)
{
    struct virtq *q = &in->vdev.queues[QUEUE_STATUS];
    struct iovec iov[SEGMENTS];
    gpa_t gpa[SEGMENTS];
    unsigned budget = QUEUE_SIZE;
    struct virtq_req r = {.iov = iov, .gpa = gpa, .max = SEGMENTS};

    for (; budget > 0 && virtq_pop(q, &r) > 0; budget--)
        virtq_push(q, &r, 0);
    virtq_commit(q);
    if (budget == 0)
        virtio_kick(&in->vdev, QUEUE_STATUS);
}

static void input_run(void *self, unsigned queue)
{
    if (queue == QUEUE_EVENTS)
        run_events(self);
    else
        run_status(self);
}

bool virtio_tablet_ready(void *self)
{
    struct virtio_input *in = self;

    return virtio_live(&in->vdev);
}

void virtio_tablet_event(void *self, unsigned x, unsigned y, int wheel, unsigned buttons)
{
    struct virtio_input *in = self;

    lock_take(&in->lock);
    in->now.x = x < VIRTIO_TABLET_MAX ? x : VIRTIO_TABLET_MAX;
    in->now.y = y < VIRTIO_TABLET_MAX ? y : VIRTIO_TABLET_MAX;
    in->now.buttons = buttons & 7;
    in->clicks |= in->now.buttons & ~in->told.buttons;
    if (in->now.wheel > -1000 && in->now.wheel < 1000)
        in->now.wheel += wheel < -8 ? -8 : wheel > 8 ? 8 : wheel;
    lock_drop(&in->lock);
    virtio_kick(&in->vdev, QUEUE_EVENTS);
}

/* --- configuration, 5.8.5 --- */

static void set_bit(uint8_t *map, unsigned bit)
{
    map[bit / 8] |= (uint8_t)(1u << bit % 8);
}

static unsigned event_bits(unsigned type, uint8_t *map)
{
    switch (type) {
    case EV_KEY:
        set_bit(map, BTN_LEFT);
        set_bit(map, BTN_RIGHT);
        set_bit(map, BTN_MIDDLE);
        return BTN_MIDDLE / 8 + 1;
    case EV_REL:
        set_bit(map, REL_WHEEL);
        return REL_WHEEL / 8 + 1;
    case EV_ABS:
        set_bit(map, ABS_X);
        set_bit(map, ABS_Y);
        return 1;
    default:
        return 0;
    }
}

/* What is selected: its bytes and how many. */
static unsigned selected(unsigned select, unsigned subsel, uint8_t *data)
{
    static const char name[] = "doppel tablet";

    switch (select) {
    case CFG_ID_NAME:
        memcpy(data, name, sizeof(name) - 1);
        return sizeof(name) - 1;
    case CFG_ID_DEVIDS:
        st_le16(data, BUS_VIRTUAL);
        st_le16(data + 4, 3);
        return 8;
    case CFG_EV_BITS:
        return event_bits(subsel, data);
    case CFG_ABS_INFO:
        if (subsel != ABS_X && subsel != ABS_Y)
            return 0;
        st_le32(data + 4, VIRTIO_TABLET_MAX);
        return 20;
    default:
        return 0;
    }
}

static void config_read(void *self, uint32_t offset, void *buf, uint32_t len)
{
    struct virtio_input *in = self;
    uint8_t space[CFG_SIZE] = {0};

    lock_take(&in->lock);
    space[0] = in->select;
    space[1] = in->subsel;
    lock_drop(&in->lock);
    space[2] = (uint8_t)selected(space[0], space[1], space + CFG_DATA);
    memcpy(buf, space + offset, len);
}

static void config_write(void *self, uint32_t offset, const void *buf, uint32_t len)
{
    struct virtio_input *in = self;
    const uint8_t *bytes = buf;

    lock_take(&in->lock);
    for (uint32_t i = 0; i < len; i++) {
        if (offset + i == 0)
            in->select = bytes[i];
        else if (offset + i == 1)
            in->subsel = bytes[i];
    }
    lock_drop(&in->lock);
}

/* A new driver knows nothing. */
static void input_virtio_reset(void *self)
{
    struct virtio_input *in = self;

    lock_take(&in->lock);
    in->select = in->subsel = 0;
    in->now = in->told = (struct pointer){0};
    in->clicks = in->pressed = 0;
    in->group = false;
    lock_drop(&in->lock);
}

static const struct virtio_ops input_virtio_ops = {
    .name = "virtio-tablet",
    .device_id = VIRTIO_DEV_INPUT,
    .config_read = config_read,
    .config_write = config_write,
    .run = input_run,
    .reset = input_virtio_reset,
};

/* --- life --- */

static void input_reset(void *self)
{
    struct virtio_input *in = self;

    virtio_pci_reset(&in->pci);
    input_virtio_reset(in);
}

static void input_pause(void *self)
{
    struct virtio_input *in = self;

    virtio_pci_pause(&in->pci);
}

static void input_resume(void *self)
{
    struct virtio_input *in = self;

    virtio_pci_resume(&in->pci);
}

static void input_restore(void *self)
{
    struct virtio_input *in = self;

    virtio_pci_restore(&in->pci);
}

static void input_destroy(void *self)
{
    struct virtio_input *in = self;

    if (in == NULL)
        return;
    virtio_pci_finish(&in->pci);
    virtio_dev_finish(&in->vdev);
    lock_finish(&in->lock);
    free(in);
}

static const struct state_field pointer_fields[] = {
    STATE_MAX_F(struct pointer, x, STATE_U32, VIRTIO_TABLET_MAX),
    STATE_MAX_F(struct pointer, y, STATE_U32, VIRTIO_TABLET_MAX),
    STATE_MAX_F(struct pointer, buttons, STATE_U32, 7),
    STATE_U32_F(struct pointer, wheel),
    STATE_END_F,
};
static const struct state_table pointer_state = {
    .name = "virtio-tablet-pointer", .version = 1, .fields = pointer_fields};

static int validate(const void *object, struct err *e)
{
    const struct virtio_input *in = object;

    if (in->now.wheel < -1008 || in->now.wheel > 1008)
        return err_set(e, EINVAL, "virtio-tablet: the wheel turned too far");
    return 0;
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct virtio_input, vdev, 1, &virtio_dev_state),
    STATE_STRUCT_F(struct virtio_input, pci, 1, &virtio_pci_state),
    STATE_U8_F(struct virtio_input, select),
    STATE_U8_F(struct virtio_input, subsel),
    STATE_STRUCT_F(struct virtio_input, now, 1, &pointer_state),
    STATE_STRUCT_F(struct virtio_input, told, 1, &pointer_state),
    STATE_MAX_F(struct virtio_input, clicks, STATE_U32, 7),
    STATE_MAX_F(struct virtio_input, pressed, STATE_U32, 7),
    STATE_BOOL_F(struct virtio_input, group),
    STATE_END_F,
};
static const struct state_table input_state = {
    .name = "virtio-tablet", .version = 1, .fields = fields, .validate = validate};

static const struct device_ops input_ops = {
    .name = "virtio-tablet",
    .reset = input_reset,
    .pause = input_pause,
    .resume = input_resume,
    .restore = input_restore,
    .destroy = input_destroy,
    .state = &input_state,
};

int virtio_tablet_create(const struct virtio_place *place, struct device *out, struct err *e)
{
    struct virtio_input *in = calloc(1, sizeof(*in));
    struct virtio_dev_config vc = {.ops = &input_virtio_ops,
                                   .self = in,
                                   .ram = place->ram,
                                   .no_packed = place->no_packed,
                                   .config_size = CFG_SIZE,
                                   .queue_count = QUEUES,
                                   .queue_size = QUEUE_SIZE,
                                   .loop = place->loop};
    int rc;

    if (in == NULL || virtio_dev_init(&in->vdev, &vc) < 0) {
        free(in);
        return err_set(e, ENOMEM, "cannot set up the tablet");
    }
    lock_init(&in->lock, LOCK_DEVICE);
    rc = virtio_pci_init(&in->pci, &in->vdev, place, 0x098000, e);
    if (rc < 0) {
        virtio_dev_finish(&in->vdev);
        lock_finish(&in->lock);
        free(in);
        return rc;
    }
    *out = (struct device){&input_ops, in};
    return 0;
}
