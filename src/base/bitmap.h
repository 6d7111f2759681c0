/* SPDX-License-Identifier: MIT */
/* A fixed number of bits, one a block, that finds runs a word at a time. */
#ifndef PLUGMAP_SRC_BASE_BITMAP_H
#define PLUGMAP_SRC_BASE_BITMAP_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct PmBitmap PmBitmap;

/* NULL if there is no memory for @n_bits bits. */
PmBitmap *pm_bitmap_new(uint64_t n_bits);
void pm_bitmap_free(PmBitmap *bitmap);

uint64_t pm_bitmap_n_bits(const PmBitmap *bitmap);
/* Kept up to date, not counted. */
uint64_t pm_bitmap_n_set(const PmBitmap *bitmap);

/* Ranges must lie inside the bitmap. */
void pm_bitmap_set(PmBitmap *bitmap, uint64_t first, uint64_t count);
void pm_bitmap_clear(PmBitmap *bitmap, uint64_t first, uint64_t count);

/* The first set (clear) bit in [@from, @end), or @end. */
uint64_t pm_bitmap_next_set(const PmBitmap *bitmap, uint64_t from, uint64_t end);
uint64_t pm_bitmap_next_clear(const PmBitmap *bitmap, uint64_t from, uint64_t end);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmBitmap, pm_bitmap_free)

#endif
