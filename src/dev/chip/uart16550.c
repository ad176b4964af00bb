/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC16550D UART: data sheet sections 8.1 - 8.10. The contract is in the header. */
#include "dev/chip/uart16550.h"

#include <errno.h>
#include <string.h>

static int validate(const void *object, struct err *e)
{
    const struct uart16550 *u = object;
    unsigned limit = (u->fcr & UART_FCR_ENABLE) != 0 ? UART_FIFO_SIZE : 1;

    if (u->rx_count > limit)
        return err_set(e, EINVAL, "uart16550: %u characters in a buffer of %u", u->rx_count, limit);
    return 0;
}

static const struct state_field fields[] = {
    STATE_MAX_F(struct uart16550, ier, STATE_U8, 0x0f),
    STATE_U8_F(struct uart16550, fcr),
    STATE_U8_F(struct uart16550, lcr),
    STATE_MAX_F(struct uart16550, mcr, STATE_U8, 0x1f),
    STATE_U8_F(struct uart16550, msr),
    STATE_U8_F(struct uart16550, scr),
    STATE_U16_F(struct uart16550, divisor),
    STATE_MAX_F(struct uart16550, rx_count, STATE_U8, UART_FIFO_SIZE),
    STATE_BYTES_F(struct uart16550, rx_data),
    STATE_BYTES_F(struct uart16550, rx_error),
    STATE_BOOL_F(struct uart16550, overrun),
    STATE_BOOL_F(struct uart16550, thre),
    STATE_BOOL_F(struct uart16550, timeout),
    STATE_END_F,
};

const struct state_table uart16550_state = {
    .name = "uart16550", .version = 1, .fields = fields, .validate = validate};

static bool fifo_on(const struct uart16550 *u)
{
    return (u->fcr & UART_FCR_ENABLE) != 0;
}

/* The other end is there and ready. */
static uint8_t line_status(void)
{
    return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
}

void uart16550_reset(struct uart16550 *u)
{
    memset(u, 0, sizeof(*u));
    u->divisor = 12; /* 9600 baud; the data sheet leaves it undefined */
    u->msr = line_status();
}

static unsigned trigger_level(const struct uart16550 *u)
{
    static const uint8_t level[4] = {1, 4, 8, 14};

    return fifo_on(u) ? level[u->fcr >> 6] : 1;
}

static bool fifo_has_error(const struct uart16550 *u)
{
    for (unsigned i = 0; i < u->rx_count; i++)
        if (u->rx_error[i] != 0)
            return true;
    return false;
}

static uint8_t line_errors(const struct uart16550 *u)
{
    uint8_t lsr = u->overrun ? UART_LSR_OE : 0;

    return u->rx_count > 0 ? lsr | u->rx_error[0] : lsr;
}

/* Transmission takes no time, so THR and shift register are always empty. */
static uint8_t lsr_value(const struct uart16550 *u)
{
    uint8_t lsr = UART_LSR_THRE | UART_LSR_TEMT | line_errors(u);

    if (u->rx_count > 0)
        lsr |= UART_LSR_DR;
    if (fifo_on(u) && fifo_has_error(u))
        lsr |= UART_LSR_FIFO_ERROR;
    return lsr;
}

/* The interrupt of highest priority that is due (data sheet table III). */
static uint8_t iir_id(const struct uart16550 *u)
{
    if ((u->ier & UART_IER_RLS) != 0 && line_errors(u) != 0)
        return UART_IIR_RLS;
    if ((u->ier & UART_IER_RDA) != 0 && u->rx_count >= trigger_level(u))
        return UART_IIR_RDA;
    if ((u->ier & UART_IER_RDA) != 0 && u->timeout)
        return UART_IIR_TIMEOUT;
    if ((u->ier & UART_IER_THRE) != 0 && u->thre)
        return UART_IIR_THRE;
    if ((u->ier & UART_IER_MSI) != 0 && (u->msr & UART_MSR_DELTA) != 0)
        return UART_IIR_MSI;
    return UART_IIR_NONE;
}

bool uart16550_irq(const struct uart16550 *u)
{
    return iir_id(u) != UART_IIR_NONE;
}

static void rx_clear(struct uart16550 *u)
{
    u->rx_count = 0;
    u->timeout = false;
}

static uint8_t read_rbr(struct uart16550 *u)
{
    uint8_t byte = u->rx_data[0];

    u->timeout = false;
    if (u->rx_count == 0)
        return byte;
    u->rx_count--;
    memmove(u->rx_data, u->rx_data + 1, u->rx_count);
    memmove(u->rx_error, u->rx_error + 1, u->rx_count);
    return byte;
}

static uint8_t read_iir(struct uart16550 *u)
{
    uint8_t id = iir_id(u);

    if (id == UART_IIR_THRE)
        u->thre = false;
    return fifo_on(u) ? id | UART_IIR_FIFOS : id;
}

static uint8_t read_lsr(struct uart16550 *u)
{
    uint8_t lsr = lsr_value(u);

    u->overrun = false;
    if (u->rx_count > 0)
        u->rx_error[0] = 0;
    return lsr;
}

static uint8_t read_msr(struct uart16550 *u)
{
    uint8_t msr = u->msr;

    u->msr &= (uint8_t)~UART_MSR_DELTA;
    return msr;
}

