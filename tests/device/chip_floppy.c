/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The register models of the floppy disk and DMA controllers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/chip/i82077.h"
#include "dev/chip/i8237.h"

/* --- 8237 --- */

static void write16(struct i8237 *d, unsigned controller, unsigned reg, uint16_t value)
{
    i8237_write(d, controller, reg, (uint8_t)value);
    i8237_write(d, controller, reg, (uint8_t)(value >> 8));
}

/* Channel `channel` opened for `count` bytes or words at `address`, with the cascade open. */
static struct i8237 opened(unsigned channel, uint8_t mode, uint16_t address, uint16_t count)
{
    struct i8237 d;
    unsigned controller = channel / 4, at = channel % 4;

    i8237_reset(&d);
    i8237_write(&d, 1, 11, 0xc0);
    i8237_write(&d, 1, 10, 0);
    i8237_write(&d, controller, 12, 0);
    write16(&d, controller, 2 * at, address);
    write16(&d, controller, 2 * at + 1, (uint16_t)(count - 1));
    i8237_write(&d, controller, 11, (uint8_t)(mode | at));
    i8237_write(&d, controller, 10, (uint8_t)at);
    return d;
}

static void test_dma_moves(void **state)
{
    struct i8237 d = opened(2, 0x44, 0x1234, 100);
    uint32_t address;
    bool verify;

    d.page[1] = 0x56;
    assert_int_equal(i8237_next(&d, 2, I8237_TO_MEMORY, &address, &verify), 100);
    assert_int_equal(address, 0x561234);
    assert_false(verify);
    assert_int_equal(i8237_next(&d, 2, I8237_FROM_MEMORY, &address, &verify), 0);
    assert_false(i8237_moved(&d, 2, 99));
    assert_int_equal(i8237_read(&d, 0, 8), 0);
    assert_true(i8237_moved(&d, 2, 1));
    assert_int_equal(i8237_next(&d, 2, I8237_TO_MEMORY, &address, &verify), 0); /* masked */
    assert_int_equal(i8237_read(&d, 0, 8), 1 << 2);
    assert_int_equal(i8237_read(&d, 0, 8), 0); /* a read clears it */
    assert_int_equal(i8237_read(&d, 0, 4), 0x98);
    assert_int_equal(i8237_read(&d, 0, 4), 0x12);
    assert_int_equal(i8237_read(&d, 0, 5), 0xff);
    assert_int_equal(i8237_read(&d, 0, 5), 0xff);
}

static void test_dma_wraps(void **state)
{
    struct i8237 d = opened(1, 0x58, 0xfff0, 0x40); /* auto-initialize, from memory */
    uint32_t address;
    bool verify;

    assert_int_equal(i8237_next(&d, 1, I8237_FROM_MEMORY, &address, &verify), 0x10);
    assert_false(i8237_moved(&d, 1, 0x10));
    assert_int_equal(i8237_next(&d, 1, I8237_FROM_MEMORY, &address, &verify), 0x30);
    assert_int_equal(address, 0);
    assert_true(i8237_moved(&d, 1, 0x30));
    assert_int_equal(i8237_next(&d, 1, I8237_FROM_MEMORY, &address, &verify), 0x10);
    assert_int_equal(address, 0xfff0);
}

static void test_dma_words(void **state)
{
    struct i8237 d = opened(5, 0x44, 0x8000, 4);
    uint32_t address;
    bool verify;

    d.page[11] = 0x13;
    assert_int_equal(i8237_next(&d, 5, I8237_TO_MEMORY, &address, &verify), 8);
    assert_int_equal(address, 0x130000);
    d.page[11] = 0x12; /* bit 0 of the page is the address's bit 15 */
    assert_int_equal(i8237_next(&d, 5, I8237_TO_MEMORY, &address, &verify), 8);
    assert_int_equal(address, 0x130000);
    assert_true(i8237_moved(&d, 5, 8));
}

