/* SPDX-License-Identifier: MIT */
#include <plugmap/discard_manager.h>

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "memory/discard_manager_private.h"
#include "memory/ram_private.h"

static void free_listener(void *listener)
{
    pm_discard_listener_free(listener);
}

static bool check_granularity(const PmRam *ram, uint64_t granularity, GError **error)
{
    uint64_t size = pm_ram_get_size(ram);
    uint64_t page_size = pm_ram_get_page_size(ram);

    if (granularity < page_size || (granularity & (granularity - 1)) != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "granularity 0x%" PRIx64 " must be a power of two and at least the RAM's "
                       "page size 0x%" PRIx64,
                       granularity, page_size);
    if (size % granularity != 0)
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "the RAM's size 0x%" PRIx64
                       " must be a multiple of the granularity 0x%" PRIx64,
                       size, granularity);
    return true;
}

static bool make_blocks(PmBlocks *blocks, uint64_t size, uint64_t granularity, GError **error)
{
    g_autofree char *n_blocks = NULL;

    blocks->size = size;
    blocks->granularity = granularity;
    blocks->populated = pm_bitmap_new(size / granularity);
    blocks->lost = pm_quarantine_new(size, granularity);
    blocks->stuck = pm_quarantine_new(size, granularity);
    if (blocks->populated != NULL && blocks->lost != NULL && blocks->stuck != NULL)
        return true;
    n_blocks = pm_counted(size / granularity, "block");
    return pm_fail(error, PM_ERROR_MEMORY,
                   "no memory for the bitmaps of %s: use larger blocks than 0x%" PRIx64, n_blocks,
                   granularity);
}

PmDiscardManager *pm_discard_manager_new(PmRam *ram, uint64_t granularity, GError **error)
{
    g_autoptr(PmDiscardManager) manager = NULL;

    if (!check_granularity(ram, granularity, error))
        return NULL;
    if (!pm_ram_take_manager(ram, error))
        return NULL;
    manager = g_new0(PmDiscardManager, 1);
    g_atomic_ref_count_init(&manager->references);
    manager->ram = pm_ram_ref(ram);
    manager->listeners = g_ptr_array_new_with_free_func(free_listener);
    manager->orphans = g_ptr_array_new_with_free_func(free_listener);
    if (!make_blocks(&manager->blocks, pm_ram_get_size(ram), granularity, error))
        return NULL;
    pm_ram_fit_huge_pages(ram, granularity);
    return g_steal_pointer(&manager);
}

PmDiscardManager *pm_discard_manager_ref(PmDiscardManager *manager)
{
    g_atomic_ref_count_inc(&manager->references);
    return manager;
}

void pm_discard_manager_unref(PmDiscardManager *manager)
{
    if (!g_atomic_ref_count_dec(&manager->references))
        return;
    g_ptr_array_unref(manager->listeners);
    g_ptr_array_unref(manager->orphans);
    pm_bitmap_free(manager->blocks.populated);
    pm_quarantine_free(manager->blocks.lost);
    pm_quarantine_free(manager->blocks.stuck);
    pm_ram_release_manager(manager->ram);
    pm_ram_unref(manager->ram);
    g_free(manager);
}

PmRam *pm_discard_manager_get_ram(const PmDiscardManager *manager)
{
    return manager->ram;
}

uint64_t pm_discard_manager_get_granularity(const PmDiscardManager *manager)
{
    return manager->blocks.granularity;
}

uint64_t pm_discard_manager_get_populated(const PmDiscardManager *manager)
{
    return pm_bitmap_n_set(manager->blocks.populated) * manager->blocks.granularity;
}

typedef uint64_t (*NextBit)(const PmBitmap *bitmap, uint64_t from, uint64_t end);

/* Whether @find_other finds nothing in a range, which is widened to whole blocks. */
static bool is_uniform(const PmBlocks *blocks, uint64_t offset, uint64_t size, NextBit find_other)
{
    uint64_t first;
    uint64_t end;

    if (size == 0 || offset >= blocks->size || size > blocks->size - offset)
        return false;
    first = offset / blocks->granularity;
    end = (offset + size - 1) / blocks->granularity + 1;
    return find_other(blocks->populated, first, end) == end;
}

bool pm_discard_manager_is_populated(const PmDiscardManager *manager, uint64_t offset,
                                     uint64_t size)
{
    return is_uniform(&manager->blocks, offset, size, pm_bitmap_next_clear);
}

