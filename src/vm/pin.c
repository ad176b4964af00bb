/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pinning of virtual CPUs: see pin.h. */
#include "vm/pin.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define WORD ",pin="

/* A processor's number; -1: there is none, or no host has so many. */
static int number(const char **text)
{
    const char *p = *text;
    int n = 0;

    for (; *p >= '0' && *p <= '9' && n < CPU_SETSIZE; p++)
        n = n * 10 + (*p - '0');
    if (p == *text || n >= CPU_SETSIZE)
        return -1;
    *text = p;
    return n;
}

/* "3" or "3-5". */
static bool range(const char **text, struct vm_pin *out)
{
    int first = number(text), last = first;

    if (first >= 0 && **text == '-') {
        ++*text;
        last = number(text);
    }
    if (first < 0 || last < first)
        return false;
    for (int n = first; n <= last; n++) {
        if (out->count == MACHINE_MAX_CPUS)
            return false;
        out->cpu[out->count++] = (uint16_t)n;
    }
    return true;
}

static bool list(const char *text, struct vm_pin *out)
{
    while (range(&text, out)) {
        if (*text == '\0')
            return true;
        if (*text++ != ':')
            return false;
    }
    return false;
}

int pin_take(const char *option, char *text, struct vm_pin *out, struct err *e)
{
    char *word = strstr(text, WORD), *end, behind;
    int rc = 0;

    *out = (struct vm_pin){0};
    if (word == NULL)
        return 0;
    if (strstr(word + 1, WORD) != NULL)
        return err_usage(e, "%s: pin is given twice; give it once", option);
    end = strchrnul(word + 1, ',');
    behind = *end;
    *end = '\0';
    if (!list(word + strlen(WORD), out))
        rc = err_usage(e, "%s: %.80s is no list of processors such as 0-3:8", option, word + 1);
    *end = behind;
    memmove(word, end, strlen(end) + 1);
    return rc;
}

int pin_fits(const char *option, const struct vm_pin *p, unsigned cpus, struct err *e)
{
    if (p->count == 0 || p->count == cpus)
        return 0;
    return err_usage(e, "%s: pin has to name as many processors as there are CPUs, %u, not %u",
                     option, cpus, p->count);
}

/* "0-3:8" */
static void describe(const cpu_set_t *set, char *to, size_t size)
{
    size_t at = 0;

    to[0] = '\0';
    for (int n = 0; n < CPU_SETSIZE && at < size; n++) {
        int first = n;

        if (!CPU_ISSET(n, set))
            continue;
        while (n + 1 < CPU_SETSIZE && CPU_ISSET(n + 1, set))
            n++;
        at += (size_t)snprintf(to + at, size - at, "%s%d", at != 0 ? ":" : "", first);
        if (n > first && at < size)
            at += (size_t)snprintf(to + at, size - at, "-%d", n);
    }
}

int pin_check(const struct vm_pin *p, struct err *e)
{
    cpu_set_t mine;
    char words[120];

    if (p->count == 0)
        return 0;
    if (sched_getaffinity(0, sizeof(mine), &mine) < 0)
        return err_set(e, errno, "--cpus: cannot tell which processors pin may name: %s",
                       strerror(errno));
    describe(&mine, words, sizeof(words));
    for (unsigned i = 0; i < p->count; i++)
        if (!CPU_ISSET(p->cpu[i], &mine))
            return err_set(e, EINVAL, "--cpus: pin names processor %u; here are processors %s",
                           p->cpu[i], words);
    return 0;
}
