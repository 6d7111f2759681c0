/* SPDX-License-Identifier: MIT */
#include "mapper/guest_piece.h"

#include <inttypes.h>

#include "base/error_text.h"

/* Offsets in the RAM. */
typedef struct {
    uint64_t offset;
    uint64_t size;
} Extent;

PmGuestPiece *pm_guest_piece_new(PmIommuClaim *claim, uint64_t ram_offset, uint64_t address)
{
    PmGuestPiece *piece = g_new0(PmGuestPiece, 1);

    piece->claim = claim;
    piece->ram_offset = ram_offset;
    piece->size = pm_iommu_claim_get_size(claim);
    piece->guest.first = address;
    piece->guest.last = address + (piece->size - 1);
    return piece;
}

void pm_guest_piece_free(PmGuestPiece *piece)
{
    pm_iommu_claim_unref(piece->claim);
    g_free(piece);
}

bool pm_guest_piece_clip(const PmGuestPiece *piece, uint64_t *offset, uint64_t *size)
{
    uint64_t start = MAX(*offset, piece->ram_offset);
    uint64_t end = MIN(*offset + *size, piece->ram_offset + piece->size);

    if (start >= end)
        return false;
    *offset = start;
    *size = end - start;
    return true;
}

/* The first run of blocks of the claim, mapped or unknown, in [@offset, @end). */
static bool next_run(const PmGuestPiece *piece, uint64_t offset, uint64_t end, Extent *extent)
{
    PmIommuRun run;
    uint64_t start;

    if (offset >= end || !pm_iommu_claim_next_run(piece->claim, offset - piece->ram_offset, &run))
        return false;
    start = piece->ram_offset + (run.iova - pm_iommu_claim_get_iova(piece->claim));
    if (start >= end)
        return false;
    extent->offset = MAX(start, offset);
    extent->size = MIN(start + run.n_blocks * run.block_size, end) - extent->offset;
    return true;
}

/* The first run of other blocks in [@offset, @end). */
static bool next_gap(const PmGuestPiece *piece, uint64_t offset, uint64_t end, Extent *extent)
{
    Extent run;

    while (next_run(piece, offset, end, &run) && run.offset == offset)
        offset += run.size;
    extent->offset = offset;
    extent->size = (next_run(piece, offset, end, &run) ? run.offset : end) - offset;
    return extent->size > 0;
}

static bool has_unknown(const PmGuestPiece *piece)
{
    uint64_t offset;
    uint64_t size;

    return pm_iommu_claim_next_unknown(piece->claim, 0, &offset, &size, NULL);
}

bool pm_guest_piece_is_whole(const PmGuestPiece *piece)
{
    return piece->lost == piece->lost_end && !has_unknown(piece);
}

void pm_guest_piece_suspect(PmGuestPiece *piece)
{
    if (piece->is_suspect)
        return;
    piece->is_suspect = true;
    g_ptr_array_add(piece->suspects, piece);
}

static void watch(PmGuestPiece *piece)
{
    if (!pm_guest_piece_is_whole(piece))
        pm_guest_piece_suspect(piece);
}

void pm_guest_piece_lose(PmGuestPiece *piece, uint64_t offset, uint64_t size)
{
    if (piece->lost == piece->lost_end) {
        piece->lost = offset;
        piece->lost_end = offset + size;
    }
    piece->lost = MIN(piece->lost, offset);
    piece->lost_end = MAX(piece->lost_end, offset + size);
    watch(piece);
}

static void found(PmGuestPiece *piece, uint64_t offset, uint64_t size)
{
    if (piece->lost >= offset && piece->lost_end <= offset + size)
        piece->lost = piece->lost_end = 0;
}

static bool map(const PmGuestPiece *piece, const Extent *extent, GError **error)
{
    return pm_iommu_claim_map(piece->claim, extent->offset - piece->ram_offset, extent->size,
                              extent->offset, piece->access, error);
}

static bool unmap(const PmGuestPiece *piece, const Extent *extent, GError **error)
{
    return pm_iommu_claim_unmap(piece->claim, extent->offset - piece->ram_offset, extent->size,
                                error);
}

