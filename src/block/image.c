/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening images and their backing files: see image.h. */
#include "block/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/image_internal.h"

const char *block_image_probe(const uint8_t *head, size_t len)
{
    static const struct {
        unsigned at, len;
        const char *magic, *name;
    } formats[] = {
        {0, 4, "QFI\xfb", "qcow2"},
        {0, 4, "KDMV", "vmdk"},
        {0, 4, "COWD", "vmdk"},
        {0, 21, "# Disk DescriptorFile", "vmdk"},
        {0, 8, "conectix", "vpc"},
        {0, 8, "vhdxfile", "vhdx"},
        {64, 4, "\x7f\x10\xda\xbe", "vdi"},
        {0, 4, "QED", "qed"},
        {0, 16, "WithoutFreeSpace", "parallels"},
        {0, 16, "WithouFreSpacExt", "parallels"},
        {0, 6, "LUKS\xba\xbe", "luks"},
    };

    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (formats[i].at + formats[i].len <= len &&
            memcmp(head + formats[i].at, formats[i].magic, formats[i].len) == 0)
            return formats[i].name;
    return NULL;
}

static int probe(struct block_image *base, const char **format, struct err *e)
{
    uint8_t head[BLOCK_PROBE_BYTES];
    int r = block_file_read(&base->file, head, sizeof(head), 0);

    if (r < 0)
        return err_set(e, -r, "cannot read disk '%s': %s", base->path, strerror(-r));
    *format = block_image_probe(head, sizeof(head));
    base->guessed = *format == NULL;
    if (*format == NULL)
        *format = "raw";
    return 0;
}

static int open_format(struct block_image *base, const char *format, unsigned flags,
                       const struct block_chain *above, struct block_image **out, struct err *e)
{
    int r = format == NULL ? probe(base, &format, e) : 0;

    if (r < 0)
        return r;
    if (strcmp(format, "raw") == 0)
        return block_raw_open(base, out, e);
    if (strcmp(format, "qcow2") == 0)
        return block_qcow2_open(base, flags, above, out, e);
    return err_set(e, ENOTSUP,
                   "disk '%s' is in %s format, which machines cannot use; make another image of it "
                   "with 'doppel image convert'",
                   base->path, format);
}

/* A file that is in the chain already, by another name perhaps. */
static int check_chain(const struct block_image *base, const struct block_chain *above,
                       struct err *e)
{
    unsigned depth = 0;

    for (; above != NULL; above = above->above) {
        const struct block_file *f = &above->image->file;

        if (++depth >= BLOCK_CHAIN_MAX)
            return err_set(e, ELOOP, "disk '%s' is image number %u of a chain, at most %d can be",
                           base->path, depth + 1, BLOCK_CHAIN_MAX);
        if (f->regular && f->dev == base->file.dev && f->ino == base->file.ino)
            return err_set(e, ELOOP, "disk '%s' has itself as a backing file", base->path);
    }
    return 0;
}

static int open_in_chain(const char *path, const char *format, unsigned flags,
                         const struct block_chain *above, struct block_image **out, struct err *e)
{
    struct block_image base = {.writable = (flags & BLOCK_IMAGE_WRITE) != 0};
    int r;

    base.path = strdup(path);
    if (base.path == NULL)
        return err_set(e, ENOMEM, "no memory for disk '%s'", path);
    r = block_file_open(&base.file, path, base.writable, e);
    if (r == 0)
        r = check_chain(&base, above, e);
    if (r == 0)
        r = open_format(&base, format, flags, above, out, e);
    if (r < 0) {
        block_file_close(&base.file);
        free(base.path);
    }
    return r;
}

int block_image_open(const char *path, const char *format, unsigned flags, struct block_image **out,
                     struct err *e)
{
    return open_in_chain(path, format, flags, NULL, out, e);
}

int block_backing_path(const char *image, const char *name, char **out)
{
    const char *slash = strrchr(image, '/');

    if (name[0] == '/' || slash == NULL)
        *out = strdup(name);
    else if (asprintf(out, "%.*s/%s", (int)(slash - image), image, name) < 0)
        *out = NULL;
    return *out == NULL ? -ENOMEM : 0;
}

int block_image_open_backing(struct block_image *im, const char *name, const char *format,
                             const struct block_chain *above, struct err *e)
{
    const struct block_chain chain = {im, above};
    struct err inner = {0};
    char *path;
    int r;

    if (strcspn(name, ":") < strcspn(name, "/"))
        return err_set(e, ENOTSUP,
                       "disk '%s' has '%s' as its backing file, which is not the name of a file",
                       im->path, name);
    r = block_backing_path(im->path, name, &path);
    if (r < 0)
        return err_set(e, -r, "no memory for disk '%s'", im->path);
    r = open_in_chain(path, format, 0, &chain, &im->backing, &inner);
    free(path);
    return r < 0 ? err_set(e, -r, "backing file of '%s': %s", im->path, inner.text) : 0;
}

int block_image_close(struct block_image *im)
{
    struct block_image *backing;
    char *path;
    int r;

    if (im == NULL)
        return 0;
    backing = im->backing;
    path = im->path;
    r = im->ops->close(im);
    free(path);
    (void)block_image_close(backing);
    return r;
}

int block_image_pread(struct block_image *im, void *buf, size_t bytes, uint64_t offset)
{
    struct iovec v = {buf, bytes};

    return im->ops->read(im, &(struct block_cursor){&v, 1, 0}, bytes, offset);
}

int block_image_pwrite(struct block_image *im, const void *buf, size_t bytes, uint64_t offset)
{
    struct iovec v = {(void *)(uintptr_t)buf, bytes};

    return im->ops->write(im, &(struct block_cursor){&v, 1, 0}, bytes, offset, 0);
}
