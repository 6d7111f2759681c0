/* SPDX-License-Identifier: MIT */
#include <plugmap/discard_manager.h>

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
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
                       "invalid granularity 0x%" PRIx64
                       ": must be a power of two, at least the RAM's page size 0x%" PRIx64,
                       granularity, page_size);
    if (size % granularity != 0)
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "invalid RAM size 0x%" PRIx64
                       ": must be a multiple of the granularity 0x%" PRIx64,
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
                   "cannot allocate the bitmaps of %s: use larger blocks than 0x%" PRIx64, n_blocks,
                   granularity);
}

PmDiscardManager *pm_discard_manager_new(PmRam *ram, uint64_t granularity, GError **error)
{
    g_autoptr(PmDiscardManager) manager = NULL;

    if (!check_granularity(ram, granularity, error))
        return NULL;
    manager = g_new0(PmDiscardManager, 1);
    g_atomic_ref_count_init(&manager->references);
    manager->listeners = g_ptr_array_new_with_free_func(free_listener);
    manager->orphans = g_ptr_array_new_with_free_func(free_listener);
    if (!pm_ram_take_manager(ram, manager, error))
        return NULL;
    manager->ram = pm_ram_ref(ram);
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
    if (manager == NULL || !g_atomic_ref_count_dec(&manager->references))
        return;
    g_ptr_array_unref(manager->listeners);
    g_ptr_array_unref(manager->orphans);
    pm_bitmap_free(manager->blocks.populated);
    pm_quarantine_free(manager->blocks.lost);
    pm_quarantine_free(manager->blocks.stuck);
    if (manager->ram != NULL) {
        pm_ram_release_manager(manager->ram);
        pm_ram_unref(manager->ram);
    }
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

/* Whether @find_other finds nothing in a range, which is extended to whole blocks. */
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

bool pm_manager_check_range(const PmDiscardManager *manager, uint64_t offset, uint64_t size,
                            GError **error)
{
    const PmBlocks *blocks = &manager->blocks;

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

    if (!pm_ram_check_process(manager->ram, error) ||
        !pm_manager_check_range(manager, offset, size, error))
        return false;
    pm_manager_refresh(manager);
    if (!pm_manager_check_no_quarantine(manager, offset, offset + size, error))
        return false;
    if (is_uniform(blocks, offset, size, populated ? pm_bitmap_next_clear : pm_bitmap_next_set))
        return true;
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "0x%" PRIx64 " bytes at offset 0x%" PRIx64
                   " are not wholly %s: call pm_discard_manager_next_%s() first",
                   size, offset, populated ? "populated" : "discarded",
                   populated ? "populated" : "discarded");
}

typedef bool (*Question)(const PmDiscardListener *listener, uint64_t offset, uint64_t size,
                         GError **error);

static bool ask_listeners(const PmDiscardManager *manager, Question question, uint64_t offset,
                          uint64_t size, GError **error)
{
    for (guint i = 0; i < manager->listeners->len; i++)
        if (!question(pm_manager_listener_at(manager, i), offset, size, error))
            return false;
    return true;
}

static bool notify_populate(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                            GError **error)
{
    guint n_notified;

    for (n_notified = 0; n_notified < manager->listeners->len; n_notified++)
        if (!pm_discard_listener_populate(pm_manager_listener_at(manager, n_notified),
                                          &manager->blocks, offset, size, error)) {
            while (n_notified-- > 0)
                pm_discard_listener_undo_populate(pm_manager_listener_at(manager, n_notified),
                                                  &manager->blocks, offset, size);
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
        !ask_listeners(manager, pm_discard_listener_may_populate, offset, size, error))
        return false;
    if ((prefault_threads > 0 &&
         !pm_ram_populate(manager->ram, offset, size, prefault_threads, &cause)) ||
        !notify_populate(manager, offset, size, &cause)) {
        pm_manager_give_back(manager, offset, size, cause);
        return pm_manager_conclude_range(manager, offset, size, cause, error);
    }
    pm_bitmap_set(blocks->populated, offset / blocks->granularity, size / blocks->granularity);
    return true;
}

static void redo_notified(PmDiscardManager *manager, guint n_notified, uint64_t offset,
                          uint64_t size)
{
    while (n_notified-- > 0)
        pm_discard_listener_redo_populate(pm_manager_listener_at(manager, n_notified),
                                          &manager->blocks, offset, size);
}

static bool notify_discard(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                           GError **error)
{
    guint n_notified;

    for (n_notified = 0; n_notified < manager->listeners->len; n_notified++)
        if (!pm_discard_listener_discard(pm_manager_listener_at(manager, n_notified),
                                         &manager->blocks, offset, size, error))
            break;
    if (n_notified == manager->listeners->len && pm_ram_discard(manager->ram, offset, size, error))
        return true;
    redo_notified(manager, n_notified, offset, size);
    if (n_notified == manager->listeners->len)
        pm_manager_lose_contents(manager, offset, size, *error);
    return false;
}

bool pm_discard_manager_discard(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                                GError **error)
{
    PmBlocks *blocks = &manager->blocks;
    GError *cause = NULL;

    if (!check_change(manager, offset, size, true, error) ||
        !ask_listeners(manager, pm_discard_listener_may_discard, offset, size, error))
        return false;
    if (!notify_discard(manager, offset, size, &cause))
        return pm_manager_conclude_range(manager, offset, size, cause, error);
    pm_bitmap_clear(blocks->populated, offset / blocks->granularity, size / blocks->granularity);
    return true;
}
