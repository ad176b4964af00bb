/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ATA disks and CD-ROM drives behind both adapters: commands and packets that no driver sends, by
 * the data register, by bus master and by command lists, with tables in memory that the input
 * writes.
 */
#include "devices.h"

#define AHCI_BAR SUITE_WINDOW
#define BM_BASE SUITE_PORTS
#define TABLES 0x1000u
#define TABLES_SIZE 0x5000u

static const uint16_t bases[] = {0x1f0, 0x170};

static void task_file(struct fuzz_device *f, struct fuzz_input *in, unsigned base)
{
    uint8_t registers = fuzz_u8(in);

    for (unsigned i = 1; i < 7; i++)
        if (registers >> i & 1)
            bus_write(f->env.ports, base + i, fuzz_u8(in), 1);
    bus_write(f->env.ports, base + 7, fuzz_u8(in), 1);
}

/* Words by the data register, in either direction. */
static void data(struct fuzz_device *f, struct fuzz_input *in, unsigned base, bool write)
{
    unsigned words = fuzz_u8(in) * 4u;

    for (unsigned i = 0; i < words && (!write || in->left > 0); i++)
        if (write)
            bus_write(f->env.ports, base, fuzz_u16(in), 2);
        else
            bus_read(f->env.ports, base, 2);
}

/* A packet for the CD-ROM drive, the second channel's first. */
static void packet(struct fuzz_device *f, struct fuzz_input *in)
{
    static const uint8_t set_up[][2] = {{6, 0}, {4, 0xfe}, {5, 0xff}};

    for (unsigned i = 0; i < 3; i++)
        bus_write(f->env.ports, 0x170u + set_up[i][0], set_up[i][1], 1);
    bus_write(f->env.ports, 0x171, fuzz_u8(in) & 1, 1); /* by DMA? */
    bus_write(f->env.ports, 0x177, 0xa0, 1);
    for (unsigned i = 0; i < 6; i++)
        bus_write(f->env.ports, 0x170, fuzz_u16(in), 2);
}

static void ide_step(struct fuzz_device *f, struct fuzz_input *in, uint8_t what)
{
    unsigned channel = what >> 3 & 1, base = bases[channel];

    switch (what & 7) {
    case 0:
    case 1:
        task_file(f, in, base);
        break;
    case 2:
        data(f, in, base, (what & 0x10) != 0);
        break;
    case 3:
        packet(f, in);
        break;
    case 4: /* the bus master begins or ends */
        bus_write(f->env.ports, BM_BASE + 8 * channel + 4, TABLES + (what >> 4) * 0x100u, 4);
        bus_write(f->env.ports, BM_BASE + 8 * channel, fuzz_u8(in), 1);
        break;
    default:
        fuzz_access(f, in);
        break;
    }
}

static void ahci_step(struct fuzz_device *f, struct fuzz_input *in, uint8_t what)
{
    unsigned port = AHCI_BAR + 0x100 + (what >> 3 & 1) * 0x80u;

    switch (what & 7) {
    case 0:
    case 1:
    case 2: /* commands of these slots, queued or not */
        if (what & 0x10)
            bus_write(f->env.mmio, port + 0x34, fuzz_u16(in), 4);
        bus_write(f->env.mmio, port + 0x38, fuzz_u16(in), 4);
        break;
    case 3: /* a command header and its FIS in one go */
        fuzz_poke(f, in, TABLES + 0x1000 + (what >> 4) * 32u, 16);
        fuzz_poke(f, in, TABLES + 0x3000 + (what >> 4) * 0x100u, 20);
        break;
    case 4:
        bus_write(f->env.mmio, port + (fuzz_u8(in) & 0x7cu), fuzz_u32(in), 4);
        break;
    default:
        fuzz_access(f, in);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input in = {bytes, size};
    bool ahci = (fuzz_u8(&in) & 1) != 0;
    struct fuzz_device *f = fuzz_device_named(ahci ? "ahci" : "ide");

    memset(ram_ptr(f->env.ram, TABLES, TABLES_SIZE, true), 0, TABLES_SIZE);
    f->cls->busy(&f->env, &f->dev);
    while (in.left > 0) {
        uint8_t what = fuzz_u8(&in);

        if (what == 0xff) {
            suite_pause(&f->dev);
            suite_resume(&f->dev);
        } else if (what >= 0xf0) {
            suite_settle(&f->env);
        } else if (what >= 0xe0) {
            fuzz_poke(f, &in, TABLES + fuzz_u16(&in) % (TABLES_SIZE - 64), 32);
        } else if (ahci) {
            ahci_step(f, &in, what);
        } else {
            ide_step(f, &in, what);
        }
    }
    suite_settle(&f->env);
    return 0;
}
