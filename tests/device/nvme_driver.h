/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A driver of an NVMe controller for tests: registers, queues in RAM, commands. */
#ifndef DOPPEL_TESTS_DEVICE_NVME_DRIVER_H
#define DOPPEL_TESTS_DEVICE_NVME_DRIVER_H

#include "suite_env.h"

#define NVD_ENTRIES 8u
#define NVD_QUEUES 0x10000u /* where the driver's queues are, 8 KB for each pair */

struct nvd {
    struct bus *mmio;
    struct ram *ram;
    uint64_t bar, msix;
    unsigned sq_tail[3], cq_head[3], phase[3];
};

struct nvd_command {
    uint8_t opcode, flags;
    uint16_t cid;
    uint32_t nsid;
    uint64_t reserved, mptr, prp1, prp2;
    uint32_t cdw[6]; /* 10 to 15 */
};

struct nvd_completion {
    uint32_t result, reserved;
    uint16_t sq_head, sqid, cid, status;
};

/* Places BARs and finds them; MSI-X on if `msix`. */
void nvd_find(struct nvd *d, struct suite_env *env, unsigned devfn, bool msix);
void nvd_enable(struct nvd *d); /* does not wait */
uint32_t nvd_status(struct nvd *d);
void nvd_submit(struct nvd *d, unsigned queue, struct nvd_command c);
/* true: one was there and is taken. */
bool nvd_take(struct nvd *d, unsigned queue, struct nvd_completion *out);
/* The same two without the doorbell, and the doorbell of new commands. */
void nvd_put(struct nvd *d, unsigned queue, struct nvd_command c);
void nvd_ring(struct nvd *d, unsigned queue);
bool nvd_get(struct nvd *d, unsigned queue, struct nvd_completion *out);
/* The commands that make I/O queue 1 or 2. */
struct nvd_command nvd_create_cq(unsigned queue);
struct nvd_command nvd_create_sq(unsigned queue);
/* A read (2) or write (1). */
struct nvd_command nvd_rw(uint8_t opcode, uint64_t lba, unsigned blocks, uint64_t prp1,
                          uint64_t prp2);

#endif
