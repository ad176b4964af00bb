/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GDB's protocol against a machine that is only told of: packets, registers, memory, points. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdb/packet.h"
#include "gdb/regs.h"
#include "gdb/server.h"
#include "x86/linear.h"

#define CPUS 3
#define MEMORY 0x3000u

struct fake {
    struct gdb_server *server;
    struct x86_cpu cpu[CPUS];
    uint8_t memory[MEMORY]; /* linear and physical from 0x1000 on; physical is inverted */
    struct engine_point point[ENGINE_MAX_POINTS];
    unsigned points, max_points, resumed, interrupted, resets, quits, detached;
    enum gdb_run how[CPUS];
    char out[1 << 16];
    size_t len;
};

static void fake_send(void *opaque, const void *bytes, size_t len)
{
    struct fake *f = opaque;

    assert_true(f->len + len < sizeof(f->out));
    memcpy(f->out + f->len, bytes, len);
    f->len += len;
    f->out[f->len] = '\0';
}

static void fake_get(void *opaque, unsigned cpu, struct x86_cpu *out)
{
    *out = ((struct fake *)opaque)->cpu[cpu];
}

static int fake_set(void *opaque, unsigned cpu, const struct x86_cpu *in)
{
    ((struct fake *)opaque)->cpu[cpu] = *in;
    return 0;
}

static int fake_read(void *opaque, unsigned cpu, bool physical, uint64_t at, void *buf, size_t len)
{
    struct fake *f = opaque;
    uint8_t *out = buf;

    if (at < 0x1000 || at - 0x1000 + len > MEMORY)
        return -EFAULT;
    for (size_t i = 0; i < len; i++)
        out[i] = f->memory[at - 0x1000 + i] ^ (physical ? 0xff : 0);
    return 0;
}

static int fake_write(void *opaque, unsigned cpu, bool physical, uint64_t at, const void *buf,
                      size_t len)
{
    if (at < 0x1000 || at - 0x1000 + len > MEMORY)
        return -EFAULT;
    memcpy(((struct fake *)opaque)->memory + (at - 0x1000), buf, len);
    return 0;
}

static int fake_points(void *opaque, const struct engine_point *p, unsigned n)
{
    struct fake *f = opaque;

    if (n > f->max_points)
        return -ENOSPC;
    memcpy(f->point, p, n * sizeof(*p));
    f->points = n;
    return 0;
}

static void fake_resume(void *opaque, const enum gdb_run *how)
{
    struct fake *f = opaque;

    f->resumed++;
    memcpy(f->how, how, sizeof(f->how));
}

static void fake_interrupt(void *opaque)
{
    ((struct fake *)opaque)->interrupted++;
}

static void fake_reset(void *opaque)
{
    ((struct fake *)opaque)->resets++;
}

static void fake_quit(void *opaque)
{
    ((struct fake *)opaque)->quits++;
}

static void fake_detach(void *opaque)
{
    ((struct fake *)opaque)->detached++;
}

static int setup(void **state)
{
    struct fake *f = aligned_alloc(64, (sizeof(*f) + 63) & ~63ul);
    const struct gdb_target t = {.opaque = f,
                                 .cpus = CPUS,
                                 .avx = true,
                                 .send = fake_send,
                                 .get_state = fake_get,
                                 .set_state = fake_set,
                                 .read = fake_read,
                                 .write = fake_write,
                                 .points = fake_points,
                                 .resume = fake_resume,
                                 .interrupt = fake_interrupt,
                                 .reset = fake_reset,
                                 .quit = fake_quit,
                                 .detach = fake_detach};

    assert_non_null(f);
    memset(f, 0, sizeof(*f));
    f->max_points = 4;
    for (unsigned i = 0; i < CPUS; i++) {
        x86_cpu_reset(&f->cpu[i]);
        f->cpu[i].gpr[X86_RBX] = 0x1122334455667788 + i;
        f->cpu[i].xcr0 = 7;
    }
    for (unsigned i = 0; i < MEMORY; i++)
        f->memory[i] = (uint8_t)i;
    assert_int_equal(gdb_server_create(&t, &f->server), 0);
    gdb_connected(f->server);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fake *f = *state;

    gdb_server_destroy(f->server);
    free(f);
    return 0;
}

