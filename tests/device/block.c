/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block back ends, with io_uring and with threads: transfers against a model in memory, flush,
 * discard, write zeroes, snapshots, locks, and the sentences for images that cannot be used.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "block/block.h"

#define SIZE (1u << 20)
#define SECTORS (SIZE / BLOCK_SECTOR)
#define SLOTS 16
#define PIECES 5

struct env {
    char path[64];
    struct loop *loop;
    struct block_backend *b;
    struct block_channel *c;
    uint8_t *model;
    unsigned batches;
};

static void batch_end(void *opaque)
{
    struct env *v = opaque;
    v->batches++;
}

static void fill(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)rand();
}

static void write_file(const char *path, const uint8_t *data, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), n);
    close(fd);
}

static void read_file(const char *path, uint8_t *data, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, data, n), n);
    close(fd);
}

static int setup(void **state)
{
    struct env *v = calloc(1, sizeof(*v));
    strcpy(v->path, "/tmp/test-block-XXXXXX");
    int fd = mkstemp(v->path);
    assert_true(fd >= 0);
    close(fd);
    srand(3);
    v->model = malloc(SIZE);
    fill(v->model, SIZE);
    write_file(v->path, v->model, SIZE);
    assert_int_equal(loop_create(&v->loop), 0);
    *state = v;
    return 0;
}

static void open_channel(struct env *v, struct block_options o)
{
    struct err e = {0};
    o.path = v->path;
    assert_int_equal(block_open(&o, &v->b, &e), 0);
    assert_int_equal(block_channel_open(v->b, v->loop, batch_end, v, &v->c), 0);
    if (o.aio == BLOCK_AIO_THREADS)
        assert_false(block_channel_uring(v->c));
}

static void close_channel(struct env *v)
{
    block_channel_close(v->c);
    block_close(v->b);
    v->c = NULL;
    v->b = NULL;
}

static int teardown(void **state)
{
    struct env *v = *state;
    close_channel(v);
    loop_destroy(v->loop);
    unlink(v->path);
    free(v->model);
    free(v);
    return 0;
}

static void store_result(struct block_req *r, int result)
{
    *(int *)r->opaque = result;
}

/* One request, waited for. */
static int one(struct env *v, enum block_op op, uint64_t offset, void *buf, uint64_t bytes)
{
    int result = 1;
    struct iovec iov = {buf, bytes};
    struct block_req r = {.op = op,
                          .offset = offset,
                          .bytes = bytes,
                          .iov = &iov,
                          .iov_count = buf != NULL,
                          .done = store_result,
                          .opaque = &result};
    block_submit(v->c, &r);
    block_drain(v->c);
    assert_true(result <= 0);
    return result;
}

static bool have_uring(struct env *v)
{
    struct block_options o = {.path = v->path, .aio = BLOCK_AIO_URING};
    struct err e;
    assert_int_equal(block_open(&o, &v->b, &e), 0);
    int r = block_channel_open(v->b, v->loop, batch_end, v, &v->c);
    close_channel(v);
    if (r < 0)
        print_message("io_uring is not available here: only threads are tested\n");
    return r == 0;
}

/* --- random requests, several in flight, none overlapping another --- */

struct slot {
    struct block_req r;
    struct env *v;
    bool busy;
    uint64_t first, count; /* sectors */
    uint8_t *data;
    struct iovec iov[PIECES];
};

static void check_done(struct block_req *r, int result)
{
    struct slot *s = r->opaque;
    uint8_t *model = s->v->model + r->offset;
    assert_int_equal(result, 0);
    if (r->op == BLOCK_READ)
        assert_memory_equal(s->data, model, r->bytes);
    else if (r->op == BLOCK_WRITE)
        memcpy(model, s->data, r->bytes);
    else if (r->op == BLOCK_WRITE_ZEROES)
        memset(model, 0, r->bytes);
    s->busy = false;
}

static void start_random(struct env *v, struct slot *s, unsigned index, bool writes)
{
    static const enum block_op ops[] = {BLOCK_READ,  BLOCK_READ,  BLOCK_WRITE,
                                        BLOCK_WRITE, BLOCK_FLUSH, BLOCK_WRITE_ZEROES};
    uint64_t part = SECTORS / SLOTS, at = (uint64_t)rand() % part;
    s->v = v;
    s->busy = true;
    s->first = index * part + at;
    s->count = 1 + (uint64_t)rand() % (part - at);
    s->r = (struct block_req){.op = writes ? ops[rand() % 6] : BLOCK_READ,
                              .unmap = rand() % 2 != 0,
                              .durable = rand() % 8 == 0,
                              .offset = s->first * BLOCK_SECTOR,
                              .bytes = s->count * BLOCK_SECTOR,
                              .iov = s->iov,
                              .iov_count = PIECES,
                              .done = check_done,
                              .opaque = s};
    if (s->r.op == BLOCK_WRITE)
        fill(s->data, s->r.bytes);
    size_t left = s->r.bytes;
    uint8_t *p = s->data;
    for (unsigned i = 0; i < PIECES; i++) {
        size_t n = i + 1 == PIECES ? left : (size_t)rand() % (left + 1);
        s->iov[i] = (struct iovec){p, n};
        p += n;
        left -= n;
    }
    block_submit(v->c, &s->r);
}

