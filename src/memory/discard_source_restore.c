/* SPDX-License-Identifier: MIT */
#include "memory/discard_source_restore.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "memory/discard_change.h"
#include "memory/ram_private.h"

static bool check_restorable(const PmDiscardSource *source, GError **error)
{
    PmDiscardManager *manager = source->manager;

    if (!pm_ram_check_process(manager->ram, error))
        return false;
    pm_manager_refresh(manager);
    if (!pm_manager_check_no_quarantine(manager, 0, manager->blocks.size, error))
        return false;
    if (pm_discard_source_get_populated(source) == 0)
        return true;
    return pm_fail(error, PM_ERROR_BUSY,
                   "0x%" PRIx64 " bytes of %s are populated: discard everything first",
                   pm_discard_source_get_populated(source), source->name);
}

/* What is wanted, and what all others have populated. */
static void begin_restore(const PmDiscardSource *source, const PmGranules *wanted)
{
    PmBlocks *blocks = &source->manager->blocks;

    pm_blocks_combine(blocks, blocks->changing, pm_bitmap_add, wanted, 0, blocks->size);
    pm_manager_keep_agreed(source->manager, source, blocks->changing, 0, blocks->size);
}

static bool restore(const PmDiscardSource *source, unsigned prefault_threads, GError **error)
{
    PmDiscardManager *manager = source->manager;
    uint64_t size = manager->blocks.size;
    GError *cause = NULL;

    if (!pm_change_ask_populate(manager, 0, size, error) ||
        (prefault_threads > 0 && !pm_change_prefault(manager, 0, size, prefault_threads, error)))
        return false;
    if (!pm_change_notify_populate(manager, 0, size, &cause))
        return pm_manager_conclude_range(manager, 0, size, cause, error);
    pm_change_apply_populate(manager, 0, size);
    return true;
}

bool pm_discard_source_restore(PmDiscardSource *source, PmBitmap *wanted, unsigned prefault_threads,
                               GError **error)
{
    PmGranules granules = source->populated;
    bool done;

    if (!check_restorable(source, error))
        return false;
    granules.bits = wanted;
    begin_restore(source, &granules);
    done = restore(source, prefault_threads, error);
    pm_change_end(source->manager, 0, source->manager->blocks.size);
    if (done)
        pm_bitmap_add(source->populated.bits, wanted, 0, 0, pm_bitmap_n_bits(wanted));
    return done;
}

void pm_discard_source_free_discarded(PmDiscardSource *source)
{
    uint64_t offset = 0;
    uint64_t size = 0;

    while (pm_granules_next_clear(&source->populated, offset + size, source->populated.size,
                                  &offset, &size))
        pm_manager_give_back(source->manager, offset, size, NULL);
}

void pm_discard_source_keep_memory(PmDiscardSource *source)
{
    source->frees_memory = false;
}
