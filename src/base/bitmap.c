/* SPDX-License-Identifier: MIT */
#include "base/bitmap.h"

#define WORD_BITS 64

struct PmBitmap {
    uint64_t n_bits;
    uint64_t n_set;
    uint64_t *words;
};

PmBitmap *pm_bitmap_new(uint64_t n_bits)
{
    uint64_t n_words = n_bits / WORD_BITS + (n_bits % WORD_BITS != 0);
    PmBitmap *bitmap;
    uint64_t *words = g_try_new0(uint64_t, MAX(n_words, 1));

    if (words == NULL)
        return NULL;
    bitmap = g_new0(PmBitmap, 1);
    bitmap->n_bits = n_bits;
    bitmap->words = words;
    return bitmap;
}

void pm_bitmap_free(PmBitmap *bitmap)
{
    if (bitmap == NULL)
        return;
    g_free(bitmap->words);
    g_free(bitmap);
}

uint64_t pm_bitmap_n_bits(const PmBitmap *bitmap)
{
    return bitmap->n_bits;
}

uint64_t pm_bitmap_n_set(const PmBitmap *bitmap)
{
    return bitmap->n_set;
}

/* Mask of [@bit, @end) within the word that holds @bit. */
static uint64_t word_mask(uint64_t bit, uint64_t end)
{
    uint64_t word_end = bit - bit % WORD_BITS + WORD_BITS;
    uint64_t mask = UINT64_MAX << (bit % WORD_BITS);

    if (end < word_end)
        mask &= UINT64_MAX >> (word_end - end);
    return mask;
}

static uint64_t count_bits(uint64_t word)
{
    return (uint64_t)__builtin_popcountll(word);
}

void pm_bitmap_set(PmBitmap *bitmap, uint64_t first, uint64_t count)
{
    uint64_t end = first + count;

    for (uint64_t bit = first; bit < end; bit += WORD_BITS - bit % WORD_BITS) {
        uint64_t *word = &bitmap->words[bit / WORD_BITS];
        uint64_t mask = word_mask(bit, end);

        bitmap->n_set += count_bits(mask & ~*word);
        *word |= mask;
    }
}

void pm_bitmap_clear(PmBitmap *bitmap, uint64_t first, uint64_t count)
{
    uint64_t end = first + count;

    for (uint64_t bit = first; bit < end; bit += WORD_BITS - bit % WORD_BITS) {
        uint64_t *word = &bitmap->words[bit / WORD_BITS];
        uint64_t mask = word_mask(bit, end);

        bitmap->n_set -= count_bits(mask & *word);
        *word &= ~mask;
    }
}

/* @flip: all ones to search for clear bits. */
static uint64_t next_bit(const PmBitmap *bitmap, uint64_t from, uint64_t end, uint64_t flip)
{
    for (uint64_t bit = from; bit < end; bit += WORD_BITS - bit % WORD_BITS) {
        uint64_t word = (bitmap->words[bit / WORD_BITS] ^ flip) & word_mask(bit, end);

        if (word != 0)
            return bit - bit % WORD_BITS + (uint64_t)__builtin_ctzll(word);
    }
    return end;
}

uint64_t pm_bitmap_next_set(const PmBitmap *bitmap, uint64_t from, uint64_t end)
{
    return next_bit(bitmap, from, end, 0);
}

uint64_t pm_bitmap_next_clear(const PmBitmap *bitmap, uint64_t from, uint64_t end)
{
    return next_bit(bitmap, from, end, UINT64_MAX);
}
