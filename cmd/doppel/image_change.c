/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel image create, convert, resize, rebase, commit. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block/qcow2.h"
#include "image.h"
#include "vm/options.h"

extern char **environ;

static bool ours(const char *format)
{
    return strcmp(format, "raw") == 0 || strcmp(format, "qcow2") == 0;
}

int image_close_changed(struct block_image *im, int rc, struct err *e)
{
    char path[256];
    int end;

    snprintf(path, sizeof(path), "%s", im->path);
    end = block_image_close(im);
    if (rc == 0 && end < 0)
        return err_set(e, -end, "cannot write '%s': %s", path, strerror(-end));
    return rc;
}

/* Other formats are another program's. */
static int qemu_img(char *const argv[], const char *format, struct err *e)
{
    int status = 0;
    pid_t pid;
    int rc = posix_spawnp(&pid, "qemu-img", NULL, NULL, argv, environ);

    if (rc == ENOENT)
        return err_set(e, ENOENT,
                       "%s images are qemu-img's, which is not installed; install the package "
                       "qemu-utils",
                       format);
    if (rc != 0)
        return err_set(e, rc, "cannot start qemu-img: %s", strerror(rc));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(e, EIO, "qemu-img failed");
}

/* --- create --- */

/* A new image of one of our formats; on an error the file is as good as never made. */
static int make(const char *path, const char *format, const struct qcow2_create *c, bool force,
                struct err *e)
{
    struct block_file f = {.fd = -1};
    bool was = access(path, F_OK) == 0;
    int rc = block_file_create(&f, path, force, e);

    if (rc < 0)
        return rc;
    if (strcmp(format, "qcow2") == 0) {
        rc = qcow2_create(&f, path, c, e);
    } else if (f.regular) {
        rc = block_file_truncate(&f, c->size);
        if (rc < 0)
            rc = err_set(e, -rc, "'%s' cannot have %llu bytes: %s", path,
                         (unsigned long long)c->size, strerror(-rc));
    }
    block_file_close(&f);
    if (rc < 0 && !was)
        unlink(path);
    return rc;
}

/* Opens the image of --backing as the image that shall have it would. */
static int open_backing(const struct image_args *a, struct block_image **out, struct err *e)
{
    char *path;
    int rc = block_backing_path(a->words[0], a->backing, &path);

    if (rc < 0)
        return err_set(e, -rc, "no memory");
    rc = block_image_open(path, a->backing_format, 0, out, e);
    free(path);
    return rc;
}

/* The size of a backing file, which also has to be one. */
static int backing_size(const struct image_args *a, uint64_t *size, struct err *e)
{
    struct block_image *im;
    int rc = open_backing(a, &im, e);

    if (rc < 0)
        return rc;
    *size = block_image_size(im);
    (void)!block_image_close(im);
    return 0;
}

static int create_foreign(const struct image_args *a, struct err *e)
{
    char *argv[] = {
        "qemu-img",          "create", "-q", "-f", (char *)a->format, (char *)a->words[0],
        (char *)a->words[1], NULL};

    if (a->word_count < 2 || a->backing != NULL)
        return err_usage(e, "image create: %s images need a size and have no backing file",
                         a->format);
    return qemu_img(argv, a->format, e);
}

int image_create(struct image_args *a, struct err *e)
{
    struct qcow2_create c = {.version = a->version,
                             .cluster_bits = (unsigned)__builtin_ctzll(a->cluster),
                             .refcount_order = 4,
                             .lazy = a->lazy,
                             .backing = a->backing,
                             .backing_format = a->backing_format};
    const char *format = a->format != NULL ? a->format : "qcow2";
    int rc = image_words(a, "create", 1, 2, "a file and a size", e);

    if (rc == 0 && !ours(format))
        return create_foreign(a, e);
    if (rc == 0 && a->backing != NULL && strcmp(format, "qcow2") != 0)
        rc = err_usage(e, "--backing: raw images have no backing file");
    if (rc == 0 && a->lazy && a->version < 3)
        rc = err_usage(e, "--lazy-refcounts: only version 3 of the qcow2 format has them");
    if (rc == 0 && a->backing != NULL && a->backing_format == NULL)
        rc = err_usage(e, "--backing: say its format with -F raw or -F qcow2; a guess would trust "
                          "what a guest wrote");
    if (rc == 0 && a->backing != NULL)
        rc = backing_size(a, &c.size, e);
    if (rc == 0 && a->word_count == 2)
        rc = option_size("SIZE", a->words[1], &c.size, e);
    else if (rc == 0 && a->backing == NULL)
        rc = err_usage(e, "image create: the size is missing, as in 10G");
    return rc == 0 ? make(a->words[0], format, &c, a->force, e) : rc;
}

