/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Places in a request's buffers: see file.h. */
#include <string.h>

#include "block/file.h"

unsigned block_cursor_slice(const struct block_cursor *c, uint64_t bytes,
                            struct iovec out[BLOCK_SLICE], uint64_t *total)
{
    unsigned n = 0;
    size_t skip = c->skip;

    *total = 0;
    for (unsigned i = 0; i < c->count && n < BLOCK_SLICE && *total < bytes; i++, skip = 0) {
        uint64_t len = c->iov[i].iov_len - skip;

        if (len > bytes - *total)
            len = bytes - *total;
        out[n++] = (struct iovec){(uint8_t *)c->iov[i].iov_base + skip, (size_t)len};
        *total += len;
    }
    return n;
}

void block_cursor_advance(struct block_cursor *c, uint64_t bytes)
{
    while (c->count != 0 && bytes >= c->iov[0].iov_len - c->skip) {
        bytes -= c->iov[0].iov_len - c->skip;
        c->skip = 0;
        c->iov++;
        c->count--;
    }
    c->skip += bytes;
}

/* Copies between the cursor and flat memory; both NULL: zeros into the cursor. */
static void copy(struct block_cursor *c, uint8_t *to, const uint8_t *from, uint64_t bytes)
{
    struct iovec v[BLOCK_SLICE];
    uint64_t total;

    while (bytes != 0) {
        unsigned n = block_cursor_slice(c, bytes, v, &total);

        if (total == 0)
            return;
        for (unsigned i = 0; i < n; i++) {
            size_t len = v[i].iov_len;

            if (to != NULL)
                to = (uint8_t *)memcpy(to, v[i].iov_base, len) + len;
            else if (from != NULL)
                memcpy(v[i].iov_base, from, len);
            else
                memset(v[i].iov_base, 0, len);
            from = from != NULL ? from + len : NULL;
        }
        block_cursor_advance(c, total);
        bytes -= total;
    }
}

void block_cursor_zero(struct block_cursor *c, uint64_t bytes)
{
    copy(c, NULL, NULL, bytes);
}

void block_cursor_put(struct block_cursor *c, const void *from, uint64_t bytes)
{
    copy(c, NULL, from, bytes);
}

void block_cursor_get(struct block_cursor *c, void *to, uint64_t bytes)
{
    copy(c, to, NULL, bytes);
}
