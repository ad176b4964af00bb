/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel image info, check, snapshot. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "block/qcow2.h"
#include "image.h"

/* 1536 -> "1.5K" */
static const char *human(uint64_t n, char text[24])
{
    static const char units[] = " KMGTPE";
    double v = (double)n;
    unsigned i = 0;

    for (; v >= 1024 && units[i + 1] != '\0'; i++)
        v /= 1024;
    if (i == 0)
        snprintf(text, 24, "%llu", (unsigned long long)n);
    else
        snprintf(text, 24, "%.4g%c", v, units[i]);
    return text;
}

static const char *when(uint32_t seconds, char text[32])
{
    time_t t = seconds;
    struct tm tm;

    localtime_r(&t, &tm);
    strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm);
    return text;
}

static void print_snapshots(const struct block_image *im)
{
    struct qcow2_snapshot s;
    char date[32], size[24];

    for (unsigned i = 0; qcow2_snapshot(im, i, &s); i++) {
        if (i == 0)
            printf("%-6s %-24s %8s  %s\n", "ID", "NAME", "SIZE", "DATE");
        printf("%-6s %-24s %8s  %s\n", s.id, s.name, human(s.size, size), when(s.seconds, date));
    }
}

static uint64_t disk_bytes(const struct block_image *im)
{
    struct stat st;

    return fstat(im->file.fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static void print_qcow2(const struct block_image *im)
{
    struct qcow2_info q;
    char text[24];

    qcow2_info(im, &q);
    printf("version: %u\n", q.version);
    printf("cluster size: %s\n", human(UINT64_C(1) << q.cluster_bits, text));
    printf("reference counts: %u bits%s\n", q.refcount_bits, q.lazy ? ", lazy" : "");
    if (q.zstd)
        printf("compression: zstd\n");
    if (q.dirty)
        printf("state: in use, or not closed\n");
    if (q.corrupt)
        printf("state: damaged\n");
    if (q.backing[0] != '\0')
        printf("backing file: %s (%s)\n", q.backing,
               q.backing_format[0] != '\0' ? q.backing_format : "format not said");
    print_snapshots(im);
}

static void print_text(const struct block_image *im)
{
    char size[24], used[24];

    printf("file: %s\n", im->path);
    printf("format: %s\n", im->ops->format);
    printf("size: %s (%llu bytes)\n", human(block_image_size(im), size),
           (unsigned long long)block_image_size(im));
    printf("on disk: %s\n", human(disk_bytes(im), used));
    if (qcow2_is(im))
        print_qcow2(im);
}

static void add_qcow2(const struct block_image *im, json_t *j)
{
    struct qcow2_info q;
    struct qcow2_snapshot s;
    json_t *list = json_array();

    qcow2_info(im, &q);
    json_object_set_new(j, "cluster-size", json_integer(1 << q.cluster_bits));
    json_object_set_new(j, "dirty-flag", json_boolean(q.dirty));
    if (q.backing[0] != '\0')
        json_object_set_new(j, "backing-filename", json_string(q.backing));
    if (q.backing_format[0] != '\0')
        json_object_set_new(j, "backing-filename-format", json_string(q.backing_format));
    for (unsigned i = 0; qcow2_snapshot(im, i, &s); i++)
        json_array_append_new(list, json_pack("{s:s,s:s,s:I,s:I}", "id", s.id, "name", s.name,
                                              "vm-state-size", (json_int_t)s.vm_state, "date-sec",
                                              (json_int_t)s.seconds));
    json_object_set_new(j, "snapshots", list);
    json_object_set_new(j, "format-specific",
                        json_pack("{s:s,s:{s:s,s:b,s:i,s:b,s:s}}", "type", "qcow2", "data",
                                  "compat", q.version == 2 ? "0.10" : "1.1", "lazy-refcounts",
                                  q.lazy, "refcount-bits", (int)q.refcount_bits, "corrupt",
                                  q.corrupt, "compression-type", q.zstd ? "zstd" : "zlib"));
}

static void print_json(const struct block_image *im)
{
    json_t *j = json_pack("{s:s,s:s,s:I,s:I}", "filename", im->path, "format", im->ops->format,
                          "virtual-size", (json_int_t)block_image_size(im), "actual-size",
                          (json_int_t)disk_bytes(im));

    if (qcow2_is(im))
        add_qcow2(im, j);
    json_dumpf(j, stdout, JSON_INDENT(4));
    putchar('\n');
    json_decref(j);
}

int image_info(struct image_args *a, struct err *e)
{
    struct block_image *im;
    int rc = image_words(a, "info", 1, 1, "a file", e);

    if (rc == 0)
        rc = block_image_open(a->words[0], a->format, BLOCK_IMAGE_NO_BACKING, &im, e);
    if (rc < 0)
        return rc;
    if (a->json)
        print_json(im);
    else
        print_text(im);
    return block_image_close(im);
}

/* --- check --- */

static void say(void *opaque, const char *text)
{
    unsigned *lines = opaque;

    if ((*lines)++ < 20)
        printf("%s\n", text);
}

static int verdict(const struct qcow2_check *c, const char *path)
{
    printf("%s: %llu of %llu clusters are allocated, %llu compressed\n", path,
           (unsigned long long)c->allocated, (unsigned long long)c->clusters,
           (unsigned long long)c->packed);
    printf("%llu wrong pointers, %llu wrong counts or flags, %llu lost clusters; %llu repaired\n",
           (unsigned long long)c->corruptions, (unsigned long long)(c->errors + c->flags),
           (unsigned long long)c->leaks, (unsigned long long)c->repaired);
    if (c->corruptions != 0)
        return 2;
    return c->errors + c->flags != 0 ? 2 : c->leaks != 0 ? 3 : 0;
}

static enum qcow2_repair repair_of(const struct image_args *a)
{
    return a->repair_all     ? QCOW2_REPAIR_ALL
           : a->repair_leaks ? QCOW2_REPAIR_LEAKS
                             : QCOW2_REPAIR_NOTHING;
}

/* After a repair the verdict is that of a second look. */
int image_check(struct image_args *a, struct err *e)
{
    unsigned lines = 0;
    struct qcow2_check c = {.say = say, .opaque = &lines}, again = {.say = NULL};
    int rc = image_words(a, "check", 1, 1, "a file", e);

    if (rc == 0)
        rc = qcow2_check(a->words[0], repair_of(a), &c, e);
    if (rc < 0)
        return rc;
    if (lines > 20)
        printf("... and %u lines more\n", lines - 20);
    a->status = verdict(&c, a->words[0]);
    if (c.repaired == 0)
        return 0;
    rc = qcow2_check(a->words[0], QCOW2_REPAIR_NOTHING, &again, e);
    if (rc == 0)
        a->status = verdict(&again, a->words[0]);
    return rc;
}

/* --- snapshot --- */

static int change(const char *verb, struct block_image *im, const char *name, struct err *e)
{
    if (strcmp(verb, "create") == 0)
        return qcow2_snapshot_create(im, name, e);
    if (strcmp(verb, "apply") == 0)
        return qcow2_snapshot_apply(im, name, e);
    return qcow2_snapshot_delete(im, name, e);
}

static int list(const char *path, struct err *e)
{
    struct block_image *im;
    int rc = block_image_open(path, "qcow2", BLOCK_IMAGE_NO_BACKING, &im, e);

    if (rc < 0)
        return rc;
    print_snapshots(im);
    return block_image_close(im);
}

int image_snapshot(struct image_args *a, struct err *e)
{
    const char *verb = a->word_count > 0 ? a->words[0] : "";
    struct block_image *im;
    int rc;

    if (strcmp(verb, "list") == 0 && a->word_count == 2)
        return list(a->words[1], e);
    if (a->word_count != 3 ||
        (strcmp(verb, "create") != 0 && strcmp(verb, "apply") != 0 && strcmp(verb, "delete") != 0))
        return err_usage(e, "image snapshot: write list FILE, or create, apply or delete, FILE and "
                            "NAME");
    rc = block_image_open(a->words[1], "qcow2", BLOCK_IMAGE_WRITE | BLOCK_IMAGE_NO_BACKING, &im, e);
    if (rc < 0)
        return rc;
    return image_close_changed(im, change(verb, im, a->words[2], e), e);
}
