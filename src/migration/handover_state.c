/* SPDX-License-Identifier: MIT */
#include "migration/handover_state.h"

static void clear_region(void *region)
{
    g_free(((PmHandoverRegion *)region)->runs);
}

static void clear_mapper(void *mapper)
{
    g_array_unref(((PmHandoverMapper *)mapper)->regions);
}

static void clear_space(void *files)
{
    pm_iommu_files_clear(files);
}

void pm_handover_state_init(PmHandoverState *state)
{
    state->spaces = g_array_new(FALSE, FALSE, sizeof(PmIommuFiles));
    g_array_set_clear_func(state->spaces, clear_space);
    state->rams = g_array_new(FALSE, FALSE, sizeof(PmRamFile));
    state->ram_fds = g_array_new(FALSE, FALSE, sizeof(int));
    state->mappers = g_array_new(FALSE, FALSE, sizeof(PmHandoverMapper));
    g_array_set_clear_func(state->mappers, clear_mapper);
}

void pm_handover_state_clear(PmHandoverState *state)
{
    g_clear_pointer(&state->spaces, g_array_unref);
    g_clear_pointer(&state->rams, g_array_unref);
    g_clear_pointer(&state->ram_fds, g_array_unref);
    g_clear_pointer(&state->mappers, g_array_unref);
}

PmIommuFiles *pm_handover_state_add_space(PmHandoverState *state)
{
    PmIommuFiles files;

    pm_iommu_files_init(&files);
    g_array_append_val(state->spaces, files);
    return &g_array_index(state->spaces, PmIommuFiles, state->spaces->len - 1);
}

PmHandoverMapper *pm_handover_state_add_mapper(PmHandoverState *state)
{
    PmHandoverMapper mapper = {.space = 0};

    mapper.regions = g_array_new(FALSE, FALSE, sizeof(PmHandoverRegion));
    g_array_set_clear_func(mapper.regions, clear_region);
    g_array_append_val(state->mappers, mapper);
    return pm_handover_state_mapper(state, state->mappers->len - 1);
}

PmHandoverMapper *pm_handover_state_mapper(const PmHandoverState *state, size_t index)
{
    return &g_array_index(state->mappers, PmHandoverMapper, index);
}

PmHandoverRegion *pm_handover_mapper_region(const PmHandoverMapper *mapper, size_t index)
{
    return &g_array_index(mapper->regions, PmHandoverRegion, index);
}
