/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers that a debugger sees, and their description ("Debugging with GDB", appendix G):
 * 64-bit core, x87, SSE, AVX, FS and GS bases, and as a group of their own ("system") control,
 * debug, table and model-specific registers.
 */
#ifndef DOPPEL_GDB_REGS_H
#define DOPPEL_GDB_REGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/cpu.h"

#define GDB_REG_MAX 16 /* bytes */

unsigned gdb_reg_count(bool avx);
unsigned gdb_reg_size(unsigned n); /* bytes of register n of the description */
const char *gdb_reg_name(unsigned n);
/* Is it in the group "system"? */
bool gdb_reg_system(unsigned n);

void gdb_reg_get(const struct x86_cpu *cpu, unsigned n, uint8_t *bytes);
/* -EINVAL: the register cannot have that value, or not while the CPU is in this mode. */
int gdb_reg_set(struct x86_cpu *cpu, unsigned n, const uint8_t *bytes);

/* The description in XML; the caller frees it. NULL: out of memory. */
char *gdb_regs_xml(bool avx);

#endif
