/* SPDX-License-Identifier: MIT */
/*
 * Dirty bitmaps as the kernel reports them. With a vfio-pci group, every read reports every pinned
 * page as dirty. The kernel copies whole 64-bit words and leaks bits of one read into the next;
 * this reproduces both bit for bit, because readers have to cope with it on the real kernel.
 */
#include "fake/type1/type1_dirty.h"

#include <errno.h>
#include <string.h>

#include "fake/memory/user_memory.h"

#define WORD_BITS        64
#define MAX_BITMAP_BYTES (UINT64_C(256) << 20)
#define MAX_BITMAP_PAGES G_MAXINT32
#define USER_SPACE_END   UINT64_C(0x7ffffffff000)
#define ALL_FLAGS                                                                                  \
    (VFIO_IOMMU_DIRTY_PAGES_FLAG_START | VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP |                        \
     VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP)

static uint64_t n_pages_of(const PmFakeType1 *type1, const PmMapping *mapping)
{
    return pm_mapping_size(mapping) / pm_fake_type1_page_size(type1);
}

static uint64_t n_words_of(uint64_t n_bits)
{
    return n_bits / WORD_BITS + (n_bits % WORD_BITS != 0);
}

int pm_fake_type1_dirty_add(PmFakeType1 *type1, const PmMapping *mapping)
{
    uint64_t n_pages = n_pages_of(type1, mapping);
    uint64_t *words;
    uint64_t *key;

    if (type1->bitmaps == NULL)
        return 0;
    if (n_pages > MAX_BITMAP_PAGES)
        return -EINVAL;
    /* One extra word, because an unaligned report shifts bits into it. */
    words = g_try_new0(uint64_t, n_words_of(n_pages) + 1);
    if (words == NULL)
        return -ENOMEM;
    key = g_new(uint64_t, 1);
    *key = mapping->key.first;
    g_hash_table_replace(type1->bitmaps, key, words);
    return 0;
}

void pm_fake_type1_dirty_remove(PmFakeType1 *type1, const PmMapping *mapping)
{
    if (type1->bitmaps != NULL)
        g_hash_table_remove(type1->bitmaps, &mapping->key.first);
}

static void stop_logging(PmFakeType1 *type1)
{
    g_clear_pointer(&type1->bitmaps, g_hash_table_unref);
}

static int start_logging(PmFakeType1 *type1)
{
    const PmMapping *mapping;

    if (type1->bitmaps != NULL)
        return 0;
    type1->bitmaps = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    for (mapping = pm_range_map_find(type1->mappings, 0); mapping != NULL;
         mapping = pm_fake_type1_next_mapping(type1, mapping)) {
        int result = pm_fake_type1_dirty_add(type1, mapping);

        if (result < 0) {
            stop_logging(type1);
            return result;
        }
    }
    return 0;
}

static void set_bits(uint64_t *words, uint64_t n_bits, bool value)
{
    memset(words, value ? 0xff : 0, n_bits / WORD_BITS * sizeof(uint64_t));
    if (n_bits % WORD_BITS != 0) {
        uint64_t mask = UINT64_MAX >> (WORD_BITS - n_bits % WORD_BITS);

        words += n_bits / WORD_BITS;
        *words = value ? *words | mask : *words & ~mask;
    }
}

static void shift_left(uint64_t *words, uint64_t n_words, unsigned shift)
{
    for (uint64_t i = n_words - 1; i > 0; i--)
        words[i] = words[i] << shift | words[i - 1] >> (WORD_BITS - shift);
    words[0] <<= shift;
}

