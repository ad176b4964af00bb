/* SPDX-License-Identifier: GPL-2.0-or-later */
/* USB keyboard and tablet: see usb_hid.h. */
#include "dev/chip/usb_hid.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "dev/chip/usb_keys.h"

enum { /* bRequest; 9.4, and HID 7.2 */
       GET_STATUS = 0,
       CLEAR_FEATURE = 1,
       SET_FEATURE = 3,
       GET_DESCRIPTOR = 6,
       GET_CONFIGURATION = 8,
       SET_CONFIGURATION = 9,
       GET_INTERFACE = 10,
       SET_INTERFACE = 11,
       HID_GET_REPORT = 1,
       HID_GET_IDLE = 2,
       HID_GET_PROTOCOL = 3,
       HID_SET_REPORT = 9,
       HID_SET_IDLE = 10,
       HID_SET_PROTOCOL = 11,
};
enum { TO_HOST = 0x80, CLASS = 0x20 }; /* bmRequestType */
enum { TO_DEVICE, TO_INTERFACE, TO_ENDPOINT };
enum { FEATURE_HALT = 0, FEATURE_WAKEUP = 1 };
enum { DEVICE = 1, CONFIGURATION = 2, STRING = 3, HID = 0x21, REPORT = 0x22 };
enum { ENDPOINT = 0x81, HID_AT = 18, HID_LEN = 9, ROLL_OVER = 1, KEYS_OF_REPORT = 6 };
enum { REPORT_INPUT = 1, REPORT_OUTPUT = 2 };

struct request {
    uint8_t type, request;
    uint16_t value, index, length;
};

/* --- descriptors: 9.6, HID 6.2.1 --- */

static const uint8_t device_descriptor[18] = {
    18,   DEVICE, 0x00, 0x02, 0, 0, 0, 64, /* USB 2.0; packets of the control pipe */
    0x27, 0x06,   0x01, 0x00, 0, 0,        /* ids that virtual devices of this kind have */
    1,    2,      0,    1,                 /* strings; one configuration */
};

static const uint8_t keyboard_report[] = {
    0x05, 0x01,             /* usage page: generic desktop */
    0x09, 0x06,             /* usage: keyboard */
    0xa1, 0x01,             /* collection: application */
    0x05, 0x07, 0x19, 0xe0, /* the modifiers, a bit each */
    0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02, /* input: variable */
    0x95, 0x01, 0x75, 0x08, 0x81, 0x01,                                     /* a reserved byte */
    0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01,                         /* lights */
    0x29, 0x05, 0x91, 0x02, 0x95, 0x01, 0x75, 0x03, 0x91, 0x01,             /* output */
    0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x26, 0xff, 0x00,                   /* six keys */
    0x05, 0x07, 0x19, 0x00, 0x29, 0xff, 0x81, 0x00,                         /* input: array */
    0xc0,
};

static const uint8_t tablet_report[] = {
    0x05, 0x01,                                                             /* generic desktop */
    0x09, 0x02,                                                             /* usage: mouse */
    0xa1, 0x01,                                                             /* application */
    0x09, 0x01, 0xa1, 0x00,                                                 /* pointer, physical */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x03,                                     /* three buttons */
    0x15, 0x00, 0x25, 0x01, 0x95, 0x03, 0x75, 0x01, 0x81, 0x02,             /* input: variable */
    0x95, 0x01, 0x75, 0x05, 0x81, 0x01,                                     /* padding */
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f,       /* X, Y */
    0x35, 0x00, 0x46, 0xff, 0x7f, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02,       /* absolute */
    0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, 0x75, 0x08, /* the wheel */
    0x95, 0x01, 0x81, 0x06,                                                 /* relative */
    0xc0, 0xc0,
};

static const uint8_t *report_descriptor(const struct usb_hid *h, unsigned *len)
{
    bool keyboard = h->kind == USB_HID_KEYBOARD;

    *len = keyboard ? sizeof(keyboard_report) : sizeof(tablet_report);
    return keyboard ? keyboard_report : tablet_report;
}

static unsigned report_length(const struct usb_hid *h)
{
    return h->kind == USB_HID_KEYBOARD ? 8 : 6;
}

