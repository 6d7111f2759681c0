/* SPDX-License-Identifier: MIT */
#include <plugmap/discard_manager.h>

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "memory/discard_listener.h"
#include "memory/discard_manager_private.h"
#include "memory/ram_private.h"

struct PmDiscardManager {
    gatomicrefcount references;
    PmRam *ram;
    PmBlocks blocks;
    GPtrArray *listeners; /* in the order of registration */
};

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
    blocks->quarantine = pm_quarantine_new(size, granularity);
    if (blocks->populated != NULL && blocks->quarantine != NULL)
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
    if (!pm_ram_claim(ram)) {
        pm_fail(error, PM_ERROR_BUSY,
                "the RAM at host address %p has a discard manager already: it can have one at a "
                "time",
                pm_ram_get_host(ram));
        return NULL;
    }
    manager = g_new0(PmDiscardManager, 1);
    g_atomic_ref_count_init(&manager->references);
    manager->ram = pm_ram_ref(ram);
    manager->listeners = g_ptr_array_new_with_free_func(free_listener);
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
    pm_bitmap_free(manager->blocks.populated);
    pm_quarantine_free(manager->blocks.quarantine);
    pm_ram_release(manager->ram);
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

uint64_t pm_discard_manager_get_quarantined(const PmDiscardManager *manager)
{
    return pm_quarantine_n_bytes(manager->blocks.quarantine);
}

