/* SPDX-License-Identifier: MIT */
#include "iommu/handover.h"

#include <errno.h>
#include <inttypes.h>

#include "base/error_text.h"
#include "iommu/claim.h"
#include "iommu/ownership.h"
#include "memory/ram_file.h"
#include "vfio/device_node.h"
#include "vfio/group.h"

/* --- files --- */

static void clear_file(void *file)
{
    g_free(((PmIommuFile *)file)->address);
}

void pm_iommu_files_init(PmIommuFiles *files)
{
    *files = (PmIommuFiles){.fd = -1};
    files->page_tables = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    files->files = g_array_new(FALSE, FALSE, sizeof(PmIommuFile));
    g_array_set_clear_func(files->files, clear_file);
}

bool pm_iommu_check_files(PmKernel *kernel, const PmIommuFiles *files, GError **error)
{
    for (guint i = 0; i < files->files->len; i++) {
        const PmIommuFile *file = &g_array_index(files->files, PmIommuFile, i);

        if (file->fd >= 0 &&
            !(file->address == NULL ? pm_vfio_check_group(kernel, file->fd, error)
                                    : pm_vfio_check_device(kernel, file->fd, error)))
            return false;
    }
    return true;
}

void pm_iommu_files_clear(PmIommuFiles *files)
{
    g_clear_pointer(&files->page_tables, g_array_unref);
    g_clear_pointer(&files->files, g_array_unref);
}

/* --- runs --- */

static PmIommuRequest request_of(const PmIommuClaim *claim, const PmIommuRun *run)
{
    return (PmIommuRequest){
        .iova = run->iova,
        .host = (uintptr_t)pm_ram_get_host(claim->ram) + run->ram_offset,
        .block_size = run->block_size,
        .n_blocks = run->n_blocks,
    };
}

typedef int (*RunFunc)(PmIommu *iommu, const PmIommuRequest *run);

/* Calls @func for each run. Returns the first result that is not 0; @all: nevertheless continues.
 */
static int for_each_run(PmIommu *iommu, RunFunc func, bool all, PmIommuRun *failed)
{
    int first = 0;

    for (PmIommuClaim *claim = pm_claim_find(iommu, 0); claim != NULL;
         claim = pm_claim_next(claim)) {
        uint64_t at = claim->iova;
        PmIommuRun run;

        while (pm_ledger_next_run(claim->ledger, at, &run)) {
            const PmIommuRequest request = request_of(claim, &run);
            int result = func(iommu, &request);

            if (first == 0 && result != 0) {
                first = result;
                *failed = run;
            }
            if (first != 0 && !all)
                return first;
            at = run.iova + (run.n_blocks * run.block_size - 1);
            if (at == claim->last)
                break;
            at++;
        }
    }
    return first;
}

static bool fail_run(int result, const PmIommuRun *run, const char *what, GError **error)
{
    switch (result) {
    case 0:
        return true;
    case -ENOMEM:
        (void)pm_fail(error, PM_ERROR_LOCKED_MEMORY,
                      "cannot %s the mappings from I/O address 0x%" PRIx64
                      " on: ENOMEM: they exceed this process's locked-memory limit: raise it "
                      "(ulimit -l)",
                      what, run->iova);
        break;
    case -ENOENT:
    case -EINVAL:
        (void)pm_fail(error, PM_ERROR_AUDIT,
                      "cannot %s the %" PRIu64 " mappings of 0x%" PRIx64
                      " bytes from I/O address 0x%" PRIx64 " on: the kernel has others there",
                      what, run->n_blocks, run->block_size, run->iova);
        break;
    default:
        return pm_fail_ioctl(error, -result, PM_SEE_KERNEL_LOG,
                             "handing over the mappings from I/O address 0x%" PRIx64 " on",
                             run->iova);
    }
    return pm_note_errno(error, -result);
}

/* --- the old owner --- */

