/* SPDX-License-Identifier: MIT */
#include "mapper/guest_link.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "mapper/guest_split.h"

static PmGuestPiece *piece_at(const PmGuestLink *link, guint index)
{
    return g_ptr_array_index(link->pieces, index);
}

static void remove_from_index(const PmGuestLink *link, PmIntervalIndex *index)
{
    for (guint i = 0; i < link->pieces->len; i++)
        pm_interval_index_remove(index, &piece_at(link, i)->guest);
}

static void add_to_index(const PmGuestLink *link, PmIntervalIndex *index)
{
    for (guint i = 0; i < link->pieces->len; i++)
        pm_interval_index_insert(index, &piece_at(link, i)->guest);
}

static void free_link(PmGuestLink *link)
{
    for (guint i = 0; i < link->pieces->len; i++)
        pm_guest_region_drop_piece(piece_at(link, i)->region, piece_at(link, i));
    g_ptr_array_unref(link->pieces);
    g_free(link);
}

/* --- creation --- */

static const PmGuestPart *part_at(const GArray *parts, guint index)
{
    return &g_array_index(parts, PmGuestPart, index);
}

static bool check_access(const PmGuestPart *part, const PmGuestMapping *mapping, GError **error)
{
    if ((part->region->config.access & mapping->access) != 0)
        return true;
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "devices may only %s the region at guest address 0x%" PRIx64,
                   part->region->config.access == PM_IOMMU_READ ? "read" : "write",
                   part->region->config.address);
}

static bool check_limit(const PmGuestLinkPlace *place, uint64_t n_blocks, GError **error)
{
    g_autofree char *needed = NULL;
    g_autofree char *used = NULL;
    g_autofree char *limit = NULL;

    if (n_blocks <= place->n_free)
        return true;
    needed = pm_counted(n_blocks, "mapping");
    used = pm_count_text(place->n_max - place->n_free);
    limit = pm_count_text(place->n_max);
    return pm_fail(error, PM_ERROR_GUEST_LIMIT,
                   "domain %" PRIu32 " needs %s more, and has %s of at most %s: raise "
                   "PmGuestMapperConfig.max_mappings, or use larger blocks",
                   place->domain, needed, used, limit);
}

/* Has no side effects. Sets @n_blocks. */
static bool check_parts(const PmGuestLinkPlace *place, const PmGuestMapping *mapping,
                        const GArray *parts, uint64_t *n_blocks, GError **error)
{
    *n_blocks = 0;
    for (guint i = 0; i < parts->len; i++) {
        const PmGuestPart *part = part_at(parts, i);

        if ((place->needs_population && !pm_guest_part_check_populated(part, error)) ||
            !check_access(part, mapping, error))
            return false;
        *n_blocks += part->size / part->block_size;
    }
    return check_limit(place, *n_blocks, error);
}

static bool claim_part(const PmGuestLinkPlace *place, PmGuestLink *link, const PmGuestPart *part,
                       GError **error)
{
    const PmMapperRegion *region = &part->region->config;
    g_autofree char *owner = g_strdup_printf("domain %" PRIu32, place->domain);
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = owner,
        .ram = region->ram,
        .iova = link->mapping.iova + (part->address - link->mapping.address),
        .size = part->size,
        .block_size = part->block_size,
        .reserved_size = region->flags & PM_MAPPER_OVERCOMMIT ? 0 : part->size,
        .follows_manager = part->region->manager != NULL,
        .ram_offset = region->ram_offset + (part->address - region->address),
        .ram_size = part->size,
    };
    PmIommuClaim *claim = pm_iommu_claim_new(place->iommu, &config, error);
    PmGuestPiece *piece;

    if (claim == NULL)
        return false;
    piece = pm_guest_piece_new(claim, part->ram_offset, part->address);
    piece->region = part->region;
    piece->manager = part->region->manager;
    piece->suspects = part->region->suspects;
    piece->domain = place->domain;
    piece->access = region->access & link->mapping.access;
    g_ptr_array_add(link->pieces, piece);
    return true;
}

/* All claims first: they check the budgets. */
static bool map_parts(const PmGuestLinkPlace *place, PmGuestLink *link, const GArray *parts,
                      GError **error)
{
    for (guint i = 0; i < parts->len; i++)
        if (!claim_part(place, link, part_at(parts, i), error))
            return false;
    for (guint i = 0; i < link->pieces->len; i++) {
        PmGuestPiece *piece = piece_at(link, i);

        if (!pm_guest_piece_map_populated(piece, piece->ram_offset, piece->size, error))
            return false;
    }
    return true;
}

/* Unmaps what a failed call has mapped. */
static void undo(PmGuestLink *link, GError *failure)
{
    for (guint i = link->pieces->len; i-- > 0;) {
        g_autoptr(GError) cause = NULL;

        if (!pm_guest_piece_purge(piece_at(link, i), &cause))
            pm_reword(failure, PM_ERROR_QUARANTINED,
                      "%s; unmapping what was mapped before failed as well: %s", failure->message,
                      cause->message);
    }
    free_link(link);
}

PmGuestLink *pm_guest_link_new(const PmGuestLinkPlace *place, const PmGuestMapping *mapping,
                               GError **error)
{
    uint64_t last = mapping->address + (mapping->last - mapping->iova);
    g_autoptr(GArray) parts = pm_guest_split(place->regions, mapping->address, last, error);
    uint64_t n_blocks;
    PmGuestLink *link;
    GError *failure = NULL;

    if (parts == NULL || !check_parts(place, mapping, parts, &n_blocks, error))
        return NULL;
    link = g_new0(PmGuestLink, 1);
    link->mapping = *mapping;
    link->n_blocks = n_blocks;
    link->pieces = g_ptr_array_sized_new(parts->len);
    if (!map_parts(place, link, parts, &failure)) {
        undo(link, failure);
        g_propagate_error(error, failure);
        return NULL;
    }
    add_to_index(link, place->index);
    return link;
}

/* --- the end --- */

static bool unmap_piece(PmGuestPiece *piece, GError **error)
{
    if (!pm_guest_piece_is_whole(piece))
        return pm_guest_piece_purge(piece, error);
    return pm_guest_piece_unmap(piece, piece->ram_offset, piece->size, error);
}

static void remap_piece(PmGuestPiece *piece, GError *failure)
{
    g_autoptr(GError) cause = NULL;

    if (pm_guest_piece_map_populated(piece, piece->ram_offset, piece->size, &cause))
        return;
    pm_guest_piece_lose(piece, piece->ram_offset, piece->size);
    pm_reword(failure, PM_ERROR_QUARANTINED,
              "%s; mapping again what was unmapped failed as well: %s", failure->message,
              cause->message);
}

bool pm_guest_link_release(PmGuestLink *link, PmIntervalIndex *index, GError **error)
{
    GError *failure = NULL;

    for (guint i = 0; i < link->pieces->len; i++) {
        if (unmap_piece(piece_at(link, i), &failure))
            continue;
        while (i-- > 0)
            remap_piece(piece_at(link, i), failure);
        g_propagate_error(error, failure);
        return false;
    }
    remove_from_index(link, index);
    free_link(link);
    return true;
}

/* Closing the address space retries what fails. */
void pm_guest_link_end(const PmGuestLink *link)
{
    for (guint i = 0; i < link->pieces->len; i++)
        if (!pm_iommu_claim_release(piece_at(link, i)->claim, NULL))
            pm_iommu_claim_abandon(piece_at(link, i)->claim);
}

void pm_guest_link_drop(PmGuestLink *link, PmIntervalIndex *index)
{
    remove_from_index(link, index);
    free_link(link);
}
