/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a person types behind "monitor". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdb/server_internal.h"

struct command {
    const char *name, *help;
    void (*run)(struct gdb_server *s, FILE *out);
};

static void do_help(struct gdb_server *s, FILE *out);

static void do_reset(struct gdb_server *s, FILE *out)
{
    s->t.reset(s->t.opaque);
    s->cpu_of = -1;
    fputs("The machine was reset; the debugger's registers are old, try 'maint flush "
          "register-cache'.\n",
          out);
}

static void do_quit(struct gdb_server *s, FILE *out)
{
    s->t.quit(s->t.opaque);
}

static void do_registers(struct gdb_server *s, FILE *out)
{
    const struct x86_cpu *cpu = gdb_cpu(s, s->current);
    static const char *const seg[X86_SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs"};
    unsigned column = 0;

    fprintf(out, "CPU %u\n", s->current);
    for (unsigned n = 0; n < gdb_reg_count(s->t.avx); n++) {
        uint64_t v = 0;

        if (gdb_reg_size(n) > 8 || (n > 23 && !gdb_reg_system(n)))
            continue; /* segments come below, vectors are GDB's */
        gdb_reg_get(cpu, n, (uint8_t *)&v);
        if (n < 18 || n > 23)
            fprintf(out, "%-10s %016llx%s", gdb_reg_name(n), (unsigned long long)v,
                    ++column % 3 == 0 ? "\n" : "  ");
    }
    fputs(column % 3 == 0 ? "" : "\n", out);
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        fprintf(out, "%s %04x base %016llx limit %08x attributes %04x\n", seg[i],
                cpu->seg[i].selector, (unsigned long long)cpu->seg[i].base, cpu->seg[i].limit,
                cpu->seg[i].attr);
}

static void do_physical(struct gdb_server *s, FILE *out)
{
    s->physical = true;
    fputs("Memory is read and written by physical address.\n", out);
}

static void do_linear(struct gdb_server *s, FILE *out)
{
    s->physical = false;
    fputs("Memory is read and written by linear address.\n", out);
}

static const struct command commands[] = {
    {"help", "this list", do_help},
    {"info registers", "all registers of the thread's CPU but vectors", do_registers},
    {"physical", "memory by physical address", do_physical},
    {"linear", "memory by linear address (default)", do_linear},
    {"reset", "reset the machine, which stays stopped", do_reset},
    {"quit", "end the machine", do_quit},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void do_help(struct gdb_server *s, FILE *out)
{
    for (unsigned i = 0; i < COMMANDS; i++)
        fprintf(out, "%-16s %s\n", commands[i].name, commands[i].help);
}

static void run(struct gdb_server *s, const char *line, FILE *out)
{
    for (unsigned i = 0; i < COMMANDS; i++)
        if (strcmp(line, commands[i].name) == 0) {
            commands[i].run(s, out);
            return;
        }
    fputs("The command is unknown; 'monitor help' lists them.\n", out);
}

/* The answer's text is the packet: GDB prints it. */
void gdb_monitor(struct gdb_server *s, const char *line)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL) {
        gdb_error(s, 12); /* ENOMEM */
        return;
    }
    run(s, line, out);
    fclose(out);
    if (len == 0)
        gdb_ok(s);
    else
        gdb_hex(&s->out, text, len < GDB_PACKET_MAX / 2 ? len : GDB_PACKET_MAX / 2);
    free(text);
}
