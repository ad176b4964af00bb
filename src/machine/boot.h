/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Direct boot: puts a kernel, its initrd and its command line into guest RAM and sets the boot
 * processor up as the kernel's boot protocol asks.
 *
 *   bzImage        Linux 64-bit boot protocol (Documentation/arch/x86/boot.rst), or the 32-bit one
 *   ELF, 64-bit    the same at the entry point: vmlinux, and flat test images linked above 1 MB
 *   ELF with a XEN_ELFNOTE_PHYS32_ENTRY note, 32- or 64-bit: PVH (xen/docs/misc/pvh.pandoc)
 *   ELF or any file with a multiboot header: Multiboot Specification 0.6.96, with modules
 *
 * A Linux vmlinux usually offers the last two; the 64-bit protocol is preferred for it. Files are
 * hostile input: every field is checked against the file and against RAM.
 */
#ifndef DOPPEL_MACHINE_BOOT_H
#define DOPPEL_MACHINE_BOOT_H

#include "base/err.h"
#include "machine/layout.h"
#include "mem/ram.h"
#include "x86/cpu.h"

#define BOOT_MAX_MODULES 16

struct boot_module {
    const char *path, *text; /* text: for the kernel, or NULL */
};

struct boot_config {
    const char *kernel;
    const char *initrd;                           /* NULL: none */
    const char *append;                           /* NULL: "" */
    struct boot_module modules[BOOT_MAX_MODULES]; /* only a multiboot kernel takes them */
    unsigned module_count;
    gpa_t rsdp; /* where the ACPI root pointer is */
};

/* Loads everything. `cpu` has its reset state and gets the entry state. *bios: the kernel expects
 * the chips as a BIOS leaves them. The sentence of an error names the option and the file. */
int boot_load(const struct boot_config *cfg, const struct layout *l, struct ram *ram,
              struct x86_cpu *cpu, bool *bios, struct err *e) MUST_CHECK;

#endif
