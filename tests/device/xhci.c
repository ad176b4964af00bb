/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The xHCI controller with a driver of our own: rings, contexts, transfers, misuse. */
#include "test.h"

#include <linux/input-event-codes.h>
#include <string.h>

#include "base/bits.h"
#include "dev/usb/xhci.h"
#include "suite_env.h"
#include "usb_driver.h"

#define RAM_SIZE (1u << 20)
#define DEVFN PCI_DEVFN(5, 0)

enum { SUCCESS = 1, TRANSACTION = 4, TRB = 5, STALL = 6, SLOT_OFF = 11, SHORT = 13 };
enum { PARAMETER = 17, CONTEXT_STATE = 19, RING_STOPPED = 24, STOPPED = 26 };
enum { TRANSFER_EVENT = 32, COMMAND_EVENT = 33, PORT_EVENT = 34 };

struct env {
    struct suite_env around;
    struct device dev;
    struct usbd d;
    unsigned messages;
    bool line;
};

static void on_msi(void *opaque, uint64_t addr, uint32_t value)
{
    ((struct env *)opaque)->messages++;
}

static void on_line(void *opaque, unsigned line, bool level)
{
    ((struct env *)opaque)->line = level;
}

static void settle(struct env *v)
{
    suite_settle(&v->around);
}

static void open_env(struct env *v, bool msi)
{
    struct suite_env *around = &v->around;

    memset(v, 0, sizeof(*v));
    suite_env_init(around, RAM_SIZE);
    around->msi = (struct msi_sink){on_msi, v};
    around->intx = (struct pin){.set = on_line, .opaque = v};
    assert_int_equal(xhci_create(&(struct xhci_config){.bus = suite_pci(around),
                                                       .devfn = DEVFN,
                                                       .ram = around->ram,
                                                       .loop = around->loop,
                                                       .clock = around->clock,
                                                       .keyboard = true,
                                                       .tablet = true},
                                 &v->dev, NULL),
                     0);
    usbd_find(&v->d, around, DEVFN, msi);
    usbd_start(&v->d);
    settle(v);
}

static void close_env(struct env *v)
{
    v->dev.ops->pause(v->dev.self);
    v->dev.ops->destroy(v->dev.self);
    suite_env_finish(&v->around);
}

/* The next event is of this type with this code; the event. */
static struct usbd_event expect(struct env *v, unsigned type, unsigned code)
{
    struct usbd_event ev = {0};

    settle(v);
    assert_true(usbd_take(&v->d, &ev));
    assert_int_equal(ev.control >> 10 & 63, type);
    assert_int_equal(ev.status >> 24, code);
    return ev;
}

static void expect_nothing(struct env *v)
{
    struct usbd_event ev;

    settle(v);
    assert_false(usbd_take(&v->d, &ev));
}

static void expect_command(struct env *v, unsigned code)
{
    expect(v, COMMAND_EVENT, code);
}

/* The two connections, then the port's reset. */
static void reset_port(struct env *v, unsigned port)
{
    unsigned reg = USBD_PORTS + 16 * (port - 1);

    assert_int_equal(expect(v, PORT_EVENT, SUCCESS).parameter, 1 << 24);
    assert_int_equal(expect(v, PORT_EVENT, SUCCESS).parameter, 2 << 24);
    usbd_write(&v->d, reg, 1 << 17 | 1 << 9);
    usbd_write(&v->d, reg, 1 << 4 | 1 << 9);
    expect(v, PORT_EVENT, SUCCESS);
}

/* Slot 1 is the device at the port, in use. */
static void use_device(struct env *v, unsigned port)
{
    reset_port(v, port);
    usbd_enable_slot(&v->d);
    assert_int_equal(expect(v, COMMAND_EVENT, SUCCESS).control >> 24, 1);
    usbd_address(&v->d, 1, port);
    expect_command(v, SUCCESS);
    usbd_configure(&v->d, 1);
    expect_command(v, SUCCESS);
    usbd_control(&v->d, 1, 0, 9, 1, 0, 0);
    expect(v, TRANSFER_EVENT, SUCCESS);
    usbd_control(&v->d, 1, 0x21, 10, 0, 0, 0); /* no idle reports */
    expect(v, TRANSFER_EVENT, SUCCESS);
}

