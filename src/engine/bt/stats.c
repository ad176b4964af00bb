/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the translator counted, for whoever asks: see stats.h. */
#include "stats.h"

#include <stdio.h>

#include "helpers.h"
#include "trace.h"

#define TOP 10

static const char *const exit_name[EXIT_COUNT] = {
    [EXIT_LOOKUP] = "look-up",
    [EXIT_CHAIN] = "link",
    [EXIT_EVENT] = "event",
    [EXIT_HALT] = "halt",
    [EXIT_SHUTDOWN] = "shutdown",
    [EXIT_FAULT] = "host exception",
    [EXIT_VARIANT] = "block without groups",
    [EXIT_TLB] = "block with the software TLB",
    [EXIT_ONESHOT] = "store to own page",
    [EXIT_STALE] = "source of a block changed",
    [EXIT_DEBUG] = "debugger",
    [EXIT_OPEN] = "store to a page of another vCPU",
    [EXIT_LOCKED] = "LOCK over two pages",
    [EXIT_ERROR] = "error",
};
_Static_assert(EXIT_COUNT <= BT_STAT_EXITS, "room for all exit reasons");

static const char *const exception_name[32] = {
    "#DE divide error",
    "#DB debug",
    "NMI",
    "#BP breakpoint",
    "#OF overflow",
    "#BR bound",
    "#UD undefined opcode",
    "#NM device not available",
    "#DF double fault",
    "9",
    "#TS invalid TSS",
    "#NP segment not present",
    "#SS stack",
    "#GP general protection",
    "#PF page fault",
    "15",
    "#MF x87",
    "#AC alignment",
    "#MC machine check",
    "#XM SIMD",
};

static const char *const where_name[WHERE_COUNT] = {
    [WHERE_USER] = "guest, user",
    [WHERE_KERNEL] = "guest, kernel",
    [WHERE_MEMORY] = "slow paths of memory accesses",
    [WHERE_BRANCH] = "look-ups of branches",
    [WHERE_HELPER] = "helpers",
    [WHERE_DEVICE] = "devices",
    [WHERE_FAULT] = "host faults",
    [WHERE_BORDER] = "entry and exit of translated code",
    [WHERE_TRANSLATE] = "translation",
    [WHERE_LOOP] = "run loop",
    [WHERE_CELL] = "guest, user, in cells",
};

const char *bt_exception_name(unsigned vector)
{
    return vector < 32 ? exception_name[vector] : NULL;
}