static void test_dma_gates(void **state)
{
    struct i8237 d = opened(2, 0x44, 0, 16);
    uint32_t address;
    bool verify;

    i8237_write(&d, 1, 10, 4); /* the cascade */
    assert_int_equal(i8237_next(&d, 2, I8237_TO_MEMORY, &address, &verify), 0);
    i8237_write(&d, 1, 14, 0);
    assert_int_equal(i8237_next(&d, 2, I8237_TO_MEMORY, &address, &verify), 16);
    i8237_write(&d, 0, 8, 4); /* disabled */
    assert_int_equal(i8237_next(&d, 2, I8237_TO_MEMORY, &address, &verify), 0);
    i8237_write(&d, 0, 13, 0);
    assert_int_equal(i8237_read(&d, 0, 15) & 0x0f, 0x0f);
    i8237_write(&d, 0, 15, 0x0b);
    i8237_write(&d, 0, 11, 0x42); /* verify */
    assert_int_equal(i8237_next(&d, 2, I8237_TO_MEMORY, &address, &verify), 16);
    assert_true(verify);
}

/* --- 82077AA --- */

static struct fdc started(unsigned kilobytes)
{
    struct fdc f = {0};
    struct fdc_medium m;

    f.drive[0].present = f.drive[1].present = true;
    assert_int_not_equal(fdc_format((uint64_t)kilobytes << 10, &m), 0);
    fdc_set_medium(&f, 0, &m);
    fdc_reset(&f);
    fdc_write(&f, FDC_DOR, 0x1c);
    fdc_write(&f, FDC_DIR, m.rate);
    return f;
}

static void put(struct fdc *f, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(fdc_read(f, FDC_MSR) & 0xc0, 0x80);
        fdc_write(f, FDC_FIFO, bytes[i]);
    }
}

#define COMMAND(f, ...) \
    put(f, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void result(struct fdc *f, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(fdc_read(f, FDC_MSR) & 0xd0, 0xd0);
        assert_int_equal(fdc_read(f, FDC_FIFO), bytes[i]);
    }
    assert_int_equal(fdc_read(f, FDC_MSR), 0x80);
}

#define RESULT(f, ...) \
    result(f, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* The sector that it wants; its first byte becomes `mark`. */
static void load(struct fdc *f, uint64_t offset, uint8_t mark)
{
    struct fdc_io io;

    assert_true(fdc_io(f, &io));
    assert_false(io.write);
    assert_int_equal(io.offset, offset);
    f->data[0] = mark;
    fdc_io_done(f, 0);
}

static void take(struct fdc *f, uint8_t mark, bool end)
{
    const uint8_t *from = NULL;

    assert_int_equal(fdc_dma(f, &from), FDC_SECTOR);
    assert_non_null(from);
    assert_int_equal(from[0], mark);
    fdc_dma_done(f, NULL, FDC_SECTOR, end);
}

static void test_formats(void **state)
{
    static const uint16_t sizes[] = {160, 180, 320, 360, 720, 800, 1200, 1440, 1600, 1680, 2880};
    struct fdc_medium m;

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_not_equal(fdc_format((uint64_t)sizes[i] << 10, &m), 0);
        assert_int_equal(m.cylinders * m.heads * m.sectors * 512, sizes[i] << 10);
    }
    assert_int_equal(fdc_format(1000, &m), 0);
}

static void test_reset(void **state)
{
    struct fdc f = started(1440);

    assert_true(fdc_irq(&f));
    for (uint8_t i = 0; i < 4; i++) {
        COMMAND(&f, 0x08);
        assert_false(fdc_irq(&f));
        RESULT(&f, 0xc0 | i, 0);
    }
    COMMAND(&f, 0x08);
    RESULT(&f, 0x80);
    COMMAND(&f, 0x10);
    RESULT(&f, 0x90);
    COMMAND(&f, 0x18); /* PART ID came later */
    RESULT(&f, 0x80);
    fdc_write(&f, FDC_DOR, 0);
    assert_int_equal(fdc_read(&f, FDC_MSR), 0);
}

static void test_lock(void **state)
{
    struct fdc f = started(1440);

    COMMAND(&f, 0x13, 0, 0x0a, 7);
    COMMAND(&f, 0x94);
    RESULT(&f, 0x10);
    fdc_write(&f, FDC_MSR, 0x80);
    COMMAND(&f, 0x03, 0xdf, 2);
    COMMAND(&f, 0x0e);
    RESULT(&f, 0, 0, 0, 0, 0xdf, 2, 0, 0x80, 0x0a, 7);
    COMMAND(&f, 0x14);
    RESULT(&f, 0);
    fdc_write(&f, FDC_MSR, 0x80);
    COMMAND(&f, 0x0e);
    RESULT(&f, 0, 0, 0, 0, 0xdf, 2, 0, 0, 0x20, 0);
}

