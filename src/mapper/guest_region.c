/* SPDX-License-Identifier: MIT */
#include "mapper/guest_region.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "memory/ram_claims.h"

uint64_t pm_guest_region_last(const PmGuestRegion *region)
{
    return region->config.address + (region->config.size - 1);
}

void pm_guest_region_unref(PmGuestRegion *region)
{
    if (!g_atomic_ref_count_dec(&region->references))
        return;
    g_ptr_array_unref(region->suspects);
    if (region->exclusion != 0)
        (void)pm_ram_leave_claim(region->config.ram, region->exclusion);
    pm_ram_unref(region->config.ram);
    g_clear_pointer(&region->manager, pm_discard_manager_unref);
    g_free(region);
}

/* --- pieces in quarantine --- */

void pm_guest_region_drop_piece(PmGuestRegion *region, PmGuestPiece *piece)
{
    pm_iommu_claim_abandon(piece->claim);
    piece->lost = piece->lost_end = 0;
    if (region->manager != NULL && !pm_guest_piece_is_whole(piece)) {
        piece->is_orphan = true;
        piece->manager = NULL;
        pm_guest_piece_suspect(piece);
        return;
    }
    if (piece->is_suspect)
        (void)g_ptr_array_remove_fast(region->suspects, piece);
    pm_guest_piece_free(piece);
}

/* Those without unknown or lost blocks leave the list. */
static void refresh(const PmGuestRegion *region)
{
    for (guint i = region->suspects->len; i-- > 0;) {
        PmGuestPiece *piece = g_ptr_array_index(region->suspects, i);

        if (!pm_guest_piece_is_whole(piece))
            continue;
        g_ptr_array_remove_index_fast(region->suspects, i);
        piece->is_suspect = false;
        if (piece->is_orphan)
            pm_guest_piece_free(piece);
    }
}

static bool purge_orphans(const PmGuestRegion *region, GError **error)
{
    for (guint i = 0; i < region->suspects->len; i++) {
        PmGuestPiece *piece = g_ptr_array_index(region->suspects, i);

        if (piece->is_orphan && !pm_guest_piece_purge(piece, error))
            return false;
    }
    return true;
}

bool pm_guest_region_settle(PmGuestRegion *region, GError **error)
{
    GError *cause = NULL;
    bool settled = purge_orphans(region, &cause);

    refresh(region);
    if (settled)
        return true;
    pm_reword(cause, PM_ERROR_QUARANTINED,
              "memory of the region at 0x%" PRIx64
              " is in quarantine, and retrying the unmap failed: %s",
              region->config.address, cause->message);
    g_propagate_error(error, cause);
    return false;
}

/* --- all pieces of a range --- */

typedef bool (*PieceFunc)(PmGuestPiece *piece, uint64_t offset, uint64_t size, GError **error);

typedef struct {
    const PmGuestRegion *region;
    uint64_t offset; /* in the RAM */
    uint64_t size;
    PieceFunc func;
    GPtrArray *done; /* optional: the pieces for which it succeeded */
    GError **error;
} Walk;

static bool walk_piece(PmInterval *interval, void *user_data)
{
    const Walk *walk = user_data;
    PmGuestPiece *piece = (PmGuestPiece *)interval;
    uint64_t offset = walk->offset;
    uint64_t size = walk->size;

    if (!pm_guest_piece_clip(piece, &offset, &size))
        return true;
    if (!walk->func(piece, offset, size, walk->error))
        return false;
    if (walk->done != NULL)
        g_ptr_array_add(walk->done, piece);
    return true;
}

static bool walk(Walk *walk)
{
    const PmGuestRegion *region = walk->region;
    uint64_t address = region->config.address + (walk->offset - region->config.ram_offset);

    if (region->index == NULL)
        return true;
    return pm_interval_index_foreach(region->index, address, address + (walk->size - 1), walk_piece,
                                     walk);
}

/* Does @undo for the pieces that were changed, the last one first. What it fails to restore is
 * lost, and in quarantine. */
static void undo(const Walk *walk, PieceFunc undo_piece)
{
    for (guint i = walk->done->len; i-- > 0;) {
        PmGuestPiece *piece = g_ptr_array_index(walk->done, i);
        uint64_t offset = walk->offset;
        uint64_t size = walk->size;
        g_autoptr(GError) cause = NULL;

        (void)pm_guest_piece_clip(piece, &offset, &size);
        if (undo_piece(piece, offset, size, &cause))
            continue;
        pm_guest_piece_lose(piece, offset, size);
        if (walk->error != NULL)
            pm_reword(*walk->error, PM_ERROR_QUARANTINED, "%s; undoing it failed as well: %s",
                      (*walk->error)->message, cause->message);
    }
}

/* All pieces of the range, or none. */
static bool change(const PmGuestRegion *region, uint64_t offset, uint64_t size, PieceFunc func,
                   PieceFunc undo_piece, GError **error)
{
    g_autoptr(GPtrArray) done = g_ptr_array_new();
    Walk all = {.region = region, .offset = offset, .size = size, .func = func, .done = done};

    all.error = error;
    if (walk(&all))
        return true;
    undo(&all, undo_piece);
    return false;
}

/* --- the discard listener; offsets are relative to the RAM --- */

static bool check_room(PmGuestPiece *piece, uint64_t offset, uint64_t size, GError **error)
{
    (void)offset;
    return pm_iommu_claim_check_room(piece->claim, size, error);
}

static bool can_populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Walk all = {.region = user_data, .offset = offset, .size = size, .func = check_room};

    all.error = error;
    return walk(&all);
}

