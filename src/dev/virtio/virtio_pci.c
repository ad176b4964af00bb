/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio over PCI, virtio 1.2 section 4.1. Layout of BAR 4:
 *
 *   0x0000  common configuration (4.1.4.3)
 *   0x1000  ISR status (4.1.4.5)
 *   0x2000  device-specific configuration
 *   0x3000  notifications, 4 bytes for each queue
 *
 * Registers are served on the vCPU's thread; a notification goes on to virtio_notified, or does
 * not come here at all (virtio_bell.h).
 */
#include "dev/virtio/virtio_pci.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

#define VENDOR 0x1af4
#define DEVICE_BASE 0x1040
#define BAR_MSIX 1
#define BAR_REGS 4
#define BAR_SIZE 0x4000u
#define REGION 0x1000u /* each of the four parts */
#define NO_VECTOR 0xffff
#define CAP_VENDOR 0x09

enum region { REGION_COMMON, REGION_ISR, REGION_DEVICE, REGION_NOTIFY };
enum cfg_type { CFG_COMMON = 1, CFG_NOTIFY, CFG_ISR, CFG_DEVICE, CFG_PCI };
enum isr_bit { ISR_QUEUE = 1, ISR_CONFIG = 2 };

/* struct virtio_pci_common_cfg; reads are served by the 32-bit word, writes by the field. */
enum common {
    COMMON_DEVICE_FEATURE_SELECT = 0,
    COMMON_DEVICE_FEATURE = 4,
    COMMON_DRIVER_FEATURE_SELECT = 8,
    COMMON_DRIVER_FEATURE = 12,
    COMMON_CONFIG_VECTOR = 16, /* and num_queues */
    COMMON_STATUS = 20,        /* and config_generation, queue_select */
    COMMON_QUEUE_SELECT = 22,
    COMMON_QUEUE_SIZE = 24, /* and queue_msix_vector */
    COMMON_QUEUE_VECTOR = 26,
    COMMON_QUEUE_ENABLE = 28, /* and queue_notify_off */
    COMMON_QUEUE_DESC = 32,
    COMMON_QUEUE_DRIVER = 40,
    COMMON_QUEUE_DEVICE = 48,
    COMMON_NOTIFY_DATA = 56, /* and queue_reset, which is not offered */
};

/* --- interrupts --- */

static void raise_intx(struct virtio_pci *p, unsigned bit)
{
    lock_take(&p->lock);
    p->isr |= (uint8_t)bit;
    pci_intx_store(&p->func, true);
    lock_drop(&p->lock);
    pci_intx_update(&p->func);
}

static uint8_t take_isr(struct virtio_pci *p)
{
    lock_take(&p->lock);
    uint8_t isr = p->isr;
    p->isr = 0;
    pci_intx_store(&p->func, false);
    lock_drop(&p->lock);
    pci_intx_update(&p->func);
    return isr;
}

static void notify_queue(void *opaque, unsigned queue)
{
    struct virtio_pci *p = opaque;
    uint16_t vector = __atomic_load_n(&p->queue_vector[queue], __ATOMIC_RELAXED);
    if (!pci_msix_notify(&p->func, vector))
        raise_intx(p, ISR_QUEUE);
}

static void notify_config(void *opaque)
{
    struct virtio_pci *p = opaque;
    uint16_t vector = __atomic_load_n(&p->config_vector, __ATOMIC_RELAXED);
    if (!pci_msix_notify(&p->func, vector))
        raise_intx(p, ISR_CONFIG);
}

static bool dma_allowed(void *opaque)
{
    struct virtio_pci *p = opaque;
    return atomic_load_explicit(&p->master, memory_order_relaxed);
}

/* The select registers and vectors are single words of their own: atomic accesses, no lock. */
static uint16_t selected(struct virtio_pci *p)
{
    return __atomic_load_n(&p->queue_select, __ATOMIC_RELAXED);
}

static uint32_t load32(const uint32_t *reg)
{
    return __atomic_load_n(reg, __ATOMIC_RELAXED);
}

static void store32(uint32_t *reg, uint32_t value)
{
    __atomic_store_n(reg, value, __ATOMIC_RELAXED);
}

