/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices at fixed ports, lines and addresses that a machine has only if it is asked to. */
#include <errno.h>
#include <string.h>

#include "dev/parallel.h"
#include "dev/sound/sb16.h"
#include "machine/machine_internal.h"

int machine_add_parallel(struct machine *m, const struct machine_printer *p, struct err *e)
{
    const struct parallel_config cfg = {
        .irq = gsi_pin(&m->gsi, PARALLEL_LPT1_IRQ), .print = p->print, .opaque = p->opaque};
    struct device d;
    int rc = parallel_create(&cfg, m->ports, PARALLEL_LPT1_PORT, &d);

    if (rc < 0)
        return err_set(e, -rc, "cannot create the parallel port: %s", strerror(-rc));
    m->parallel = true;
    return machine_own(m, d, e);
}

int machine_add_sb16(struct machine *m, const struct sound_out *out, struct err *e)
{
    const struct sb16_config cfg = {.lines = gsi_pin(&m->gsi, 0),
                                    .dma = m->dma,
                                    .loop = m->cfg.loop,
                                    .clock = m->clock,
                                    .out = *out};
    struct device d;
    int rc = sb16_create(&cfg, m->ports, &d);

    if (rc < 0)
        return err_set(e, -rc, "cannot create the Sound Blaster: %s", strerror(-rc));
    return machine_own(m, d, e);
}

int machine_add_tpm(struct machine *m, const struct tpm_backend *b, struct err *e)
{
    int rc = tpm_create(b, m->mmio, &m->tpm);

    if (rc < 0)
        return err_set(e, -rc, "cannot create the TPM: %s", strerror(-rc));
    return machine_own(m, tpm_device(m->tpm), e);
}

void machine_tpm_answer(struct machine *m, const uint8_t *answer, size_t len)
{
    tpm_answer(m->tpm, answer, len);
}
