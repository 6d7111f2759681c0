/* SPDX-License-Identifier: MIT */
#include "generate/generate_config.h"

#include <plugmap/size.h>

#include "base/error_text.h"

static bool check_step(const PmTraceRegion *region, const PmStep *step, GError **error)
{
    g_autofree char *size = NULL;
    g_autofree char *block = NULL;
    g_autofree char *region_size = NULL;

    if (step->type != PM_STEP_RESIZE ||
        (step->size <= region->size && step->size % region->block_size == 0))
        return true;
    size = pm_size_format(step->size);
    block = pm_size_format(region->block_size);
    region_size = pm_size_format(region->size);
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "invalid step '%s': must be a multiple of the block size, %s, and at most the "
                   "region's size, %s",
                   size, block, region_size);
}

bool pm_generate_config_check(const PmGenerateConfig *config, PmGuestGeometry *geometry,
                              GError **error)
{
    const PmTraceRegion *region = &config->region;

    if (!pm_trace_region_check(region, error))
        return false;
    for (guint i = 0; i < config->steps->len; i++)
        if (!check_step(region, &g_array_index(config->steps, PmStep, i), error))
            return false;
    return pm_guest_geometry_init(geometry, region->address, region->size, region->block_size,
                                  config->memory_block, config->has_big_blocks, error);
}