static void reset_registers(void *opaque)
{
    struct virtio_pci *p = opaque;
    store32(&p->device_feature_select, 0);
    store32(&p->driver_feature_select, 0);
    __atomic_store_n(&p->queue_select, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&p->config_vector, NO_VECTOR, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
        __atomic_store_n(&p->queue_vector[i], NO_VECTOR, __ATOMIC_RELAXED);
    take_isr(p);
}

/* --- common configuration --- */

static uint16_t vector_of(struct virtio_pci *p, unsigned queue)
{
    if (queue >= p->vdev->queue_count)
        return NO_VECTOR;
    return __atomic_load_n(&p->queue_vector[queue], __ATOMIC_RELAXED);
}

static uint32_t queue_word(struct virtio_pci *p, uint32_t offset)
{
    struct virtq_setup s;
    uint16_t queue = selected(p);
    virtio_queue_get(p->vdev, queue, &s);
    switch (offset) {
    case COMMON_QUEUE_SIZE:
        return s.size | (uint32_t)vector_of(p, queue) << 16;
    case COMMON_QUEUE_ENABLE:
        return s.enabled | (uint32_t)queue << 16;
    case COMMON_QUEUE_DESC:
        return (uint32_t)s.desc;
    case COMMON_QUEUE_DESC + 4:
        return (uint32_t)(s.desc >> 32);
    case COMMON_QUEUE_DRIVER:
        return (uint32_t)s.driver;
    case COMMON_QUEUE_DRIVER + 4:
        return (uint32_t)(s.driver >> 32);
    case COMMON_QUEUE_DEVICE:
        return (uint32_t)s.device;
    case COMMON_QUEUE_DEVICE + 4:
        return (uint32_t)(s.device >> 32);
    case COMMON_NOTIFY_DATA:
        return queue;
    default:
        return 0;
    }
}

static uint32_t common_word(struct virtio_pci *p, uint32_t offset)
{
    switch (offset) {
    case COMMON_DEVICE_FEATURE_SELECT:
        return load32(&p->device_feature_select);
    case COMMON_DEVICE_FEATURE:
        return virtio_offered_features(p->vdev, load32(&p->device_feature_select));
    case COMMON_DRIVER_FEATURE_SELECT:
        return load32(&p->driver_feature_select);
    case COMMON_DRIVER_FEATURE:
        return virtio_driver_features(p->vdev, load32(&p->driver_feature_select));
    case COMMON_CONFIG_VECTOR:
        return __atomic_load_n(&p->config_vector, __ATOMIC_RELAXED) | p->vdev->queue_count << 16;
    case COMMON_STATUS:
        return virtio_get_status(p->vdev) | (uint32_t)virtio_generation(p->vdev) << 8 |
               (uint32_t)selected(p) << 16;
    default:
        return queue_word(p, offset);
    }
}

static void set_half(uint64_t *v, bool high, uint32_t half)
{
    unsigned shift = high ? 32 : 0;
    *v = (*v & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)half << shift;
}

static void queue_write(struct virtio_pci *p, uint32_t offset, uint32_t value)
{
    struct virtq_setup s;
    unsigned queue = selected(p);
    bool high = (offset & 4) != 0;
    virtio_queue_get(p->vdev, queue, &s);
    if (s.enabled)
        return;
    switch (offset & ~4u) {
    case COMMON_QUEUE_SIZE & ~4u:
        if (offset == COMMON_QUEUE_SIZE)
            s.size = (uint16_t)value;
        else
            s.enabled = (value & 0xffff) == 1;
        break;
    case COMMON_QUEUE_DESC:
        set_half(&s.desc, high, value);
        break;
    case COMMON_QUEUE_DRIVER:
        set_half(&s.driver, high, value);
        break;
    case COMMON_QUEUE_DEVICE:
        set_half(&s.device, high, value);
        break;
    default:
        return;
    }
    virtio_queue_set(p->vdev, queue, &s);
}

static uint16_t checked_vector(const struct virtio_pci *p, uint32_t value)
{
    return value < p->func.msix_vectors ? (uint16_t)value : NO_VECTOR;
}

static void common_write(struct virtio_pci *p, uint32_t offset, uint32_t value)
{
    unsigned queue;
    switch (offset) {
    case COMMON_DEVICE_FEATURE_SELECT:
        store32(&p->device_feature_select, value);
        break;
    case COMMON_DRIVER_FEATURE_SELECT:
        store32(&p->driver_feature_select, value);
        break;
    case COMMON_DRIVER_FEATURE:
        virtio_set_driver_features(p->vdev, load32(&p->driver_feature_select), value);
        break;
    case COMMON_CONFIG_VECTOR:
        __atomic_store_n(&p->config_vector, checked_vector(p, value & 0xffff), __ATOMIC_RELAXED);
        break;
    case COMMON_STATUS:
        virtio_set_status(p->vdev, (uint8_t)value);
        break;
    case COMMON_QUEUE_SELECT:
        __atomic_store_n(&p->queue_select, (uint16_t)value, __ATOMIC_RELAXED);
        break;
    case COMMON_QUEUE_VECTOR:
        queue = selected(p);
        if (queue < p->vdev->queue_count)
            __atomic_store_n(&p->queue_vector[queue], checked_vector(p, value & 0xffff),
                             __ATOMIC_RELAXED);
        break;
    default:
        queue_write(p, offset, value);
    }
}

/* --- the BAR --- */

static uint32_t device_read(struct virtio_pci *p, uint32_t offset, unsigned size)
{
    uint32_t v = 0, have = p->vdev->config_size;
    if (offset < have)
        virtio_config_read(p->vdev, offset, &v, size < have - offset ? size : have - offset);
    return v;
}

static uint64_t regs_read(void *opaque, uint64_t offset, unsigned size)
{
    struct virtio_pci *p = opaque;
    uint32_t at = offset % REGION;
    switch ((enum region)(offset / REGION)) {
    case REGION_COMMON:
        return common_word(p, at & ~3u) >> (8 * (at & 3));
    case REGION_ISR:
        return at == 0 ? take_isr(p) : 0;
    case REGION_DEVICE:
        return device_read(p, at, size);
    default:
        return 0;
    }
}

static void regs_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct virtio_pci *p = opaque;
    uint32_t at = offset % REGION;
    switch ((enum region)(offset / REGION)) {
    case REGION_COMMON:
        common_write(p, at, (uint32_t)value);
        break;
    case REGION_DEVICE:
        virtio_config_write(p->vdev, at, &value, size);
        break;
    case REGION_NOTIFY:
        virtio_notified(p->vdev, at / 4);
        break;
    default:
        break;
    }
}

