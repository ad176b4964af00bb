/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intrusive doubly linked list. The list head and every element hold a struct list; an element that
 * is on no list points to itself, so that list_remove may be called twice.
 */
#ifndef DOPPEL_BASE_LIST_H
#define DOPPEL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bits.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

/* For a head: has it no elements? For an element: is it on no list? */
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_(struct list *e, struct list *prev, struct list *next)
{
    e->prev = prev;
    e->next = next;
    prev->next = e;
    next->prev = e;
}

/* `e` must be on no list. */
static inline void list_append(struct list *head, struct list *e)
{
    list_insert_(e, head->prev, head);
}

static inline void list_prepend(struct list *head, struct list *e)
{
    list_insert_(e, head, head->next);
}

static inline void list_remove(struct list *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
    list_init(e);
}

/* Moves all elements of `from` to the (initialised or not) head `to`; `from` is empty afterwards.
 */
static inline void list_take(struct list *to, struct list *from)
{
    list_init(to);
    if (list_empty(from))
        return;
    to->next = from->next;
    to->prev = from->prev;
    to->next->prev = to;
    to->prev->next = to;
    list_init(from);
}

#define LIST_ITEM(ptr, type, member) CONTAINER_OF(ptr, type, member)
#define LIST_FIRST(head, type, member) \
    (list_empty(head) ? NULL : LIST_ITEM((head)->next, type, member))

/* `pos` is a struct list *; the body must not remove it. */
#define LIST_EACH(pos, head) for (struct list *pos = (head)->next; pos != (head); pos = pos->next)
/* The body may remove (and free) `pos`, nothing else. */
#define LIST_EACH_SAFE(pos, head)                                                  \
    for (struct list *pos = (head)->next, *pos##_next_ = pos->next; pos != (head); \
         pos = pos##_next_, pos##_next_ = pos->next)

#endif
