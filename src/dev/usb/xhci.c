/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The xHCI controller: registers, PCI function and life; see xhci.h. Whoever writes a register or
 * moves the pointer posts `run` to the loop, which looks at everything that there may be to do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/ticks.h"
#include "dev/usb/xhci_internal.h"

enum { KEYBOARD_PORT = 0, TABLET_PORT = 1, BUDGET = 256 };
enum { FRAME_NS = 125000, IDLE_NS = 4000000 };

static const struct pci_func_info info = {
    .name = "xhci",
    .vendor = 0x1b36, /* the id that generic controllers of virtual machines have */
    .device = 0x000d,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x0c0330,
    .revision = 1,
    .pin = 1,
    .multifunction = true, /* boards put such devices side by side */
};

/* --- interrupts --- */

static void tell(struct xhci *x)
{
    bool msi, news;

    lock_take(&x->lock);
    msi = pci_msi_enabled(&x->func);
    news = xhci_chip_update(&x->chip) && msi;
    if (news)
        xhci_chip_message_sent(&x->chip);
    pci_intx_store(&x->func, xhci_chip_level(&x->chip) && !msi);
    lock_drop(&x->lock);
    pci_intx_update(&x->func);
    if (news)
        pci_msi_notify(&x->func, 0);
}

/* --- on the loop --- */

static void run(void *opaque);

static void post(struct xhci *x)
{
    if (!atomic_exchange(&x->posted, true) && loop_post(x->cfg.loop, run, x) < 0)
        atomic_store(&x->posted, false); /* the next access tries again */
}

/* Everything but the registers. */
static void forget(struct xhci *x)
{
    memset(x->slot, 0, sizeof(x->slot));
    x->commands = (struct xhci_ring){0};
    x->events = (struct xhci_events){0};
}

static void reset_devices(struct xhci *x)
{
    for (unsigned i = 0; i < XHCI_PORTS_USB2; i++)
        usb_hid_reset(&x->hid[i]);
}

/* Takes what the registers ask for; false: the controller does not run. */
static bool follow_registers(struct xhci *x)
{
    bool running, events, reset, master = pci_func_master(&x->func);

    lock_take(&x->lock);
    reset = x->chip.resetting;
    if (reset) {
        xhci_chip_reset(&x->chip);
        reset_devices(x);
    }
    for (unsigned i = 0; i < XHCI_PORTS; i++) {
        if (x->chip.port[i].reset && i < XHCI_PORTS_USB2)
            usb_hid_reset(&x->hid[i]);
        x->chip.port[i].reset = false;
    }
    if (x->chip.crcr_changed)
        x->commands = (struct xhci_ring){x->chip.crcr & ~UINT64_C(63), x->chip.crcr & 1};
    x->chip.crcr_changed = false;
    for (unsigned i = 0; i < XHCI_PORTS_USB2; i++)
        if (usb_hid_wakes(&x->hid[i]))
            xhci_chip_wake(&x->chip, i);
    events = x->chip.erst_changed && master;
    running = xhci_chip_running(&x->chip) && master;
    lock_drop(&x->lock);
    if (reset)
        forget(x);
    if (events)
        xhci_event_ring(x);
    return running;
}

static void tell_ports(struct xhci *x)
{
    while (xhci_event_room(x)) {
        int port;

        lock_take(&x->lock);
        port = xhci_chip_port_event(&x->chip);
        lock_drop(&x->lock);
        if (port < 0)
            break;
        xhci_event(x, (uint64_t)(port + 1) << 24, (uint32_t)CODE_SUCCESS << 24,
                   TRB_PORT_EVENT << 10);
    }
}

/* 4.6.1.2 */
static void stop_commands(struct xhci *x)
{
    bool stop;

    lock_take(&x->lock);
    stop = x->chip.stop_command;
    x->chip.stop_command = false;
    if (stop) {
        x->chip.crr = false;
        x->chip.doorbell[0] = 0;
    }
    lock_drop(&x->lock);
    if (stop)
        xhci_command_done(x, x->commands.at, CODE_RING_STOPPED, 0);
}

