/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Accesses to device memory, in the pieces that a bus makes of them. General registers only. */
#include "trace.h"

static unsigned chunk(uint64_t gpa, unsigned len)
{
    unsigned n = 8;
    while (n > len || (gpa & (n - 1)))
        n >>= 1;
    return n;
}

static void trace_mmio(struct bt_ctx *c, const char *what, uint64_t gpa, unsigned size, uint64_t v)
{
    bt_trace(c, TRACE_mmio, bt_trace_rip(c), "%s %#llx, %u bytes: %#llx", what,
             (unsigned long long)gpa, size, (unsigned long long)v);
}

void bt_mmio_read(struct bt_ctx *c, uint64_t gpa, uint8_t *buf, unsigned len)
{
    const struct engine_host *h = c->v->en->host;

    c->v->en->stat.mmio++;
    bt_vector_out();
    while (len > 0) {
        unsigned n = chunk(gpa, len);
        uint64_t v = h->mmio_read(h->opaque, c->v->index, gpa, n);
        if (bt_tracing(c, TRACE_mmio))
            trace_mmio(c, "read", gpa, n, v);
        for (unsigned i = 0; i < n; i++)
            buf[i] = (uint8_t)(v >> (8 * i));
        buf += n;
        gpa += n;
        len -= n;
    }
    bt_remap_data(c);
    bt_vector_in();
}

void bt_mmio_write(struct bt_ctx *c, uint64_t gpa, const uint8_t *buf, unsigned len)
{
    const struct engine_host *h = c->v->en->host;

    c->v->en->stat.mmio++;
    bt_vector_out();
    while (len > 0) {
        unsigned n = chunk(gpa, len);
        uint64_t v = 0;
        for (unsigned i = 0; i < n; i++)
            v |= (uint64_t)buf[i] << (8 * i);
        if (bt_tracing(c, TRACE_mmio))
            trace_mmio(c, "write", gpa, n, v);
        h->mmio_write(h->opaque, c->v->index, gpa, v, n);
        buf += n;
        gpa += n;
        len -= n;
    }
    bt_remap_data(c);
    bt_vector_in();
}
