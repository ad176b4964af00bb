/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of the National Semiconductor PC16550D UART. No lock, no clock, no pin: the device
 * around it (dev/serial.c) transmits what uart16550_write hands out and drives the line to
 * uart16550_irq after every call.
 *
 * The line is infinitely fast. A byte is transmitted between uart16550_write and uart16550_tx_done;
 * the receive time-out (8.5 of the data sheet: four character times without a new character) is
 * over when the device says that the line is idle (uart16550_rx_idle).
 */
#ifndef DOPPEL_DEV_CHIP_UART16550_H
#define DOPPEL_DEV_CHIP_UART16550_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define UART_FIFO_SIZE 16

enum uart_reg {
    UART_RBR = 0, /* read; THR when written; DLL with DLAB */
    UART_THR = 0,
    UART_IER = 1, /* DLM with DLAB */
    UART_IIR = 2, /* read; FCR when written */
    UART_FCR = 2,
    UART_LCR = 3,
    UART_MCR = 4,
    UART_LSR = 5,
    UART_MSR = 6,
    UART_SCR = 7,
};

enum {
    UART_IER_RDA = 1,
    UART_IER_THRE = 2,
    UART_IER_RLS = 4,
    UART_IER_MSI = 8,

    UART_IIR_MSI = 0x0,
    UART_IIR_NONE = 0x1,
    UART_IIR_THRE = 0x2,
    UART_IIR_RDA = 0x4,
    UART_IIR_RLS = 0x6,
    UART_IIR_TIMEOUT = 0xc,
    UART_IIR_FIFOS = 0xc0,

    UART_FCR_ENABLE = 1,
    UART_FCR_CLEAR_RX = 2,
    UART_FCR_CLEAR_TX = 4,

    UART_LCR_DLAB = 0x80,

    UART_MCR_DTR = 1,
    UART_MCR_RTS = 2,
    UART_MCR_OUT1 = 4,
    UART_MCR_OUT2 = 8,
    UART_MCR_LOOP = 0x10,

    UART_LSR_DR = 1,
    UART_LSR_OE = 2,
    UART_LSR_PE = 4,
    UART_LSR_FE = 8,
    UART_LSR_BI = 0x10,
    UART_LSR_THRE = 0x20,
    UART_LSR_TEMT = 0x40,
    UART_LSR_FIFO_ERROR = 0x80,

    UART_MSR_DELTA = 0x0f,
    UART_MSR_CTS = 0x10,
    UART_MSR_DSR = 0x20,
    UART_MSR_RI = 0x40,
    UART_MSR_DCD = 0x80,
};

struct uart16550 {
    uint8_t ier, fcr, lcr, mcr, msr, scr;
    uint16_t divisor;
    uint8_t rx_count;                 /* characters in the FIFO (or RBR) */
    uint8_t rx_data[UART_FIFO_SIZE];  /* oldest first */
    uint8_t rx_error[UART_FIFO_SIZE]; /* PE, FE, BI of each */
    bool overrun;
    bool thre;    /* the THRE interrupt is due */
    bool timeout; /* the receive time-out is due */
};

extern const struct state_table uart16550_state;

void uart16550_reset(struct uart16550 *u);

/* The read of a register, with its side effects. */
uint8_t uart16550_read(struct uart16550 *u, enum uart_reg reg);
/* The write of a register. true: `value` went to the transmitter; when it is sent the device calls
 * uart16550_tx_done. In loopback mode nothing leaves the chip. */
bool uart16550_write(struct uart16550 *u, enum uart_reg reg, uint8_t value);
void uart16550_tx_done(struct uart16550 *u);

/* How many characters the receiver takes from the line without an overrun. */
unsigned uart16550_rx_space(const struct uart16550 *u);
/* A character from the line with its error bits (PE, FE, BI). */
void uart16550_rx(struct uart16550 *u, uint8_t byte, uint8_t errors);
/* No more characters come for now. */
void uart16550_rx_idle(struct uart16550 *u);

/* The INTR output (before the PC's OUT2 gate). */
bool uart16550_irq(const struct uart16550 *u);

#endif
