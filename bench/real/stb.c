/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Debian's libstb-dev in one unit: fonts, images and formatting, as amalgamations are. */
#define STB_TRUETYPE_IMPLEMENTATION
#include <stb/stb_truetype.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
#define STB_SPRINTF_IMPLEMENTATION
#include <stb/stb_sprintf.h>
