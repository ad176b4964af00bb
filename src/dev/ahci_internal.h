/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the AHCI adapter. */
#ifndef DOPPEL_DEV_AHCI_INTERNAL_H
#define DOPPEL_DEV_AHCI_INTERNAL_H

#include "dev/ahci.h"

enum { AHCI_FIS_INTERRUPT = 0x40 };
enum { AHCI_READ_QUEUED = 0x60, AHCI_WRITE_QUEUED = 0x61 };

/* A place in a table of descriptors. */
struct ahci_cursor {
    uint64_t table;
    uint32_t count, index, offset;
};

struct ahci;

struct ahci_slot {
    struct ahci *ahci;
    struct ahci_port *port;
    bool active; /* in flight */
    bool write, fua;
    uint64_t offset, left;
    struct ahci_cursor at;
    struct block_req req;
    struct ata_memory memory;
};

struct ahci {
    struct ahci_config cfg;
    struct pci_func func;
    struct lock lock;
    bool pio[AHCI_PORTS]; /* the command has moved data by PIO */
    struct ahci_slot *slots[AHCI_PORTS];
    struct ata_unit unit[AHCI_PORTS];
    struct ahci_chip chip;
};

/* Lock held; true: send a message, by ahci_tell without the lock. */
bool ahci_note(struct ahci *s);
void ahci_tell(struct ahci *s, bool news);

/* Memory of a command from `c` on, up to `want` bytes; and `bytes` of it are done. */
void ahci_gather(struct ahci *s, struct ahci_cursor c, uint64_t want, bool write,
                 struct ata_memory *m);
void ahci_advance(struct ahci *s, struct ahci_cursor *c, uint64_t bytes);

/* A FIS into the port's area, 0: none; without the lock. */
void ahci_send(struct ahci *s, uint64_t area, unsigned at, const uint8_t *fis, unsigned len);

/* Lock held: the command of a slot; false: that is no memory, which ahci_bus_error tells. */
bool ahci_fetch(struct ahci *s, struct ahci_port *p, unsigned slot, uint32_t *header,
                uint64_t *table, uint8_t fis[20]);
void ahci_bus_error(struct ahci_port *p);

/* ahci_queue.c; lock held, on the loop. */
enum ata_unit_next ahci_queue_begin(struct ahci *s, unsigned i, unsigned tag, uint32_t header,
                                    uint64_t table, const uint8_t *fis);
/* Are there queued commands that are not under way, as after a pause? Begins them: their command is
 * read again. */
bool ahci_queue_stalled(const struct ahci *s, unsigned i);
void ahci_queue_again(struct ahci *s, unsigned i);

#endif
