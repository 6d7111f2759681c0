/* SPDX-License-Identifier: MIT */
/* Adds and removes sources. */
#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_private.h"
#include "base/error_text.h"
#include "base/sized.h"
#include "memory/discard_change.h"
#include "memory/ram_private.h"

#define ALL_FLAGS                                                                                  \
    (PM_DISCARD_SOURCE_FREES_MEMORY | PM_DISCARD_SOURCE_POPULATED | PM_DISCARD_SOURCE_KEEP_CONTENTS)

static bool check_name(const PmDiscardManager *manager, const char *name, GError **error)
{
    if (name == NULL || *name == '\0')
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid discard source: must have a name");
    for (guint i = 0; i < manager->sources->len; i++)
        if (g_str_equal(pm_manager_source_at(manager, i)->name, name))
            return pm_fail(error, PM_ERROR_BUSY,
                           "a discard source named %s exists: remove it first "
                           "(pm_discard_manager_remove_source()), or use another name",
                           name);
    return true;
}

static bool check_config(const PmDiscardManager *manager, const PmDiscardSourceConfig *config,
                         GError **error)
{
    if (!pm_ram_check_process(manager->ram, error) || !check_name(manager, config->name, error))
        return false;
    if ((config->flags & ~(uint64_t)ALL_FLAGS) != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid flags 0x%" PRIx64 " of the discard source %s", config->flags,
                       config->name);
    return pm_manager_check_granularity(manager->ram, config->granularity, error);
}

/* A listener has mapped whole blocks, and cannot unmap a part of one. */
static bool check_refinable(const PmDiscardManager *manager, const PmDiscardSourceConfig *config,
                            GError **error)
{
    const PmDiscardListener *listener;
    g_autofree char *fine = NULL;
    g_autofree char *coarse = NULL;

    if (config->granularity >= manager->blocks.granularity || manager->listeners->len == 0)
        return true;
    listener = pm_manager_listener_at(manager, 0);
    fine = pm_size_format(config->granularity);
    coarse = pm_size_format(manager->blocks.granularity);
    (void)pm_fail(error, PM_ERROR_BUSY,
                  "cannot add the discard source %s with a granularity of %s: %s follows blocks of "
                  "%s, and cannot unmap a part of one: add the source first, or make the discard "
                  "manager with this granularity (pm_discard_manager_new())",
                  config->name, fine, listener->name, coarse);
    if (error != NULL)
        pm_error_set_listener(*error, listener->name);
    return false;
}

static PmDiscardSource *make_source(PmDiscardManager *manager, const PmDiscardSourceConfig *config,
                                    GError **error)
{
    uint64_t size = manager->blocks.size;
    PmBitmap *bits = pm_bitmap_new(size / config->granularity);
    PmDiscardSource *source;

    if (bits == NULL) {
        g_autofree char *granules = pm_counted(size / config->granularity, "block");

        (void)pm_fail(error, PM_ERROR_MEMORY,
                      "cannot allocate the bitmap of the discard source %s for %s: use larger "
                      "blocks than 0x%" PRIx64,
                      config->name, granules, config->granularity);
        return NULL;
    }
    if (config->populated != NULL)
        pm_bitmap_load(bits, config->populated);
    else if ((config->flags & PM_DISCARD_SOURCE_POPULATED) != 0)
        pm_bitmap_set(bits, 0, pm_bitmap_n_bits(bits));
    source = g_new0(PmDiscardSource, 1);
    source->manager = manager;
    source->name = g_strdup(config->name);
    source->populated = (PmGranules){size, config->granularity, bits};
    source->frees_memory = (config->flags & PM_DISCARD_SOURCE_FREES_MEMORY) != 0;
    return source;
}

/* --- the granularity: nothing may be in quarantine, nor, if it becomes finer, a listener be
 * registered --- */

/* Makes the merged state from that of all sources. */
static void merge(PmDiscardManager *manager)
{
    PmBlocks *blocks = &manager->blocks;

    pm_bitmap_set(blocks->populated, 0, pm_bitmap_n_bits(blocks->populated));
    pm_manager_keep_agreed(manager, NULL, blocks->populated, 0, blocks->size);
}

/* @before: the blocks that are replaced. */
static bool replace_blocks(PmDiscardManager *manager, uint64_t granularity, PmBlocks *before,
                           GError **error)
{
    PmBlocks blocks;

    if (!pm_blocks_init(&blocks, manager->blocks.size, granularity, error))
        return false;
    *before = manager->blocks;
    manager->blocks = blocks;
    merge(manager);
    return true;
}