/* The configuration, its interface, the HID descriptor and the endpoint in a row. */
static unsigned configuration_descriptor(const struct usb_hid *h, uint8_t *data)
{
    static const uint8_t common[34] = {
        9,
        CONFIGURATION,
        34,
        0,
        1,
        1,
        0,
        0xa0,
        50, /* bus-powered, wakes the host */
        9,
        4,
        0,
        0,
        1,
        3,
        0,
        0,
        0, /* HID */
        9,
        HID,
        11,
        1,
        0,
        1,
        REPORT,
        0,
        0, /* one report descriptor */
        7,
        5,
        ENDPOINT,
        3,
        USB_HID_REPORT,
        0,
        10,
    };
    unsigned len;

    memcpy(data, common, sizeof(common));
    if (h->kind == USB_HID_KEYBOARD)
        data[15] = data[16] = 1; /* boot interface, keyboard */
    report_descriptor(h, &len);
    st_le16(data + 25, (uint16_t)len);
    return sizeof(common);
}

static unsigned string_descriptor(const struct usb_hid *h, unsigned index, uint8_t *data)
{
    const char *text = index == 1                    ? "doppel"
                       : index != 2                  ? NULL
                       : h->kind == USB_HID_KEYBOARD ? "USB keyboard"
                                                     : "USB tablet";
    unsigned n = text != NULL ? (unsigned)strlen(text) : 0;

    data[1] = STRING;
    if (index == 0) { /* languages: American English */
        st_le16(data + 2, 0x0409);
        n = 1;
    } else if (text == NULL) {
        return 0;
    } else {
        for (unsigned i = 0; i < n; i++)
            st_le16(data + 2 + 2 * i, (uint16_t)text[i]);
    }
    data[0] = (uint8_t)(2 + 2 * n);
    return data[0];
}

/* 0: there is no such descriptor. */
static unsigned descriptor(const struct usb_hid *h, const struct request *r, uint8_t *data)
{
    const uint8_t *report;
    unsigned len;

    switch (r->value >> 8) {
    case DEVICE:
        memcpy(data, device_descriptor, sizeof(device_descriptor));
        return sizeof(device_descriptor);
    case CONFIGURATION:
        return (r->value & 0xff) == 0 ? configuration_descriptor(h, data) : 0;
    case STRING:
        return string_descriptor(h, r->value & 0xff, data);
    case HID:
        configuration_descriptor(h, data);
        memmove(data, data + HID_AT, HID_LEN);
        return HID_LEN;
    case REPORT:
        report = report_descriptor(h, &len);
        memcpy(data, report, len);
        return len;
    default:
        return 0;
    }
}

/* --- reports --- */

static bool queue_full(const struct usb_hid *h)
{
    return h->count == USB_HID_QUEUE;
}

static uint8_t *queue_at(struct usb_hid *h, unsigned i)
{
    return h->queue + (h->head + i) % USB_HID_QUEUE * USB_HID_REPORT;
}

static void queue_last(struct usb_hid *h)
{
    if (!queue_full(h))
        memcpy(queue_at(h, h->count++), h->last, USB_HID_REPORT);
}

int usb_hid_report(struct usb_hid *h, uint8_t report[USB_HID_REPORT])
{
    if (h->halted)
        return -EPIPE;
    if (h->count == 0 || h->configuration == 0)
        return 0;
    memcpy(report, queue_at(h, 0), USB_HID_REPORT);
    h->head = (uint8_t)((h->head + 1) % USB_HID_QUEUE);
    h->count--;
    return (int)report_length(h);
}

void usb_hid_idle(struct usb_hid *h)
{
    if (h->idle != 0 && h->count == 0 && h->configuration != 0)
        queue_last(h);
}

bool usb_hid_wakes(const struct usb_hid *h)
{
    return h->wakeup && h->count > 0;
}

bool usb_hid_ready(const struct usb_hid *h)
{
    return h->kind != USB_HID_NONE && h->configuration != 0;
}

/* --- what a person does --- */

static int find_pressed(const struct usb_hid *h, uint8_t usage)
{
    for (int i = 0; i < h->pressed_count; i++)
        if (h->pressed[i] == usage)
            return i;
    return -1;
}

static bool is_pressed(const struct usb_hid *h, uint8_t usage)
{
    if (usage >= USB_KEY_MODIFIERS)
        return (h->modifiers >> (usage - USB_KEY_MODIFIERS) & 1) != 0;
    return find_pressed(h, usage) >= 0;
}