static bool take_doorbell(struct xhci *x, unsigned slot, uint32_t *targets)
{
    lock_take(&x->lock);
    *targets = x->chip.doorbell[slot];
    x->chip.doorbell[slot] = 0;
    lock_drop(&x->lock);
    return *targets != 0;
}

/* 4.8.3: a stopped endpoint runs again. */
static void ring_endpoints(struct xhci *x, unsigned slot, uint32_t targets)
{
    struct xhci_slot *s = &x->slot[slot];

    for (unsigned i = 1; i < XHCI_ENDPOINTS; i++) {
        struct xhci_endpoint *ep = &s->ep[i];

        if ((targets >> i & 1) == 0 || (ep->state != EP_RUNNING && ep->state != EP_STOPPED))
            continue;
        ep->active = true;
        if (ep->state == EP_STOPPED) {
            ep->state = EP_RUNNING;
            xhci_show_endpoint(x, s, i);
        }
    }
}

/* Commands, then endpoints; what `budget` does not suffice for comes in the next round. */
static void serve(struct xhci *x)
{
    unsigned budget = BUDGET;
    uint32_t targets;

    stop_commands(x);
    if (take_doorbell(x, 0, &targets))
        while (budget > 0 && xhci_event_room(x) && xhci_command(x))
            budget--;
    for (unsigned i = 1; i <= XHCI_SLOTS; i++) {
        if (take_doorbell(x, i, &targets))
            ring_endpoints(x, i, targets);
        for (unsigned dci = 1; dci < XHCI_ENDPOINTS; dci++)
            while (budget > 0 && xhci_event_room(x) && xhci_transfer(x, i, dci))
                budget--;
    }
    if (budget > 0 && xhci_event_room(x))
        return;
    /* Others on the loop have their turn, or the guest makes room by a write to ERDP. */
    lock_take(&x->lock);
    x->chip.doorbell[0] |= x->chip.crr;
    lock_drop(&x->lock);
    if (budget == 0)
        post(x);
}

/* HID 1.11, 7.2.4: reports are repeated after the idle time. */
static void arm_idle(struct xhci *x)
{
    uint64_t ns = UINT64_MAX;

    lock_take(&x->lock);
    for (unsigned i = 0; i < XHCI_PORTS_USB2; i++) {
        const struct usb_hid *h = &x->hid[i];
        uint64_t period = h->idle * (uint64_t)IDLE_NS;

        if (usb_hid_ready(h) && h->idle != 0 && xhci_chip_running(&x->chip) && period < ns)
            ns = period;
    }
    lock_drop(&x->lock);
    if (ns == UINT64_MAX)
        timer_cancel(x->idle);
    else
        timer_arm(x->idle, ticks_later(vclock_now(x->cfg.clock), ns));
}

static void on_idle(void *opaque)
{
    struct xhci *x = opaque;

    lock_take(&x->lock);
    for (unsigned i = 0; i < XHCI_PORTS_USB2 && !x->paused; i++)
        usb_hid_idle(&x->hid[i]);
    lock_drop(&x->lock);
    run(x);
}

static void run(void *opaque)
{
    struct xhci *x = opaque;
    bool paused;

    atomic_store(&x->posted, false);
    lock_take(&x->lock);
    paused = x->paused;
    lock_drop(&x->lock);
    if (paused)
        return;
    if (follow_registers(x)) {
        tell_ports(x);
        serve(x);
    }
    tell(x);
    arm_idle(x);
}

/* --- registers --- */

static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    struct xhci *x = opaque;
    uint32_t value;

    lock_take(&x->lock);
    value = xhci_chip_read(&x->chip, (uint32_t)offset, vclock_now(x->cfg.clock) / FRAME_NS);
    lock_drop(&x->lock);
    return value;
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct xhci *x = opaque;

    lock_take(&x->lock);
    xhci_chip_write(&x->chip, (uint32_t)offset, (uint32_t)value);
    lock_drop(&x->lock);
    tell(x);
    post(x);
}

static const struct bus_ops mmio_ops = {
    .name = "xhci", .read = mmio_read, .write = mmio_write, .min_size = 4, .max_size = 4};

/* --- what a person does --- */

static struct usb_hid *keyboard(struct xhci *x)
{
    return &x->hid[KEYBOARD_PORT];
}

