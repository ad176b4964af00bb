/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engines of this build: see engine.h. */
#include "engine/engine.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

extern const struct engine_ops engine_bt, engine_kvm;

const struct engine_ops *const engine_all[] = {&engine_kvm, &engine_bt, NULL};

const struct engine_ops *engine_find(const char *name)
{
    for (unsigned i = 0; engine_all[i] != NULL; i++)
        if (strcmp(engine_all[i]->name, name) == 0)
            return engine_all[i];
    return NULL;
}

static int pick_best(const struct engine_ops **out, struct err *passed, struct err *e)
{
    for (unsigned i = 0; engine_all[i] != NULL; i++) {
        struct err why = {0};

        *out = engine_all[i];
        if ((*out)->probe(&why) == 0)
            return 0;
        if (passed->text[0] == '\0')
            err_set(passed, ENOTSUP, "%s: %s", (*out)->name, why.text);
    }
    return err_set(e, ENOTSUP, "--accel: this host can run no engine: %s", passed->text);
}

int engine_pick(const char *name, const struct engine_ops **out, struct err *passed, struct err *e)
{
    struct err why = {0};
    int rc;

    passed->text[0] = '\0';
    if (strcmp(name, "auto") == 0)
        return pick_best(out, passed, e);
    *out = engine_find(name);
    if (*out == NULL)
        return err_usage(e, "--accel: '%s' is unknown; use auto, kvm or bt", name);
    rc = (*out)->probe(&why);
    return rc == 0 ? 0 : err_set(e, -rc, "--accel %s: %s", name, why.text);
}
