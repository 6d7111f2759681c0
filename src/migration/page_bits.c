/* SPDX-License-Identifier: MIT */
#include "migration/page_bits.h"

#include <glib.h>

#define WORD_BITS 64

/* The bits of [@first, @end) in the word that has @first; not empty. */
static uint64_t mask_from(uint64_t first, uint64_t end)
{
    unsigned shift = first % WORD_BITS;
    uint64_t n_bits = MIN(end - first, WORD_BITS - shift);

    return UINT64_MAX >> (WORD_BITS - n_bits) << shift;
}

void pm_page_bits_set(uint64_t *words, uint64_t first, uint64_t end)
{
    for (; first < end; first += WORD_BITS - first % WORD_BITS)
        words[first / WORD_BITS] |= mask_from(first, end);
}

void pm_page_bits_clear(uint64_t *words, uint64_t first, uint64_t end)
{
    for (; first < end; first += WORD_BITS - first % WORD_BITS)
        words[first / WORD_BITS] &= ~mask_from(first, end);
}

uint64_t pm_page_bits_mask(uint64_t n_bits, uint64_t index)
{
    return mask_from(index * WORD_BITS, n_bits);
}

uint64_t pm_page_bits_n_words(uint64_t n_bits)
{
    return n_bits / WORD_BITS + (n_bits % WORD_BITS != 0);
}
