/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BusLogic adapter with mailboxes of either format and CCBs that no driver sends: any opcode,
 * any CDB, lists of segments that the input writes, registers, resets and pauses.
 */
#include "devices.h"

#include "../tests/device/buslogic_driver.h"

#define DEVFN PCI_DEVFN(3, 0) /* as in class_scsi.c */
#define DATA 0x100000u
#define MEMORY 0x20000u /* below it is all that the input may have changed */

/* Memory that a CCB names: data, mailboxes and CCBs, or anything. */
static uint32_t address(struct fuzz_input *in)
{
    uint8_t how = fuzz_u8(in);

    if ((how & 3) == 0)
        return BLD_BOXES + how * 0x40u;
    return (how & 3) == 1 ? fuzz_u32(in) : DATA + (how >> 2) * 0x1000u;
}

static void ccb(struct bld *d, struct fuzz_input *in)
{
    struct bld_ccb c = {.opcode = fuzz_u8(in), .data = address(in)};
    uint8_t how = fuzz_u8(in);

    if (how & 1)
        c.opcode = how >> 4 & 7;
    c.target = (how & 2) != 0 ? fuzz_u8(in) : how >> 7;
    c.lun = (how & 4) != 0 ? fuzz_u8(in) & 7 : 0;
    c.len = (how & 8) != 0 ? fuzz_u32(in) : fuzz_u8(in) * 512u;
    c.direction = fuzz_u8(in) & 3;
    c.cdb_len = (how & 2) != 0 ? fuzz_u8(in) : 12;
    c.sense_len = fuzz_u8(in);
    for (unsigned i = 0; i < 12; i++)
        c.cdb[i] = fuzz_u8(in);
    for (unsigned i = 0; i < (fuzz_u8(in) & 7u); i++)
        bld_segment(d, &c, address(in), fuzz_u16(in));
    bld_put(d, &c, (how & 12) == 12 ? fuzz_u8(in) : 1);
}

/* The next incoming box, whatever it says. */
static void free_box(struct bld *d)
{
    unsigned size = d->wide ? 8 : 4;
    uint8_t *box = d->mem + BLD_BOXES + (d->boxes + d->in) * size;

    box[d->wide ? 7 : 0] = 0;
    d->in = (d->in + 1) % d->boxes;
}

static void step(struct fuzz_device *f, struct bld *d, struct fuzz_input *in)
{
    uint8_t what = fuzz_u8(in);

    switch (what & 7) {
    case 0:
    case 1:
    case 2:
        ccb(d, in);
        break;
    case 3: /* a register */
        bld_write(d, what >> 3 & 1, fuzz_u8(in));
        break;
    case 4:
        fuzz_poke(f, in, BLD_BOXES + (what >> 3) * 0x40u, 32);
        break;
    case 5:
        fuzz_access(f, in);
        break;
    case 6:
        fuzz_wait(f, what >> 3 == 1);
        break;
    default:
        bld_start(d, (what >> 3 & 1) != 0, (what >> 4) + 1u);
        break;
    }
    free_box(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct fuzz_device *f = fuzz_device_named("buslogic");
    struct bld d;

    memset(ram_ptr(f->env.ram, 0, MEMORY, true), 0, MEMORY);
    bld_find(&d, &f->env, DEVFN);
    bld_start(&d, (fuzz_u8(&in) & 1) != 0, 8);
    while (in.left > 0)
        step(f, &d, &in);
    suite_settle(&f->env);
    return 0;
}
