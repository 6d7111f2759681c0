/* SPDX-License-Identifier: MIT */
#include "replay/replay_audit.h"

#include <inttypes.h>

#include <plugmap/fake.h>

#include "base/error_text.h"

typedef bool (*CheckRangeFunc)(const PmReplayAuditSubject *subject, const PmIovaRange *range,
                               GError **error);

static bool check_ranges(const PmReplayAuditSubject *subject, CheckRangeFunc check, GError **error)
{
    for (size_t i = 0; i < subject->scope->n_ranges; i++)
        if (!check(subject, &subject->scope->ranges[i], error))
            return false;
    return true;
}

/* NULL: also what lies outside the region. */
static const PmIovaRange *unless_everything(const PmReplayAuditSubject *subject,
                                            const PmIovaRange *range)
{
    return subject->scope->everything ? NULL : range;
}

static bool check_mapped_range(const PmReplayAuditSubject *subject, const PmIovaRange *range,
                               GError **error)
{
    return pm_mapper_audit(subject->mapper, unless_everything(subject, range), NULL, error);
}

static bool check_mapper(const PmReplayAuditSubject *subject, GError **error)
{
    if (subject->guest != NULL)
        return pm_replay_guest_check_mapped(subject->guest, subject->n_own, error);
    return check_ranges(subject, check_mapped_range, error);
}

/* Compares the page table with what is populated. */
static bool check_translated_range(const PmReplayAuditSubject *subject, const PmIovaRange *range,
                                   GError **error)
{
    PmDiscardManager *manager = pm_virtio_mem_get_manager(subject->device);
    uint64_t address = pm_virtio_mem_get_address(subject->device);
    uint64_t end = range->last - address + 1;
    uint64_t iova = range->start;
    uint64_t offset = iova - address;
    uint64_t size = 0;
    bool translated;
    bool populated;

    do {
        uint64_t run_iova = 0;
        uint64_t run_size = 0;

        translated = iova <= range->last &&
                     pm_fake_kernel_next_translated(subject->fake, subject->group, iova,
                                                    range->last, &run_iova, &run_size);
        populated = pm_discard_manager_next_populated(manager, offset + size, end, &offset, &size);
        if (translated != populated ||
            (populated && (run_iova != address + offset || run_size != size)))
            return pm_fail(error, PM_ERROR_AUDIT,
                           "page table maps 0x%" PRIx64 " bytes at 0x%" PRIx64 ", but 0x%" PRIx64
                           " bytes at 0x%" PRIx64 " are populated",
                           run_size, run_iova, populated ? size : 0, address + offset);
        iova = run_iova + run_size;
    } while (populated);
    return true;
}

static bool check_page_table(const PmReplayAuditSubject *subject, GError **error)
{
    if (subject->guest != NULL)
        return pm_replay_guest_check_page_table(subject->guest, subject->device, subject->fake,
                                                subject->group, error);
    return check_ranges(subject, check_translated_range, error);
}

/* A range of conversions may begin inside a block. */
static uint64_t count_plugged(const PmReplayAuditSubject *subject, uint64_t first, uint64_t end)
{
    const PmDiscardSource *source = pm_virtio_mem_get_source(subject->device);
    uint64_t block_size = pm_virtio_mem_get_block_size(subject->device);
    uint64_t offset = first - first % block_size;
    uint64_t block_end = (end + block_size - 1) / block_size * block_size;
    uint64_t plugged = 0;
    uint64_t size = 0;

    while (pm_discard_source_next_populated(source, offset + size, block_end, &offset, &size))
        plugged += MIN(offset + size, end) - MAX(offset, first);
    return plugged;
}

static uint64_t count_populated(const PmReplayAuditSubject *subject, uint64_t first, uint64_t end)
{
    const PmDiscardManager *manager = pm_virtio_mem_get_manager(subject->device);
    uint64_t populated = 0;
    uint64_t offset = first;
    uint64_t size = 0;

    while (pm_discard_manager_next_populated(manager, offset + size, end, &offset, &size))
        populated += size;
    return populated;
}

/* Plugged memory that is private may be resident, but need not be. Too few resident bytes is the
 * worst case: pages were discarded while mapped, and the device does DMA to pages that nobody else
 * sees. */
static bool check_resident_range(const PmReplayAuditSubject *subject, const PmIovaRange *range,
                                 GError **error)
{
    PmRam *ram = pm_discard_manager_get_ram(pm_virtio_mem_get_manager(subject->device));
    uint64_t address = pm_virtio_mem_get_address(subject->device);
    uint64_t first = range->start - address;
    uint64_t end = range->last - address + 1;
    uint64_t plugged = count_plugged(subject, first, end);
    uint64_t populated = count_populated(subject, first, end);
    uint64_t resident;

    if (!pm_ram_resident(ram, first, end - first, &resident, error))
        return false;
    if (resident > plugged)
        return pm_fail(error, PM_ERROR_AUDIT,
                       "0x%" PRIx64 "-0x%" PRIx64 ": %" PRIu64 " bytes resident, %" PRIu64
                       " plugged",
                       range->start, range->last, resident, plugged);
    if (subject->all_resident && resident < populated)
        return pm_fail(error, PM_ERROR_AUDIT,
                       "0x%" PRIx64 "-0x%" PRIx64 ": %" PRIu64 " bytes resident, %" PRIu64
                       " populated: some were discarded while mapped (or swapped out, on a fake "
                       "kernel, which does not pin)",
                       range->start, range->last, resident, populated);
    return true;
}

static bool check_resident(const PmReplayAuditSubject *subject, GError **error)
{
    return check_ranges(subject, check_resident_range, error);
}

/* Nothing else in this process locks memory. */
static bool check_locked(const PmReplayAuditSubject *subject, GError **error)
{
    return pm_iommu_audit(subject->iommu, unless_everything(subject, subject->scope->ranges),
                          PM_IOMMU_AUDIT_SOLE_LOCKER, error);
}

/* A single call, because it also samples the whole region. */
static bool check_dma(const PmReplayAuditSubject *subject, GError **error)
{
    const PmAuditScope *scope = subject->scope;
    const PmIovaRange all = {scope->ranges[0].start, scope->ranges[scope->n_ranges - 1].last};

    if (subject->guest != NULL)
        return pm_replay_guest_check_dma(subject->guest, subject->device, subject->dma_check,
                                         error);
    return pm_dma_check_run(subject->dma_check, &all, error);
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
