/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers and commands of the BT-958; see buslogic_chip.h. */
#include "dev/chip/buslogic_chip.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/bits.h"

enum reg { REG_STATUS, REG_DATA, REG_INTERRUPT, REG_GEOMETRY }; /* written: control, command */
enum status_bit {
    ST_INVALID = 0x01,
    ST_DATA_IN = 0x04,
    ST_READY = 0x10,
    ST_NO_BOXES = 0x20,
    ST_DIAGNOSTICS = 0x80,
};
enum interrupt_bit { IR_INCOMING = 0x01, IR_OUTGOING = 0x02, IR_COMPLETE = 0x04, IR_VALID = 0x80 };
enum control_bit { CR_BUS = 0x10, CR_INTERRUPT = 0x20, CR_SOFT = 0x40, CR_HARD = 0x80 };

enum command {
    CMD_TEST = 0x00,
    CMD_BOXES = 0x01,
    CMD_START = 0x02,
    CMD_BOARD = 0x04,
    CMD_TELL_OUTGOING = 0x05,
    CMD_TIMEOUT = 0x06,
    CMD_BUS_ON = 0x07,
    CMD_BUS_OFF = 0x08,
    CMD_RATE = 0x09,
    CMD_DEVICES_LOW = 0x0a,
    CMD_CONFIGURATION = 0x0b,
    CMD_SETUP = 0x0d,
    CMD_ECHO = 0x1f,
    CMD_DEVICES_HIGH = 0x23,
    CMD_DEVICES = 0x24,
    CMD_INTERRUPTS = 0x25,
    CMD_WIDE_BOXES = 0x81,
    CMD_FIRMWARE_DIGIT = 0x84,
    CMD_FIRMWARE_LETTER = 0x85,
    CMD_PCI = 0x86,
    CMD_MODEL = 0x8b,
    CMD_PERIODS = 0x8c,
    CMD_EXTENDED_SETUP = 0x8d,
    CMD_STRICT = 0x8f,
    CMD_FETCH_RAM = 0x91,
    CMD_ISA_PORT = 0x95,
    CMD_CCB_FORMAT = 0x96,
};

static const struct state_field result_fields[] = {
    STATE_U32_F(struct buslogic_result, ccb), STATE_U8_F(struct buslogic_result, adapter),
    STATE_U8_F(struct buslogic_result, target), STATE_U8_F(struct buslogic_result, code),
    STATE_END_F};
static const struct state_table result_state = {
    .name = "buslogic-result", .version = 1, .fields = result_fields};

static const struct state_field fields[] = {
    STATE_U8_F(struct buslogic_chip, status),
    STATE_U8_F(struct buslogic_chip, interrupt),
    STATE_BOOL_F(struct buslogic_chip, resetting),
    STATE_BOOL_F(struct buslogic_chip, interrupts),
    STATE_BOOL_F(struct buslogic_chip, tell_outgoing),
    STATE_U8_F(struct buslogic_chip, command),
    STATE_BOOL_F(struct buslogic_chip, busy),
    STATE_MAX_F(struct buslogic_chip, parameters, STATE_U16, 8),
    STATE_MAX_F(struct buslogic_chip, taken, STATE_U16, 8),
    STATE_BYTES_F(struct buslogic_chip, parameter),
    STATE_MAX_F(struct buslogic_chip, reply_len, STATE_U16, 256),
    STATE_MAX_F(struct buslogic_chip, reply_at, STATE_U16, 256),
    STATE_BYTES_F(struct buslogic_chip, reply),
    STATE_BOOL_F(struct buslogic_chip, wide_boxes),
    STATE_U8_F(struct buslogic_chip, boxes),
    STATE_U32_F(struct buslogic_chip, base),
    STATE_U8_F(struct buslogic_chip, outgoing),
    STATE_U8_F(struct buslogic_chip, incoming),
    STATE_BOOL_F(struct buslogic_chip, strict),
    STATE_BOOL_F(struct buslogic_chip, wide_luns),
    STATE_BOOL_F(struct buslogic_chip, start),
    STATE_BOOL_F(struct buslogic_chip, bus_reset),
    STATE_BYTES_F(struct buslogic_chip, ram),
    STATE_MAX_F(struct buslogic_chip, results, STATE_U32, BUSLOGIC_QUEUE),
    STATE_STRUCT_F(struct buslogic_chip, result, BUSLOGIC_QUEUE, &result_state),
    STATE_END_F,
};

