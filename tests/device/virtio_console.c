/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-console and virtio-rng as a driver sees them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dev/virtio/virtio_console.h"
#include "dev/virtio/virtio_rng.h"
#include "virtio_vm.h"

struct env {
    struct vm_env vm;
    uint8_t output[65536];
    size_t output_len, output_room;
    unsigned input_ready;
};

static int setup(void **state)
{
    struct env *v = calloc(1, sizeof(*v));
    vm_setup(&v->vm);
    v->output_room = sizeof(v->output);
    *state = v;
    return 0;
}

static int teardown(void **state)
{
    struct env *v = *state;
    vm_teardown(&v->vm);
    free(v);
    return 0;
}

/* --- console --- */

static size_t console_output(void *opaque, const void *data, size_t len)
{
    struct env *v = opaque;
    pthread_mutex_lock(&v->vm.lock);
    size_t n = len < v->output_room ? len : v->output_room;
    memcpy(v->output + v->output_len, data, n);
    v->output_len += n;
    v->output_room -= n;
    pthread_cond_broadcast(&v->vm.cond);
    pthread_mutex_unlock(&v->vm.lock);
    return n;
}

static void console_input_ready(void *opaque)
{
    struct env *v = opaque;
    pthread_mutex_lock(&v->vm.lock);
    v->input_ready++;
    pthread_cond_broadcast(&v->vm.cond);
    pthread_mutex_unlock(&v->vm.lock);
}

static void open_console(struct env *v)
{
    struct err e = {0};
    struct virtio_console_config cfg = {.place = vm_place(&v->vm),
                                        .output = console_output,
                                        .input_ready = console_input_ready,
                                        .opaque = v,
                                        .cols = 80,
                                        .rows = 25};
    assert_int_equal(virtio_console_create(&cfg, &v->vm.dev, &e), 0);
    vm_go(&v->vm);
}

/* Runs a function on the loop's thread and waits for it. */
struct call {
    struct env *v;
    void (*fn)(struct env *v, struct call *c);
    const char *text;
    size_t taken;
    bool done;
};

static void call_here(void *opaque)
{
    struct call *c = opaque;
    c->fn(c->v, c);
    pthread_mutex_lock(&c->v->vm.lock);
    c->done = true;
    pthread_cond_broadcast(&c->v->vm.cond);
    pthread_mutex_unlock(&c->v->vm.lock);
}

static size_t on_loop(struct env *v, void (*fn)(struct env *v, struct call *c), const char *text)
{
    struct call c = {.v = v, .fn = fn, .text = text};
    assert_int_equal(loop_post(v->vm.loop, call_here, &c), 0);
    pthread_mutex_lock(&v->vm.lock);
    while (!c.done)
        pthread_cond_wait(&v->vm.cond, &v->vm.lock);
    pthread_mutex_unlock(&v->vm.lock);
    return c.taken;
}

static void do_input(struct env *v, struct call *c)
{
    c->taken = virtio_console_input(v->vm.dev.self, c->text, strlen(c->text));
}

static void do_ready(struct env *v, struct call *c)
{
    virtio_console_output_ready(v->vm.dev.self);
}

static void console(void **state)
{
    struct env *v = *state;
    bool kick;
    uint16_t id;
    uint32_t len;
    open_console(v);
    assert_int_equal(on_loop(v, do_input, "early"), 0); /* no driver yet */
    vm_start(&v->vm, 2, UINT64_MAX);
    assert_int_equal(bus_read(v->vm.mmio, v->vm.drv.regs + 0x2000, 4), 80 | 25 << 16);
    /* Out, with a host that takes five bytes, then the rest. */
    memcpy(v->vm.mem + VM_DATA, "hello, world", 12);
    struct drv_seg out[] = {{VM_DATA, 4, false}, {VM_DATA + 4, 8, false}};
    v->output_room = 5;
    drv_add(&v->vm.rings[1], out, 2, &kick);
    drv_kick(&v->vm.drv, 1);
    pthread_mutex_lock(&v->vm.lock);
    while (v->output_len < 5)
        pthread_cond_wait(&v->vm.cond, &v->vm.lock);
    pthread_mutex_unlock(&v->vm.lock);
    v->vm.dev.ops->pause(v->vm.dev.self); /* nothing is in flight even now */
    assert_false(drv_used(&v->vm.rings[1], &id, &len));
    v->vm.dev.ops->resume(v->vm.dev.self);
    v->output_room = 100;
    on_loop(v, do_ready, NULL);
    vm_wait_msi(&v->vm, 1);
    assert_true(drv_used(&v->vm.rings[1], &id, &len));
    assert_int_equal(v->output_len, 12);
    assert_memory_equal(v->output, "hello, world", 12);
    /* In: room for four, then for more. */
    unsigned ready = v->input_ready;
    struct drv_seg in[] = {{VM_DATA, 4, true}}, more[] = {{VM_DATA + 4, 100, true}};
    drv_add(&v->vm.rings[0], in, 1, &kick);
    assert_int_equal(on_loop(v, do_input, "abcdef"), 4);
    vm_wait_msi(&v->vm, 0);
    assert_true(drv_used(&v->vm.rings[0], &id, &len));
    assert_int_equal(len, 4);
    drv_add(&v->vm.rings[0], more, 1, &kick);
    assert_true(kick);
    drv_kick(&v->vm.drv, 0);
    pthread_mutex_lock(&v->vm.lock);
    while (v->input_ready == ready)
        pthread_cond_wait(&v->vm.cond, &v->vm.lock);
    pthread_mutex_unlock(&v->vm.lock);
    assert_int_equal(on_loop(v, do_input, "ef"), 2);
    assert_true(drv_used(&v->vm.rings[0], &id, &len));
    assert_int_equal(len, 2);
    assert_memory_equal(v->vm.mem + VM_DATA, "abcdef", 6);
    /* The window changes. */
    uint64_t generation = bus_read(v->vm.mmio, v->vm.drv.regs + 21, 1);
    bus_write(v->vm.mmio, v->vm.drv.regs + 16, 2, 2);
    virtio_console_resize(v->vm.dev.self, 100, 40);
    vm_wait_msi(&v->vm, 2);
    assert_int_equal(bus_read(v->vm.mmio, v->vm.drv.regs + 0x2000, 4), 100 | 40 << 16);
    assert_int_not_equal(bus_read(v->vm.mmio, v->vm.drv.regs + 21, 1), generation);
}

/* --- entropy --- */

static void entropy(void **state)
{
    struct env *v = *state;
    struct err e = {0};
    struct virtio_place at = vm_place(&v->vm);
    unsigned zeros = 0;
    assert_int_equal(virtio_rng_create(&at, &v->vm.dev, &e), 0);
    vm_go(&v->vm);
    vm_start(&v->vm, 1, UINT64_MAX);
    memset(v->vm.mem + VM_DATA, 0, 8192);
    struct drv_seg s[] = {{VM_DATA, 4096, true}, {VM_DATA + 4096, 1000, true}};
    assert_int_equal(vm_transact(&v->vm, 0, s, 2), 4096); /* what one request gets */
    for (unsigned i = 0; i < 4096; i++)
        zeros += v->vm.mem[VM_DATA + i] == 0;
    assert_true(zeros < 100);
    for (unsigned i = 4096; i < 8192; i++)
        assert_int_equal(v->vm.mem[VM_DATA + i], 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(console),
        T(entropy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
