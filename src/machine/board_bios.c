/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a BIOS leaves for a kernel that goes to real mode without a BIOS having run: interrupt
 * vectors, handlers that count ticks and end interrupts, services that fail, the 8259s and the
 * 8254. Places as in the IBM PC's: the dummy handler at F000:FF53, the timer's at F000:FEA5.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "machine/machine_internal.h"

enum {
    SEGMENT = 0xf000,
    CODE_AT = 0xfe00, /* in the segment */
    DUMMY = 0xff53,
    TICK = 0xfea5,
    END_MASTER = CODE_AT,
    END_SLAVE = CODE_AT + 0x10,
    FAIL = CODE_AT + 0x20,
    BASE_MASTER = 8, /* vectors of the 8259s */
    BASE_SLAVE = 0x70,
    DISK = 0x13,
    SYSTEM = 0x15,
    DATA_MEMORY = 0x413, /* kilobytes below the EBDA */
    PIC_MASTER = 0x20,
    PIC_SLAVE = 0xa0,
    PIT = 0x40,
};

static const uint8_t tick[] = {
    0x1e,                               /* push ds */
    0x50,                               /* push ax */
    0xb8, 0x40,       0x00,             /* mov ax, 40h */
    0x8e, 0xd8,                         /* mov ds, ax */
    0x66, 0xff,       0x06, 0x6c, 0x00, /* inc dword [6ch] */
    0xcd, 0x1c,                         /* int 1ch */
    0xb0, 0x20,                         /* mov al, 20h */
    0xe6, PIC_MASTER,                   /* out 20h, al */
    0x58,                               /* pop ax */
    0x1f,                               /* pop ds */
    0xcf,                               /* iret */
};
static const uint8_t end_master[] = {
    0x50,             /* push ax */
    0xb0, 0x20,       /* mov al, 20h */
    0xe6, PIC_MASTER, /* out 20h, al */
    0x58,             /* pop ax */
    0xcf,             /* iret */
};
static const uint8_t end_slave[] = {
    0x50,             /* push ax */
    0xb0, 0x20,       /* mov al, 20h */
    0xe6, PIC_SLAVE,  /* out a0h, al */
    0xe6, PIC_MASTER, /* out 20h, al */
    0x58,             /* pop ax */
    0xcf,             /* iret */
};
static const uint8_t fail[] = {
    0xb4, 0x86,       /* mov ah, 86h */
    0xf9,             /* stc */
    0xca, 0x02, 0x00, /* retf 2 */
};
static const uint8_t dummy[] = {0xcf}; /* iret */

static uint16_t handler(unsigned vector)
{
    if (vector == BASE_MASTER)
        return TICK;
    if (vector - BASE_MASTER < 8)
        return END_MASTER;
    if (vector - BASE_SLAVE < 8)
        return END_SLAVE;
    return vector == DISK || vector == SYSTEM ? FAIL : DUMMY;
}

int board_bios_memory(struct machine *m, struct err *e)
{
    static const struct {
        uint16_t at, size;
        const uint8_t *code;
    } parts[] = {
        {TICK, sizeof(tick), tick},    {END_MASTER, sizeof(end_master), end_master},
        {FAIL, sizeof(fail), fail},    {END_SLAVE, sizeof(end_slave), end_slave},
        {DUMMY, sizeof(dummy), dummy},
    };
    uint8_t vectors[1024], memory[2];
    int rc = 0;

    for (unsigned i = 0; i < 256; i++) {
        st_le16(vectors + 4 * i, handler(i));
        st_le16(vectors + 4 * i + 2, SEGMENT);
    }
    st_le16(memory, LAYOUT_EBDA >> 10);
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]) && rc == 0; i++)
        rc = ram_load(m->ram, (SEGMENT << 4) + parts[i].at, parts[i].code, parts[i].size);
    if (rc == 0)
        rc = ram_load(m->ram, 0, vectors, sizeof(vectors));
    if (rc == 0)
        rc = ram_load(m->ram, DATA_MEMORY, memory, sizeof(memory));
    return rc < 0 ? err_set(e, -rc, "cannot write the interrupt vectors: %s", strerror(-rc)) : 0;
}

static void start_pic(struct machine *m, unsigned port, uint8_t base, uint8_t cascade, uint8_t mask)
{
    bus_write(m->ports, port, 0x11, 1);
    bus_write(m->ports, port + 1, base, 1);
    bus_write(m->ports, port + 1, cascade, 1);
    bus_write(m->ports, port + 1, 1, 1);
    bus_write(m->ports, port + 1, mask, 1);
}

void board_bios_chips(struct machine *m)
{
    start_pic(m, PIC_MASTER, BASE_MASTER, 1 << 2, 0xfa); /* the timer and the other 8259 */
    start_pic(m, PIC_SLAVE, BASE_SLAVE, 2, 0xff);
    bus_write(m->ports, PIT + 3, 0x36, 1); /* channel 0, 18.2 Hz */
    bus_write(m->ports, PIT, 0, 1);
    bus_write(m->ports, PIT, 0, 1);
}
