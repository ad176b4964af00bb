/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Call gates and hardware tasks (task.c). General registers only. */
#ifndef DOPPEL_ENGINE_BT_TASK_H
#define DOPPEL_ENGINE_BT_TASK_H

#include "segment.h"

/* What switches tasks. */
enum bt_task_by { TASK_JMP, TASK_CALL, TASK_IRET, TASK_EVENT };

/* How a far transfer ended. */
enum bt_far {
    FAR_DONE,  /* at ctx->rip */
    FAR_FAULT, /* the exception is the instruction's, */
    FAR_THERE  /* or comes at ctx->rip: the task was switched already */
};

/* To the task of a TSS descriptor that was found through a far jump or call, a task gate, an event
 * or an IRET; all checks of privilege have been made. `next` is where the old task goes on. ext:
 * the EXT bit of error codes. */
enum bt_far bt_task_switch(struct bt_ctx *c, uint16_t selector, struct bt_desc *d,
                           enum bt_task_by by, uint64_t next, uint32_t ext);
/* The task that a task gate names, which the event found; and the event's error code. */
enum bt_far bt_task_event(struct bt_ctx *c, uint16_t selector, uint64_t next, bool has_error,
                          uint32_t error, uint32_t ext);
/* IRET with NT set: back to the task that called. */
enum bt_far bt_task_return(struct bt_ctx *c, uint64_t next);
/* A far jump or call to a system descriptor: gate or TSS. */
enum bt_far bt_far_system(struct bt_ctx *c, bool call, uint16_t selector, struct bt_desc *d,
                          uint64_t next);

#endif
