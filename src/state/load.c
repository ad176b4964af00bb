/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loading a record: hostile input. All goes into a scratch copy of the object first; only when the
 * record is good to its last byte do the fields (and nothing between them) move to the object.
 * Nesting is as deep as the tables are, whatever the record says.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "state/state_internal.h"

struct in {
    const uint8_t *p;
    size_t left;
    const char *object; /* name of the outermost table, for the messages */
    struct err *err;
};

static int truncated(struct in *in)
{
    return err_set(in->err, EINVAL, "%s: the saved state is truncated", in->object);
}

static int get(struct in *in, const uint8_t **p, size_t len)
{
    if (len > in->left)
        return truncated(in);
    *p = in->p;
    in->p += len;
    in->left -= len;
    return 0;
}

static int get_int(struct in *in, uint64_t *v, size_t bytes)
{
    const uint8_t *p = NULL;
    int rc = get(in, &p, bytes);

    if (rc < 0)
        return rc;
    *v = 0;
    memcpy(v, p, bytes);
    return 0;
}

static bool printable(const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s < ' ' || *s > '~')
            return false;
    }
    return true;
}

static int get_name(struct in *in, char name[STATE_NAME_MAX + 1])
{
    const uint8_t *p = NULL;
    uint64_t len;
    int rc = get_int(in, &len, 1);

    if (rc < 0)
        return rc;
    if (len == 0 || len > STATE_NAME_MAX)
        return err_set(in->err, EINVAL, "%s: the saved state is damaged (a name of %u bytes)",
                       in->object, (unsigned)len);
    rc = get(in, &p, len);
    if (rc < 0)
        return rc;
    memcpy(name, p, len);
    name[len] = '\0';
    if (strlen(name) != len || !printable(name))
        return err_set(in->err, EINVAL, "%s: the saved state is damaged (a name)", in->object);
    return 0;
}

/* What the element may hold at most: the table's word, or what fits the object. */
static uint64_t limit(const struct state_field *f)
{
    uint64_t fits = f->type == STATE_BOOL ? 1 : mask_bytes((unsigned)f->size);

    return f->max != 0 && f->max < fits ? f->max : fits;
}

static int get_element(struct in *in, const struct state_field *f, uint8_t *at)
{
    uint64_t v;
    int rc = get_int(in, &v, state_wire_size(f->type));

    if (rc < 0)
        return rc;
    if (v > limit(f))
        return err_set(in->err, EINVAL, "%s: field '%s' is %#llx, above the limit of %#llx",
                       in->object, f->name, (unsigned long long)v, (unsigned long long)limit(f));
    assert(f->size == 1 || f->size == 2 || f->size == 4 || f->size == 8);
    memcpy(at, &v, f->size);
    return 0;
}

static int get_record(struct in *in, const struct state_table *t, uint8_t *object);

static int get_payload(struct in *in, const struct state_field *f, uint8_t *object)
{
    uint8_t *at = object + f->offset;
    const uint8_t *bytes = NULL;
    int rc = 0;

    if (f->type == STATE_BYTES) {
        rc = get(in, &bytes, f->count);
        if (rc == 0)
            memcpy(at, bytes, f->count);
        return rc;
    }
    for (uint32_t i = 0; i < f->count && rc == 0; i++, at += f->size)
        rc = f->type == STATE_STRUCT ? get_record(in, f->table, at) : get_element(in, f, at);
    return rc;
}

/* The index of the field, or -EINVAL. */
static int find_field(struct in *in, const struct state_table *t, const char *name,
                      uint64_t version)
{
    for (int i = 0; t->fields[i].type != STATE_END; i++) {
        if (strcmp(t->fields[i].name, name) == 0 && t->fields[i].since <= version)
            return i;
    }
    return err_set(in->err, EINVAL, "%s: unknown field '%s' in version %u of '%s'", in->object,
                   name, (unsigned)version, t->name);
}

/* Reads the field's header and payload; the payload must be used up exactly. */
static int get_field_body(struct in *in, const struct state_field *f, uint8_t *object)
{
    uint64_t type, count, len;
    struct in body = *in;
    int rc = get_int(in, &type, 1);

    if (rc == 0)
        rc = get_int(in, &count, 4);
    if (rc == 0)
        rc = get_int(in, &len, 4);
    if (rc == 0)
        rc = get(in, &body.p, len);
    if (rc < 0)
        return rc;
    if (type != f->type || count != f->count)
        return err_set(in->err, EINVAL, "%s: field '%s' has another type or length", in->object,
                       f->name);
    body.left = len;
    rc = get_payload(&body, f, object);
    if (rc == 0 && body.left != 0)
        rc = err_set(in->err, EINVAL, "%s: field '%s' has %zu bytes too many", in->object, f->name,
                     body.left);
    return rc;
}

