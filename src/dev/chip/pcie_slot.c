/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The slot of a PCI Express port: see pcie_slot.h. */
#include "dev/chip/pcie_slot.h"

enum {
    CONTROL_BITS = 0x17ff, /* all but those of an interlock, which there is not */
    EVENTS = PCIE_SLOT_BUTTON | PCIE_SLOT_PRESENCE_CHANGED | PCIE_SLOT_LINK_CHANGED,
    LED_ON = 1,
    LED_BLINKS = 2,
    LED_OFF = 3,
};

static uint16_t power_led(unsigned what)
{
    return (uint16_t)(what << 8);
}

static void follow(struct pcie_slot *s)
{
    bool link = s->present && !s->spent && !(s->control & PCIE_SLOT_POWER_OFF);

    if (link != s->link)
        s->events |= PCIE_SLOT_LINK_CHANGED;
    s->link = link;
}

void pcie_slot_reset(struct pcie_slot *s)
{
    bool present = s->present;

    *s = (struct pcie_slot){.present = present, .link = present};
    s->control = PCIE_SLOT_ATTENTION_LED; /* off */
    s->control |= present ? power_led(LED_ON) : power_led(LED_OFF) | PCIE_SLOT_POWER_OFF;
}

void pcie_slot_restore(struct pcie_slot *s)
{
    s->control &= CONTROL_BITS;
    s->events &= EVENTS;
    s->spent = s->spent && s->present;
    s->link = s->present && !s->spent && !(s->control & PCIE_SLOT_POWER_OFF);
}

uint16_t pcie_slot_status(const struct pcie_slot *s)
{
    return s->events | (s->present ? PCIE_SLOT_PRESENT : 0);
}

void pcie_slot_write_control(struct pcie_slot *s, uint16_t value, uint16_t mask)
{
    uint16_t old = s->control;

    mask &= CONTROL_BITS;
    s->control = (uint16_t)((old & ~mask) | (value & mask));
    if ((s->control & ~old & PCIE_SLOT_POWER_OFF) && s->present)
        s->spent = true;
    follow(s);
}

void pcie_slot_write_status(struct pcie_slot *s, uint16_t ones)
{
    s->events &= (uint16_t)~ones;
}

void pcie_slot_bus_reset(struct pcie_slot *s)
{
    s->spent = s->present;
    follow(s);
}

void pcie_slot_insert(struct pcie_slot *s)
{
    s->present = true;
    s->events |= PCIE_SLOT_PRESENCE_CHANGED | PCIE_SLOT_BUTTON;
    follow(s);
}

void pcie_slot_take(struct pcie_slot *s)
{
    s->present = s->spent = false;
    s->events |= PCIE_SLOT_PRESENCE_CHANGED;
    follow(s);
}

void pcie_slot_press(struct pcie_slot *s)
{
    s->events |= PCIE_SLOT_BUTTON;
}

void pcie_slot_renewed(struct pcie_slot *s)
{
    s->spent = false;
    follow(s);
}

bool pcie_slot_busy(const struct pcie_slot *s)
{
    return (s->control & PCIE_SLOT_POWER_LED) == power_led(LED_BLINKS);
}

/* 6.7.3.4 */
bool pcie_slot_level(const struct pcie_slot *s)
{
    uint16_t enabled = 0;

    if (!(s->control & PCIE_SLOT_ENABLE_INTERRUPT))
        return false;
    if (s->control & PCIE_SLOT_ENABLE_BUTTON)
        enabled |= PCIE_SLOT_BUTTON;
    if (s->control & PCIE_SLOT_ENABLE_PRESENCE)
        enabled |= PCIE_SLOT_PRESENCE_CHANGED;
    if (s->control & PCIE_SLOT_ENABLE_LINK)
        enabled |= PCIE_SLOT_LINK_CHANGED;
    return (s->events & enabled) != 0;
}

static const struct state_field fields[] = {
    STATE_U16_F(struct pcie_slot, control),
    STATE_U16_F(struct pcie_slot, events),
    STATE_BOOL_F(struct pcie_slot, link),
    STATE_BOOL_F(struct pcie_slot, spent),
    STATE_END_F,
};
const struct state_table pcie_slot_state = {
    .name = "pcie-slot", .version = 1, .fields = fields, .validate = NULL};