static int validate(const void *object, struct err *e)
{
    const struct buslogic_chip *c = object;

    if (c->reply_at > c->reply_len || c->taken > c->parameters ||
        (c->busy && c->reply_at == c->reply_len && c->taken == c->parameters))
        return err_set(e, EINVAL, "buslogic: a command that has all it waits for");
    if (c->boxes == 0 && c->start)
        return err_set(e, EINVAL, "buslogic: no mailboxes to look at");
    if (c->boxes != 0 && (c->outgoing >= c->boxes || c->incoming >= c->boxes))
        return err_set(e, EINVAL, "buslogic: a mailbox that is not there");
    return 0;
}

const struct state_table buslogic_chip_state = {
    .name = "buslogic-chip", .version = 1, .fields = fields, .validate = validate};

/* --- local RAM --- */

/* The settings that AutoSCSI keeps, from byte 64 on. There is no BIOS: its part is empty. */
static void fill_ram(struct buslogic_chip *c)
{
    uint8_t *p = c->ram + 64;
    uint16_t sum = 0;

    memset(c->ram, 0, sizeof(c->ram));
    memcpy(p,
           "BD\x40"
           "BT-958",
           9);
    p[10] = 0x04; /* level-triggered */
    p[14] = BUSLOGIC_ID;
    p[15] = 0xa7; /* terminated, parity, bus resets */
    p[16] = 7;
    p[17] = 4;
    p[18] = 0x04;                         /* extended translation */
    for (unsigned i = 19; i < 29; i += 2) /* enabled, wide, fast, synchronous, disconnecting */
        st_le16(p + i, 0xffff);
    p[33] = 0x10;            /* strict round robin */
    st_le16(p + 34, 0xffff); /* ultra */
    p[41] = 31;              /* units */
    for (unsigned i = 0; i < 62; i++)
        sum = (uint16_t)(sum + p[i]);
    st_le16(p + 62, sum);
}

/* --- life --- */

static void reset(struct buslogic_chip *c)
{
    c->status = ST_READY | ST_NO_BOXES;
    c->interrupt = 0;
    c->interrupts = true;
    c->tell_outgoing = c->busy = c->wide_boxes = c->strict = c->wide_luns = c->start = false;
    c->command = 0;
    c->parameters = c->taken = c->reply_len = c->reply_at = 0;
    memset(c->parameter, 0, sizeof(c->parameter));
    memset(c->reply, 0, sizeof(c->reply));
    c->boxes = c->outgoing = c->incoming = 0;
    c->base = 0;
    c->results = 0;
    memset(c->result, 0, sizeof(c->result));
    c->epoch++;
    fill_ram(c);
}

void buslogic_reset(struct buslogic_chip *c)
{
    reset(c);
    c->resetting = c->bus_reset = false;
}

void buslogic_init(struct buslogic_chip *c)
{
    memset(c, 0, sizeof(*c));
    buslogic_reset(c);
}

/* --- interrupts --- */

static void raise(struct buslogic_chip *c, uint8_t bit)
{
    c->interrupt |= bit | IR_VALID;
}

void buslogic_raise_outgoing(struct buslogic_chip *c)
{
    if (c->tell_outgoing)
        raise(c, IR_OUTGOING);
}

void buslogic_raise_incoming(struct buslogic_chip *c)
{
    raise(c, IR_INCOMING);
}

