/* SPDX-License-Identifier: MIT */
#include "iommu/iommu.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "iommu/budget.h"
#include "iommu/claim.h"
#include "iommu/iommu_error.h"
#include "kernel/kernel_calls.h"

/* How often it is tried to unmap what owners left behind before the files are closed. */
#define N_LAST_TRIES 3

void pm_iommu_init(PmIommu *iommu, const PmIommuOps *ops, PmKernel *kernel)
{
    iommu->ops = ops;
    iommu->kernel = pm_kernel_ref(kernel);
    iommu->claims = pm_range_map_new(sizeof(PmClaimRecord));
    pthread_mutex_init(&iommu->lock, NULL);
    g_atomic_ref_count_init(&iommu->references);
    g_atomic_ref_count_init(&iommu->holders);
    pm_budget_open(iommu);
}

bool pm_iommu_is_inherited(const PmIommu *iommu)
{
    return pm_kernel_is_inherited(iommu->kernel);
}

void pm_iommu_lock(PmIommu *iommu)
{
    if (!pm_iommu_is_inherited(iommu))
        pthread_mutex_lock(&iommu->lock);
}

void pm_iommu_unlock(PmIommu *iommu)
{
    if (!pm_iommu_is_inherited(iommu))
        pthread_mutex_unlock(&iommu->lock);
}

PmIommu *pm_iommu_ref(PmIommu *iommu)
{
    g_atomic_ref_count_inc(&iommu->references);
    return iommu;
}

void pm_iommu_set_geometry(PmIommu *iommu, uint64_t page_sizes, PmIovaRange *ranges,
                           size_t n_ranges)
{
    PmIommuGeometry *geometry = g_new0(PmIommuGeometry, 1);

    geometry->older = iommu->geometry;
    geometry->page_sizes = page_sizes;
    geometry->ranges = ranges;
    geometry->n_ranges = n_ranges;
    g_atomic_pointer_set(&iommu->geometry, geometry);
}

const PmIommuGeometry *pm_iommu_geometry(const PmIommu *iommu)
{
    return g_atomic_pointer_get(&((PmIommu *)iommu)->geometry);
}

uint64_t pm_iommu_page_size(const PmIommu *iommu)
{
    uint64_t page_sizes = pm_iommu_get_page_sizes(iommu);

    return page_sizes & -page_sizes;
}

static void free_geometries(PmIommuGeometry *geometry)
{
    while (geometry != NULL) {
        PmIommuGeometry *older = geometry->older;

        g_free(geometry->ranges);
        g_free(geometry);
        geometry = older;
    }
}

void pm_iommu_drop_holder(PmIommu *iommu)
{
    if (!g_atomic_ref_count_dec(&iommu->holders))
        return;
    pm_budget_close(iommu);
    pm_kernel_unref(iommu->kernel);
    pm_range_map_free(iommu->claims);
    pthread_mutex_destroy(&iommu->lock);
    free_geometries(iommu->geometry);
    g_free(iommu);
}

/* The mappings of a process that has inherited them are not its own to end. */
static void close_files(PmIommu *iommu)
{
    bool gone = pm_iommu_is_inherited(iommu);
    bool settled = false;

    /* What fails may fail once: nobody tries again later. */
    for (unsigned i = 0; i < N_LAST_TRIES && !settled; i++)
        settled = pm_claims_settle(iommu, NULL);
    if (!gone && iommu->ops->end != NULL)
        gone = iommu->ops->end(iommu);
    iommu->closed = true;
    pm_claims_close(iommu, gone);
    iommu->ops->free(iommu);
}

