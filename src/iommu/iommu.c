/* SPDX-License-Identifier: MIT */
#include "iommu/iommu.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "base/sized.h"
#include "iommu/budget.h"
#include "iommu/claim.h"
#include "iommu/iommu_error.h"
#include "kernel/kernel_calls.h"

/* How often closing retries to unmap abandoned claims before the files are closed. */
#define N_LAST_TRIES 3

void pm_iommu_init(PmIommu *iommu, const PmIommuOps *ops, PmKernel *kernel)
{
    iommu->ops = ops;
    iommu->own_ops = ops;
    iommu->kernel = pm_kernel_ref(kernel);
    iommu->claims = pm_range_map_new(sizeof(PmClaimRecord));
    pthread_mutex_init(&iommu->lock, NULL);
    pthread_mutex_init(&iommu->devices_lock, NULL);
    g_atomic_ref_count_init(&iommu->references);
    g_atomic_ref_count_init(&iommu->holders);
    pm_budget_open(iommu);
}

PmIommu *pm_iommu_ref(PmIommu *iommu)
{
    g_atomic_ref_count_inc(&iommu->references);
    return iommu;
}

/* Inherited mappings belong to the parent process. */
static void close_files(PmIommu *iommu)
{
    bool gone = pm_iommu_is_inherited(iommu);
    bool settled = false;

    pm_watch_close(iommu);
    /* An error may be transient, and nobody retries later. */
    for (unsigned i = 0; i < N_LAST_TRIES && !settled; i++)
        settled = pm_claims_settle(iommu, NULL);
    if (!gone && iommu->ops->end != NULL)
        gone = iommu->ops->end(iommu);
    iommu->closed = true;
    pm_claims_close(iommu, gone);
    if (pm_claim_find(iommu, 0) == NULL) /* else it may keep memory locked */
        pm_budget_close(iommu);
    iommu->ops->free(iommu);
}

void pm_iommu_unref(PmIommu *iommu)
{
    if (iommu == NULL || !g_atomic_ref_count_dec(&iommu->references))
        return;
    pm_iommu_lock(iommu);
    close_files(iommu);
    pm_iommu_unlock(iommu);
    pm_iommu_drop_holder(iommu);
}

uint64_t pm_iommu_get_page_sizes(const PmIommu *iommu)
{
    return pm_iommu_geometry(iommu)->page_sizes;
}

const PmIovaRange *pm_iommu_get_iova_ranges(const PmIommu *iommu, size_t *n_ranges)
{
    const PmIommuGeometry *geometry = pm_iommu_geometry(iommu);

    *n_ranges = geometry->n_ranges;
    return geometry->ranges;
}

bool pm_iommu_check_claims(PmIommu *iommu, const char *device, GError **error)
{
    const PmIommuClaim *outside = pm_claim_find_outside(iommu);

    if (outside == NULL)
        return true;
    return pm_fail(error, PM_ERROR_IOVA_RANGE,
                   "cannot attach %s: it does not reach all I/O addresses of %s, 0x%" PRIx64
                   "-0x%" PRIx64
                   ". Move that claim, or give the device an address space of its own",
                   device, outside->owner, outside->iova, outside->last);
}

bool pm_iommu_attach(PmIommu *iommu, const char *device, GError **error)
{
    bool attached;

    pm_iommu_lock(iommu);
    pm_iommu_lock_devices(iommu);
    attached = iommu->ops->attach(iommu, device, error);
    pm_iommu_unlock_devices(iommu);
    pm_iommu_unlock(iommu);
    if (attached)
        pm_log(G_LOG_LEVEL_INFO, "attached %s", device);
    return attached;
}

bool pm_iommu_attach_fd(PmIommu *iommu, const char *device, int fd, uint32_t *device_id,
                        GError **error)
{
    bool attached;

    pm_iommu_lock(iommu);
    pm_iommu_lock_devices(iommu);
    attached = iommu->ops->attach_fd(iommu, device, fd, device_id, error);
    pm_iommu_unlock_devices(iommu);
    pm_iommu_unlock(iommu);
    if (attached)
        pm_log(G_LOG_LEVEL_INFO, "attached %s", device);
    return attached;
}

