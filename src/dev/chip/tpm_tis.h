/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interface of a TPM 2.0 in memory: five localities with access, status and a FIFO for commands
 * and their answers. TCG PC Client Specific TPM Interface Specification (TIS) 1.3, chapters 9 to
 * 11. No interrupts: drivers poll.
 *
 * Pure: a command is complete when tpm_tis_write says so; the device gets it to a TPM and brings
 * what that answers.
 */
#ifndef DOPPEL_DEV_CHIP_TPM_TIS_H
#define DOPPEL_DEV_CHIP_TPM_TIS_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define TPM_TIS_LOCALITIES 5u
#define TPM_TIS_SIZE (TPM_TIS_LOCALITIES << 12)
#define TPM_TIS_BUFFER 4096u
#define TPM_TIS_HEADER 10u /* tag, length, code */

/* Codes of answers that are ours: TPM 2.0 Library part 2, 6.6. */
#define TPM_RC_FAILURE 0x101u
#define TPM_RC_COMMAND_SIZE 0x142u
#define TPM_RC_RETRY 0x922u

enum tpm_tis_state { TPM_IDLE, TPM_READY, TPM_RECEPTION, TPM_EXECUTION, TPM_COMPLETION };

struct tpm_tis {
    uint8_t active;          /* locality; TPM_TIS_LOCALITIES: none */
    uint8_t waiting, seized; /* bits of localities */
    uint8_t state;
    bool aborted;   /* the answer is not wanted any more */
    uint16_t count; /* bytes of a command so far, or of an answer */
    uint16_t read;  /* of those of an answer */
    uint8_t buffer[TPM_TIS_BUFFER];
};
extern const struct state_table tpm_tis_state;

void tpm_tis_reset(struct tpm_tis *t);
/* Sizes are 1, 2 and 4; each byte of the FIFO counts. */
uint32_t tpm_tis_read(struct tpm_tis *t, uint32_t offset, unsigned size);
/* true: the first `count` bytes of the buffer are a command; the state is TPM_EXECUTION. */
bool tpm_tis_write(struct tpm_tis *t, uint32_t offset, uint32_t value, unsigned size);
/* In TPM_EXECUTION. What does not fit becomes TPM_RC_FAILURE. */
void tpm_tis_answer(struct tpm_tis *t, const uint8_t *answer, uint32_t len);
/* An answer that is only a code. */
void tpm_tis_fail(struct tpm_tis *t, uint32_t code);

#endif
