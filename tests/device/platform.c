/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the chips' tests do not reach of the platform devices: back ends, fw_cfg, small ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "bus/bus.h"
#include "dev/debug_exit.h"
#include "dev/fwcfg.h"
#include "dev/post_ports.h"
#include "dev/reset_ports.h"
#include "dev/serial.h"
#include "mem/ram.h"

#define RAM_SIZE 0x10000u

struct terminal {
    uint8_t sent[64];
    size_t sent_len;
    unsigned ready;
    bool irq;
};

static void on_tx(void *opaque, const uint8_t *buf, size_t len)
{
    struct terminal *t = opaque;

    assert_true(t->sent_len + len <= sizeof(t->sent));
    memcpy(t->sent + t->sent_len, buf, len);
    t->sent_len += len;
}

static void on_ready(void *opaque)
{
    struct terminal *t = opaque;

    t->ready++;
}

static void on_irq(void *opaque, unsigned line, bool level)
{
    struct terminal *t = opaque;

    (void)line;
    t->irq = level;
}

static uint64_t in(struct bus *b, unsigned port)
{
    return bus_read(b, port, 1);
}

static void out(struct bus *b, unsigned port, uint64_t value)
{
    bus_write(b, port, value, 1);
}

static struct serial *make_serial(struct terminal *t, struct bus *ports)
{
    struct serial_config cfg = {
        .backend = {.opaque = t, .tx = on_tx, .rx_ready = on_ready},
        .irq = {on_irq, t, 4},
    };
    struct serial *s;

    assert_int_equal(serial_create(&cfg, &s), 0);
    assert_int_equal(serial_map(s, ports, SERIAL_COM1_PORT), 0);
    return s;
}

/* More input than the FIFO holds, fetched as an interrupt handler does: nothing is lost. */
static void test_serial_back_pressure(void **state)
{
    struct terminal t = {0};
    struct bus *ports;
    struct serial *s;
    uint8_t input[100], got[100];
    size_t offered = 0, n = 0;

    (void)state;
    assert_int_equal(bus_create(&ports, 0x10000), 0);
    s = make_serial(&t, ports);
    for (unsigned i = 0; i < sizeof(input); i++)
        input[i] = (uint8_t)(i + 1);
    out(ports, SERIAL_COM1_PORT + 2, 0x81);
    out(ports, SERIAL_COM1_PORT + 4, 0x0b);
    out(ports, SERIAL_COM1_PORT + 1, 0x01);
    assert_int_equal(serial_rx_space(s), 16);
    offered = serial_rx(s, input, sizeof(input));
    assert_int_equal(offered, 16);
    while (n < sizeof(input)) {
        unsigned ready = t.ready;

        assert_true(t.irq);
        while ((in(ports, SERIAL_COM1_PORT + 5) & 1) != 0)
            got[n++] = (uint8_t)in(ports, SERIAL_COM1_PORT);
        assert_false(t.irq);
        if (t.ready != ready)
            offered += serial_rx(s, input + offered, sizeof(input) - offered);
    }
    assert_memory_equal(input, got, sizeof(input));
    out(ports, SERIAL_COM1_PORT, 'h');
    out(ports, SERIAL_COM1_PORT, 'i');
    assert_int_equal(t.sent_len, 2);
    assert_memory_equal(t.sent, "hi", 2);
    serial_device(s).ops->destroy(s);
    bus_destroy(ports);
}

static void test_serial_one_character_per_interrupt(void **state)
{
    struct terminal t = {0};
    struct bus *ports;
    struct serial *s;

    (void)state;
    assert_int_equal(bus_create(&ports, 0x10000), 0);
    s = make_serial(&t, ports);
    out(ports, SERIAL_COM1_PORT + 2, 0x81);
    out(ports, SERIAL_COM1_PORT + 4, 0x08);
    out(ports, SERIAL_COM1_PORT + 1, 0x01);
    assert_int_equal(serial_rx(s, (const uint8_t *)"abc", 3), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(t.irq);
        assert_int_equal(in(ports, SERIAL_COM1_PORT), "abc"[i]);
    }
    assert_false(t.irq);
    out(ports, SERIAL_COM1_PORT + 4, 0x00); /* OUT2 off: no interrupt */
    serial_rx(s, (const uint8_t *)"d", 1);
    assert_false(t.irq);
    serial_device(s).ops->destroy(s);
    bus_destroy(ports);
}

struct config_board {
    struct ram *ram;
    struct bus *ports;
    struct fwcfg *f;
};

