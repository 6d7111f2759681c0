/* SPDX-License-Identifier: MIT */
/* What pm_generate() simulates. */
#ifndef PLUGMAP_SRC_GENERATE_GENERATE_CONFIG_H
#define PLUGMAP_SRC_GENERATE_GENERATE_CONFIG_H

#include "generate/geometry.h"
#include "generate/guest_memory.h"
#include "generate/step.h"
#include "trace/trace_region.h"

/*
 * @region: the device; the requested size at the start is 0.
 * @memory_block, @has_big_blocks: geometry.h.
 * @memory: guest_memory.h.
 * @entry_limit: how many blocks the host can map: it answers BUSY to a PLUG of more.
 * UINT64_MAX: no limit.
 * @steps: of PmStep, at least one.
 */
typedef struct {
    PmTraceRegion region;
    uint64_t memory_block;
    bool has_big_blocks;
    PmGuestMemoryConfig memory;
    uint64_t entry_limit;
    GArray *steps;
} PmGenerateConfig;

/* Validates region and steps, and sets @geometry. Errors: PM_ERROR_INVALID_ARGUMENT,
 * PM_ERROR_BAD_INPUT. */
bool pm_generate_config_check(const PmGenerateConfig *config, PmGuestGeometry *geometry,
                              GError **error);

#endif