bool pm_iommu_detach(PmIommu *iommu, const char *device, GError **error)
{
    bool detached;

    pm_iommu_lock(iommu);
    pm_iommu_lock_devices(iommu);
    detached = iommu->ops->detach(iommu, device, error);
    pm_iommu_unlock_devices(iommu);
    pm_iommu_unlock(iommu);
    if (detached)
        pm_log(G_LOG_LEVEL_INFO, "detached %s", device);
    return detached;
}

int pm_iommu_open_device(PmIommu *iommu, const char *device, GError **error)
{
    int fd;

    pm_iommu_lock_devices(iommu);
    fd = iommu->ops->open_device(iommu, device, error);
    pm_iommu_unlock_devices(iommu);
    return fd;
}

int pm_iommu_get_kvm_fd(PmIommu *iommu, const char *device, GError **error)
{
    int fd;

    pm_iommu_lock_devices(iommu);
    fd = iommu->ops->get_kvm_fd(iommu, device, error);
    pm_iommu_unlock_devices(iommu);
    return fd;
}

bool pm_iommu_has_device(PmIommu *iommu, const char *device)
{
    bool found;

    pm_iommu_lock_devices(iommu);
    found = iommu->ops->has_device(iommu, device);
    pm_iommu_unlock_devices(iommu);
    return found;
}

uint64_t pm_iommu_get_mapping_limit(const PmIommu *iommu)
{
    return iommu->mapping_limit;
}

uint64_t pm_iommu_get_n_mappings(PmIommu *iommu)
{
    return __atomic_load_n(&iommu->n_mappings, __ATOMIC_RELAXED);
}

uint64_t pm_iommu_get_pinned_bytes(PmIommu *iommu)
{
    return __atomic_load_n(&iommu->n_bytes, __ATOMIC_RELAXED);
}

bool pm_iommu_query_available(PmIommu *iommu, uint64_t *n_mappings, GError **error)
{
    return iommu->ops->query_available(iommu, n_mappings, error);
}

bool pm_iommu_query_locked_memory(PmIommu *iommu, PmLockedMemory *locked, GError **error)
{
    PmLockedMemory known = {.struct_size = sizeof(known)};
    int result;

    if (!pm_sized_check("PmLockedMemory", locked, error))
        return false;
    result = pm_kernel_refresh(iommu->kernel);
    if (result < 0)
        return pm_iommu_fail_locked_query(-result, error);
    if (!pm_budget_read_locked(iommu, &known, error))
        return false;
    pm_sized_write(locked, &known, sizeof(known));
    return true;
}

bool pm_iommu_next_run(PmIommu *iommu, uint64_t iova, PmIommuRun *run)
{
    bool found;

    pm_iommu_lock(iommu);
    found = pm_claims_find_run(iommu, iova, run);
    pm_iommu_unlock(iommu);
    return found;
}

/* "3 mappings at I/O addresses 0x100000000-0x1003fffff" */
static char *describe_contents(PmIommu *iommu)
{
    g_autofree char *mappings = pm_counted(iommu->n_mappings, "mapping");
    uint64_t first = 0;
    uint64_t last = 0;
    PmIommuRun run;

    if (!pm_claims_find_run(iommu, 0, &run))
        return g_strdup("no mapping");
    first = run.iova;
    do
        last = run.iova + (run.block_size * run.n_blocks - 1);
    while (last < UINT64_MAX && pm_claims_find_run(iommu, last + 1, &run));
    return g_strdup_printf("%s at I/O addresses 0x%" PRIx64 "-0x%" PRIx64, mappings, first, last);
}

void pm_iommu_add_contents(PmIommu *iommu, GError **error)
{
    g_autofree char *contents = NULL;
    g_autofree char *ranges = NULL;

    if (error == NULL || !g_error_matches(*error, PM_ERROR, PM_ERROR_IOVA_RANGE))
        return;
    contents = describe_contents(iommu);
    ranges = pm_iommu_list_ranges(iommu);
    g_prefix_error(error, "with %s (valid so far: %s): ", contents, ranges);
}
