/* SPDX-License-Identifier: MIT */
#include "base/bitmap.h"

#include <string.h>

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

/* Without a processor that is known to count bits, __builtin_popcountll() is a call. Most words are
 * uniform. */
static inline uint64_t count_bits(uint64_t word)
{
    if (word == 0 || word == UINT64_MAX)
        return word & WORD_BITS;
    word -= word >> 1 & UINT64_C(0x5555555555555555);
    word = (word & UINT64_C(0x3333333333333333)) + (word >> 2 & UINT64_C(0x3333333333333333));
    word = (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return word * UINT64_C(0x0101010101010101) >> 56;
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

/* @flip: as for next_bit(). */
static uint64_t previous_bit(const PmBitmap *bitmap, uint64_t from, uint64_t end, uint64_t flip)
{
    uint64_t word_start;
    uint64_t word;

    for (; end > from; end = word_start) {
        word_start = (end - 1) / WORD_BITS * WORD_BITS;
        word = bitmap->words[word_start / WORD_BITS] ^ flip;
        word &= word_mask(MAX(word_start, from), end);
        if (word != 0)
            return word_start + WORD_BITS - (uint64_t)__builtin_clzll(word);
        if (word_start <= from)
            break;
    }
    return from;
}

uint64_t pm_bitmap_previous_set(const PmBitmap *bitmap, uint64_t from, uint64_t end)
{
    return previous_bit(bitmap, from, end, 0);
}

uint64_t pm_bitmap_previous_clear(const PmBitmap *bitmap, uint64_t from, uint64_t end)
{
    return previous_bit(bitmap, from, end, UINT64_MAX);
}

/* Repeats each of the lower 32 bits once: abc becomes aabbcc. */
static uint64_t double_bits(uint64_t bits)
{
    bits &= UINT32_MAX;
    bits = (bits | bits << 16) & UINT64_C(0x0000ffff0000ffff);
    bits = (bits | bits << 8) & UINT64_C(0x00ff00ff00ff00ff);
    bits = (bits | bits << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    bits = (bits | bits << 2) & UINT64_C(0x3333333333333333);
    bits = (bits | bits << 1) & UINT64_C(0x5555555555555555);
    return bits | bits << 1;
}

/* Word @index of @bitmap with each bit repeated 2^@shift times. */
static inline uint64_t expanded_word(const PmBitmap *bitmap, unsigned shift, uint64_t index)
{
    uint64_t bit = index * WORD_BITS >> shift;
    uint64_t word = bitmap->words[bit / WORD_BITS] >> (bit % WORD_BITS);

    if (shift >= 6)
        return (word & 1) != 0 ? UINT64_MAX : 0;
    for (; shift > 0; shift--)
        word = double_bits(word);
    return word;
}

typedef uint64_t (*Combine)(uint64_t word, uint64_t other);

static inline uint64_t keep_word(uint64_t word, uint64_t other)
{
    return word & other;
}

static inline uint64_t subtract_word(uint64_t word, uint64_t other)
{
    return word & ~other;
}

static inline uint64_t add_word(uint64_t word, uint64_t other)
{
    return word | other;
}

/* Inlined, so that each caller has a loop of its own without calls. */
static inline __attribute__((always_inline)) void combine(PmBitmap *bitmap, const PmBitmap *other,
                                                          unsigned shift, uint64_t first,
                                                          uint64_t end, Combine of_words)
{
    for (uint64_t bit = first; bit < end; bit += WORD_BITS - bit % WORD_BITS) {
        uint64_t *word = &bitmap->words[bit / WORD_BITS];
        uint64_t mask = word_mask(bit, end);
        uint64_t after = of_words(*word, expanded_word(other, shift, bit / WORD_BITS));
        uint64_t changed = (*word ^ after) & mask;

        if (changed == 0)
            continue;
        bitmap->n_set += count_bits(changed & after) - count_bits(changed & *word);
        *word ^= changed;
    }
}

void pm_bitmap_keep(PmBitmap *bitmap, const PmBitmap *other, unsigned shift, uint64_t first,
                    uint64_t end)
{
    combine(bitmap, other, shift, first, end, keep_word);
}

void pm_bitmap_subtract(PmBitmap *bitmap, const PmBitmap *other, unsigned shift, uint64_t first,
                        uint64_t end)
{
    combine(bitmap, other, shift, first, end, subtract_word);
}

void pm_bitmap_add(PmBitmap *bitmap, const PmBitmap *other, unsigned shift, uint64_t first,
                   uint64_t end)
{
    combine(bitmap, other, shift, first, end, add_word);
}

void pm_bitmap_load(PmBitmap *bitmap, const uint64_t *words)
{
    uint64_t n_words = bitmap->n_bits / WORD_BITS + (bitmap->n_bits % WORD_BITS != 0);

    if (n_words == 0)
        return;
    memcpy(bitmap->words, words, n_words * sizeof(*words));
    bitmap->words[n_words - 1] &= word_mask((n_words - 1) * WORD_BITS, bitmap->n_bits);
    bitmap->n_set = 0;
    for (uint64_t i = 0; i < n_words; i++)
        bitmap->n_set += count_bits(bitmap->words[i]);
}
