/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Administration commands: chapter 5. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dev/nvme/nvme_internal.h"

enum opcode {
    OP_DELETE_SQ = 0x00,
    OP_CREATE_SQ = 0x01,
    OP_GET_LOG = 0x02,
    OP_DELETE_CQ = 0x04,
    OP_CREATE_CQ = 0x05,
    OP_IDENTIFY = 0x06,
    OP_ABORT = 0x08,
    OP_SET_FEATURES = 0x09,
    OP_GET_FEATURES = 0x0a,
    OP_EVENT = 0x0c,
    OP_SHADOW = 0x7c,
};

enum identify { ID_NAMESPACE = 0, ID_CONTROLLER = 1, ID_LIST = 2, ID_DESCRIPTORS = 3 };
enum log { LOG_ERRORS = 1, LOG_HEALTH = 2, LOG_FIRMWARE = 3 };
#define LOG_MAX 4096u

/* --- queues, 5.3 to 5.6 --- */

static unsigned qid_of(const struct nvme_command *c)
{
    return c->cdw10 & 0xffff;
}

static bool size_good(uint32_t size)
{
    return size >= 2 && size <= NVME_ENTRIES;
}

static enum nvme_status create_cq(struct nvme *n, const struct nvme_command *c)
{
    unsigned id = qid_of(c), vector = c->cdw11 >> 16;
    uint32_t size = (c->cdw10 >> 16) + 1;

    if (id == 0 || id > NVME_QUEUES || n->cq[id].size != 0)
        return NVME_BAD_QID;
    if (!size_good(size))
        return NVME_BAD_SIZE;
    if ((c->cdw11 & 1) == 0 || c->prp1 % NVME_PAGE != 0)
        return NVME_BAD_FIELD;
    if (vector > NVME_QUEUES)
        return NVME_BAD_VECTOR;
    n->cq[id] = (struct nvme_cq){.base = c->prp1,
                                 .size = size,
                                 .vector = (uint16_t)vector,
                                 .phase = 1,
                                 .interrupts = (c->cdw11 >> 1) & 1};
    return NVME_OK;
}

static enum nvme_status create_sq(struct nvme *n, const struct nvme_command *c)
{
    unsigned id = qid_of(c), cqid = c->cdw11 >> 16;
    uint32_t size = (c->cdw10 >> 16) + 1;

    if (id == 0 || id > NVME_QUEUES || n->sq[id].size != 0)
        return NVME_BAD_QID;
    if (cqid == 0 || cqid > NVME_QUEUES || n->cq[cqid].size == 0)
        return NVME_BAD_CQ;
    if (!size_good(size))
        return NVME_BAD_SIZE;
    if ((c->cdw11 & 1) == 0 || c->prp1 % NVME_PAGE != 0)
        return NVME_BAD_FIELD;
    if (nvme_channel(&n->queue[id]) == NULL)
        return NVME_INTERNAL;
    n->sq[id] = (struct nvme_sq){.base = c->prp1, .size = size, .cqid = (uint16_t)cqid};
    return NVME_OK;
}

/* What is under way completes first. */
static enum nvme_status delete_sq(struct nvme *n, const struct nvme_command *c)
{
    unsigned id = qid_of(c);

    if (id == 0 || id > NVME_QUEUES || n->sq[id].size == 0)
        return NVME_BAD_QID;
    if (n->queue[id].channel != NULL)
        block_drain(n->queue[id].channel);
    n->sq[id] = (struct nvme_sq){.size = 0};
    return NVME_OK;
}

static enum nvme_status delete_cq(struct nvme *n, const struct nvme_command *c)
{
    unsigned id = qid_of(c);

    if (id == 0 || id > NVME_QUEUES || n->cq[id].size == 0)
        return NVME_BAD_QID;
    for (unsigned i = 1; i <= NVME_QUEUES; i++)
        if (n->sq[i].size != 0 && n->sq[i].cqid == id)
            return NVME_BAD_DELETION;
    n->cq[id] = (struct nvme_cq){.size = 0};
    return NVME_OK;
}

