/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Things of one kind that come and go, as the requests of a queue do, without an allocation: an
 * array of them, zeroed, whose memory is touched only as far as it is used at once.
 *
 * A thing begins with a `void *` that belongs to the list; the rest stays as it was put back. No
 * lock: the owner of the things sees to that.
 */
#ifndef DOPPEL_BASE_FREELIST_H
#define DOPPEL_BASE_FREELIST_H

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

struct freelist {
    char *things;
    size_t size;
    unsigned count;
    unsigned fresh; /* this one and later ones were never used */
    void **free;
};

static inline int freelist_init(struct freelist *l, unsigned count, size_t size)
{
    *l = (struct freelist){.things = calloc(count, size), .size = size, .count = count};
    return l->things != NULL ? 0 : -ENOMEM;
}

static inline void freelist_finish(struct freelist *l) /* also of all zeros */
{
    free(l->things);
    *l = (struct freelist){0};
}

/* Thing i, below `fresh`: one that was used, and may be free again. */
static inline void *freelist_at(const struct freelist *l, unsigned i)
{
    return l->things + i * l->size;
}

/* NULL: all are in use. */
static inline void *freelist_get(struct freelist *l)
{
    void **thing = l->free;

    if (thing != NULL)
        l->free = *thing;
    else if (l->fresh < l->count)
        thing = freelist_at(l, l->fresh++);
    return thing;
}

static inline void freelist_put(struct freelist *l, void *thing)
{
    void **link = thing;

    *link = l->free;
    l->free = link;
}

#endif
