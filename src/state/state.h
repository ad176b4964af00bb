/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Field tables: what of an object is its state, how it is saved, loaded and checked.
 *
 * State reflects the device being modelled, not our implementation. Saving never changes the
 * source. Loading is hostile input: every field has a range, the table has a validate hook, and an
 * object is only touched when the whole record is good. Loading is order-independent and makes no
 * edges on interrupt pins: after everything is loaded the machine asks each device to `restore` its
 * outputs.
 *
 * A record is self-describing (name, table version, fields by name and type), so that a newer
 * version can read an older record: missing fields keep what `reset` gave if `since` is above the
 * record's version; unknown fields are refused.
 */
#ifndef DOPPEL_STATE_STATE_H
#define DOPPEL_STATE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The numbers are part of the record's format. */
enum state_type {
    STATE_BOOL,
    STATE_U8,
    STATE_U16,
    STATE_U32,
    STATE_U64,
    STATE_BYTES,
    STATE_STRUCT,
    STATE_END
};

struct state_table;

struct state_field {
    const char *name;
    enum state_type type;
    uint16_t since; /* table version that brought it; 0 = always */
    size_t offset;  /* in the object */
    size_t size;    /* bytes of one element in the object; integers: 1, 2, 4 or 8, and a record's
                       value that does not fit is refused */
    uint32_t count; /* elements (array); 1 for a scalar; STATE_BYTES: count is the length, size 1 */
    uint64_t max;   /* integers: largest legal value, 0 = whatever the type holds */
    const struct state_table *table; /* STATE_STRUCT */
};

struct state_table {
    const char *name; /* unique in the product: "i8254" */
    uint16_t version; /* 1 and up */
    const struct state_field *fields;
    /* Checks a candidate object (a scratch copy in which all fields are loaded) beyond the fields'
     * ranges. The copy ends with the last field of the outermost table: validate looks at nothing
     * behind it, and at no pointer's target that is state. May be NULL. 0, or -EINVAL with a
     * sentence. */
    int (*validate)(const void *object, struct err *e);
};

#define STATE_FIELD_(obj, f, t, n, m)                                                             \
    {                                                                                             \
        .name = #f, .type = (t), .offset = offsetof(obj, f), .size = sizeof(((obj *)0)->f) / (n), \
        .count = (n), .max = (m)                                                                  \
    }
#define STATE_BOOL_F(obj, f) STATE_FIELD_(obj, f, STATE_BOOL, 1, 1)
#define STATE_U8_F(obj, f) STATE_FIELD_(obj, f, STATE_U8, 1, 0)
#define STATE_U16_F(obj, f) STATE_FIELD_(obj, f, STATE_U16, 1, 0)
#define STATE_U32_F(obj, f) STATE_FIELD_(obj, f, STATE_U32, 1, 0)
#define STATE_U64_F(obj, f) STATE_FIELD_(obj, f, STATE_U64, 1, 0)
#define STATE_MAX_F(obj, f, t, m) STATE_FIELD_(obj, f, t, 1, m)
#define STATE_SINCE_F(obj, f, t, v)                                        \
    {                                                                      \
        .name = #f, .type = (t), .since = (v), .offset = offsetof(obj, f), \
        .size = sizeof(((obj *)0)->f), .count = 1                          \
    }
#define STATE_ARRAY_F(obj, f, t, n) STATE_FIELD_(obj, f, t, n, 0)
#define STATE_BYTES_F(obj, f)                                                   \
    {                                                                           \
        .name = #f, .type = STATE_BYTES, .offset = offsetof(obj, f), .size = 1, \
        .count = sizeof(((obj *)0)->f)                                          \
    }
#define STATE_STRUCT_F(obj, f, n, tab)                                    \
    {                                                                     \
        .name = #f, .type = STATE_STRUCT, .offset = offsetof(obj, f),     \
        .size = sizeof(((obj *)0)->f) / (n), .count = (n), .table = (tab) \
    }
#define STATE_END_F       \
    {                     \
        .type = STATE_END \
    }

/* Saves the object into a fresh buffer (*buf, malloc'd, the caller frees). 0 or -ENOMEM. */
int state_save(const struct state_table *t, const void *object, uint8_t **buf,
               size_t *len) MUST_CHECK;

/* Loads a record. `object` must be in its reset state; it is untouched when -EINVAL is returned
 * with a sentence; -ENOMEM likewise. */
int state_load(const struct state_table *t, void *object, const uint8_t *buf, size_t len,
               struct err *e) MUST_CHECK;

#endif
