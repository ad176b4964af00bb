/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paging as a debugger sees it (Intel SDM vol. 3, chapter 4): what is where, whoever may use it. */
#ifndef DOPPEL_X86_LINEAR_H
#define DOPPEL_X86_LINEAR_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/ram.h"
#include "x86/cpu.h"

/* The guest-physical address of a linear one by the tables that the CPU has loaded, and how many
 * bytes from there on are in the same page. Changes nothing. false: it is not mapped. */
bool x86_linear(const struct x86_cpu *cpu, const struct ram *ram, uint64_t lin, gpa_t *gpa,
                uint64_t *left) MUST_CHECK;

#endif