bool buslogic_asserted(const struct buslogic_chip *c)
{
    return c->interrupts && (c->interrupt & IR_VALID) != 0;
}

/* --- commands --- */

static void complete(struct buslogic_chip *c, bool tell)
{
    c->busy = false;
    c->status = (c->status & (uint8_t)~ST_DATA_IN) | ST_READY;
    if (tell)
        raise(c, IR_COMPLETE);
}

static void refuse(struct buslogic_chip *c)
{
    c->status |= ST_INVALID;
    complete(c, true);
}

/* `len` bytes of `reply`, or as many as the host wants. */
static void answer(struct buslogic_chip *c, unsigned len, unsigned most)
{
    c->reply_len = (uint16_t)(len < most ? len : most);
    c->reply_at = 0;
    if (c->reply_len == 0)
        complete(c, true);
    else
        c->status |= ST_DATA_IN;
}

static bool is_there(const struct buslogic_chip *c, unsigned target)
{
    return (c->targets >> target & 1) != 0;
}

/* A byte for each of eight targets: which units they have. */
static void devices(struct buslogic_chip *c, unsigned from)
{
    for (unsigned i = 0; i < 8; i++)
        c->reply[i] = is_there(c, from + i);
    answer(c, 8, 8);
}

static void configuration(struct buslogic_chip *c)
{
    c->reply[0] = 0; /* no ISA DMA */
    c->reply[1] = (uint8_t)(c->irq >= 9 && c->irq <= 15 ? 1u << (c->irq - 9) : 0);
    c->reply[2] = BUSLOGIC_ID;
    answer(c, 3, 3);
}

/* Synchronous transfers with an offset of 15, as short a period as there is. */
static void negotiated(struct buslogic_chip *c, unsigned from, uint8_t *p)
{
    for (unsigned i = 0; i < 8; i++)
        p[i] = is_there(c, from + i) ? 0x8f : 0;
}

static void setup(struct buslogic_chip *c)
{
    uint8_t *p = c->reply;

    memset(p, 0, 34);
    p[0] = 0x03; /* synchronous, parity */
    p[4] = c->wide_boxes ? 0 : c->boxes;
    if (!c->wide_boxes) {
        p[5] = (uint8_t)(c->base >> 16);
        p[6] = (uint8_t)(c->base >> 8);
        p[7] = (uint8_t)c->base;
    }
    negotiated(c, 0, p + 8);
    memcpy(p + 17, "BDF", 3);
    p[20] = p[21] = (uint8_t)c->targets; /* wide: may be, are */
    negotiated(c, 8, p + 22);
    p[32] = p[33] = (uint8_t)(c->targets >> 8);
    answer(c, 34, c->parameter[0]);
}

static void extended_setup(struct buslogic_chip *c)
{
    uint8_t *p = c->reply;

    memset(p, 0, 14);
    p[0] = 'E'; /* a bus of 32 bits */
    st_le16(p + 2, BUSLOGIC_SEGMENTS);
    p[4] = c->boxes;
    st_le32(p + 5, c->base);
    p[9] = 0x40; /* level-triggered */
    memcpy(p + 10, "07B", 3);
    p[13] = 0x19; /* wide, ultra, terminates itself */
    answer(c, 14, c->parameter[0]);
}

static void pci_information(struct buslogic_chip *c)
{
    c->reply[0] = 6; /* no ISA ports */
    c->reply[1] = c->irq;
    c->reply[2] = 0x83; /* valid, terminated */
    c->reply[3] = 0;
    answer(c, 4, 4);
}

static void text(struct buslogic_chip *c, const char *s, unsigned len, unsigned most)
{
    memcpy(c->reply, s, len);
    answer(c, len, most);
}

/* In units of 10 ns. */
static void periods(struct buslogic_chip *c)
{
    for (unsigned i = 0; i < BUSLOGIC_TARGETS; i++)
        c->reply[i] = is_there(c, i) ? 5 : 0;
    answer(c, BUSLOGIC_TARGETS, c->parameter[0]);
}

