/* SPDX-License-Identifier: MIT */
/* A bitmap of fixed size, one bit per block, searched a word at a time. */
#ifndef PLUGMAP_SRC_BASE_BITMAP_H
#define PLUGMAP_SRC_BASE_BITMAP_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct PmBitmap PmBitmap;

/* Returns NULL if out of memory. */
PmBitmap *pm_bitmap_new(uint64_t n_bits);
void pm_bitmap_free(PmBitmap *bitmap);

uint64_t pm_bitmap_n_bits(const PmBitmap *bitmap);
/* O(1). */
uint64_t pm_bitmap_n_set(const PmBitmap *bitmap);

/* The range must be inside the bitmap. */
void pm_bitmap_set(PmBitmap *bitmap, uint64_t first, uint64_t count);
void pm_bitmap_clear(PmBitmap *bitmap, uint64_t first, uint64_t count);

/* The first set (clear) bit in [@from, @end), or @end if there is none. */
uint64_t pm_bitmap_next_set(const PmBitmap *bitmap, uint64_t from, uint64_t end);
uint64_t pm_bitmap_next_clear(const PmBitmap *bitmap, uint64_t from, uint64_t end);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmBitmap, pm_bitmap_free)

#endif
