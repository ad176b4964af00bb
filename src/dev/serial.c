/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A PC serial port: lock, interrupt and back end around the 16550 chip. */
#include "dev/serial.h"

#include <errno.h>
#include <stdlib.h>

#include "base/lock.h"
#include "dev/chip/uart16550.h"
#include "dev/irq_out.h"

struct serial {
    struct serial_backend backend;
    struct lock lock; /* for all below */
    struct uart16550 chip;
    struct irq_out irq;
    bool paused;
    bool starved; /* the back end has input that we did not take */
};

/* OUT2 gates the interrupt on a PC. Lock held. */
static void update_irq(struct serial *s)
{
    irq_out_set(&s->irq, uart16550_irq(&s->chip) && (s->chip.mcr & UART_MCR_OUT2) != 0);
}

/* Is it time to ask the back end for more? When the FIFO is drained, so that input comes in
 * batches. Lock held. */
static bool take_starved(struct serial *s)
{
    bool ready =
        s->starved && !s->paused && s->chip.rx_count == 0 && uart16550_rx_space(&s->chip) > 0;

    if (ready)
        s->starved = false;
    return ready;
}

static void unlock_and_tell(struct serial *s)
{
    bool ready = take_starved(s);

    lock_drop(&s->lock);
    irq_out_flush(&s->irq);
    if (ready && s->backend.rx_ready != NULL)
        s->backend.rx_ready(s->backend.opaque);
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    struct serial *s = opaque;
    uint8_t value;

    (void)size;
    lock_take(&s->lock);
    value = uart16550_read(&s->chip, (enum uart_reg)(offset & 7));
    update_irq(s);
    if ((offset & 7) == UART_RBR) {
        /* What remains in the FIFO is old enough for the time-out, which makes a new edge for
         * those who take one character per interrupt. */
        uart16550_rx_idle(&s->chip);
        update_irq(s);
    }
    unlock_and_tell(s);
    return value;
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct serial *s = opaque;
    uint8_t byte = (uint8_t)value;
    bool send;

    (void)size;
    lock_take(&s->lock);
    send = uart16550_write(&s->chip, (enum uart_reg)(offset & 7), byte);
    update_irq(s);
    if (send) {
        uart16550_tx_done(&s->chip);
        update_irq(s);
    }
    unlock_and_tell(s);
    if (send && s->backend.tx != NULL)
        s->backend.tx(s->backend.opaque, &byte, 1);
}

static const struct bus_ops port_ops = {
    .name = "serial", .read = port_read, .write = port_write, .min_size = 1, .max_size = 1};

size_t serial_rx(struct serial *s, const uint8_t *buf, size_t len)
{
    size_t n, i;

    lock_take(&s->lock);
    n = s->paused ? 0 : uart16550_rx_space(&s->chip);
    if (n > len)
        n = len;
    for (i = 0; i < n; i++)
        uart16550_rx(&s->chip, buf[i], 0);
    if (n > 0)
        uart16550_rx_idle(&s->chip);
    s->starved = n < len;
    update_irq(s);
    lock_drop(&s->lock);
    irq_out_flush(&s->irq);
    return n;
}

size_t serial_rx_space(struct serial *s)
{
    size_t n;

    lock_take(&s->lock);
    n = s->paused ? 0 : uart16550_rx_space(&s->chip);
    lock_drop(&s->lock);
    return n;
}

void serial_rx_break(struct serial *s)
{
    lock_take(&s->lock);
    if (!s->paused && uart16550_rx_space(&s->chip) > 0) {
        uart16550_rx(&s->chip, 0, UART_LSR_BI);
        uart16550_rx_idle(&s->chip);
        update_irq(s);
    }
    lock_drop(&s->lock);
    irq_out_flush(&s->irq);
}

static void serial_reset(void *self)
{
    struct serial *s = self;

    lock_take(&s->lock);
    uart16550_reset(&s->chip);
    update_irq(s);
    unlock_and_tell(s);
}

static void serial_pause(void *self)
{
    struct serial *s = self;

    lock_take(&s->lock);
    s->paused = true;
    lock_drop(&s->lock);
}

/* The back end is asked in any case: while paused it may have been refused without a trace. */
static void serial_resume(void *self)
{
    struct serial *s = self;

    lock_take(&s->lock);
    s->starved = s->starved || s->paused;
    s->paused = false;
    unlock_and_tell(s);
}

static void serial_restore(void *self)
{
    struct serial *s = self;

    irq_out_restore(&s->irq, uart16550_irq(&s->chip) && (s->chip.mcr & UART_MCR_OUT2) != 0);
}

static void serial_destroy(void *self)
{
    struct serial *s = self;

    if (s == NULL)
        return;
    lock_finish(&s->lock);
    free(s);
}

static void *serial_state_object(void *self)
{
    struct serial *s = self;

    return &s->chip;
}

static const struct device_ops serial_ops = {
    .name = "serial",
    .reset = serial_reset,
    .pause = serial_pause,
    .resume = serial_resume,
    .restore = serial_restore,
    .destroy = serial_destroy,
    .state = &uart16550_state,
    .state_object = serial_state_object,
};

int serial_create(const struct serial_config *cfg, struct serial **out)
{
    struct serial *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return -ENOMEM;
    s->backend = cfg->backend;
    lock_init(&s->lock, LOCK_DEVICE);
    irq_out_init(&s->irq, cfg->irq);
    uart16550_reset(&s->chip);
    *out = s;
    return 0;
}

struct device serial_device(struct serial *s)
{
    return (struct device){.ops = &serial_ops, .self = s};
}

int serial_map(struct serial *s, struct bus *ports, uint16_t base)
{
    return bus_map(ports, base, SERIAL_PORTS, &port_ops, s);
}