static void put(struct fake *f, const char *bytes)
{
    gdb_input(f->server, (const uint8_t *)bytes, strlen(bytes));
}

/* Sends a packet and returns the answer's data; NULL: there was none. */
static const char *ask(struct fake *f, const char *data)
{
    static char text[1 << 16];
    uint8_t sum = 0;
    char *end;

    for (const char *p = data; *p != '\0'; p++)
        sum = (uint8_t)(sum + (uint8_t)*p);
    snprintf(text, sizeof(text), "$%s#%02x", data, sum);
    f->len = 0;
    f->out[0] = '\0';
    put(f, text);
    assert_true(f->len >= 1 && f->out[0] == '+');
    if (f->len == 1)
        return NULL;
    assert_int_equal(f->out[1], '$');
    strcpy(text, f->out + 2);
    end = strchr(text, '#');
    assert_non_null(end);
    assert_int_equal(strlen(end), 3);
    *end = '\0';
    return text;
}

#define ASK(f, data, answer) assert_string_equal(ask(f, data), answer)

/* --- packets --- */

static void test_framing(void **state)
{
    struct fake *f = *state;

    put(f, "noise$?#00"); /* a wrong checksum */
    assert_string_equal(f->out, "-");
    f->len = 0;
    put(f, "$?#zz");
    assert_string_equal(f->out, "-");
    f->len = 0;
    put(f, "$q"); /* begins anew */
    put(f, "$?#3");
    assert_int_equal(f->len, 0);
    put(f, "f");
    assert_string_equal(f->out, "+$T05thread:1;#d7");
    f->len = 0;
    put(f, "-"); /* once more */
    assert_string_equal(f->out, "$T05thread:1;#d7");
    f->len = 0;
    put(f, "+$QStartNoAckMode#b0");
    assert_string_equal(f->out, "+$OK#9a");
    f->len = 0;
    put(f, "$?#3f");
    assert_string_equal(f->out, "$T05thread:1;#d7");
    f->len = 0;
    put(f, "$?#00"); /* nothing is said of bad ones any more */
    assert_int_equal(f->len, 0);
}

static void test_too_long(void **state)
{
    struct fake *f = *state;

    put(f, "$");
    for (unsigned i = 0; i < GDB_PACKET_MAX + 100; i++)
        put(f, "a");
    put(f, "#00");
    assert_string_equal(f->out, "-");
    ASK(f, "qC", "QC1");
}

static void test_unknown(void **state)
{
    struct fake *f = *state;

    ASK(f, "vMustReplyEmpty", "");
    ASK(f, "!", "");
    ASK(f, "qNothing", "");
    ASK(f, "QNothing", "");
    ASK(f, "Z7,0,1", "");
    assert_non_null(strstr(ask(f, "qSupported:swbreak+"), "qXfer:features:read+"));
}

/* --- registers --- */

static void test_registers(void **state)
{
    struct fake *f = *state;
    const char *all = ask(f, "g");
    size_t size = 0;

    assert_memory_equal(all + 16, "8877665544332211", 16); /* rbx is the second */
    for (unsigned n = 0; n < gdb_reg_count(true); n++)
        size += 2 * gdb_reg_size(n);
    assert_int_equal(strlen(all), size);
    ASK(f, "p1", "8877665544332211");
    ASK(f, "P1=0100000000000080", "OK");
    assert_true(f->cpu[0].gpr[X86_RBX] == 0x8000000000000001);
    ASK(f, "P1=01", "E16");
    ASK(f, "P1", "E16");
    ASK(f, "pffff", "E16");
    ASK(f, "Hg2", "OK");
    ASK(f, "p1", "8977665544332211");
    ASK(f, "G00", "E16");
    assert_true(f->cpu[1].gpr[X86_RBX] == 0x1122334455667789);
}

