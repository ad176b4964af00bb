/* SPDX-License-Identifier: GPL-2.0-or-later */
/* USB keyboard and tablet as a host meets them, and the registers of their controller. */
#include "test.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <string.h>

#include "base/bits.h"
#include "dev/chip/usb_hid.h"
#include "dev/chip/xhci_chip.h"

static uint8_t data[USB_CONTROL_MAX];

static int request(struct usb_hid *h, uint8_t type, uint8_t number, uint16_t value, uint16_t index,
                   uint16_t length)
{
    uint8_t setup[8] = {type, number};

    st_le16(setup + 2, value);
    st_le16(setup + 4, index);
    st_le16(setup + 6, length);
    return usb_hid_control(h, setup, data);
}

static struct usb_hid configured(enum usb_hid_kind kind)
{
    struct usb_hid h;

    usb_hid_init(&h, kind);
    assert_int_equal(request(&h, 0, 9, 1, 0, 0), 0);
    return h;
}

/* The next report is this; NULL: there is none. */
static void expect_report(struct usb_hid *h, const uint8_t *want, int len)
{
    uint8_t report[USB_HID_REPORT];

    assert_int_equal(usb_hid_report(h, report), want != NULL ? len : 0);
    if (want != NULL)
        assert_memory_equal(report, want, (size_t)len);
}

static void expect_keys(struct usb_hid *h, uint8_t modifiers, uint8_t first, uint8_t second)
{
    const uint8_t want[8] = {modifiers, 0, first, second};

    expect_report(h, want, 8);
}

static void test_descriptors(void **state)
{
    for (unsigned kind = USB_HID_KEYBOARD; kind <= USB_HID_TABLET; kind++) {
        struct usb_hid h;
        unsigned len;

        usb_hid_init(&h, kind);
        assert_false(usb_hid_ready(&h));
        assert_int_equal(request(&h, 0x80, 6, 0x100, 0, 8), 8); /* as hosts begin */
        assert_int_equal(request(&h, 0x80, 6, 0x100, 0, 255), 18);
        assert_int_equal(data[7], 64);
        assert_int_equal(request(&h, 0x80, 6, 0x200, 0, 255), 34);
        assert_int_equal(ld_le16(data + 2), 34);
        assert_int_equal(data[14], 3);                                /* HID */
        assert_int_equal(data[16], kind == USB_HID_KEYBOARD ? 1 : 0); /* boot protocol */
        assert_int_equal(data[29], 0x81);
        len = ld_le16(data + 25);
        assert_int_equal(request(&h, 0x81, 6, 0x2200, 0, 255), len);
        assert_int_equal(data[len - 1], 0xc0); /* end of the collection */
        assert_int_equal(request(&h, 0x81, 6, 0x2100, 0, 255), 9);
        assert_int_equal(data[1], 0x21);
        assert_int_equal(request(&h, 0x80, 6, 0x300, 0, 255), 4);
        assert_int_equal(request(&h, 0x80, 6, 0x301, 0x409, 255), 14);
        assert_int_equal(data[2], 'd');
        assert_int_equal(request(&h, 0x80, 6, 0x303, 0x409, 255), -EPIPE);
        assert_int_equal(request(&h, 0x80, 6, 0x201, 0, 255), -EPIPE);
        assert_int_equal(request(&h, 0x80, 6, 0x600, 0, 10), -EPIPE); /* full speed only */
    }
}

