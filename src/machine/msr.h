/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers that belong neither to the engine nor to a device: identity and
 * configuration of the CPU, which guests read and write as they find the vendor's name in CPUID.
 * Intel SDM vol. 4; AMD's processor programming references. One file for each vCPU.
 */
#ifndef DOPPEL_MACHINE_MSR_H
#define DOPPEL_MACHINE_MSR_H

#include <stdbool.h>
#include <stdint.h>

struct msr_file {
    bool amd;
    uint64_t spec_ctrl; /* 48 */
    uint64_t hwcr;      /* AMD c0010015 */
    uint64_t perf[8];   /* AMD c0010000: event selects and counters, which do not count */
};

void msr_reset(struct msr_file *f, bool amd);
/* false: there is no such register, or the value is not allowed: #GP(0). */
bool msr_read(const struct msr_file *f, uint32_t index, uint64_t *value);
bool msr_write(struct msr_file *f, uint32_t index, uint64_t value);

#endif