void pm_iommu_handover_describe(PmIommu *iommu, PmIommuFiles *files)
{
    files->is_shared = iommu->is_shared;
    files->mapping_limit = iommu->mapping_limit;
    pm_iommu_lock_devices(iommu);
    iommu->own_ops->describe(iommu, files);
    pm_iommu_unlock_devices(iommu);
}

void pm_iommu_handover_cancel(PmIommu *iommu)
{
    pm_iommu_lock_all(iommu);
    pm_iommu_open_to_callers(iommu);
    pm_iommu_unlock_all(iommu);
}

bool pm_iommu_handover_invalidate(PmIommu *iommu, GError **error)
{
    PmIommuRun failed;
    int result = 0;

    pm_iommu_lock(iommu);
    if (iommu->own_ops->invalidate != NULL)
        result = for_each_run(iommu, iommu->own_ops->invalidate, false, &failed);
    pm_iommu_unlock(iommu);
    return fail_run(result, &failed, "invalidate the host addresses of", error);
}

static int change_process(PmIommu *iommu)
{
    return iommu->own_ops->change_process != NULL ? iommu->own_ops->change_process(iommu) : 0;
}

static bool fail_change(int result, GError **error)
{
    if (result == 0)
        return true;
    if (result != -ENOMEM)
        return pm_fail_ioctl(error, -result, PM_SEE_KERNEL_LOG,
                             "charging this process for the mappings");
    (void)pm_fail(error, PM_ERROR_LOCKED_MEMORY,
                  "cannot charge this process for the mappings: ENOMEM: they exceed its "
                  "locked-memory limit: raise it (ulimit -l)");
    return pm_note_errno(error, ENOMEM);
}

/* @all: continues after a failure. The lock is held. */
static bool set_addresses(PmIommu *iommu, bool all, GError **error)
{
    PmIommuRun failed;
    int result = change_process(iommu);

    if (result != 0 && !all)
        return fail_change(result, error);
    if (result == 0) {
        result = for_each_run(iommu, iommu->own_ops->set_address, all, &failed);
        return fail_run(result, &failed, "set the host addresses of", error);
    }
    return fail_change(result, error);
}

bool pm_iommu_handover_restore(PmIommu *iommu, GError **error)
{
    bool restored;

    pm_iommu_lock_all(iommu);
    restored = set_addresses(iommu, true, error);
    pm_iommu_open_to_callers(iommu);
    pm_iommu_unlock_all(iommu);
    return restored;
}

void pm_iommu_handover_let_go(PmIommu *iommu)
{
    pm_iommu_lock_all(iommu);
    pm_iommu_close_to_callers(iommu, PM_IOMMU_THEIRS);
    for (PmIommuClaim *claim = pm_claim_find(iommu, 0); claim != NULL;
         claim = pm_claim_next(claim)) {
        pm_claim_note(claim, claim->iova, claim->size, PM_LEDGER_UNMAPPED, 0);
        pm_ram_set_owner(claim->ram, PM_RAM_THEIRS);
    }
    iommu->own_ops->forget(iommu);
    pm_iommu_unlock_all(iommu);
}

/* --- the new owner --- */

void pm_iommu_handover_await(PmIommu *iommu)
{
    pm_iommu_lock_all(iommu);
    pm_iommu_close_to_callers(iommu, PM_IOMMU_AWAITED);
    pm_iommu_unlock_all(iommu);
}

bool pm_iommu_handover_take(PmIommu *iommu, GError **error)
{
    bool taken;

    pm_iommu_lock_all(iommu);
    taken = set_addresses(iommu, false, error);
    pm_iommu_unlock_all(iommu);
    return taken;
}

void pm_iommu_handover_own(PmIommu *iommu)
{
    pm_iommu_lock_all(iommu);
    pm_iommu_open_to_callers(iommu);
    for (PmIommuClaim *claim = pm_claim_find(iommu, 0); claim != NULL; claim = pm_claim_next(claim))
        pm_ram_set_owner(claim->ram, PM_RAM_OURS);
    pm_iommu_unlock_all(iommu);
}