bool pm_discard_manager_is_discarded(const PmDiscardManager *manager, uint64_t offset,
                                     uint64_t size)
{
    return is_uniform(&manager->blocks, offset, size, pm_bitmap_next_set);
}

static bool find_run(const PmBlocks *blocks, uint64_t offset, uint64_t end, NextBit find_first,
                     NextBit find_end, uint64_t *run_offset, uint64_t *run_size)
{
    uint64_t last = MIN(end, blocks->size) / blocks->granularity;
    uint64_t first = offset / blocks->granularity;

    if (first >= last)
        return false;
    first = find_first(blocks->populated, first, last);
    if (first == last)
        return false;
    *run_offset = first * blocks->granularity;
    *run_size = (find_end(blocks->populated, first, last) - first) * blocks->granularity;
    return true;
}

bool pm_discard_manager_next_populated(const PmDiscardManager *manager, uint64_t offset,
                                       uint64_t end, uint64_t *run_offset, uint64_t *run_size)
{
    return find_run(&manager->blocks, offset, end, pm_bitmap_next_set, pm_bitmap_next_clear,
                    run_offset, run_size);
}

bool pm_discard_manager_next_discarded(const PmDiscardManager *manager, uint64_t offset,
                                       uint64_t end, uint64_t *run_offset, uint64_t *run_size)
{
    return find_run(&manager->blocks, offset, end, pm_bitmap_next_clear, pm_bitmap_next_set,
                    run_offset, run_size);
}

static PmDiscardListener *listener_at(const PmDiscardManager *manager, guint index)
{
    return g_ptr_array_index(manager->listeners, index);
}

static bool check_range(const PmBlocks *blocks, uint64_t offset, uint64_t size, GError **error)
{
    if ((offset | size) & (blocks->granularity - 1))
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "offset 0x%" PRIx64 " and size 0x%" PRIx64
                       " must be multiples of the granularity 0x%" PRIx64,
                       offset, size, blocks->granularity);
    if (size == 0 || offset >= blocks->size || size > blocks->size - offset)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "0x%" PRIx64 " bytes at offset 0x%" PRIx64
                       " are not a range inside the RAM of 0x%" PRIx64 " bytes",
                       size, offset, blocks->size);
    return true;
}

static bool check_change(PmDiscardManager *manager, uint64_t offset, uint64_t size, bool populated,
                         GError **error)
{
    const PmBlocks *blocks = &manager->blocks;

    if (!check_range(blocks, offset, size, error))
        return false;
    pm_manager_refresh(manager);
    if (!pm_manager_check_no_quarantine(manager, offset, offset + size, error))
        return false;
    if (is_uniform(blocks, offset, size, populated ? pm_bitmap_next_clear : pm_bitmap_next_set))
        return true;
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "0x%" PRIx64 " bytes at offset 0x%" PRIx64
                   " are not wholly %s: ask pm_discard_manager_next_%s() before",
                   size, offset, populated ? "populated" : "discarded",
                   populated ? "populated" : "discarded");
}

/*
 * The end of every failure that listeners had a part in: the cause as it is, unless @grown: more is
 * in quarantine than before. Takes @cause. Returns false.
 */
static bool conclude(const PmDiscardManager *manager, bool grown, GError *cause, GError **error)
{
    g_autoptr(GError) owned_cause = cause;
    g_autofree char *size_text = NULL;
    g_autofree char *message = NULL;

    if (!grown) {
        g_propagate_error(error, g_steal_pointer(&owned_cause));
        return false;
    }
    size_text = pm_size_format(pm_discard_manager_get_quarantined(manager));
    message = g_strdup_printf("%s; and not everything could be brought back: %s of the RAM are in "
                              "quarantine until everything is discarded (reset the device)",
                              owned_cause->message, size_text);
    pm_log(G_LOG_LEVEL_WARNING, "%s", message);
    return pm_fail(error, PM_ERROR_QUARANTINED, "%s", message);
}

/* For a change of a range of which nothing was in quarantine before. */
static bool conclude_range(const PmDiscardManager *manager, uint64_t offset, uint64_t size,
                           GError *cause, GError **error)
{
    uint64_t end = offset + size;

    return conclude(manager, pm_manager_next_quarantined(manager, offset, end) < end, cause, error);
}

/* For a change of everything, @n_before bytes of which were in quarantine before. */
static bool conclude_all(const PmDiscardManager *manager, uint64_t n_before, GError *cause,
                         GError **error)
{
    return conclude(manager, pm_discard_manager_get_quarantined(manager) > n_before, cause, error);
}

