/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loading of state: a record of some device that the input has changed, or made up altogether. What
 * is refused must leave the device as it was; what is accepted must work, and what it is saved as
 * must be accepted again.
 */
#include "devices.h"

struct record {
    uint8_t *bytes;
    size_t len;
};

static struct record save(const struct device *d)
{
    struct record r;
    FUZZ_REQUIRE(state_save(d->ops->state, suite_state_object(d), &r.bytes, &r.len) == 0);
    return r;
}

/* The record with some bytes replaced and perhaps the end cut off, or the input itself. */
static struct record hostile(const struct record *good, struct fuzz_input *in)
{
    bool raw = fuzz_u8(in) & 1;
    struct record r = {.len = raw ? in->left : good->len};
    r.bytes = malloc(r.len > 0 ? r.len : 1);
    FUZZ_REQUIRE(r.bytes != NULL);
    if (r.len > 0)
        memcpy(r.bytes, raw ? in->p : good->bytes, r.len);
    if (raw) {
        in->left = 0;
        return r;
    }
    for (unsigned edits = fuzz_u8(in) % 16; edits > 0; edits--) {
        uint16_t at = fuzz_u16(in);
        r.bytes[at % r.len] = fuzz_u8(in);
    }
    uint16_t cut = fuzz_u16(in);
    if (cut & 1)
        r.len = (cut >> 1) % (r.len + 1);
    return r;
}

static void check_untouched(const struct device *d, const struct record *before)
{
    struct record now = save(d);
    FUZZ_REQUIRE(now.len == before->len && memcmp(now.bytes, before->bytes, now.len) == 0);
    free(now.bytes);
}

/* Loaded and restored: use it, save it, load that. */
static void use(struct fuzz_device *f, struct fuzz_input *in)
{
    const struct device *d = &f->dev;
    struct err e = {0};
    suite_resume(d);
    for (unsigned i = 0; i < 64 && in->left > 0; i++)
        fuzz_access(f, in);
    suite_settle(&f->env);
    suite_pause(d);
    struct record r = save(d);
    d->ops->reset(d->self);
    FUZZ_REQUIRE(state_load(d->ops->state, suite_state_object(d), r.bytes, r.len, &e) == 0);
    free(r.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct fuzz_device *f = fuzz_device(fuzz_u8(&in));
    const struct device *d = &f->dev;
    struct err e = {0};
    if (d->ops->state == NULL)
        return 0;
    suite_pause(d);
    struct record good = save(d), bad = hostile(&good, &in);
    if (state_load(d->ops->state, suite_state_object(d), bad.bytes, bad.len, &e) != 0) {
        FUZZ_REQUIRE(e.text[0] != '\0');
        check_untouched(d, &good);
    } else {
        if (d->ops->restore != NULL)
            d->ops->restore(d->self);
        use(f, &in);
    }
    d->ops->reset(d->self);
    suite_resume(d);
    free(good.bytes);
    free(bad.bytes);
    return 0;
}
