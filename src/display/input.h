/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a person does at a screen; whoever shows it tells the machine by these. */
#ifndef DOPPEL_DISPLAY_INPUT_H
#define DOPPEL_DISPLAY_INPUT_H

#include <stdbool.h>
#include <stdint.h>

enum input_button { INPUT_LEFT = 1, INPUT_RIGHT = 2, INPUT_MIDDLE = 4 };

/* Where the pointer is on a screen of this size, in pixels from the upper left corner. */
struct input_pointer {
    unsigned x, y, width, height;
    unsigned buttons; /* those that are down */
    int wheel;        /* notches away from the user */
};

/* From any thread, with no lock held. */
struct input_sink {
    void (*key)(void *opaque, unsigned key, bool down); /* KEY_* of Linux */
    void (*pointer)(void *opaque, const struct input_pointer *p);
    uint8_t (*leds)(void *opaque); /* bit 0 scroll lock, 1 num lock, 2 caps lock */
    void *opaque;
};

#endif
