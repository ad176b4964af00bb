/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The controller's registers (3.1), its PCI function and its life. BAR 0 has the registers, and
 * from 0x1000 on the doorbells; BAR 4 the MSI-X table.
 */
#include "dev/nvme/nvme.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/nvme/nvme_internal.h"

#define BAR_SIZE 0x4000u
#define BELLS 0x1000u

enum reg {
    REG_CAP = 0x00,
    REG_VS = 0x08,
    REG_INTMS = 0x0c,
    REG_INTMC = 0x10,
    REG_CC = 0x14,
    REG_CSTS = 0x1c,
    REG_AQA = 0x24,
    REG_ASQ = 0x28,
    REG_ACQ = 0x30,
};
enum {
    CC_EN = 1,
    CC_OTHERS = 0x7f << 4 | 0xf << 7,
    CSTS_RDY = 1,
    CSTS_CFS = 2,
    CSTS_SHUT = 2 << 2
};

/* MQES, CQR, TO of 10 s, the NVM command set; pages of 4 KB only. */
static const uint64_t capabilities = (NVME_ENTRIES - 1) | 1u << 16 | 20u << 24 | UINT64_C(1) << 37;

/* --- interrupts --- */

static bool cq_pending(struct nvme_cq *q)
{
    return q->size != 0 && q->interrupts != 0 &&
           __atomic_load_n(&q->head, __ATOMIC_ACQUIRE) !=
               __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE);
}

/* The interrupt line: what is in the queues and not masked. */
static void update_line(struct nvme *n)
{
    bool level = false;

    lock_take(&n->lock);
    for (unsigned i = 0; i <= NVME_QUEUES; i++)
        level |= cq_pending(&n->cq[i]) &&
                 (n->cq[i].vector >= 32 || (n->intms >> n->cq[i].vector & 1) == 0);
    pci_intx_store(&n->func, level);
    lock_drop(&n->lock);
    pci_intx_update(&n->func);
}

void nvme_interrupt(struct nvme *n, unsigned cq)
{
    if (n->cq[cq].interrupts != 0 && !pci_msix_notify(&n->func, n->cq[cq].vector))
        update_line(n);
}

/* --- on the loop --- */

void nvme_busy(struct nvme *n, int delta)
{
    lock_take(&n->lock);
    n->busy += (unsigned)delta;
    if (n->busy == 0)
        pthread_cond_broadcast(&n->idle);
    lock_drop(&n->lock);
}

struct block_channel *nvme_channel(struct nvme_queue *q)
{
    if (q->channel == NULL &&
        block_channel_open(q->n->backend, q->n->loop, nvme_batch_end, q, &q->channel) < 0)
        q->channel = NULL;
    return q->channel;
}

static void drain(struct nvme *n)
{
    for (unsigned i = 0; i <= NVME_QUEUES; i++)
        if (n->queue[i].channel != NULL)
            block_drain(n->queue[i].channel);
}

static void forget_queues(struct nvme *n)
{
    memset(n->sq, 0, sizeof(n->sq));
    memset(n->cq, 0, sizeof(n->cq));
    memset(n->notify, 0, sizeof(n->notify));
    memset(n->features, 0, sizeof(n->features));
    n->features[NVME_FEATURE_CACHE] = 1;
    n->event_count = 0;
    n->shadow = n->event_index = 0;
}

static void change_status(struct nvme *n, uint32_t clear, uint32_t set)
{
    lock_take(&n->lock);
    n->csts = (n->csts & ~clear) | set;
    lock_drop(&n->lock);
}

/* 7.6.1: what the driver chose must be what there is. */
static void enable(struct nvme *n, uint32_t cc, uint32_t aqa, uint64_t asq, uint64_t acq)
{
    uint32_t sqs = (aqa & 0xfff) + 1, cqs = (aqa >> 16 & 0xfff) + 1;

    if ((cc & CC_OTHERS) != 0 || sqs < 2 || cqs < 2 || sqs > NVME_ENTRIES || cqs > NVME_ENTRIES ||
        asq % NVME_PAGE != 0 || acq % NVME_PAGE != 0) {
        change_status(n, 0, CSTS_CFS);
        return;
    }
    n->sq[0] = (struct nvme_sq){.base = asq, .size = sqs};
    n->cq[0] = (struct nvme_cq){.base = acq, .size = cqs, .phase = 1, .interrupts = 1};
    change_status(n, 0, CSTS_RDY);
}

