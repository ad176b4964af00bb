/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host side of a test whose guest needs no device but one that it tells something: ports and
 * memory-mapped registers read as 0, no interrupt ever waits. */
#ifndef DOPPEL_TESTS_ENGINE_QUIET_H
#define DOPPEL_TESTS_ENGINE_QUIET_H

#include "engine/engine.h"

static inline uint32_t quiet_port_read(void *opaque, unsigned vcpu, uint16_t port, unsigned size)
{
    return 0;
}

static inline uint64_t quiet_mmio_read(void *opaque, unsigned vcpu, gpa_t gpa, unsigned size)
{
    return 0;
}

static inline void quiet_mmio_write(void *opaque, unsigned vcpu, gpa_t gpa, uint64_t value,
                                    unsigned size)
{
}

static inline bool quiet_pending(void *opaque, unsigned vcpu)
{
    return false;
}

static inline int quiet_taken(void *opaque, unsigned vcpu)
{
    return -1;
}

/* port_write: what the guest tells. */
static inline struct engine_host quiet_host(void (*port_write)(void *opaque, unsigned vcpu,
                                                               uint16_t port, uint32_t value,
                                                               unsigned size))
{
    return (struct engine_host){
        .port_read = quiet_port_read,
        .port_write = port_write,
        .mmio_read = quiet_mmio_read,
        .mmio_write = quiet_mmio_write,
        .interrupt_pending = quiet_pending,
        .interrupt_take = quiet_taken,
        .nmi_take = quiet_pending,
    };
}

#endif
