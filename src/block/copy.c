/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work on whole images: see copy.h. */
#include "block/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STEP (1u << 20)
#define GRAIN 4096u /* zeros of this many bytes in a row are not written */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void tell(const struct block_progress *p, uint64_t done, uint64_t total)
{
    if (p != NULL && p->tell != NULL)
        p->tell(p->opaque, done, total);
}

static bool is_zero(const uint8_t *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* How far the image surely has only zeros from `offset` on, its backing images included; 0: it may
 * have something there, for *run bytes. */
static int find_zeros(struct block_image *im, uint64_t offset, uint64_t bytes, uint64_t *zeros,
                      uint64_t *run)
{
    enum block_status s = BLOCK_STATUS_DATA;
    uint64_t size = block_image_size(im);
    int r = 0;

    *zeros = 0;
    if (offset >= size) {
        *zeros = *run = bytes;
        return 0;
    }
    r = im->ops->status(im, offset, least(bytes, size - offset), &s, run);
    if (r < 0 || s == BLOCK_STATUS_DATA)
        return r;
    if (s == BLOCK_STATUS_BELOW && im->backing != NULL)
        return find_zeros(im->backing, offset, *run, zeros, run);
    *zeros = *run;
    return 0;
}

/* Writes a buffer, without its zeros. */
static int write_sparse(struct block_image *to, const uint8_t *buf, uint64_t bytes, uint64_t offset,
                        bool fresh)
{
    uint64_t at = 0, end;
    int r = 0;

    while (at < bytes && r == 0) {
        bool zero = is_zero(buf + at, least(GRAIN, bytes - at));

        for (end = at + GRAIN; end < bytes; end += GRAIN)
            if (is_zero(buf + end, least(GRAIN, bytes - end)) != zero)
                break;
        end = least(end, bytes);
        if (!zero)
            r = block_image_pwrite(to, buf + at, end - at, offset + at);
        else if (!fresh)
            r = to->ops->zero(to, offset + at, end - at, true);
        at = end;
    }
    return r;
}

int block_copy(struct block_image *from, struct block_image *to, bool fresh,
               const struct block_progress *p)
{
    uint64_t size = block_image_size(from), offset = 0, zeros, run = 0;
    uint8_t *buf = malloc(STEP);
    int r = buf == NULL ? -ENOMEM : 0;

    for (; offset < size && r == 0; offset += run) {
        tell(p, offset, size);
        r = find_zeros(from, offset, size - offset, &zeros, &run);
        if (r == 0 && zeros != 0) {
            r = fresh ? 0 : to->ops->zero(to, offset, run, true);
            continue;
        }
        run = least(run, STEP);
        if (r == 0)
            r = block_image_pread(from, buf, run, offset);
        if (r == 0)
            r = write_sparse(to, buf, run, offset, fresh);
    }
    free(buf);
    if (r == 0)
        r = to->ops->flush(to);
    tell(p, size, size);
    return r;
}

/* One run of an image's own. */
static int commit_run(struct block_image *im, struct block_image *below, enum block_status s,
                      uint64_t offset, uint64_t run, uint8_t *buf)
{
    int r;

    if (s == BLOCK_STATUS_ZERO)
        return below->ops->zero(below, offset, run, true);
    r = block_image_pread(im, buf, run, offset);
    return r == 0 ? block_image_pwrite(below, buf, run, offset) : r;
}

int block_commit(struct block_image *im, struct block_image *below, const struct block_progress *p)
{
    uint64_t size = block_image_size(im), offset = 0, run = 0;
    enum block_status s = BLOCK_STATUS_BELOW;
    uint8_t *buf = malloc(STEP);
    int r = buf == NULL ? -ENOMEM : 0;

    for (; offset < size && r == 0; offset += run) {
        tell(p, offset, size);
        r = im->ops->status(im, offset, size - offset, &s, &run);
        if (s == BLOCK_STATUS_DATA)
            run = least(run, STEP);
        if (r == 0 && s != BLOCK_STATUS_BELOW)
            r = commit_run(im, below, s, offset, run, buf);
    }
    free(buf);
    if (r == 0)
        r = below->ops->flush(below);
    tell(p, size, size);
    return r;
}

/* Reads from an image that may end earlier, or not be there. */
static int read_padded(struct block_image *im, uint8_t *buf, uint64_t bytes, uint64_t offset)
{
    uint64_t size = im != NULL ? block_image_size(im) : 0;
    uint64_t there = offset < size ? least(bytes, size - offset) : 0;

    memset(buf + there, 0, bytes - there);
    return there != 0 ? block_image_pread(im, buf, there, offset) : 0;
}

static int pull_run(struct block_image *im, struct block_image *other, uint64_t offset,
                    uint64_t run, uint8_t *have, uint8_t *want)
{
    int r = block_image_pread(im, want, run, offset);

    if (r == 0)
        r = read_padded(other, have, run, offset);
    if (r < 0 || memcmp(have, want, run) == 0)
        return r;
    return is_zero(want, run) ? im->ops->zero(im, offset, run, true)
                              : block_image_pwrite(im, want, run, offset);
}

int block_pull(struct block_image *im, struct block_image *other, const struct block_progress *p)
{
    uint64_t size = block_image_size(im), offset = 0, run = 0;
    enum block_status s = BLOCK_STATUS_BELOW;
    uint8_t *have = malloc(65536), *want = malloc(65536);
    int r = have == NULL || want == NULL ? -ENOMEM : 0;

    for (; offset < size && r == 0; offset += run) {
        tell(p, offset, size);
        r = im->ops->status(im, offset, size - offset, &s, &run);
        if (r < 0 || s != BLOCK_STATUS_BELOW)
            continue;
        run = least(run, 65536 - offset % 65536);
        r = pull_run(im, other, offset, run, have, want);
    }
    free(have);
    free(want);
    if (r == 0)
        r = im->ops->flush(im);
    tell(p, size, size);
    return r;
}