static void disable(struct nvme *n)
{
    drain(n);
    forget_queues(n);
    change_status(n, UINT32_MAX, 0);
    update_line(n);
}

static void flushed(struct block_req *io, int result)
{
    struct nvme_queue *q = io->opaque;

    q->inflight--;
}

/* 7.6.2: everything completes and is made durable. */
static void shut_down(struct nvme *n)
{
    struct nvme_queue *q = &n->queue[0];
    struct block_req io = {.op = BLOCK_FLUSH, .done = flushed, .opaque = q};

    drain(n);
    if (nvme_channel(q) != NULL) {
        q->inflight++;
        nvme_busy(n, 1);
        block_submit(q->channel, &io);
        block_drain(q->channel);
    }
    change_status(n, 0, CSTS_SHUT);
}

static void follow_registers(struct nvme *n)
{
    uint32_t cc, csts, aqa;
    uint64_t asq, acq;

    lock_take(&n->lock);
    cc = n->cc;
    csts = n->csts;
    aqa = n->aqa;
    asq = n->asq;
    acq = n->acq;
    lock_drop(&n->lock);
    if ((cc & CC_EN) == 0 && (csts & (CSTS_RDY | CSTS_CFS)) != 0)
        disable(n);
    else if ((cc & CC_EN) != 0 && (csts & (CSTS_RDY | CSTS_CFS)) == 0)
        enable(n, cc, aqa, asq, acq);
    if ((cc >> 14 & 3) != 0 && (csts & CSTS_SHUT) == 0)
        shut_down(n);
    else if ((cc >> 14 & 3) == 0 && (csts & CSTS_SHUT) != 0)
        change_status(n, CSTS_SHUT, 0);
}

/* false: paused. */
static bool begin(struct nvme *n)
{
    lock_take(&n->lock);
    bool go = !n->paused;
    n->running = go;
    lock_drop(&n->lock);
    return go;
}

static void end(struct nvme *n)
{
    lock_take(&n->lock);
    n->running = false;
    pthread_cond_broadcast(&n->idle);
    lock_drop(&n->lock);
}

static void run(void *opaque)
{
    struct nvme *n = opaque;

    atomic_store(&n->posted, false);
    if (!begin(n))
        return;
    follow_registers(n);
    nvme_serve(n, 0);
    end(n);
}

static void post(struct nvme *n)
{
    if (!atomic_exchange(&n->posted, true) && loop_post(n->loop, run, n) < 0)
        atomic_store(&n->posted, false); /* no memory: the next doorbell tries again */
}

/* --- registers --- */

static uint32_t read32(struct nvme *n, uint64_t offset)
{
    switch (offset) {
    case REG_CAP:
        return (uint32_t)capabilities;
    case REG_CAP + 4:
        return (uint32_t)(capabilities >> 32);
    case REG_VS:
        return 0x00010400;
    case REG_INTMS:
    case REG_INTMC:
        return n->intms;
    case REG_CC:
        return n->cc;
    case REG_CSTS:
        return n->csts;
    case REG_AQA:
        return n->aqa;
    case REG_ASQ:
        return (uint32_t)n->asq;
    case REG_ASQ + 4:
        return (uint32_t)(n->asq >> 32);
    case REG_ACQ:
        return (uint32_t)n->acq;
    case REG_ACQ + 4:
        return (uint32_t)(n->acq >> 32);
    default:
        return 0;
    }
}

static uint64_t bar_read(void *opaque, uint64_t offset, unsigned size)
{
    struct nvme *n = opaque;
    uint64_t v;

    lock_take(&n->lock);
    v = read32(n, offset);
    if (size == 8)
        v |= (uint64_t)read32(n, offset + 4) << 32;
    lock_drop(&n->lock);
    return v;
}

static uint64_t with_half(uint64_t old, bool high, uint32_t value)
{
    return high ? bits_set(old, 63, 32, value) : bits_set(old, 31, 0, value & ~0xfffu);
}

static void write_locked(struct nvme *n, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case REG_INTMS:
        n->intms |= value;
        break;
    case REG_INTMC:
        n->intms &= ~value;
        break;
    case REG_CC:
        n->cc = value;
        break;
    case REG_AQA:
        n->aqa = value & 0x0fff0fff;
        break;
    case REG_ASQ:
    case REG_ASQ + 4:
        n->asq = with_half(n->asq, offset != REG_ASQ, value);
        break;
    case REG_ACQ:
    case REG_ACQ + 4:
        n->acq = with_half(n->acq, offset != REG_ACQ, value);
        break;
    default:
        break;
    }
}