/* `seen` has one byte for each field of the table. */
static int get_fields(struct in *in, const struct state_table *t, uint64_t version, uint64_t n,
                      uint8_t *object, uint8_t *seen)
{
    for (uint64_t i = 0; i < n; i++) {
        char name[STATE_NAME_MAX + 1];
        int rc = get_name(in, name), k;

        if (rc < 0)
            return rc;
        k = find_field(in, t, name, version);
        if (k < 0)
            return k;
        if (seen[k]++)
            return err_set(in->err, EINVAL, "%s: field '%s' comes twice", in->object, name);
        rc = get_field_body(in, &t->fields[k], object);
        if (rc < 0)
            return rc;
    }
    for (int k = 0; t->fields[k].type != STATE_END; k++) {
        if (!seen[k] && t->fields[k].since <= version)
            return err_set(in->err, EINVAL, "%s: field '%s' is missing", in->object,
                           t->fields[k].name);
    }
    return 0;
}

/* The table's name, version and number of fields. */
static int get_header(struct in *in, const struct state_table *t, uint64_t *version, uint64_t *n)
{
    char name[STATE_NAME_MAX + 1];
    int rc = get_name(in, name);

    if (rc == 0)
        rc = get_int(in, version, 2);
    if (rc == 0)
        rc = get_int(in, n, 2);
    if (rc < 0)
        return rc;
    if (strcmp(name, t->name) != 0)
        return err_set(in->err, EINVAL, "%s: the saved state is of '%s', not of '%s'", in->object,
                       name, t->name);
    if (*version == 0 || *version > t->version)
        return err_set(in->err, EINVAL,
                       "%s: version %u of '%s' is unknown here, at most %u is; use a newer doppel",
                       in->object, (unsigned)*version, t->name, t->version);
    return 0;
}

static size_t field_count(const struct state_table *t)
{
    size_t n = 0;

    while (t->fields[n].type != STATE_END)
        n++;
    return n;
}

static int get_record(struct in *in, const struct state_table *t, uint8_t *object)
{
    uint64_t version, n;
    uint8_t *seen;
    int rc = get_header(in, t, &version, &n);

    if (rc < 0)
        return rc;
    seen = calloc(field_count(t) + 1, 1);
    if (seen == NULL)
        return err_set(in->err, ENOMEM, "out of memory");
    rc = get_fields(in, t, version, n, object, seen);
    free(seen);
    if (rc < 0 || t->validate == NULL)
        return rc;
    rc = t->validate(object, in->err);
    return rc < 0 ? -EINVAL : 0;
}

/* Bytes from the object's start to the end of its last field. */
static size_t extent(const struct state_table *t)
{
    size_t end = 0;

    for (const struct state_field *f = t->fields; f->type != STATE_END; f++) {
        if (f->offset + f->size * f->count > end)
            end = f->offset + f->size * f->count;
    }
    return end;
}

static void commit(const struct state_table *t, uint8_t *object, const uint8_t *scratch)
{
    for (const struct state_field *f = t->fields; f->type != STATE_END; f++) {
        for (uint32_t i = 0; f->type == STATE_STRUCT && i < f->count; i++)
            commit(f->table, object + f->offset + i * f->size, scratch + f->offset + i * f->size);
        if (f->type != STATE_STRUCT)
            memcpy(object + f->offset, scratch + f->offset, f->size * f->count);
    }
}

static int load_into(struct in *in, const struct state_table *t, uint8_t *scratch)
{
    uint64_t magic;
    int rc = get_int(in, &magic, 4);

    if (rc < 0)
        return rc;
    if (magic != STATE_MAGIC)
        return err_set(in->err, EINVAL, "%s: this is no saved state", in->object);
    rc = get_record(in, t, scratch);
    if (rc == 0 && in->left != 0)
        rc = err_set(in->err, EINVAL, "%s: %zu bytes follow the saved state", in->object, in->left);
    return rc;
}

int state_load(const struct state_table *t, void *object, const uint8_t *buf, size_t len,
               struct err *e)
{
    struct in in = {.p = buf, .left = len, .object = t->name, .err = e};
    size_t size = extent(t);
    /* Aligned for whatever the object holds. */
    uint8_t *scratch = aligned_alloc(64, (size + 64) / 64 * 64);
    int rc;

    if (scratch == NULL)
        return err_set(e, ENOMEM, "out of memory");
    memcpy(scratch, object, size);
    rc = load_into(&in, t, scratch);
    if (rc == 0)
        commit(t, object, scratch);
    free(scratch);
    return rc;
}