static void note_key(struct usb_hid *h, uint8_t usage, bool down)
{
    int at = find_pressed(h, usage);

    if (usage >= USB_KEY_MODIFIERS) {
        uint8_t bit = (uint8_t)(1u << (usage - USB_KEY_MODIFIERS));

        h->modifiers = (uint8_t)(down ? h->modifiers | bit : h->modifiers & ~bit);
    } else if (!down) {
        memmove(h->pressed + at, h->pressed + at + 1, (size_t)(h->pressed_count - at - 1));
        h->pressed[--h->pressed_count] = 0;
    } else if (h->pressed_count < USB_HID_PRESSED) {
        h->pressed[h->pressed_count++] = usage;
    }
}

/* HID 1.11, appendix C: with more keys than fit each of them reads as roll-over. */
static void keyboard_changed(struct usb_hid *h)
{
    memset(h->last, 0, sizeof(h->last));
    h->last[0] = h->modifiers;
    if (h->pressed_count > KEYS_OF_REPORT)
        memset(h->last + 2, ROLL_OVER, KEYS_OF_REPORT);
    else
        memcpy(h->last + 2, h->pressed, h->pressed_count);
    queue_last(h);
}

int usb_hid_key(struct usb_hid *h, unsigned key, bool down)
{
    uint8_t usage = usb_key_usage(key);

    if (h->kind != USB_HID_KEYBOARD || !usb_hid_ready(h) || usage == 0)
        return -ENODEV;
    if (is_pressed(h, usage) == down)
        return down ? 0 : -ENODEV;
    if (queue_full(h))
        return -EAGAIN;
    note_key(h, usage, down);
    keyboard_changed(h);
    return 0;
}

void usb_hid_pointer(struct usb_hid *h, unsigned x, unsigned y, int wheel, unsigned buttons)
{
    uint8_t *newest = h->count > 0 ? queue_at(h, h->count - 1u) : NULL;
    bool moves_only = newest != NULL && newest[0] == (buttons & 7) && newest[5] == 0;

    if (h->kind != USB_HID_TABLET || !usb_hid_ready(h))
        return;
    h->last[0] = buttons & 7;
    st_le16(h->last + 1, (uint16_t)(x < USB_TABLET_MAX ? x : USB_TABLET_MAX));
    st_le16(h->last + 3, (uint16_t)(y < USB_TABLET_MAX ? y : USB_TABLET_MAX));
    h->last[5] = (uint8_t)(wheel < -127 ? -127 : wheel > 127 ? 127 : wheel);
    if (moves_only || (newest != NULL && queue_full(h)))
        memcpy(newest, h->last, USB_HID_REPORT);
    else
        queue_last(h);
    h->last[5] = 0; /* a notch is told once */
}

uint8_t usb_hid_leds(const struct usb_hid *h)
{
    return (uint8_t)((h->leds & 3) << 1 | (h->leds >> 2 & 1));
}

/* --- requests --- */

static int answer8(uint8_t *data, unsigned value)
{
    data[0] = (uint8_t)value;
    return 1;
}

static int get_status(const struct usb_hid *h, const struct request *r, uint8_t *data)
{
    unsigned to = r->type & 0x1f, value = 0;

    if (to == TO_DEVICE)
        value = h->wakeup ? 2 : 0;
    else if (to == TO_ENDPOINT && r->index == ENDPOINT)
        value = h->halted;
    st_le16(data, (uint16_t)value);
    return 2;
}

static int feature(struct usb_hid *h, const struct request *r, bool on)
{
    unsigned to = r->type & 0x1f;

    if (to == TO_DEVICE && r->value == FEATURE_WAKEUP)
        h->wakeup = on;
    else if (to == TO_ENDPOINT && r->value == FEATURE_HALT && r->index == ENDPOINT)
        h->halted = on;
    else if (to != TO_ENDPOINT || r->value != FEATURE_HALT || (r->index & 15) != 0)
        return -EPIPE;
    return 0;
}

static void forget_input(struct usb_hid *h)
{
    h->head = h->count = h->pressed_count = h->modifiers = 0;
    memset(h->pressed, 0, sizeof(h->pressed));
    memset(h->queue, 0, sizeof(h->queue));
    memset(h->last, 0, sizeof(h->last));
}

static int set_configuration(struct usb_hid *h, unsigned value)
{
    if (value > 1)
        return -EPIPE;
    h->configuration = (uint8_t)value;
    h->halted = false;
    forget_input(h);
    return 0;
}

