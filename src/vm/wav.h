/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A WAV file of what a machine plays: 48 kHz, stereo, 16 bits. Time in which nothing plays is not
 * in it. The file is whole after every write, so that it can be looked at while the machine runs.
 */
#ifndef DOPPEL_VM_WAV_H
#define DOPPEL_VM_WAV_H

#include "base/err.h"
#include "dev/sound/sound.h"

struct wav;

/* A new file, or an old one emptied. The error names `option`. */
int wav_create(const char *option, const char *path, struct wav **out, struct err *e) MUST_CHECK;
void wav_destroy(struct wav *w); /* NULL is fine */
struct sound_out wav_sound(struct wav *w);

#endif