int xhci_key(void *self, unsigned key, bool down)
{
    struct xhci *x = self;
    int rc;

    lock_take(&x->lock);
    rc = usb_hid_key(keyboard(x), key, down);
    lock_drop(&x->lock);
    post(x);
    return rc;
}

bool xhci_keyboard_ready(void *self)
{
    struct xhci *x = self;
    bool ready;

    lock_take(&x->lock);
    ready = usb_hid_ready(keyboard(x));
    lock_drop(&x->lock);
    return ready;
}

uint8_t xhci_leds(void *self)
{
    struct xhci *x = self;
    uint8_t leds;

    lock_take(&x->lock);
    leds = usb_hid_leds(keyboard(x));
    lock_drop(&x->lock);
    return leds;
}

bool xhci_tablet_ready(void *self)
{
    struct xhci *x = self;
    bool ready;

    lock_take(&x->lock);
    ready = usb_hid_ready(&x->hid[TABLET_PORT]);
    lock_drop(&x->lock);
    return ready;
}

void xhci_pointer(void *self, unsigned px, unsigned py, int wheel, unsigned buttons)
{
    struct xhci *x = self;

    lock_take(&x->lock);
    usb_hid_pointer(&x->hid[TABLET_PORT], px, py, wheel, buttons);
    lock_drop(&x->lock);
    post(x);
}

/* --- life --- */

static void xhci_device_reset(void *self)
{
    struct xhci *x = self;

    pci_func_reset(&x->func);
    lock_take(&x->lock);
    xhci_chip_reset(&x->chip);
    reset_devices(x);
    lock_drop(&x->lock);
    forget(x);
    timer_cancel(x->idle);
    tell(x);
}

static void xhci_pause(void *self)
{
    struct xhci *x = self;

    lock_take(&x->lock);
    x->paused = true;
    lock_drop(&x->lock);
    timer_cancel(x->idle);
}

static void xhci_resume(void *self)
{
    struct xhci *x = self;

    lock_take(&x->lock);
    x->paused = false;
    lock_drop(&x->lock);
    post(x);
}

static void xhci_restore(void *self)
{
    struct xhci *x = self;

    pci_func_restore(&x->func);
}

static void xhci_destroy(void *self)
{
    struct xhci *x = self;

    if (x == NULL)
        return;
    pci_remove(&x->func);
    pci_func_finish(&x->func);
    timer_destroy(x->idle);
    lock_finish(&x->lock);
    free(x);
}

/* --- state --- */

static const struct state_field ring_fields[] = {
    STATE_U64_F(struct xhci_ring, at),
    STATE_BOOL_F(struct xhci_ring, cycle),
    STATE_END_F,
};
static const struct state_table ring_state = {
    .name = "xhci-ring", .version = 1, .fields = ring_fields};

static const struct state_field endpoint_fields[] = {
    STATE_MAX_F(struct xhci_endpoint, state, STATE_U8, EP_STOPPED),
    STATE_MAX_F(struct xhci_endpoint, type, STATE_U8, 7),
    STATE_BOOL_F(struct xhci_endpoint, active),
    STATE_STRUCT_F(struct xhci_endpoint, ring, 1, &ring_state),
    STATE_U32_F(struct xhci_endpoint, moved),
    STATE_END_F,
};
static const struct state_table endpoint_state = {
    .name = "xhci-endpoint", .version = 1, .fields = endpoint_fields};

static int validate_control(const void *object, struct err *e)
{
    const struct xhci_control *c = object;

    return c->at <= c->len ? 0 : err_set(e, EINVAL, "xhci: a transfer beyond its data");
}

static const struct state_field control_fields[] = {
    STATE_BYTES_F(struct xhci_control, setup),
    STATE_BYTES_F(struct xhci_control, data),
    STATE_MAX_F(struct xhci_control, len, STATE_U16, USB_CONTROL_MAX),
    STATE_MAX_F(struct xhci_control, at, STATE_U16, USB_CONTROL_MAX),
    STATE_BOOL_F(struct xhci_control, stalled),
    STATE_END_F,
};
static const struct state_table control_state = {
    .name = "xhci-control", .version = 1, .fields = control_fields, .validate = validate_control};

