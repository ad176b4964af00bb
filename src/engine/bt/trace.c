/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events as lines of text: see trace.h. */
#include "trace.h"

#include <stdarg.h>
#include <stdio.h>

#define KIND(name, help) {#name, help},
const struct engine_trace_kind bt_trace_kinds[] = {BT_TRACES(KIND){NULL, NULL}};
#undef KIND

uint64_t bt_trace_rip(const struct bt_ctx *c)
{
    return c->v->where == WHERE_GUEST ? bt_helper_rip(c) : c->rip;
}

static uint64_t guest_tsc(const struct bt_ctx *c)
{
    return bt_tsc() + c->tsc_offset;
}

void bt_trace(struct bt_ctx *c, enum bt_trace kind, uint64_t rip, const char *fmt, ...)
{
    const struct engine_trace *t = &c->v->en->trace;
    char line[256];
    va_list args;

    bt_vector_out();
    int n = snprintf(line, sizeof(line), "%-10s %u %llu %016llx %012llx ",
                     bt_trace_kinds[kind].name, c->v->index, (unsigned long long)guest_tsc(c),
                     (unsigned long long)rip, (unsigned long long)c->v->cpu.cr3);
    va_start(args, fmt);
    n += vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, args);
    va_end(args);
    if (n > (int)sizeof(line) - 2)
        n = (int)sizeof(line) - 2;
    line[n++] = '\n';
    t->line(t->opaque, line, (size_t)n);
    bt_vector_in();
}

static const char *level(uint32_t key)
{
    if (key & MODE_VM)
        return "virtual-8086";
    return key & MODE_USER ? "user" : key & MODE_CPL12 ? "ring 1 or 2" : "kernel";
}

static unsigned width(uint32_t key)
{
    return key & MODE_L ? 64 : key & MODE_D ? 32 : 16;
}

static const char *rest(uint32_t key)
{
    bool smap = (key >> MODE_MMU_SHIFT & 3) == MMU_KSMAP, ts = key & MODE_NM, tf = key & MODE_TF;
    static const char *const text[8] = {
        "",         " step",         " TS",         " TS step",
        " no-user", " no-user step", " no-user TS", " no-user TS step"};

    return text[smap << 2 | ts << 1 | tf];
}

void bt_trace_mode(struct bt_ctx *c, uint32_t old)
{
    uint32_t new = c->mode_key;

    if (c->v->where == WHERE_TRANSLATE) /* only tries what another mode would be */
        return;
    bt_trace(c, TRACE_mode, bt_trace_rip(c), "%u-bit %s%s -> %u-bit %s%s (%#x)", width(old),
             level(old), rest(old), width(new), level(new), rest(new), new);
}
