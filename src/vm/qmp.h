/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control protocol of a machine: the part of QMP (QEMU's machine protocol, docs/interop/qmp)
 * that makes sense here, so that tools which speak it can be used. No I/O: a session gets bytes and
 * sends bytes. Commands are in tables; one more is a line in a table, in any file.
 *
 *   greeting -> qmp_capabilities -> commands and events, in any order
 *
 * All for the main thread.
 */
#ifndef DOPPEL_VM_QMP_H
#define DOPPEL_VM_QMP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct vm;

#define QMP_MAX 65536u /* bytes of one message of the peer's */

struct qmp_command {
    const char *name;
    /* `args` is an object, perhaps empty; qmp_arg_* take it apart. *ret, if it is set, is
     * what the peer gets, else an empty object. -errno with a sentence for the peer. */
    int (*run)(struct vm *vm, json_t *args, json_t **ret, struct err *e);
};

/* All tables, NULL at the end; each ends with a NULL name. */
extern const struct qmp_command *const qmp_tables[];
extern const struct qmp_command qmp_machine_commands[]; /* qmp_machine.c */
extern const struct qmp_command qmp_query_commands[];   /* qmp_query.c */
extern const struct qmp_command qmp_block_commands[];   /* qmp_block.c */
extern const struct qmp_command qmp_display_commands[]; /* qmp_display.c */
extern const struct qmp_command qmp_input_commands[];   /* qmp_input.c */
extern const struct qmp_command qmp_medium_commands[];  /* qmp_medium.c */
extern const struct qmp_command qmp_plug_commands[];    /* qmp_plug.c */

struct qmp_session;

struct qmp_config {
    struct vm *vm;
    const struct qmp_command *const *tables;
    void (*send)(void *opaque, const void *bytes, size_t len);
    void *opaque;
};

/* Sends the greeting. 0 or -ENOMEM. */
int qmp_session_create(const struct qmp_config *cfg, struct qmp_session **out) MUST_CHECK;
void qmp_session_destroy(struct qmp_session *s); /* NULL is fine */
/* false: the peer is to be hung up on. */
bool qmp_session_input(struct qmp_session *s, const uint8_t *bytes, size_t len);
/* An event; before qmp_capabilities there are none. `data` may be NULL and stays the caller's. */
void qmp_session_event(struct qmp_session *s, const char *name, json_t *data);

/* Members of `args`, each named in the error. Those that a command does not take are refused by
 * qmp_args_only, whose list ends with NULL. */
int qmp_args_only(json_t *args, const char *const *names, struct err *e) MUST_CHECK;
int qmp_arg_string(json_t *args, const char *name, const char **out, struct err *e) MUST_CHECK;

#endif