/* Nobody can be told of a block of which it is not known who has it. */
static bool check_replayable(const PmDiscardManager *manager, uint64_t offset, uint64_t end,
                             GError **error)
{
    const PmBlocks *blocks = &manager->blocks;

    while ((offset = pm_manager_next_quarantined(manager, offset, end)) < end) {
        uint64_t block_end = offset + blocks->granularity;

        if (is_uniform(blocks, offset, blocks->granularity, pm_bitmap_next_clear))
            return pm_manager_check_no_quarantine(manager, offset, block_end, error);
        offset = block_end;
    }
    return true;
}

static bool replay(PmDiscardManager *manager, const PmDiscardListener *listener, GError **error)
{
    uint64_t n_before = pm_discard_manager_get_quarantined(manager);
    GError *cause = NULL;

    return pm_discard_listener_replay(listener, &manager->blocks, &cause) ||
           conclude_all(manager, n_before, cause, error);
}

/* A listener that could not be undone is asked on as if it had been dropped. */
static bool begin_listening(PmDiscardManager *manager, PmDiscardListener *listener, GError **error)
{
    uint64_t n_before = pm_discard_manager_get_quarantined(manager);

    g_ptr_array_add(manager->orphans, listener);
    if (replay(manager, listener, error)) {
        g_ptr_array_add(manager->listeners,
                        g_ptr_array_steal_index(manager->orphans, manager->orphans->len - 1));
        return true;
    }
    if (listener->ops->next_unknown == NULL ||
        pm_discard_manager_get_quarantined(manager) == n_before)
        pm_manager_refresh(manager);
    return false;
}

PmDiscardListener *pm_discard_manager_register(PmDiscardManager *manager,
                                               const PmDiscardListenerOps *ops, void *user_data,
                                               const char *name, uint64_t offset, uint64_t size,
                                               GError **error)
{
    PmDiscardListener *listener = pm_discard_listener_new(ops, user_data, name, offset, size);

    pm_manager_refresh(manager);
    if (!check_range(&manager->blocks, offset, size, error) ||
        !check_replayable(manager, offset, offset + size, error)) {
        pm_discard_listener_free(listener);
        return NULL;
    }
    return begin_listening(manager, listener, error) ? listener : NULL;
}

bool pm_discard_manager_unregister(PmDiscardManager *manager, PmDiscardListener *listener,
                                   GError **error)
{
    uint64_t n_before = pm_discard_manager_get_quarantined(manager);
    GError *cause = NULL;

    if (!g_ptr_array_find(manager->listeners, listener, NULL))
        return pm_fail(error, PM_ERROR_NOT_FOUND,
                       "the listener %p is not registered with this discard manager",
                       (void *)listener);
    if (!pm_discard_listener_drop_all(listener, &manager->blocks, &cause))
        return conclude_all(manager, n_before, cause, error);
    pm_quarantine_remove_owner(manager->blocks.lost, listener);
    g_ptr_array_remove(manager->listeners, listener);
    pm_manager_refresh(manager);
    return true;
}

void pm_discard_manager_drop(PmDiscardManager *manager, PmDiscardListener *listener)
{
    guint index;

    if (!g_ptr_array_find(manager->listeners, listener, &index))
        return;
    g_ptr_array_add(manager->orphans, g_ptr_array_steal_index(manager->listeners, index));
    pm_manager_refresh(manager);
}

static bool ask_listeners(const PmDiscardManager *manager, uint64_t offset, uint64_t size,
                          GError **error)
{
    guint i;

    for (i = 0; i < manager->listeners->len; i++)
        if (!pm_discard_listener_may_populate(listener_at(manager, i), offset, size, error))
            return false;
    return true;
}

static bool tell_populate(PmDiscardManager *manager, uint64_t offset, uint64_t size, GError **error)
{
    guint n_told;

    for (n_told = 0; n_told < manager->listeners->len; n_told++)
        if (!pm_discard_listener_populate(listener_at(manager, n_told), &manager->blocks, offset,
                                          size, error)) {
            while (n_told-- > 0)
                pm_discard_listener_undo_populate(listener_at(manager, n_told), &manager->blocks,
                                                  offset, size);
            return false;
        }
    return true;
}