static const struct bus_ops regs_ops = {
    .name = "virtio-pci", .read = regs_read, .write = regs_write, .min_size = 1, .max_size = 4};

/* --- the window in configuration space, 4.1.4.9 --- */

/* Layout of struct virtio_pci_cap without its first two bytes. */
struct cap_body {
    uint8_t len, type, bar, id, padding[2];
    uint32_t offset, length;
    uint32_t extra; /* notify: multiplier; PCI_CFG: data */
} __attribute__((packed));
#define CAP_BAR 4
#define CAP_OFFSET 8
#define CAP_LENGTH 12
#define CAP_DATA 16

/* Is this an access to the window's data, and to what offset of the BAR does it go? */
static bool window(struct virtio_pci *p, unsigned reg, unsigned size, uint32_t *offset)
{
    if (reg != p->cfg_cap + CAP_DATA)
        return false;
    uint32_t length = pci_func_reg(&p->func, p->cfg_cap + CAP_LENGTH, 4);
    *offset = pci_func_reg(&p->func, p->cfg_cap + CAP_OFFSET, 4);
    return pci_func_reg(&p->func, p->cfg_cap + CAP_BAR, 1) == BAR_REGS && length == size &&
           *offset < BAR_SIZE && *offset % size == 0;
}

static bool config_read(void *opaque, unsigned reg, unsigned size, uint32_t *value)
{
    struct virtio_pci *p = opaque;
    uint32_t offset;
    if (!window(p, reg, size, &offset))
        return false;
    *value = (uint32_t)regs_read(p, offset, size);
    return true;
}

static void config_written(void *opaque, unsigned reg, unsigned size, uint32_t value)
{
    struct virtio_pci *p = opaque;
    uint32_t offset;
    if (window(p, reg, size, &offset))
        regs_write(p, offset, value, size);
    bool master = pci_func_master(&p->func);
    if (!atomic_exchange(&p->master, master) && master)
        virtio_kick_all(p->vdev);
}

static const struct pci_func_hooks hooks = {config_read, config_written};

/* --- life --- */

static void add_cap(struct virtio_pci *p, enum cfg_type type, enum region region, uint32_t length,
                    uint32_t extra, unsigned cap_len)
{
    struct cap_body body = {.len = (uint8_t)cap_len,
                            .type = (uint8_t)type,
                            .bar = BAR_REGS,
                            .offset = region * REGION,
                            .length = length,
                            .extra = extra};
    pci_func_cap(&p->func, CAP_VENDOR, &body, NULL, cap_len);
}

