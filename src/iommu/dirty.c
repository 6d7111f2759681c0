/* SPDX-License-Identifier: MIT */
/* Dirty page tracking. */
#include "iommu/dirty.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "iommu/claim.h"
#include "iommu/range_check.h"
#include "vfio/device_node.h"

#define WORD_BITS 64
/* Bytes read at once, unless one mapping is larger. */
#define READ_BITS (UINT64_C(1) << 20)

PmIommuDirtyKind pm_iommu_get_dirty_kind(PmIommu *iommu)
{
    return (PmIommuDirtyKind)g_atomic_int_get(&iommu->dirty_kind);
}

bool pm_iommu_set_dirty_tracking(PmIommu *iommu, bool enabled, GError **error)
{
    bool set;

    pm_iommu_lock(iommu);
    if (!enabled && iommu->watches != NULL)
        set = pm_fail(error, PM_ERROR_BUSY,
                      "a dirty log needs dirty tracking: remove the address space from it first");
    else if (enabled)
        set = pm_watch_start_tracking(iommu, error);
    else
        set = iommu->ops->set_dirty_tracking(iommu, false, error);
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

void pm_dirty_set_pages(const PmDirtyReading *reading, uint64_t offset, uint64_t size)
{
    uint64_t last = (offset + (size - 1)) / reading->page_size;

    for (uint64_t at = offset / reading->page_size; at <= last;) {
        uint64_t n_bits = MIN(WORD_BITS - at % WORD_BITS, last - at + 1);

        set_bits(reading->bitmap, at, UINT64_MAX >> (WORD_BITS - n_bits));
        at += n_bits;
    }
}

/* @at: where the word's first bit is in the bitmap, in bytes. */
static void merge_word(const PmDirtyReading *reading, uint64_t at, uint64_t unit, uint64_t word)
{
    uint64_t page_size = reading->page_size;

    if (page_size == unit && at % unit == 0) {
        set_bits(reading->bitmap, at / unit, word);
        return;
    }
    /* All in one page. */
    if (at % page_size + WORD_BITS * unit <= page_size) {
        set_bits(reading->bitmap, at / page_size, 1);
        return;
    }
    for (; word != 0; word &= word - 1)
        pm_dirty_set_pages(reading, at + (unsigned)__builtin_ctzll(word) * unit, unit);
}

void pm_dirty_merge(const PmDirtyReading *reading, PmDirtyPiece *piece)
{
    uint64_t at = reading->offset + (piece->iova - reading->iova);
    uint64_t n_bits = piece->size / piece->unit;

    /* type1 can leave bits there that others have read. */
    if (n_bits % WORD_BITS != 0)
        piece->found[n_bits / WORD_BITS] &= UINT64_MAX >> (WORD_BITS - n_bits % WORD_BITS);
    for (uint64_t i = 0; i * WORD_BITS < n_bits; i++, at += WORD_BITS * piece->unit) {
        if (piece->found[i] != 0)
            merge_word(reading, at, piece->unit, piece->found[i]);
    }
}

/* Where pages are larger than the alignment of mappings, a smaller unit is more precise than
 * requested. So it is where the bitmap's pages are not those of the I/O addresses; but an IOMMU has
 * no smaller unit than its smallest page. */
static uint64_t choose_unit(const PmIommu *iommu, const PmDirtyReading *reading, uint64_t iova,
                            uint64_t block_size)
{
    uint64_t alignment = iova | block_size | (reading->offset + (iova - reading->iova));

    if (iommu->dirty_unit != 0)
        return iommu->dirty_unit;
    return MIN(reading->page_size, MAX(alignment & -alignment, pm_iommu_page_size(iommu)));
}

bool pm_dirty_piece_init(PmDirtyPiece *piece, const PmIommu *iommu, const PmDirtyReading *reading,
                         uint64_t iova, uint64_t size, uint64_t block_size, GError **error)
{
    uint64_t unit = choose_unit(iommu, reading, iova, block_size);

    *piece = (PmDirtyPiece){.iova = iova, .size = size, .unit = unit};
    piece->found = g_try_new0(uint64_t, (size / unit - 1) / WORD_BITS + 1);
    if (piece->found != NULL)
        return true;
    return pm_fail(error, PM_ERROR_MEMORY,
                   "out of memory for the %" PRIu64 " dirty bits of 0x%" PRIx64
                   " bytes at I/O address 0x%" PRIx64,
                   size / unit, size, iova);
}

bool pm_dirty_fail(const PmDirtyPiece *piece, int error_number, GError **error)
{
    return pm_fail_ioctl(
        error, error_number, "treat every page of the range as dirty, and " PM_SEE_KERNEL_LOG,
        "reading which pages of 0x%" PRIx64 " bytes at I/O address 0x%" PRIx64 " are dirty",
        piece->size, piece->iova);
}

/* Uses a buffer of its own: the kernel starts at the first bit of a byte, and silently drops what
 * it cannot write. */
static bool read_piece(PmIommu *iommu, const PmDirtyReading *reading, const PmIommuRun *run,
                       uint64_t n_blocks, GError **error)
{
    uint64_t size = n_blocks * run->block_size;
    PmDirtyPiece piece;
    int result;

    if (!pm_dirty_piece_init(&piece, iommu, reading, run->iova, size, run->block_size, error))
        return false;
    result = iommu->ops->read_dirty(iommu, run->iova, size, piece.unit, piece.found);
    pm_dirty_merge(reading, &piece);
    g_free(piece.found);
    return result == 0 || pm_dirty_fail(&piece, -result, error);
}

/*
 * How many blocks of a run to read with one call. Each unknown block may be a hole, at which
 * iommufd stops. type1 shifts the bits of a mapping that does not begin at a multiple of 64 pages
 * of the request, and leaves some of them for the next read, where they are beyond the mapping's
 * end (vfio_iommu_type1.c, update_user_bitmap()): so begin a request with each such mapping.
 */
static uint64_t count_at_once(const PmIommu *iommu, const PmDirtyReading *reading,
                              const PmIommuRun *run)
{
    uint64_t unit = choose_unit(iommu, reading, run->iova, run->block_size);
    uint64_t n_bits = run->block_size / unit;
    uint64_t limit = READ_BITS;

    if (run->unknown || (iommu->dirty_unit != 0 && n_bits % WORD_BITS != 0))
        return 1;
    if (iommu->max_dirty_bits != 0)
        limit = MIN(limit, iommu->max_dirty_bits);
    return MAX(limit / n_bits, 1);
}

bool pm_dirty_read_run(PmIommu *iommu, const PmDirtyReading *reading, PmIommuRun run,
                       GError **error)
{
    uint64_t n_at_once = count_at_once(iommu, reading, &run);

    while (run.n_blocks > 0) {
        uint64_t n_blocks = MIN(run.n_blocks, n_at_once);

        if (!read_piece(iommu, reading, &run, n_blocks, error))
            return false;
        run.iova += n_blocks * run.block_size;
        run.n_blocks -= n_blocks;
    }
    return true;
}

/* Run by run: the kernel silently stops at the first hole. The lock is held. */
static bool read_runs(PmIommu *iommu, const PmDirtyReading *reading, GError **error)
{
    uint64_t at = reading->iova;
    PmIommuRun run;

    while (pm_claims_find_run(iommu, at, &run) && run.iova <= reading->last) {
        uint64_t n_asked = (reading->last - run.iova) / run.block_size + 1;

        run.n_blocks = MIN(run.n_blocks, n_asked);
        if (!pm_dirty_read_run(iommu, reading, run, error))
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
static bool check_whole(PmIommu *iommu, const PmDirtyReading *reading, GError **error)
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

bool pm_dirty_check_tracked(const PmIommu *iommu, GError **error)
{
    return iommu->tracks_dirty ||
           pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "dirty pages are not tracked: call pm_iommu_set_dirty_tracking() first");
}

static bool read_tracked(PmIommu *iommu, const PmDirtyReading *reading, GError **error)
{
    if (!pm_dirty_check_tracked(iommu, error))
        return false;
    return check_whole(iommu, reading, error) && read_runs(iommu, reading, error);
}

bool pm_dirty_reading_init(PmDirtyReading *reading, const PmIommu *iommu, uint64_t iova,
                           uint64_t size, uint64_t page_size, uint64_t *bitmap, GError **error)
{
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
    *reading = (PmDirtyReading){.iova = iova, .last = iova + (size - 1), .page_size = page_size};
    reading->bitmap = bitmap;
    return true;
}

bool pm_iommu_read_dirty(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                         uint64_t *bitmap, GError **error)
{
    PmDirtyReading reading = {0};
    bool read;

    if (!pm_dirty_reading_init(&reading, iommu, iova, size, page_size, bitmap, error))
        return false;
    pm_iommu_lock(iommu);
    read = read_tracked(iommu, &reading, error);
    pm_iommu_unlock(iommu);
    return read;
}
