/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A driver of an NVMe controller: see nvme_driver.h. */
#include "nvme_driver.h"

#include <stdlib.h>
#include <string.h>

#include "virtio_driver.h"

enum { REG_CC = 0x14, REG_CSTS = 0x1c, REG_AQA = 0x24, REG_ASQ = 0x28, REG_ACQ = 0x30 };

static uint64_t sq_base(unsigned q)
{
    return NVD_QUEUES + q * 0x2000;
}

static uint64_t cq_base(unsigned q)
{
    return sq_base(q) + 0x1000;
}

void nvd_find(struct nvd *d, struct suite_env *env, unsigned devfn, bool msix)
{
    struct bus *ports = env->ports, *mmio = env->mmio;

    suite_place(env, devfn);
    *d = (struct nvd){.mmio = mmio, .ram = env->ram};
    d->bar = drv_bar(ports, devfn, 0);
    d->msix = drv_bar(ports, devfn, 4);
    for (unsigned at = drv_config(ports, devfn, 0x34) & 0xff; at != 0 && msix;) {
        uint32_t cap = drv_config(ports, devfn, at);

        if ((cap & 0xff) == 0x11)
            drv_config_set(ports, devfn, at, 1u << 31);
        at = cap >> 8 & 0xff;
    }
    for (unsigned i = 0; i < 3 && msix; i++) {
        bus_write(mmio, d->msix + i * 16, 0xfee00000, 4);
        bus_write(mmio, d->msix + i * 16 + 8, i, 4);
        bus_write(mmio, d->msix + i * 16 + 12, 0, 4);
    }
}

void nvd_enable(struct nvd *d)
{
    memset(ram_ptr(d->ram, NVD_QUEUES, 3 * 0x2000, true), 0, 3 * 0x2000);
    for (unsigned q = 0; q < 3; q++) {
        d->sq_tail[q] = d->cq_head[q] = 0;
        d->phase[q] = 1;
    }
    bus_write(d->mmio, d->bar + REG_AQA, (NVD_ENTRIES - 1) << 16 | (NVD_ENTRIES - 1), 4);
    bus_write(d->mmio, d->bar + REG_ASQ, sq_base(0), 8);
    bus_write(d->mmio, d->bar + REG_ACQ, cq_base(0), 8);
    bus_write(d->mmio, d->bar + REG_CC, 4 << 20 | 6 << 16 | 1, 4);
}

uint32_t nvd_status(struct nvd *d)
{
    return (uint32_t)bus_read(d->mmio, d->bar + REG_CSTS, 4);
}

void nvd_put(struct nvd *d, unsigned q, struct nvd_command c)
{
    if (ram_write(d->ram, sq_base(q) + d->sq_tail[q] * sizeof(c), &c, sizeof(c)) < 0)
        abort();
    d->sq_tail[q] = (d->sq_tail[q] + 1) % NVD_ENTRIES;
}

void nvd_ring(struct nvd *d, unsigned q)
{
    bus_write(d->mmio, d->bar + 0x1000 + q * 8, d->sq_tail[q], 4);
}

void nvd_submit(struct nvd *d, unsigned q, struct nvd_command c)
{
    nvd_put(d, q, c);
    nvd_ring(d, q);
}

bool nvd_get(struct nvd *d, unsigned q, struct nvd_completion *out)
{
    volatile struct nvd_completion *e =
        ram_ptr(d->ram, cq_base(q) + d->cq_head[q] * sizeof(*out), sizeof(*out), true);

    if ((__atomic_load_n(&e->status, __ATOMIC_ACQUIRE) & 1) != d->phase[q])
        return false;
    *out = *e;
    out->status >>= 1;
    if (++d->cq_head[q] == NVD_ENTRIES) {
        d->cq_head[q] = 0;
        d->phase[q] ^= 1;
    }
    return true;
}

bool nvd_take(struct nvd *d, unsigned q, struct nvd_completion *out)
{
    if (!nvd_get(d, q, out))
        return false;
    bus_write(d->mmio, d->bar + 0x1000 + q * 8 + 4, d->cq_head[q], 4);
    return true;
}

struct nvd_command nvd_create_cq(unsigned q)
{
    return (struct nvd_command){
        .opcode = 5, .prp1 = cq_base(q), .cdw = {(NVD_ENTRIES - 1) << 16 | q, q << 16 | 3}};
}

struct nvd_command nvd_create_sq(unsigned q)
{
    return (struct nvd_command){
        .opcode = 1, .prp1 = sq_base(q), .cdw = {(NVD_ENTRIES - 1) << 16 | q, q << 16 | 1}};
}

struct nvd_command nvd_rw(uint8_t opcode, uint64_t lba, unsigned blocks, uint64_t prp1,
                          uint64_t prp2)
{
    return (struct nvd_command){
        .opcode = opcode,
        .nsid = 1,
        .prp1 = prp1,
        .prp2 = prp2,
        .cdw = {(uint32_t)lba, (uint32_t)(lba >> 32), (blocks - 1) & 0xffff}};
}
