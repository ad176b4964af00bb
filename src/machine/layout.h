/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest-physical memory map of the PC board, as on Intel's Q35.
 *
 *   0000 0000   low RAM, up to 8000 0000 or b000 0000; a hole at a0000 - bffff for video memory
 *   ....        PCI memory window
 *   b000 0000   PCI configuration space (ECAM), 256 buses
 *   c000 0000   PCI memory window
 *   fec0 0000   I/O APIC        fed0 0000  HPET        fed4 0000  TPM
 *   fee0 0000   local APICs
 *   fffe 0000   boot ROM, or firmware below 1 0000 0000: variables first, then code
 *   1 0000 0000 high RAM, then the 64-bit PCI window
 *
 * With firmware the board starts with what chipsets do: the area from c0000 to 1 MB shows the end
 * of the firmware, ECAM is off and PCI's windows are where the firmware puts them.
 *
 * The first megabyte of a machine whose kernel is loaded directly:
 *
 *   00000 vectors of real mode    ffe00 handlers of real mode
 *   00500 GDT   06000 PVH start info   07000 Linux zero page   08ff0 stack   09000 page tables
 *   20000 command line   9e000 multiboot information   9fc00 reserved as by a BIOS (EBDA)
 *   e0000 ACPI tables    f0000 SMBIOS
 */
#ifndef DOPPEL_MACHINE_LAYOUT_H
#define DOPPEL_MACHINE_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "mem/ram.h"

#define LAYOUT_VGA_BASE 0xa0000u
#define LAYOUT_VGA_BANK 0x10000u
#define LAYOUT_VGA_END 0xc0000u
#define LAYOUT_LOW_MAX 0xb0000000u   /* a machine with less memory has all of it below */
#define LAYOUT_LOW_SPLIT 0x80000000u /* a larger one goes on above 4 GB from here */
#define LAYOUT_ECAM_BASE 0xb0000000u
#define LAYOUT_ECAM_BUSES 256u
#define LAYOUT_ECAM_SIZE 0x10000000u
#define LAYOUT_PCI32_BASE 0xc0000000u
#define LAYOUT_PCI32_END 0xfec00000u
#define LAYOUT_PCI64_SIZE (UINT64_C(64) << 30)
#define LAYOUT_PCI_IO_BASE 0xc000u
#define LAYOUT_PCI_IO_SIZE 0x2000u
#define LAYOUT_ROM_BASE 0xfffe0000u
#define LAYOUT_ROM_SIZE 0x20000u
#define LAYOUT_HIGH_BASE UINT64_C(0x100000000)

#define LAYOUT_BOOT_GDT 0x500u
#define LAYOUT_PVH_INFO 0x6000u
#define LAYOUT_MULTIBOOT_INFO 0x9e000u /* a multiboot kernel may lie below */
#define LAYOUT_ZERO_PAGE 0x7000u
#define LAYOUT_BOOT_STACK 0x8ff0u
#define LAYOUT_PAGE_TABLES 0x9000u
#define LAYOUT_CMDLINE 0x20000u
#define LAYOUT_CMDLINE_MAX 0x10000u
#define LAYOUT_EBDA 0x9fc00u
#define LAYOUT_ACPI_BASE 0xe0000u
#define LAYOUT_ACPI_END 0xf0000u
#define LAYOUT_SMBIOS_BASE 0xf0000u
#define LAYOUT_SMBIOS_END 0x100000u
#define LAYOUT_KERNEL_MIN 0x100000u

#define LAYOUT_MEMORY_MIN (UINT64_C(16) << 20)

struct layout {
    uint64_t memory;   /* what was asked for */
    uint64_t low_end;  /* end of low RAM */
    uint64_t high_end; /* end of high RAM; LAYOUT_HIGH_BASE: there is none */
    uint64_t pci64_base, pci64_size;
    uint64_t rom_size, vars_size; /* of firmware, and of the part of it at its start that is flash
                                     for variables; 0: there is none */
    uint64_t rom_offset;          /* of firmware in the backing; layout_create_ram */
    uint64_t video_size, video_offset; /* of a VGA's memory, likewise; size 0: none */
    uint64_t gpu_size, gpu_offset;     /* of what the guest does not see of a card's memory */
    uint64_t fifo_size, fifo_offset;   /* of a card's commands */
};

#define LAYOUT_SHADOW_ROM 0x20000u /* of the firmware's end, below 1 MB */
#define LAYOUT_ROM_MAX 0x1000000u

/* phys_bits: the guest's physical address width. A sentence names -m for an impossible size. There
 * is no firmware at first. */
int layout_init(struct layout *l, uint64_t memory, unsigned phys_bits, struct err *e) MUST_CHECK;

/* The same with firmware, whose sizes are whole pages and at most LAYOUT_ROM_MAX. */
void layout_firmware(struct layout *l, uint64_t rom_size, uint64_t vars_size, unsigned phys_bits);

/* Creates the RAM with all its regions. With firmware those between c0000 and 1 MB are the segments
 * of the host bridge, and show what they show after reset. */
int layout_create_ram(struct layout *l, enum ram_pages pages, struct ram **out,
                      struct err *e) MUST_CHECK;

/* What the segment of memory at `base`, below 1 MB, shows if the bus answers: the end of the
 * firmware. false: nothing. */
bool layout_shadowed(const struct layout *l, gpa_t base, uint64_t *offset);

/* The memory map as firmware tells it: ACPI 6.4, 15.4. */
enum layout_e820 { E820_RAM = 1, E820_RESERVED = 2 };
struct layout_range {
    uint64_t base, size;
    enum layout_e820 type;
};
#define LAYOUT_RANGES 8
unsigned layout_ranges(const struct layout *l, struct layout_range out[LAYOUT_RANGES]);

#endif