static void test_seek(void **state)
{
    struct fdc f = started(1440);

    for (uint8_t i = 0; i < 4; i++) {
        COMMAND(&f, 0x08);
        RESULT(&f, 0xc0 | i, 0);
    }
    assert_int_equal(fdc_read(&f, FDC_DIR), 0x80); /* changed until it steps */
    COMMAND(&f, 0x0f, 0, 17);
    assert_true(fdc_irq(&f));
    COMMAND(&f, 0x08);
    RESULT(&f, 0x20, 17);
    assert_int_equal(fdc_read(&f, FDC_DIR), 0);
    COMMAND(&f, 0x8f, 0, 7);
    COMMAND(&f, 0x08);
    RESULT(&f, 0x20, 10);
    COMMAND(&f, 0x04, 0);
    RESULT(&f, 0x28);
    COMMAND(&f, 0x07, 0);
    COMMAND(&f, 0x08);
    RESULT(&f, 0x20, 0);
    COMMAND(&f, 0x04, 0);
    RESULT(&f, 0x38);
    fdc_write(&f, FDC_DOR, 0x2d); /* the other drive, without a disk */
    COMMAND(&f, 0x07, 1);
    assert_int_equal(fdc_read(&f, FDC_DIR), 0x80);
}

/* Both heads, until the host has what it wants. */
static void test_read(void **state)
{
    struct fdc f = started(1440);

    COMMAND(&f, 0x0f, 0, 5);
    COMMAND(&f, 0xe6, 0, 5, 0, 17, 2, 18, 0x1b, 0xff);
    assert_int_equal(fdc_read(&f, FDC_MSR), 0x10);
    load(&f, (5 * 36 + 16) * 512, 1);
    take(&f, 1, false);
    load(&f, (5 * 36 + 17) * 512, 2);
    take(&f, 2, false);
    load(&f, (5 * 36 + 18) * 512, 3);
    assert_false(fdc_irq(&f));
    take(&f, 3, true);
    assert_true(fdc_irq(&f));
    RESULT(&f, 0x04, 0, 0, 5, 1, 2, 2);
    assert_false(fdc_irq(&f));
}

/* One head's last sector without a terminal count, and through the FIFO. */
static void test_pio(void **state)
{
    struct fdc f = started(720);

    COMMAND(&f, 0x03, 0xdf, 3);
    COMMAND(&f, 0x46, 4, 0, 1, 9, 2, 9, 0x1b, 0xff);
    load(&f, 17 * 512, 0x5a);
    assert_int_equal(fdc_read(&f, FDC_MSR), 0xf0);
    assert_true(fdc_irq(&f));
    assert_int_equal(fdc_read(&f, FDC_FIFO), 0x5a);
    for (unsigned i = 1; i < FDC_SECTOR; i++)
        (void)fdc_read(&f, FDC_FIFO);
    RESULT(&f, 0x44, 0x80, 0, 1, 1, 1, 2);
}

static void store(struct fdc *f, uint8_t mark, bool end, uint64_t offset)
{
    uint8_t data[FDC_SECTOR] = {mark};
    const uint8_t *from = data;
    struct fdc_io io;

    assert_int_equal(fdc_dma(f, &from), FDC_SECTOR);
    assert_null(from);
    fdc_dma_done(f, data, sizeof(data), end);
    assert_true(fdc_io(f, &io));
    assert_true(io.write);
    assert_int_equal(io.offset, offset);
    assert_int_equal(f->data[0], mark);
    fdc_io_done(f, 0);
}

static void test_write(void **state)
{
    struct fdc f = started(1440);

    COMMAND(&f, 0x45, 0, 0, 0, 3, 2, 18, 0x1b, 0xff);
    store(&f, 0x11, false, 2 * 512);
    store(&f, 0x22, true, 3 * 512);
    RESULT(&f, 0, 0, 0, 0, 0, 5, 2);
    f.drive[0].medium.readonly = true;
    COMMAND(&f, 0x45, 0, 0, 0, 3, 2, 18, 0x1b, 0xff);
    RESULT(&f, 0x40, 2, 0, 0, 0, 3, 2);
    COMMAND(&f, 0x04, 0);
    RESULT(&f, 0x78);
}