int pm_fake_type1_dirty_report(PmFakeType1 *type1, const PmMapping *mapping, uint64_t iova,
                               uint64_t *user_bitmap)
{
    uint64_t *words = g_hash_table_lookup(type1->bitmaps, &mapping->key.first);
    uint64_t n_bits = n_pages_of(type1, mapping);
    uint64_t first_bit = (mapping->key.first - iova) / pm_fake_type1_page_size(type1);
    unsigned shift = (unsigned)(first_bit % WORD_BITS);
    uint64_t n_words = n_words_of(n_bits + shift);
    uint64_t *user_words = user_bitmap + first_bit / WORD_BITS;

    set_bits(words, n_bits, true);
    if (shift != 0) {
        uint64_t leftover;

        shift_left(words, n_words, shift);
        if (pm_user_read(&leftover, user_words, sizeof(leftover)) < 0)
            return -EFAULT;
        words[0] |= leftover;
    }
    return pm_user_write(user_words, words, n_words * sizeof(uint64_t));
}

static bool in_user_space(const void *address, uint64_t size)
{
    return size <= USER_SPACE_END && (uintptr_t)address <= USER_SPACE_END - size;
}

int pm_fake_type1_check_bitmap(const struct vfio_bitmap *bitmap, uint64_t size)
{
    uint64_t n_pages;

    if (!in_user_space(bitmap->data, bitmap->size) || bitmap->pgsize == 0)
        return -EINVAL;
    n_pages = size >> __builtin_ctzll(bitmap->pgsize);
    if (n_pages == 0 || bitmap->size == 0 || bitmap->size > MAX_BITMAP_BYTES ||
        bitmap->size / sizeof(uint64_t) < n_words_of(n_pages))
        return -EINVAL;
    return 0;
}

static int check_get(const PmFakeType1 *type1, const struct vfio_iommu_type1_dirty_bitmap_get *get)
{
    uint64_t page_size = pm_fake_type1_page_size(type1);
    int result;

    if (get->iova + get->size < get->iova)
        return -EINVAL;
    result = pm_fake_type1_check_bitmap(&get->bitmap, get->size);
    if (result < 0)
        return result;
    if (get->bitmap.pgsize != page_size || get->iova % page_size != 0 || get->size == 0 ||
        get->size % page_size != 0)
        return -EINVAL;
    if (type1->bitmaps == NULL || pm_fake_type1_cuts(type1, get->iova, get->iova + (get->size - 1)))
        return -EINVAL;
    return 0;
}

static int get_bitmap(PmFakeType1 *type1, const void *argument)
{
    struct vfio_iommu_type1_dirty_bitmap_get get;
    const PmMapping *mapping;
    int result;

    if (pm_user_read(&get, (const uint8_t *)argument + sizeof(struct vfio_iommu_type1_dirty_bitmap),
                     sizeof(get)) < 0)
        return -EFAULT;
    result = check_get(type1, &get);
    if (result < 0)
        return result;
    for (mapping = pm_range_map_find(type1->mappings, get.iova);
         mapping != NULL && mapping->key.first <= get.iova + (get.size - 1);
         mapping = pm_fake_type1_next_mapping(type1, mapping)) {
        result = pm_fake_type1_dirty_report(type1, mapping, get.iova, get.bitmap.data);
        if (result < 0)
            return result;
        /* Clears only bits that were set: bits shifted past them stay, and the next read reports
         * them. */
        set_bits(g_hash_table_lookup(type1->bitmaps, &mapping->key.first),
                 n_pages_of(type1, mapping), false);
    }
    return 0;
}

int pm_fake_type1_dirty_pages(PmFakeType1 *type1, const void *argument)
{
    struct vfio_iommu_type1_dirty_bitmap dirty;

    if (!type1->v2)
        return -EACCES;
    if (pm_user_read(&dirty, argument, sizeof(dirty)) < 0)
        return -EFAULT;
    if (dirty.argsz < sizeof(dirty) || dirty.flags & ~(uint32_t)ALL_FLAGS)
        return -EINVAL;
    switch (dirty.flags) {
    case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
        return start_logging(type1);
    case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
        stop_logging(type1);
        return 0;
    case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
        if (dirty.argsz < sizeof(dirty) + sizeof(struct vfio_iommu_type1_dirty_bitmap_get))
            return -EINVAL;
        return get_bitmap(type1, argument);
    default:
        return -EINVAL;
    }
}
