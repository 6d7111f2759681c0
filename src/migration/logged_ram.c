/* SPDX-License-Identifier: MIT */
#include "migration/logged_ram.h"

#include <inttypes.h>
#include <pthread.h>

#include <plugmap/discard_manager.h>
#include <plugmap/size.h>

#include "base/bitmap.h"
#include "base/error_text.h"
#include "base/log.h"
#include "memory/ram_claims.h"
#include "migration/page_bits.h"

/* Bytes per bit of what changed: a guest with an IOMMU unmaps single pages. */
#define UNIT (4 * PM_KIB)

struct PmLoggedRam {
    PmRam *ram;
    PmDiscardManager *manager; /* NULL: plain RAM, all populated */
    PmDiscardListener *listener;
    uint64_t exclusion;   /* of a later manager: the claim's id; 0: none */
    pthread_mutex_t lock; /* for @changed: other threads unmap */
    PmBitmap *changed;
    bool is_read;
};

/* --- the discard listener --- */

static bool populate(void *user_data, uint64_t offset, uint64_t size, GError **error G_GNUC_UNUSED)
{
    pm_logged_ram_mark(user_data, (PmRamOffset){offset}, size);
    return true;
}

/* What is discarded does not count, whatever happened to it. */
static bool discard(void *user_data G_GNUC_UNUSED, uint64_t offset G_GNUC_UNUSED,
                    uint64_t size G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
    return true;
}

static bool discard_all(void *user_data G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
    return true;
}

/* A log has nothing mapped. */
static bool next_unknown(void *user_data G_GNUC_UNUSED, uint64_t offset G_GNUC_UNUSED,
                         uint64_t *run_offset G_GNUC_UNUSED, uint64_t *run_size G_GNUC_UNUSED,
                         char **reason G_GNUC_UNUSED)
{
    return false;
}

static const PmDiscardListenerOps listener_ops = {
    .struct_size = sizeof(listener_ops),
    .populate = populate,
    .discard = discard,
    .discard_all = discard_all,
    .next_unknown = next_unknown,
};

/* --- life cycle --- */

static bool listen(PmLoggedRam *logged, GError **error)
{
    logged->listener =
        pm_discard_manager_register(logged->manager, &listener_ops, logged, "the dirty log", 0,
                                    pm_ram_get_size(logged->ram), error);
    return logged->listener != NULL;
}

/* A log cannot follow a manager that is made later. */
static bool exclude_manager(PmLoggedRam *logged, GError **error)
{
    const PmDiscardClaimRequest request = {
        .id = pm_discard_claim_new_id(),
        .owner = "a dirty log",
        .size = pm_ram_get_size(logged->ram),
        .way_out = "remove the RAM from the log first (pm_dirty_log_remove_ram()), and add it "
                   "again with the manager",
        .excludes_manager = true,
    };

    if (!pm_ram_exclude_manager(logged->ram, &request, error))
        return false;
    logged->exclusion = request.id;
    return true;
}

static bool allocate(PmLoggedRam *logged, GError **error)
{
    uint64_t size = pm_ram_get_size(logged->ram);
    uint64_t n_bits = (size - 1) / UNIT + 1;

    logged->changed = pm_bitmap_new(n_bits);
    if (logged->changed == NULL)
        return pm_fail(error, PM_ERROR_MEMORY,
                       "out of memory for a dirty log of 0x%" PRIx64 " bytes of RAM", size);
    pm_bitmap_set(logged->changed, 0, n_bits);
    return true;
}

PmLoggedRam *pm_logged_ram_new(PmRam *ram, GError **error)
{
    PmDiscardManager *manager = pm_ram_get_discard_manager(ram);
    PmLoggedRam *logged;

    if (pm_ram_get_kind(ram) == PM_RAM_DEVICE) {
        (void)pm_fail(error, PM_ERROR_UNSUPPORTED,
                      "device memory is not guest RAM: a dirty log does not support it");
        return NULL;
    }
    logged = g_new0(PmLoggedRam, 1);
    pthread_mutex_init(&logged->lock, NULL);
    logged->ram = pm_ram_ref(ram);
    if (manager != NULL)
        logged->manager = pm_discard_manager_ref(manager);
    if (allocate(logged, error) &&
        (manager != NULL ? listen(logged, error) : exclude_manager(logged, error)))
        return logged;
    pm_logged_ram_free(logged);
    return NULL;
}

