/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where an interrupt line of the board goes; the contract is in the header. */
#include "dev/gsi.h"

#define ISA_LINES 16
#define CASCADE 2

void gsi_set_line(void *opaque, unsigned line, bool level)
{
    struct gsi *g = opaque;

    if (line == CASCADE)
        return;
    if (line < ISA_LINES && g->pic != NULL)
        pic_set_line(g->pic, line, level);
    if (g->ioapic != NULL)
        ioapic_set_line(g->ioapic, line == 0 ? CASCADE : line, level);
}