/* --- identify, 5.15 --- */

/* Text in a field without its end, filled with spaces. */
static void put_text(uint8_t *p, size_t len, const char *text)
{
    size_t n = strlen(text);

    memset(p, ' ', len);
    memcpy(p, text, n < len ? n : len);
}

static void identify_controller(const struct nvme *n, uint8_t *p)
{
    char text[64];

    st_le16(p, 0x1af4);
    st_le16(p + 2, 0x1af4);
    snprintf(text, sizeof(text), "doppel-%u", n->number);
    put_text(p + 4, 20, text);
    put_text(p + 24, 40, "doppel NVMe disk");
    put_text(p + 64, 8, "1.0");
    p[77] = NVME_MDTS;
    st_le32(p + 80, 0x00010400); /* VER */
    st_le16(p + 256, 1 << 8);    /* OACS: doorbell buffers */
    p[259] = NVME_EVENTS - 1;    /* AERL */
    p[260] = 3;                  /* FRMW: one slot, read only */
    st_le16(p + 266, 343);       /* WCTEMP and CCTEMP, kelvin */
    st_le16(p + 268, 353);
    p[512] = 0x66; /* SQES, CQES: 64 and 16 bytes */
    p[513] = 0x44;
    st_le32(p + 516, 1);               /* NN */
    st_le16(p + 520, 1 << 2 | 1 << 3); /* ONCS: dataset management, write zeroes */
    p[525] = 1;                        /* VWC */
    snprintf(text, sizeof(text), "nqn.2014-08.org.nvmexpress:doppel:%u", n->number);
    memcpy(p + 768, text, strlen(text));
    st_le16(p + 2048, 2500); /* power state 0: 25 W */
}

static void identify_namespace(const struct nvme *n, uint8_t *p)
{
    uint64_t blocks = block_size(n->backend) / BLOCK_SECTOR;

    st_le64(p, blocks);
    st_le64(p + 8, blocks);
    st_le64(p + 16, blocks);
    p[24] = 1 << 2;                     /* NSFEAT: deallocated blocks are an error for nobody */
    p[99] = block_readonly(n->backend); /* NSATTR: write protected */
    st_le32(p + 128, 9 << 16);          /* format 0: 512 bytes */
}

/* A name for the namespace that lasts: an EUI64 with the disk's number in the machine. */
static void identify_descriptors(const struct nvme *n, uint8_t *p)
{
    p[0] = 1; /* EUI64 */
    p[1] = 8;
    memcpy(p + 4, "\x52\x54\x00\xd0\x99\xe1\x00", 7);
    p[11] = (uint8_t)n->number;
}

static enum nvme_status identify(struct nvme *n, const struct nvme_command *c)
{
    uint8_t page[NVME_PAGE] = {0};

    switch (c->cdw10 & 0xff) {
    case ID_NAMESPACE:
        if (c->nsid != 1)
            return NVME_BAD_NAMESPACE;
        identify_namespace(n, page);
        break;
    case ID_CONTROLLER:
        identify_controller(n, page);
        break;
    case ID_LIST:
        if (c->nsid >= UINT32_MAX - 1)
            return NVME_BAD_NAMESPACE;
        st_le32(page, c->nsid == 0 ? 1 : 0);
        break;
    case ID_DESCRIPTORS:
        if (c->nsid != 1)
            return NVME_BAD_NAMESPACE;
        identify_descriptors(n, page);
        break;
    default:
        return NVME_BAD_FIELD;
    }
    return nvme_put(n, c, page, sizeof(page));
}

/* --- features, 5.14 and 5.21 --- */

static enum nvme_status set_features(struct nvme *n, const struct nvme_command *c, uint32_t *result)
{
    unsigned id = c->cdw10 & 0xff;