static void open_config(struct config_board *b)
{
    assert_int_equal(ram_create(&b->ram, RAM_SIZE, NULL), 0);
    assert_int_equal(ram_add(b->ram, 0, RAM_SIZE, false, NULL), 0);
    assert_int_equal(bus_create(&b->ports, 0x10000), 0);
    assert_int_equal(fwcfg_create(b->ram, &b->f), 0);
    assert_int_equal(fwcfg_map(b->f, b->ports), 0);
    assert_int_equal(fwcfg_add_file(b->f, "opt/a", "hello", 5, false), 0);
    assert_int_equal(fwcfg_add_file(b->f, "opt/b", "world!", 6, true), 0);
    assert_int_equal(fwcfg_add_u16(b->f, FWCFG_NB_CPUS, 7), 0);
}

static void close_config(struct config_board *b)
{
    fwcfg_device(b->f).ops->destroy(b->f);
    bus_destroy(b->ports);
    ram_destroy(b->ram);
}

static void read_item(struct config_board *b, uint16_t key, void *buf, size_t len)
{
    uint8_t *p = buf;

    bus_write(b->ports, FWCFG_PORT, key, 2);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)in(b->ports, FWCFG_PORT + 1);
}

static void test_fwcfg_ports(void **state)
{
    struct config_board b;
    uint8_t buf[4 + 2 * 64];

    (void)state;
    open_config(&b);
    read_item(&b, FWCFG_SIGNATURE, buf, 4);
    assert_memory_equal(buf, "QEMU", 4);
    read_item(&b, FWCFG_ID, buf, 4);
    assert_int_equal(buf[0], 3);
    read_item(&b, FWCFG_NB_CPUS, buf, 4);
    assert_memory_equal(buf, "\7\0\0\0", 4);
    read_item(&b, FWCFG_FILE_DIR, buf, sizeof(buf));
    assert_memory_equal(buf, "\0\0\0\2\0\0\0\5\0\x20\0\0opt/a", 4 + 8 + 6);
    assert_memory_equal(buf + 68, "\0\0\0\6\0\x21\0\0opt/b", 8 + 6);
    read_item(&b, 0x21, buf, 8);
    assert_memory_equal(buf, "world!\0\0", 8);
    read_item(&b, 0x3fff, buf, 2); /* no such item */
    assert_memory_equal(buf, "\0\0", 2);
    assert_int_equal(bus_read(b.ports, FWCFG_PORT + 4, 4), 0x554d4551); /* "QEMU" */
    assert_int_equal(fwcfg_add_file(b.f, "opt/a", "x", 1, true), -EEXIST);
    assert_int_equal(fwcfg_add(b.f, FWCFG_ID, "x", 1, true), -EEXIST);
    assert_int_equal(fwcfg_add_file(b.f, "opt/a-name-of-fifty-six-characters-does-not-fit-any-more",
                                    "", 0, true),
                     -ENAMETOOLONG);
    close_config(&b);
}

static uint32_t be32(uint32_t v)
{
    return __builtin_bswap32(v);
}

/* Runs a request at `at` and returns what its control field became. */
static uint32_t dma(struct config_board *b, uint32_t at, uint32_t control, uint32_t len,
                    uint64_t addr)
{
    uint32_t rq[4] = {be32(control), be32(len), be32((uint32_t)(addr >> 32)), be32((uint32_t)addr)};
    uint32_t result;

    assert_int_equal(ram_write(b->ram, at, rq, sizeof(rq)), 0);
    bus_write(b->ports, FWCFG_PORT + 4, 0, 4);
    bus_write(b->ports, FWCFG_PORT + 8, be32(at), 4);
    assert_int_equal(ram_read(b->ram, at, &result, sizeof(result)), 0);
    return be32(result);
}

