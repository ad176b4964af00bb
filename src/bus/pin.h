/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt pins and message-signalled interrupts: how a device says "interrupt" without knowing to
 * whom. May be called from any thread, with no lock of the caller's held. Level semantics: the sink
 * sees the level; whether edges count is the sink's business.
 */
#ifndef DOPPEL_BUS_PIN_H
#define DOPPEL_BUS_PIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pin {
    void (*set)(void *opaque, unsigned line, bool level);
    void *opaque;
    unsigned line;
};

static inline void pin_set(const struct pin *p, bool level)
{
    if (p->set != NULL)
        p->set(p->opaque, p->line, level);
}

struct msi_sink {
    /* An upstream memory write of `data` to `addr` (0xfeexxxxx), Intel SDM vol. 3, 11.11. */
    void (*send)(void *opaque, uint64_t addr, uint32_t data);
    void *opaque;
};

static inline void msi_send(const struct msi_sink *s, uint64_t addr, uint32_t data)
{
    if (s->send != NULL)
        s->send(s->opaque, addr, data);
}

#endif
