/* SPDX-License-Identifier: MIT */
#include "iommu/handover.h"

#include <errno.h>
#include <inttypes.h>

#include <plugmap/discard_policy.h>

#include "base/error_text.h"
#include "iommu/claim.h"
#include "iommu/ownership.h"
#include "memory/ram_file.h"

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

static bool check_claim(PmIommuClaim *claim, GError **error)
{
    PmIommuRun run;
    uint64_t at = claim->iova;

    while (pm_ledger_n_unknown(claim->ledger) > 0 && pm_ledger_next_run(claim->ledger, at, &run)) {
        if (run.unknown)
            return pm_claim_fail_unknown(claim, run.iova, error);
        at = run.iova + (run.n_blocks * run.block_size - 1) + 1;
    }
    return pm_ram_check_file(claim->ram, claim->owner, error);
}

static bool is_of(PmIommu *iommu, uint64_t discard_claim)
{
    for (PmIommuClaim *claim = pm_claim_find(iommu, 0); claim != NULL; claim = pm_claim_next(claim))
        if (claim->discard_claim == discard_claim)
            return true;
    return false;
}

/* The new owner discards the RAM, and knows nothing of what others here have pinned. */
static bool check_discards(PmIommu *iommu, PmRam *ram, GError **error)
{
    PmDiscardClaim held = {.struct_size = sizeof(held)};
    g_autofree char *owner = NULL;

    while (pm_ram_next_discard_claim(ram, held.id, &held, &owner)) {
        if ((held.kind == PM_DISCARD_DISABLE || held.kind == PM_DISCARD_DISABLE_UNCOORDINATED) &&
            !is_of(iommu, held.id))
            return pm_fail(error, PM_ERROR_BUSY,
                           "cannot hand over the RAM at host address %p: %s relies on 0x%" PRIx64
                           " bytes at offset 0x%" PRIx64
                           ", and is not handed over with it: end that first",
                           pm_ram_get_host(ram), owner, held.size, held.offset);
        g_clear_pointer(&owner, g_free);
    }
    return true;
}

/* The lock is held. */
static bool check_all(PmIommu *iommu, GError **error)
{
    if (!pm_iommu_check_ours(iommu, false, error))
        return false;
    if (iommu->tracks_dirty)
        return pm_fail(error, PM_ERROR_BUSY,
                       "cannot hand over the address space while dirty tracking is on: stop it "
                       "first (pm_dirty_log_free(), or pm_iommu_set_dirty_tracking() without a "
                       "log)");
    for (PmIommuClaim *claim = pm_claim_find(iommu, 0); claim != NULL; claim = pm_claim_next(claim))
        if (!check_claim(claim, error) || !check_discards(iommu, claim->ram, error))
            return false;
    return iommu->own_ops->check_handover(iommu, error);
}

static bool check_process(const PmIommu *iommu, GError **error)
{
    return !pm_iommu_is_inherited(iommu) ||
           pm_fail(error, PM_ERROR_PERMISSION,
                   "cannot hand over the address space: " PM_KERNEL_CAUSE_INHERITED);
}

/* Opening and attaching devices takes the other lock only. */
static void lock_both(PmIommu *iommu)
{
    pm_iommu_lock(iommu);
    pm_iommu_lock_devices(iommu);
}

static void unlock_both(PmIommu *iommu)
{
    pm_iommu_unlock_devices(iommu);
    pm_iommu_unlock(iommu);
}

bool pm_iommu_handover_check(PmIommu *iommu, GError **error)
{
    bool right;

    if (!check_process(iommu, error))
        return false;
    lock_both(iommu);
    right = check_all(iommu, error);
    unlock_both(iommu);
    return right;
}

void pm_iommu_handover_describe(PmIommu *iommu, PmIommuFiles *files)
{
    files->is_shared = iommu->is_shared;
    files->mapping_limit = iommu->mapping_limit;
    pm_iommu_lock_devices(iommu);
    iommu->own_ops->describe(iommu, files);
    pm_iommu_unlock_devices(iommu);
}

bool pm_iommu_handover_begin(PmIommu *iommu, GError **error)
{
    bool begun;

    if (!check_process(iommu, error))
        return false;
    lock_both(iommu);
    begun = check_all(iommu, error);
    if (begun)
        pm_iommu_close_to_callers(iommu, PM_IOMMU_BETWEEN);
    unlock_both(iommu);
    return begun;
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

    lock_both(iommu);
    restored = set_addresses(iommu, true, error);
    pm_iommu_open_to_callers(iommu);
    unlock_both(iommu);
    return restored;
}

void pm_iommu_handover_let_go(PmIommu *iommu)
{
    lock_both(iommu);
    pm_iommu_close_to_callers(iommu, PM_IOMMU_THEIRS);
    for (PmIommuClaim *claim = pm_claim_find(iommu, 0); claim != NULL;
         claim = pm_claim_next(claim)) {
        pm_claim_note(claim, claim->iova, claim->size, PM_LEDGER_UNMAPPED, 0);
        pm_ram_set_owner(claim->ram, PM_RAM_THEIRS);
    }
    iommu->own_ops->forget(iommu);
    unlock_both(iommu);
}

/* --- the new owner --- */

void pm_iommu_handover_await(PmIommu *iommu)
{
    lock_both(iommu);
    pm_iommu_close_to_callers(iommu, PM_IOMMU_AWAITED);
    unlock_both(iommu);
}

bool pm_iommu_handover_take(PmIommu *iommu, GError **error)
{
    bool taken;

    lock_both(iommu);
    taken = set_addresses(iommu, false, error);
    unlock_both(iommu);
    return taken;
}

void pm_iommu_handover_own(PmIommu *iommu)
{
    lock_both(iommu);
    pm_iommu_open_to_callers(iommu);
    for (PmIommuClaim *claim = pm_claim_find(iommu, 0); claim != NULL; claim = pm_claim_next(claim))
        pm_ram_set_owner(claim->ram, PM_RAM_OURS);
    unlock_both(iommu);
}
