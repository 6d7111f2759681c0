/* SPDX-License-Identifier: MIT */
/* Populate and discard of one source. */
#include <inttypes.h>

#include "base/error_text.h"
#include "memory/discard_change.h"
#include "memory/ram_private.h"

#define ALL_FLAGS (PM_DISCARD_CHANGE_MIXED | PM_DISCARD_CHANGE_KEEP_CONTENTS)

static bool check_state(const PmDiscardSource *source, uint64_t offset, uint64_t size,
                        bool populated, GError **error)
{
    const char *state = populated ? "populated" : "discarded";

    if (populated ? pm_granules_all_set(&source->populated, offset, size)
                  : pm_granules_all_clear(&source->populated, offset, size))
        return true;
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "0x%" PRIx64 " bytes at offset 0x%" PRIx64
                   " are not wholly %s: call pm_discard_source_next_%s() first",
                   size, offset, state, state);
}

/* @populated: the state before. */
static bool check_change(const PmDiscardSource *source, uint64_t offset, uint64_t size,
                         bool populated, unsigned flags, GError **error)
{
    PmDiscardManager *manager = source->manager;

    if (!pm_ram_check_process(manager->ram, error))
        return false;
    if ((flags & ~(unsigned)ALL_FLAGS) != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "invalid flags 0x%x of a change of %s",
                       flags, source->name);
    if (!pm_manager_check_range(manager, source->populated.granularity, offset, size, error))
        return false;
    pm_manager_refresh(manager);
    return pm_manager_check_no_quarantine(manager, offset, offset + size, error) &&
           ((flags & PM_DISCARD_CHANGE_MIXED) != 0 ||
            check_state(source, offset, size, populated, error));
}

static bool frees(const PmDiscardSource *source, unsigned flags)
{
    return source->frees_memory && (flags & PM_DISCARD_CHANGE_KEEP_CONTENTS) == 0;
}

/* What the source has discarded in [@offset, @end), and a failed populate may have touched. */
static void give_back(const PmDiscardSource *source, uint64_t offset, uint64_t end, GError *cause)
{
    uint64_t size = 0;

    while (pm_granules_next_clear(&source->populated, offset + size, end, &offset, &size))
        pm_manager_give_back(source->manager, offset, size, cause);
}

/* The blocks that all others have populated, and that are not populated already. */
static void begin_populate(const PmDiscardSource *source, uint64_t offset, uint64_t end)
{
    PmBlocks *blocks = &source->manager->blocks;
    PmGranules changing = pm_blocks_changing(blocks);

    pm_granules_set(&changing, offset, end - offset);
    pm_manager_keep_agreed(source->manager, source, changing.bits, offset, end);
    pm_bitmap_subtract(changing.bits, blocks->populated, 0, offset / blocks->granularity,
                       end / blocks->granularity);
}

static bool populate(PmDiscardSource *source, uint64_t offset, uint64_t size, unsigned flags,
                     unsigned prefault_threads, GError **error)
{
    PmDiscardManager *manager = source->manager;
    uint64_t end = offset + size;
    GError *cause = NULL;

    if (!pm_change_ask_populate(manager, offset, end, error))
        return false;
    if ((prefault_threads > 0 &&
         !pm_change_prefault(manager, offset, end, prefault_threads, &cause)) ||
        !pm_change_notify_populate(manager, offset, end, &cause)) {
        if (frees(source, flags))
            give_back(source, offset, end, cause);
        return pm_manager_conclude_range(manager, offset, size, cause, error);
    }
    pm_change_apply_populate(manager, offset, end);
    pm_granules_set(&source->populated, offset, size);
    return true;
}

bool pm_discard_source_populate(PmDiscardSource *source, uint64_t offset, uint64_t size,
                                unsigned flags, unsigned prefault_threads, GError **error)
{
    bool done;

    if (!check_change(source, offset, size, false, flags, error))
        return false;
    begin_populate(source, offset, offset + size);
    done = populate(source, offset, size, flags, prefault_threads, error);
    pm_change_end(source->manager, offset, offset + size);
    return done;
}

/* The blocks that are populated, so that all others have them populated. */
static void begin_discard(const PmDiscardSource *source, uint64_t offset, uint64_t end)
{
    const PmBlocks *blocks = &source->manager->blocks;

    pm_bitmap_add(blocks->changing, blocks->populated, 0, offset / blocks->granularity,
                  end / blocks->granularity);
}

static bool notify_and_free(PmDiscardSource *source, uint64_t offset, uint64_t end, unsigned flags,
                            GError **error)
{
    PmDiscardManager *manager = source->manager;
    uint64_t failed_at;

    if (!pm_change_notify_discard(manager, offset, end, error))
        return false;
    if (!frees(source, flags) ||
        pm_change_free_memory(manager, &source->populated, true, offset, end, &failed_at, error))
        return true;
    pm_change_redo_populate(manager, offset, end);
    pm_change_lose_contents(manager, &source->populated, true, offset, failed_at, end, *error);
    return false;
}

static bool discard(PmDiscardSource *source, uint64_t offset, uint64_t size, unsigned flags,
                    GError **error)
{
    PmDiscardManager *manager = source->manager;
    GError *cause = NULL;

    if (!pm_change_ask_discard(manager, offset, offset + size, error))
        return false;
    if (!notify_and_free(source, offset, offset + size, flags, &cause)) {
        pm_change_cancel_discard(manager, offset, offset + size);
        return pm_manager_conclude_range(manager, offset, size, cause, error);
    }
    pm_change_apply_discard(manager, offset, offset + size);
    pm_granules_clear(&source->populated, offset, size);
    return true;
}

bool pm_discard_source_discard(PmDiscardSource *source, uint64_t offset, uint64_t size,
                               unsigned flags, GError **error)
{
    bool done;

    if (!check_change(source, offset, size, true, flags, error))
        return false;
    begin_discard(source, offset, offset + size);
    done = discard(source, offset, size, flags, error);
    pm_change_end(source->manager, offset, offset + size);
    return done;
}