void pm_iommu_unref(PmIommu *iommu)
{
    if (!g_atomic_ref_count_dec(&iommu->references))
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

/* What the device does not reach would fail only when it is mapped. */
static bool check_claims(PmIommu *iommu, const char *device, GError **error)
{
    const PmIommuClaim *outside = pm_claim_find_outside(iommu);

    if (outside == NULL)
        return true;
    (void)iommu->ops->detach(iommu, device, NULL);
    return pm_fail(error, PM_ERROR_IOVA_RANGE,
                   "%s cannot be attached: it does not reach all of the I/O addresses 0x%" PRIx64
                   "-0x%" PRIx64 " that %s has claimed. Move that, or give the device an address "
                   "space of its own",
                   device, outside->iova, outside->last, outside->owner);
}

bool pm_iommu_attach(PmIommu *iommu, const char *device, GError **error)
{
    bool attached;

    pm_iommu_lock(iommu);
    attached = iommu->ops->attach(iommu, device, error) && check_claims(iommu, device, error);
    pm_iommu_unlock(iommu);
    return attached;
}

bool pm_iommu_detach(PmIommu *iommu, const char *device, GError **error)
{
    bool detached;

    pm_iommu_lock(iommu);
    detached = iommu->ops->detach(iommu, device, error);
    pm_iommu_unlock(iommu);
    return detached;
}

int pm_iommu_open_device(PmIommu *iommu, const char *device, GError **error)
{
    int fd;

    pm_iommu_lock(iommu);
    fd = iommu->ops->open_device(iommu, device, error);
    pm_iommu_unlock(iommu);
    return fd;
}

bool pm_iommu_has_device(PmIommu *iommu, const char *device)
{
    bool found;

    pm_iommu_lock(iommu);
    found = iommu->ops->has_device(iommu, device);
    pm_iommu_unlock(iommu);
    return found;
}

uint64_t pm_iommu_get_mapping_limit(const PmIommu *iommu)
{
    return iommu->mapping_limit;
}

uint64_t pm_iommu_get_n_mappings(PmIommu *iommu)
{
    uint64_t n_mappings;

    pm_iommu_lock(iommu);
    n_mappings = iommu->n_mappings;
    pm_iommu_unlock(iommu);
    return n_mappings;
}

uint64_t pm_iommu_get_pinned_bytes(PmIommu *iommu)
{
    uint64_t n_bytes;

    pm_iommu_lock(iommu);
    n_bytes = iommu->n_bytes;
    pm_iommu_unlock(iommu);
    return n_bytes;
}

bool pm_iommu_query_available(PmIommu *iommu, uint64_t *n_mappings, GError **error)
{
    return iommu->ops->query_available(iommu, n_mappings, error);
}

bool pm_iommu_read_locked_memory(PmIommu *iommu, PmLockedMemory *locked, GError **error)
{
    int result = pm_kernel_locked_memory(iommu->kernel, locked);

    if (result == 0 && iommu->ops->counts_pinned)
        locked->used = locked->pinned;
    return result == 0 || pm_iommu_fail_locked_query(-result, error);
}

bool pm_iommu_query_locked_memory(PmIommu *iommu, PmLockedMemory *locked, GError **error)
{
    int result = pm_kernel_refresh(iommu->kernel);

    if (result < 0)
        return pm_iommu_fail_locked_query(-result, error);
    return pm_iommu_read_locked_memory(iommu, locked, error);
}

bool pm_iommu_check_aligned(const PmIommu *iommu, const char *what, uint64_t value, GError **error)
{
    uint64_t page_size = pm_iommu_page_size(iommu);
    g_autofree char *page_text = NULL;

    if (value % page_size == 0)
        return true;
    page_text = pm_size_format(page_size);
    return pm_fail(error, PM_ERROR_UNALIGNED,
                   "%s 0x%" PRIx64 " is not a multiple of the IOMMU's page size, %s", what, value,
                   page_text);
}

bool pm_iommu_check_size(const PmIommu *iommu, uint64_t iova, uint64_t size, GError **error)
{
    if (size == 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "the range at I/O address 0x%" PRIx64 " is empty", iova);
    return pm_iommu_check_aligned(iommu, "I/O address", iova, error) &&
           pm_iommu_check_aligned(iommu, "size", size, error);
}

bool pm_iommu_check_blocks(const PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t block_size,
                           GError **error)
{
    const PmIovaRange *ranges;
    size_t n_ranges;
    size_t i;

    if (!pm_iommu_check_size(iommu, iova, size, error))
        return false;
    ranges = pm_iommu_get_iova_ranges(iommu, &n_ranges);
    for (i = 0; i < n_ranges; i++) {
        const PmIovaRange *range = &ranges[i];

        if (iova >= range->start && iova <= range->last && size - 1 <= range->last - iova)
            return true;
    }
    return pm_iommu_fail_range(iommu, iova, size, block_size, error);
}

bool pm_iommu_check_range(const PmIommu *iommu, uint64_t iova, uint64_t size, GError **error)
{
    return pm_iommu_check_blocks(iommu, iova, size, pm_iommu_page_size(iommu), error);
}

bool pm_iommu_find_run(PmIommu *iommu, uint64_t iova, PmIommuRun *run)
{
    PmIommuClaim *claim = pm_claim_find(iommu, iova);

    while (claim != NULL && !pm_ledger_next_run(claim->ledger, MAX(iova, claim->iova), run))
        claim = pm_claim_next(claim);
    return claim != NULL;
}

bool pm_iommu_next_run(PmIommu *iommu, uint64_t iova, PmIommuRun *run)
{
    bool found;

    pm_iommu_lock(iommu);
    found = pm_iommu_find_run(iommu, iova, run);
    pm_iommu_unlock(iommu);
    return found;
}
