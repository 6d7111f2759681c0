/* SPDX-License-Identifier: MIT */
/* A discard manager with one source, as a virtio-mem device makes it. */
#ifndef PLUGMAP_TESTS_UTIL_SOURCE_UTIL_H
#define PLUGMAP_TESTS_UTIL_SOURCE_UTIL_H

#include <plugmap/discard_manager.h>

#include "memory/discard_manager_private.h"

/* The source has nothing populated, and frees memory. */
static inline PmDiscardManager *manager_with_source(PmRam *ram, uint64_t granularity,
                                                    GError **error)
{
    g_autoptr(PmDiscardManager) manager = pm_discard_manager_new(ram, granularity, error);
    const PmDiscardSourceConfig config = {
        .struct_size = sizeof(config),
        .name = "the source of the test",
        .granularity = granularity,
        .flags = PM_DISCARD_SOURCE_FREES_MEMORY,
    };

    if (manager == NULL || pm_discard_manager_add_source(manager, &config, error) == NULL)
        return NULL;
    return g_steal_pointer(&manager);
}

static inline PmDiscardSource *first_source(const PmDiscardManager *manager)
{
    return pm_manager_source_at(manager, 0);
}

static inline bool source_populate(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                                   unsigned prefault_threads, GError **error)
{
    return pm_discard_source_populate(first_source(manager), offset, size, 0, prefault_threads,
                                      error);
}

static inline bool source_discard(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                                  GError **error)
{
    return pm_discard_source_discard(first_source(manager), offset, size, 0, error);
}

static inline bool source_discard_all(PmDiscardManager *manager, GError **error)
{
    return pm_discard_source_discard_all(first_source(manager), error);
}

#endif
