/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk image under test, a model of what it has to show, and a host file that can be cut off.
 *
 * Every sector that is written holds its own number and a stamp that grows with each write. So what
 * a sector shows tells which write it comes from, and after a crash it may be the last one before
 * the last flush or any later one.
 *
 * The writes of the image to its file are seen by wrappers of the system calls (the program is
 * linked with --wrap). After `stop_at` of them all fail, as if the process had been killed; what
 * was not synced then is kept aside, so that a loss of power, in which any sectors of it may be
 * missing, can be tried as well.
 */
#ifndef DOPPEL_TESTS_UNIT_DISK_MODEL_H
#define DOPPEL_TESTS_UNIT_DISK_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "block/qcow2.h"

struct disk_model {
    char path[64], below[64]; /* below: "" or a raw backing file */
    struct block_image *im;
    uint64_t sectors;
    uint64_t *now;     /* the stamp that each sector shows; 0: zeros */
    uint64_t *flushed; /* the same at the last flush */
    bool *zeroed;      /* it may show zeros since */
    bool *doubtful;    /* a write of it failed */
    uint64_t stamp, flushed_stamp;
};

/* A new image and its model; c->backing is set here if `below`. */
void disk_create(struct disk_model *d, struct qcow2_create c, bool below);
void disk_open(struct disk_model *d); /* for writing */
int disk_close(struct disk_model *d);
void disk_finish(struct disk_model *d); /* removes the files */

/* They return what the image returned, and keep the model. */
int disk_write(struct disk_model *d, uint64_t sector, uint64_t count);
int disk_zero(struct disk_model *d, uint64_t sector, uint64_t count, bool unmap);
int disk_discard(struct disk_model *d, uint64_t sector, uint64_t count);
int disk_flush(struct disk_model *d);
int disk_random(struct disk_model *d); /* one of them, anywhere */

void disk_verify(struct disk_model *d);       /* all is as it was written */
void disk_verify_crash(struct disk_model *d); /* all is as it may be after a crash */
/* No wrong pointers or counts; without leaks if `whole`. */
void disk_check(struct disk_model *d, bool whole);

/* --- the host file --- */

struct disk_host {
    uint64_t writes;  /* so far */
    uint64_t stop_at; /* 0: never */
    uint64_t fail_at; /* this one fails, with `error`; 0: none */
    int error;
    bool stopped;
};
extern struct disk_host disk_host;
/* From now on what is not synced is kept aside. The file is `path`. */
void disk_host_watch(const char *path);
void disk_host_forget(void);
/* Makes the file what a loss of power may leave: random sectors of what was not synced are gone. */
void disk_host_power_loss(const char *path);

uint64_t disk_rand(uint64_t below); /* from a seed that disk_seed sets */
void disk_seed(uint64_t seed);

#endif
