/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pictures of the screen as files. */
#ifndef DOPPEL_DISPLAY_PICTURE_H
#define DOPPEL_DISPLAY_PICTURE_H

#include "base/err.h"
#include "dev/video.h"

enum picture_format { PICTURE_PNG, PICTURE_PPM };

/* Draws what the screen shows now and writes it; a file that is there is replaced, and is left as
 * it was if something fails. -errno with a sentence that names the path. */
int picture_write(const struct video *v, const char *path, enum picture_format format,
                  struct err *e) MUST_CHECK;

#endif