static bool object(PmGuestPiece *piece, uint64_t offset, uint64_t size, GError **error)
{
    uint64_t skipped = offset - piece->ram_offset;

    return pm_fail(error, PM_ERROR_BUSY,
                   "domain %" PRIu32 " maps guest address 0x%" PRIx64 ", 0x%" PRIx64
                   " bytes, at I/O address 0x%" PRIx64
                   ": the guest must unmap it first, or set PmGuestMapperConfig.unplug to "
                   "PM_GUEST_UNPLUG_REVOKE",
                   piece->domain, piece->guest.first + skipped, size,
                   pm_iommu_claim_get_iova(piece->claim) + skipped);
}

static bool can_discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    const PmGuestRegion *region = user_data;
    Walk all = {.region = region, .offset = offset, .size = size, .func = object, .error = error};

    return region->unplug == PM_GUEST_UNPLUG_REVOKE || walk(&all);
}

static bool populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    return change(user_data, offset, size, pm_guest_piece_map, pm_guest_piece_unmap, error);
}

static bool discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    return change(user_data, offset, size, pm_guest_piece_unmap, pm_guest_piece_map, error);
}

static bool purge_piece(PmGuestPiece *piece, uint64_t offset, uint64_t size, GError **error)
{
    (void)offset;
    (void)size;
    return pm_guest_piece_purge(piece, error);
}

/* Purge, because unmap fails for unknown blocks. */
static bool discard_all(void *user_data, GError **error)
{
    const PmGuestRegion *region = user_data;
    bool done = purge_orphans(region, error) &&
                change(region, region->config.ram_offset, region->config.size, purge_piece,
                       pm_guest_piece_map_populated, error);

    refresh(region);
    return done;
}

/* In whole blocks of the manager. */
static void extend(const PmGuestRegion *region, uint64_t *offset, uint64_t *size)
{
    uint64_t mask = region->granularity - 1;
    uint64_t end = (*offset + *size + mask) & ~mask;

    *offset &= ~mask;
    *size = end - *offset;
}

static bool next_unknown(void *user_data, uint64_t offset, uint64_t *run_offset, uint64_t *run_size,
                         char **reason)
{
    const PmGuestRegion *region = user_data;
    bool found = false;

    refresh(region);
    for (guint i = 0; i < region->suspects->len; i++) {
        const PmGuestPiece *piece = g_ptr_array_index(region->suspects, i);
        g_autofree char *why = NULL;
        uint64_t start;
        uint64_t size;

        if (!pm_guest_piece_next_unknown(piece, offset & ~(region->granularity - 1), &start, &size,
                                         reason != NULL ? &why : NULL))
            continue;
        extend(region, &start, &size);
        if (start + size <= offset || (found && start >= *run_offset))
            continue;
        found = true;
        *run_offset = start;
        *run_size = size;
        if (reason != NULL) {
            g_free(*reason);
            *reason = g_steal_pointer(&why);
        }
    }
    return found;
}

static void unref(void *user_data)
{
    pm_guest_region_unref(user_data);
}

static const PmDiscardListenerOps listener_ops = {
    .struct_size = sizeof(listener_ops),
    .can_populate = can_populate,
    .can_discard = can_discard,
    .populate = populate,
    .discard = discard,
    .discard_all = discard_all,
    .next_unknown = next_unknown,
    .free = unref,
};

/* --- life cycle --- */

static bool follow(PmGuestRegion *region, const char *name, GError **error)
{
    g_atomic_ref_count_inc(&region->references);
    region->listener =
        pm_discard_manager_register(region->manager, &listener_ops, region, name,
                                    region->config.ram_offset, region->config.size, error);
    return region->listener != NULL;
}

/* Pieces of plain RAM are not divided into blocks. */
static bool exclude_manager(PmGuestRegion *region, const char *name, GError **error)
{
    const PmDiscardClaimRequest request = {
        .id = pm_discard_claim_new_id(),
        .owner = name,
        .offset = region->config.ram_offset,
        .size = region->config.size,
        .way_out = "remove the region first (pm_guest_mapper_remove()), and add it again with the "
                   "manager",
        .excludes_manager = true,
    };

    if (!pm_ram_exclude_manager(region->config.ram, &request, error))
        return false;
    region->exclusion = request.id;
    return true;
}

PmGuestRegion *pm_guest_region_new(const PmMapperRegion *config, PmGuestUnplug unplug,
                                   PmIntervalIndex *index, GError **error)
{
    PmDiscardManager *manager = pm_ram_get_discard_manager(config->ram);
    g_autoptr(PmGuestRegion) region = g_new0(PmGuestRegion, 1);
    g_autofree char *name =
        g_strdup_printf("the guest IOMMU's region at 0x%" PRIx64, config->address);

    g_atomic_ref_count_init(&region->references);
    region->config = *config;
    pm_ram_ref(config->ram);
    region->unplug = unplug;
    region->index = index;
    region->suspects = g_ptr_array_new();
    if (manager == NULL)
        return exclude_manager(region, name, error) ? g_steal_pointer(&region) : NULL;
    region->manager = pm_discard_manager_ref(manager);
    region->granularity = pm_discard_manager_get_granularity(manager);
    return follow(region, name, error) ? g_steal_pointer(&region) : NULL;
}

/* The manager may keep the region from now on, so the region must not keep the manager. Nothing
 * fails, because unregistering the listener would only retry what settling the region does. */
void pm_guest_region_end(PmGuestRegion *region)
{
    region->index = NULL;
    if (region->listener != NULL)
        pm_discard_manager_drop(region->manager, region->listener);
    region->listener = NULL;
    g_clear_pointer(&region->manager, pm_discard_manager_unref);
    pm_guest_region_unref(region);
}