/* Another thread may be counting. */
static uint64_t load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static uint32_t load32(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

struct sink {
    const struct engine *machine;
    const struct bt_stat *stat; /* the sum over all vCPUs */
    counter_fn *fn;
    void *opaque;
};

static void tell(const struct sink *s, const char *group, const char *name, const char *unit,
                 uint64_t value)
{
    const struct counter c = {.group = group, .name = name, .unit = unit, .value = value};

    s->fn(s->opaque, &c);
}

static uint64_t ticks_to_ns(const struct engine *m, uint64_t ticks)
{
    return (uint64_t)((unsigned __int128)ticks * 1000000u / m->tsc_khz);
}

static void scalar(const struct sink *s, const char *group, const char *name, const char *unit,
                   const uint64_t *field)
{
    uint64_t value = *field;

    if (unit[0] == 't') /* ticks */
        tell(s, group, name, "ns", ticks_to_ns(s->machine, value));
    else
        tell(s, group, name, unit, value);
}

static void exits(const struct sink *s)
{
    for (unsigned i = 0; i < EXIT_COUNT; i++) {
        uint64_t n = s->stat->exits[i];
        if (n != 0)
            tell(s, "exits to the run loop", exit_name[i], "", n);
    }
}

static void cache_use(const struct sink *s)
{
    uint64_t hot = 0, hot_limit = 0, cold = 0, cold_limit = 0, blocks = 0, pages = 0, modes = 0;

    for (unsigned i = 0; i < s->machine->vcpus; i++) {
        const struct engine_vcpu *v = s->machine->vcpu[i];
        if (v == NULL)
            continue;
        const struct translator *en = v->en;
        hot += load32(&en->hot);
        hot_limit += load32(&en->hot_limit);
        cold += load32(&en->cold) - en->cold_start;
        cold_limit += load32(&en->cold_limit) - en->cold_start;
        blocks += load32(&en->n_block);
        pages += load32(&en->n_page) - 1;
        modes += load32(&en->n_mode);
    }
    tell(s, "cache in use", "hot code", "bytes", hot);
    tell(s, "cache in use", "hot code, limit", "bytes", hot_limit);
    tell(s, "cache in use", "cold code", "bytes", cold);
    tell(s, "cache in use", "cold code, limit", "bytes", cold_limit);
    tell(s, "cache in use", "blocks", "", blocks);
    tell(s, "cache in use", "code pages", "", pages);
    tell(s, "cache in use", "modes", "", modes);
}

static void exceptions(const struct sink *s)
{
    char number[16];

    for (unsigned i = 0; i < 32; i++) {
        uint64_t n = s->stat->exception[i];
        if (n == 0)
            continue;
        snprintf(number, sizeof(number), "%u", i);
        tell(s, "exceptions", exception_name[i] != NULL ? exception_name[i] : number, "", n);
    }
}

/* The largest of 256 values, largest first. name: of one of them; it may use `buf`. */
static void largest(const struct sink *s, const char *group, const char *unit,
                    const uint64_t *value, const char *(*name)(unsigned i, char *buf, size_t size))
{
    uint64_t v[256], max;
    unsigned best;
    char buf[24];

    for (unsigned i = 0; i < 256; i++)
        v[i] = value[i];
    for (unsigned k = 0; k < TOP; k++) {
        max = best = 0;
        for (unsigned i = 0; i < 256; i++)
            if (v[i] > max)
                max = v[best = i];
        if (max == 0)
            return;
        tell(s, group, name(best, buf, sizeof(buf)), unit, max);
        v[best] = 0;
    }
}

static const char *vector_name(unsigned i, char *buf, size_t size)
{
    snprintf(buf, size, "vector %#x", i);
    return buf;
}

static const char *helper_name(unsigned i, char *buf, size_t size)
{
#define NAME(name) #name,
    static const char *const names[H_COUNT] = {BT_HELPERS(NAME)};
#undef NAME

    (void)buf;
    (void)size;
    return i < H_COUNT ? names[i] : "?";
}

static void times(const struct sink *s)
{
    if (!s->machine->stats)
        return;
    for (unsigned i = 0; i < WHERE_COUNT; i++)
        if (where_name[i] != NULL)
            tell(s, "time of virtual CPUs, by samples", where_name[i], "ns", s->stat->time[i]);
    largest(s, "time in helpers, by samples", "ns", s->stat->helper_time, helper_name);
    largest(s, "calls of helpers", "", s->stat->helper_calls, helper_name);
}

/* The fields of struct bt_stat are all uint64_t. */
static void add_up(struct bt_stat *sum, const struct bt_stat *one)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)one;

    for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
        to[i] += load(&from[i]);
}

void bt_counters(struct engine *m, counter_fn *fn, void *opaque)
{
    struct bt_stat sum = {0};
    const struct sink s = {.machine = m, .stat = &sum, .fn = fn, .opaque = opaque};

    for (unsigned i = 0; i < m->vcpus; i++)
        if (m->vcpu[i] != NULL)
            add_up(&sum, &m->vcpu[i]->en->stat);
    times(&s);
#define SCALAR(field, group, name, unit) scalar(&s, group, name, unit, &sum.field);
    BT_STATS(SCALAR)
#undef SCALAR
    cache_use(&s);
    exits(&s);
    exceptions(&s);
    largest(&s, "interrupts", "", sum.interrupt, vector_name);
}