/* --- convert --- */

static int convert_foreign(const struct image_args *a, const char *from, const char *to,
                           struct err *e)
{
    char *argv[] = {"qemu-img",          "convert",           "-f", (char *)from, "-O", (char *)to,
                    (char *)a->words[0], (char *)a->words[1], NULL};

    if (!a->force && access(a->words[1], F_OK) == 0)
        return err_set(e, EEXIST, "'%s' is there already; use --force to replace it", a->words[1]);
    return qemu_img(argv, ours(from) ? to : from, e);
}

/* What the content says, where nobody said it. */
static int source_format(const struct image_args *a, const char **format, struct err *e)
{
    uint8_t head[BLOCK_PROBE_BYTES];
    struct block_file f;
    int rc = 0;

    *format = a->format;
    if (*format != NULL)
        return 0;
    rc = block_file_open(&f, a->words[0], false, e);
    if (rc < 0)
        return rc;
    rc = block_file_read(&f, head, sizeof(head), 0);
    block_file_close(&f);
    if (rc < 0)
        return err_set(e, -rc, "cannot read '%s': %s", a->words[0], strerror(-rc));
    *format = block_image_probe(head, sizeof(head));
    *format = *format != NULL ? *format : "raw";
    return 0;
}

static int copy_to_new(const struct image_args *a, struct block_image *from, const char *to,
                       struct err *e)
{
    const struct qcow2_create c = {.version = 3,
                                   .size = block_image_size(from),
                                   .cluster_bits = (unsigned)__builtin_ctzll(a->cluster),
                                   .refcount_order = 4};
    const char *path = a->words[1];
    struct block_image *im;
    bool was = access(path, F_OK) == 0;
    int rc = make(path, to, &c, a->force, e);

    if (rc == 0)
        rc = block_image_open(path, to, BLOCK_IMAGE_WRITE, &im, e);
    if (rc < 0)
        return rc;
    if (block_image_size(im) < c.size)
        rc = err_set(e, ENOSPC, "'%s' is too small", path);
    else if ((rc = block_copy(from, im, im->file.regular || qcow2_is(im), &a->progress)) < 0)
        err_set(e, -rc, "cannot copy '%s' to '%s': %s", from->path, path, strerror(-rc));
    rc = image_close_changed(im, rc, e);
    if (rc < 0 && !was)
        unlink(path);
    return rc;
}

int image_convert(struct image_args *a, struct err *e)
{
    const char *to = a->to_format != NULL ? a->to_format : "qcow2", *from = NULL;
    struct block_image *im;
    int rc = image_words(a, "convert", 2, 2, "a file and the name of a new one", e);

    if (rc == 0)
        rc = source_format(a, &from, e);
    if (rc < 0)
        return rc;
    if (!ours(from) || !ours(to))
        return convert_foreign(a, from, to, e);
    rc = block_image_open(a->words[0], from, 0, &im, e);
    if (rc < 0)
        return rc;
    rc = copy_to_new(a, im, to, e);
    (void)!block_image_close(im);
    return rc;
}

/* --- resize --- */

static int new_size(const struct block_image *im, const char *text, uint64_t *size, struct err *e)
{
    uint64_t n = 0;
    int rc = option_size("SIZE", text + (text[0] == '+'), &n, e);

    if (rc == 0 && text[0] == '+' && __builtin_add_overflow(n, block_image_size(im), &n))
        return err_usage(e, "SIZE: '%s' is too much", text);
    *size = n;
    return rc;
}