static void load(struct env *v, uint64_t at, void *to, size_t len)
{
    assert_int_equal(ram_read(v->around.ram, at, to, len), 0);
}

static void test_keyboard(void **state)
{
    uint8_t buf[64];
    struct env v;

    open_env(&v, true);
    use_device(&v, 1);
    assert_true(xhci_keyboard_ready(v.dev.self));
    assert_false(xhci_tablet_ready(v.dev.self));
    usbd_control(&v.d, 1, 0x80, 6, 0x100, 0, 64);
    assert_int_equal(expect(&v, TRANSFER_EVENT, SHORT).status & 0xffffff, 64 - 18);
    expect(&v, TRANSFER_EVENT, SUCCESS);
    load(&v, USBD_BUFFER, buf, 18);
    assert_int_equal(buf[0], 18);
    usbd_poll(&v.d, 1, 8);
    expect_nothing(&v);
    v.messages = 0;
    assert_int_equal(xhci_key(v.dev.self, KEY_B, true), 0);
    assert_int_equal(expect(&v, TRANSFER_EVENT, SUCCESS).control >> 16 & 0xff, 3);
    assert_int_equal(v.messages, 1);
    load(&v, USBD_BUFFER + 0x200, buf, 8);
    assert_int_equal(buf[2], 5);
    assert_int_equal(xhci_key(v.dev.self, KEY_B, false), 0); /* before anybody asks */
    expect_nothing(&v);
    usbd_poll(&v.d, 1, 16);
    assert_int_equal(expect(&v, TRANSFER_EVENT, SHORT).status & 0xffffff, 8);
    buf[0] = 2; /* caps lock, by a control transfer with data */
    assert_int_equal(ram_write(v.around.ram, USBD_BUFFER, buf, 1), 0);
    usbd_control(&v.d, 1, 0x21, 9, 0x200, 0, 1);
    expect(&v, TRANSFER_EVENT, SUCCESS);
    assert_int_equal(xhci_leds(v.dev.self), 4);
    close_env(&v);
}

/* Many reports: rings wrap, the event ring too. */
static void test_wrap(void **state)
{
    struct env v;
    uint8_t buf[6];

    open_env(&v, false);
    use_device(&v, 2);
    for (unsigned i = 0; i < 500; i++) {
        usbd_poll(&v.d, 1, 6);
        xhci_pointer(v.dev.self, i, 2 * i, 0, i & 1);
        expect(&v, TRANSFER_EVENT, SUCCESS);
        load(&v, USBD_BUFFER + 0x200, buf, 6);
        assert_int_equal(ld_le16(buf + 1), i);
        assert_true(v.line);
        usbd_write(&v.d, USBD_IMAN, 3);
        assert_false(v.line);
    }
    close_env(&v);
}

static void test_stall(void **state)
{
    struct env v;
    uint8_t ctx[32];

    open_env(&v, true);
    use_device(&v, 1);
    usbd_control(&v.d, 1, 0x80, 6, 0x500, 0, 8); /* no such descriptor */
    expect(&v, TRANSFER_EVENT, STALL);
    load(&v, USBD_RINGS + 0x5800 + 32, ctx, sizeof(ctx));
    assert_int_equal(ctx[0] & 7, 2); /* halted */
    usbd_control(&v.d, 1, 0x80, 8, 0, 0, 1);
    expect_nothing(&v);
    usbd_command(&v.d, (v.d.control.base + 16 * v.d.control.next) | v.d.control.cycle, 16, 1, 1);
    expect_command(&v, CONTEXT_STATE); /* not before it was reset */
    usbd_command(&v.d, 0, 14, 1, 1);
    expect_command(&v, SUCCESS);
    usbd_command(&v.d, (v.d.control.base + 16 * v.d.control.next) | v.d.control.cycle, 16, 1, 1);
    expect_command(&v, SUCCESS);
    usbd_control(&v.d, 1, 0x80, 8, 0, 0, 1);
    expect(&v, TRANSFER_EVENT, SUCCESS);
    close_env(&v);
}

