/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Field tables: round trip, versions, and records that were cut, changed or made up. */
#include "test.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "state/state.h"

struct channel {
    uint16_t count;
    uint8_t mode;
    bool gate;
};

struct chip {
    void *lock; /* not state */
    bool on;
    uint8_t index;
    uint16_t port;
    uint32_t word[3];
    uint64_t when;
    struct channel channel[2];
    char *name; /* not state, between fields */
    uint8_t ram[16];
    uint32_t late; /* since version 2 */
};

static int check_channel(const void *object, struct err *e)
{
    const struct channel *c = object;

    if (c->mode == 3 && !c->gate)
        return err_set(e, EINVAL, "mode 3 needs its gate");
    return 0;
}

static const struct state_field channel_fields[] = {
    STATE_U16_F(struct channel, count),
    STATE_MAX_F(struct channel, mode, STATE_U8, 5),
    STATE_BOOL_F(struct channel, gate),
    STATE_END_F,
};
static const struct state_table channel_table = {
    .name = "channel",
    .version = 1,
    .fields = channel_fields,
    .validate = check_channel,
};
static const struct state_field chip_fields[] = {
    STATE_BOOL_F(struct chip, on),
    STATE_U8_F(struct chip, index),
    STATE_U16_F(struct chip, port),
    STATE_ARRAY_F(struct chip, word, STATE_U32, 3),
    STATE_U64_F(struct chip, when),
    STATE_STRUCT_F(struct chip, channel, 2, &channel_table),
    STATE_BYTES_F(struct chip, ram),
    {.name = "late",
     .type = STATE_U32,
     .since = 2,
     .offset = offsetof(struct chip, late),
     .size = 4,
     .count = 1},
    STATE_END_F,
};
static const struct state_table chip_table = {.name = "chip", .version = 2, .fields = chip_fields};

/* The first version of the same chip. */
static const struct state_field chip_fields_1[] = {
    STATE_BYTES_F(struct chip, ram), STATE_STRUCT_F(struct chip, channel, 2, &channel_table),
    STATE_U64_F(struct chip, when),  STATE_ARRAY_F(struct chip, word, STATE_U32, 3),
    STATE_U16_F(struct chip, port),  STATE_U8_F(struct chip, index),
    STATE_BOOL_F(struct chip, on),   STATE_END_F,
};
static const struct state_table chip_table_1 = {
    .name = "chip", .version = 1, .fields = chip_fields_1};

static struct chip sample(void)
{
    struct chip c = {
        .on = true,
        .index = 0xfe,
        .port = 0x3f8,
        .word = {1, UINT32_MAX, 3},
        .when = UINT64_MAX - 1,
        .channel = {{.count = 100, .mode = 3, .gate = true}, {.count = 7}},
        .late = 77,
    };

    for (unsigned i = 0; i < sizeof(c.ram); i++)
        c.ram[i] = (uint8_t)(i * 3);
    return c;
}

/* Field by field: padding does not count. */
static void assert_same(const struct chip *a, const struct chip *b)
{
    uint8_t *x, *y;
    size_t xlen, ylen;

    assert_int_equal(state_save(&chip_table, a, &x, &xlen), 0);
    assert_int_equal(state_save(&chip_table, b, &y, &ylen), 0);
    assert_int_equal(xlen, ylen);
    assert_memory_equal(x, y, xlen);
    free(x);
    free(y);
}

static void test_round_trip(void **state)
{
    struct chip a = sample(), b = {.lock = &a, .name = (char *)&b};
    uint8_t *buf;
    size_t len;
    struct err e;

    assert_int_equal(state_save(&chip_table, &a, &buf, &len), 0);
    assert_int_equal(state_load(&chip_table, &b, buf, len, &e), 0);
    assert_same(&a, &b);
    assert_int_equal(b.word[1], UINT32_MAX);
    assert_int_equal(b.channel[0].count, 100);
    assert_true(b.when == UINT64_MAX - 1);
    /* What is no field stays as it was. */
    assert_ptr_equal(b.lock, &a);
    assert_ptr_equal(b.name, &b);
    free(buf);
}

static void test_versions(void **state)
{
    struct chip a = sample(), b = {.late = 5};
    uint8_t *buf;
    size_t len;
    struct err e;

    /* An older record, with its fields in another order: the new field keeps its reset value. */
    assert_int_equal(state_save(&chip_table_1, &a, &buf, &len), 0);
    assert_int_equal(state_load(&chip_table, &b, buf, len, &e), 0);
    assert_int_equal(b.late, 5);
    assert_int_equal(b.port, 0x3f8);
    free(buf);
    /* A newer one is refused. */
    assert_int_equal(state_save(&chip_table, &a, &buf, &len), 0);
    assert_int_equal(state_load(&chip_table_1, &b, buf, len, &e), -EINVAL);
    assert_non_null(strstr(e.text, "version 2"));
    /* One that says version 1 but has the newer field, too: byte 9 is the version. */
    buf[4 + 1 + 4] = 1;
    assert_int_equal(state_load(&chip_table, &b, buf, len, &e), -EINVAL);
    assert_non_null(strstr(e.text, "late"));
    free(buf);
}