static void test_requests(void **state)
{
    struct usb_hid h = configured(USB_HID_KEYBOARD), t = configured(USB_HID_TABLET);

    assert_true(usb_hid_ready(&h));
    assert_int_equal(request(&h, 0x80, 8, 0, 0, 1), 1);
    assert_int_equal(data[0], 1);
    assert_int_equal(request(&h, 0, 9, 2, 0, 0), -EPIPE);
    assert_int_equal(request(&h, 0x80, 0, 0, 0, 2), 2);
    assert_int_equal(ld_le16(data), 0);
    assert_int_equal(request(&h, 0, 3, 1, 0, 0), 0); /* remote wake-up */
    request(&h, 0x80, 0, 0, 0, 2);
    assert_int_equal(ld_le16(data), 2);
    assert_int_equal(request(&h, 2, 3, 0, 0x81, 0), 0); /* halt */
    assert_int_equal(usb_hid_report(&h, data), -EPIPE);
    request(&h, 0x82, 0, 0, 0x81, 2);
    assert_int_equal(ld_le16(data), 1);
    assert_int_equal(request(&h, 2, 1, 0, 0x81, 0), 0);
    expect_report(&h, NULL, 0);
    assert_int_equal(request(&h, 2, 3, 0, 0x82, 0), -EPIPE);
    assert_int_equal(request(&h, 1, 11, 1, 0, 0), -EPIPE); /* alternate setting */
    assert_int_equal(request(&h, 0x21, 11, 0, 0, 0), 0);   /* boot protocol */
    assert_int_equal(request(&h, 0xa1, 3, 0, 0, 1), 1);
    assert_int_equal(data[0], 0);
    assert_int_equal(request(&t, 0x21, 11, 0, 0, 0), -EPIPE);
    data[0] = 0x02;
    assert_int_equal(request(&h, 0x21, 9, 0x200, 0, 1), 0);
    assert_int_equal(usb_hid_leds(&h), 4); /* caps lock */
    data[0] = 0x05;
    assert_int_equal(request(&h, 0x21, 9, 0x200, 0, 1), 0);
    assert_int_equal(usb_hid_leds(&h), 3); /* num lock and scroll lock */
    assert_int_equal(request(&h, 0x21, 9, 0x200, 0, 2), -EPIPE);
    assert_int_equal(request(&h, 0x40, 1, 0, 0, 0), -EPIPE);
    assert_int_equal(request(&h, 0x21, 9, 0x200, 0, 0xffff), -EPIPE);
}

static void test_keys(void **state)
{
    struct usb_hid h;

    usb_hid_init(&h, USB_HID_KEYBOARD);
    assert_int_equal(usb_hid_key(&h, KEY_A, true), -ENODEV);
    h = configured(USB_HID_KEYBOARD);
    assert_int_equal(usb_hid_key(&h, KEY_A, false), -ENODEV); /* pressed elsewhere */
    assert_int_equal(usb_hid_key(&h, KEY_UNKNOWN, true), -ENODEV);
    assert_int_equal(usb_hid_key(&h, KEY_LEFTSHIFT, true), 0);
    assert_int_equal(usb_hid_key(&h, KEY_A, true), 0);
    assert_int_equal(usb_hid_key(&h, KEY_A, true), 0); /* it is down already */
    assert_int_equal(usb_hid_key(&h, KEY_KP1, true), 0);
    assert_int_equal(usb_hid_key(&h, KEY_A, false), 0);
    assert_int_equal(usb_hid_key(&h, KEY_LEFTSHIFT, false), 0);
    assert_int_equal(usb_hid_key(&h, KEY_KP1, false), 0);
    expect_keys(&h, 2, 0, 0);
    expect_keys(&h, 2, 0x04, 0);
    expect_keys(&h, 2, 0x04, 0x59);
    expect_keys(&h, 2, 0x59, 0);
    expect_keys(&h, 0, 0x59, 0);
    expect_keys(&h, 0, 0, 0);
    expect_report(&h, NULL, 0);
}

static void test_many_keys(void **state)
{
    static const uint8_t roll_over[8] = {0, 0, 1, 1, 1, 1, 1, 1};
    static const uint8_t six[8] = {0, 0, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24};
    struct usb_hid h = configured(USB_HID_KEYBOARD);
    uint8_t report[USB_HID_REPORT];

    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(usb_hid_key(&h, KEY_1 + i, true), 0);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(usb_hid_report(&h, report), 8);
    expect_report(&h, roll_over, 8);
    assert_int_equal(usb_hid_key(&h, KEY_1, false), 0);
    expect_report(&h, six, 8);
    for (unsigned i = 0; i < USB_HID_QUEUE; i++)
        assert_int_equal(usb_hid_key(&h, KEY_LEFTCTRL, i % 2 == 0), 0);
    assert_int_equal(usb_hid_key(&h, KEY_LEFTCTRL, true), -EAGAIN);
    assert_int_equal(usb_hid_report(&h, report), 8);
    assert_int_equal(usb_hid_key(&h, KEY_LEFTCTRL, true), 0);
}

