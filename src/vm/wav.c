/* SPDX-License-Identifier: GPL-2.0-or-later */
/* WAV files: see wav.h. "Multimedia Programming Interface and Data Specifications 1.0", RIFF. */
#include "vm/wav.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"

enum { HEADER = 44, FRAME = 4, CHUNK = 512 /* frames */ };
#define DATA_MAX (UINT32_MAX - HEADER) /* sizes have 32 bits */

struct wav {
    int fd;
    uint32_t bytes; /* of samples */
    bool failed;    /* it was said that nothing is written any more */
};

static void make_header(uint8_t h[HEADER], uint32_t bytes)
{
    memcpy(h, "RIFF", 4);
    st_le32(h + 4, bytes + HEADER - 8);
    memcpy(h + 8, "WAVEfmt ", 8);
    st_le32(h + 16, 16);
    st_le16(h + 20, 1); /* PCM */
    st_le16(h + 22, 2);
    st_le32(h + 24, SOUND_RATE);
    st_le32(h + 28, SOUND_RATE * FRAME);
    st_le16(h + 32, FRAME);
    st_le16(h + 34, 16);
    memcpy(h + 36, "data", 4);
    st_le32(h + 40, bytes);
}

static bool put(struct wav *w, const void *data, size_t len, off_t at)
{
    ssize_t n = pwrite(w->fd, data, len, at);

    if (n >= 0 && n < (ssize_t)len)
        errno = ENOSPC;
    return n == (ssize_t)len;
}

static bool append(struct wav *w, const int16_t *samples, unsigned frames)
{
    uint8_t raw[CHUNK * FRAME], header[HEADER];

    for (unsigned i = 0; i < 2 * frames; i++)
        st_le16(raw + 2 * i, (uint16_t)samples[i]);
    if (w->bytes > DATA_MAX - frames * FRAME) {
        errno = EFBIG;
        return false;
    }
    if (!put(w, raw, frames * FRAME, HEADER + w->bytes))
        return false;
    w->bytes += frames * FRAME;
    make_header(header, w->bytes);
    return put(w, header, sizeof(header), 0);
}

static void on_play(void *opaque, const int16_t *samples, unsigned frames)
{
    struct wav *w = opaque;

    for (unsigned n; frames > 0 && !w->failed; samples += 2 * n, frames -= n) {
        n = frames < CHUNK ? frames : CHUNK;
        w->failed = !append(w, samples, n);
        if (w->failed)
            log_warn("the WAV file ends here: %s", strerror(errno));
    }
}

struct sound_out wav_sound(struct wav *w)
{
    return (struct sound_out){.play = on_play, .opaque = w};
}

int wav_create(const char *option, const char *path, struct wav **out, struct err *e)
{
    struct wav *w = calloc(1, sizeof(*w));
    uint8_t header[HEADER];
    int rc;

    if (w == NULL)
        return err_set(e, ENOMEM, "out of memory");
    make_header(header, 0);
    w->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0 || !put(w, header, sizeof(header), 0)) {
        rc = err_set(e, errno, "%s: cannot write %s: %s", option, path, strerror(errno));
        wav_destroy(w);
        return rc;
    }
    *out = w;
    return 0;
}

void wav_destroy(struct wav *w)
{
    if (w == NULL)
        return;
    if (w->fd >= 0)
        close(w->fd);
    free(w);
}
