/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saving an object through its field table. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "state/state_internal.h"

struct out {
    uint8_t *data;
    size_t len, room;
    bool failed; /* out of memory: what follows is dropped */
};

static void put(struct out *o, const void *p, size_t len)
{
    if (!o->failed && len > o->room - o->len) {
        size_t room = (o->len + len) * 2;
        uint8_t *grown = realloc(o->data, room);

        o->failed = grown == NULL;
        if (grown != NULL) {
            o->data = grown;
            o->room = room;
        }
    }
    if (o->failed || len == 0)
        return;
    memcpy(o->data + o->len, p, len);
    o->len += len;
}

/* Little endian, as the host is. */
static void put_int(struct out *o, uint64_t v, size_t bytes)
{
    put(o, &v, bytes);
}

static void put_name(struct out *o, const char *name)
{
    size_t len = strlen(name);

    assert(len >= 1 && len <= STATE_NAME_MAX);
    put_int(o, len, 1);
    put(o, name, len);
}

static uint64_t element(const uint8_t *p, size_t size)
{
    uint64_t v = 0;

    assert(size == 1 || size == 2 || size == 4 || size == 8);
    memcpy(&v, p, size);
    return v;
}

static void put_record(struct out *o, const struct state_table *t, const uint8_t *object);

static void put_payload(struct out *o, const struct state_field *f, const uint8_t *object)
{
    const uint8_t *p = object + f->offset;

    if (f->type == STATE_BYTES) {
        put(o, p, f->count);
        return;
    }
    for (uint32_t i = 0; i < f->count; i++, p += f->size) {
        if (f->type == STATE_STRUCT)
            put_record(o, f->table, p);
        else
            put_int(o, f->type == STATE_BOOL ? *p != 0 : element(p, f->size),
                    state_wire_size(f->type));
    }
}

static void put_field(struct out *o, const struct state_field *f, const uint8_t *object)
{
    size_t at;

    put_name(o, f->name);
    put_int(o, f->type, 1);
    put_int(o, f->count, 4);
    at = o->len;
    put_int(o, 0, 4);
    put_payload(o, f, object);
    if (!o->failed)
        st_le32(o->data + at, (uint32_t)(o->len - at - 4));
}

static void put_record(struct out *o, const struct state_table *t, const uint8_t *object)
{
    uint16_t n = 0;

    while (t->fields[n].type != STATE_END)
        n++;
    put_name(o, t->name);
    put_int(o, t->version, 2);
    put_int(o, n, 2);
    for (uint16_t i = 0; i < n; i++)
        put_field(o, &t->fields[i], object);
}

int state_save(const struct state_table *t, const void *object, uint8_t **buf, size_t *len)
{
    struct out o = {0};

    put_int(&o, STATE_MAGIC, 4);
    put_record(&o, t, object);
    if (o.failed) {
        free(o.data);
        return -ENOMEM;
    }
    *buf = o.data;
    *len = o.len;
    return 0;
}
