/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 16550 register model: FIFO, interrupts and their priority, loopback, line errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/chip/uart16550.h"

static uint8_t iir(struct uart16550 *u)
{
    return uart16550_read(u, UART_IIR) & 0x0f;
}

/* As a driver starts it: FIFOs on, trigger level 8, OUT2. */
static struct uart16550 started(uint8_t ier)
{
    struct uart16550 u;

    uart16550_reset(&u);
    uart16550_write(&u, UART_FCR, 0x81);
    uart16550_write(&u, UART_MCR, UART_MCR_OUT2);
    uart16550_write(&u, UART_IER, ier);
    return u;
}

static void test_reset_values(void **state)
{
    struct uart16550 u;

    (void)state;
    uart16550_reset(&u);
    assert_int_equal(uart16550_read(&u, UART_IER), 0);
    assert_int_equal(uart16550_read(&u, UART_IIR), 1);
    assert_int_equal(uart16550_read(&u, UART_LCR), 0);
    assert_int_equal(uart16550_read(&u, UART_MCR), 0);
    assert_int_equal(uart16550_read(&u, UART_LSR), 0x60);
    assert_int_equal(uart16550_read(&u, UART_MSR), 0xb0);
    assert_false(uart16550_irq(&u));
}

static void test_divisor_and_scratch(void **state)
{
    struct uart16550 u = started(0);

    (void)state;
    uart16550_write(&u, UART_LCR, 0x83);
    assert_false(uart16550_write(&u, UART_THR, 0x34));
    uart16550_write(&u, UART_IER, 0x12);
    assert_int_equal(uart16550_read(&u, UART_RBR), 0x34);
    assert_int_equal(uart16550_read(&u, UART_IER), 0x12);
    uart16550_write(&u, UART_LCR, 0x03);
    assert_int_equal(uart16550_read(&u, UART_IER), 0);
    uart16550_write(&u, UART_SCR, 0xa5);
    assert_int_equal(uart16550_read(&u, UART_SCR), 0xa5);
}

static void test_transmit_interrupt(void **state)
{
    struct uart16550 u = started(0);

    (void)state;
    uart16550_write(&u, UART_IER, UART_IER_THRE);
    assert_true(uart16550_irq(&u));
    assert_int_equal(iir(&u), UART_IIR_THRE);
    assert_int_equal(iir(&u), UART_IIR_NONE); /* reading it cleared it */
    assert_true(uart16550_write(&u, UART_THR, 'x'));
    assert_false(uart16550_irq(&u));
    uart16550_tx_done(&u);
    assert_true(uart16550_irq(&u));
}

static void test_trigger_and_timeout(void **state)
{
    struct uart16550 u = started(UART_IER_RDA);

    (void)state;
    for (unsigned i = 0; i < 7; i++)
        uart16550_rx(&u, (uint8_t)i, 0);
    assert_false(uart16550_irq(&u));
    uart16550_rx_idle(&u);
    assert_int_equal(iir(&u), UART_IIR_TIMEOUT);
    uart16550_rx(&u, 7, 0);
    assert_int_equal(iir(&u), UART_IIR_RDA);
    for (unsigned i = 0; i < 8; i++) {
        assert_true(uart16550_read(&u, UART_LSR) & UART_LSR_DR);
        assert_int_equal(uart16550_read(&u, UART_RBR), i);
    }
    assert_false(uart16550_read(&u, UART_LSR) & UART_LSR_DR);
    assert_false(uart16550_irq(&u));
}

static void test_overrun(void **state)
{
    struct uart16550 u = started(UART_IER_RLS);

    (void)state;
    for (unsigned i = 0; i < UART_FIFO_SIZE; i++)
        uart16550_rx(&u, (uint8_t)i, 0);
    assert_int_equal(uart16550_rx_space(&u), 0);
    assert_false(uart16550_irq(&u));
    uart16550_rx(&u, 99, 0);
    assert_int_equal(iir(&u), UART_IIR_RLS);
    assert_true(uart16550_read(&u, UART_LSR) & UART_LSR_OE);
    assert_false(uart16550_irq(&u));
    assert_int_equal(uart16550_read(&u, UART_RBR), 0); /* the FIFO was kept */
}

static void test_break_is_reported_with_its_character(void **state)
{
    struct uart16550 u = started(UART_IER_RLS);

    (void)state;
    uart16550_rx(&u, 'a', 0);
    uart16550_rx(&u, 0, UART_LSR_BI);
    assert_int_equal(uart16550_read(&u, UART_LSR) & (UART_LSR_BI | UART_LSR_FIFO_ERROR),
                     UART_LSR_FIFO_ERROR);
    uart16550_read(&u, UART_RBR);
    assert_int_equal(iir(&u), UART_IIR_RLS);
    assert_true(uart16550_read(&u, UART_LSR) & UART_LSR_BI);
    assert_false(uart16550_read(&u, UART_LSR) & UART_LSR_BI);
}

static void test_loopback(void **state)
{
    struct uart16550 u = started(UART_IER_RDA);

    (void)state;
    uart16550_write(&u, UART_FCR, 0);
    uart16550_write(&u, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS | UART_MCR_OUT2);
    assert_int_equal(uart16550_read(&u, UART_MSR) & 0xf0, UART_MSR_CTS | UART_MSR_DCD);
    assert_false(uart16550_write(&u, UART_THR, 0x5a));
    assert_int_equal(uart16550_rx_space(&u), 0);
    assert_int_equal(iir(&u), UART_IIR_RDA);
    assert_int_equal(uart16550_read(&u, UART_RBR), 0x5a);
}

static void test_modem_status(void **state)
{
    struct uart16550 u = started(UART_IER_MSI);

    (void)state;
    uart16550_write(&u, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1);
    assert_int_equal(iir(&u), UART_IIR_MSI);
    assert_int_equal(uart16550_read(&u, UART_MSR), UART_MSR_RI | 0x0b);
    assert_false(uart16550_irq(&u));
    uart16550_write(&u, UART_MCR, UART_MCR_LOOP);
    assert_int_equal(uart16550_read(&u, UART_MSR), 0x04); /* RI fell */
}

static void test_fifo_control(void **state)
{
    struct uart16550 u = started(UART_IER_RDA);

    (void)state;
    assert_int_equal(uart16550_read(&u, UART_IIR) & 0xc0, 0xc0);
    uart16550_rx(&u, 1, 0);
    uart16550_write(&u, UART_FCR, 0x81 | UART_FCR_CLEAR_RX);
    assert_int_equal(uart16550_rx_space(&u), UART_FIFO_SIZE);
    uart16550_rx(&u, 1, 0);
    uart16550_write(&u, UART_FCR, 0);
    assert_int_equal(uart16550_read(&u, UART_IIR) & 0xc0, 0);
    assert_int_equal(uart16550_rx_space(&u), 1);
    uart16550_rx(&u, 2, 0);
    assert_int_equal(uart16550_rx_space(&u), 0);
    assert_true(uart16550_irq(&u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reset_values),
        cmocka_unit_test(test_divisor_and_scratch),
        cmocka_unit_test(test_transmit_interrupt),
        cmocka_unit_test(test_trigger_and_timeout),
        cmocka_unit_test(test_overrun),
        cmocka_unit_test(test_break_is_reported_with_its_character),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_modem_status),
        cmocka_unit_test(test_fifo_control),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
