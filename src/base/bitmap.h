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

/* The end of the last run of set (clear) bits in [@from, @end), or @from if there is none. */
uint64_t pm_bitmap_previous_set(const PmBitmap *bitmap, uint64_t from, uint64_t end);
uint64_t pm_bitmap_previous_clear(const PmBitmap *bitmap, uint64_t from, uint64_t end);

/*
 * Combine bits [@first, @end) with @other, of which each bit stands for 2^@shift bits here. They
 * keep what is set in @other; clear what is set in @other; set what is set in @other.
 */
void pm_bitmap_keep(PmBitmap *bitmap, const PmBitmap *other, unsigned shift, uint64_t first,
                    uint64_t end);
void pm_bitmap_subtract(PmBitmap *bitmap, const PmBitmap *other, unsigned shift, uint64_t first,
                        uint64_t end);
void pm_bitmap_add(PmBitmap *bitmap, const PmBitmap *other, unsigned shift, uint64_t first,
                   uint64_t end);

/* Replaces all bits by those of @words, n_bits rounded up to whole words; others are ignored. */
void pm_bitmap_load(PmBitmap *bitmap, const uint64_t *words);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmBitmap, pm_bitmap_free)

#endif