static void test_fwcfg_dma(void **state)
{
    struct config_board b;
    uint8_t buf[8];

    (void)state;
    open_config(&b);
    assert_int_equal(ram_write(b.ram, 0x2000, "xxxxxxxx", 8), 0);
    assert_int_equal(dma(&b, 0x1000, 0x20 << 16 | 8 | 2, 7, 0x2000), 0); /* select, read */
    assert_int_equal(ram_read(b.ram, 0x2000, buf, 8), 0);
    assert_memory_equal(buf, "hello\0\0x", 8);
    assert_int_equal(dma(&b, 0x1000, 0x21 << 16 | 8 | 4, 2, 0), 0); /* select, skip */
    assert_int_equal(dma(&b, 0x1000, 2, 4, 0x2000), 0);             /* read on */
    assert_int_equal(ram_read(b.ram, 0x2000, buf, 4), 0);
    assert_memory_equal(buf, "rld!", 4);
    /* Hostile: outside of memory, wrapping around, writing, request across the end. */
    assert_int_equal(dma(&b, 0x1000, 2, UINT32_MAX, 0x8000), 1);
    assert_int_equal(dma(&b, 0x1000, 2, 100, UINT64_MAX - 10), 1);
    assert_int_equal(dma(&b, 0x1000, 2, 100, RAM_SIZE - 10), 1);
    assert_int_equal(dma(&b, 0x1000, 16, 4, 0x2000), 1);
    bus_write(b.ports, FWCFG_PORT + 8, be32(RAM_SIZE - 8), 4);
    bus_write(b.ports, FWCFG_PORT + 4, UINT32_MAX, 4);
    bus_write(b.ports, FWCFG_PORT + 8, UINT32_MAX, 4);
    close_config(&b);
}

struct events {
    unsigned resets;
    uint32_t status;
    bool a20;
    uint8_t byte;
};

static void on_reset(void *opaque)
{
    struct events *e = opaque;

    e->resets++;
}

static void on_a20(void *opaque, bool level)
{
    struct events *e = opaque;

    e->a20 = level;
}

static void on_exit_status(void *opaque, uint32_t status)
{
    struct events *e = opaque;

    e->status = status;
}

static void on_byte(void *opaque, const uint8_t *buf, size_t len)
{
    struct events *e = opaque;

    assert_int_equal(len, 1);
    e->byte = *buf;
}

static void test_reset_ports(void **state)
{
    struct events e = {0};
    struct reset_ports_config cfg = {.reset = on_reset, .a20 = on_a20, .opaque = &e};
    struct reset_ports *r;
    struct bus *ports;

    (void)state;
    assert_int_equal(bus_create(&ports, 0x10000), 0);
    assert_int_equal(reset_ports_create(&cfg, &r), 0);
    assert_int_equal(reset_ports_map(r, ports), 0);
    assert_int_equal(bus_map(ports, 0xcf9, 1, &reset_ports_cf9_ops, r), 0);
    out(ports, 0xcf9, 0x02);
    assert_int_equal(e.resets, 0);
    out(ports, 0xcf9, 0x06);
    assert_int_equal(e.resets, 1);
    assert_int_equal(in(ports, 0xcf9), 0x06);
    out(ports, 0x92, 0x02);
    assert_true(e.a20);
    assert_int_equal(e.resets, 1);
    out(ports, 0x92, 0x01);
    assert_false(e.a20);
    assert_int_equal(e.resets, 2);
    reset_ports_device(r).ops->destroy(r);
    bus_destroy(ports);
}

static void test_exit_and_post(void **state)
{
    struct events e = {0};
    struct debug_exit_config exit_cfg = {.exit = on_exit_status, .opaque = &e};
    struct post_ports_config post_cfg = {.debug_tx = on_byte, .opaque = &e};
    struct debug_exit *d;
    struct post_ports *p;
    struct bus *ports;

    (void)state;
    assert_int_equal(bus_create(&ports, 0x10000), 0);
    assert_int_equal(debug_exit_create(&exit_cfg, &d), 0);
    assert_int_equal(debug_exit_map(d, ports, DEBUG_EXIT_PORT), 0);
    assert_int_equal(post_ports_create(&post_cfg, &p), 0);
    assert_int_equal(post_ports_map(p, ports), 0);
    out(ports, DEBUG_EXIT_PORT, 5);
    assert_int_equal(e.status, 11);
    bus_write(ports, DEBUG_EXIT_PORT, 0x100, 4);
    assert_int_equal(e.status, 0x201);
    out(ports, 0x80, 0x77);
    assert_int_equal(in(ports, 0x80), 0x77);
    assert_int_equal(in(ports, 0x402), 0xe9);
    out(ports, 0x402, 'x');
    assert_int_equal(e.byte, 'x');
    debug_exit_device(d).ops->destroy(d);
    post_ports_device(p).ops->destroy(p);
    bus_destroy(ports);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serial_back_pressure),
        cmocka_unit_test(test_serial_one_character_per_interrupt),
        cmocka_unit_test(test_fwcfg_ports),
        cmocka_unit_test(test_fwcfg_dma),
        cmocka_unit_test(test_reset_ports),
        cmocka_unit_test(test_exit_and_post),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
