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

static void free_source(void *source)
{
    pm_discard_source_free(source);
}

bool pm_manager_check_granularity(const PmRam *ram, uint64_t granularity, GError **error)
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

PmDiscardManager *pm_discard_manager_new(PmRam *ram, uint64_t granularity, GError **error)
{
    g_autoptr(PmDiscardManager) manager = NULL;

    if (!pm_manager_check_granularity(ram, granularity, error))
        return NULL;
    manager = g_new0(PmDiscardManager, 1);
    g_atomic_ref_count_init(&manager->references);
    manager->coarsest = granularity;
    manager->sources = g_ptr_array_new_with_free_func(free_source);
    manager->listeners = g_ptr_array_new_with_free_func(free_listener);
    manager->orphans = g_ptr_array_new_with_free_func(free_listener);
    if (!pm_ram_take_manager(ram, manager, error))
        return NULL;
    manager->ram = pm_ram_ref(ram);
    if (!pm_blocks_init(&manager->blocks, pm_ram_get_size(ram), granularity, error))
        return NULL;
    pm_bitmap_set(manager->blocks.populated, 0, pm_bitmap_n_bits(manager->blocks.populated));
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
    g_ptr_array_unref(manager->sources);
    pm_blocks_clear(&manager->blocks);
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

bool pm_discard_manager_is_populated(const PmDiscardManager *manager, uint64_t offset,
                                     uint64_t size)
{
    PmGranules populated = pm_blocks_populated(&manager->blocks);

    return pm_granules_all_set(&populated, offset, size);
}

bool pm_discard_manager_is_discarded(const PmDiscardManager *manager, uint64_t offset,
                                     uint64_t size)
{
    PmGranules populated = pm_blocks_populated(&manager->blocks);

    return pm_granules_all_clear(&populated, offset, size);
}

bool pm_discard_manager_next_populated(const PmDiscardManager *manager, uint64_t offset,
                                       uint64_t end, uint64_t *run_offset, uint64_t *run_size)
{
    PmGranules populated = pm_blocks_populated(&manager->blocks);

    return pm_granules_next_set(&populated, offset, end, run_offset, run_size);
}

bool pm_discard_manager_next_discarded(const PmDiscardManager *manager, uint64_t offset,
                                       uint64_t end, uint64_t *run_offset, uint64_t *run_size)
{
    PmGranules populated = pm_blocks_populated(&manager->blocks);

    return pm_granules_next_clear(&populated, offset, end, run_offset, run_size);
}

bool pm_manager_check_range(const PmDiscardManager *manager, uint64_t granularity, uint64_t offset,
                            uint64_t size, GError **error)
{
    uint64_t ram_size = manager->blocks.size;

    if ((offset | size) & (granularity - 1))
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "offset 0x%" PRIx64 " and size 0x%" PRIx64
                       " must be multiples of the granularity 0x%" PRIx64,
                       offset, size, granularity);
    if (size == 0 || offset >= ram_size || size > ram_size - offset)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "0x%" PRIx64 " bytes at offset 0x%" PRIx64
                       " are not a range inside the RAM of 0x%" PRIx64 " bytes",
                       size, offset, ram_size);
    return true;
}

void pm_manager_keep_agreed(const PmDiscardManager *manager, const PmDiscardSource *except,
                            PmBitmap *bitmap, uint64_t offset, uint64_t end)
{
    for (guint i = 0; i < manager->sources->len; i++) {
        const PmDiscardSource *source = pm_manager_source_at(manager, i);

        if (source != except)
            pm_blocks_combine(&manager->blocks, bitmap, pm_bitmap_keep, &source->populated, offset,
                              end);
    }
}
