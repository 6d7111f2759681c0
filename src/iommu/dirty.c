/* SPDX-License-Identifier: MIT */
/* Dirty page tracking. */
#include "iommu/claim.h"
#include "iommu/range_check.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "vfio/device_node.h"

#define WORD_BITS 64
/* Bytes read at once, unless one mapping is larger. */
#define READ_BITS (UINT64_C(1) << 20)

/* One pm_iommu_read_dirty() call. */
typedef struct {
    uint64_t iova;
    uint64_t last;
    uint64_t page_size;
    uint64_t *bitmap;
} Reading;

static bool fail_unsupported(GError **error)
{
    return pm_fail(error, PM_ERROR_UNSUPPORTED,
                   "type1 does not track dirty pages: use the back end iommufd with an IOMMU that "
                   "supports it, or treat every mapped page as dirty");
}

bool pm_iommu_set_dirty_tracking(PmIommu *iommu, bool enabled, GError **error)
{
    bool set;

    if (iommu->ops->set_dirty_tracking == NULL)
        return fail_unsupported(error);
    pm_iommu_lock(iommu);
    set = iommu->ops->set_dirty_tracking(iommu, enabled, error);
    pm_iommu_unlock(iommu);
    return set;
}

/* --- reading --- */

/* Sets the bits of @word in the bitmap, from bit @at on. */
static void set_bits(uint64_t *bitmap, uint64_t at, uint64_t word)
{
    uint64_t *place = &bitmap[at / WORD_BITS];
    unsigned shift = at % WORD_BITS;

    place[0] |= word << shift;
    /* No set bit is past the end. */
    if (shift > 0 && word >> (WORD_BITS - shift) != 0)
        place[1] |= word >> (WORD_BITS - shift);
}

/* Merges the bits found from @iova on into the caller's bitmap; each stands for @unit bytes. */
static void merge(const Reading *reading, uint64_t iova, uint64_t unit, const uint64_t *found,
                  uint64_t n_words)
{
    uint64_t n_units = reading->page_size / unit;
    uint64_t at = (iova - reading->iova) / unit;

    for (uint64_t i = 0; i < n_words; i++, at += WORD_BITS) {
        if (n_units == 1 && found[i] != 0)
            set_bits(reading->bitmap, at, found[i]);
        for (uint64_t word = n_units > 1 ? found[i] : 0; word != 0; word &= word - 1)
            set_bits(reading->bitmap, (at + (unsigned)__builtin_ctzll(word)) / n_units, 1);
    }
}

/* Uses a buffer of its own: the kernel starts at the first bit of a byte, and silently drops what
 * it cannot write. */
static bool read_piece(PmIommu *iommu, const Reading *reading, uint64_t iova, uint64_t size,
                       uint64_t unit, GError **error)
{
    uint64_t n_words = (size / unit - 1) / WORD_BITS + 1;
    g_autofree uint64_t *found = g_try_new0(uint64_t, n_words);
    int result;

    if (found == NULL)
        return pm_fail(error, PM_ERROR_MEMORY,
                       "out of memory for the %" PRIu64 " dirty bits of 0x%" PRIx64
                       " bytes at I/O address 0x%" PRIx64,
                       size / unit, size, iova);
    result = iommu->ops->read_dirty(iommu, iova, size, unit, found);
    merge(reading, iova, unit, found, n_words);
    if (result == 0)
        return true;
    return pm_fail_ioctl(
        error, -result, "treat every page of the range as dirty, and " PM_SEE_KERNEL_LOG,
        "reading which pages of 0x%" PRIx64 " bytes at I/O address 0x%" PRIx64 " are dirty", size,
        iova);
}

/* Where pages are larger than the alignment of mappings, a smaller unit is more precise than
 * requested. */
