/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdbool.h>
#include <string.h>

#include "x86/topology.h"

struct x86_topology x86_topology_flat(unsigned cpus)
{
    return (struct x86_topology){.sockets = 1, .cores = cpus, .threads = 1};
}

unsigned x86_topology_cpus(const struct x86_topology *t)
{
    return t->sockets * t->cores * t->threads;
}

/* Bits needed for the ids of n things. */
static unsigned id_bits(unsigned n)
{
    unsigned bits = 0;

    while ((1u << bits) < n)
        bits++;
    return bits;
}

unsigned x86_topology_thread_bits(const struct x86_topology *t)
{
    return id_bits(t->threads);
}

unsigned x86_topology_socket_shift(const struct x86_topology *t)
{
    return id_bits(t->threads) + id_bits(t->cores);
}

/* A number from 1 to max that ends with the text or with a comma; 0 if it is none. */
static unsigned number(const char **text, unsigned max)
{
    const char *p = *text;
    unsigned n = 0;

    for (; *p >= '0' && *p <= '9' && n <= max; p++)
        n = n * 10 + (unsigned)(*p - '0');
    if (p == *text || n > max || (*p != '\0' && *p != ','))
        return 0;
    *text = p;
    return n;
}

static int parse_factor(struct x86_topology *t, const char *option, const char **text, unsigned max,
                        struct err *e)
{
    const struct {
        const char *name;
        unsigned *to;
    } words[] = {{"sockets=", &t->sockets}, {"cores=", &t->cores}, {"threads=", &t->threads}};

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = strlen(words[i].name);

        if (strncmp(*text, words[i].name, len) != 0)
            continue;
        const char *value = *text + len;
        *words[i].to = number(&value, max);
        if (*words[i].to == 0)
            return err_usage(e, "%s: '%s' is not a number from 1 to %u", option, *text + len, max);
        *text = value;
        return 0;
    }
    return err_usage(e, "%s: '%s' is unknown; use sockets=N, cores=N, threads=N and pin=LIST",
                     option, *text);
}

static bool power_of_two(unsigned n)
{
    return (n & (n - 1)) == 0;
}

static int complete(struct x86_topology *t, unsigned cpus, const char *option, struct err *e)
{
    if (t->sockets == 0)
        t->sockets = 1;
    if (t->threads == 0)
        t->threads = 1;
    if (t->cores == 0)
        t->cores = cpus / (t->sockets * t->threads);
    if (x86_topology_cpus(t) != cpus)
        return err_usage(e, "%s: %u sockets of %u cores of %u threads are not %u CPUs", option,
                         t->sockets, t->cores, t->threads, cpus);
    if (t->sockets > X86_MAX_SOCKETS)
        return err_usage(e, "%s: %u sockets are more than %u", option, t->sockets, X86_MAX_SOCKETS);
    if (!power_of_two(t->threads))
        return err_usage(e, "%s: %u threads a core are no power of two", option, t->threads);
    if (t->sockets > 1 && !power_of_two(t->cores))
        return err_usage(e, "%s: in several sockets %u cores each are no power of two", option,
                         t->cores);
    return 0;
}

int x86_topology_parse(struct x86_topology *t, const char *option, const char *text, unsigned max,
                       struct err *e)
{
    const char *p = text;
    unsigned cpus = number(&p, max);
    int rc = 0;

    *t = (struct x86_topology){0};
    if (cpus == 0)
        return err_usage(e, "%s: '%s' does not begin with a number from 1 to %u", option, text,
                         max);
    while (rc == 0 && *p == ',') {
        p++;
        rc = parse_factor(t, option, &p, max, e);
    }
    return rc == 0 ? complete(t, cpus, option, e) : rc;
}
