/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A logical unit with an image: those who wait for requests to end. */
#include "test.h"

#include <string.h>

#include "dev/scsi/scsi_unit.h"
#include "suite_env.h"
#include "temp_disk.h"

#define RAM_SIZE (1u << 20)

struct command {
    struct scsi_request r;
    struct iovec iov;
    gpa_t gpa;
    unsigned at;          /* which event its end was; 0: it has not ended */
    struct command *next; /* is submitted then */
};

struct waiter {
    struct scsi_wait w;
    unsigned at;
};

static struct suite_env env;
static struct block_backend *disk;
static struct scsi_lun lun;
static struct scsi_unit unit;
static unsigned events;

static int setup(void **state)
{
    struct scsi_unit_config cfg;

    suite_env_init(&env, RAM_SIZE);
    disk = temp_disk(1 << 20);
    cfg = (struct scsi_unit_config){.lun = &lun, .loop = env.loop, .ram = env.ram};
    assert_int_equal(scsi_unit_init(&unit, &cfg, SCSI_DISK, disk, NULL), 0);
    lun.attention = 0;
    events = 0;
    return 0;
}

static int teardown(void **state)
{
    scsi_unit_finish(&unit);
    block_close(disk);
    suite_env_finish(&env);
    return 0;
}

static void submit(struct command *c);

static void on_done(struct scsi_request *r)
{
    struct command *c = r->opaque;

    assert_int_equal(r->status, SCSI_GOOD);
    c->at = ++events;
    if (c->next != NULL)
        submit(c->next);
}

static void submit(struct command *c)
{
    c->r.done = on_done;
    c->r.opaque = c;
    c->r.in = (struct scsi_buffer){.iov = &c->iov, .gpa = &c->gpa};
    assert_true(scsi_buffer_add(&c->r.in, 1, env.ram, 0, SCSI_BLOCK, true));
    scsi_submit(&unit, &c->r);
}

static struct command *reading(struct command *c)
{
    static const uint8_t read[SCSI_CDB] = {0x28, [8] = 1};

    memset(c, 0, sizeof(*c));
    memcpy(c->r.cdb, read, sizeof(read));
    return c;
}

static void on_ended(struct scsi_wait *w)
{
    ((struct waiter *)w->opaque)->at = ++events;
}

static void wait_for_all(struct waiter *w)
{
    *w = (struct waiter){.w = {.ended = on_ended, .opaque = w}};
    scsi_unit_when_ended(&unit, &w->w);
}

/* Nobody who waits keeps the caller: it ends with what was under way, or at once. */
static void waits(void **state)
{
    static struct command slow, quick;
    struct waiter idle, first, second;

    wait_for_all(&idle);
    assert_int_equal(idle.at, 1);
    submit(reading(&slow));
    wait_for_all(&first);
    memset(&quick, 0, sizeof(quick)); /* TEST UNIT READY */
    submit(&quick);
    assert_int_equal(quick.at, 2);
    wait_for_all(&second);
    assert_int_equal(first.at, 0);
    assert_int_equal(second.at, 0);
    scsi_unit_drain(&unit);
    assert_int_equal(slow.at, 3);
    assert_int_equal(first.at, 4);
    assert_int_equal(second.at, 5);
}

/* What is submitted later is not waited for, or a host that never stops would have it wait forever.
 */
static void later(void **state)
{
    static struct command commands[3];
    struct waiter first, second;

    for (unsigned i = 3; i-- > 0;)
        reading(&commands[i])->next = i < 2 ? &commands[i + 1] : NULL;
    submit(&commands[0]);
    wait_for_all(&first);
    wait_for_all(&second);
    scsi_unit_drain(&unit);
    assert_int_equal(commands[0].at, 1);
    assert_int_equal(first.at, 2);
    assert_int_equal(commands[1].at, 3);
    assert_int_equal(second.at, 4);
    assert_int_equal(commands[2].at, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(waits, setup, teardown),
        cmocka_unit_test_setup_teardown(later, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