static void random_requests(struct env *v, bool writes)
{
    struct slot slots[SLOTS] = {0};
    for (unsigned i = 0; i < SLOTS; i++)
        slots[i].data = malloc(SIZE / SLOTS);
    for (unsigned round = 0; round < 300; round++) {
        for (unsigned i = 0; i < SLOTS; i++)
            if (!slots[i].busy && rand() % 2 == 0)
                start_random(v, &slots[i], i, writes);
        block_kick(v->c);
        if (rand() % 4 == 0)
            block_drain(v->c);
    }
    block_drain(v->c);
    for (unsigned i = 0; i < SLOTS; i++) {
        assert_false(slots[i].busy);
        free(slots[i].data);
    }
    assert_true(v->batches > 0);
    uint8_t *all = malloc(SIZE);
    assert_int_equal(one(v, BLOCK_READ, 0, all, SIZE), 0);
    assert_memory_equal(all, v->model, SIZE);
    free(all);
}

static void transfers(struct env *v, enum block_aio aio)
{
    uint8_t *file = malloc(SIZE), *before = malloc(SIZE);
    open_channel(v, (struct block_options){.aio = aio});
    assert_int_equal(block_size(v->b), SIZE);
    assert_false(block_readonly(v->b));
    random_requests(v, true);
    assert_int_equal(one(v, BLOCK_FLUSH, 0, NULL, 0), 0);
    close_channel(v);
    read_file(v->path, file, SIZE);
    assert_memory_equal(file, v->model, SIZE);

    memcpy(before, v->model, SIZE);
    open_channel(v, (struct block_options){.aio = aio, .snapshot = true});
    assert_false(block_readonly(v->b));
    random_requests(v, true);
    close_channel(v);
    read_file(v->path, file, SIZE); /* the image is as it was */
    assert_memory_equal(file, before, SIZE);
    memcpy(v->model, before, SIZE);

    open_channel(v, (struct block_options){.aio = aio, .readonly = true});
    assert_true(block_readonly(v->b));
    random_requests(v, false);
    assert_int_equal(one(v, BLOCK_WRITE, 0, file, 512), -EROFS);
    assert_int_equal(one(v, BLOCK_WRITE_ZEROES, 0, NULL, 512), -EROFS);
    assert_int_equal(one(v, BLOCK_FLUSH, 0, NULL, 0), 0);
    close_channel(v);
    free(file);
    free(before);
}

static void with_threads(void **state)
{
    transfers(*state, BLOCK_AIO_THREADS);
}

static void with_uring(void **state)
{
    if (!have_uring(*state))
        skip();
    transfers(*state, BLOCK_AIO_URING);
}

static void with_either(void **state)
{
    transfers(*state, BLOCK_AIO_AUTO);
}

/* The rest of the process's life without a system call: it gives `error`. */
static void refuse(unsigned nr, unsigned error)
{
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog p = {.len = 4, .filter = f};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, 2, &p) < 0)
        _exit(99);
}

