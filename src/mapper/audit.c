/* SPDX-License-Identifier: MIT */
#include "mapper/audit.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "base/sized.h"

#define WAY_OUT                                                                                    \
    "Reset the machine (pm_virtio_mem_system_reset()) or have the guest unplug all of it"

typedef enum {
    NOT_MAPPED,
    MAPPED,
    MAPPED_ELSEWHERE,
    UNKNOWN,
} MappedState;

static const char *const state_texts[] = {
    [NOT_MAPPED] = "not mapped",
    [MAPPED] = "mapped",
    [MAPPED_ELSEWHERE] = "mapped to another part of the RAM",
    [UNKNOWN] = "possibly still mapped",
};

/* --- offsets are relative to the view --- */

/* Whether @offset is populated; *@end: the end of that state, at most @limit. Plain RAM is always
 * populated. The view may begin and end inside a block of the manager. */
static bool populated_at(const PmAuditView *view, uint64_t offset, uint64_t limit, uint64_t *end)
{
    uint64_t mask;
    uint64_t at = view->ram_offset + offset;
    uint64_t run_offset;
    uint64_t run_size;

    *end = limit;
    if (view->manager == NULL)
        return true;
    mask = pm_discard_manager_get_granularity(view->manager) - 1;
    if (!pm_discard_manager_next_populated(view->manager, at & ~mask,
                                           (view->ram_offset + limit + mask) & ~mask, &run_offset,
                                           &run_size))
        return false;
    if (run_offset > at) {
        *end = run_offset - view->ram_offset;
        return false;
    }
    *end = MIN(run_offset + run_size - view->ram_offset, limit);
    return true;
}

/* The state of @offset, a multiple of the block size; *@end: the end of blocks in that state. */
static MappedState mapped_at(const PmAuditView *view, uint64_t offset, uint64_t *end)
{
    uint64_t iova = pm_iommu_claim_get_iova(view->claim);
    PmIommuRun run;

    *end = view->size;
    if (!pm_iommu_claim_next_run(view->claim, offset, &run))
        return NOT_MAPPED;
    if (run.iova - iova > offset) {
        *end = run.iova - iova;
        return NOT_MAPPED;
    }
    *end = offset + run.n_blocks * run.block_size;
    if (run.unknown)
        return UNKNOWN;
    return run.ram_offset == view->ram_offset + offset ? MAPPED : MAPPED_ELSEWHERE;
}

static void fail_blocks(const PmAuditView *view, uint64_t offset, uint64_t n_blocks, bool populated,
                        MappedState state, GError **error)
{
    g_autofree char *blocks = pm_counted(n_blocks, "block");

    (void)pm_fail(error, state == UNKNOWN ? PM_ERROR_QUARANTINED : PM_ERROR_AUDIT,
                  "%s at guest address 0x%" PRIx64 ": %s, %s. Look for an earlier error. " WAY_OUT,
                  blocks, view->address + offset, populated ? "populated" : "not populated",
                  state_texts[state]);
}

void pm_audit_quarantine(const PmAuditView *view, GError **error)
{
    uint64_t start = view->ram_offset;
    uint64_t offset;
    uint64_t size;
    g_autofree char *listener = NULL;
    g_autofree char *reason = NULL;

    if (*error != NULL || view->manager == NULL ||
        !pm_discard_manager_next_quarantined(view->manager, start, &offset, &size, &listener,
                                             &reason) ||
        offset >= start + view->size)
        return;
    offset = MAX(offset, start) - start;
    size = MIN(size, view->size - offset);
    (void)pm_fail(error, PM_ERROR_QUARANTINED,
                  "0x%" PRIx64 " bytes at guest address 0x%" PRIx64
                  " are in quarantine because of %s: %s. " WAY_OUT,
                  size, view->address + offset, listener, reason);
}

void pm_audit_blocks(const PmAuditView *view, uint64_t offset, uint64_t limit, PmMapperAudit *audit,
                     GError **error)
{
    uint64_t block_size = pm_iommu_claim_get_block_size(view->claim);

    while (offset < limit) {
        uint64_t populated_end;
        uint64_t mapped_end;
        bool populated = populated_at(view, offset, limit, &populated_end);
        MappedState state = mapped_at(view, offset, &mapped_end);
        uint64_t end = MIN(populated_end, mapped_end);
        uint64_t n_blocks = (end - offset) / block_size;

        audit->n_populated += populated ? n_blocks : 0;
        audit->n_mapped += state == MAPPED ? n_blocks : 0;
        if (state != (populated ? MAPPED : NOT_MAPPED)) {
            audit->n_mismatches += n_blocks;
            if (*error == NULL)
                fail_blocks(view, offset, n_blocks, populated, state, error);
        }
        offset = end;
    }
}

/* Offsets of the blocks that overlap @range; false if there are none. */
static bool clip(const PmRegion *region, const PmIovaRange *range, uint64_t *offset,
                 uint64_t *limit)
{
    uint64_t address = region->config.address;
    uint64_t last = address + (region->config.size - 1);
    uint64_t block_size = pm_iommu_claim_get_block_size(region->claim);
    uint64_t start = range != NULL ? MAX(range->start, address) : address;

    if (range != NULL)
        last = MIN(last, range->last);
    if (start > last)
        return false;
    *offset = (start - address) / block_size * block_size;
    *limit = (last - address) / block_size * block_size + block_size;
    return true;
}

void pm_audit_region(const PmRegion *region, const PmIovaRange *range, PmMapperAudit *audit,
                     GError **error)
{
    const PmAuditView view = {
        .claim = region->claim,
        .manager = region->manager,
        .ram_offset = region->config.ram_offset,
        .size = region->config.size,
        .address = region->config.address,
    };
    uint64_t offset;
    uint64_t limit;

    if (region->claim == NULL)
        return;
    if (clip(region, range, &offset, &limit))
        pm_audit_blocks(&view, offset, limit, audit, error);
    pm_audit_quarantine(&view, error);
}

bool pm_audit_end(void *callers, const void *counts, size_t size, GError *first, GError **error)
{
    if (callers != NULL)
        pm_sized_write(callers, counts, size);
    if (first == NULL)
        return true;
    g_propagate_error(error, first);
    return false;
}
