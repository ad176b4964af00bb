/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory behind the seam, on every engine that this host runs: read-only regions, regions
 * that change what they show, and the log of written pages as a migration uses it.
 */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "flat.h"

enum { PAGE = 4096, PAGES = FLAT_MEMORY / PAGE };

static bool open_or_skip(struct flat *f, const char *engine)
{
    struct err e = {0};

    if (flat_open(f, engine, &e))
        return true;
    print_message("skip - %s: %s\n", engine, e.text);
    flat_close(f);
    return false;
}

/* mov eax, [ROM]; mov [ROM + 4], eax; mov ebx, [ROM + 4]; out 0xf4, al */
static const uint8_t touch_rom[] = {0xa1, 0x00, 0x00, 0x00, 0x01, 0xa3, 0x04, 0x00, 0x00,
                                    0x01, 0x8b, 0x1d, 0x04, 0x00, 0x00, 0x01, 0xe6, 0xf4};

static void run_rom(struct flat *f, uint32_t eax, uint32_t ebx, uint64_t reads, uint64_t writes)
{
    f->reads = f->writes = 0;
    flat_start(f, touch_rom, sizeof(touch_rom));
    assert_true(flat_run(f));
    f->ops->get_state(f->vcpu, f->cpu);
    assert_int_equal(f->cpu->gpr[X86_RAX], eax);
    assert_int_equal(f->cpu->gpr[X86_RBX], ebx);
    assert_int_equal(f->reads, reads);
    assert_int_equal(f->writes, writes + 1); /* and the port */
}

static void read_only(const char *engine)
{
    static const uint32_t words[] = {0x12345678, 0x9abcdef0};
    const uint32_t device = (uint32_t)(FLAT_ROM * UINT64_C(3));
    uint32_t now[2];
    struct flat f;

    if (!open_or_skip(&f, engine))
        return;
    assert_int_equal(ram_load(f.ram, FLAT_ROM, words, sizeof(words)), 0);
    run_rom(&f, words[0], words[1], 0, 1);
    assert_int_equal(ram_read(f.ram, FLAT_ROM, now, sizeof(now)), 0);
    assert_memory_equal(now, words, sizeof(now));
    /* A chipset lets it be written, then takes it away, then brings it back. */
    ram_remap(f.ram, FLAT_ROM, FLAT_MEMORY, RAM_WRITABLE);
    f.ops->remap(f.engine);
    run_rom(&f, words[0], words[0], 0, 0);
    ram_remap(f.ram, FLAT_ROM, FLAT_MEMORY, RAM_ABSENT);
    f.ops->remap(f.engine);
    run_rom(&f, device, device + 12, 2, 1);
    ram_remap(f.ram, FLAT_ROM, FLAT_MEMORY, RAM_READONLY);
    f.ops->remap(f.engine);
    run_rom(&f, words[0], words[0], 0, 1);
    flat_close(&f);
}

static void test_read_only(void **state)
{
    read_only("bt");
    read_only("kvm");
}

/* --- the log --- */

struct map {
    bool page[PAGES], rom;
    unsigned told;
};

static void mark(void *opaque, gpa_t gpa, uint64_t len)
{
    struct map *m = opaque;

    m->told++;
    if (gpa >= FLAT_ROM) {
        m->rom = true;
        return;
    }
    for (uint64_t p = gpa / PAGE; p < (gpa + len) / PAGE; p++)
        m->page[p] = true;
}

static void take(struct flat *f, struct map *m)
{
    memset(m, 0, sizeof(*m));
    assert_int_equal(f->ops->dirty_take(f->engine, mark, m), 0);
}

static void expect_pages(const struct map *m, unsigned a, unsigned b, unsigned c)
{
    for (unsigned p = 0; p < PAGES; p++)
        if (m->page[p] != (p == a || p == b || p == c))
            fail_msg("page %u is %s", p, m->page[p] ? "told, but not written" : "not told");
}

static bool has_log(struct flat *f)
{
    if (f->ops->dirty_log != NULL)
        return true;
    print_message("skip - %s: it keeps no log of written pages\n", f->ops->name);
    flat_close(f);
    return false;
}