static bool read_run(PmIommu *iommu, const Reading *reading, PmIommuRun run, GError **error)
{
    uint64_t alignment = run.iova | run.block_size;
    uint64_t unit = MIN(reading->page_size, alignment & -alignment);
    /* Each unknown block may be a hole, at which the kernel stops. */
    uint64_t n_at_once = run.unknown ? 1 : MAX(READ_BITS / (run.block_size / unit), 1);

    while (run.n_blocks > 0) {
        uint64_t n_blocks = MIN(run.n_blocks, n_at_once);
        uint64_t size = n_blocks * run.block_size;

        if (!read_piece(iommu, reading, run.iova, size, unit, error))
            return false;
        run.iova += size;
        run.n_blocks -= n_blocks;
    }
    return true;
}

/* Run by run: the kernel silently stops at the first hole. The lock is held. */
static bool read_runs(PmIommu *iommu, const Reading *reading, GError **error)
{
    uint64_t at = reading->iova;
    PmIommuRun run;

    while (pm_claims_find_run(iommu, at, &run) && run.iova <= reading->last) {
        uint64_t n_asked = (reading->last - run.iova) / run.block_size + 1;

        run.n_blocks = MIN(run.n_blocks, n_asked);
        if (!read_run(iommu, reading, run, error))
            return false;
        if (run.n_blocks == n_asked)
            break;
        at = run.iova + run.n_blocks * run.block_size;
    }
    return true;
}

/* Whether a mapping has bytes on both sides of @at, which is not 0. */
static bool is_cut(PmIommu *iommu, uint64_t at, PmIommuRun *run)
{
    return pm_claims_find_run(iommu, at, run) && run->iova < at;
}

/* The IOMMU marks pages of its own size, up to that of a mapping: bits outside the range would be
 * lost, and the kernel would write past the end of the bitmap. */
static bool check_whole(PmIommu *iommu, const Reading *reading, GError **error)
{
    uint64_t size = reading->last - reading->iova + 1;
    uint64_t at = reading->iova;
    g_autofree char *size_text = NULL;
    g_autofree char *block_text = NULL;
    PmIommuRun run;

    if (!is_cut(iommu, at, &run)) {
        at = reading->last + 1;
        if (at == 0 || !is_cut(iommu, at, &run))
            return true;
    }
    size_text = pm_size_format(size);
    block_text = pm_size_format(run.block_size);
    return pm_fail(error, PM_ERROR_CUTS_MAPPING,
                   "%s at I/O address 0x%" PRIx64 " cut the mapping of %s at 0x%" PRIx64
                   " at 0x%" PRIx64 ": read dirty pages of whole mappings only",
                   size_text, reading->iova, block_text, run.iova, at);
}

static bool read_tracked(PmIommu *iommu, const Reading *reading, GError **error)
{
    if (!iommu->tracks_dirty)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "dirty pages are not tracked: call pm_iommu_set_dirty_tracking() first");
    return check_whole(iommu, reading, error) && read_runs(iommu, reading, error);
}

bool pm_iommu_read_dirty(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                         uint64_t *bitmap, GError **error)
{
    Reading reading = {.iova = iova, .last = iova + (size - 1), .page_size = page_size};
    bool read;

    if (iommu->ops->read_dirty == NULL)
        return fail_unsupported(error);
    if (page_size == 0 || (page_size & (page_size - 1)) != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid page size 0x%" PRIx64 ": must be a power of two", page_size);
    if (!pm_iommu_check_size(iommu, iova, size, error) ||
        !pm_iommu_check_aligned(iommu, "page size", page_size, error))
        return false;
    if (iova % page_size != 0 || size % page_size != 0 || size - 1 > UINT64_MAX - iova)
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "0x%" PRIx64 " bytes at I/O address 0x%" PRIx64
                       " are not whole pages of 0x%" PRIx64 " bytes, or reach past 2^64",
                       size, iova, page_size);
    reading.bitmap = bitmap;
    pm_iommu_lock(iommu);
    read = read_tracked(iommu, &reading, error);
    pm_iommu_unlock(iommu);
    return read;
}
