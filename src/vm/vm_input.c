/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keyboard and pointer of a machine. Keys wait in a queue, on the main loop and by the machine's
 * clock, until the guest takes them, so that none is lost: those that scripts type, and those that
 * viewers of the screen press, which come from their threads. Viewers' pointers go to the devices
 * at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/vm_internal.h"

enum {
    QUEUE = 16384,     /* events, also those of viewers' keys on their way to the main loop */
    LETTING_GO = 256,  /* of these: for keys that are let go only, so that none stays down */
    RETRY_NS = 5000000 /* when the guest has not taken what came before */
};

struct event {
    uint64_t pause_ns; /* before it */
    uint16_t key;      /* that goes down or up; 0: it is the pointer's event */
    bool down;
    struct vm_motion motion;
};

struct vm_input {
    struct vm *vm;
    struct timer *timer;
    unsigned head, count;
    struct event queue[QUEUE];
    struct lock lock; /* below: viewers' keys, and where their pointer was */
    struct {
        uint16_t key;
        bool down;
    } arrival[QUEUE];
    unsigned arrivals;
    bool known;
    struct input_pointer last;
};

/* --- scripts --- */

static int send_event(struct vm_input *in, const struct event *ev)
{
    struct machine *m = in->vm->machine;
    const struct vm_motion *o = &ev->motion;

    if (ev->key != 0)
        return machine_key(m, ev->key, ev->down);
    if (o->absolute) /* without its driver there is nobody who could tell */
        (void)!machine_tablet(m, (unsigned)o->x, (unsigned)o->y, o->wheel, o->buttons);
    else
        machine_mouse(m, o->x, o->y, o->wheel, o->buttons);
    return 0;
}

static void wait_for_next(struct vm_input *in, uint64_t ns)
{
    timer_arm(in->timer, vclock_now(machine_clock(in->vm->machine)) + ns);
}

/* Sends what needs no pause. */
static void on_timer(void *opaque)
{
    struct vm_input *in = opaque;

    while (in->count > 0) {
        struct event *ev = &in->queue[in->head];

        if (send_event(in, ev) < 0) {
            wait_for_next(in, RETRY_NS);
            return;
        }
        in->head = (in->head + 1) % QUEUE;
        in->count--;
        if (in->count > 0 && in->queue[in->head].pause_ns != 0) {
            wait_for_next(in, in->queue[in->head].pause_ns);
            return;
        }
    }
}

static int put(struct vm *vm, const struct event *ev, struct err *e)
{
    struct vm_input *in = vm->input;

    if (in->count == QUEUE)
        return err_set(e, ENOBUFS, "the guest has not taken what was typed before");
    in->queue[(in->head + in->count) % QUEUE] = *ev;
    if (in->count++ == 0)
        wait_for_next(in, ev->pause_ns);
    return 0;
}

int vm_input_key(struct vm *vm, unsigned key, bool down, unsigned pause_ms, struct err *e)
{
    const struct event ev = {
        .pause_ns = pause_ms * UINT64_C(1000000), .key = (uint16_t)key, .down = down};

    return put(vm, &ev, e);
}

int vm_input_motion(struct vm *vm, const struct vm_motion *m, unsigned pause_ms, struct err *e)
{
    const struct event ev = {.pause_ns = pause_ms * UINT64_C(1000000), .motion = *m};

    return put(vm, &ev, e);
}

/* --- viewers --- */

/* On the main loop. */
static void take_arrivals(void *opaque)
{
    struct vm_input *in = opaque;

    lock_take(&in->lock);
    for (unsigned i = 0; i < in->arrivals; i++)
        (void)!vm_input_key(in->vm, in->arrival[i].key, in->arrival[i].down, 0, NULL);
    in->arrivals = 0;
    lock_drop(&in->lock);
}

static void on_key(void *opaque, unsigned key, bool down)
{
    struct vm_input *in = opaque;

    lock_take(&in->lock);
    if (in->arrivals < (down ? QUEUE - LETTING_GO : QUEUE)) {
        in->arrival[in->arrivals].key = (uint16_t)key;
        in->arrival[in->arrivals++].down = down;
    }
    lock_drop(&in->lock);
    (void)!loop_post(in->vm->loop, take_arrivals, in); /* else with the next key */
}

static unsigned place_on(unsigned at, unsigned size)
{
    return size > 1 ? at * 32767u / (size - 1) : 0;
}

/* A tablet knows where it is, a mouse only how far it moved. */
static void on_pointer(void *opaque, const struct input_pointer *p)
{
    struct vm_input *in = opaque;
    struct input_pointer last;

    lock_take(&in->lock);
    last = in->known ? in->last : *p;
    in->last = *p;
    in->known = true;
    lock_drop(&in->lock);
    if (machine_tablet(in->vm->machine, place_on(p->x, p->width), place_on(p->y, p->height),
                       p->wheel, p->buttons) == 0)
        return;
    machine_mouse(in->vm->machine, (int)p->x - (int)last.x, (int)p->y - (int)last.y, p->wheel,
                  p->buttons);
}

static uint8_t on_leds(void *opaque)
{
    struct vm_input *in = opaque;

    return machine_leds(in->vm->machine);
}

struct input_sink vm_input_sink(struct vm *vm)
{
    return (struct input_sink){
        .key = on_key, .pointer = on_pointer, .leds = on_leds, .opaque = vm->input};
}

/* --- life --- */

int vm_input_create(struct vm *vm, struct err *e)
{
    struct vm_input *in = calloc(1, sizeof(*in));
    int rc;

    if (in == NULL)
        return err_set(e, ENOMEM, "out of memory");
    in->vm = vm;
    lock_init(&in->lock, LOCK_INPUT);
    rc = timer_create_on(vm->loop, machine_clock(vm->machine), on_timer, in, &in->timer);
    if (rc < 0) {
        lock_finish(&in->lock);
        free(in);
        return err_set(e, -rc, "cannot create a timer: %s", strerror(-rc));
    }
    vm->input = in;
    return 0;
}

void vm_input_destroy(struct vm *vm)
{
    if (vm->input == NULL)
        return;
    timer_destroy(vm->input->timer);
    lock_finish(&vm->input->lock);
    free(vm->input);
    vm->input = NULL;
}
