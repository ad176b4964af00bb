/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PS/2 keyboard and mouse; the contract is in the header. */
#include "dev/chip/ps2.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <string.h>

#define ACK 0xfa
#define RESEND 0xfe
#define SELF_TEST_OK 0xaa

#define RESPONSE_ROOM 8 /* kept free of events: answers to commands always fit */

enum {
    CMD_RESET = 0xff,
    CMD_RESEND = 0xfe,
    CMD_DEFAULTS = 0xf6,
    CMD_DISABLE = 0xf5,
    CMD_ENABLE = 0xf4,
    CMD_RATE = 0xf3,
    CMD_ID = 0xf2,

    KBD_SCAN_SET = 0xf0,
    KBD_ECHO = 0xee,
    KBD_LEDS = 0xed,
    KBD_KEY_TYPE = 0xfb, /* 0xfb - 0xfd: one key's type, with the key as parameter */

    MOUSE_REMOTE = 0xf0,
    MOUSE_WRAP = 0xee,
    MOUSE_WRAP_END = 0xec,
    MOUSE_READ = 0xeb,
    MOUSE_STREAM = 0xea,
    MOUSE_STATUS = 0xe9,
    MOUSE_RESOLUTION = 0xe8,
    MOUSE_SCALING_2 = 0xe7,
    MOUSE_SCALING_1 = 0xe6,
};

static int validate_queue(const void *object, struct err *e)
{
    const struct ps2_queue *q = object;

    if (q->head >= PS2_QUEUE_SIZE || q->count > PS2_QUEUE_SIZE)
        return err_set(e, EINVAL, "ps2: a queue with more than it holds");
    return 0;
}

static const struct state_field queue_fields[] = {
    STATE_BYTES_F(struct ps2_queue, data),
    STATE_MAX_F(struct ps2_queue, head, STATE_U8, PS2_QUEUE_SIZE - 1),
    STATE_MAX_F(struct ps2_queue, count, STATE_U8, PS2_QUEUE_SIZE),
    STATE_END_F,
};
static const struct state_table queue_state = {
    .name = "ps2-queue", .version = 1, .fields = queue_fields, .validate = validate_queue};

static const struct state_field keyboard_fields[] = {
    STATE_STRUCT_F(struct ps2_keyboard, queue, 1, &queue_state),
    STATE_U8_F(struct ps2_keyboard, pending),
    STATE_U8_F(struct ps2_keyboard, last),
    STATE_MAX_F(struct ps2_keyboard, set, STATE_U8, 3),
    STATE_U8_F(struct ps2_keyboard, leds),
    STATE_MAX_F(struct ps2_keyboard, rate, STATE_U8, 0x7f),
    STATE_BOOL_F(struct ps2_keyboard, scanning),
    STATE_BYTES_F(struct ps2_keyboard, down),
    STATE_U8_F(struct ps2_keyboard, held),
    STATE_END_F,
};
const struct state_table ps2_keyboard_state = {
    .name = "ps2-keyboard", .version = 1, .fields = keyboard_fields};

static const struct state_field mouse_fields[] = {
    STATE_STRUCT_F(struct ps2_mouse, queue, 1, &queue_state),
    STATE_U8_F(struct ps2_mouse, pending),
    STATE_U8_F(struct ps2_mouse, last),
    STATE_MAX_F(struct ps2_mouse, id, STATE_U8, 3),
    STATE_U8_F(struct ps2_mouse, rate),
    STATE_MAX_F(struct ps2_mouse, resolution, STATE_U8, 3),
    STATE_BYTES_F(struct ps2_mouse, knock),
    STATE_MAX_F(struct ps2_mouse, buttons, STATE_U8, 7),
    STATE_BOOL_F(struct ps2_mouse, reporting),
    STATE_BOOL_F(struct ps2_mouse, scaling),
    STATE_BOOL_F(struct ps2_mouse, remote),
    STATE_BOOL_F(struct ps2_mouse, wrap),
    STATE_BOOL_F(struct ps2_mouse, moved),
    STATE_U16_F(struct ps2_mouse, dx),
    STATE_U16_F(struct ps2_mouse, dy),
    STATE_U16_F(struct ps2_mouse, dz),
    STATE_END_F,
};
const struct state_table ps2_mouse_state = {
    .name = "ps2-mouse", .version = 1, .fields = mouse_fields};

static void queue_put(struct ps2_queue *q, uint8_t byte)
{
    if (q->count == PS2_QUEUE_SIZE)
        return;
    q->data[(q->head + q->count) % PS2_QUEUE_SIZE] = byte;
    q->count++;
}

bool ps2_queue_take(struct ps2_queue *q, uint8_t *byte)
{
    if (q->count == 0)
        return false;
    *byte = q->data[q->head];
    q->head = (uint8_t)((q->head + 1) % PS2_QUEUE_SIZE);
    q->count--;
    return true;
}

static unsigned event_room(const struct ps2_queue *q)
{
    return q->count < PS2_QUEUE_SIZE - RESPONSE_ROOM ? PS2_QUEUE_SIZE - RESPONSE_ROOM - q->count
                                                     : 0;
}