static const struct state_field slot_fields[] = {
    STATE_MAX_F(struct xhci_slot, state, STATE_U8, SLOT_CONFIGURED),
    STATE_MAX_F(struct xhci_slot, port, STATE_U8, XHCI_PORTS),
    STATE_U64_F(struct xhci_slot, context),
    STATE_STRUCT_F(struct xhci_slot, ep, XHCI_ENDPOINTS, &endpoint_state),
    STATE_STRUCT_F(struct xhci_slot, control, 1, &control_state),
    STATE_END_F,
};
static const struct state_table slot_state = {
    .name = "xhci-slot", .version = 1, .fields = slot_fields};

static int validate_events(const void *object, struct err *e)
{
    const struct xhci_events *ev = object;

    if (ev->size == 0 ? ev->index == 0 : ev->index < ev->size)
        return 0;
    return err_set(e, EINVAL, "xhci: an event beyond its ring");
}

static const struct state_field events_fields[] = {
    STATE_U64_F(struct xhci_events, base),
    STATE_MAX_F(struct xhci_events, size, STATE_U32, 0xffff),
    STATE_U32_F(struct xhci_events, index),
    STATE_BOOL_F(struct xhci_events, cycle),
    STATE_END_F,
};
static const struct state_table events_state = {
    .name = "xhci-events", .version = 1, .fields = events_fields, .validate = validate_events};

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct xhci, func, 1, &pci_func_state),
    STATE_STRUCT_F(struct xhci, chip, 1, &xhci_chip_state),
    STATE_STRUCT_F(struct xhci, hid, XHCI_PORTS_USB2, &usb_hid_state),
    STATE_STRUCT_F(struct xhci, slot, XHCI_SLOTS + 1, &slot_state),
    STATE_STRUCT_F(struct xhci, commands, 1, &ring_state),
    STATE_STRUCT_F(struct xhci, events, 1, &events_state),
    STATE_END_F,
};
static const struct state_table state_table = {.name = "xhci", .version = 1, .fields = fields};

static const struct device_ops xhci_ops = {
    .name = "xhci",
    .reset = xhci_device_reset,
    .pause = xhci_pause,
    .resume = xhci_resume,
    .restore = xhci_restore,
    .destroy = xhci_destroy,
    .state = &state_table,
};

static void attach(struct xhci *x)
{
    uint8_t speed[XHCI_PORTS] = {0};

    for (unsigned i = 0; i < XHCI_PORTS_USB2; i++)
        usb_hid_init(&x->hid[i], i == KEYBOARD_PORT && x->cfg.keyboard ? USB_HID_KEYBOARD
                                 : i == TABLET_PORT && x->cfg.tablet   ? USB_HID_TABLET
                                                                       : USB_HID_NONE);
    for (unsigned i = 0; i < XHCI_PORTS_USB2; i++)
        speed[i] = x->hid[i].kind != USB_HID_NONE ? XHCI_FULL_SPEED : XHCI_NO_DEVICE;
    xhci_chip_init(&x->chip, speed);
}

int xhci_create(const struct xhci_config *cfg, struct device *out, struct err *e)
{
    struct xhci *x = calloc(1, sizeof(*x));
    int rc;

    if (x == NULL || pci_func_init(&x->func, &info, NULL, NULL) < 0) {
        free(x);
        return err_set(e, ENOMEM, "no memory for the USB controller");
    }
    x->cfg = *cfg;
    lock_init(&x->lock, LOCK_DEVICE);
    attach(x);
    pci_func_bar(&x->func, 0, PCI_BAR_MEM64, XHCI_SIZE, &mmio_ops, x);
    pci_func_set8(&x->func, 0x60, 0x30, 0);    /* SBRN: USB 3.0 */
    pci_func_set8(&x->func, 0x61, 0x20, 0x3f); /* FLADJ */
    pci_func_msi(&x->func, 1);
    rc = timer_create_on(cfg->loop, cfg->clock, on_idle, x, &x->idle);
    rc = rc < 0 ? err_set(e, -rc, "cannot create a timer: %s", strerror(-rc))
                : pci_add(cfg->bus, cfg->devfn, &x->func, e);
    if (rc < 0) {
        xhci_destroy(x);
        return rc;
    }
    *out = (struct device){&xhci_ops, x};
    return 0;
}