static void fetch_ram(struct buslogic_chip *c)
{
    unsigned at = c->parameter[0], n = c->parameter[1] != 0 ? c->parameter[1] : 256;

    for (unsigned i = 0; i < n; i++)
        c->reply[i] = c->ram[(at + i) & 0xff];
    answer(c, n, n);
}

static void set_boxes(struct buslogic_chip *c, bool wide)
{
    const uint8_t *p = c->parameter;

    if (p[0] == 0) {
        refuse(c);
        return;
    }
    c->wide_boxes = wide;
    c->boxes = p[0];
    c->base = wide ? ld_le32(p + 1) : ld_be24(p + 1);
    c->outgoing = c->incoming = 0;
    c->results = 0;
    c->epoch++;
    c->status &= (uint8_t)~ST_NO_BOXES;
    complete(c, true);
}

static void set_flag(struct buslogic_chip *c, bool *flag, bool tell)
{
    if (c->parameter[0] > 1) {
        refuse(c);
        return;
    }
    *flag = c->parameter[0] != 0;
    complete(c, tell);
}

/* Parameters of a command, or -1: there is no such command. */
static int parameters(uint8_t command)
{
    switch (command) {
    case CMD_TEST:
    case CMD_BOARD:
    case CMD_DEVICES_LOW:
    case CMD_DEVICES_HIGH:
    case CMD_DEVICES:
    case CMD_CONFIGURATION:
    case CMD_FIRMWARE_DIGIT:
    case CMD_FIRMWARE_LETTER:
    case CMD_PCI:
        return 0;
    case CMD_TELL_OUTGOING:
    case CMD_BUS_ON:
    case CMD_BUS_OFF:
    case CMD_RATE:
    case CMD_SETUP:
    case CMD_ECHO:
    case CMD_INTERRUPTS:
    case CMD_MODEL:
    case CMD_PERIODS:
    case CMD_EXTENDED_SETUP:
    case CMD_STRICT:
    case CMD_ISA_PORT:
    case CMD_CCB_FORMAT:
        return 1;
    case CMD_FETCH_RAM:
        return 2;
    case CMD_BOXES:
    case CMD_TIMEOUT:
        return 4;
    case CMD_WIDE_BOXES:
        return 5;
    default:
        return -1;
    }
}

/* What tells the host something. */
static void inquire(struct buslogic_chip *c)
{
    switch (c->command) {
    case CMD_BOARD:
        text(c, "AA50", 4, 4);
        break;
    case CMD_DEVICES_LOW:
        devices(c, 0);
        break;
    case CMD_DEVICES_HIGH:
        devices(c, 8);
        break;
    case CMD_DEVICES:
        st_le16(c->reply, c->targets);
        answer(c, 2, 2);
        break;
    case CMD_CONFIGURATION:
        configuration(c);
        break;
    case CMD_SETUP:
        setup(c);
        break;
    case CMD_FIRMWARE_DIGIT:
        text(c, "7", 1, 1);
        break;
    case CMD_FIRMWARE_LETTER:
        text(c, "B", 1, 1);
        break;
    case CMD_PCI:
        pci_information(c);
        break;
    case CMD_MODEL:
        text(c, "958  ", 5, c->parameter[0]);
        break;
    case CMD_PERIODS:
        periods(c);
        break;
    default:
        extended_setup(c);
    }
}