/* Puts an answer into the queue; its last byte is what "resend" repeats. */
static void answer(struct ps2_queue *q, uint8_t *last, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        queue_put(q, bytes[i]);
    *last = bytes[count - 1];
}

#define ANSWER(dev, ...)                                                \
    answer(&(dev)->queue, &(dev)->last, (const uint8_t[]){__VA_ARGS__}, \
           sizeof((const uint8_t[]){__VA_ARGS__}))

static void keyboard_defaults(struct ps2_keyboard *k)
{
    k->set = 2;
    k->rate = 0x2b; /* 10.9 characters a second after 500 ms */
    k->leds = 0;
}

void ps2_keyboard_reset(struct ps2_keyboard *k)
{
    memset(k, 0, sizeof(*k));
    keyboard_defaults(k);
    k->scanning = true;
}

static void keyboard_parameter(struct ps2_keyboard *k, uint8_t command, uint8_t byte)
{
    k->pending = 0;
    if (command == KBD_LEDS)
        k->leds = byte & 7;
    else if (command == CMD_RATE)
        k->rate = byte & 0x7f;
    else if (command == KBD_SCAN_SET && byte == 0) {
        ANSWER(k, ACK, k->set);
        return;
    } else if (command == KBD_SCAN_SET && byte <= 3)
        k->set = byte;
    else if (command == KBD_SCAN_SET) {
        ANSWER(k, RESEND);
        return;
    }
    ANSWER(k, ACK);
}

static void keyboard_command(struct ps2_keyboard *k, uint8_t byte)
{
    switch (byte) {
    case CMD_RESET:
        ps2_keyboard_reset(k);
        ANSWER(k, ACK, SELF_TEST_OK);
        break;
    case CMD_RESEND:
        queue_put(&k->queue, k->last);
        break;
    case CMD_DEFAULTS:
    case CMD_DISABLE:
        keyboard_defaults(k);
        k->scanning = byte == CMD_DEFAULTS;
        k->queue.count = 0;
        ANSWER(k, ACK);
        break;
    case CMD_ENABLE:
        k->scanning = true;
        ANSWER(k, ACK);
        break;
    case CMD_ID:
        ANSWER(k, ACK, 0xab, 0x83);
        break;
    case KBD_ECHO:
        ANSWER(k, KBD_ECHO);
        break;
    case CMD_RATE:
    case KBD_SCAN_SET:
    case KBD_LEDS:
    case KBD_KEY_TYPE:
    case KBD_KEY_TYPE + 1:
    case KBD_KEY_TYPE + 2:
        k->pending = byte;
        ANSWER(k, ACK);
        break;
    case 0xf7: /* key types, for scan code set 3 */
    case 0xf8:
    case 0xf9:
    case 0xfa:
        ANSWER(k, ACK);
        break;
    default:
        ANSWER(k, RESEND);
        break;
    }
}

/* A command instead of the parameter ends the wait for it. */
void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t byte)
{
    uint8_t command = k->pending;

    if (command != 0 && byte < KBD_LEDS) {
        keyboard_parameter(k, command, byte);
        return;
    }
    k->pending = 0;
    keyboard_command(k, byte);
}

static int send_key(struct ps2_keyboard *k, unsigned key, bool down)
{
    uint8_t codes[PS2_CODES_MAX];
    unsigned n = k->scanning ? ps2_key_codes(k->set, key, down, codes) : 0;

    if (n > event_room(&k->queue))
        return -EAGAIN;
    for (unsigned i = 0; i < n; i++)
        queue_put(&k->queue, codes[i]);
    return 0;
}

int ps2_keyboard_key(struct ps2_keyboard *k, unsigned key, bool down)
{
    uint8_t *byte = &k->down[key % PS2_KEYS / 8], bit = (uint8_t)(1u << key % 8);
    int rc;

    if (key == 0 || key >= PS2_KEYS || ((*byte & bit) != 0) == down)
        return 0;
    rc = send_key(k, key, down);
    if (rc < 0)
        return rc;
    *byte ^= bit;
    if (down)
        k->held = (uint8_t)key;
    else if (k->held == key)
        k->held = 0;
    return 0;
}

void ps2_keyboard_repeat(struct ps2_keyboard *k)
{
    if (k->held != 0 && k->held != KEY_PAUSE)
        (void)!send_key(k, k->held, true); /* else it is late */
}

uint64_t ps2_keyboard_delay_ns(const struct ps2_keyboard *k)
{
    return ((k->rate >> 5 & 3) + 1) * UINT64_C(250000000);
}

/* (8 + A) * 2^B / 240 seconds. */
uint64_t ps2_keyboard_period_ns(const struct ps2_keyboard *k)
{
    return ((8 + (k->rate & 7u)) << (k->rate >> 3 & 3)) * UINT64_C(1000000000) / 240;
}

static void mouse_defaults(struct ps2_mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->reporting = m->scaling = m->remote = m->wrap = false;
    m->moved = false;
    m->dx = m->dy = m->dz = 0;
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
    memset(m, 0, sizeof(*m));
    mouse_defaults(m);
}

