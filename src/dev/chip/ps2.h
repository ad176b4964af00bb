/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two devices behind a PS/2 controller: a keyboard (IBM PS/2 hardware interface technical
 * reference, "Keyboard/Auxiliary device") and a mouse with wheel (Microsoft's IntelliMouse
 * extension). No lock, no clock: commands are answered at once, and who owns the keyboard says when
 * a key that is held repeats.
 */
#ifndef DOPPEL_DEV_CHIP_PS2_H
#define DOPPEL_DEV_CHIP_PS2_H

#include <stdbool.h>
#include <stdint.h>

#include "dev/chip/ps2_keys.h"
#include "state/state.h"

#define PS2_QUEUE_SIZE 64

/* Bytes on their way to the controller. */
struct ps2_queue {
    uint8_t data[PS2_QUEUE_SIZE];
    uint8_t head, count;
};

bool ps2_queue_take(struct ps2_queue *q, uint8_t *byte);

struct ps2_keyboard {
    struct ps2_queue queue;
    uint8_t pending; /* command that waits for its parameter, or 0 */
    uint8_t last;    /* last byte sent, for "resend" */
    uint8_t set;     /* scan code set that the host chose (1 - 3) */
    uint8_t leds;    /* bit 0 scroll lock, 1 num lock, 2 caps lock */
    uint8_t rate;    /* as the command says it */
    bool scanning;
    uint8_t down[PS2_KEYS / 8]; /* keys whose pressing was sent, one bit each */
    uint8_t held;               /* the last of them: it repeats; or 0 */
};

struct ps2_mouse {
    struct ps2_queue queue;
    uint8_t pending, last;
    uint8_t id; /* 0: three buttons, 3: with wheel */
    uint8_t rate, resolution;
    uint8_t knock[2]; /* the last two sample rates: 200, 100, then 80 turn the wheel on */
    uint8_t buttons;
    bool reporting, scaling, remote, wrap;
    bool moved; /* something to report that did not fit into the queue yet */
    int16_t dx, dy, dz;
};

extern const struct state_table ps2_keyboard_state;
extern const struct state_table ps2_mouse_state;

void ps2_keyboard_reset(struct ps2_keyboard *k); /* power-on, without the 0xaa of the self-test */
void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t byte); /* from the host */
/* A key (KEY_* of Linux) goes down or up. What repeats what is known sends nothing. 0, or -EAGAIN:
 * there is no room now. While the host has turned the keyboard off nothing is sent. */
int ps2_keyboard_key(struct ps2_keyboard *k, unsigned key, bool down) MUST_CHECK;
/* The key that is held repeats. */
void ps2_keyboard_repeat(struct ps2_keyboard *k);
/* How long after it was pressed, and then how long from one repetition to the next. */
uint64_t ps2_keyboard_delay_ns(const struct ps2_keyboard *k);
uint64_t ps2_keyboard_period_ns(const struct ps2_keyboard *k);

void ps2_mouse_reset(struct ps2_mouse *m);
void ps2_mouse_write(struct ps2_mouse *m, uint8_t byte);
/* Adds a movement (dy > 0: up) and sets the buttons. */
void ps2_mouse_event(struct ps2_mouse *m, int dx, int dy, int dz, unsigned buttons);
/* Puts a packet into the queue if there is something to report and room. */
void ps2_mouse_report(struct ps2_mouse *m);

#endif