static bool has_quarantine(const PmDiscardManager *manager)
{
    return pm_manager_next_quarantined(manager, 0, manager->blocks.size) < manager->blocks.size;
}

bool pm_manager_coarsen(PmDiscardManager *manager)
{
    uint64_t granularity = manager->coarsest;
    PmBlocks before;

    for (guint i = 0; i < manager->sources->len; i++)
        granularity = MIN(granularity, pm_manager_source_at(manager, i)->populated.granularity);
    if (granularity <= manager->blocks.granularity || manager->listeners->len > 0 ||
        has_quarantine(manager) || !replace_blocks(manager, granularity, &before, NULL))
        return false;
    pm_blocks_clear(&before);
    return true;
}

/* --- adding --- */

/* The listeners have dropped it; on failure they get it back. */
static bool free_discarded(PmDiscardManager *manager, const PmDiscardSource *source, GError **error)
{
    uint64_t end = manager->blocks.size;
    uint64_t failed_at;

    if (pm_change_free_memory(manager, &source->populated, false, 0, end, &failed_at, error))
        return true;
    pm_change_redo_populate(manager, 0, end);
    pm_change_lose_contents(manager, &source->populated, false, 0, failed_at, end, *error);
    return false;
}

static bool discard_difference(PmDiscardManager *manager, const PmDiscardSource *source,
                               bool free_memory, GError **error)
{
    return pm_change_notify_discard(manager, 0, manager->blocks.size, error) &&
           (!free_memory || free_discarded(manager, source, error));
}

/* The blocks that are populated, but not in the new source. */
static void begin_add(PmDiscardManager *manager, const PmDiscardSource *source)
{
    PmBlocks *blocks = &manager->blocks;

    pm_bitmap_add(blocks->changing, blocks->populated, 0, 0, pm_bitmap_n_bits(blocks->changing));
    pm_blocks_combine(blocks, blocks->changing, pm_bitmap_subtract, &source->populated, 0,
                      blocks->size);
}

/* In one pass, because nobody has to be notified. */
static bool add_silently(PmDiscardManager *manager, const PmDiscardSource *source, bool free_memory,
                         GError **error)
{
    PmBlocks *blocks = &manager->blocks;
    GError *cause = NULL;

    if (free_memory && !free_discarded(manager, source, &cause))
        return pm_manager_conclude_range(manager, 0, blocks->size, cause, error);
    pm_blocks_combine(blocks, blocks->populated, pm_bitmap_keep, &source->populated, 0,
                      blocks->size);
    return true;
}

static bool ask_and_discard(PmDiscardManager *manager, const PmDiscardSource *source,
                            bool free_memory, GError **error)
{
    uint64_t size = manager->blocks.size;
    GError *cause = NULL;

    if (!pm_change_ask_discard(manager, 0, size, error))
        return false;
    if (!discard_difference(manager, source, free_memory, &cause)) {
        pm_change_cancel_discard(manager, 0, size);
        /* Nothing was in quarantine before. */
        return pm_manager_conclude_range(manager, 0, size, cause, error);
    }
    pm_change_apply_discard(manager, 0, size);
    return true;
}

static bool add(PmDiscardManager *manager, const PmDiscardSource *source, bool free_memory,
                GError **error)
{
    bool done;

    if (manager->listeners->len == 0)
        return add_silently(manager, source, free_memory, error);
    begin_add(manager, source);
    done = ask_and_discard(manager, source, free_memory, error);
    pm_change_end(manager, 0, manager->blocks.size);
    return done;
}

/* Where it is about to be finer, what is in quarantine now stays at the finer granularity. */
static bool refine_and_add(PmDiscardManager *manager, const PmDiscardSource *source,
                           bool free_memory, GError **error)
{
    PmBlocks before = {0};
    PmBlocks failed;
    bool done;

    if (source->populated.granularity < manager->blocks.granularity &&
        !replace_blocks(manager, source->populated.granularity, &before, error))
        return false;
    done = add(manager, source, free_memory, error);
    if (!done && before.size != 0 && !has_quarantine(manager)) {
        failed = manager->blocks;
        manager->blocks = before;
        before = failed;
    }
    if (before.size != 0)
        pm_blocks_clear(&before);
    return done;
}

