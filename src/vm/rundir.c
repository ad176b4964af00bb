/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The folder of running machines: see rundir.h. */
#include "vm/rundir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int rundir_open(char path[RUNDIR_PATH], struct err *e)
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    struct stat st;
    int n;

    if (base != NULL && base[0] == '/')
        n = snprintf(path, RUNDIR_PATH, "%s/doppel", base);
    else
        n = snprintf(path, RUNDIR_PATH, "/tmp/doppel-%u", (unsigned)geteuid());
    if (n < 0 || n >= RUNDIR_PATH)
        return err_set(e, ENAMETOOLONG, "XDG_RUNTIME_DIR: its path is too long");
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set(e, errno, "cannot make the folder %s: %s", path, strerror(errno));
    if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 077) != 0)
        return err_set(e, EPERM,
                       "%s is not a folder of yours alone (mode 0700); remove it, or set "
                       "XDG_RUNTIME_DIR",
                       path);
    return 0;
}

int rundir_socket(const char *name, const char *what, char path[RUNDIR_PATH], struct err *e)
{
    char folder[RUNDIR_PATH];
    int n, rc = rundir_open(folder, e);

    if (rc < 0)
        return rc;
    n = snprintf(path, RUNDIR_PATH, "%s/%s.%s", folder, name, what);
    if (n < 0 || n >= RUNDIR_PATH)
        return err_set(e, ENAMETOOLONG, "the path %s/%s.%s is too long", folder, name, what);
    return 0;
}