static void test_stop(void **state)
{
    struct usbd_event ev;
    struct env v;

    open_env(&v, true);
    use_device(&v, 1);
    usbd_poll(&v.d, 1, 8);
    settle(&v);
    usbd_command(&v.d, 0, 15, 1, 3);
    ev = expect(&v, TRANSFER_EVENT, STOPPED);
    assert_int_equal(ev.status & 0xffffff, 8);
    expect_command(&v, SUCCESS);
    assert_int_equal(xhci_key(v.dev.self, KEY_Q, true), 0);
    expect_nothing(&v);
    usbd_ring(&v.d, 1, 3);
    expect(&v, TRANSFER_EVENT, SUCCESS);
    usbd_write(&v.d, 0x58, 4); /* abort of the command ring */
    expect_command(&v, RING_STOPPED);
    close_env(&v);
}

static void test_misuse(void **state)
{
    struct env v;

    open_env(&v, true);
    usbd_command(&v.d, 0, 15, 1, 1);
    expect(&v, PORT_EVENT, SUCCESS);
    expect(&v, PORT_EVENT, SUCCESS);
    expect_command(&v, SLOT_OFF);
    usbd_command(&v.d, 0, 63, 0, 0);
    expect_command(&v, SLOT_OFF);
    usbd_enable_slot(&v.d);
    expect_command(&v, SUCCESS);
    usbd_address(&v.d, 1, 1); /* its port is not enabled */
    expect_command(&v, TRANSACTION);
    usbd_address(&v.d, 1, 200);
    expect_command(&v, TRANSACTION);
    usbd_command(&v.d, 0xfffffff0, 11, 1, 0); /* no memory */
    expect_command(&v, PARAMETER);
    usbd_configure(&v.d, 1);
    expect_command(&v, CONTEXT_STATE);
    for (unsigned i = 2; i <= 8; i++) {
        usbd_enable_slot(&v.d);
        expect_command(&v, SUCCESS);
    }
    usbd_enable_slot(&v.d);
    expect_command(&v, 9); /* no slots */
    usbd_command(&v.d, 0, 10, 3, 0);
    expect_command(&v, SUCCESS);
    usbd_enable_slot(&v.d);
    assert_int_equal(expect(&v, COMMAND_EVENT, SUCCESS).control >> 24, 3);
    close_env(&v);
}

/* A guest that does not look at its events: the controller waits, nothing is lost. */
static void test_full(void **state)
{
    struct usbd_event ev;
    struct env v;
    unsigned got = 0;

    open_env(&v, true);
    reset_port(&v, 1);
    for (unsigned i = 0; i < 10; i++) {
        for (unsigned k = 0; k < 10; k++)
            usbd_command(&v.d, 0, 23, 0, 0);
        settle(&v);
        if (i < 6)
            continue;
        for (; usbd_take(&v.d, &ev); settle(&v))
            got++;
        assert_true(got > 0);
    }
    close_env(&v);
}

static void test_reset(void **state)
{
    struct env v;

    open_env(&v, true);
    use_device(&v, 1);
    usbd_write(&v.d, USBD_CMD, 0);
    usbd_write(&v.d, USBD_CMD, 2);
    assert_int_equal(usbd_read(&v.d, USBD_CMD), 2);
    settle(&v);
    assert_int_equal(usbd_read(&v.d, USBD_CMD), 0);
    assert_false(xhci_keyboard_ready(v.dev.self));
    usbd_start(&v.d);
    use_device(&v, 2);
    assert_true(xhci_tablet_ready(v.dev.self));
    close_env(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keyboard), cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_stall),    cmocka_unit_test(test_stop),
        cmocka_unit_test(test_misuse),   cmocka_unit_test(test_full),
        cmocka_unit_test(test_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
