/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets of GDB's remote serial protocol ("Debugging with GDB", appendix E.1):
 * $data#checksum, '+' and '-' between them, and byte 3, which interrupts. No I/O; whatever bytes
 * come, the worst that happens is GDB_BAD.
 */
#ifndef DOPPEL_GDB_PACKET_H
#define DOPPEL_GDB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GDB_PACKET_MAX 0x4000u /* bytes of data */

enum gdb_event {
    GDB_NOTHING, /* more has to come */
    GDB_PACKET,  /* data[0 - len) until the next byte is put; a 0 follows it */
    GDB_BAD,     /* a wrong checksum, or too long */
    GDB_INTERRUPT,
    GDB_ACK,
    GDB_NAK,
};

struct gdb_reader {
    uint8_t state, sum, sent;
    bool escaped, overflow;
    size_t len;
    char data[GDB_PACKET_MAX + 1];
};

void gdb_reader_init(struct gdb_reader *r);
enum gdb_event gdb_reader_put(struct gdb_reader *r, uint8_t byte);

/* A packet that is being written. What does not fit is dropped, and `overflow` says so. */
struct gdb_writer {
    size_t len; /* of text */
    uint8_t sum;
    bool overflow;
    char text[2 * GDB_PACKET_MAX + 8];
};

void gdb_begin(struct gdb_writer *w);
void gdb_text(struct gdb_writer *w, const char *text);
void gdb_format(struct gdb_writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void gdb_hex(struct gdb_writer *w, const void *bytes, size_t n);    /* two digits for each */
void gdb_binary(struct gdb_writer *w, const void *bytes, size_t n); /* escaped */
void gdb_end(struct gdb_writer *w);

/* A hexadecimal number at the start of *p, which moves behind it. false: none, or too large. */
bool gdb_number(const char **p, const char *end, uint64_t *out);
/* n bytes from 2 * n digits. false: there are less, or others. */
bool gdb_unhex(const char *p, const char *end, void *bytes, size_t n);

#endif
