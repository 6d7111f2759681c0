/* SPDX-License-Identifier: MIT */
#include "trace/replay_audit.h"

#include <inttypes.h>

#include "base/error_text.h"

static bool check_mapper(const PmReplayAuditSubject *subject, GError **error)
{
    return pm_mapper_audit(subject->mapper, NULL, error);
}

/* What the device can reach, from the page table, is what is plugged; type1 has one mapping a
 * block. */
static bool check_page_table(const PmReplayAuditSubject *subject, GError **error)
{
    PmDiscardManager *manager = pm_virtio_mem_get_manager(subject->device);
    uint64_t address = pm_virtio_mem_get_address(subject->device);
    uint64_t region_size = pm_virtio_mem_get_region_size(subject->device);
    uint64_t n_blocks = pm_virtio_mem_get_plugged_size(subject->device) /
                        pm_virtio_mem_get_block_size(subject->device);
    uint64_t n_mappings = pm_fake_kernel_get_n_mappings(subject->fake, subject->group);
    uint64_t iova = 0;
    uint64_t offset = 0;
    uint64_t size = 0;
    bool translated;
    bool plugged;

    do {
        uint64_t run_iova = 0;
        uint64_t run_size = 0;

        translated = pm_fake_kernel_next_translated(subject->fake, subject->group, iova, &run_iova,
                                                    &run_size);
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
    if (n_mappings != n_blocks)
        return pm_fail(error, PM_ERROR_AUDIT,
                       "the kernel has %" PRIu64 " mappings for %" PRIu64 " plugged blocks",
                       n_mappings, n_blocks);
    return true;
}

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
    return true;
}

const PmReplayAudit pm_replay_audits[PM_REPLAY_N_AUDITS] = {
    {check_mapper, false},
    {check_page_table, true},
    {check_resident, false},
};
