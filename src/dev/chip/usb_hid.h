/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB keyboard and tablet: a full-speed function with one configuration, one interface and one
 * interrupt endpoint. USB 2.0 chapter 9; Device Class Definition for HID 1.11; HID Usage Tables
 * 1.12. Pure: the host controller hands it requests and asks it for reports.
 *
 * A keyboard's report is that of the boot protocol (HID 1.11, appendix B.1), so that firmware needs
 * no parser. A tablet's: buttons, X and Y as 16 bits each, the wheel's notches away from the user.
 */
#ifndef DOPPEL_DEV_CHIP_USB_HID_H
#define DOPPEL_DEV_CHIP_USB_HID_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define USB_CONTROL_MAX 256u /* bytes of a control transfer's data */
#define USB_HID_REPORT 8u    /* bytes of a report at most */
#define USB_HID_QUEUE 64u    /* reports that wait for the host */
#define USB_HID_PRESSED 16u
#define USB_TABLET_MAX 32767u /* of both coordinates */

enum usb_hid_kind { USB_HID_NONE, USB_HID_KEYBOARD, USB_HID_TABLET };

struct usb_hid {
    enum usb_hid_kind kind; /* fixed */
    uint8_t configuration;  /* 0: none */
    uint8_t protocol;       /* 0 boot, 1 report */
    uint8_t idle;           /* of 4 ms: a report is repeated after it; 0: never */
    uint8_t leds;           /* bit 0 num lock, 1 caps lock, 2 scroll lock */
    bool halted;            /* the interrupt endpoint */
    bool wakeup;            /* may wake the host */
    uint8_t pressed[USB_HID_PRESSED];
    uint8_t pressed_count, modifiers;
    uint8_t last[USB_HID_REPORT]; /* the newest report, told or not */
    uint8_t queue[USB_HID_QUEUE * USB_HID_REPORT];
    uint8_t head, count;
};
extern const struct state_table usb_hid_state;

void usb_hid_init(struct usb_hid *h, enum usb_hid_kind kind);
void usb_hid_reset(struct usb_hid *h); /* the bus's reset, and power-on */

/* A control request (9.3). To the host: up to wLength bytes come into `data`, how many is returned.
 * To the device: `data` has wLength bytes, 0. -EPIPE: stalled. */
int usb_hid_control(struct usb_hid *h, const uint8_t setup[8], uint8_t data[USB_CONTROL_MAX]);

/* The interrupt endpoint: a report's length, 0 if there is none (NAK), -EPIPE if it is halted. */
int usb_hid_report(struct usb_hid *h, uint8_t report[USB_HID_REPORT]);

/* The idle time has passed: the newest report is due again. */
void usb_hid_idle(struct usb_hid *h);

bool usb_hid_wakes(const struct usb_hid *h); /* a report waits, and may wake the host */
bool usb_hid_ready(const struct usb_hid *h); /* the host has configured it */

/* KEY_* of Linux. 0; -EAGAIN: the host has not taken what came before; -ENODEV: the key is none of
 * this keyboard's, the host does not use it, or what is let go was pressed elsewhere. */
int usb_hid_key(struct usb_hid *h, unsigned key, bool down);
/* Buttons: bit 0 left, 1 right, 2 middle. A move that waits is replaced by the next. */
void usb_hid_pointer(struct usb_hid *h, unsigned x, unsigned y, int wheel, unsigned buttons);
/* Bit 0 scroll lock, 1 num lock, 2 caps lock. */
uint8_t usb_hid_leds(const struct usb_hid *h);

#endif
