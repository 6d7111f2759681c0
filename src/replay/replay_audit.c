/* SPDX-License-Identifier: MIT */
#include "replay/replay_audit.h"

#include <inttypes.h>

#include <plugmap/fake.h>

#include "base/error_text.h"

static bool check_mapper(const PmReplayAuditSubject *subject, GError **error)
{
    return pm_mapper_audit(subject->mapper, NULL, error);
}

/* What the device can reach in the region, from the page table, is what is plugged. */
static bool check_page_table(const PmReplayAuditSubject *subject, GError **error)
{
    PmDiscardManager *manager = pm_virtio_mem_get_manager(subject->device);
    uint64_t address = pm_virtio_mem_get_address(subject->device);
    uint64_t region_size = pm_virtio_mem_get_region_size(subject->device);
    uint64_t iova = address;
    uint64_t offset = 0;
    uint64_t size = 0;
    bool translated;
    bool plugged;

    do {
        uint64_t run_iova = 0;
        uint64_t run_size = 0;

        translated = pm_fake_kernel_next_translated(subject->fake, subject->group, iova, &run_iova,
                                                    &run_size) &&
                     run_iova - address < region_size;
        plugged =
            pm_discard_manager_next_populated(manager, offset + size, region_size, &offset, &size);
        if (translated != plugged ||
            (plugged && (run_iova != address + offset || run_size != size)))
            return pm_fail(error, PM_ERROR_AUDIT,
                           "the page table has 0x%" PRIx64 " bytes from 0x%" PRIx64
                           " up where 0x%" PRIx64 " bytes from 0x%" PRIx64 " up are plugged",
                           run_size, run_iova, plugged ? size : 0, address + offset);
        iova = run_iova + run_size;
    } while (plugged);
    return true;
}

/* Too little is the worst there is: a device reaches pages that were given back under its mapping,
 * and nobody else does. */
static bool check_resident(const PmReplayAuditSubject *subject, GError **error)
{
    PmRam *ram = pm_discard_manager_get_ram(pm_virtio_mem_get_manager(subject->device));
    uint64_t plugged = pm_virtio_mem_get_plugged_size(subject->device);
    uint64_t resident;

    if (!pm_ram_resident(ram, 0, pm_ram_get_size(ram), &resident, error))
        return false;
    if (resident > plugged)
        return pm_fail(error, PM_ERROR_AUDIT,
                       "%" PRIu64 " bytes are in memory where %" PRIu64 " are plugged", resident,
                       plugged);
    if (subject->all_resident && resident < plugged)
        return pm_fail(error, PM_ERROR_AUDIT,
                       "%" PRIu64 " bytes are in memory where %" PRIu64
                       " are plugged: some were given back under their mapping (or, on a fake "
                       "kernel, which does not hold them, swapped out)",
                       resident, plugged);
    return true;
}

/* A replay is alone in its process. */
static bool check_locked(const PmReplayAuditSubject *subject, GError **error)
{
    return pm_iommu_audit(subject->iommu, PM_IOMMU_AUDIT_SOLE_LOCKER, error);
}

static bool check_dma(const PmReplayAuditSubject *subject, GError **error)
{
    return pm_dma_check_run(subject->dma_check, error);
}

static bool always(const PmReplayAuditSubject *subject G_GNUC_UNUSED)
{
    return true;
}

static bool on_fake(const PmReplayAuditSubject *subject)
{
    return subject->fake != NULL;
}

static bool with_dma_check(const PmReplayAuditSubject *subject)
{
    return subject->dma_check != NULL;
}

const PmReplayAudit pm_replay_audits[PM_REPLAY_N_AUDITS] = {
    {always, check_mapper}, {on_fake, check_page_table}, {always, check_resident},
    {always, check_locked}, {with_dma_check, check_dma},
};
