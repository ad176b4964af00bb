/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The surroundings of a virtio device under test; see virtio_vm.h. */
#include "virtio_vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void on_msi(void *opaque, uint64_t addr, uint32_t data)
{
    struct vm_env *v = opaque;
    pthread_mutex_lock(&v->lock);
    v->msis[data % 8]++;
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
}

static void on_pin(void *opaque, unsigned line, bool level)
{
    struct vm_env *v = opaque;
    pthread_mutex_lock(&v->lock);
    v->intx = level;
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
}

struct timespec vm_soon(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += 20;
    return t;
}

/* Takes all that are there. */
void vm_wait_msi(struct vm_env *v, unsigned vector)
{
    struct timespec t = vm_soon();
    int r = 0;
    pthread_mutex_lock(&v->lock);
    while (v->msis[vector] == 0 && r == 0)
        r = pthread_cond_timedwait(&v->cond, &v->lock, &t);
    v->msis[vector] = 0;
    pthread_mutex_unlock(&v->lock);
    assert_int_equal(r, 0);
}

static void *loop_thread(void *opaque)
{
    loop_run(opaque);
    return NULL;
}

void vm_setup(struct vm_env *v)
{
    struct err e = {0};
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->cond, NULL);
    assert_int_equal(ram_create(&v->ram, VM_RAM_SIZE, &e), 0);
    assert_int_equal(ram_add(v->ram, 0, VM_RAM_SIZE, false, &e), 0);
    v->mem = ram_ptr(v->ram, 0, VM_RAM_SIZE, true);
    assert_int_equal(bus_create(&v->mmio, UINT64_C(1) << 40), 0);
    assert_int_equal(bus_create(&v->ports, 0x10000), 0);
    assert_int_equal(loop_create(&v->loop), 0);
    struct pin pin = {on_pin, v, 0};
    struct pci_bus_config cfg = {
        .mmio = v->mmio, .ports = v->ports, .msi = {on_msi, v}, .intx = &pin, .intx_count = 1};
    assert_int_equal(pci_bus_create(&cfg, &v->bus), 0);
}

struct virtio_place vm_place(struct vm_env *v)
{
    return (struct virtio_place){.bus = v->bus, .devfn = VM_DEVFN, .ram = v->ram, .loop = v->loop};
}

void vm_place_bars(struct vm_env *v)
{
    struct pci_windows w = {.mem32_base = 0xc0000000, .mem32_size = 0x1000000};
    struct err e = {0};
    assert_int_equal(pci_bus_assign(v->bus, &w, &e), 0);
    drv_find(&v->drv, v->ports, v->mmio, VM_DEVFN);
    for (unsigned i = 0; i < 3; i++)
        drv_msix_vector(&v->drv, i, 0xfee00000, i);
}

void vm_go(struct vm_env *v)
{
    assert_int_equal(pthread_create(&v->thread, NULL, loop_thread, v->loop), 0);
    vm_place_bars(v);
}

uint64_t vm_start(struct vm_env *v, unsigned queues, uint64_t features)
{
    drv_reset(&v->drv);
    uint64_t f = drv_negotiate(&v->drv, features);
    assert_int_not_equal(f, 0);
    gpa_t at = 0x10000;
    for (unsigned i = 0; i < queues; i++) {
        at = drv_ring_init(&v->rings[i], v->mem, at, 64, (f & VM_FEATURE(34)) != 0,
                           (f & VM_FEATURE(29)) != 0, (f & VM_FEATURE(28)) != 0);
        drv_enable_queue(&v->drv, i, &v->rings[i], (uint16_t)i);
    }
    memset(v->msis, 0, sizeof(v->msis));
    drv_ok(&v->drv);
    assert_int_equal(drv_status(&v->drv), 15);
    return f;
}

void vm_teardown(struct vm_env *v)
{
    if (v->dev.ops != NULL) {
        v->dev.ops->pause(v->dev.self);
        loop_stop(v->loop);
        pthread_join(v->thread, NULL);
        v->dev.ops->destroy(v->dev.self);
    }
    pci_bus_destroy(v->bus);
    loop_destroy(v->loop);
    bus_destroy(v->mmio);
    bus_destroy(v->ports);
    ram_destroy(v->ram);
}

uint32_t vm_transact(struct vm_env *v, unsigned queue, const struct drv_seg *segs, unsigned n)
{
    bool kick;
    uint16_t id;
    uint32_t len;
    assert_true(drv_add(&v->rings[queue], segs, n, &kick) >= 0);
    if (kick)
        drv_kick(&v->drv, queue);
    while (!drv_used(&v->rings[queue], &id, &len)) {
        drv_want_interrupt(&v->rings[queue], 0);
        if (drv_used(&v->rings[queue], &id, &len))
            break;
        vm_wait_msi(v, queue);
    }
    return len;
}