static void write_register(struct nvme *n, uint64_t offset, uint32_t value)
{
    lock_take(&n->lock);
    write_locked(n, offset, value);
    lock_drop(&n->lock);
    if (offset == REG_INTMS || offset == REG_INTMC)
        update_line(n);
    else if (offset == REG_CC)
        post(n);
}

/* On a vCPU's thread, in place of the loop's, which sleeps. What waits stays with the loop: the
 * registers, and administration. */
static bool serve_here(struct nvme *n)
{
    if (!loop_borrow(n->loop))
        return false;
    if (begin(n)) {
        nvme_serve(n, 1);
        end(n);
    }
    loop_return(n->loop);
    return true;
}

static void ring(struct nvme *n, unsigned bell, uint32_t value)
{
    unsigned id = bell / 2;

    if (id > NVME_QUEUES)
        return;
    if (bell % 2 == 0) {
        __atomic_store_n(&n->sq[id].tail, value & 0xffff, __ATOMIC_RELEASE);
        if (id == 0 || !serve_here(n))
            post(n);
        return;
    }
    __atomic_store_n(&n->cq[id].head, value & 0xffff, __ATOMIC_RELEASE);
    if (!pci_msix_enabled(&n->func))
        update_line(n);
}

static void bar_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct nvme *n = opaque;

    if (offset >= BELLS) {
        ring(n, (unsigned)(offset - BELLS) / 4, (uint32_t)value);
        return;
    }
    write_register(n, offset, (uint32_t)value);
    if (size == 8)
        write_register(n, offset + 4, (uint32_t)(value >> 32));
}

static const struct bus_ops bar_ops = {
    .name = "nvme", .read = bar_read, .write = bar_write, .min_size = 4, .max_size = 8};

/* --- life --- */

/* After it nothing moves; `paused` is set. A loop that does not run is driven from here. */
static void quiesce(struct nvme *n)
{
    bool here = loop_is_current(n->loop) || !loop_is_running(n->loop);

    lock_take(&n->lock);
    n->paused = true;
    lock_drop(&n->lock);
    if (here)
        drain(n);
    lock_take(&n->lock);
    while (!here && (n->running || n->busy != 0))
        lock_wait(&n->lock, &n->idle);
    lock_drop(&n->lock);
}

static void nvme_reset(void *self)
{
    struct nvme *n = self;
    bool paused = n->paused;

    quiesce(n);
    forget_queues(n);
    n->cc = n->csts = n->aqa = n->intms = 0;
    n->asq = n->acq = 0;
    pci_func_reset(&n->func);
    update_line(n);
    lock_take(&n->lock);
    n->paused = paused;
    lock_drop(&n->lock);
}

static void nvme_pause(void *self)
{
    quiesce(self);
}

static void nvme_resume(void *self)
{
    struct nvme *n = self;

    lock_take(&n->lock);
    n->paused = false;
    lock_drop(&n->lock);
    post(n);
}

static void nvme_restore(void *self)
{
    struct nvme *n = self;

    pci_func_restore(&n->func);
    update_line(n);
}

static void nvme_destroy(void *self)
{
    struct nvme *n = self;

    if (n == NULL)
        return;
    pci_remove(&n->func);
    for (unsigned i = 0; i <= NVME_QUEUES; i++) {
        block_channel_close(n->queue[i].channel);
        freelist_finish(&n->queue[i].requests);
    }
    pci_func_finish(&n->func);
    pthread_cond_destroy(&n->idle);
    lock_finish(&n->lock);
    free(n);
}

/* --- state --- */

static const struct state_field sq_fields[] = {
    STATE_U64_F(struct nvme_sq, base),
    STATE_MAX_F(struct nvme_sq, size, STATE_U32, NVME_ENTRIES),
    STATE_U32_F(struct nvme_sq, head),
    STATE_U32_F(struct nvme_sq, tail),
    STATE_MAX_F(struct nvme_sq, cqid, STATE_U16, NVME_QUEUES),
    STATE_END_F,
};
static const struct state_table sq_state = {.name = "nvme-sq", .version = 1, .fields = sq_fields};

