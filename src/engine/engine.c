/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engines of this build: see engine.h. */
#include "engine/engine.h"

#include <stddef.h>
#include <string.h>

extern const struct engine_ops engine_bt;

const struct engine_ops *const engine_all[] = {&engine_bt, NULL};

const struct engine_ops *engine_find(const char *name)
{
    for (unsigned i = 0; engine_all[i] != NULL; i++)
        if (strcmp(engine_all[i]->name, name) == 0)
            return engine_all[i];
    return NULL;
}
