/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Firmware: which image it is, where it comes from, and the flash that keeps a UEFI firmware's
 * variables.
 *
 * BIOS is SeaBIOS, UEFI is OVMF, as Debian's packages seabios and ovmf install them. OVMF has two
 * images: variables, of which every machine has its own copy, and code, which follows it directly
 * below 4 GB. Files are hostile input.
 */
#ifndef DOPPEL_MACHINE_FIRMWARE_H
#define DOPPEL_MACHINE_FIRMWARE_H

#include "base/err.h"
#include "machine/file.h"
#include "machine/layout.h"

enum firmware_kind { FIRMWARE_NONE, FIRMWARE_BIOS, FIRMWARE_UEFI, FIRMWARE_FILE };

struct firmware_config {
    enum firmware_kind kind;
    const char *path; /* of FIRMWARE_FILE */
    const char *vars; /* UEFI: the file with the variables, made if it is not there; NULL: they are
                         forgotten with the machine */
};

struct firmware {
    struct file code, vars; /* fd -1: none */
    int vars_fd;            /* where variables are kept, or -1 */
};

/* Opens and checks the files; makes and locks the one for variables. */
int firmware_open(struct firmware *f, const struct firmware_config *cfg, struct err *e) MUST_CHECK;
void firmware_close(struct firmware *f);
/* What the images take: for layout_firmware. */
uint64_t firmware_size(const struct firmware *f);
uint64_t firmware_vars_size(const struct firmware *f);
/* Reads the images; before the machine runs. */
int firmware_load(const struct firmware *f, const struct layout *l, struct ram *ram,
                  struct err *e) MUST_CHECK;

#endif