void pm_logged_ram_free(PmLoggedRam *logged)
{
    g_autoptr(GError) error = NULL;

    if (logged->listener != NULL &&
        !pm_discard_manager_unregister(logged->manager, logged->listener, &error)) {
        pm_log(G_LOG_LEVEL_WARNING, "the dirty log stays known to a discard manager: %s",
               error->message);
        pm_discard_manager_drop(logged->manager, logged->listener);
    }
    if (logged->exclusion != 0)
        (void)pm_ram_leave_claim(logged->ram, logged->exclusion);
    g_clear_pointer(&logged->manager, pm_discard_manager_unref);
    g_clear_pointer(&logged->changed, pm_bitmap_free);
    pm_ram_unref(logged->ram);
    pthread_mutex_destroy(&logged->lock);
    g_free(logged);
}

const PmRam *pm_logged_ram_get_ram(const PmLoggedRam *logged)
{
    return logged->ram;
}

/* --- what changed --- */

void pm_logged_ram_mark(PmLoggedRam *logged, PmRamOffset offset, uint64_t size)
{
    uint64_t first = offset.bytes / UNIT;
    uint64_t last = (offset.bytes + (size - 1)) / UNIT;

    pthread_mutex_lock(&logged->lock);
    pm_bitmap_set(logged->changed, first, last - first + 1);
    pthread_mutex_unlock(&logged->lock);
}

/* Finds the first populated run in [@offset, @end), like pm_discard_manager_next_populated(), but
 * of any alignment. */
static bool next_populated(const PmLoggedRam *logged, uint64_t offset, uint64_t end,
                           uint64_t *run_offset, uint64_t *run_end)
{
    uint64_t granularity;
    uint64_t size;

    *run_offset = offset;
    *run_end = end;
    if (logged->manager == NULL || offset >= end)
        return offset < end;
    granularity = pm_discard_manager_get_granularity(logged->manager);
    if (!pm_discard_manager_next_populated(
            logged->manager, offset - offset % granularity,
            end + (granularity - 1) - (end + (granularity - 1)) % granularity, run_offset, &size))
        return false;
    *run_end = MIN(*run_offset + size, end);
    *run_offset = MAX(*run_offset, offset);
    return true;
}

/* What was unplugged does not make a page dirty that has other blocks, too. */
static void set_populated(const PmLoggedRam *logged, uint64_t offset, uint64_t end,
                          uint64_t page_size, uint64_t *bitmap)
{
    uint64_t run_offset;

    for (; next_populated(logged, offset, end, &run_offset, &offset);)
        pm_page_bits_set(bitmap, run_offset / page_size, (offset - 1) / page_size + 1);
}

bool pm_logged_ram_take(PmLoggedRam *logged, uint64_t page_size, uint64_t *bitmap)
{
    uint64_t n_bits = pm_bitmap_n_bits(logged->changed);
    uint64_t size = pm_ram_get_size(logged->ram);
    uint64_t first = 0;
    bool is_first = !logged->is_read;

    pthread_mutex_lock(&logged->lock);
    while ((first = pm_bitmap_next_set(logged->changed, first, n_bits)) < n_bits) {
        uint64_t end = pm_bitmap_next_clear(logged->changed, first, n_bits);

        set_populated(logged, first * UNIT, MIN(end * UNIT, size), page_size, bitmap);
        first = end;
    }
    pm_bitmap_clear(logged->changed, 0, n_bits);
    pthread_mutex_unlock(&logged->lock);
    logged->is_read = true;
    return is_first;
}

void pm_logged_ram_clear_discarded(const PmLoggedRam *logged, uint64_t page_size, uint64_t *bitmap)
{
    uint64_t size = pm_ram_get_size(logged->ram);
    uint64_t offset;
    uint64_t end = 0;
    uint64_t n_seen = 0; /* pages */

    while (next_populated(logged, end, size, &offset, &end)) {
        pm_page_bits_clear(bitmap, n_seen, offset / page_size);
        n_seen = (end - 1) / page_size + 1;
    }
    pm_page_bits_clear(bitmap, n_seen, (size - 1) / page_size + 1);
}
