/* SPDX-License-Identifier: MIT */
/* Numbers for people; all are new strings. */
#ifndef PLUGMAP_SRC_TEXT_NUMBER_H
#define PLUGMAP_SRC_TEXT_NUMBER_H

#include <stdint.h>

#include <glib.h>

/* "4.2G": at most four digits, rounded; "512M" is exact. */
char *pm_text_size(uint64_t n_bytes);

/* "12.5 s", "7:05.2": a position in a recording. */
char *pm_text_position(int64_t ns);

#endif