static void execute(struct buslogic_chip *c)
{
    switch (c->command) {
    case CMD_TEST: /* times on a bus that does not pass */
    case CMD_TIMEOUT:
    case CMD_BUS_ON:
    case CMD_BUS_OFF:
    case CMD_RATE:
        complete(c, true);
        break;
    case CMD_BOXES:
    case CMD_WIDE_BOXES:
        set_boxes(c, c->command == CMD_WIDE_BOXES);
        break;
    case CMD_TELL_OUTGOING:
        set_flag(c, &c->tell_outgoing, false);
        break;
    case CMD_INTERRUPTS:
        set_flag(c, &c->interrupts, false);
        break;
    case CMD_STRICT:
        set_flag(c, &c->strict, true);
        break;
    case CMD_CCB_FORMAT:
        set_flag(c, &c->wide_luns, true);
        break;
    case CMD_ISA_PORT: /* there are none; 6 and 7 say so, too */
        if (c->parameter[0] > 7)
            refuse(c);
        else
            complete(c, false);
        break;
    case CMD_ECHO:
        c->reply[0] = c->parameter[0];
        answer(c, 1, 1);
        break;
    case CMD_FETCH_RAM:
        fetch_ram(c);
        break;
    default:
        inquire(c);
    }
}

/* CMD_START may come while another command gives its reply. */
static void begin(struct buslogic_chip *c, uint8_t command)
{
    int n = parameters(command);

    c->status &= (uint8_t) ~(ST_INVALID | ST_READY | ST_DATA_IN);
    c->busy = true;
    c->command = command;
    c->taken = c->reply_len = c->reply_at = 0;
    c->parameters = (uint16_t)(n > 0 ? n : 0);
    if (n < 0)
        refuse(c);
    else if (n == 0)
        execute(c);
}

static bool command_byte(struct buslogic_chip *c, uint8_t value)
{
    c->resetting = false;
    if (c->busy && c->taken < c->parameters) {
        c->parameter[c->taken++] = value;
        if (c->taken == c->parameters)
            execute(c);
        return false;
    }
    if (value == CMD_START) {
        c->start = c->boxes != 0;
        return c->start;
    }
    if (!c->busy)
        begin(c, value);
    return false;
}

/* --- registers --- */

static uint8_t data_in(struct buslogic_chip *c)
{
    uint8_t v;

    if (!c->busy || c->reply_at == c->reply_len)
        return 0;
    v = c->reply[c->reply_at++];
    if (c->reply_at == c->reply_len)
        complete(c, true);
    return v;
}

/* While CCBs of before a reset are under way, diagnostics are not at their end. */
static uint8_t status(struct buslogic_chip *c, bool idle)
{
    if (!c->resetting)
        return c->status;
    c->resetting = !idle;
    return ST_DIAGNOSTICS;
}

/* What the card's BIOS and the host's drivers are to give a disk for heads and sectors: 64 and 32
 * below 1 GB, 128 and 32 below 2 GB, 255 and 63. */
static uint8_t geometry(const struct buslogic_chip *c)
{
    uint8_t v = 0x80; /* extended translation */

    for (unsigned i = 0; i < 2; i++) {
        uint64_t n = c->drive_blocks[i];

        if (n != 0)
            v |= (uint8_t)((n < 2u << 20 ? 1 : n < 4u << 20 ? 2 : 3) << 2 * i);
    }
    return v;
}

uint8_t buslogic_read(struct buslogic_chip *c, unsigned offset, bool idle)
{
    switch (offset) {
    case REG_STATUS:
        return status(c, idle);
    case REG_DATA:
        return data_in(c);
    case REG_INTERRUPT:
        return c->interrupt;
    default:
        return geometry(c);
    }
}

static bool control(struct buslogic_chip *c, uint8_t value)
{
    if ((value & (CR_HARD | CR_SOFT)) != 0) {
        c->bus_reset |= (value & CR_HARD) != 0;
        reset(c);
        c->resetting = true;
        return true;
    }
    if ((value & CR_INTERRUPT) != 0) {
        c->interrupt = 0;
        c->status &= (uint8_t)~ST_INVALID;
    }
    if ((value & CR_BUS) != 0)
        c->bus_reset = true;
    return (value & CR_BUS) != 0 || c->results != 0;
}

bool buslogic_write(struct buslogic_chip *c, unsigned offset, uint8_t value)
{
    if (offset == REG_STATUS)
        return control(c, value);
    return offset == REG_DATA && command_byte(c, value);
}
