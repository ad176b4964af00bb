/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The check of lock ranks; the rules are in lock.h. */
#include "base/lock.h"

#if DOPPEL_LOCK_CHECK

#include <stdio.h>
#include <stdlib.h>

static _Thread_local uint32_t held; /* a bit for each rank */

_Static_assert(LOCK_RANKS <= 32, "a bit for each rank");

void lock_check_take(enum lock_rank rank)
{
    if (held >> rank != 0) {
        fprintf(stderr, "doppel: a lock of rank %d is taken while ranks %#x are held\n", (int)rank,
                held);
        abort();
    }
    held |= 1u << rank;
}

void lock_check_drop(enum lock_rank rank)
{
    held &= ~(1u << rank);
}

#endif
