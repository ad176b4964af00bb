/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dispatch of port and memory-mapped accesses to devices.
 *
 * A handler runs on the vCPU thread that made the access, with no bus lock held; the device takes
 * its own lock and drops it before it calls out (pins, back ends). Sizes are 1, 2, 4 or 8 (ports:
 * 1, 2, 4), little endian; an access that spans two ranges is cut at the border by the dispatcher.
 * Reads of nothing give all ones, writes to nothing are dropped: what the hardware does.
 *
 * A device that declares min_size sees only accesses that are aligned to it: of a narrower or
 * misaligned read it serves the whole registers, and a narrower write is a read, a merge and a
 * write. Registers with read side effects therefore keep min_size 1. An access above max_size
 * arrives in pieces, lowest address first.
 *
 * Ranges may be moved while the machine runs (PCI BARs): bus_map and bus_unmap take the bus's lock,
 * dispatch reads a published table without one; bus_unmap returns only when no handler of the range
 * runs any more on another thread. A handler may unmap any range, its own included, but two
 * handlers must not unmap each other's.
 */
#ifndef DOPPEL_BUS_BUS_H
#define DOPPEL_BUS_BUS_H

#include <stdint.h>

#include "base/err.h"

typedef uint64_t bus_read_fn(void *opaque, uint64_t offset, unsigned size);
typedef void bus_write_fn(void *opaque, uint64_t offset, uint64_t value, unsigned size);

struct bus_ops {
    const char *name;
    bus_read_fn *read;
    bus_write_fn *write;
    uint8_t min_size,
        max_size; /* accesses outside are split or widened by the dispatcher; 0 means 1 and 8 */
};

struct bus; /* one address space: the ports, or memory-mapped devices */

/* `limit`: first address beyond the space (0x10000 for ports). */
int bus_create(struct bus **out, uint64_t limit) MUST_CHECK;
void bus_destroy(struct bus *b);

/* Puts `ops` at [base, base+size); a later mapping hides an earlier one where they overlap, until
 * it is unmapped. -ENOSPC: outside the space. `offset` passed to handlers counts from base. */
int bus_map(struct bus *b, uint64_t base, uint64_t size, const struct bus_ops *ops,
            void *opaque) MUST_CHECK;
/* Removes what the same base, ops and opaque mapped; nothing happens if there is none. */
void bus_unmap(struct bus *b, uint64_t base, const struct bus_ops *ops, void *opaque);

uint64_t bus_read(struct bus *b, uint64_t addr, unsigned size);
void bus_write(struct bus *b, uint64_t addr, uint64_t value, unsigned size);

/* The name in the ops of what is mapped at addr, or NULL. For people: it may be gone by now. */
const char *bus_name(struct bus *b, uint64_t addr);

#endif
