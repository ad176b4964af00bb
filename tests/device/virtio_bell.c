/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Doorbells of a virtio device: a test that plays the engine keeps them and rings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dev/virtio/virtio_console.h"
#include "virtio_vm.h"

enum { NOTIFY = 0x3000, TRANSMIT = 1, QUEUES = 2 };

struct env {
    struct vm_env vm;
    bool refuses;
    unsigned set;
    struct {
        uint64_t gpa; /* 0: free */
        int fd;
    } bell[8];
    _Atomic size_t output;
};

static int set(void *opaque, uint64_t gpa, int fd, bool on)
{
    struct env *v = opaque;
    uint64_t have = on ? 0 : gpa;

    if (v->refuses)
        return -ENOTSUP;
    for (unsigned i = 0; i < 8; i++) {
        if (v->bell[i].gpa != have || (!on && v->bell[i].fd != fd))
            continue;
        v->bell[i].gpa = on ? gpa : 0;
        v->bell[i].fd = fd;
        v->set += on ? 1 : -1;
        return 0;
    }
    fail_msg("a doorbell that is not there ends, or there are too many");
    return -ENOENT;
}

/* What an engine does when the guest writes there. false: the write goes to the device. */
static bool ring(struct env *v, uint64_t gpa)
{
    uint64_t one = 1;

    for (unsigned i = 0; i < 8; i++)
        if (v->bell[i].gpa == gpa)
            return write(v->bell[i].fd, &one, sizeof(one)) == sizeof(one);
    return false;
}

static size_t output(void *opaque, const void *data, size_t len)
{
    struct env *v = opaque;

    v->output += len;
    return len;
}

static void open_console(struct env *v)
{
    struct err e = {0};
    struct virtio_console_config cfg = {
        .place = vm_place(&v->vm), .output = output, .opaque = v, .cols = 80, .rows = 25};

    cfg.place.doorbells = (struct virtio_doorbells){set, v};
    assert_int_equal(virtio_console_create(&cfg, &v->vm.dev, &e), 0);
    assert_int_equal(v->set, 0);
    vm_go(&v->vm);
    vm_start(&v->vm, QUEUES, UINT64_MAX);
}

/* Sends four bytes; nothing but the bell, or the register, tells the device. */
static void send(struct env *v, bool by_bell)
{
    struct drv_ring *r = &v->vm.rings[TRANSMIT];
    struct drv_seg segs[] = {{VM_DATA, 4, false}};
    size_t before = v->output;
    bool kick;
    uint16_t id;
    uint32_t len;

    assert_true(drv_add(r, segs, 1, &kick) >= 0);
    drv_want_interrupt(r, 0);
    if (by_bell)
        assert_true(ring(v, v->vm.drv.regs + NOTIFY + 4 * TRANSMIT));
    else
        drv_kick(&v->vm.drv, TRANSMIT);
    vm_wait_msi(&v->vm, TRANSMIT);
    assert_true(drv_used(r, &id, &len));
    assert_int_equal(v->output - before, 4);
}

static void decode(struct env *v, bool on)
{
    uint32_t command = drv_config(v->vm.ports, VM_DEVFN, 4);

    drv_config_set(v->vm.ports, VM_DEVFN, 4, on ? command | 2 : command & ~2u);
}

static void rings(void **state)
{
    struct env *v = *state;

    open_console(v);
    assert_int_equal(v->set, QUEUES);
    send(v, true);
    send(v, true);
    send(v, false); /* the register still works, for those who reach it */
}

/* A bell follows its BAR, and is nowhere while the BAR is. */
static void moves(void **state)
{
    struct env *v = *state;

    open_console(v);
    decode(v, false);
    assert_int_equal(v->set, 0);
    drv_config_set(v->vm.ports, VM_DEVFN, 0x20, 0xd0000000);
    drv_config_set(v->vm.ports, VM_DEVFN, 0x24, 1);
    assert_int_equal(v->set, 0);
    decode(v, true);
    assert_int_equal(v->set, QUEUES);
    v->vm.drv.regs = drv_bar(v->vm.ports, VM_DEVFN, 4);
    assert_true(v->vm.drv.regs == 0x1d0000000);
    send(v, true);
}

/* What rings while the device is paused is done afterwards. */
static void pauses(void **state)
{
    struct env *v = *state;
    struct drv_ring *r = &v->vm.rings[TRANSMIT];
    struct drv_seg segs[] = {{VM_DATA, 4, false}};
    bool kick;
    uint16_t id;
    uint32_t len;

    open_console(v);
    v->vm.dev.ops->pause(v->vm.dev.self);
    assert_true(drv_add(r, segs, 1, &kick) >= 0);
    drv_want_interrupt(r, 0);
    assert_true(ring(v, v->vm.drv.regs + NOTIFY + 4 * TRANSMIT));
    usleep(20000); /* the loop may see the bell, and must not serve it */
    assert_int_equal(v->output, 0);
    v->vm.dev.ops->resume(v->vm.dev.self);
    vm_wait_msi(&v->vm, TRANSMIT);
    assert_true(drv_used(r, &id, &len));
    assert_int_equal(v->output, 4);
}

static void refused(void **state)
{
    struct env *v = *state;

    v->refuses = true;
    open_console(v);
    assert_int_equal(v->set, 0);
    send(v, false);
}

static int setup(void **state)
{
    struct env *v = calloc(1, sizeof(*v));

    vm_setup(&v->vm);
    *state = v;
    return 0;
}

/* The device takes its bells with it. */
static int teardown(void **state)
{
    struct env *v = *state;

    vm_teardown(&v->vm);
    if (v->set != 0)
        fail_msg("%u doorbells are left", v->set);
    free(v);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rings, setup, teardown),
        cmocka_unit_test_setup_teardown(moves, setup, teardown),
        cmocka_unit_test_setup_teardown(pauses, setup, teardown),
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
