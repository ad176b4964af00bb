/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ACPI fixed hardware; the contract is in the header. */
#include "dev/chip/acpi_chip.h"

#define EVENTS (ACPI_TMR | ACPI_GBL | ACPI_PWRBTN | ACPI_RTC)
#define CONTROL_SCI_EN 0x0001u
#define CONTROL_BM_RLD 0x0002u
#define CONTROL_SLP_TYP 0x1c00u
#define CONTROL_SLP_EN 0x2000u

static const struct state_field fields[] = {
    STATE_MAX_F(struct acpi_chip, status, STATE_U16, EVENTS | ACPI_WAK),
    STATE_MAX_F(struct acpi_chip, enable, STATE_U16, EVENTS),
    STATE_MAX_F(struct acpi_chip, control, STATE_U16, CONTROL_SLP_TYP | CONTROL_BM_RLD | 1),
    STATE_U64_F(struct acpi_chip, timer_start),
    STATE_U64_F(struct acpi_chip, half),
    STATE_U64_F(struct acpi_chip, gpe_status),
    STATE_U64_F(struct acpi_chip, gpe_enable),
    STATE_END_F,
};

const struct state_table acpi_chip_state = {.name = "acpi-pm", .version = 1, .fields = fields};

void acpi_chip_reset(struct acpi_chip *c, uint64_t tick)
{
    *c = (struct acpi_chip){
        .timer_bits = c->timer_bits, .control = CONTROL_SCI_EN, .timer_start = tick};
}

/* The status bit is set whenever the timer's top bit changes (4.8.2.1). */
void acpi_chip_poll(struct acpi_chip *c, uint64_t tick)
{
    uint64_t half = (tick - c->timer_start) >> (c->timer_bits - 1);

    if (half != c->half)
        c->status |= ACPI_TMR;
    c->half = half;
}

uint64_t acpi_chip_due(const struct acpi_chip *c)
{
    if ((c->enable & ACPI_TMR) == 0 || (c->status & ACPI_TMR) != 0)
        return ACPI_CHIP_NEVER;
    return c->timer_start + ((c->half + 1) << (c->timer_bits - 1));
}

bool acpi_chip_sci(const struct acpi_chip *c)
{
    return (c->status & c->enable) != 0 || (c->gpe_status & c->gpe_enable) != 0;
}

void acpi_chip_power_button(struct acpi_chip *c)
{
    c->status |= ACPI_PWRBTN;
}

void acpi_chip_wake(struct acpi_chip *c, bool by_rtc)
{
    c->status |= (uint16_t)(ACPI_WAK | (by_rtc ? ACPI_RTC : 0));
}

void acpi_chip_gpe(struct acpi_chip *c, unsigned event)
{
    c->gpe_status |= 1ull << (event & 63);
}

static uint32_t timer_value(const struct acpi_chip *c, uint64_t tick)
{
    return (uint32_t)((tick - c->timer_start) & ((1ull << c->timer_bits) - 1));
}

/* Registers may be read and written in bytes (4.8.3): everything is done by bytes. */
static uint8_t read_byte(const struct acpi_chip *c, unsigned offset, uint64_t tick)
{
    if (offset < ACPI_CHIP_ENABLE)
        return (uint8_t)(c->status >> offset * 8);
    if (offset < ACPI_CHIP_CONTROL)
        return (uint8_t)(c->enable >> (offset - ACPI_CHIP_ENABLE) * 8);
    if (offset < ACPI_CHIP_CONTROL + 2)
        return (uint8_t)(c->control >> (offset - ACPI_CHIP_CONTROL) * 8);
    if (offset >= ACPI_CHIP_TIMER && offset < ACPI_CHIP_TIMER + 4)
        return (uint8_t)(timer_value(c, tick) >> (offset - ACPI_CHIP_TIMER) * 8);
    if (offset >= ACPI_CHIP_GPE_STATUS && offset < ACPI_CHIP_GPE_ENABLE)
        return (uint8_t)(c->gpe_status >> (offset - ACPI_CHIP_GPE_STATUS) * 8);
    if (offset >= ACPI_CHIP_GPE_ENABLE && offset < ACPI_CHIP_END)
        return (uint8_t)(c->gpe_enable >> (offset - ACPI_CHIP_GPE_ENABLE) * 8);
    return 0;
}

uint32_t acpi_chip_read(struct acpi_chip *c, unsigned offset, unsigned size, uint64_t tick)
{
    uint32_t value = 0;

    acpi_chip_poll(c, tick);
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)read_byte(c, offset + i, tick) << i * 8;
    return value;
}

/* Puts a byte into a register of `bytes` bytes. */
static uint64_t put_byte(uint64_t reg, unsigned at, uint8_t value)
{
    return (reg & ~(0xffull << at * 8)) | (uint64_t)value << at * 8;
}

/* SCI_EN belongs to the platform; SLP_EN and GBL_RLS read as 0. */
static int write_control(struct acpi_chip *c, unsigned at, uint8_t value)
{
    uint32_t written = (uint32_t)put_byte(c->control, at, value);

    c->control = (written & (CONTROL_SLP_TYP | CONTROL_BM_RLD)) | CONTROL_SCI_EN;
    return (written & CONTROL_SLP_EN) != 0 ? (int)((written & CONTROL_SLP_TYP) >> 10) : -1;
}

static int write_byte(struct acpi_chip *c, unsigned offset, uint8_t value)
{
    if (offset < ACPI_CHIP_ENABLE)
        c->status &= (uint16_t) ~(value << offset * 8);
    else if (offset < ACPI_CHIP_CONTROL)
        c->enable = (uint16_t)(put_byte(c->enable, offset - ACPI_CHIP_ENABLE, value) & EVENTS);
    else if (offset < ACPI_CHIP_CONTROL + 2)
        return write_control(c, offset - ACPI_CHIP_CONTROL, value);
    else if (offset >= ACPI_CHIP_GPE_STATUS && offset < ACPI_CHIP_GPE_ENABLE)
        c->gpe_status &= ~((uint64_t)value << (offset - ACPI_CHIP_GPE_STATUS) * 8);
    else if (offset >= ACPI_CHIP_GPE_ENABLE && offset < ACPI_CHIP_END)
        c->gpe_enable = put_byte(c->gpe_enable, offset - ACPI_CHIP_GPE_ENABLE, value);
    return -1;
}

int acpi_chip_write(struct acpi_chip *c, unsigned offset, uint32_t value, unsigned size,
                    uint64_t tick)
{
    int sleep = -1;

    acpi_chip_poll(c, tick);
    for (unsigned i = 0; i < size; i++) {
        int asked = write_byte(c, offset + i, (uint8_t)(value >> i * 8));

        if (asked >= 0)
            sleep = asked;
    }
    return sleep;
}

void acpi_chip_shift(struct acpi_chip *c, uint64_t delta)
{
    c->timer_start += delta;
}
