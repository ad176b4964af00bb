/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A TPM's interface: localities, commands and answers, and what goes wrong with them. */
#include "test.h"

#include <string.h>

#include "base/bits.h"
#include "dev/chip/tpm_tis.h"

enum { ACCESS = 0, STS = 0x18, FIFO = 0x24, L1 = 0x1000, L4 = 0x4000 };
enum { READY = 0x40, GO = 0x20, DATA = 0x10, EXPECT = 8, RETRY = 2 };

static const uint8_t command[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0};
static const uint8_t answer[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, 0xab, 0xcd};

static uint8_t status(struct tpm_tis *t)
{
    return (uint8_t)tpm_tis_read(t, STS, 1);
}

static void put(struct tpm_tis *t, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        tpm_tis_write(t, FIFO, bytes[i], 1);
}

static void start(struct tpm_tis *t)
{
    tpm_tis_reset(t);
    assert_int_equal(tpm_tis_read(t, ACCESS, 1), 0x81);
    assert_int_equal(tpm_tis_read(t, STS, 4), 0xffffffff);
    tpm_tis_write(t, ACCESS, 2, 1);
    assert_int_equal(tpm_tis_read(t, ACCESS, 1), 0xa1);
    assert_int_equal(tpm_tis_read(t, STS, 4) >> 26, 1);
    tpm_tis_write(t, STS, READY, 1);
    assert_int_equal(status(t) & READY, READY);
}

static void test_command(void **state)
{
    struct tpm_tis t;

    start(&t);
    put(&t, command, 11);
    assert_int_equal(status(&t) & EXPECT, EXPECT);
    assert_false(tpm_tis_write(&t, STS, GO, 1)); /* not yet */
    put(&t, command + 11, 1);
    assert_int_equal(status(&t) & EXPECT, 0);
    assert_true(tpm_tis_write(&t, STS, GO, 1));
    assert_memory_equal(t.buffer, command, sizeof(command));
    assert_int_equal(status(&t) & DATA, 0);
    tpm_tis_answer(&t, answer, sizeof(answer));
    assert_int_equal(status(&t) & DATA, DATA);
    assert_int_equal(tpm_tis_read(&t, STS + 1, 2), sizeof(answer));
    assert_int_equal(tpm_tis_read(&t, FIFO, 4), 0x00000180);
    for (unsigned i = 4; i < sizeof(answer); i++)
        assert_int_equal(tpm_tis_read(&t, FIFO, 1), answer[i]);
    assert_int_equal(status(&t) & DATA, 0);
    assert_int_equal(tpm_tis_read(&t, FIFO, 1), 0xff);
    tpm_tis_write(&t, STS, RETRY, 1);
    assert_int_equal(tpm_tis_read(&t, FIFO, 1), 0x80);
    tpm_tis_write(&t, STS, READY, 1);
    assert_int_equal(status(&t) & (READY | DATA), READY);
}

/* A length that cannot be, an answer that is none, and one that is not waited for. */
static void test_mistakes(void **state)
{
    static const uint8_t huge[] = {0x80, 1, 0, 1, 0, 0, 0, 0, 1, 0x44};
    struct tpm_tis t;

    start(&t);
    put(&t, huge, sizeof(huge));
    assert_int_equal(status(&t) & EXPECT, 0);
    assert_false(tpm_tis_write(&t, STS, GO, 1));
    assert_int_equal(ld_be32(t.buffer + 6), TPM_RC_COMMAND_SIZE);
    assert_int_equal(status(&t) & DATA, DATA);
    tpm_tis_write(&t, STS, READY, 1);
    put(&t, command, sizeof(command));
    assert_true(tpm_tis_write(&t, STS, GO, 1));
    tpm_tis_answer(&t, answer, 9);
    assert_int_equal(ld_be32(t.buffer + 6), TPM_RC_FAILURE);
    tpm_tis_write(&t, STS, READY, 1);
    put(&t, command, sizeof(command));
    assert_true(tpm_tis_write(&t, STS, GO, 1));
    tpm_tis_write(&t, STS, READY, 1); /* cancelled */
    assert_int_equal(status(&t) & READY, 0);
    tpm_tis_answer(&t, answer, sizeof(answer));
    assert_int_equal(status(&t) & (READY | DATA), READY);
}

static void test_localities(void **state)
{
    struct tpm_tis t;

    start(&t);
    tpm_tis_write(&t, L1 + ACCESS, 2, 1);
    assert_int_equal(tpm_tis_read(&t, L1 + ACCESS, 1), 0x83); /* it waits */
    assert_int_equal(tpm_tis_read(&t, ACCESS, 1), 0xa5);
    put(&t, command, 3);
    tpm_tis_write(&t, L1 + STS, READY, 1); /* not its turn */
    assert_int_equal(t.count, 3);
    tpm_tis_write(&t, ACCESS, 0x20, 1);
    assert_int_equal(tpm_tis_read(&t, L1 + ACCESS, 1), 0xa1);
    assert_int_equal(t.count, 0);
    tpm_tis_write(&t, L4 + ACCESS, 8, 1);
    assert_int_equal(tpm_tis_read(&t, L4 + ACCESS, 1), 0xa1);
    assert_int_equal(tpm_tis_read(&t, L1 + ACCESS, 1), 0x91); /* it was seized */
    tpm_tis_write(&t, L1 + ACCESS, 0x10, 1);
    assert_int_equal(tpm_tis_read(&t, L1 + ACCESS, 1), 0x81);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_localities),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