static int standard(struct usb_hid *h, const struct request *r, uint8_t *data)
{
    switch (r->type & TO_HOST ? TO_HOST | r->request : r->request) {
    case TO_HOST | GET_STATUS:
        return get_status(h, r, data);
    case CLEAR_FEATURE:
    case SET_FEATURE:
        return feature(h, r, r->request == SET_FEATURE);
    case TO_HOST | GET_DESCRIPTOR: {
        unsigned n = descriptor(h, r, data);

        return n > 0 ? (int)n : -EPIPE;
    }
    case TO_HOST | GET_CONFIGURATION:
        return answer8(data, h->configuration);
    case SET_CONFIGURATION:
        return set_configuration(h, r->value & 0xff);
    case TO_HOST | GET_INTERFACE:
        return answer8(data, 0);
    case SET_INTERFACE:
        return r->value == 0 && r->index == 0 ? 0 : -EPIPE;
    default:
        return -EPIPE;
    }
}

static int class_request(struct usb_hid *h, const struct request *r, uint8_t *data)
{
    switch (r->type & TO_HOST ? TO_HOST | r->request : r->request) {
    case TO_HOST | HID_GET_REPORT:
        if (r->value >> 8 != REPORT_INPUT)
            return -EPIPE;
        memcpy(data, h->last, USB_HID_REPORT);
        return (int)report_length(h);
    case HID_SET_REPORT:
        if (r->value >> 8 != REPORT_OUTPUT || h->kind != USB_HID_KEYBOARD || r->length != 1)
            return -EPIPE;
        h->leds = data[0] & 0x1f;
        return 0;
    case TO_HOST | HID_GET_IDLE:
        return answer8(data, h->idle);
    case HID_SET_IDLE:
        h->idle = (uint8_t)(r->value >> 8);
        return 0;
    case TO_HOST | HID_GET_PROTOCOL:
        return h->kind == USB_HID_KEYBOARD ? answer8(data, h->protocol) : -EPIPE;
    case HID_SET_PROTOCOL:
        if (h->kind != USB_HID_KEYBOARD || r->value > 1)
            return -EPIPE;
        h->protocol = (uint8_t)r->value;
        return 0;
    default:
        return -EPIPE;
    }
}

int usb_hid_control(struct usb_hid *h, const uint8_t setup[8], uint8_t data[USB_CONTROL_MAX])
{
    const struct request r = {.type = setup[0],
                              .request = setup[1],
                              .value = ld_le16(setup + 2),
                              .index = ld_le16(setup + 4),
                              .length = ld_le16(setup + 6)};
    int n;

    if ((r.type & TO_HOST) == 0 && r.length > USB_CONTROL_MAX)
        return -EPIPE;
    if ((r.type & 0x60) == 0)
        n = standard(h, &r, data);
    else if ((r.type & 0x7f) == (CLASS | TO_INTERFACE))
        n = class_request(h, &r, data);
    else
        n = -EPIPE;
    return n > r.length ? r.length : n;
}

/* --- life --- */

void usb_hid_reset(struct usb_hid *h)
{
    h->configuration = h->idle = h->leds = 0;
    h->protocol = 1;
    h->halted = h->wakeup = false;
    forget_input(h);
    if (h->kind == USB_HID_KEYBOARD)
        h->idle = 125; /* 500 ms: HID 7.2.4 */
}

void usb_hid_init(struct usb_hid *h, enum usb_hid_kind kind)
{
    *h = (struct usb_hid){.kind = kind};
    usb_hid_reset(h);
}

static const struct state_field fields[] = {
    STATE_MAX_F(struct usb_hid, configuration, STATE_U8, 1),
    STATE_MAX_F(struct usb_hid, protocol, STATE_U8, 1),
    STATE_U8_F(struct usb_hid, idle),
    STATE_MAX_F(struct usb_hid, leds, STATE_U8, 0x1f),
    STATE_BOOL_F(struct usb_hid, halted),
    STATE_BOOL_F(struct usb_hid, wakeup),
    STATE_BYTES_F(struct usb_hid, pressed),
    STATE_MAX_F(struct usb_hid, pressed_count, STATE_U8, USB_HID_PRESSED),
    STATE_U8_F(struct usb_hid, modifiers),
    STATE_BYTES_F(struct usb_hid, last),
    STATE_BYTES_F(struct usb_hid, queue),
    STATE_MAX_F(struct usb_hid, head, STATE_U8, USB_HID_QUEUE - 1),
    STATE_MAX_F(struct usb_hid, count, STATE_U8, USB_HID_QUEUE),
    STATE_END_F,
};
const struct state_table usb_hid_state = {.name = "usb-hid", .version = 1, .fields = fields};
