/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A driver of an xHCI controller: see usb_driver.h. Numbers of chapters are xHCI 1.1's. */
#include "usb_driver.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum {
    CONTEXTS = USBD_RINGS,      /* 8 bytes for each slot */
    TABLE = USBD_RINGS + 0x200, /* of the event ring's segment */
    INPUT = USBD_RINGS + 0x400, /* an input context */
    COMMANDS = USBD_RINGS + 0x1000,
    CONTROL = USBD_RINGS + 0x2000,
    REPORTS = USBD_RINGS + 0x3000,
    EVENTS = USBD_RINGS + 0x4000,
    DEVICES = USBD_RINGS + 0x5000, /* 2 KB for each slot */
    RING_TRBS = 16,
    EVENT_TRBS = 64,
};
enum { CRCR = 0x58, DCBAAP = 0x70, CONFIG = 0x78, ERSTSZ = 0x1028, ERSTBA = 0x1030, ERDP = 0x1038 };
enum { LINK = 6, SETUP = 2, DATA = 3, STATUS = 4, NORMAL = 1 };
enum { TOGGLE = 2, ISP = 4, IOC = 32, IMMEDIATE = 64, TO_HOST = 1 << 16 };

static void store(struct usbd *d, uint64_t at, const void *data, size_t len)
{
    if (ram_write(d->ram, at, data, len) < 0)
        abort();
}

uint32_t usbd_read(struct usbd *d, unsigned reg)
{
    return (uint32_t)bus_read(d->mmio, d->bar + reg, 4);
}

void usbd_write(struct usbd *d, unsigned reg, uint32_t value)
{
    bus_write(d->mmio, d->bar + reg, value, 4);
}

void usbd_find(struct usbd *d, struct suite_env *env, unsigned devfn, bool msi)
{
    struct pci_bus *pci = env->pci;

    *d = (struct usbd){.mmio = env->mmio, .ram = env->ram};
    suite_place(env, devfn);
    d->bar = pci_config_read(pci, 0, devfn, PCI_REG_BAR0, 4) & ~UINT32_C(15);
    if (msi) {
        unsigned cap = pci_config_read(pci, 0, devfn, PCI_REG_CAPS, 1);

        pci_config_write(pci, 0, devfn, cap + 4, 4, 0xfee00000);
        pci_config_write(pci, 0, devfn, cap + 12, 2, 1);
        pci_config_write(pci, 0, devfn, cap + 2, 2, 1);
    }
}

static struct usbd_ring make_ring(struct usbd *d, uint64_t base)
{
    static const uint8_t zero[RING_TRBS * 16];

    store(d, base, zero, sizeof(zero));
    return (struct usbd_ring){base, 0, 1};
}

void usbd_start(struct usbd *d)
{
    static const uint8_t zero[USBD_SIZE];
    uint8_t segment[16];

    store(d, USBD_RINGS, zero, sizeof(zero));
    d->commands = make_ring(d, COMMANDS);
    d->event = 0;
    d->event_cycle = 1;
    st_le64(segment, EVENTS);
    st_le64(segment + 8, EVENT_TRBS);
    store(d, TABLE, segment, sizeof(segment));
    usbd_write(d, CONFIG, 8);
    usbd_write(d, DCBAAP, CONTEXTS);
    usbd_write(d, DCBAAP + 4, 0);
    usbd_write(d, CRCR, COMMANDS | 1);
    usbd_write(d, CRCR + 4, 0);
    usbd_write(d, ERSTSZ, 1);
    usbd_write(d, ERDP, EVENTS);
    usbd_write(d, ERDP + 4, 0);
    usbd_write(d, ERSTBA, TABLE);
    usbd_write(d, ERSTBA + 4, 0);
    usbd_write(d, USBD_IMAN, 2);
    usbd_write(d, USBD_CMD, 5);
}

static void put_raw(struct usbd *d, struct usbd_ring *r, uint64_t parameter, uint32_t status,
                    uint32_t control)
{
    uint8_t raw[16];

    st_le64(raw, parameter);
    st_le32(raw + 8, status);
    st_le32(raw + 12, control | r->cycle);
    store(d, r->base + 16u * r->next, raw, sizeof(raw));
    r->next++;
}

void usbd_put(struct usbd *d, struct usbd_ring *r, uint64_t parameter, uint32_t status,
              uint32_t control)
{
    put_raw(d, r, parameter, status, control);
    if (r->next < RING_TRBS - 1)
        return;
    put_raw(d, r, r->base, 0, LINK << 10 | TOGGLE);
    r->next = 0;
    r->cycle ^= 1;
}

void usbd_ring(struct usbd *d, unsigned slot, unsigned dci)
{
    usbd_write(d, 0x2000 + 4 * slot, dci);
}

