/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtio tablet as a driver sees it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "dev/virtio/virtio_input.h"
#include "virtio_vm.h"

#define CONFIG 0x2000u /* in the BAR */

static int setup(void **state)
{
    struct vm_env *v = calloc(1, sizeof(*v));
    struct virtio_place at;
    struct err e = {0};

    vm_setup(v);
    at = vm_place(v);
    assert_int_equal(virtio_tablet_create(&at, &v->dev, &e), 0);
    vm_go(v);
    *state = v;
    return 0;
}

static int teardown(void **state)
{
    vm_teardown(*state);
    free(*state);
    return 0;
}

/* --- configuration --- */

static unsigned select_config(struct vm_env *v, uint8_t select, uint8_t subsel)
{
    bus_write(v->mmio, v->drv.regs + CONFIG, select, 1);
    bus_write(v->mmio, v->drv.regs + CONFIG + 1, subsel, 1);
    return (unsigned)bus_read(v->mmio, v->drv.regs + CONFIG + 2, 1);
}

static uint8_t config_byte(struct vm_env *v, unsigned i)
{
    return (uint8_t)bus_read(v->mmio, v->drv.regs + CONFIG + 8 + i, 1);
}

static void test_config(void **state)
{
    struct vm_env *v = *state;

    assert_int_equal(select_config(v, 0x01, 0), strlen("doppel tablet"));
    assert_int_equal(config_byte(v, 0), 'd');
    assert_int_equal(select_config(v, 0x11, 1), 0x112 / 8 + 1); /* EV_KEY: three buttons */
    assert_int_equal(config_byte(v, 0x110 / 8), 7);
    assert_int_equal(select_config(v, 0x11, 3), 1); /* EV_ABS: x and y */
    assert_int_equal(config_byte(v, 0), 3);
    assert_int_equal(select_config(v, 0x12, 1), 20);
    assert_int_equal(config_byte(v, 4) | config_byte(v, 5) << 8, VIRTIO_TABLET_MAX);
    assert_int_equal(select_config(v, 0x12, 9), 0);
    assert_int_equal(select_config(v, 0xff, 0), 0);
    assert_int_equal(config_byte(v, 127), 0);
}

/* --- events --- */

static void give(struct vm_env *v, unsigned n)
{
    static unsigned buffers;
    bool kick = false, any = false;

    for (unsigned i = 0; i < n; i++) {
        struct drv_seg s = {VM_DATA + 8 * (buffers++ % 1000), 8, true};

        assert_true(drv_add(&v->rings[0], &s, 1, &kick) >= 0);
        any |= kick;
    }
    if (any)
        drv_kick(&v->drv, 0);
}

static void expect(struct vm_env *v, unsigned at, uint16_t type, uint16_t code, uint32_t value)
{
    const uint8_t *p = v->mem + VM_DATA + 8 * (size_t)at;

    assert_int_equal(ld_le16(p), type);
    assert_int_equal(ld_le16(p + 2), code);
    assert_int_equal(ld_le32(p + 4), value);
}

static void take(struct vm_env *v, unsigned n)
{
    uint16_t id;
    uint32_t len;

    while (n > 0) {
        if (!drv_used(&v->rings[0], &id, &len)) {
            drv_want_interrupt(&v->rings[0], 0);
            if (!drv_used(&v->rings[0], &id, &len)) {
                vm_wait_msi(v, 0);
                continue;
            }
        }
        assert_int_equal(len, 8);
        n--;
    }
    assert_false(drv_used(&v->rings[0], &id, &len));
}

/* What does not fit waits, and is summed up meanwhile. */
static void test_events(void **state)
{
    struct vm_env *v = *state;

    assert_false(virtio_tablet_ready(v->dev.self));
    vm_start(v, 2, UINT64_MAX);
    assert_true(virtio_tablet_ready(v->dev.self));
    give(v, 4);
    virtio_tablet_event(v->dev.self, 100, 40000, 0, 1);
    take(v, 4);
    expect(v, 0, 3, 0, 100);
    expect(v, 1, 3, 1, VIRTIO_TABLET_MAX);
    expect(v, 2, 1, 0x110, 1);
    expect(v, 3, 0, 0, 0);
    give(v, 1);
    virtio_tablet_event(v->dev.self, 300, 7, 1, 0);
    take(v, 1);
    expect(v, 4, 3, 0, 300);
    virtio_tablet_event(v->dev.self, 300, 8, 1, 1);
    virtio_tablet_event(v->dev.self, 300, 9, 1, 2);
    give(v, 5); /* their kick brings what waits */
    take(v, 5);
    expect(v, 5, 3, 1, 9);
    expect(v, 6, 1, 0x110, 0);
    expect(v, 7, 1, 0x111, 1);
    expect(v, 8, 2, 8, 3);
    expect(v, 9, 0, 0, 0);
}

/* A click that is over before the guest looks is a click. */
static void test_click(void **state)
{
    struct vm_env *v = *state;

    vm_start(v, 2, UINT64_MAX);
    virtio_tablet_event(v->dev.self, 0, 0, 0, 1);
    virtio_tablet_event(v->dev.self, 0, 0, 0, 0);
    memset(v->mem + VM_DATA, 0xff, 8000);
    give(v, 4);
    take(v, 4);
    const uint8_t *p = v->mem + VM_DATA;
    while (ld_le16(p) == 0xffff)
        p += 8;
    unsigned at = (unsigned)(p - v->mem - VM_DATA) / 8;
    expect(v, at, 1, 0x110, 1);
    expect(v, at + 1, 0, 0, 0);
    expect(v, at + 2, 1, 0x110, 0);
    expect(v, at + 3, 0, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_config, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_click, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