static void test_idle(void **state)
{
    struct usb_hid h = configured(USB_HID_KEYBOARD);

    assert_int_equal(h.idle, 125);
    usb_hid_key(&h, KEY_Z, true);
    expect_keys(&h, 0, 0x1d, 0);
    expect_report(&h, NULL, 0);
    usb_hid_idle(&h);
    expect_keys(&h, 0, 0x1d, 0);
    assert_int_equal(request(&h, 0x21, 10, 0, 0, 0), 0);
    usb_hid_idle(&h);
    expect_report(&h, NULL, 0);
}

static void expect_pointer(struct usb_hid *h, uint8_t buttons, uint16_t x, uint16_t y, int wheel)
{
    uint8_t want[6] = {buttons};

    st_le16(want + 1, x);
    st_le16(want + 3, y);
    want[5] = (uint8_t)wheel;
    expect_report(h, want, 6);
}

static void test_tablet(void **state)
{
    struct usb_hid h = configured(USB_HID_TABLET);

    usb_hid_pointer(&h, 1, 2, 0, 0);
    usb_hid_pointer(&h, 40000, 32767, 0, 0);
    expect_pointer(&h, 0, 32767, 32767, 0); /* only the last place counts, */
    usb_hid_pointer(&h, 5, 6, 0, 1);
    usb_hid_pointer(&h, 7, 8, 0, 1);
    usb_hid_pointer(&h, 7, 8, 0, 0);
    usb_hid_pointer(&h, 7, 8, -1, 0);
    usb_hid_pointer(&h, 9, 8, 0, 0);
    expect_pointer(&h, 1, 7, 8, 0); /* but every click and notch */
    expect_pointer(&h, 0, 7, 8, -1);
    expect_pointer(&h, 0, 9, 8, 0);
    expect_report(&h, NULL, 0);
    for (unsigned i = 0; i < 3 * USB_HID_QUEUE; i++) /* nobody asks */
        usb_hid_pointer(&h, i, i, 0, i & 1);
    assert_int_equal(h.count, USB_HID_QUEUE);
}

/* --- the controller --- */

enum { CMD = 0x40, STS = 0x44, PORT1 = 0x440, IMAN = 0x1020, ERDP = 0x1038, BELL = 0x2000 };

static struct xhci_chip controller(void)
{
    static const uint8_t speed[XHCI_PORTS] = {XHCI_FULL_SPEED};
    struct xhci_chip c;

    xhci_chip_init(&c, speed);
    return c;
}

static uint32_t port(const struct xhci_chip *c)
{
    return xhci_chip_read(c, PORT1, 0);
}

static void test_ports(void **state)
{
    struct xhci_chip c = controller();

    assert_int_equal(xhci_chip_read(&c, 0, 0), 0x01000040);
    assert_int_equal(xhci_chip_read(&c, STS, 0) & 0x11, 0x11);
    assert_int_equal(port(&c), 1 | 7 << 5 | 1 << 9 | 1 << 10 | 1 << 17);
    assert_int_equal(xhci_chip_read(&c, PORT1 + 16, 0), 5 << 5 | 1 << 9);
    assert_int_equal(xhci_chip_port_event(&c), 0);
    assert_int_equal(xhci_chip_port_event(&c), -1);
    xhci_chip_write(&c, PORT1, 1 << 17 | 1 << 9); /* the connection is noted */
    assert_int_equal(port(&c) & 1 << 17, 0);
    assert_false(xhci_chip_enabled(&c, 0));
    xhci_chip_write(&c, PORT1 + 16, 1 << 4); /* nobody there to be reset */
    assert_int_equal(xhci_chip_read(&c, PORT1 + 16, 0), 5 << 5 | 1 << 9);
    xhci_chip_write(&c, PORT1, 1 << 4 | 1 << 9);
    assert_true(xhci_chip_enabled(&c, 0));
    assert_true(c.port[0].reset);
    assert_int_equal(port(&c) & (1 << 21 | 2), 1 << 21 | 2);
    assert_int_equal(xhci_chip_port_event(&c), 0);
    xhci_chip_write(&c, PORT1, 1 << 21 | 1 << 9);
    xhci_chip_write(&c, PORT1, 1 << 9 | 1 << 16 | 3 << 5); /* suspend */
    assert_false(xhci_chip_enabled(&c, 0));
    assert_int_equal(xhci_chip_port_event(&c), -1);
    xhci_chip_wake(&c, 0);
    assert_int_equal(port(&c) >> 5 & 15, 15);
    assert_int_equal(xhci_chip_port_event(&c), 0);
    xhci_chip_write(&c, PORT1, 1 << 22 | 1 << 9);
    xhci_chip_write(&c, PORT1, 1 << 9 | 1 << 16); /* to U0 */
    assert_true(xhci_chip_enabled(&c, 0));
    assert_int_equal(xhci_chip_port_event(&c), 0);
    xhci_chip_write(&c, PORT1, 1 << 9 | 2); /* disable */
    assert_false(xhci_chip_enabled(&c, 0));
    xhci_chip_wake(&c, 0);
    assert_false(xhci_chip_enabled(&c, 0));
}