static void add_caps(struct virtio_pci *p)
{
    struct cap_body window_body = {.len = 20, .type = CFG_PCI};
    struct cap_body wmask = {
        .bar = 0xff, .offset = UINT32_MAX, .length = UINT32_MAX, .extra = UINT32_MAX};
    add_cap(p, CFG_COMMON, REGION_COMMON, COMMON_NOTIFY_DATA + 4, 0, 16);
    add_cap(p, CFG_ISR, REGION_ISR, 1, 0, 16);
    if (p->vdev->config_size != 0)
        add_cap(p, CFG_DEVICE, REGION_DEVICE, p->vdev->config_size, 0, 16);
    add_cap(p, CFG_NOTIFY, REGION_NOTIFY, 4 * p->vdev->queue_count, 4, 20);
    p->cfg_cap = pci_func_cap(&p->func, CAP_VENDOR, &window_body, &wmask, 20);
}

static void placed(void *opaque, uint64_t base)
{
    struct virtio_pci *p = opaque;

    virtio_bells_place(p->bells,
                       base == PCI_UNMAPPED ? VIRTIO_BELLS_NOWHERE : base + REGION_NOTIFY * REGION);
}

int virtio_pci_declare(struct virtio_pci *p, struct virtio_dev *vdev,
                       const struct virtio_place *place, uint32_t class_code, struct err *e)
{
    struct pci_func_info info = {.name = vdev->ops->name,
                                 .vendor = VENDOR,
                                 .device = (uint16_t)(DEVICE_BASE + vdev->ops->device_id),
                                 .subsystem_vendor = VENDOR,
                                 .subsystem = 0x1100,
                                 .class_code = class_code,
                                 .revision = 1,
                                 .pin = 1};
    memset(p, 0, sizeof(*p));
    if (pci_func_init(&p->func, &info, &hooks, p) < 0)
        return err_set(e, ENOMEM, "no memory for %s", info.name);
    lock_init(&p->lock, LOCK_DEVICE);
    p->vdev = vdev;
    p->regs = regs_ops;
    p->regs.name = vdev->ops->name;
    pci_func_msix(&p->func, BAR_MSIX, vdev->queue_count + 1);
    pci_func_bar(&p->func, BAR_REGS, PCI_BAR_MEM64_PREFETCH, BAR_SIZE, &p->regs, p);
    add_caps(p);
    vdev->transport =
        (struct virtio_transport){notify_queue, notify_config, dma_allowed, reset_registers, p};
    reset_registers(p);
    if (virtio_bells_create(vdev, &place->doorbells, &p->bells) < 0)
        log_debug("%s: no doorbells", info.name);
    if (p->bells != NULL)
        pci_func_bar_moved(&p->func, BAR_REGS, placed);
    return 0;
}

int virtio_pci_init(struct virtio_pci *p, struct virtio_dev *vdev, const struct virtio_place *place,
                    uint32_t class_code, struct err *e)
{
    int r = virtio_pci_declare(p, vdev, place, class_code, e);
    if (r < 0)
        return r;
    r = pci_add(place->bus, place->devfn, &p->func, e);
    if (r < 0)
        virtio_pci_finish(p);
    return r;
}

void virtio_pci_finish(struct virtio_pci *p)
{
    pci_remove(&p->func);
    virtio_bells_destroy(p->bells);
    pci_func_finish(&p->func);
    lock_finish(&p->lock);
}

void virtio_pci_reset(struct virtio_pci *p)
{
    virtio_dev_reset(p->vdev);
    pci_func_reset(&p->func);
    atomic_store(&p->master, false);
}

void virtio_pci_pause(struct virtio_pci *p)
{
    virtio_dev_pause(p->vdev);
}

void virtio_pci_resume(struct virtio_pci *p)
{
    virtio_dev_resume(p->vdev);
}

void virtio_pci_restore(struct virtio_pci *p)
{
    p->config_vector = checked_vector(p, p->config_vector);
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
        p->queue_vector[i] = checked_vector(p, p->queue_vector[i]);
    p->isr &= ISR_QUEUE | ISR_CONFIG;
    pci_intx_store(&p->func, p->isr != 0);
    pci_func_restore(&p->func);
    atomic_store(&p->master, pci_func_master(&p->func));
    virtio_dev_restore(p->vdev);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct virtio_pci, func, 1, &pci_func_state),
    STATE_U32_F(struct virtio_pci, device_feature_select),
    STATE_U32_F(struct virtio_pci, driver_feature_select),
    STATE_U16_F(struct virtio_pci, queue_select),
    STATE_U16_F(struct virtio_pci, config_vector),
    STATE_ARRAY_F(struct virtio_pci, queue_vector, STATE_U16, VIRTIO_MAX_QUEUES),
    STATE_U8_F(struct virtio_pci, isr),
    STATE_END_F,
};
const struct state_table virtio_pci_state = {
    .name = "virtio-pci", .version = 1, .fields = fields, .validate = NULL};
