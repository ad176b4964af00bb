/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the translator counted, for whoever asks: see stats.h. */
#include "stats.h"

#include <stdio.h>

#include "bt_internal.h"

#define TOP_INTERRUPTS 10

static const char *const exit_name[EXIT_COUNT] = {
    [EXIT_LOOKUP] = "look-up",
    [EXIT_CHAIN] = "link",
    [EXIT_EVENT] = "event",
    [EXIT_HALT] = "halt",
    [EXIT_SHUTDOWN] = "shutdown",
    [EXIT_FAULT] = "host exception",
    [EXIT_VARIANT] = "block without groups",
    [EXIT_ONESHOT] = "store to own page",
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
    struct engine *en;
    counter_fn *fn;
    void *opaque;
};

static void tell(const struct sink *s, const char *group, const char *name, const char *unit,
                 uint64_t value)
{
    const struct counter c = {.group = group, .name = name, .unit = unit, .value = value};

    s->fn(s->opaque, &c);
}

static uint64_t ticks_to_ns(const struct engine *en, uint64_t ticks)
{
    return (uint64_t)((unsigned __int128)ticks * 1000000u / en->tsc_khz);
}

static void scalar(const struct sink *s, const char *group, const char *name, const char *unit,
                   const uint64_t *field)
{
    uint64_t value = load(field);

    if (unit[0] == 't') /* ticks */
        tell(s, group, name, "ns", ticks_to_ns(s->en, value));
    else
        tell(s, group, name, unit, value);
}

static void exits(const struct sink *s)
{
    for (unsigned i = 0; i < EXIT_COUNT; i++) {
        uint64_t n = load(&s->en->stat.exits[i]);
        if (n != 0)
            tell(s, "exits to the run loop", exit_name[i], "", n);
    }
}

static void cache_use(const struct sink *s)
{
    const struct engine *en = s->en;
    uint32_t cold = load32(&en->cold) - en->cold_start;
    uint32_t cold_limit = load32(&en->cold_limit) - en->cold_start;

    tell(s, "cache in use", "hot code", "bytes", load32(&en->hot));
    tell(s, "cache in use", "hot code, limit", "bytes", load32(&en->hot_limit));
    tell(s, "cache in use", "cold code", "bytes", cold);
    tell(s, "cache in use", "cold code, limit", "bytes", cold_limit);
    tell(s, "cache in use", "blocks", "", load32(&en->n_block));
    tell(s, "cache in use", "code pages", "", load32(&en->n_page) - 1);
    tell(s, "cache in use", "modes", "", load32(&en->n_mode));
}

static void exceptions(const struct sink *s)
{
    char number[16];

    for (unsigned i = 0; i < 32; i++) {
        uint64_t n = load(&s->en->stat.exception[i]);
        if (n == 0)
            continue;
        snprintf(number, sizeof(number), "%u", i);
        tell(s, "exceptions", exception_name[i] != NULL ? exception_name[i] : number, "", n);
    }
}

/* The most frequent ones first. */
static void interrupts(const struct sink *s)
{
    uint64_t n[256], max;
    unsigned best;
    char name[24];

    for (unsigned i = 0; i < 256; i++)
        n[i] = load(&s->en->stat.interrupt[i]);
    for (unsigned k = 0; k < TOP_INTERRUPTS; k++) {
        max = best = 0;
        for (unsigned i = 0; i < 256; i++)
            if (n[i] > max)
                max = n[best = i];
        if (max == 0)
            return;
        snprintf(name, sizeof(name), "vector %#x", best);
        tell(s, "interrupts", name, "", max);
        n[best] = 0;
    }
}

void bt_counters(struct engine *en, counter_fn *fn, void *opaque)
{
    const struct sink s = {.en = en, .fn = fn, .opaque = opaque};

#define SCALAR(field, group, name, unit) scalar(&s, group, name, unit, &en->stat.field);
    BT_STATS(SCALAR)
#undef SCALAR
    cache_use(&s);
    exits(&s);
    exceptions(&s);
    interrupts(&s);
}