static void test_interrupts(void **state)
{
    struct xhci_chip c = controller();

    xhci_chip_event(&c);
    assert_false(xhci_chip_update(&c)); /* not enabled, but pending */
    assert_int_equal(xhci_chip_read(&c, IMAN, 0), 1);
    assert_int_equal(xhci_chip_read(&c, STS, 0) & 8, 8);
    xhci_chip_write(&c, IMAN, 3);
    xhci_chip_write(&c, CMD, 5);
    assert_int_equal(xhci_chip_read(&c, IMAN, 0), 2);
    assert_false(xhci_chip_level(&c));
    xhci_chip_event(&c);
    assert_false(xhci_chip_update(&c)); /* the handler has not looked at the last one */
    xhci_chip_write(&c, ERDP, 0x1000 | 8);
    assert_int_equal(xhci_chip_read(&c, ERDP, 0), 0x1000);
    assert_true(xhci_chip_update(&c));
    assert_true(xhci_chip_level(&c));
    xhci_chip_message_sent(&c);
    assert_false(xhci_chip_level(&c));
    assert_int_equal(xhci_chip_read(&c, ERDP, 0), 0x1008);
}

static void test_run(void **state)
{
    struct xhci_chip c = controller();

    xhci_chip_write(&c, BELL, 0); /* it does not run */
    assert_int_equal(c.doorbell[0], 0);
    xhci_chip_write(&c, 0x58, 0x1234567f);
    xhci_chip_write(&c, 0x5c, 2);
    assert_int_equal(xhci_chip_read(&c, 0x58, 0), 0);
    assert_true(c.crcr == 0x212345641);
    xhci_chip_write(&c, CMD, 1);
    assert_int_equal(xhci_chip_read(&c, STS, 0) & 1, 0);
    assert_int_equal(xhci_chip_read(&c, 0x1000, 0x14001), 1); /* microframes, 14 bits */
    xhci_chip_write(&c, BELL + 4, 3);
    xhci_chip_write(&c, BELL + 8, 0); /* no target of a device */
    xhci_chip_write(&c, BELL + 4 * (XHCI_SLOTS + 1), 1);
    assert_int_equal(c.doorbell[1], 8);
    assert_int_equal(c.doorbell[2], 0);
    xhci_chip_write(&c, BELL, 0);
    assert_int_equal(xhci_chip_read(&c, 0x58, 0), 8);
    xhci_chip_write(&c, 0x58, 4);
    assert_true(c.stop_command);
    xhci_chip_write(&c, CMD, 0);
    assert_int_equal(xhci_chip_read(&c, 0x58, 0), 0);
    xhci_chip_write(&c, CMD, 2); /* a reset takes a moment */
    assert_int_equal(xhci_chip_read(&c, CMD, 0), 2);
    xhci_chip_write(&c, CMD, 1);
    assert_int_equal(xhci_chip_read(&c, CMD, 0), 2);
    xhci_chip_reset(&c);
    assert_int_equal(xhci_chip_read(&c, CMD, 0), 0);
    assert_int_equal(port(&c) & 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors), cmocka_unit_test(test_requests),
        cmocka_unit_test(test_keys),        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_idle),        cmocka_unit_test(test_tablet),
        cmocka_unit_test(test_ports),       cmocka_unit_test(test_interrupts),
        cmocka_unit_test(test_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
