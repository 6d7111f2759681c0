/* SPDX-License-Identifier: MIT */
/*
 * A part of a guest's mapping (guest_link.h has the names), and the claim on its I/O addresses, in
 * blocks that can be unmapped one by one. It has whole blocks of the region's manager, or part of
 * one block; of plain RAM it is one block.
 */
#ifndef PLUGMAP_SRC_MAPPER_GUEST_PIECE_H
#define PLUGMAP_SRC_MAPPER_GUEST_PIECE_H

#include <plugmap/discard_manager.h>
#include <plugmap/iommu_claim.h>

#include "base/interval_index.h"

struct PmGuestRegion;

/* The region owns it once its mapping is gone (an orphan) and the kernel may still have blocks. */
typedef struct {
    PmInterval guest; /* first, for the index: its guest addresses */
    struct PmGuestRegion *region;
    const PmDiscardManager *manager; /* the region's; NULL: plain RAM, or an orphan */
    GPtrArray *suspects;             /* the region's: pieces with unknown or lost blocks */
    PmIommuClaim *claim;
    uint64_t ram_offset; /* of its start */
    uint64_t size;
    uint32_t domain;
    PmIommuAccess access;
    bool is_orphan;
    bool is_suspect; /* in the list */
    uint64_t lost;   /* offset in the RAM: of blocks that could not be restored */
    uint64_t lost_end;
} PmGuestPiece;

/* Takes @claim. The caller sets the members that are not parameters. */
PmGuestPiece *pm_guest_piece_new(PmIommuClaim *claim, uint64_t ram_offset, uint64_t address);

void pm_guest_piece_free(PmGuestPiece *piece);

/* Clips [@offset, @offset + @size) of the RAM to the piece; false if nothing is left. */
bool pm_guest_piece_clip(const PmGuestPiece *piece, uint64_t *offset, uint64_t *size);

/* Maps the blocks of a clipped range that are not mapped. On failure those are unmapped again; if
 * that fails, they are unknown, and the code is PM_ERROR_QUARANTINED. */
bool pm_guest_piece_map(PmGuestPiece *piece, uint64_t offset, uint64_t size, GError **error);

/* Unmaps the blocks of a clipped range that are mapped. On failure they are mapped again; if that
 * fails, they are lost, and the code is PM_ERROR_QUARANTINED. */
bool pm_guest_piece_unmap(PmGuestPiece *piece, uint64_t offset, uint64_t size, GError **error);

/* Maps the blocks of a clipped range that the region's manager has populated; all of plain RAM. On
 * failure some are mapped. */
bool pm_guest_piece_map_populated(PmGuestPiece *piece, uint64_t offset, uint64_t size,
                                  GError **error);

/* Unmaps everything, including unknown blocks. On failure mapped blocks stay mapped, or are
 * unknown. */
bool pm_guest_piece_purge(PmGuestPiece *piece, GError **error);

/* Notes that blocks of a clipped range should be mapped and are not, or the opposite. */
void pm_guest_piece_lose(PmGuestPiece *piece, uint64_t offset, uint64_t size);

/* Adds it to the suspects. */
void pm_guest_piece_suspect(PmGuestPiece *piece);

/* Whether it has neither unknown nor lost blocks. */
bool pm_guest_piece_is_whole(const PmGuestPiece *piece);

/* Finds the first run of unknown or lost blocks that ends after @offset of the RAM, as
 * pm_iommu_claim_next_unknown(). */
bool pm_guest_piece_next_unknown(const PmGuestPiece *piece, uint64_t offset, uint64_t *run_offset,
                                 uint64_t *run_size, char **reason);

#endif