static const struct state_field cq_fields[] = {
    STATE_U64_F(struct nvme_cq, base),
    STATE_MAX_F(struct nvme_cq, size, STATE_U32, NVME_ENTRIES),
    STATE_U32_F(struct nvme_cq, head),
    STATE_U32_F(struct nvme_cq, tail),
    STATE_MAX_F(struct nvme_cq, vector, STATE_U16, NVME_QUEUES),
    STATE_MAX_F(struct nvme_cq, phase, STATE_U8, 1),
    STATE_MAX_F(struct nvme_cq, interrupts, STATE_U8, 1),
    STATE_END_F,
};
static const struct state_table cq_state = {.name = "nvme-cq", .version = 1, .fields = cq_fields};

static int validate(const void *object, struct err *e)
{
    const struct nvme *n = object;

    for (unsigned i = 0; i <= NVME_QUEUES; i++)
        if ((n->sq[i].size != 0 && n->sq[i].head >= n->sq[i].size) ||
            (n->cq[i].size != 0 && n->cq[i].tail >= n->cq[i].size) || n->sq[i].size == 1 ||
            n->cq[i].size == 1)
            return err_set(e, EINVAL, "nvme: a queue's index lies outside of the queue");
    if (n->shadow % NVME_PAGE != 0 || n->event_index % NVME_PAGE != 0)
        return err_set(e, EINVAL, "nvme: shadow doorbells that are no page");
    return 0;
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct nvme, func, 1, &pci_func_state),
    STATE_U32_F(struct nvme, cc),
    STATE_U32_F(struct nvme, csts),
    STATE_U32_F(struct nvme, aqa),
    STATE_U32_F(struct nvme, intms),
    STATE_U64_F(struct nvme, asq),
    STATE_U64_F(struct nvme, acq),
    STATE_STRUCT_F(struct nvme, sq, NVME_QUEUES + 1, &sq_state),
    STATE_STRUCT_F(struct nvme, cq, NVME_QUEUES + 1, &cq_state),
    STATE_ARRAY_F(struct nvme, features, STATE_U32, NVME_FEATURES),
    STATE_ARRAY_F(struct nvme, events, STATE_U16, NVME_EVENTS),
    STATE_MAX_F(struct nvme, event_count, STATE_U8, NVME_EVENTS),
    STATE_U64_F(struct nvme, shadow),
    STATE_U64_F(struct nvme, event_index),
    STATE_END_F,
};
static const struct state_table nvme_state = {
    .name = "nvme", .version = 1, .fields = fields, .validate = validate};

static const struct device_ops ops = {
    .name = "nvme",
    .reset = nvme_reset,
    .pause = nvme_pause,
    .resume = nvme_resume,
    .restore = nvme_restore,
    .destroy = nvme_destroy,
    .state = &nvme_state,
};

static int init_pci(struct nvme *n, const struct nvme_config *cfg, struct err *e)
{
    static const struct pci_func_info info = {
        .name = "nvme",
        .vendor = 0x1af4, /* no driver goes by the numbers, all by the class */
        .device = 0x10f0,
        .subsystem_vendor = 0x1af4,
        .subsystem = 0x1100,
        .class_code = 0x010802,
        .revision = 1,
        .pin = 1,
    };
    int rc = pci_func_init(&n->func, &info, NULL, n);

    if (rc < 0)
        return err_set(e, -rc, "no memory for a disk");
    pci_func_bar(&n->func, 0, PCI_BAR_MEM64, BAR_SIZE, &bar_ops, n);
    pci_func_msix(&n->func, 4, NVME_QUEUES + 1);
    rc = pci_add(cfg->bus, cfg->devfn, &n->func, e);
    if (rc < 0)
        pci_func_finish(&n->func);
    return rc;
}

int nvme_create(const struct nvme_config *cfg, struct device *out, struct err *e)
{
    struct nvme *n = calloc(1, sizeof(*n));
    int rc;

    if (n == NULL)
        return err_set(e, ENOMEM, "no memory for a disk");
    n->ram = cfg->ram;
    n->backend = cfg->backend;
    n->loop = cfg->loop;
    n->number = cfg->number;
    for (unsigned i = 0; i <= NVME_QUEUES; i++) {
        n->queue[i].n = n;
        n->queue[i].id = i;
    }
    forget_queues(n);
    lock_init(&n->lock, LOCK_DEVICE);
    pthread_cond_init(&n->idle, NULL);
    rc = init_pci(n, cfg, e);
    if (rc < 0) {
        pthread_cond_destroy(&n->idle);
        lock_finish(&n->lock);
        free(n);
        return rc;
    }
    *out = (struct device){&ops, n};
    return 0;
}
