/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Creation and end of machines and vCPUs, as struct engine_ops has them. */
#ifndef DOPPEL_ENGINE_BT_CREATE_H
#define DOPPEL_ENGINE_BT_CREATE_H

#include "bt_internal.h"

int bt_probe(struct err *e);
int bt_create(const struct engine_config *cfg, struct engine **out, struct err *e);
void bt_destroy(struct engine *m);
int bt_vcpu_create(struct engine *m, unsigned index, struct engine_vcpu **out, struct err *e);
void bt_vcpu_destroy(struct engine_vcpu *v);

/* The components of vector state that guests get, as XSAVE's mask. */
uint64_t bt_host_components(void);

#endif