static void test_format(void **state)
{
    struct fdc f = started(360);
    const uint8_t *from;
    struct fdc_io io;

    COMMAND(&f, 0x4d, 0, 2, 9, 0x50, 0xf6);
    for (uint8_t i = 1; i <= 9; i++) {
        const uint8_t id[4] = {0, 0, i, 2};

        assert_int_equal(fdc_dma(&f, &from), 4);
        fdc_dma_done(&f, id, 4, i == 9);
        assert_true(fdc_io(&f, &io));
        assert_true(io.write);
        assert_int_equal(io.offset, (i - 1) * 512);
        assert_int_equal(f.data[511], 0xf6);
        fdc_io_done(&f, 0);
    }
    assert_int_equal(f.phase, FDC_RESULT);
    assert_int_equal(f.fifo[0], 0);
}

static void test_scan(void **state)
{
    struct fdc f = started(1440);
    uint8_t host[FDC_SECTOR] = {7};
    const uint8_t *from;

    for (uint8_t disk = 6; disk <= 8; disk++) { /* low or equal */
        COMMAND(&f, 0x59, 0, 0, 0, 1, 2, 1, 0x1b, 1);
        memset(f.data, 0, sizeof(f.data));
        load(&f, 0, disk);
        assert_int_equal(fdc_dma(&f, &from), FDC_SECTOR);
        fdc_dma_done(&f, host, sizeof(host), false);
        RESULT(&f, 0, 0, disk < 7 ? 0 : disk == 7 ? 8 : 4, 1, 0, 1, 2);
    }
}

/* What is wrong is told: other cylinder, no such sector, other data rate, no disk, no head. */
static void test_errors(void **state)
{
    struct fdc f = started(1440);
    const struct fdc_medium none = {0};

    COMMAND(&f, 0x46, 0, 3, 0, 1, 2, 18, 0x1b, 0xff);
    RESULT(&f, 0x40, 4, 0x10, 3, 0, 1, 2);
    COMMAND(&f, 0x46, 0, 0, 0, 19, 2, 21, 0x1b, 0xff);
    RESULT(&f, 0x40, 4, 0, 0, 0, 19, 2);
    fdc_write(&f, FDC_DIR, 2);
    COMMAND(&f, 0x4a, 0);
    RESULT(&f, 0x40, 1, 0, 0, 0, 1, 2);
    fdc_write(&f, FDC_DIR, 0);
    COMMAND(&f, 0x4a, 4);
    RESULT(&f, 0x04, 0, 0, 0, 1, 1, 2);
    COMMAND(&f, 0x13, 0, 0x40, 0); /* implied seek */
    COMMAND(&f, 0x46, 0, 3, 0, 1, 2, 18, 0x1b, 0xff);
    load(&f, 3 * 36 * 512, 0);
    fdc_set_medium(&f, 0, &none);
    take(&f, 0, true);
    RESULT(&f, 0, 0, 0, 3, 0, 2, 2);
    COMMAND(&f, 0x4a, 0);
    RESULT(&f, 0x40, 1, 0, 3, 0, 1, 2);
    COMMAND(&f, 0x46, 0, 3, 0, 1, 2, 18, 0x1b, 0xff);
    RESULT(&f, 0x40, 1, 0, 3, 0, 1, 2);
}

static void test_io_error(void **state)
{
    struct fdc f = started(1440);

    COMMAND(&f, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    fdc_io_done(&f, -5);
    RESULT(&f, 0x40, 0x20, 0x20, 0, 0, 1, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dma_moves), cmocka_unit_test(test_dma_wraps),
        cmocka_unit_test(test_dma_words), cmocka_unit_test(test_dma_gates),
        cmocka_unit_test(test_formats),   cmocka_unit_test(test_reset),
        cmocka_unit_test(test_lock),      cmocka_unit_test(test_seek),
        cmocka_unit_test(test_read),      cmocka_unit_test(test_pio),
        cmocka_unit_test(test_write),     cmocka_unit_test(test_format),
        cmocka_unit_test(test_scan),      cmocka_unit_test(test_errors),
        cmocka_unit_test(test_io_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