int image_resize(struct image_args *a, struct err *e)
{
    struct block_image *im;
    uint64_t size = 0;
    int rc = image_words(a, "resize", 2, 2, "a file and a size", e);

    if (rc == 0)
        rc = block_image_open(a->words[0], a->format, BLOCK_IMAGE_WRITE, &im, e);
    if (rc < 0)
        return rc;
    rc = new_size(im, a->words[1], &size, e);
    if (rc == 0 && size < block_image_size(im) && !a->shrink)
        rc = err_set(e, EINVAL,
                     "'%s' would become smaller and lose what is behind its new end; say --shrink "
                     "if you mean it",
                     a->words[0]);
    if (rc == 0)
        rc = im->ops->resize(im, size, a->shrink, e);
    return image_close_changed(im, rc, e);
}

/* --- rebase --- */

static int pull(const struct image_args *a, struct block_image *im, struct err *e)
{
    struct block_image *other = NULL;
    int rc = a->backing[0] != '\0' ? open_backing(a, &other, e) : 0;

    if (rc < 0)
        return rc;
    rc = block_pull(im, other, &a->progress);
    (void)!block_image_close(other);
    return rc < 0 ? err_set(e, -rc, "cannot rebase '%s': %s", im->path, strerror(-rc)) : 0;
}

int image_rebase(struct image_args *a, struct err *e)
{
    unsigned flags = BLOCK_IMAGE_WRITE | (a->unsafe ? BLOCK_IMAGE_NO_BACKING : 0);
    struct block_image *im;
    int rc = image_words(a, "rebase", 1, 1, "a file", e);

    if (rc == 0 && a->backing == NULL)
        rc = err_usage(e, "image rebase: name the new backing file with -b, '' for none");
    if (rc == 0 && a->backing[0] != '\0' && a->backing_format == NULL)
        rc = err_usage(e, "image rebase: say the format of the backing file with -F");
    if (rc == 0)
        rc = block_image_open(a->words[0], "qcow2", flags, &im, e);
    if (rc < 0)
        return rc;
    if (!a->unsafe)
        rc = pull(a, im, e);
    if (rc == 0)
        rc = qcow2_set_backing(im, a->backing, a->backing_format, e);
    return image_close_changed(im, rc, e);
}

/* --- commit --- */

static int commit(const struct image_args *a, struct block_image *im, struct block_image *below,
                  struct err *e)
{
    int rc = 0;

    if (block_image_size(below) < block_image_size(im))
        rc = below->ops->resize(below, block_image_size(im), false, e);
    if (rc < 0)
        return rc;
    rc = block_commit(im, below, &a->progress);
    if (rc < 0)
        return err_set(e, -rc, "cannot write '%s' to '%s': %s", im->path, below->path,
                       strerror(-rc));
    return 0;
}

/* The backing image is opened a second time, for writing: the first time goes away before. */
int image_commit(struct image_args *a, struct err *e)
{
    struct block_image *im, *below;
    struct qcow2_info info;
    char *path = NULL, format[32];
    int rc = image_words(a, "commit", 1, 1, "a file", e);

    if (rc == 0)
        rc = block_image_open(a->words[0], "qcow2", BLOCK_IMAGE_WRITE, &im, e);
    if (rc < 0)
        return rc;
    qcow2_info(im, &info);
    if (im->backing == NULL) {
        rc = err_set(e, EINVAL, "'%s' has no backing file", a->words[0]);
        return image_close_changed(im, rc, e);
    }
    snprintf(format, sizeof(format), "%s", info.backing_format);
    path = strdup(im->backing->path);
    (void)!block_image_close(im->backing);
    im->backing = NULL;
    rc = path == NULL ? err_set(e, ENOMEM, "no memory")
                      : block_image_open(path, format, BLOCK_IMAGE_WRITE, &below, e);
    free(path);
    if (rc == 0)
        rc = image_close_changed(below, commit(a, im, below, e), e);
    if (rc == 0 && !a->keep)
        rc = qcow2_empty(im, e);
    return image_close_changed(im, rc, e);
}
