/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets about registers (g, G, p, P) and memory (m, M, X). */
#include <string.h>

#include "gdb/server_internal.h"

void gdb_registers_get(struct gdb_server *s)
{
    const struct x86_cpu *cpu = gdb_cpu(s, s->current);
    uint8_t bytes[GDB_REG_MAX];

    for (unsigned n = 0; n < gdb_reg_count(s->t.avx); n++) {
        gdb_reg_get(cpu, n, bytes);
        gdb_hex(&s->out, bytes, gdb_reg_size(n));
    }
}

/* All of them, or nothing is changed. */
void gdb_registers_set(struct gdb_server *s, struct gdb_args *a)
{
    struct x86_cpu *cpu = gdb_cpu(s, s->current);
    uint8_t bytes[GDB_REG_MAX];

    for (unsigned n = 0; n < gdb_reg_count(s->t.avx) && a->p < a->end; n++) {
        unsigned size = gdb_reg_size(n);

        if (!gdb_unhex(a->p, a->end, bytes, size) || gdb_reg_set(cpu, n, bytes) < 0) {
            s->cpu_of = -1;
            gdb_error(s, GDB_E_ARGS);
            return;
        }
        a->p += 2 * size;
    }
    if (gdb_cpu_put(s) < 0)
        gdb_error(s, GDB_E_ARGS);
    else
        gdb_ok(s);
}

static bool take_register(struct gdb_server *s, struct gdb_args *a, unsigned *n)
{
    uint64_t v;

    if (!gdb_number(&a->p, a->end, &v) || v >= gdb_reg_count(s->t.avx))
        return false;
    *n = (unsigned)v;
    return true;
}

void gdb_register_get(struct gdb_server *s, struct gdb_args *a)
{
    uint8_t bytes[GDB_REG_MAX];
    unsigned n;

    if (!take_register(s, a, &n)) {
        gdb_error(s, GDB_E_ARGS);
        return;
    }
    gdb_reg_get(gdb_cpu(s, s->current), n, bytes);
    gdb_hex(&s->out, bytes, gdb_reg_size(n));
}

void gdb_register_set(struct gdb_server *s, struct gdb_args *a)
{
    uint8_t bytes[GDB_REG_MAX];
    unsigned n;

    if (!take_register(s, a, &n) || !gdb_take(a, '=') ||
        !gdb_unhex(a->p, a->end, bytes, gdb_reg_size(n)) ||
        gdb_reg_set(gdb_cpu(s, s->current), n, bytes) < 0 || gdb_cpu_put(s) < 0)
        gdb_error(s, GDB_E_ARGS);
    else
        gdb_ok(s);
}

/* "address,length" */
static bool take_range(struct gdb_args *a, uint64_t *at, uint64_t *len)
{
    return gdb_number(&a->p, a->end, at) && gdb_take(a, ',') && gdb_number(&a->p, a->end, len) &&
           *len <= GDB_PACKET_MAX;
}

/* As much as there is: memory may end in the middle. */
void gdb_memory_get(struct gdb_server *s, struct gdb_args *a)
{
    uint64_t at, len, page = 4096;
    size_t done = 0;

    if (!take_range(a, &at, &len)) {
        gdb_error(s, GDB_E_ARGS);
        return;
    }
    if (len > GDB_PACKET_MAX / 2)
        len = GDB_PACKET_MAX / 2;
    while (done < len) {
        size_t n = (size_t)(page - ((at + done) & (page - 1)));

        if (n > len - done)
            n = (size_t)(len - done);
        if (s->t.read(s->t.opaque, s->current, s->physical, at + done, s->buf + done, n) < 0)
            break;
        done += n;
    }
    if (done == 0 && len > 0)
        gdb_error(s, GDB_E_FAULT);
    else
        gdb_hex(&s->out, s->buf, done);
}

void gdb_memory_set(struct gdb_server *s, struct gdb_args *a, bool binary)
{
    uint64_t at, len;
    bool good = take_range(a, &at, &len) && gdb_take(a, ':');

    if (good && binary)
        good = (size_t)(a->end - a->p) >= len;
    else if (good)
        good = gdb_unhex(a->p, a->end, s->buf, len);
    if (!good) {
        gdb_error(s, GDB_E_ARGS);
        return;
    }
    if (binary)
        memcpy(s->buf, a->p, len);
    if (len > 0 && s->t.write(s->t.opaque, s->current, s->physical, at, s->buf, len) < 0)
        gdb_error(s, GDB_E_FAULT);
    else
        gdb_ok(s);
}
