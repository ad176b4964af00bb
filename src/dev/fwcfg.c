/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg. Items are fixed once the machine runs, so that the lock covers only the registers: a
 * transfer works on an item without it, and on guest memory with nothing locked.
 */
#include "dev/fwcfg.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "base/log.h"

#define FILE_FIRST 0x20
#define FILES_MAX 128
#define ITEMS_MAX (FILES_MAX + 32)
#define NAME_SIZE 56
#define KEY_WRITE 0x4000u /* a selector bit of old, without meaning */
#define KEY_NONE 0xffffu

#define ID_PORTS 1u
#define ID_DMA 2u

/* Offsets of the registers. */
enum { REG_SELECT = 0, REG_DATA = 1, REG_DMA_HIGH = 4, REG_DMA_LOW = 8 };

/* Bits of a DMA command. */
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

#define CHUNK 4096u

struct item {
    uint16_t key;
    const uint8_t *data;
    uint32_t len;
    void *owned;                   /* to be freed, or NULL */
    void (*refresh)(void *opaque); /* NULL: it never changes */
    void *opaque;
};

/* An entry of the file directory; big endian. */
struct file_entry {
    uint32_t size;
    uint16_t key;
    uint16_t reserved;
    char name[NAME_SIZE];
};

struct directory {
    uint32_t count;
    struct file_entry file[FILES_MAX];
};

struct fwcfg_state {
    uint16_t key;    /* selected */
    uint32_t offset; /* of the next byte */
    uint32_t dma_high;
};

struct fwcfg {
    struct ram *ram;
    struct item items[ITEMS_MAX];
    unsigned item_count;
    struct directory directory;
    unsigned files;
    struct lock lock; /* for st */
    struct fwcfg_state st;
};

static const struct state_field fields[] = {
    STATE_U16_F(struct fwcfg_state, key),
    STATE_U32_F(struct fwcfg_state, offset),
    STATE_U32_F(struct fwcfg_state, dma_high),
    STATE_END_F,
};
static const struct state_table state_table = {.name = "fwcfg", .version = 1, .fields = fields};

static const struct item *find(const struct fwcfg *f, uint16_t key)
{
    for (unsigned i = 0; i < f->item_count; i++)
        if (f->items[i].key == key)
            return &f->items[i];
    return NULL;
}

int fwcfg_add(struct fwcfg *f, uint16_t key, const void *data, size_t len, bool borrow)
{
    struct item *it = &f->items[f->item_count];

    if (find(f, key) != NULL)
        return -EEXIST;
    if (f->item_count == ITEMS_MAX || len > UINT32_MAX)
        return -ENOSPC;
    *it = (struct item){.key = key, .data = data, .len = (uint32_t)len};
    if (!borrow && len > 0) {
        it->owned = malloc(len);
        if (it->owned == NULL)
            return -ENOMEM;
        memcpy(it->owned, data, len);
        it->data = it->owned;
    }
    f->item_count++;
    return 0;
}

static bool has_file(const struct fwcfg *f, const char *name)
{
    for (unsigned i = 0; i < f->files; i++)
        if (strcmp(f->directory.file[i].name, name) == 0)
            return true;
    return false;
}

int fwcfg_add_file(struct fwcfg *f, const char *name, const void *data, size_t len, bool borrow)
{
    struct file_entry *entry = &f->directory.file[f->files];
    uint16_t key = (uint16_t)(FILE_FIRST + f->files);
    size_t name_len = strlen(name);
    int rc;

    if (f->files == FILES_MAX)
        return -ENOSPC;
    if (name_len >= NAME_SIZE)
        return -ENAMETOOLONG;
    if (has_file(f, name))
        return -EEXIST;
    rc = fwcfg_add(f, key, data, len, borrow);
    if (rc != 0)
        return rc;
    entry->size = htobe32((uint32_t)len);
    entry->key = htobe16(key);
    memcpy(entry->name, name, name_len + 1);
    f->files++;
    f->directory.count = htobe32(f->files);
    return 0;
}

