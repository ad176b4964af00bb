/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the loaders of boot.h share. */
#ifndef DOPPEL_MACHINE_BOOT_INTERNAL_H
#define DOPPEL_MACHINE_BOOT_INTERNAL_H

#include "machine/boot.h"
#include "machine/file.h"

struct boot {
    const struct boot_config *cfg;
    const struct layout *layout;
    struct ram *ram;
    struct x86_cpu *cpu;
    struct file kernel;
    uint64_t kernel_base, kernel_end; /* guest-physical range that the kernel needs at start */
    uint64_t initrd_base, initrd_size;
    bool low;            /* the kernel may lie below the first megabyte, too */
    bool bios;           /* it expects the chips as a BIOS leaves them */
    uint64_t files_base; /* of what boot_load_file put there last, 0: nothing */
    struct err *e;
};

/* Copies from the kernel file into RAM. `what` names the part in errors. */
int boot_copy(struct boot *b, uint64_t offset, gpa_t gpa, uint64_t len,
              const char *what) MUST_CHECK;
/* Writes the loader's own tables; they lie in RAM by construction. */
int boot_put(struct boot *b, gpa_t gpa, const void *buf, uint64_t len) MUST_CHECK;
/* Puts the initrd as high as possible below `limit` (exclusive) in low RAM, above the kernel. */
int boot_load_initrd(struct boot *b, uint64_t limit) MUST_CHECK;
/* The same for any file, below those that were put there before. */
int boot_load_file(struct boot *b, const char *option, const char *path, uint64_t limit,
                   uint64_t *base, uint64_t *size) MUST_CHECK;
/* `max` is the longest command line that the kernel takes, without the zero. NULL is fine. */
int boot_check_cmdline(const char *text, uint64_t max, struct err *e) MUST_CHECK;
/* Puts the command line, which is checked. */
int boot_load_cmdline(struct boot *b, uint64_t max) MUST_CHECK;

/* Linux: `header` is the setup header of the zero page, from 0x1f1, `len` bytes, or NULL for an ELF
 * file, which has none. */
int boot_linux_zero_page(struct boot *b, const uint8_t *header, uint64_t len) MUST_CHECK;
/* The CPU in long mode at `entry` with RSI = zero page. */
int boot_linux_cpu(struct boot *b, gpa_t entry) MUST_CHECK;
int boot_linux_bzimage(struct boot *b) MUST_CHECK;

/* The CPU in flat 32-bit protected mode without paging, its general registers 0. */
void boot_protected_cpu(struct x86_cpu *c, gpa_t entry);
/* PVH: start info, and the CPU in 32-bit protected mode without paging. */
int boot_pvh(struct boot *b, gpa_t entry) MUST_CHECK;

/* What a multiboot header says. */
struct boot_multiboot {
    bool found, placed; /* placed: it has addresses, which go before an ELF file's */
    uint32_t flags;
    uint64_t offset;
    uint32_t address[5];
};
int boot_multiboot_find(struct boot *b, struct boot_multiboot *m) MUST_CHECK;
/* Boot information and CPU for a kernel that is in its place; the other puts one that is `placed`.
 */
int boot_multiboot(struct boot *b, const struct boot_multiboot *m, gpa_t entry) MUST_CHECK;
int boot_multiboot_flat(struct boot *b, const struct boot_multiboot *m) MUST_CHECK;

int boot_elf(struct boot *b, const struct boot_multiboot *m) MUST_CHECK;

#endif