uint8_t uart16550_read(struct uart16550 *u, enum uart_reg reg)
{
    bool dlab = (u->lcr & UART_LCR_DLAB) != 0;

    switch (reg) {
    case UART_RBR:
        return dlab ? (uint8_t)u->divisor : read_rbr(u);
    case UART_IER:
        return dlab ? (uint8_t)(u->divisor >> 8) : u->ier;
    case UART_IIR:
        return read_iir(u);
    case UART_LCR:
        return u->lcr;
    case UART_MCR:
        return u->mcr;
    case UART_LSR:
        return read_lsr(u);
    case UART_MSR:
        return read_msr(u);
    case UART_SCR:
        return u->scr;
    }
    return 0xff;
}

/* Enabling the THRE interrupt while the holding register is empty raises it (as the parts do). */
static void write_ier(struct uart16550 *u, uint8_t value)
{
    uint8_t on = (uint8_t)(value & ~u->ier);

    u->ier = value & 0x0f;
    if ((on & UART_IER_THRE) != 0)
        u->thre = true;
}

static void write_fcr(struct uart16550 *u, uint8_t value)
{
    bool toggled = ((value ^ u->fcr) & UART_FCR_ENABLE) != 0;

    if (toggled || (value & UART_FCR_CLEAR_RX) != 0)
        rx_clear(u);
    /* The other bits can only be programmed together with the enable bit. */
    u->fcr = (value & UART_FCR_ENABLE) != 0 ? value & 0xc9 : 0;
}

/* Sets the modem status lines; RI reports only its trailing edge. */
static void set_modem_lines(struct uart16550 *u, uint8_t lines)
{
    uint8_t old = u->msr & 0xf0, changed = (uint8_t)(old ^ lines);
    uint8_t delta = (uint8_t)((changed & (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD)) >> 4);

    if ((old & ~lines & UART_MSR_RI) != 0)
        delta |= UART_MSR_RI >> 4;
    u->msr = (uint8_t)(lines | (u->msr & UART_MSR_DELTA) | delta);
}

static uint8_t loop_lines(uint8_t mcr)
{
    return (uint8_t)(((mcr & UART_MCR_RTS) != 0 ? UART_MSR_CTS : 0) |
                     ((mcr & UART_MCR_DTR) != 0 ? UART_MSR_DSR : 0) |
                     ((mcr & UART_MCR_OUT1) != 0 ? UART_MSR_RI : 0) |
                     ((mcr & UART_MCR_OUT2) != 0 ? UART_MSR_DCD : 0));
}

static void write_mcr(struct uart16550 *u, uint8_t value)
{
    u->mcr = value & 0x1f;
    set_modem_lines(u, (u->mcr & UART_MCR_LOOP) != 0 ? loop_lines(u->mcr) : line_status());
}

/* Puts a character into the receiver, from the line or the loop. */
static void receive(struct uart16550 *u, uint8_t byte, uint8_t errors)
{
    unsigned size = fifo_on(u) ? UART_FIFO_SIZE : 1;

    if (u->rx_count == size) {
        u->overrun = true;
        if (fifo_on(u))
            return; /* the FIFO keeps what it has */
        u->rx_count = 0;
    }
    u->rx_data[u->rx_count] = byte;
    u->rx_error[u->rx_count] = errors & (UART_LSR_PE | UART_LSR_FE | UART_LSR_BI);
    u->rx_count++;
}

static bool write_thr(struct uart16550 *u, uint8_t value)
{
    u->thre = false;
    if ((u->mcr & UART_MCR_LOOP) == 0)
        return true;
    receive(u, value, 0);
    uart16550_rx_idle(u);
    uart16550_tx_done(u);
    return false;
}

bool uart16550_write(struct uart16550 *u, enum uart_reg reg, uint8_t value)
{
    bool dlab = (u->lcr & UART_LCR_DLAB) != 0;

    switch (reg) {
    case UART_THR:
        if (!dlab)
            return write_thr(u, value);
        u->divisor = (uint16_t)((u->divisor & 0xff00) | value);
        break;
    case UART_IER:
        if (dlab)
            u->divisor = (uint16_t)((u->divisor & 0x00ff) | value << 8);
        else
            write_ier(u, value);
        break;
    case UART_FCR:
        write_fcr(u, value);
        break;
    case UART_LCR:
        u->lcr = value;
        break;
    case UART_MCR:
        write_mcr(u, value);
        break;
    case UART_SCR:
        u->scr = value;
        break;
    case UART_LSR: /* factory test only */
    case UART_MSR:
        break;
    }
    return false;
}

void uart16550_tx_done(struct uart16550 *u)
{
    u->thre = true;
}

unsigned uart16550_rx_space(const struct uart16550 *u)
{
    unsigned size = fifo_on(u) ? UART_FIFO_SIZE : 1;

    if ((u->mcr & UART_MCR_LOOP) != 0 || u->rx_count >= size)
        return 0;
    return size - u->rx_count;
}

void uart16550_rx(struct uart16550 *u, uint8_t byte, uint8_t errors)
{
    if ((u->mcr & UART_MCR_LOOP) == 0)
        receive(u, byte, errors);
}

void uart16550_rx_idle(struct uart16550 *u)
{
    u->timeout = fifo_on(u) && u->rx_count > 0;
}