static void fail_undo(GError **error, const char *what, const GError *cause)
{
    if (error != NULL)
        pm_reword(*error, PM_ERROR_QUARANTINED, "%s; %s failed as well: %s", (*error)->message,
                  what, cause->message);
}

/* Blocks that stay mapped although they should not are unknown to their manager. */
static void undo_map(PmGuestPiece *piece, const GArray *done, GError **error)
{
    for (guint i = done->len; i-- > 0;) {
        const Extent *extent = &g_array_index(done, Extent, i);
        g_autoptr(GError) cause = NULL;

        if (unmap(piece, extent, &cause))
            continue;
        pm_guest_piece_lose(piece, extent->offset, extent->size);
        fail_undo(error, "unmapping what was mapped before", cause);
    }
}

static void undo_unmap(PmGuestPiece *piece, const GArray *done, GError **error)
{
    for (guint i = done->len; i-- > 0;) {
        const Extent *extent = &g_array_index(done, Extent, i);
        g_autoptr(GError) cause = NULL;

        if (map(piece, extent, &cause))
            continue;
        pm_guest_piece_lose(piece, extent->offset, extent->size);
        fail_undo(error, "mapping again what was unmapped", cause);
    }
}

bool pm_guest_piece_map(PmGuestPiece *piece, uint64_t offset, uint64_t size, GError **error)
{
    g_autoptr(GArray) done = g_array_new(FALSE, FALSE, sizeof(Extent));
    Extent gap = {.offset = offset};

    while (next_gap(piece, gap.offset + gap.size, offset + size, &gap)) {
        if (!map(piece, &gap, error)) {
            undo_map(piece, done, error);
            watch(piece);
            return false;
        }
        g_array_append_val(done, gap);
    }
    found(piece, offset, size);
    return true;
}

bool pm_guest_piece_unmap(PmGuestPiece *piece, uint64_t offset, uint64_t size, GError **error)
{
    g_autoptr(GArray) done = g_array_new(FALSE, FALSE, sizeof(Extent));
    Extent run = {.offset = offset};

    while (next_run(piece, run.offset + run.size, offset + size, &run)) {
        if (!unmap(piece, &run, error)) {
            undo_unmap(piece, done, error);
            watch(piece);
            return false;
        }
        g_array_append_val(done, run);
    }
    found(piece, offset, size);
    return true;
}

bool pm_guest_piece_map_populated(PmGuestPiece *piece, uint64_t offset, uint64_t size,
                                  GError **error)
{
    uint64_t mask;
    uint64_t end;
    uint64_t at;
    uint64_t run;

    if (piece->manager == NULL)
        return pm_guest_piece_map(piece, offset, size, error);
    mask = pm_discard_manager_get_granularity(piece->manager) - 1;
    end = (offset + size + mask) & ~mask;
    at = offset & ~mask;
    for (; pm_discard_manager_next_populated(piece->manager, at, end, &at, &run); at += run) {
        uint64_t start = at;
        uint64_t length = run;

        if (pm_guest_piece_clip(piece, &start, &length) &&
            !pm_guest_piece_map(piece, start, length, error))
            return false;
    }
    return true;
}

bool pm_guest_piece_purge(PmGuestPiece *piece, GError **error)
{
    if (!pm_iommu_claim_purge(piece->claim, error)) {
        watch(piece);
        return false;
    }
    piece->lost = piece->lost_end = 0;
    return true;
}

bool pm_guest_piece_next_unknown(const PmGuestPiece *piece, uint64_t offset, uint64_t *run_offset,
                                 uint64_t *run_size, char **reason)
{
    uint64_t from = MAX(offset, piece->ram_offset) - piece->ram_offset;
    bool is_lost = piece->lost != piece->lost_end && piece->lost_end > offset;

    if (pm_iommu_claim_next_unknown(piece->claim, from, run_offset, run_size, reason)) {
        *run_offset += piece->ram_offset;
        if (!is_lost || *run_offset <= piece->lost)
            return true;
        if (reason != NULL)
            g_clear_pointer(reason, g_free);
    } else if (!is_lost) {
        return false;
    }
    *run_offset = piece->lost;
    *run_size = piece->lost_end - piece->lost;
    if (reason != NULL)
        *reason = g_strdup_printf(
            "domain %" PRIu32 " lost mappings: undoing a failure failed as well", piece->domain);
    return true;
}
