/* SPDX-License-Identifier: MIT */
#include "iommu/watch.h"

#include "iommu/claim.h"
#include "iommu/dirty.h"

void pm_watch_notify(const PmIommuClaim *claim, uint64_t ram_offset, uint64_t size)
{
    const GPtrArray *watches = claim->iommu->watches;

    for (guint i = 0; watches != NULL && i < watches->len; i++) {
        const PmIommuWatch *watch = watches->pdata[i];

        watch->unmapping(watch->user_data, claim->ram, (PmRamOffset){ram_offset}, size);
    }
}

void pm_watch_notify_blocks(const PmIommuClaim *claim, uint64_t iova, uint64_t last)
{
    PmIommuRun run;

    if (claim->iommu->watches == NULL)
        return;
    while (pm_ledger_next_run(claim->ledger, iova, &run) && run.iova <= last) {
        uint64_t n_blocks = MIN(run.n_blocks, (last - run.iova) / run.block_size + 1);
        uint64_t size = n_blocks * run.block_size;

        pm_watch_notify(claim, run.ram_offset, size);
        iova = run.iova + (size - 1);
        if (iova++ == last)
            break;
    }
}

static void notify_all(PmIommu *iommu)
{
    PmIommuClaim *claim = pm_iommu_is_inherited(iommu) ? NULL : pm_claim_find(iommu, 0);

    for (; claim != NULL; claim = pm_claim_next(claim))
        pm_watch_notify_blocks(claim, claim->iova, claim->last);
}

bool pm_watch_start_tracking(PmIommu *iommu, GError **error)
{
    if (iommu->tracks_dirty)
        return true;
    if (!iommu->ops->set_dirty_tracking(iommu, true, error))
        return false;
    if (iommu->watches != NULL)
        notify_all(iommu);
    return true;
}

/* The lock is held. Devices that do not support tracking may be gone since the first watch. */
static bool add_watch(PmIommu *iommu, const PmIommuWatch *watch, GError **error)
{
    bool tracked = iommu->tracks_dirty;

    if (pm_iommu_get_dirty_kind(iommu) != PM_IOMMU_DIRTY_NONE &&
        !pm_watch_start_tracking(iommu, error))
        return false;
    if (iommu->watches == NULL) {
        iommu->tracked_before = tracked;
        iommu->watches = g_ptr_array_new();
    }
    g_ptr_array_add(iommu->watches, (void *)watch);
    notify_all(iommu);
    return true;
}

bool pm_iommu_add_watch(PmIommu *iommu, const PmIommuWatch *watch, GError **error)
{
    bool added;

    pm_iommu_lock(iommu);
    added = add_watch(iommu, watch, error);
    pm_iommu_unlock(iommu);
    return added;
}

/* The lock is held. */
static bool remove_watch(PmIommu *iommu, const PmIommuWatch *watch, GError **error)
{
    notify_all(iommu);
    g_ptr_array_remove(iommu->watches, (void *)watch);
    if (iommu->watches->len > 0)
        return true;
    g_clear_pointer(&iommu->watches, g_ptr_array_unref);
    return !iommu->tracks_dirty || iommu->tracked_before || pm_iommu_is_inherited(iommu) ||
           iommu->ops->set_dirty_tracking(iommu, false, error);
}

bool pm_iommu_remove_watch(PmIommu *iommu, const PmIommuWatch *watch, GError **error)
{
    bool removed;

    pm_iommu_lock(iommu);
    removed = remove_watch(iommu, watch, error);
    pm_iommu_unlock(iommu);
    return removed;
}

void pm_watch_close(PmIommu *iommu)
{
    g_autoptr(GPtrArray) watches = NULL;

    notify_all(iommu);
    watches = g_steal_pointer(&iommu->watches);
    for (guint i = 0; watches != NULL && i < watches->len; i++) {
        const PmIommuWatch *watch = watches->pdata[i];

        watch->closing(watch->user_data);
    }
}

/* --- reading by offset in the RAM --- */

static void mark_run(const PmDirtyReading *reading, const PmIommuRun *run)
{
    pm_dirty_set_pages(reading, run->ram_offset, run->n_blocks * run->block_size);
}

static bool read_claim(PmIommuClaim *claim, PmDirtyReading *reading, GError **error)
{
    PmIommu *iommu = claim->iommu;
    uint64_t at = claim->iova;
    bool read = true;
    PmIommuRun run;

    while (read && pm_ledger_next_run(claim->ledger, at, &run)) {
        reading->iova = run.iova;
        reading->offset = run.ram_offset;
        if (iommu->tracks_dirty)
            read = pm_dirty_read_run(iommu, reading, run, error);
        else
            mark_run(reading, &run);
        at = run.iova + (run.n_blocks * run.block_size - 1);
        if (at++ == claim->last)
            break;
    }
    return read;
}

bool pm_iommu_read_dirty_ram(PmIommu *iommu, const PmRam *ram, uint64_t page_size, uint64_t *bitmap,
                             GError **error)
{
    PmDirtyReading reading = {.page_size = page_size};
    bool read = true;

    reading.bitmap = bitmap;
    pm_iommu_lock(iommu);
    for (PmIommuClaim *claim = pm_claim_find(iommu, 0); read && claim != NULL;
         claim = pm_claim_next(claim))
        if (claim->ram == ram && claim->is_written)
            read = read_claim(claim, &reading, error);
    pm_iommu_unlock(iommu);
    return read;
}
