/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file of a named machine's variables: see vars.h. */
#include "vars.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Makes all folders of the path but the last part. */
static int make_folders(char *path)
{
    for (char *p = strchr(path + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
        int rc;

        *p = '\0';
        rc = mkdir(path, 0700);
        *p = '/';
        if (rc < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

int vars_default(struct firmware_config *cfg, const char *name, struct err *e)
{
    static char path[PATH_MAX];
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n, rc;

    if (cfg->kind != FIRMWARE_UEFI || cfg->vars != NULL || name == NULL)
        return 0;
    if (state != NULL && *state == '/')
        n = snprintf(path, sizeof(path), "%s/doppel/%s.vars", state, name);
    else if (home != NULL && *home == '/')
        n = snprintf(path, sizeof(path), "%s/.local/state/doppel/%s.vars", home, name);
    else
        return err_set(e, ENOENT,
                       "--firmware: HOME is not set; say where variables go with vars=FILE");
    if (n < 0 || (size_t)n >= sizeof(path))
        return err_set(e, ENAMETOOLONG, "--firmware: the path for variables is too long");
    rc = make_folders(path);
    if (rc < 0)
        return err_set(e, -rc, "--firmware: cannot make the folder of %s: %s", path, strerror(-rc));
    cfg->vars = path;
    return 0;
}