/* Containers refuse io_uring in several ways; none of them is an error for us. */
static void without_uring(void **state)
{
    static const unsigned ways[][2] = {
        {__NR_io_uring_setup, EPERM}, {__NR_io_uring_setup, ENOSYS}, {__NR_io_uring_enter, EPERM}};
    struct env *v = *state;
    for (unsigned i = 0; i < 3; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            refuse(ways[i][0], ways[i][1]);
            open_channel(v, (struct block_options){0});
            uint8_t data[512];
            bool ok = !block_channel_uring(v->c) && one(v, BLOCK_READ, 0, data, 512) == 0 &&
                      memcmp(data, v->model, 512) == 0;
            _exit(ok ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

static void discards(void **state)
{
    struct env *v = *state;
    uint8_t data[8192];
    struct stat before, after;
    stat(v->path, &before);
    open_channel(v, (struct block_options){0});
    assert_int_equal(one(v, BLOCK_DISCARD, 0, NULL, SIZE / 2), 0);
    assert_int_equal(one(v, BLOCK_READ, SIZE / 2, data, sizeof(data)), 0);
    assert_memory_equal(data, v->model + SIZE / 2, sizeof(data));
    close_channel(v);
    stat(v->path, &after);
    assert_int_equal(after.st_size, SIZE);
    if (after.st_blocks >= before.st_blocks)
        print_message("this file system keeps discarded blocks\n");
    /* In a snapshot the image does not shine through. */
    open_channel(v, (struct block_options){.snapshot = true});
    assert_int_equal(one(v, BLOCK_DISCARD, SIZE / 2, NULL, 4096), 0);
    assert_int_equal(one(v, BLOCK_READ, SIZE / 2, data, sizeof(data)), 0);
    for (unsigned i = 0; i < 4096; i++)
        assert_int_equal(data[i], 0);
    assert_memory_equal(data + 4096, v->model + SIZE / 2 + 4096, 4096);
}

static void bad_requests(void **state)
{
    struct env *v = *state;
    uint8_t data[1024];
    open_channel(v, (struct block_options){0});
    assert_int_equal(one(v, BLOCK_READ, SIZE, data, 512), -EINVAL);
    assert_int_equal(one(v, BLOCK_READ, SIZE - 512, data, 1024), -EINVAL);
    assert_int_equal(one(v, BLOCK_READ, UINT64_MAX - 511, data, 512), -EINVAL);
    assert_int_equal(one(v, BLOCK_READ, 1, data, 512), -EINVAL);
    assert_int_equal(one(v, BLOCK_WRITE, 0, data, 100), -EINVAL);
    assert_int_equal(one(v, BLOCK_READ, 0, NULL, 0), 0);
}

/* An image that is no multiple of a sector: the rest of the last one is zeros. */
static void ragged_end(void **state)
{
    struct env *v = *state;
    uint8_t data[512];
    for (enum block_aio aio = BLOCK_AIO_AUTO; aio <= BLOCK_AIO_THREADS; aio++) {
        if (aio == BLOCK_AIO_URING)
            continue;
        write_file(v->path, v->model, 1000);
        open_channel(v, (struct block_options){.aio = aio});
        assert_int_equal(block_size(v->b), 1024);
        memset(data, 0xff, sizeof(data));
        assert_int_equal(one(v, BLOCK_READ, 512, data, 512), 0);
        assert_memory_equal(data, v->model + 512, 488);
        for (unsigned i = 488; i < 512; i++)
            assert_int_equal(data[i], 0);
        close_channel(v);
    }
}

static void refused(const struct block_options *o, const char *words)
{
    struct block_backend *b = NULL;
    struct err e = {0};
    assert_true(block_open(o, &b, &e) < 0);
    assert_non_null(strstr(e.text, words));
    if (o->path[0] != 0)
        assert_non_null(strstr(e.text, o->path));
    assert_null(strchr(e.text, '\n'));
}

static void sentences(void **state)
{
    struct env *v = *state;
    refused(&(struct block_options){.path = "/nonexistent/disk"}, "No such file");
    refused(&(struct block_options){.path = "/tmp"}, "is a directory");
    refused(&(struct block_options){.path = "/dev/null"}, "neither a file nor a block device");
    refused(&(struct block_options){.path = ""}, "No such file");
    write_file(v->path, v->model, 100);
    refused(&(struct block_options){.path = v->path}, "has 100 bytes");
    write_file(v->path, v->model, 0);
    refused(&(struct block_options){.path = v->path, .readonly = true}, "has 0 bytes");
}

static void locks(void **state)
{
    struct env *v = *state;
    struct block_options writer = {.path = v->path};
    struct block_options reader = {.path = v->path, .readonly = true};
    struct block_options snapshot = {.path = v->path, .snapshot = true};
    struct block_backend *a, *b;
    struct err e;
    assert_int_equal(block_open(&writer, &a, &e), 0);
    refused(&writer, "in use");
    refused(&reader, "in use");
    refused(&snapshot, "in use");
    block_close(a);
    assert_int_equal(block_open(&reader, &a, &e), 0);
    assert_int_equal(block_open(&snapshot, &b, &e), 0);
    refused(&writer, "in use");
    block_close(a);
    refused(&writer, "in use");
    block_close(b);
    assert_int_equal(block_open(&writer, &a, &e), 0);
    block_close(a);
}

/* Requests submitted by `done` belong to the same batch. */
struct again {
    struct env *v;
    struct block_req r;
    unsigned left;
};

static void resubmit(struct block_req *r, int result)
{
    struct again *a = r->opaque;
    assert_int_equal(result, 0);
    if (--a->left != 0)
        block_submit(a->v->c, r);
}

static void resubmission(void **state)
{
    struct env *v = *state;
    uint8_t data[512];
    struct iovec iov = {data, sizeof(data)};
    struct again a = {.v = v, .left = 1000};
    for (enum block_aio aio = BLOCK_AIO_AUTO; aio <= BLOCK_AIO_THREADS; aio += 2) {
        open_channel(v, (struct block_options){.aio = aio});
        a.left = 1000;
        a.r = (struct block_req){.op = BLOCK_READ,
                                 .bytes = 512,
                                 .iov = &iov,
                                 .iov_count = 1,
                                 .done = resubmit,
                                 .opaque = &a};
        block_submit(v->c, &a.r);
        block_drain(v->c);
        assert_int_equal(a.left, 0);
        close_channel(v);
    }
}

/* Completions arrive through the loop, too. */
static void stop_when_done(struct block_req *r, int result)
{
    struct env *v = r->opaque;
    assert_int_equal(result, 0);
    loop_stop(v->loop);
}

static void through_the_loop(void **state)
{
    struct env *v = *state;
    for (enum block_aio aio = BLOCK_AIO_AUTO; aio <= BLOCK_AIO_THREADS; aio += 2) {
        open_channel(v, (struct block_options){.aio = aio});
        for (unsigned i = 0; i < 20; i++) {
            struct block_req r = {.op = i % 2 == 0 ? BLOCK_FLUSH : BLOCK_WRITE_ZEROES,
                                  .bytes = i % 2 == 0 ? 0 : 4096,
                                  .done = stop_when_done,
                                  .opaque = v};
            block_submit(v->c, &r);
            block_kick(v->c);
            loop_run(v->loop);
        }
        close_channel(v);
    }
}

/* --- a loop that is lent --- */

static void *run_loop(void *arg)
{
    loop_run(((struct env *)arg)->loop);
    return NULL;
}

struct late {
    struct env *v;
    pthread_t where;
    _Atomic int result; /* 1: not done */
};

static void late_done(struct block_req *r, int result)
{
    struct late *l = r->opaque;
    l->where = pthread_self();
    l->result = result;
}

/* What a thread that works for the loop submits; true: it is done at once, and by that thread. */
static bool borrowed(struct env *v, struct block_req *r, struct late *l)
{
    *l = (struct late){.v = v, .result = 1};
    r->done = late_done;
    r->opaque = l;
    while (!loop_borrow(v->loop))
        ;
    block_submit(v->c, r);
    block_kick(v->c);
    bool now = l->result != 1;
    if (now)
        assert_true(pthread_equal(l->where, pthread_self()));
    loop_return(v->loop);
    while (l->result == 1)
        usleep(100);
    assert_int_equal(l->result, 0);
    return now;
}

/* Short reads of what is in the host's cache, and short writes, are done by the borrower; all else
 * by the loop, without the borrower's waiting. */
static void from_a_borrower(struct env *v, struct block_options o)
{
    static uint8_t data[SIZE];
    struct iovec iov = {data, 4096};
    struct late l;
    pthread_t t;
    open_channel(v, o);
    assert_int_equal(one(v, BLOCK_READ, 0, data, SIZE), 0);
    assert_int_equal(pthread_create(&t, NULL, run_loop, v), 0);
    struct block_req r = {.op = BLOCK_READ, .offset = 8192, .iov = &iov, .iov_count = 1};
    memset(data, 0, 4096);
    r.bytes = 4096;
    bool now = borrowed(v, &r, &l);
    assert_memory_equal(data, v->model + 8192, 4096);
    if (!now)
        print_message("this file system reads nothing without waiting\n");
    fill(data, 4096);
    memcpy(v->model + 8192, data, 4096);
    r.op = BLOCK_WRITE;
    assert_true(borrowed(v, &r, &l));
    r.durable = true;
    assert_false(borrowed(v, &r, &l));
    r = (struct block_req){.op = BLOCK_FLUSH};
    assert_false(borrowed(v, &r, &l));
    iov.iov_len = SIZE;
    r = (struct block_req){.op = BLOCK_READ, .bytes = SIZE, .iov = &iov, .iov_count = 1};
    assert_false(borrowed(v, &r, &l));
    assert_memory_equal(data, v->model, SIZE);
    loop_stop(v->loop);
    pthread_join(t, NULL);
    close_channel(v);
}

static void lent(void **state)
{
    struct env *v = *state;
    loop_lend(v->loop);
    for (enum block_aio aio = BLOCK_AIO_AUTO; aio <= BLOCK_AIO_THREADS; aio += 2) {
        from_a_borrower(v, (struct block_options){.aio = aio});
        from_a_borrower(v, (struct block_options){.aio = aio, .snapshot = true});
        read_file(v->path, v->model, SIZE); /* the snapshot's write is gone */
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(with_threads), T(with_uring),   T(with_either),      T(without_uring),
        T(discards),     T(bad_requests), T(ragged_end),       T(sentences),
        T(locks),        T(resubmission), T(through_the_loop), T(lent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
