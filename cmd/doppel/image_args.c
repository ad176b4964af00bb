/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options and help of the commands of 'doppel image'. */
#include <errno.h>
#include <string.h>

#include "image.h"
#include "vm/options.h"

static int set_word(void *opaque, char *value, struct err *e)
{
    struct image_args *a = opaque;

    if (a->word_count == IMAGE_WORDS)
        return err_usage(e, "image: unexpected word '%s'", value);
    a->words[a->word_count++] = value;
    return 0;
}

int image_words(const struct image_args *a, const char *name, unsigned min, unsigned max,
                const char *what, struct err *e)
{
    if (a->word_count >= min && a->word_count <= max)
        return 0;
    return err_usage(e, "image %s: it takes %s; see --help", name, what);
}

static int set_format(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct image_args *)opaque)->format = value;
    return 0;
}

static int set_to_format(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct image_args *)opaque)->to_format = value;
    return 0;
}

static int set_backing(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct image_args *)opaque)->backing = value;
    return 0;
}

static int set_backing_format(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct image_args *)opaque)->backing_format = value;
    if (strcmp(value, "raw") == 0 || strcmp(value, "qcow2") == 0)
        return 0;
    return err_usage(e, "%s: '%s' cannot be a backing file's format; use raw or qcow2", option,
                     value);
}

static int set_cluster(void *opaque, const char *option, char *value, struct err *e)
{
    struct image_args *a = opaque;
    int rc = 0;

    if (strcmp(value, "512") == 0)
        a->cluster = 512;
    else
        rc = option_size(option, value, &a->cluster, e);
    if (rc == 0 && (a->cluster < 512 || a->cluster > 2u << 20 || (a->cluster & (a->cluster - 1))))
        rc = err_usage(e, "%s: '%s' is not a power of two from 512 to 2M", option, value);
    return rc;
}

static int set_version(void *opaque, const char *option, char *value, struct err *e)
{
    uint64_t n = 3;
    int rc = option_number(option, value, 2, 3, &n, e);

    ((struct image_args *)opaque)->version = (unsigned)n;
    return rc;
}

static int set_repair(void *opaque, const char *option, char *value, struct err *e)
{
    struct image_args *a = opaque;

    a->repair_leaks = strcmp(value, "leaks") == 0;
    a->repair_all = strcmp(value, "all") == 0;
    if (!a->repair_leaks && !a->repair_all)
        return err_usage(e, "%s: '%s' is unknown; use leaks or all", option, value);
    return 0;
}

#define FORMAT                                                                              \
    {                                                                                       \
        "format", 'f', "raw|qcow2", "format of the image (default: by content)", set_format \
    }
#define BACKING                                                                               \
    {"backing", 'b', "FILE", "image that shows where this one has nothing", set_backing},     \
    {                                                                                         \
        "backing-format", 'F', "raw|qcow2", "its format (needed with -b)", set_backing_format \
    }

static const struct arg_option create_options[] = {
    {"format", 'f', "raw|qcow2|...", "format (default qcow2)", set_format},
    BACKING,
    {"cluster-size", 0, "SIZE", "of a qcow2 image (default 64K)", set_cluster},
    {"version", 0, "2|3", "of the qcow2 format (default 3)", set_version},
    {"lazy-refcounts", 0, NULL, "fewer writes, a repair after each crash",
     ARG_FLAG(struct image_args, lazy)},
    {"force", 0, NULL, "replace a file that is there", ARG_FLAG(struct image_args, force)},
    {NULL},
};
const struct arg_command image_args_create = {
    .name = "image create",
    .summary = "make a new image",
    .usage = "[option]... FILE [SIZE]",
    .notes = "SIZE is a number with K, M, G or T; with a backing file its size is the default.\n",
    .options = create_options,
    .operand = set_word,
};

static const struct arg_option info_options[] = {
    FORMAT,
    {"json", 0, NULL, "print a JSON object", ARG_FLAG(struct image_args, json)},
    {NULL},
};
const struct arg_command image_args_info = {
    .name = "image info",
    .summary = "say what an image is",
    .usage = "[option]... FILE",
    .options = info_options,
    .operand = set_word,
};

static const struct arg_option convert_options[] = {
    FORMAT,
    {"to", 'O', "qcow2|raw|...", "format of the new image (default qcow2)", set_to_format},
    {"cluster-size", 0, "SIZE", "of a new qcow2 image (default 64K)", set_cluster},
    {"force", 0, NULL, "replace a file that is there", ARG_FLAG(struct image_args, force)},
    {NULL},
};
const struct arg_command image_args_convert = {
    .name = "image convert",
    .summary = "copy an image to one of another format",
    .usage = "[option]... FILE NEWFILE",
    .notes = "Formats other than raw and qcow2 (vmdk, vdi, vpc, vhdx ...) are qemu-img's, which "
             "has to be\ninstalled then.\n",
    .options = convert_options,
    .operand = set_word,
};

static const struct arg_option resize_options[] = {
    FORMAT,
    {"shrink", 0, NULL, "the image may lose what is behind its new end",
     ARG_FLAG(struct image_args, shrink)},
    {NULL},
};
const struct arg_command image_args_resize = {
    .name = "image resize",
    .summary = "make an image larger or smaller",
    .usage = "[option]... FILE [+]SIZE",
    .options = resize_options,
    .operand = set_word,
};

static const struct arg_option check_options[] = {
    {"repair", 'r', "leaks|all", "repair what can be repaired", set_repair},
    {NULL},
};
const struct arg_command image_args_check = {
    .name = "image check",
    .summary = "look for damage in a qcow2 image",
    .usage = "[option]... FILE",
    .notes = "Exit status: 0 nothing is wrong (any more), 1 the check failed, 2 the image is "
             "damaged, 3 space is\nlost but nothing else.\n",
    .options = check_options,
    .operand = set_word,
};

static const struct arg_option rebase_options[] = {
    BACKING,
    {"unsafe", 'u', NULL, "only change the name, whatever the content",
     ARG_FLAG(struct image_args, unsafe)},
    {NULL},
};
const struct arg_command image_args_rebase = {
    .name = "image rebase",
    .summary = "give an image another backing file",
    .usage = "[option]... -b NEWBACKING -F FORMAT FILE",
    .notes = "What the image shows stays the same. -b '' makes it need no backing file.\n",
    .options = rebase_options,
    .operand = set_word,
};

static const struct arg_option commit_options[] = {
    {"keep", 'd', NULL, "leave the image as it is, do not empty it",
     ARG_FLAG(struct image_args, keep)},
    {NULL},
};
const struct arg_command image_args_commit = {
    .name = "image commit",
    .summary = "write an image's content to its backing file",
    .usage = "[option]... FILE",
    .options = commit_options,
    .operand = set_word,
};

static const struct arg_option snapshot_options[] = {{NULL}};
const struct arg_command image_args_snapshot = {
    .name = "image snapshot",
    .summary = "list, create, apply and delete snapshots in an image",
    .usage = "list FILE | create|apply|delete FILE NAME",
    .options = snapshot_options,
    .operand = set_word,
};
