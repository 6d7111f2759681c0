/* SPDX-License-Identifier: MIT */
/* Bitmaps of pages in plain words, as callers have them. */
#ifndef PLUGMAP_SRC_MIGRATION_PAGE_BITS_H
#define PLUGMAP_SRC_MIGRATION_PAGE_BITS_H

#include <stdint.h>

/* Bits [@first, @end). */
void pm_page_bits_set(uint64_t *words, uint64_t first, uint64_t end);
void pm_page_bits_clear(uint64_t *words, uint64_t first, uint64_t end);

/* The bits of a bitmap of @n_bits that are in word @index. */
uint64_t pm_page_bits_mask(uint64_t n_bits, uint64_t index);

/* Words of a bitmap of @n_bits. */
uint64_t pm_page_bits_n_words(uint64_t n_bits);

#endif
