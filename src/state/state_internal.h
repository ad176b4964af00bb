/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The record, shared by save and load. All numbers are little endian; a name is one length byte
 * (1 - 63) and that many bytes.
 *
 *   record   u32 magic, name of the table, u16 table version, u16 number of fields, fields
 *   field    name, u8 type (enum state_type), u32 elements, u32 bytes of payload, payload
 *   payload  the elements one after the other: integers in the width of their type, a BOOL as one
 *            byte 0 or 1, BYTES as they are, a STRUCT as one record without the magic
 *
 * Nothing follows the last field of the outermost record. The numbers of enum state_type are part
 * of the format.
 */
#ifndef DOPPEL_STATE_STATE_INTERNAL_H
#define DOPPEL_STATE_STATE_INTERNAL_H

#include <stdbool.h>

#include "state/state.h"

#define STATE_MAGIC 0x74537064u /* "dpSt" */
#define STATE_NAME_MAX 63

/* Bytes of one element in a record; 0 for STRUCT, whose records say their own length. */
static inline size_t state_wire_size(enum state_type t)
{
    switch (t) {
    case STATE_BOOL:
    case STATE_U8:
    case STATE_BYTES:
        return 1;
    case STATE_U16:
        return 2;
    case STATE_U32:
        return 4;
    case STATE_U64:
        return 8;
    default:
        return 0;
    }
}

#endif