int fwcfg_add_live(struct fwcfg *f, const char *name, const void *data, size_t len,
                   void (*refresh)(void *opaque), void *opaque)
{
    int rc = fwcfg_add_file(f, name, data, len, true);

    if (rc == 0) {
        f->items[f->item_count - 1].refresh = refresh;
        f->items[f->item_count - 1].opaque = opaque;
    }
    return rc;
}

int fwcfg_add_u16(struct fwcfg *f, uint16_t key, uint16_t value)
{
    value = htole16(value);
    return fwcfg_add(f, key, &value, sizeof(value), false);
}

int fwcfg_add_u32(struct fwcfg *f, uint16_t key, uint32_t value)
{
    value = htole32(value);
    return fwcfg_add(f, key, &value, sizeof(value), false);
}

/* Copies what the item has at `offset`; beyond its end (and where there is no item) are zeros. */
static void item_copy(const struct item *it, uint32_t offset, uint8_t *buf, uint32_t len)
{
    uint32_t have = it != NULL && offset < it->len ? it->len - offset : 0;

    if (have > len)
        have = len;
    if (have > 0)
        memcpy(buf, it->data + offset, have);
    memset(buf + have, 0, len - have);
}

static uint32_t saturating_add(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

/* A DMA request, in host byte order. */
struct request {
    uint32_t control, len;
    uint64_t addr;
};

/* Copies the item into guest memory. The guest's memory bounds the work: the first part that is not
 * RAM ends it. */
static int dma_read(struct fwcfg *f, const struct item *it, uint32_t offset,
                    const struct request *rq)
{
    uint8_t chunk[CHUNK];
    uint32_t done = 0;

    while (done < rq->len) {
        uint32_t n = rq->len - done < CHUNK ? rq->len - done : CHUNK;

        item_copy(it, saturating_add(offset, done), chunk, n);
        if (rq->addr + done < rq->addr || ram_write(f->ram, rq->addr + done, chunk, n) != 0)
            return -EFAULT;
        done += n;
    }
    return 0;
}

static void select_item(struct fwcfg *f, uint16_t key)
{
    const struct item *it = find(f, (uint16_t)(key & ~KEY_WRITE));

    if (it != NULL && it->refresh != NULL)
        it->refresh(it->opaque);
    lock_take(&f->lock);
    f->st.key = (uint16_t)(key & ~KEY_WRITE);
    f->st.offset = 0;
    lock_drop(&f->lock);
}

static int run_request(struct fwcfg *f, const struct request *rq)
{
    const struct item *it;
    uint32_t offset;
    int rc = 0;

    if ((rq->control & DMA_SELECT) != 0)
        select_item(f, (uint16_t)(rq->control >> 16));
    lock_take(&f->lock);
    it = find(f, f->st.key);
    offset = f->st.offset;
    if ((rq->control & (DMA_READ | DMA_SKIP)) != 0)
        f->st.offset = saturating_add(offset, rq->len);
    lock_drop(&f->lock);

    if ((rq->control & DMA_READ) != 0)
        rc = dma_read(f, it, offset, rq);
    else if ((rq->control & (DMA_WRITE | DMA_SKIP)) == DMA_WRITE)
        rc = -EACCES; /* all items are read-only */
    return rc;
}

/* The request is fetched once; the answer goes into its control field. */
static void dma(struct fwcfg *f, uint64_t addr)
{
    struct {
        uint32_t control, len;
        uint64_t addr;
    } raw;
    struct request rq;
    uint32_t result;

    if (ram_read(f->ram, addr, &raw, sizeof(raw)) != 0) {
        log_guest("fw_cfg: a DMA request outside of memory");
        return;
    }
    rq.control = be32toh(raw.control);
    rq.len = be32toh(raw.len);
    rq.addr = be64toh(raw.addr);
    result = htobe32(run_request(f, &rq) == 0 ? 0 : DMA_ERROR);
    if (ram_write(f->ram, addr, &result, sizeof(result)) != 0)
        log_guest("fw_cfg: a DMA request in read-only memory");
}

static uint64_t read_data(struct fwcfg *f)
{
    uint8_t byte;

    lock_take(&f->lock);
    item_copy(find(f, f->st.key), f->st.offset, &byte, 1);
    f->st.offset = saturating_add(f->st.offset, 1);
    lock_drop(&f->lock);
    return byte;
}

/* The DMA address register reads as a signature, its bytes in order. */
static uint64_t read_signature(unsigned at, unsigned size)
{
    static const char signature[8] = "QEMU CFG";
    uint64_t value = 0;

    for (unsigned i = 0; i < size && at + i < 8; i++)
        value |= (uint64_t)(uint8_t)signature[at + i] << i * 8;
    return value;
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    struct fwcfg *f = opaque;

    if (offset == REG_DATA)
        return read_data(f);
    if (offset >= REG_DMA_HIGH)
        return read_signature((unsigned)offset - REG_DMA_HIGH, size);
    return 0;
}

/* The address registers are big endian; writing the low half starts the transfer. */
static void write_dma(struct fwcfg *f, uint64_t offset, uint32_t value)
{
    uint64_t addr;

    lock_take(&f->lock);
    addr = (uint64_t)f->st.dma_high << 32 | be32toh(value);
    f->st.dma_high = offset == REG_DMA_HIGH ? be32toh(value) : 0;
    lock_drop(&f->lock);
    if (offset == REG_DMA_LOW)
        dma(f, addr);
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct fwcfg *f = opaque;

    if (offset == REG_SELECT && size == 2)
        select_item(f, (uint16_t)value);
    else if ((offset == REG_DMA_HIGH || offset == REG_DMA_LOW) && size == 4)
        write_dma(f, offset, (uint32_t)value);
}

static const struct bus_ops port_ops = {
    .name = "fwcfg", .read = port_read, .write = port_write, .min_size = 1, .max_size = 4};

static void fwcfg_reset(void *self)
{
    struct fwcfg *f = self;

    lock_take(&f->lock);
    f->st = (struct fwcfg_state){.key = KEY_NONE};
    lock_drop(&f->lock);
}

static void fwcfg_destroy(void *self)
{
    struct fwcfg *f = self;

    if (f == NULL)
        return;
    for (unsigned i = 0; i < f->item_count; i++)
        free(f->items[i].owned);
    lock_finish(&f->lock);
    free(f);
}

static void *fwcfg_state_object(void *self)
{
    struct fwcfg *f = self;

    return &f->st;
}

static const struct device_ops fwcfg_ops = {
    .name = "fwcfg",
    .reset = fwcfg_reset,
    .destroy = fwcfg_destroy,
    .state = &state_table,
    .state_object = fwcfg_state_object,
};

/* The items that every machine has. */
static int add_standard(struct fwcfg *f)
{
    int rc = fwcfg_add(f, FWCFG_SIGNATURE, "QEMU", 4, true);

    if (rc == 0)
        rc = fwcfg_add_u32(f, FWCFG_ID, ID_PORTS | ID_DMA);
    if (rc == 0)
        rc = fwcfg_add(f, FWCFG_FILE_DIR, &f->directory, sizeof(f->directory), true);
    return rc;
}

int fwcfg_create(struct ram *ram, struct fwcfg **out)
{
    struct fwcfg *f = calloc(1, sizeof(*f));
    int rc;

    if (f == NULL)
        return -ENOMEM;
    f->ram = ram;
    lock_init(&f->lock, LOCK_DEVICE);
    fwcfg_reset(f);
    rc = add_standard(f);
    if (rc != 0) {
        fwcfg_destroy(f);
        return rc;
    }
    *out = f;
    return 0;
}

struct device fwcfg_device(struct fwcfg *f)
{
    return (struct device){.ops = &fwcfg_ops, .self = f};
}

int fwcfg_map(struct fwcfg *f, struct bus *ports)
{
    return bus_map(ports, FWCFG_PORT, FWCFG_PORTS, &port_ops, f);
}
