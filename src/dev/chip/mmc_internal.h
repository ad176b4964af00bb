/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CD-ROM drive as its own files see it. */
#ifndef DOPPEL_DEV_CHIP_MMC_INTERNAL_H
#define DOPPEL_DEV_CHIP_MMC_INTERNAL_H

#include "dev/chip/mmc.h"

/* mmc_info.c: answers about drive and medium in `data`; their length, or -1 for a field of the
 * command that is not right. */
int mmc_inquiry(struct mmc *m);
int mmc_mode_sense(struct mmc *m, bool ten);
int mmc_toc(struct mmc *m);
int mmc_configuration(struct mmc *m);
int mmc_event(struct mmc *m);
int mmc_disc_information(struct mmc *m);
int mmc_track_information(struct mmc *m);
int mmc_dvd_structure(struct mmc *m);

#endif
