/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of the screen. */
#include <errno.h>
#include <string.h>

#include "display/picture.h"
#include "vm/qmp.h"
#include "vm/vm_internal.h"

static int find_video(const struct vm *vm, const struct video **out, struct err *e)
{
    *out = machine_video(vm->machine);
    return *out != NULL ? 0
                        : err_set(e, ENODEV, "the machine has no screen; start it with --vga std");
}

static int picture_format(json_t *args, enum picture_format *out, struct err *e)
{
    const char *name = "ppm";
    int rc = 0;

    if (json_object_get(args, "format") != NULL)
        rc = qmp_arg_string(args, "format", &name, e);
    if (rc < 0)
        return rc;
    *out = strcmp(name, "png") == 0 ? PICTURE_PNG : PICTURE_PPM;
    if (*out == PICTURE_PPM && strcmp(name, "ppm") != 0)
        return err_set(e, EINVAL, "Parameter 'format' does not accept value '%.40s'", name);
    return 0;
}

static int screendump(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"filename", "format", NULL};
    const struct video *v;
    enum picture_format format;
    const char *path;
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = qmp_arg_string(args, "filename", &path, e);
    if (rc == 0)
        rc = picture_format(args, &format, e);
    if (rc == 0)
        rc = find_video(vm, &v, e);
    return rc == 0 ? picture_write(v, path, format, e) : rc;
}

/* How large the picture is now. */
static int query_screen(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {NULL};
    const struct video *v;
    struct video_surface s;
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = find_video(vm, &v, e);
    if (rc < 0)
        return rc;
    video_init(&s);
    rc = v->draw(v->self, &s);
    if (rc == 0)
        *ret = json_pack("{s:i,s:i}", "width", (int)s.width, "height", (int)s.height);
    video_finish(&s);
    return rc < 0 ? err_set(e, -rc, "cannot draw the screen: %s", strerror(-rc)) : 0;
}

const struct qmp_command qmp_display_commands[] = {
    {"query-screen", query_screen},
    {"screendump", screendump},
    {NULL},
};
