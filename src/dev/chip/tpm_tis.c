/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A TPM's interface: see tpm_tis.h. */
#include "dev/chip/tpm_tis.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

enum reg {
    ACCESS = 0x00,
    INTF_CAPABILITY = 0x14,
    STS = 0x18,
    DATA_FIFO = 0x24,
    DATA_FIFO_END = 0x28,
    INTERFACE_ID = 0x30,
    XDATA_FIFO = 0x80,
    XDATA_FIFO_END = 0x84,
    DID_VID = 0xf00,
    RID = 0xf04,
};
enum {
    ACCESS_VALID = 0x80,
    ACCESS_ACTIVE = 0x20,
    ACCESS_SEIZED = 0x10,
    ACCESS_SEIZE = 0x08,
    ACCESS_PENDING = 0x04,
    ACCESS_REQUEST = 0x02,
    ACCESS_ESTABLISHED = 0x01, /* 1: no dynamic root of trust was measured */
};
enum {
    STS_VALID = 0x80,
    STS_READY = 0x40,
    STS_GO = 0x20,
    STS_DATA = 0x10,
    STS_EXPECT = 0x08,
    STS_TESTED = 0x04,
    STS_RETRY = 0x02,
    STS_FAMILY = 1 << 26, /* TPM 2.0 */
};
#define CAPABILITY 0x30000000u /* TIS 1.3 */
#define TYPE_TIS 0xfu
#define ID_VALUE 0x00011b36u
enum { BURST = 64, NOBODY = TPM_TIS_LOCALITIES };

void tpm_tis_reset(struct tpm_tis *t)
{
    memset(t, 0, sizeof(*t));
    t->active = NOBODY;
}

/* --- localities --- */

static uint8_t access_value(const struct tpm_tis *t, unsigned locality)
{
    uint8_t mine = (uint8_t)(1u << locality), v = ACCESS_VALID | ACCESS_ESTABLISHED;

    if (t->active == locality)
        v |= ACCESS_ACTIVE;
    if ((t->seized & mine) != 0)
        v |= ACCESS_SEIZED;
    if ((t->waiting & mine) != 0)
        v |= ACCESS_REQUEST;
    if ((t->waiting & ~mine) != 0)
        v |= ACCESS_PENDING;
    return v;
}

/* A command that is being carried out ends in its time. */
static void become(struct tpm_tis *t, unsigned locality)
{
    t->active = (uint8_t)locality;
    if (locality != NOBODY)
        t->waiting &= (uint8_t) ~(1u << locality);
    if (t->state == TPM_EXECUTION) {
        t->aborted = true;
        return;
    }
    t->state = TPM_IDLE;
    t->count = t->read = 0;
}

static unsigned next_waiting(const struct tpm_tis *t)
{
    return t->waiting != 0 ? 31u - (unsigned)__builtin_clz(t->waiting) : NOBODY;
}

static void write_access(struct tpm_tis *t, unsigned locality, uint8_t value)
{
    uint8_t mine = (uint8_t)(1u << locality);

    if ((value & ACCESS_SEIZED) != 0)
        t->seized &= (uint8_t)~mine;
    if ((value & ACCESS_ACTIVE) != 0) {
        t->waiting &= (uint8_t)~mine;
        if (t->active == locality)
            become(t, next_waiting(t));
    }
    if ((value & ACCESS_SEIZE) != 0 && t->active != NOBODY && locality > t->active) {
        t->seized |= (uint8_t)(1u << t->active);
        become(t, locality);
    } else if ((value & (ACCESS_REQUEST | ACCESS_SEIZE)) != 0 && t->active != locality) {
        t->waiting |= mine;
        if (t->active == NOBODY)
            become(t, locality);
    }
}

/* --- commands and answers --- */

static uint32_t announced(const struct tpm_tis *t)
{
    return ld_be32(t->buffer + 2);
}

static bool expects(const struct tpm_tis *t)
{
    uint32_t len;

    if (t->state != TPM_RECEPTION)
        return false;
    if (t->count < TPM_TIS_HEADER)
        return true;
    len = announced(t);
    return len <= TPM_TIS_BUFFER && t->count < len;
}

static uint32_t status(const struct tpm_tis *t)
{
    uint32_t v = STS_VALID | STS_TESTED | STS_FAMILY, burst = 0;

    if (t->state == TPM_READY)
        v |= STS_READY;
    if (t->state == TPM_READY || t->state == TPM_RECEPTION)
        burst = TPM_TIS_BUFFER - t->count;
    if (expects(t))
        v |= STS_EXPECT;
    if (t->state == TPM_COMPLETION && t->read < t->count) {
        v |= STS_DATA;
        burst = (uint32_t)(t->count - t->read);
    }
    return v | (burst < BURST ? burst : BURST) << 8;
}

static void ready(struct tpm_tis *t)
{
    if (t->state == TPM_EXECUTION) {
        t->aborted = true;
        return;
    }
    t->state = TPM_READY;
    t->count = t->read = 0;
}