static void log_exact(const char *engine)
{
    /* mov [0x20ffe], eax; inc byte [0x50000]; out 0xf4, al */
    static const uint8_t code[] = {0xa3, 0xfe, 0x0f, 0x02, 0x00, 0xfe, 0x05,
                                   0x00, 0x00, 0x05, 0x00, 0xe6, 0xf4};
    struct map m;
    struct flat f;

    if (!open_or_skip(&f, engine) || !has_log(&f))
        return;
    assert_int_equal(f.ops->dirty_take(f.engine, mark, &m), -EINVAL);
    flat_start(&f, code, sizeof(code)); /* before the log: what ran without one is not told */
    assert_true(flat_run(&f));
    assert_int_equal(f.ops->dirty_log(f.engine, true), 0);
    take(&f, &m);
    assert_int_equal(m.told, 0);
    for (unsigned i = 0; i < 3; i++) {
        flat_start(&f, code, sizeof(code));
        assert_true(flat_run(&f));
        take(&f, &m);
        expect_pages(&m, 0x20, 0x21, 0x50);
        take(&f, &m);
        assert_int_equal(m.told, 0);
    }
    ram_remap(f.ram, FLAT_ROM, FLAT_MEMORY, RAM_WRITABLE);
    f.ops->remap(f.engine);
    take(&f, &m);
    assert_true(m.rom && m.told == 1);
    assert_int_equal(f.ops->dirty_log(f.engine, false), 0);
    assert_int_equal(f.ops->dirty_take(f.engine, mark, &m), -EINVAL);
    flat_close(&f);
}

static void test_log_exact(void **state)
{
    log_exact("bt");
    log_exact("kvm");
}

/* --- a guest that writes while its memory is copied --- */

struct copy {
    struct flat f;
    uint8_t *shadow;
    uint64_t pages;
};

static void copy_pages(void *opaque, gpa_t gpa, uint64_t len)
{
    struct copy *c = opaque;

    assert_true(gpa + len <= FLAT_MEMORY);
    assert_int_equal(ram_read(c->f.ram, gpa, c->shadow + gpa, len), 0);
    c->pages += len / PAGE;
}

static void *run_guest(void *opaque)
{
    struct copy *c = opaque;

    return c->f.ops->run(c->f.vcpu) == ENGINE_EXIT_KICKED ? c : NULL;
}

static void migrate(const char *engine)
{
    /* 1: inc eax; mov edi, 0x40000; mov ecx, 64; 2: add [edi], eax; add edi, 4100; dec ecx; jnz 2b;
     * jmp 1b */
    static const uint8_t code[] = {0x40, 0xbf, 0x00, 0x00, 0x04, 0x00, 0xb9, 0x40,
                                   0x00, 0x00, 0x00, 0x01, 0x07, 0x81, 0xc7, 0x04,
                                   0x10, 0x00, 0x00, 0x49, 0x75, 0xf5, 0xeb, 0xe8};
    static struct copy c;
    pthread_t thread;
    void *end;

    if (!open_or_skip(&c.f, engine) || !has_log(&c.f))
        return;
    c.pages = 0;
    c.shadow = malloc(FLAT_MEMORY);
    assert_non_null(c.shadow);
    flat_start(&c.f, code, sizeof(code));
    assert_int_equal(c.f.ops->dirty_log(c.f.engine, true), 0);
    copy_pages(&c, 0, FLAT_MEMORY);
    assert_int_equal(pthread_create(&thread, NULL, run_guest, &c), 0);
    for (unsigned i = 0; i < 200 || (c.pages < 2 * PAGES && i < 20000); i++)
        assert_int_equal(c.f.ops->dirty_take(c.f.engine, copy_pages, &c), 0);
    c.f.ops->kick(c.f.vcpu, true);
    pthread_join(thread, &end);
    assert_non_null(end);
    assert_int_equal(c.f.ops->dirty_take(c.f.engine, copy_pages, &c), 0);
    assert_true(c.pages > PAGES); /* something was written meanwhile */
    assert_memory_equal(c.shadow, ram_ptr(c.f.ram, 0, FLAT_MEMORY, false), FLAT_MEMORY);
    free(c.shadow);
    flat_close(&c.f);
}

static void test_migrate(void **state)
{
    migrate("bt");
    migrate("kvm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_log_exact),
        cmocka_unit_test(test_migrate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