    if ((c->cdw10 & 1u << 31) != 0 || id < NVME_FEATURE_ARBITRATION || id > NVME_FEATURE_EVENTS)
        return NVME_BAD_FIELD;
    if (id == NVME_FEATURE_QUEUES) {
        if ((c->cdw11 & 0xffff) == 0xffff || c->cdw11 >> 16 == 0xffff)
            return NVME_BAD_FIELD;
        *result = (NVME_QUEUES - 1) | (NVME_QUEUES - 1) << 16;
        return NVME_OK;
    }
    n->features[id] = c->cdw11;
    return NVME_OK;
}

static enum nvme_status get_features(const struct nvme *n, const struct nvme_command *c,
                                     uint32_t *result)
{
    unsigned id = c->cdw10 & 0xff;

    if (id < NVME_FEATURE_ARBITRATION || id > NVME_FEATURE_EVENTS)
        return NVME_BAD_FIELD;
    *result =
        id == NVME_FEATURE_QUEUES ? (NVME_QUEUES - 1) | (NVME_QUEUES - 1) << 16 : n->features[id];
    return NVME_OK;
}

/* --- the rest --- */

static enum nvme_status get_log(struct nvme *n, const struct nvme_command *c)
{
    uint8_t page[LOG_MAX] = {0};
    uint64_t bytes = ((uint64_t)(c->cdw10 >> 16 | (c->cdw11 & 0xffff) << 16) + 1) * 4;

    switch (c->cdw10 & 0xff) {
    case LOG_HEALTH:
        st_le16(page + 1, 300); /* kelvin */
        page[3] = 100;          /* spare, % */
        page[4] = 10;
        break;
    case LOG_ERRORS:
        break;
    case LOG_FIRMWARE:
        page[0] = 1;
        put_text(page + 8, 8, "1.0");
        break;
    default:
        return NVME_BAD_FIELD;
    }
    if (bytes > sizeof(page) || c->cdw12 != 0 || c->cdw13 != 0)
        return NVME_BAD_FIELD;
    return nvme_put(n, c, page, bytes);
}

/* Nothing happens that would be told; the request waits for it. */
static enum nvme_status event(struct nvme *n, const struct nvme_command *c)
{
    if (n->event_count == NVME_EVENTS)
        return NVME_EVENT_LIMIT;
    n->events[n->event_count++] = c->cid;
    return NVME_PENDING;
}

static enum nvme_status shadow(struct nvme *n, const struct nvme_command *c)
{
    if (c->prp1 % NVME_PAGE != 0 || c->prp2 % NVME_PAGE != 0 ||
        ram_ptr(n->ram, c->prp1, NVME_PAGE, true) == NULL ||
        ram_ptr(n->ram, c->prp2, NVME_PAGE, true) == NULL)
        return NVME_BAD_FIELD;
    n->shadow = c->prp1;
    n->event_index = c->prp2;
    return NVME_OK;
}

enum nvme_status nvme_admin(struct nvme *n, const struct nvme_command *c, uint32_t *result)
{
    switch (c->opcode) {
    case OP_DELETE_SQ:
        return delete_sq(n, c);
    case OP_CREATE_SQ:
        return create_sq(n, c);
    case OP_GET_LOG:
        return get_log(n, c);
    case OP_DELETE_CQ:
        return delete_cq(n, c);
    case OP_CREATE_CQ:
        return create_cq(n, c);
    case OP_IDENTIFY:
        return identify(n, c);
    case OP_ABORT:
        *result = 1; /* it was not aborted */
        return NVME_OK;
    case OP_SET_FEATURES:
        return set_features(n, c, result);
    case OP_GET_FEATURES:
        return get_features(n, c, result);
    case OP_EVENT:
        return event(n, c);
    case OP_SHADOW:
        return shadow(n, c);
    default:
        return NVME_BAD_OPCODE;
    }
}