static int16_t clamp(int v, int limit)
{
    return (int16_t)(v > limit ? limit : v < -limit ? -limit : v);
}

static unsigned packet_size(const struct ps2_mouse *m)
{
    return m->id == 3 ? 4 : 3;
}

/* Movement beyond what a packet holds stays for the next one. */
static void put_packet(struct ps2_mouse *m)
{
    int16_t dx = clamp(m->dx, 255), dy = clamp(m->dy, 255), dz = clamp(m->dz, 7);

    queue_put(&m->queue, (uint8_t)(m->buttons | 0x08 | (dx < 0) << 4 | (dy < 0) << 5));
    queue_put(&m->queue, (uint8_t)dx);
    queue_put(&m->queue, (uint8_t)dy);
    if (m->id == 3)
        queue_put(&m->queue, (uint8_t)dz);
    m->dx = (int16_t)(m->dx - dx);
    m->dy = (int16_t)(m->dy - dy);
    m->dz = m->id == 3 ? (int16_t)(m->dz - dz) : 0;
    m->moved = m->dx != 0 || m->dy != 0 || m->dz != 0;
}

void ps2_mouse_report(struct ps2_mouse *m)
{
    while (m->moved && m->reporting && !m->remote && !m->wrap &&
           event_room(&m->queue) >= packet_size(m))
        put_packet(m);
}

void ps2_mouse_event(struct ps2_mouse *m, int dx, int dy, int dz, unsigned buttons)
{
    m->dx = clamp(m->dx + clamp(dx, 4096), 8192);
    m->dy = clamp(m->dy + clamp(dy, 4096), 8192);
    m->dz = clamp(m->dz + clamp(dz, 64), 128);
    m->buttons = buttons & 7;
    m->moved = true;
    ps2_mouse_report(m);
}

/* The knock 200, 100, 80 turns a mouse with a wheel into one that admits it. */
static void set_rate(struct ps2_mouse *m, uint8_t rate)
{
    if (m->knock[0] == 200 && m->knock[1] == 100 && rate == 80)
        m->id = 3;
    m->knock[0] = m->knock[1];
    m->knock[1] = rate;
    m->rate = rate;
}

static uint8_t mouse_status(const struct ps2_mouse *m)
{
    return (uint8_t)(m->remote << 6 | m->reporting << 5 | m->scaling << 4 | (m->buttons & 1) << 2 |
                     (m->buttons & 4) >> 1 | (m->buttons & 2) >> 1);
}

static void mouse_mode(struct ps2_mouse *m, uint8_t byte)
{
    switch (byte) {
    case MOUSE_REMOTE:
    case MOUSE_STREAM:
        m->remote = byte == MOUSE_REMOTE;
        break;
    case MOUSE_WRAP:
    case MOUSE_WRAP_END:
        m->wrap = byte == MOUSE_WRAP;
        break;
    case MOUSE_SCALING_1:
    case MOUSE_SCALING_2:
        m->scaling = byte == MOUSE_SCALING_2;
        break;
    case CMD_ENABLE:
        m->reporting = true;
        break;
    case CMD_DISABLE:
        m->reporting = false;
        break;
    case CMD_DEFAULTS:
        mouse_defaults(m);
        break;
    default:
        ANSWER(m, RESEND);
        return;
    }
    ANSWER(m, ACK);
}

static void mouse_command(struct ps2_mouse *m, uint8_t byte)
{
    switch (byte) {
    case CMD_RESET:
        ps2_mouse_reset(m);
        ANSWER(m, ACK, SELF_TEST_OK, 0);
        break;
    case CMD_RESEND:
        queue_put(&m->queue, m->last);
        break;
    case CMD_ID:
        ANSWER(m, ACK, m->id);
        break;
    case MOUSE_STATUS:
        ANSWER(m, ACK, mouse_status(m), m->resolution, m->rate);
        break;
    case MOUSE_READ:
        ANSWER(m, ACK);
        put_packet(m);
        break;
    case CMD_RATE:
    case MOUSE_RESOLUTION:
        m->pending = byte;
        ANSWER(m, ACK);
        break;
    default:
        mouse_mode(m, byte);
        break;
    }
}

/* A command throws away the packets that were not fetched: its answer comes next. */
void ps2_mouse_write(struct ps2_mouse *m, uint8_t byte)
{
    uint8_t command = m->pending;

    m->queue.count = 0;
    if (m->wrap && byte != CMD_RESET && byte != MOUSE_WRAP_END) {
        queue_put(&m->queue, byte);
        return;
    }
    m->pending = 0;
    if (command == CMD_RATE) {
        set_rate(m, byte);
        ANSWER(m, ACK);
    } else if (command == MOUSE_RESOLUTION && byte <= 3) {
        m->resolution = byte;
        ANSWER(m, ACK);
    } else if (command == MOUSE_RESOLUTION) {
        ANSWER(m, RESEND);
    } else {
        mouse_command(m, byte);
    }
}