static void fit_huge_pages(const PmDiscardManager *manager)
{
    uint64_t finest = UINT64_MAX;

    for (guint i = 0; i < manager->sources->len; i++) {
        const PmDiscardSource *source = pm_manager_source_at(manager, i);

        if (source->frees_memory)
            finest = MIN(finest, source->populated.granularity);
    }
    if (finest != UINT64_MAX)
        pm_ram_fit_huge_pages(manager->ram, finest);
}

static PmDiscardSource *add_source(PmDiscardManager *manager, const PmDiscardSourceConfig *config,
                                   GError **error)
{
    bool keep = (config->flags & PM_DISCARD_SOURCE_KEEP_CONTENTS) != 0;
    PmDiscardSource *source;

    if (!check_config(manager, config, error))
        return NULL;
    pm_manager_refresh(manager);
    if (!pm_manager_check_no_quarantine(manager, 0, manager->blocks.size, error) ||
        !check_refinable(manager, config, error))
        return NULL;
    source = make_source(manager, config, error);
    if (source == NULL)
        return NULL;
    if (!refine_and_add(manager, source, source->frees_memory && !keep, error)) {
        pm_discard_source_free(source);
        return NULL;
    }
    g_ptr_array_add(manager->sources, source);
    fit_huge_pages(manager);
    return source;
}

PmDiscardSource *pm_discard_manager_add_source(PmDiscardManager *manager,
                                               const PmDiscardSourceConfig *config, GError **error)
{
    PmDiscardSourceConfig known;

    if (!pm_sized_read("PmDiscardSourceConfig", &known, sizeof(known), config, error))
        return NULL;
    return add_source(manager, &known, error);
}

/* --- removing --- */

/* The blocks that all others have populated, and the source has not. */
static void begin_remove(PmDiscardManager *manager, const PmDiscardSource *source)
{
    PmBlocks *blocks = &manager->blocks;
    uint64_t n_blocks = pm_bitmap_n_bits(blocks->changing);

    pm_bitmap_set(blocks->changing, 0, n_blocks);
    pm_manager_keep_agreed(manager, source, blocks->changing, 0, blocks->size);
    pm_bitmap_subtract(blocks->changing, blocks->populated, 0, 0, n_blocks);
}

/* A listener may have faulted in what the source has discarded. */
static void free_difference(PmDiscardManager *manager, GError *cause)
{
    PmGranules changing = pm_blocks_changing(&manager->blocks);
    uint64_t offset = 0;
    uint64_t size = 0;

    while (pm_granules_next_set(&changing, offset + size, manager->blocks.size, &offset, &size))
        pm_manager_give_back(manager, offset, size, cause);
}

static bool remove_difference(PmDiscardManager *manager, const PmDiscardSource *source,
                              GError **error)
{
    uint64_t size = manager->blocks.size;
    GError *cause = NULL;

    if (!pm_change_ask_populate(manager, 0, size, error))
        return false;
    if (!pm_change_notify_populate(manager, 0, size, &cause)) {
        if (source->frees_memory)
            free_difference(manager, cause);
        return pm_manager_conclude_range(manager, 0, size, cause, error);
    }
    pm_change_apply_populate(manager, 0, size);
    return true;
}

static bool notify_of_removal(PmDiscardManager *manager, const PmDiscardSource *source,
                              GError **error)
{
    bool done;

    begin_remove(manager, source);
    done = remove_difference(manager, source, error);
    pm_change_end(manager, 0, manager->blocks.size);
    return done;
}

bool pm_discard_manager_remove_source(PmDiscardManager *manager, PmDiscardSource *source,
                                      GError **error)
{
    if (!g_ptr_array_find(manager->sources, source, NULL))
        return pm_fail(error, PM_ERROR_NOT_FOUND, "%p is not a source of this discard manager",
                       (void *)source);
    if (!pm_ram_check_process(manager->ram, error))
        return false;
    pm_manager_refresh(manager);
    if (!pm_manager_check_no_quarantine(manager, 0, manager->blocks.size, error))
        return false;
    if (manager->listeners->len > 0 && !notify_of_removal(manager, source, error))
        return false;
    g_ptr_array_remove(manager->sources, source);
    if (manager->listeners->len == 0 && !pm_manager_coarsen(manager))
        merge(manager);
    return true;
}