static bool go(struct tpm_tis *t)
{
    if (t->state != TPM_RECEPTION || expects(t))
        return false;
    t->state = TPM_EXECUTION;
    if (announced(t) == t->count)
        return true;
    tpm_tis_fail(t, TPM_RC_COMMAND_SIZE);
    return false;
}

static bool write_status(struct tpm_tis *t, uint8_t value)
{
    if ((value & STS_READY) != 0)
        ready(t);
    else if ((value & STS_GO) != 0)
        return go(t);
    else if ((value & STS_RETRY) != 0 && t->state == TPM_COMPLETION)
        t->read = 0;
    return false;
}

static uint8_t take(struct tpm_tis *t)
{
    return t->state == TPM_COMPLETION && t->read < t->count ? t->buffer[t->read++] : 0xff;
}

static void put(struct tpm_tis *t, uint8_t value)
{
    if (t->state == TPM_READY)
        t->state = TPM_RECEPTION;
    if (expects(t) && t->count < TPM_TIS_BUFFER)
        t->buffer[t->count++] = value;
}

void tpm_tis_answer(struct tpm_tis *t, const uint8_t *answer, uint32_t len)
{
    if (t->state != TPM_EXECUTION)
        return;
    t->count = t->read = 0;
    if (t->aborted) {
        t->aborted = false;
        t->state = t->active != NOBODY ? TPM_READY : TPM_IDLE;
    } else if (len < TPM_TIS_HEADER || len > TPM_TIS_BUFFER) {
        tpm_tis_fail(t, TPM_RC_FAILURE);
    } else {
        memcpy(t->buffer, answer, len);
        t->count = (uint16_t)len;
        t->state = TPM_COMPLETION;
    }
}

void tpm_tis_fail(struct tpm_tis *t, uint32_t code)
{
    uint8_t answer[TPM_TIS_HEADER] = {0x80, 0x01};

    st_be32(answer + 2, sizeof(answer));
    st_be32(answer + 6, code);
    tpm_tis_answer(t, answer, sizeof(answer));
}

/* --- registers --- */

static bool is_fifo(uint32_t reg)
{
    return (reg >= DATA_FIFO && reg < DATA_FIFO_END) || (reg >= XDATA_FIFO && reg < XDATA_FIFO_END);
}

static uint32_t plain(const struct tpm_tis *t, unsigned locality, uint32_t reg)
{
    switch (reg) {
    case ACCESS:
        return access_value(t, locality);
    case INTF_CAPABILITY:
        return CAPABILITY;
    case STS:
        return t->active == locality ? status(t) : 0xffffffff;
    case INTERFACE_ID:
        return TYPE_TIS;
    case DID_VID:
        return ID_VALUE;
    case RID:
        return 1;
    default:
        return 0;
    }
}

uint32_t tpm_tis_read(struct tpm_tis *t, uint32_t offset, unsigned size)
{
    unsigned locality = offset >> 12;
    uint32_t reg = offset & 0xfff, v = 0;

    if (!is_fifo(reg))
        return plain(t, locality, reg & ~3u) >> 8 * (reg & 3) &
               (uint32_t)(0xffffffffull >> (32 - 8 * size));
    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)(t->active == locality ? take(t) : 0xff) << 8 * i;
    return v;
}

bool tpm_tis_write(struct tpm_tis *t, uint32_t offset, uint32_t value, unsigned size)
{
    unsigned locality = offset >> 12;
    uint32_t reg = offset & 0xfff;

    if (reg == ACCESS) {
        write_access(t, locality, (uint8_t)value);
    } else if (t->active != locality) {
        return false;
    } else if (reg == STS) {
        return write_status(t, (uint8_t)value);
    } else if (is_fifo(reg)) {
        for (unsigned i = 0; i < size; i++)
            put(t, (uint8_t)(value >> 8 * i));
    }
    return false;
}

/* --- state --- */

static int validate(const void *object, struct err *e)
{
    const struct tpm_tis *t = object;

    if (t->read > t->count)
        return err_set(e, EINVAL, "tpm-tis: more was read than the answer has");
    if (t->state == TPM_EXECUTION && (t->count < TPM_TIS_HEADER || announced(t) != t->count))
        return err_set(e, EINVAL, "tpm-tis: what is being carried out is no command");
    return 0;
}

static const struct state_field fields[] = {
    STATE_MAX_F(struct tpm_tis, active, STATE_U8, NOBODY),
    STATE_MAX_F(struct tpm_tis, waiting, STATE_U8, 0x1f),
    STATE_MAX_F(struct tpm_tis, seized, STATE_U8, 0x1f),
    STATE_MAX_F(struct tpm_tis, state, STATE_U8, TPM_COMPLETION),
    STATE_BOOL_F(struct tpm_tis, aborted),
    STATE_MAX_F(struct tpm_tis, count, STATE_U16, TPM_TIS_BUFFER),
    STATE_MAX_F(struct tpm_tis, read, STATE_U16, TPM_TIS_BUFFER),
    STATE_BYTES_F(struct tpm_tis, buffer),
    STATE_END_F,
};
const struct state_table tpm_tis_state = {
    .name = "tpm-tis", .version = 1, .fields = fields, .validate = validate};