void usbd_command(struct usbd *d, uint64_t parameter, uint32_t type, unsigned slot, unsigned dci)
{
    usbd_put(d, &d->commands, parameter, 0, type << 10 | slot << 24 | dci << 16);
    usbd_ring(d, 0, 0);
}

bool usbd_take(struct usbd *d, struct usbd_event *out)
{
    uint64_t at = EVENTS + 16 * (uint64_t)d->event;
    uint8_t raw[16];

    if (ram_read(d->ram, at, raw, sizeof(raw)) < 0)
        abort();
    *out = (struct usbd_event){ld_le64(raw), ld_le32(raw + 8), ld_le32(raw + 12)};
    if ((out->control & 1) != d->event_cycle)
        return false;
    if (++d->event == EVENT_TRBS) {
        d->event = 0;
        d->event_cycle ^= 1;
    }
    usbd_write(d, ERDP, (uint32_t)(EVENTS + 16 * d->event) | 8);
    usbd_write(d, ERDP + 4, 0);
    return true;
}

/* --- steps --- */

void usbd_enable_slot(struct usbd *d)
{
    usbd_command(d, 0, 9, 0, 0);
}

/* 6.2.3 */
static void endpoint_context(struct usbd *d, unsigned dci, unsigned type, unsigned size,
                             uint64_t ring)
{
    uint8_t ctx[32] = {0};

    ctx[4] = (uint8_t)(type << 3 | 3 << 1);
    st_le16(ctx + 6, (uint16_t)size);
    st_le64(ctx + 8, ring | 1);
    store(d, INPUT + 32 * (uint64_t)(dci + 1), ctx, sizeof(ctx));
}

static void input_flags(struct usbd *d, uint32_t add)
{
    uint8_t raw[32] = {0};

    st_le32(raw + 4, add);
    store(d, INPUT, raw, sizeof(raw));
}

static void slot_context(struct usbd *d, unsigned port, unsigned entries)
{
    uint8_t ctx[32] = {0};

    ctx[2] = 1 << 4; /* full speed */
    ctx[3] = (uint8_t)(entries << 3);
    ctx[6] = (uint8_t)port;
    store(d, INPUT + 32, ctx, sizeof(ctx));
}

void usbd_address(struct usbd *d, unsigned slot, unsigned port)
{
    uint8_t raw[8];

    st_le64(raw, DEVICES + 0x800 * (uint64_t)slot);
    store(d, CONTEXTS + 8 * (uint64_t)slot, raw, sizeof(raw));
    d->control = make_ring(d, CONTROL);
    input_flags(d, 3);
    slot_context(d, port, 1);
    endpoint_context(d, 1, 4, 64, CONTROL);
    usbd_command(d, INPUT, 11, slot, 0);
}

void usbd_configure(struct usbd *d, unsigned slot)
{
    d->reports = make_ring(d, REPORTS);
    input_flags(d, 1 | 1 << 3);
    slot_context(d, 0, 3);
    endpoint_context(d, 3, 7, 8, REPORTS);
    usbd_command(d, INPUT, 12, slot, 0);
}

void usbd_control(struct usbd *d, unsigned slot, uint8_t type, uint8_t request, uint16_t value,
                  uint16_t index, uint16_t length)
{
    uint32_t in = (type & 0x80) != 0 ? TO_HOST : 0;
    uint8_t setup[8] = {type, request};

    st_le16(setup + 2, value);
    st_le16(setup + 4, index);
    st_le16(setup + 6, length);
    usbd_put(d, &d->control, ld_le64(setup), 8, SETUP << 10 | IMMEDIATE);
    if (length > 0)
        usbd_put(d, &d->control, USBD_BUFFER, length, DATA << 10 | in | ISP);
    usbd_put(d, &d->control, 0, 0, STATUS << 10 | IOC | (in != 0 && length > 0 ? 0 : TO_HOST));
    usbd_ring(d, slot, 1);
}

void usbd_poll(struct usbd *d, unsigned slot, uint32_t length)
{
    usbd_put(d, &d->reports, USBD_BUFFER + 0x200, length, NORMAL << 10 | IOC | ISP);
    usbd_ring(d, slot, 3);
}

void usbd_use(struct usbd *d, struct suite_env *env, unsigned devfn)
{
    usbd_find(d, env, devfn, true);
    usbd_start(d);
    usbd_write(d, USBD_PORTS, 1 << 4 | 1 << 9); /* its reset */
    suite_settle(env);
    usbd_enable_slot(d);
    suite_settle(env);
    usbd_address(d, 1, 1);
    suite_settle(env);
    usbd_configure(d, 1);
    usbd_control(d, 1, 0, 9, 1, 0, 0);
    suite_settle(env);
}