static void expect_refused(const uint8_t *buf, size_t len)
{
    struct chip b, before;
    struct err e = {0};
    /* A heap copy of the exact size, so that a sanitizer sees a read beyond the end. */
    uint8_t *exact = malloc(len != 0 ? len : 1);

    memset(&b, 0x55, sizeof(b));
    b.on = false;
    before = b;
    memcpy(exact, buf, len);
    assert_int_equal(state_load(&chip_table, &b, exact, len, &e), -EINVAL);
    assert_true(e.text[0] != '\0');
    assert_memory_equal(&b, &before, sizeof(b));
    free(exact);
}

static void test_truncated(void **state)
{
    struct chip a = sample();
    uint8_t *buf, *longer;
    size_t len;

    assert_int_equal(state_save(&chip_table, &a, &buf, &len), 0);
    for (size_t n = 0; n < len; n++)
        expect_refused(buf, n);
    longer = calloc(1, len + 1);
    memcpy(longer, buf, len);
    expect_refused(longer, len + 1);
    free(longer);
    free(buf);
}

/* Every single-byte change is refused or gives another legal object; nothing else happens. */
static void test_mutated(void **state)
{
    struct chip a = sample();
    uint8_t *buf;
    size_t len;
    struct err e;
    unsigned refused = 0, accepted = 0;

    assert_int_equal(state_save(&chip_table, &a, &buf, &len), 0);
    for (size_t at = 0; at < len; at++) {
        for (unsigned x = 1; x < 256; x++) {
            struct chip b = {0};

            buf[at] ^= (uint8_t)x;
            if (state_load(&chip_table, &b, buf, len, &e) == 0) {
                accepted++;
                assert_true(b.channel[0].mode <= 5 && b.channel[1].mode <= 5);
                assert_true(b.channel[0].mode != 3 || b.channel[0].gate);
            } else {
                refused++;
            }
            buf[at] ^= (uint8_t)x;
        }
    }
    assert_true(refused > 0 && accepted > 0);
    free(buf);
}

/* Random bytes, and random changes of several bytes. */
static void test_fuzz(void **state)
{
    struct chip a = sample();
    uint8_t *buf, *copy;
    size_t len;
    unsigned seed = 7;

    assert_int_equal(state_save(&chip_table, &a, &buf, &len), 0);
    copy = malloc(len);
    for (unsigned i = 0; i < 20000; i++) {
        struct chip b = {0};
        struct err e;
        size_t n = (unsigned)rand_r(&seed) % (len + 1);

        memcpy(copy, buf, len);
        for (unsigned k = 0; k < 1 + i % 8; k++)
            copy[(unsigned)rand_r(&seed) % len] = (uint8_t)rand_r(&seed);
        (void)!state_load(&chip_table, &b, copy, i & 1 ? len : n, &e);
    }
    free(copy);
    free(buf);
}

/* Finds the payload of a field: after its name, type, count and length. */
static uint8_t *payload(uint8_t *buf, size_t len, const char *name)
{
    uint8_t *p = memmem(buf, len, name, strlen(name));

    assert_non_null(p);
    return p + strlen(name) + 1 + 4 + 4;
}

static void test_ranges(void **state)
{
    struct chip a = sample();
    uint8_t *buf;
    size_t len;

    assert_int_equal(state_save(&chip_table, &a, &buf, &len), 0);
    *payload(buf, len, "mode") = 6;
    expect_refused(buf, len);
    *payload(buf, len, "mode") = 3;
    *payload(buf, len, "gate") = 2;
    expect_refused(buf, len);
    *payload(buf, len, "gate") = 0; /* the validate hook's business */
    expect_refused(buf, len);
    *payload(buf, len, "gate") = 1;
    st_le32(payload(buf, len, "when") - 4, UINT32_MAX);
    expect_refused(buf, len);
    st_le32(payload(buf, len, "when") - 4, 0);
    expect_refused(buf, len);
    st_le32(payload(buf, len, "when") - 4, 8);
    memcpy(payload(buf, len, "when") - 4 - 4 - 1 - 4, "port", 4); /* twice port, no when */
    expect_refused(buf, len);
    free(buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_versions),
        cmocka_unit_test(test_truncated),  cmocka_unit_test(test_mutated),
        cmocka_unit_test(test_fuzz),       cmocka_unit_test(test_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
