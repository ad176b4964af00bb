/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A debugger that sends anything: the input is what it says. A byte 0xff stops the machine; what is
 * between two bytes 0xfe is sent as a packet with its checksum. */
#include "fuzz.h"

#include <errno.h>

#include "gdb/server.h"

#define CPUS 5

struct fake {
    struct x86_cpu cpu[CPUS];
    uint8_t memory[0x3000];
    bool running;
};

static void fake_send(void *opaque, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++) /* all of it is there */
        sum = (uint8_t)(sum + p[i]);
    (void)sum;
}

static void fake_get(void *opaque, unsigned cpu, struct x86_cpu *out)
{
    FUZZ_REQUIRE(cpu < CPUS && !((struct fake *)opaque)->running);
    *out = ((struct fake *)opaque)->cpu[cpu];
}

static int fake_set(void *opaque, unsigned cpu, const struct x86_cpu *in)
{
    FUZZ_REQUIRE(cpu < CPUS && !((struct fake *)opaque)->running);
    ((struct fake *)opaque)->cpu[cpu] = *in;
    return in->rip == 0 ? -EINVAL : 0;
}

static uint8_t *at(struct fake *f, uint64_t addr, size_t len)
{
    return addr > sizeof(f->memory) || len > sizeof(f->memory) - addr ? NULL : f->memory + addr;
}

static int fake_read(void *opaque, unsigned cpu, bool physical, uint64_t addr, void *buf,
                     size_t len)
{
    const uint8_t *p = at(opaque, addr, len);

    if (p == NULL)
        return -EFAULT;
    memcpy(buf, p, len);
    return 0;
}

static int fake_write(void *opaque, unsigned cpu, bool physical, uint64_t addr, const void *buf,
                      size_t len)
{
    uint8_t *p = at(opaque, addr, len);

    if (p == NULL)
        return -EFAULT;
    memcpy(p, buf, len);
    return 0;
}

static int fake_points(void *opaque, const struct engine_point *p, unsigned n)
{
    FUZZ_REQUIRE(n <= ENGINE_MAX_POINTS);
    for (unsigned i = 0; i < n; i++)
        FUZZ_REQUIRE(p[i].kind == ENGINE_POINT_EXEC || p[i].lin + (p[i].len - 1) >= p[i].lin);
    return n > 8 ? -ENOSPC : 0;
}

static void fake_resume(void *opaque, const enum gdb_run *how)
{
    struct fake *f = opaque;

    FUZZ_REQUIRE(!f->running);
    for (unsigned i = 0; i < CPUS; i++)
        FUZZ_REQUIRE(how[i] <= GDB_STEP);
    f->running = true;
}

static void fake_interrupt(void *opaque)
{
    FUZZ_REQUIRE(((struct fake *)opaque)->running);
}

static void fake_nothing(void *opaque)
{
}

/* The packet that begins at data[0]; returns how much of the input it took. */
static size_t whole_packet(struct gdb_server *s, const uint8_t *data, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t sum = 0;
    size_t n = 0;

    gdb_input(s, (const uint8_t *)"$", 1);
    for (; n < size && data[n] != 0xfe; n++) {
        sum = (uint8_t)(sum + data[n]);
        gdb_input(s, &data[n], 1);
    }
    const uint8_t end[] = {'#', (uint8_t)hex[sum >> 4], (uint8_t)hex[sum & 15]};
    gdb_input(s, end, sizeof(end));
    return n < size ? n + 1 : n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fake f;
    const struct gdb_target t = {.opaque = &f,
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
                                 .reset = fake_nothing,
                                 .quit = fake_nothing,
                                 .detach = fake_nothing};
    struct gdb_server *s;

    memset(&f, 0, sizeof(f));
    for (unsigned i = 0; i < CPUS; i++)
        x86_cpu_reset(&f.cpu[i]);
    FUZZ_REQUIRE(gdb_server_create(&t, &s) == 0);
    gdb_connected(s);
    for (size_t i = 0; i < size; i++) {
        if (data[i] == 0xfe) {
            i += whole_packet(s, data + i + 1, size - i - 1);
            continue;
        }
        if (data[i] != 0xff) {
            gdb_input(s, &data[i], 1);
            continue;
        }
        const struct gdb_stop stop = {.cpu = i % CPUS, .why = i % 3, .lin = i};
        f.running = false;
        gdb_stopped(s, &stop);
    }
    gdb_ended(s);
    gdb_server_destroy(s);
    return 0;
}