bool pm_discard_manager_next_quarantined(const PmDiscardManager *manager, uint64_t offset,
                                         uint64_t *run_offset, uint64_t *run_size,
                                         const char **listener, const char **reason)
{
    return pm_quarantine_next_run(manager->blocks.quarantine, offset, run_offset, run_size,
                                  listener, reason);
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

static bool check_no_quarantine(const PmBlocks *blocks, uint64_t offset, uint64_t size,
                                GError **error)
{
    const char *listener;
    const char *reason;
    uint64_t run_offset;
    uint64_t run_size;

    if (!pm_quarantine_next_run(blocks->quarantine, offset, &run_offset, &run_size, &listener,
                                &reason) ||
        run_offset >= offset + size)
        return true;
    return pm_fail(error, PM_ERROR_QUARANTINED,
                   "0x%" PRIx64 " bytes at offset 0x%" PRIx64
                   " are in quarantine until everything is discarded (reset the device), because "
                   "of listener «%s»: %s",
                   run_size, run_offset, listener, reason);
}

static bool check_change(const PmDiscardManager *manager, uint64_t offset, uint64_t size,
                         bool populated, GError **error)
{
    const PmBlocks *blocks = &manager->blocks;

    if (!check_range(blocks, offset, size, error) ||
        !check_no_quarantine(blocks, offset, size, error))
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
 * The end of every failure that listeners had a part in: the cause as it is, unless something has
 * come into quarantine since the number of additions was @n_added. Takes @cause. Returns false.
 */
static bool conclude(const PmBlocks *blocks, uint64_t n_added, GError *cause, GError **error)
{
    g_autoptr(GError) owned_cause = cause;
    g_autofree char *size_text = NULL;
    g_autofree char *message = NULL;

    if (pm_quarantine_n_added(blocks->quarantine) == n_added) {
        g_propagate_error(error, g_steal_pointer(&owned_cause));
        return false;
    }
    size_text = pm_size_format(pm_quarantine_n_bytes(blocks->quarantine));
    message = g_strdup_printf("%s; and not everything could be brought back: %s of the RAM are in "
                              "quarantine until everything is discarded (reset the device)",
                              owned_cause->message, size_text);
    pm_log(G_LOG_LEVEL_WARNING, "%s", message);
    return pm_fail(error, PM_ERROR_QUARANTINED, "%s", message);
}

/* Nobody can be told of a block of which it is not known who has it. */
static bool check_replayable(const PmBlocks *blocks, uint64_t offset, uint64_t end, GError **error)
{
    while ((offset = pm_quarantine_next(blocks->quarantine, offset, end)) < end) {
        if (is_uniform(blocks, offset, blocks->granularity, pm_bitmap_next_clear))
            return check_no_quarantine(blocks, offset, blocks->granularity, error);
        offset += blocks->granularity;
    }
    return true;
}

static bool register_listener(PmDiscardManager *manager, const PmDiscardListener *listener,
                              GError **error)
{
    PmBlocks *blocks = &manager->blocks;
    uint64_t n_added = pm_quarantine_n_added(blocks->quarantine);
    GError *cause = NULL;

    if (!check_replayable(blocks, listener->offset, listener->end, error))
        return false;
    if (pm_discard_listener_replay(listener, blocks, &cause))
        return true;
    return conclude(blocks, n_added, cause, error);
}

PmDiscardListener *pm_discard_manager_register(PmDiscardManager *manager,
                                               const PmDiscardListenerOps *ops, void *user_data,
                                               const char *name, uint64_t offset, uint64_t size,
                                               GError **error)
{
    PmDiscardListener *listener;

    if (!check_range(&manager->blocks, offset, size, error))
        return NULL;
    listener = pm_discard_listener_new(ops, user_data, name, offset, size);
    if (!register_listener(manager, listener, error)) {
        pm_discard_listener_free(listener);
        return NULL;
    }
    g_ptr_array_add(manager->listeners, listener);
    return listener;
}

bool pm_discard_manager_unregister(PmDiscardManager *manager, PmDiscardListener *listener,
                                   GError **error)
{
    uint64_t n_added = pm_quarantine_n_added(manager->blocks.quarantine);
    GError *cause = NULL;

    if (!g_ptr_array_find(manager->listeners, listener, NULL))
        return pm_fail(error, PM_ERROR_NOT_FOUND,
                       "the listener %p is not registered with this discard manager",
                       (void *)listener);
    if (!pm_discard_listener_drop_all(listener, &manager->blocks, &cause))
        return conclude(&manager->blocks, n_added, cause, error);
    g_ptr_array_remove(manager->listeners, listener);
    return true;
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

/* Gives the memory of a range back that could not be populated, but for blocks in quarantine:
 * somebody may still have those mapped. */
static void give_back(PmDiscardManager *manager, uint64_t offset, uint64_t size, GError *cause)
{
    const PmQuarantine *quarantine = manager->blocks.quarantine;
    uint64_t end = offset + size;

    while ((offset = pm_quarantine_next_free(quarantine, offset, end)) < end) {
        uint64_t run_end = pm_quarantine_next(quarantine, offset, end);
        g_autoptr(GError) failure = NULL;

        if (!pm_ram_discard(manager->ram, offset, run_end - offset, &failure)) {
            g_autofree char *before = cause->message;

            cause->message = g_strdup_printf("%s; afterwards: %s", before, failure->message);
        }
        offset = run_end;
    }
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
    uint64_t n_added = pm_quarantine_n_added(blocks->quarantine);
    GError *cause = NULL;

    if (!check_change(manager, offset, size, false, error) ||
        !ask_listeners(manager, offset, size, error))
        return false;
    if ((prefault_threads > 0 &&
         !pm_ram_populate(manager->ram, offset, size, prefault_threads, &cause)) ||
        !tell_populate(manager, offset, size, &cause)) {
        give_back(manager, offset, size, cause);
        return conclude(blocks, n_added, cause, error);
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
    return false;
}

bool pm_discard_manager_discard(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                                GError **error)
{
    PmBlocks *blocks = &manager->blocks;
    uint64_t n_added = pm_quarantine_n_added(blocks->quarantine);
    GError *cause = NULL;

    if (!check_change(manager, offset, size, true, error))
        return false;
    if (!tell_discard(manager, offset, size, &cause))
        return conclude(blocks, n_added, cause, error);
    pm_bitmap_clear(blocks->populated, offset / blocks->granularity, size / blocks->granularity);
    return true;
}

static bool tell_discard_all(PmDiscardManager *manager, GError **error)
{
    PmBlocks *blocks = &manager->blocks;
    guint n_told;

    for (n_told = 0; n_told < manager->listeners->len; n_told++)
        if (!pm_discard_listener_drop_all(listener_at(manager, n_told), blocks, error))
            break;
    if (n_told == manager->listeners->len && pm_ram_discard(manager->ram, 0, blocks->size, error))
        return true;
    while (n_told-- > 0)
        pm_discard_listener_redo_all(listener_at(manager, n_told), blocks);
    return false;
}

bool pm_discard_manager_discard_all(PmDiscardManager *manager, GError **error)
{
    PmBlocks *blocks = &manager->blocks;
    uint64_t n_added = pm_quarantine_n_added(blocks->quarantine);
    GError *cause = NULL;

    if (!tell_discard_all(manager, &cause))
        return conclude(blocks, n_added, cause, error);
    pm_bitmap_clear(blocks->populated, 0, pm_bitmap_n_bits(blocks->populated));
    pm_quarantine_clear(blocks->quarantine);
    return true;
}

void pm_discard_manager_forget(PmDiscardManager *manager, PmDiscardListener *listener)
{
    g_ptr_array_remove(manager->listeners, listener);
}
