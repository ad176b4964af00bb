/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compressed clusters: raw deflate or zstd, read only. */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/log.h"
#include "block/qcow2_internal.h"

void q2_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *host, uint64_t *bytes)
{
    unsigned shift = 62 - (q->h.cluster_bits - 8);
    uint64_t sectors = (entry >> shift & (BIT(q->h.cluster_bits - 8) - 1)) + 1;

    *host = entry & (BIT(shift) - 1);
    *bytes = sectors * 512 - (*host & 511);
}

static bool inflate_cluster(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
                  .avail_in = (uInt)in_len,
                  .next_out = out,
                  .avail_out = (uInt)out_len};
    int r;

    if (inflateInit2(&z, -15) != Z_OK)
        return false;
    r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    /* Behind the stream there are bytes of others; a full buffer is what counts. */
    return (r == Z_STREAM_END || r == Z_BUF_ERROR || r == Z_OK) && z.avail_out == 0;
}

static bool unzstd_cluster(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
    ZSTD_DStream *s = ZSTD_createDStream();
    ZSTD_inBuffer i = {in, in_len, 0};
    ZSTD_outBuffer o = {out, out_len, 0};
    size_t r = s != NULL ? 1 : 0;

    while (r != 0 && !ZSTD_isError(r) && o.pos < o.size) {
        size_t in_before = i.pos, out_before = o.pos;

        r = ZSTD_decompressStream(s, &o, &i);
        if (i.pos == in_before && o.pos == out_before)
            break;
    }
    ZSTD_freeDStream(s);
    return o.pos == o.size && !ZSTD_isError(r);
}

int q2_unpack(struct qcow2 *q, uint64_t entry, uint8_t *out)
{
    uint64_t host, bytes;
    uint8_t *in;
    bool good;
    int r;

    q2_packed_place(q, entry, &host, &bytes);
    in = malloc(bytes);
    if (in == NULL)
        return -ENOMEM;
    r = block_file_read(&q->image.file, in, bytes, host);
    if (r < 0) {
        free(in);
        return r;
    }
    good = q->h.compression == Q2_ZSTD ? unzstd_cluster(in, bytes, out, q->cluster)
                                       : inflate_cluster(in, bytes, out, q->cluster);
    free(in);
    if (!good)
        log_guest("disk '%s' is damaged: a compressed cluster cannot be unpacked", q->image.path);
    return good ? 0 : -EIO;
}
