/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The regions of the host's address space that views have, and how all that is mapped there is
 * taken away, also when the host gives the process no mapping more.
 */
#include <sys/mman.h>

#include "view.h"

#define RESERVE_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

static bool refused(long r)
{
    return r < 0 && r >= -4095;
}

bool bt_reserve(struct views *vs, unsigned h, unsigned owner)
{
    uint64_t at = (uint64_t)h << REGION_SHIFT;
    long r = sys6(SYS_mmap, at, REGION_SIZE, PROT_NONE, RESERVE_FLAGS | MAP_FIXED_NOREPLACE,
                  (uint64_t)-1, 0);

    if (!refused(r) && (uint64_t)r == at) {
        vs->host_use[h] = (uint8_t)owner;
        return true;
    }
    if (!refused(r)) /* a kernel that does not know MAP_FIXED_NOREPLACE */
        sys6(SYS_munmap, (uint64_t)r, REGION_SIZE, 0, 0, 0, 0);
    vs->host_use[h] = HOST_FOREIGN;
    return false;
}

void bt_release(struct views *vs, unsigned h)
{
    sys6(SYS_munmap, (uint64_t)h << REGION_SHIFT, REGION_SIZE, 0, 0, 0, 0);
    vs->host_use[h] = HOST_FREE;
}

/* ---- taking away ----------------------------------------------------------------------------- */

#define BALLAST 8u
#define BALLAST_SIZE ((2 * BALLAST + 1) * BT_PAGE_SIZE)

/* Every second page is a mapping of its own, none of which ever gets memory. */
static uint64_t ballast_at(const uint8_t *ballast, unsigned i)
{
    return (uint64_t)ballast + (2 * i + 1) * BT_PAGE_SIZE;
}

uint8_t *bt_ballast_create(void)
{
    uint8_t *p = mmap(NULL, BALLAST_SIZE, PROT_NONE, RESERVE_FLAGS, -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    for (unsigned i = 0; i < BALLAST; i++)
        if (mprotect((void *)ballast_at(p, i), BT_PAGE_SIZE, PROT_READ) < 0) {
            bt_ballast_destroy(p);
            return NULL;
        }
    return p;
}

void bt_ballast_destroy(uint8_t *ballast)
{
    if (ballast != NULL)
        munmap(ballast, BALLAST_SIZE);
}

static bool replace(uint64_t host, uint64_t size)
{
    return !refused(
        sys6(SYS_mmap, host, size, PROT_NONE, RESERVE_FLAGS | MAP_FIXED, (uint64_t)-1, 0));
}

/*
 * Guest memory that can be reached behind a flush would be another program's or stale. Replacing
 * whole mappings needs no memory. But a process may get one mapping more than its limit, and then
 * the host refuses every new one, even one that replaces many. A mapping of the ballast that goes
 * makes room for that. If other threads take the room at once the mappings stay, without rights,
 * which needs no new one, until these regions are taken away again.
 */
void bt_unmap_regions(struct views *vs, uint64_t host, uint64_t size)
{
    static const char text[] = "doppel: the host refuses to unmap guest memory\n";
    bool done = replace(host, size);
    unsigned given = 0;

    for (; !done && given < BALLAST; given++) {
        sys6(SYS_munmap, ballast_at(vs->ballast, given), BT_PAGE_SIZE, 0, 0, 0, 0);
        done = replace(host, size);
    }
    for (; given > 0; given--) /* what is refused now is given back another time */
        sys6(SYS_mmap, ballast_at(vs->ballast, given - 1), BT_PAGE_SIZE, PROT_READ,
             RESERVE_FLAGS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0);
    if (done || !refused(sys6(SYS_mprotect, host, size, PROT_NONE, 0, 0, 0)))
        return;
    sys6(SYS_write, 2, (uint64_t)text, sizeof(text) - 1, 0, 0, 0);
    sys6(SYS_exit_group, 1, 0, 0, 0, 0, 0);
}
