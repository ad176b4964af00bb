/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GDB's packets: see packet.h. */
#include "gdb/packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { IDLE, DATA, SUM_HIGH, SUM_LOW };

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* --- reading --- */

void gdb_reader_init(struct gdb_reader *r)
{
    r->state = IDLE;
}

static enum gdb_event idle(struct gdb_reader *r, uint8_t byte)
{
    switch (byte) {
    case '$':
        r->state = DATA;
        r->len = 0;
        r->sum = 0;
        r->escaped = r->overflow = false;
        return GDB_NOTHING;
    case '+':
        return GDB_ACK;
    case '-':
        return GDB_NAK;
    case 3:
        return GDB_INTERRUPT;
    default:
        return GDB_NOTHING;
    }
}

static void data(struct gdb_reader *r, uint8_t byte)
{
    if (byte == '#') {
        r->state = SUM_HIGH;
        return;
    }
    if (byte == '$') { /* never in a packet's data: the other side started again */
        (void)idle(r, byte);
        return;
    }
    r->sum = (uint8_t)(r->sum + byte);
    if (byte == '}' && !r->escaped) {
        r->escaped = true;
        return;
    }
    if (r->len == GDB_PACKET_MAX)
        r->overflow = true;
    else
        r->data[r->len++] = (char)(r->escaped ? byte ^ 0x20 : byte);
    r->escaped = false;
}

enum gdb_event gdb_reader_put(struct gdb_reader *r, uint8_t byte)
{
    switch (r->state) {
    case DATA:
        data(r, byte);
        return GDB_NOTHING;
    case SUM_HIGH:
        r->sent = byte;
        r->state = SUM_LOW;
        return GDB_NOTHING;
    case SUM_LOW:
        r->state = IDLE;
        r->data[r->len] = '\0';
        if (r->overflow || r->escaped || digit(r->sent) < 0 || digit(byte) < 0 ||
            digit(r->sent) * 16 + digit(byte) != r->sum)
            return GDB_BAD;
        return GDB_PACKET;
    default:
        return idle(r, byte);
    }
}

/* --- writing --- */

static const char hex[] = "0123456789abcdef";

static void raw(struct gdb_writer *w, char c)
{
    if (w->len + 4 > sizeof(w->text)) { /* "#xx" has to fit */
        w->overflow = true;
        return;
    }
    w->text[w->len++] = c;
    w->sum = (uint8_t)(w->sum + (uint8_t)c);
}

void gdb_begin(struct gdb_writer *w)
{
    w->text[0] = '$';
    w->len = 1;
    w->sum = 0;
    w->overflow = false;
}

void gdb_binary(struct gdb_writer *w, const void *bytes, size_t n)
{
    const char *p = bytes;

    for (size_t i = 0; i < n; i++) {
        if (p[i] == '$' || p[i] == '#' || p[i] == '}' || p[i] == '*') {
            raw(w, '}');
            raw(w, (char)(p[i] ^ 0x20));
        } else {
            raw(w, p[i]);
        }
    }
}

void gdb_text(struct gdb_writer *w, const char *text)
{
    gdb_binary(w, text, strlen(text));
}

void gdb_format(struct gdb_writer *w, const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    gdb_text(w, text);
}

void gdb_hex(struct gdb_writer *w, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < n; i++) {
        raw(w, hex[p[i] >> 4]);
        raw(w, hex[p[i] & 15]);
    }
}

void gdb_end(struct gdb_writer *w)
{
    w->text[w->len++] = '#';
    w->text[w->len++] = hex[w->sum >> 4];
    w->text[w->len++] = hex[w->sum & 15];
}

/* --- numbers --- */

bool gdb_number(const char **p, const char *end, uint64_t *out)
{
    uint64_t v = 0;
    const char *at = *p;

    for (; at < end && digit((uint8_t)*at) >= 0; at++) {
        if (v >> 60)
            return false;
        v = v << 4 | (uint64_t)digit((uint8_t)*at);
    }
    if (at == *p)
        return false;
    *p = at;
    *out = v;
    return true;
}

bool gdb_unhex(const char *p, const char *end, void *bytes, size_t n)
{
    uint8_t *out = bytes;

    if ((size_t)(end - p) < 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = digit((uint8_t)p[2 * i]), low = digit((uint8_t)p[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