bool pm_discard_manager_populate(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                                 unsigned prefault_threads, GError **error)
{
    PmBlocks *blocks = &manager->blocks;
    GError *cause = NULL;

    if (!check_change(manager, offset, size, false, error) ||
        !ask_listeners(manager, offset, size, error))
        return false;
    if ((prefault_threads > 0 &&
         !pm_ram_populate(manager->ram, offset, size, prefault_threads, &cause)) ||
        !tell_populate(manager, offset, size, &cause)) {
        pm_manager_give_back(manager, offset, size, cause);
        return conclude_range(manager, offset, size, cause, error);
    }
    pm_bitmap_set(blocks->populated, offset / blocks->granularity, size / blocks->granularity);
    return true;
}

static void redo_told(PmDiscardManager *manager, guint n_told, uint64_t offset, uint64_t size)
{
    while (n_told-- > 0)
        pm_discard_listener_redo_populate(listener_at(manager, n_told), &manager->blocks, offset,
                                          size);
}

/* @failure: why the host did not take the memory back. If some of it may be gone all the same, what
 * is plugged there has lost its contents. */
static void lose_contents(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                          const GError *failure)
{
    if (g_error_matches(failure, PM_ERROR, PM_ERROR_QUARANTINED))
        pm_quarantine_add(manager->blocks.lost, offset, size, NULL, "the host", failure->message);
}

static bool tell_discard(PmDiscardManager *manager, uint64_t offset, uint64_t size, GError **error)
{
    guint n_told;

    for (n_told = 0; n_told < manager->listeners->len; n_told++)
        if (!pm_discard_listener_discard(listener_at(manager, n_told), &manager->blocks, offset,
                                         size, error))
            break;
    if (n_told == manager->listeners->len && pm_ram_discard(manager->ram, offset, size, error))
        return true;
    redo_told(manager, n_told, offset, size);
    if (n_told == manager->listeners->len)
        lose_contents(manager, offset, size, *error);
    return false;
}

bool pm_discard_manager_discard(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                                GError **error)
{
    PmBlocks *blocks = &manager->blocks;
    GError *cause = NULL;

    if (!check_change(manager, offset, size, true, error))
        return false;
    if (!tell_discard(manager, offset, size, &cause))
        return conclude_range(manager, offset, size, cause, error);
    pm_bitmap_clear(blocks->populated, offset / blocks->granularity, size / blocks->granularity);
    return true;
}

/* Orphans have nothing that could be redone. */
static bool drop_orphans(PmDiscardManager *manager, GError **error)
{
    for (guint i = 0; i < manager->orphans->len; i++)
        if (!pm_discard_listener_drop_all(g_ptr_array_index(manager->orphans, i), &manager->blocks,
                                          error))
            return false;
    return true;
}

static void lose_all_contents(PmDiscardManager *manager, const GError *failure)
{
    uint64_t offset = 0;
    uint64_t size = 0;

    while (pm_discard_manager_next_populated(manager, offset + size, manager->blocks.size, &offset,
                                             &size))
        lose_contents(manager, offset, size, failure);
}

static bool tell_discard_all(PmDiscardManager *manager, GError **error)
{
    PmBlocks *blocks = &manager->blocks;
    bool dropped = drop_orphans(manager, error);
    guint n_told = 0;

    while (dropped && n_told < manager->listeners->len) {
        dropped = pm_discard_listener_drop_all(listener_at(manager, n_told), blocks, error);
        if (dropped)
            pm_quarantine_remove_owner(blocks->lost, listener_at(manager, n_told));
        n_told += dropped;
    }
    if (dropped && pm_ram_discard(manager->ram, 0, blocks->size, error))
        return true;
    while (n_told-- > 0)
        pm_discard_listener_redo_all(listener_at(manager, n_told), blocks);
    if (dropped)
        lose_all_contents(manager, *error);
    return false;
}

bool pm_discard_manager_discard_all(PmDiscardManager *manager, GError **error)
{
    PmBlocks *blocks = &manager->blocks;
    uint64_t n_before = pm_discard_manager_get_quarantined(manager);
    GError *cause = NULL;

    if (!tell_discard_all(manager, &cause)) {
        pm_manager_refresh(manager);
        return conclude_all(manager, n_before, cause, error);
    }
    pm_bitmap_clear(blocks->populated, 0, pm_bitmap_n_bits(blocks->populated));
    pm_quarantine_clear(blocks->lost);
    pm_quarantine_clear(blocks->stuck);
    pm_manager_refresh(manager);
    return true;
}
