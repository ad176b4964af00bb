/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of doppel run: which machine it asks for, and where its lines and sockets go. */
#ifndef DOPPEL_CMD_RUN_OPTIONS_H
#define DOPPEL_CMD_RUN_OPTIONS_H

#include "args.h"
#include "trace.h"
#include "vm/rundir.h"
#include "vm/vm.h"

struct run_options {
    struct vm_config cfg;
    const char *accel;
    char *image;
    bool serial_given, board_given, vga_given;
    bool no_net;     /* --net none */
    const char *bus; /* of --disk, other than virtio; NULL: none */
    const char *publish[NET_MAX_FORWARDS];
    unsigned publish_count;
    char *trace_words; /* of --trace; NULL: none */
    struct trace trace;
    bool detach;
    /* Of sockets that --name or --control imply. */
    char control[RUNDIR_PATH], serial[RUNDIR_PATH], console[RUNDIR_PATH];
    char parallel[RUNDIR_PATH];
};

/* What holds without a word; then args_parse fills it with this table and operand. */
void run_options_init(struct run_options *r);
extern const struct arg_option run_options_table[];
int run_options_image(void *opaque, char *value, struct err *e) MUST_CHECK;

/* Checks across options, and what follows from several: all of `cfg`, and where the trace goes. */
int run_options_check(struct run_options *r, struct err *e) MUST_CHECK;
/* Again, after cfg.engine has changed. */
int run_options_check_engine(const struct run_options *r, struct err *e) MUST_CHECK;

#endif
