/* SPDX-License-Identifier: MIT */
#include "mapper/audit.h"

#include <inttypes.h>

#include "base/error_text.h"

typedef enum {
    NOT_MAPPED,
    MAPPED,
    MAPPED_OTHERWISE, /* not block by block: could not be unmapped block by block */
} MappedState;

static const char *const state_texts[] = {
    [NOT_MAPPED] = "not mapped",
    [MAPPED] = "mapped",
    [MAPPED_OTHERWISE] = "mapped in another size",
};

/* Whether @offset is populated; *@end: up to where the same is true. */
static bool populated_at(const PmRegion *region, uint64_t offset, uint64_t *end)
{
    uint64_t run_offset;
    uint64_t run_size;

    if (!pm_discard_manager_next_populated(region->manager, offset, region->size, &run_offset,
                                           &run_size)) {
        *end = region->size;
        return false;
    }
    *end = run_offset == offset ? offset + run_size : run_offset;
    return run_offset == offset;
}

/* How @offset is mapped; *@end: up to where the same is true, at a block boundary. */
static MappedState mapped_at(PmIommu *iommu, const PmRegion *region, uint64_t offset, uint64_t *end)
{
    uint64_t block_size = region->block_size;
    uint64_t iova = region->address + offset;
    PmIommuRun run;

    *end = region->size;
    if (!pm_iommu_next_run(iommu, iova, &run) || run.iova - region->address >= region->size)
        return NOT_MAPPED;
    if (run.iova >= iova + block_size) {
        *end = (run.iova - region->address) & -block_size;
        return NOT_MAPPED;
    }
    if (run.iova == iova && run.block_size == block_size) {
        *end = MIN(region->size, offset + run.n_blocks * block_size);
        return MAPPED;
    }
    *end = offset + block_size;
    return MAPPED_OTHERWISE;
}

static void fail_blocks(uint64_t address, uint64_t n_blocks, bool populated, MappedState state,
                        GError **error)
{
    g_autofree char *blocks = pm_counted(n_blocks, "block");

    (void)pm_fail(error, PM_ERROR_AUDIT,
                  "%s from 0x%" PRIx64
                  " up: %s and %s; reset the device, and look for an error before this one",
                  blocks, address, populated ? "plugged" : "not plugged", state_texts[state]);
}

void pm_audit_region(PmIommu *iommu, const PmRegion *region, PmMapperAudit *audit, GError **error)
{
    uint64_t offset = 0;

    while (offset < region->size) {
        uint64_t populated_end;
        uint64_t mapped_end;
        bool populated = populated_at(region, offset, &populated_end);
        MappedState state = mapped_at(iommu, region, offset, &mapped_end);
        uint64_t end = MIN(populated_end, mapped_end);
        uint64_t n_blocks = (end - offset) / region->block_size;

        audit->n_populated += populated ? n_blocks : 0;
        audit->n_mapped += state == MAPPED ? n_blocks : 0;
        if (state != (populated ? MAPPED : NOT_MAPPED)) {
            audit->n_mismatches += n_blocks;
            if (*error == NULL)
                fail_blocks(region->address + offset, n_blocks, populated, state, error);
        }
        offset = end;
    }
}