static int set(struct x86_cpu *cpu, const char *name, uint64_t value)
{
    uint8_t bytes[GDB_REG_MAX] = {0};

    memcpy(bytes, &value, sizeof(value));
    for (unsigned n = 0; n < gdb_reg_count(true); n++)
        if (strcmp(gdb_reg_name(n), name) == 0)
            return gdb_reg_set(cpu, n, bytes);
    fail_msg("no register %s", name);
    return 0;
}

static uint64_t get(const struct x86_cpu *cpu, const char *name)
{
    uint8_t bytes[GDB_REG_MAX] = {0};
    uint64_t value;

    for (unsigned n = 0; n < gdb_reg_count(true); n++)
        if (strcmp(gdb_reg_name(n), name) == 0)
            gdb_reg_get(cpu, n, bytes);
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static void test_register_values(void **state)
{
    struct x86_cpu *cpu = &((struct fake *)*state)->cpu[0];

    assert_int_equal(get(cpu, "cs"), 0xf000);
    assert_int_equal(set(cpu, "cs", 0x1234), 0); /* real mode */
    assert_int_equal(cpu->seg[X86_CS].base, 0x12340);
    cpu->cr0 |= 1;
    assert_int_equal(set(cpu, "cs", 0x8), -EINVAL);
    assert_int_equal(set(cpu, "cs", 0x1234), 0); /* no change */
    assert_int_equal(set(cpu, "cr0", cpu->cr0 | 8), 0);
    assert_int_equal(set(cpu, "cr0", cpu->cr0 & ~1ull), -EINVAL);
    assert_int_equal(set(cpu, "cr4", UINT64_C(1) << 5), -EINVAL);
    assert_int_equal(set(cpu, "efer", 0x500), -EINVAL);
    assert_int_equal(set(cpu, "eflags", 0x246), 0);
    assert_int_equal(cpu->rflags, 0x246);
    assert_int_equal(set(cpu, "eflags", 0x20246), -EINVAL);
    assert_int_equal(set(cpu, "fs_base", UINT64_C(1) << 62), -EINVAL);
    assert_int_equal(set(cpu, "lstar", 1), -EINVAL);
    assert_int_equal(set(cpu, "mxcsr", 0x10000), -EINVAL);
    cpu->mp_state = X86_MP_HALTED;
    assert_int_equal(set(cpu, "rip", 0x1000), 0);
    assert_int_equal(cpu->mp_state, X86_MP_RUNNABLE);
}

/* What is in its initial state is not in the image. */
static void test_vectors(void **state)
{
    struct x86_cpu *cpu = &((struct fake *)*state)->cpu[0];

    memset(cpu->xsave, 0xee, sizeof(cpu->xsave));
    memset(cpu->xsave + 512, 0, 64);
    assert_int_equal(get(cpu, "fctrl"), 0x37f);
    assert_int_equal(get(cpu, "ftag"), 0xffff);
    assert_int_equal(get(cpu, "xmm3"), 0);
    assert_int_equal(get(cpu, "ymm3h"), 0);
    assert_int_equal(set(cpu, "xmm3", 5), 0);
    assert_int_equal(set(cpu, "ymm15h", 6), 0);
    assert_int_equal(set(cpu, "st1", 7), 0);
    assert_int_equal(cpu->xsave[512], 7);
    assert_int_equal(get(cpu, "xmm3"), 5);
    assert_int_equal(get(cpu, "xmm4"), 0);
    assert_int_equal(get(cpu, "ymm15h"), 6);
    assert_int_equal(get(cpu, "st1"), 7);
    assert_int_equal(set(cpu, "ftag", 0xfffc), 0); /* register 0 is in use: 0 */
    assert_int_equal(get(cpu, "ftag"), 0xfffd);
    cpu->xcr0 = 3;
    assert_int_equal(set(cpu, "ymm0h", 1), -EINVAL);
}

static void test_description(void **state)
{
    struct fake *f = *state;
    char *xml = gdb_regs_xml(true), *without = gdb_regs_xml(false), got[32768] = "", query[64];
    const char *part;
    unsigned count = 0;

    for (const char *p = xml; (p = strstr(p, "<reg ")) != NULL; p++)
        count++;
    assert_int_equal(count, gdb_reg_count(true));
    assert_non_null(strstr(xml, "org.gnu.gdb.i386.avx"));
    assert_null(strstr(without, "org.gnu.gdb.i386.avx"));
    do {
        snprintf(query, sizeof(query), "qXfer:features:read:target.xml:%zx,3f1", strlen(got));
        part = ask(f, query);
        strcat(got, part + 1);
    } while (part[0] == 'm');
    assert_int_equal(part[0], 'l');
    assert_string_equal(got, xml);
    ASK(f, "qXfer:features:read:target.xml:ffffffff,10", "E16");
    ASK(f, "qXfer:features:read:other.xml:0,10", "E00");
    free(xml);
    free(without);
}

/* --- memory --- */

static void test_memory(void **state)
{
    struct fake *f = *state;

    ASK(f, "m1001,4", "01020304");
    ASK(f, "m0,4", "E0e");
    ASK(f, "m3ffe,10", "feff"); /* what there is */
    ASK(f, "m1000,0", "");
    ASK(f, "m1000", "E16");
    ASK(f, "mfffffffffffffffff,1", "E16");
    ASK(f, "m1000,ffffffffffff", "E16");
    assert_int_equal(strlen(ask(f, "m1000,4000")), GDB_PACKET_MAX);
    ASK(f, "M1000,2:aBcd", "OK");
    assert_memory_equal(f->memory, "\xab\xcd", 2);
    ASK(f, "M1000,2:ab", "E16");
    ASK(f, "M1000,2:xyzw", "E16");
    ASK(f, "M0,1:00", "E0e");
    ASK(f, "X1000,4:}\x03}\x04z}]", "OK");
    assert_memory_equal(f->memory, "#$z}", 4);
    ASK(f, "X1000,5:1234", "E16");
    ASK(f, "X1000,0:", "OK");
    ASK(f, "qqemu.PhyMemMode", "0");
    ASK(f, "Qqemu.PhyMemMode:1", "OK");
    ASK(f, "m1004,1", "fb");
    assert_non_null(ask(f, "qRcmd,6c696e656172"));
    ASK(f, "m1004,1", "04");
}

/* --- points, running --- */

static void test_points(void **state)
{
    struct fake *f = *state;

    ASK(f, "Z0,1234,1", "OK");
    ASK(f, "Z0,1234,1", "OK"); /* the same */
    assert_int_equal(f->points, 1);
    ASK(f, "Z1,1234,1", "OK");
    ASK(f, "Z2,ffffffff81000000,8", "OK");
    ASK(f, "Z3,20,4", "OK");
    assert_int_equal(f->points, 4);
    assert_int_equal(f->point[2].kind, ENGINE_POINT_WRITE);
    assert_true(f->point[2].lin == 0xffffffff81000000);
    assert_int_equal(f->point[2].len, 8);
    ASK(f, "Z4,20,4", "E1c");
    ASK(f, "z3,20,4", "OK");
    ASK(f, "Z4,20,4", "OK");
    ASK(f, "Z2,30,0", "E16");
    ASK(f, "Z2,ffffffffffffffff,2", "E16");
    ASK(f, "Z2,x,2", "E16");
    ASK(f, "z0,9999,1", "OK"); /* was not there */
    ASK(f, "D", "OK");
    assert_int_equal(f->points, 0);
    assert_int_equal(f->detached, 1);
}

static void stop(struct fake *f, unsigned cpu, enum gdb_why why, enum engine_point_kind kind)
{
    const struct gdb_stop s = {
        .cpu = cpu, .why = why, .point = {.kind = kind, .lin = 0x40, .len = 4}, .lin = 0x42};

    f->len = 0;
    f->out[0] = '\0';
    gdb_stopped(f->server, &s);
}

static void test_running(void **state)
{
    struct fake *f = *state;

    assert_null(ask(f, "vCont;s:2;c"));
    assert_int_equal(f->how[0], GDB_CONTINUE);
    assert_int_equal(f->how[1], GDB_STEP);
    assert_int_equal(f->how[2], GDB_CONTINUE);
    assert_null(ask(f, "m1000,1")); /* nothing is answered while it runs */
    put(f, "\x03");
    assert_int_equal(f->interrupted, 1);
    stop(f, 1, GDB_WHY_STEP, 0);
    assert_memory_equal(f->out, "$T05thread:2;#", 14);
    stop(f, 1, GDB_WHY_STEP, 0); /* told already */
    assert_int_equal(f->len, 0);
    ASK(f, "?", "T05thread:2;");
    ASK(f, "qC", "QC2");
    assert_null(ask(f, "vCont;c:3"));
    assert_int_equal(f->how[0], GDB_STAY);
    assert_int_equal(f->how[2], GDB_CONTINUE);
    stop(f, 2, GDB_WHY_POINT, ENGINE_POINT_WRITE);
    ASK(f, "?", "T05thread:3;watch:42;");
    assert_null(ask(f, "s"));
    assert_int_equal(f->how[2], GDB_STEP);
    assert_int_equal(f->how[1], GDB_STAY);
    stop(f, 0, GDB_WHY_POINT, ENGINE_POINT_EXEC);
    ASK(f, "?", "T05thread:1;hwbreak:;");
    assert_null(ask(f, "c1234"));
    assert_int_equal(f->cpu[0].rip, 0x1234);
    stop(f, 0, GDB_WHY_INTERRUPT, 0);
    ASK(f, "?", "T02thread:1;");
    assert_int_equal(f->resumed, 4);
    ASK(f, "vCont", "E16");
    ASK(f, "vCont;x", "E16");
    ASK(f, "vCont;c:9", "E16");
    ASK(f, "Sx", "E16");
    assert_int_equal(f->resumed, 4);
    assert_null(ask(f, "c"));
    f->len = 0;
    gdb_ended(f->server);
    assert_string_equal(f->out, "$W00#b7");
}

static void test_threads(void **state)
{
    struct fake *f = *state;

    ASK(f, "qfThreadInfo", "m1,2,3");
    ASK(f, "qsThreadInfo", "l");
    ASK(f, "T3", "OK");
    ASK(f, "T4", "E16");
    ASK(f, "Hg4", "E16");
    ASK(f, "Hc-1", "OK");
    f->cpu[1].mp_state = X86_MP_INIT;
    ASK(f, "qThreadExtraInfo,2", "4350552031205b776169747320666f7220534950495d"); /* in words */
}

static void test_monitor(void **state)
{
    struct fake *f = *state;

    assert_true(strlen(ask(f, "qRcmd,68656c70")) > 100);
    assert_true(strlen(ask(f, "qRcmd,696e666f20726567697374657273")) > 500);
    ask(f, "qRcmd,7265736574");
    assert_int_equal(f->resets, 1);
    ASK(f, "qRcmd,71756974", "OK");
    assert_int_equal(f->quits, 1);
    assert_true(strlen(ask(f, "qRcmd,00")) > 10);
    ASK(f, "qRcmd,zz", "E16");
    assert_null(ask(f, "k"));
    assert_int_equal(f->quits, 2);
}

/* --- page tables --- */

#define P 0x7ull
#define PS 0x80ull

static void test_linear(void **state)
{
    struct x86_cpu *cpu = &((struct fake *)*state)->cpu[0];
    struct ram *ram;
    struct err e;
    const struct {
        gpa_t at;
        uint64_t entry;
    } t[] = {{0x1000, 0x2000 | P}, {0x2000, 0x3000 | P},        {0x2008, 0x40000000 | P | PS},
             {0x3000, 0x4000 | P}, {0x3008, 0x600000 | P | PS}, {0x4008, 0x123000 | P},
             {0x5000, 0x1000 | P}, {0x1ff8, 0x2000 | P}};
    uint32_t entry32[] = {0x00012000 | 7, 0x00c06000 | 7 | 0x80};
    uint64_t left;
    gpa_t gpa;

    assert_int_equal(ram_create(&ram, 1 << 20, &e), 0);
    assert_int_equal(ram_add(ram, 0, 1 << 20, false, &e), 0);
    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        assert_int_equal(ram_write(ram, t[i].at, &t[i].entry, 8), 0);
    cpu->cr0 = 0x11;
    assert_true(x86_linear(cpu, ram, 0x12345, &gpa, &left));
    assert_int_equal(gpa, 0x12345);
    assert_int_equal(left, 0xcbb);
    cpu->cr0 = 0x80000011;
    cpu->cr3 = 0x1000;
    cpu->cr4 = 0x20;
    cpu->efer = 0x500;
    assert_true(x86_linear(cpu, ram, 0x1234, &gpa, &left));
    assert_int_equal(gpa, 0x123234);
    assert_true(x86_linear(cpu, ram, 0x234567, &gpa, &left));
    assert_int_equal(gpa, 0x634567);
    assert_int_equal(left, 0x200000 - 0x34567);
    assert_true(x86_linear(cpu, ram, 0x40000010, &gpa, &left));
    assert_int_equal(gpa, 0x40000010);
    assert_false(x86_linear(cpu, ram, 0x2000, &gpa, &left));
    assert_false(x86_linear(cpu, ram, UINT64_C(1) << 47, &gpa, &left));
    assert_true(x86_linear(cpu, ram, 0xffffff8000001000, &gpa, &left));
    assert_int_equal(gpa, 0x123000);
    cpu->cr4 |= 1 << 12; /* 5 levels */
    cpu->cr3 = 0x5000;
    assert_true(x86_linear(cpu, ram, 0x1234, &gpa, &left));
    assert_int_equal(gpa, 0x123234);
    cpu->efer = 0; /* PAE: the 4 entries of CR3 are the third level */
    cpu->cr4 = 0x20;
    cpu->cr3 = 0x2000;
    assert_true(x86_linear(cpu, ram, 0x1234, &gpa, &left));
    assert_int_equal(gpa, 0x123234);
    cpu->cr4 = 0x10; /* 32 bits, large pages */
    cpu->cr3 = 0x11000;
    assert_int_equal(ram_write(ram, 0x11000, entry32, 8), 0);
    entry32[0] = 0x7000 | 7;
    assert_int_equal(ram_write(ram, 0x12000, entry32, 4), 0);
    assert_true(x86_linear(cpu, ram, 0x10, &gpa, &left));
    assert_int_equal(gpa, 0x7010);
    assert_true(x86_linear(cpu, ram, 0x400010, &gpa, &left));
    assert_true(gpa == 0x300c00010);
    cpu->cr3 = 0xfffff000; /* tables where there is no memory */
    assert_false(x86_linear(cpu, ram, 0x10, &gpa, &left));
    ram_destroy(ram);
}

int main(void)
{
#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(test_framing),     WITH(test_too_long),        WITH(test_unknown),
        WITH(test_registers),   WITH(test_register_values), WITH(test_vectors),
        WITH(test_description), WITH(test_memory),          WITH(test_points),
        WITH(test_running),     WITH(test_threads),         WITH(test_monitor),
        WITH(test_linear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
