/* SPDX-License-Identifier: MIT */
#include "iommu/iommu.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "iommu/iommu_error.h"
#include "iommu/kept_ranges.h"
#include "iommu/kernel_calls.h"
#include "vfio/device_node.h"

void pm_iommu_init(PmIommu *iommu, const PmIommuOps *ops, PmKernel *kernel)
{
    iommu->ops = ops;
    iommu->kernel = pm_kernel_ref(kernel);
    iommu->ledger = pm_ledger_new();
    iommu->kept = pm_kept_ranges_new();
    pthread_mutex_init(&iommu->lock, NULL);
    g_atomic_ref_count_init(&iommu->references);
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

void pm_iommu_unref(PmIommu *iommu)
{
    if (!g_atomic_ref_count_dec(&iommu->references))
        return;
    if (!pm_kernel_is_inherited(iommu->kernel))
        iommu->ops->end(iommu);
    iommu->ops->free(iommu);
    pm_kernel_unref(iommu->kernel);
    pm_ledger_free(iommu->ledger);
    g_array_unref(iommu->kept);
    pthread_mutex_destroy(&iommu->lock);
    free_geometries(iommu->geometry);
    g_free(iommu);
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
static bool check_kept(PmIommu *iommu, const char *device, GError **error)
{
    const PmIommuGeometry *geometry = pm_iommu_geometry(iommu);
    const PmIovaRange *outside =
        pm_kept_ranges_find_outside(iommu->kept, geometry->ranges, geometry->n_ranges);

    if (outside == NULL)
        return true;
    (void)iommu->ops->detach(iommu, device, NULL);
    return pm_fail(error, PM_ERROR_IOVA_RANGE,
                   "%s cannot be attached: it has not all of the I/O addresses 0x%" PRIx64
                   "–0x%" PRIx64 ", which are kept for a region. Move the region, or give the "
                   "device an address space of its own",
                   device, outside->start, outside->last);
}

bool pm_iommu_attach(PmIommu *iommu, const char *device, GError **error)
{
    bool attached;

    pthread_mutex_lock(&iommu->lock);
    attached = iommu->ops->attach(iommu, device, error) && check_kept(iommu, device, error);
    pthread_mutex_unlock(&iommu->lock);
    return attached;
}

/* The lock is held. */
static bool keep(PmIommu *iommu, PmIovaRange range, GError **error)
{
    PmIovaRange other;
    int result = 0;

    if (!pm_kept_ranges_add(iommu->kept, range, &other))
        return pm_fail(error, PM_ERROR_OVERLAP,
                       "the I/O addresses 0x%" PRIx64 "–0x%" PRIx64
                       " cannot be kept: they overlap 0x%" PRIx64 "–0x%" PRIx64
                       ", which are kept already",
                       range.start, range.last, other.start, other.last);
    if (iommu->ops->keep != NULL)
        result = iommu->ops->keep(iommu, iommu->kept);
    if (result == 0)
        return true;
    (void)pm_kept_ranges_remove(iommu->kept, range);
    return pm_vfio_fail_ioctl(error, -result, PM_SEE_KERNEL_LOG,
                              "keeping the I/O addresses 0x%" PRIx64 "–0x%" PRIx64, range.start,
                              range.last);
}

bool pm_iommu_keep_range(PmIommu *iommu, uint64_t iova, uint64_t size, GError **error)
{
    const PmIovaRange range = {iova, iova + (size - 1)};
    bool kept;

    if (!pm_iommu_check_range(iommu, iova, size, error))
        return false;
    pthread_mutex_lock(&iommu->lock);
    kept = keep(iommu, range, error);
    pthread_mutex_unlock(&iommu->lock);
    return kept;
}

/* A kernel that does not follow goes on keeping more than it has to. */
bool pm_iommu_release_range(PmIommu *iommu, uint64_t iova, uint64_t size, GError **error)
{
    const PmIovaRange range = {iova, iova + (size - 1)};
    bool released;

    pthread_mutex_lock(&iommu->lock);
    released = pm_kept_ranges_remove(iommu->kept, range);
    if (released && iommu->ops->keep != NULL)
        (void)iommu->ops->keep(iommu, iommu->kept);
    pthread_mutex_unlock(&iommu->lock);
    if (released)
        return true;
    return pm_fail(error, PM_ERROR_NOT_FOUND,
                   "0x%" PRIx64 " bytes at I/O address 0x%" PRIx64 " are not kept", size, iova);
}

bool pm_iommu_detach(PmIommu *iommu, const char *device, GError **error)
{
    bool detached;

    pthread_mutex_lock(&iommu->lock);
    detached = iommu->ops->detach(iommu, device, error);
    pthread_mutex_unlock(&iommu->lock);
    return detached;
}

int pm_iommu_open_device(PmIommu *iommu, const char *device, GError **error)
{
    int fd;

    pthread_mutex_lock(&iommu->lock);
    fd = iommu->ops->open_device(iommu, device, error);
    pthread_mutex_unlock(&iommu->lock);
    return fd;
}

bool pm_iommu_has_device(PmIommu *iommu, const char *device)
{
    bool found;

    pthread_mutex_lock(&iommu->lock);
    found = iommu->ops->has_device(iommu, device);
    pthread_mutex_unlock(&iommu->lock);
    return found;
}

uint64_t pm_iommu_get_mapping_limit(const PmIommu *iommu)
{
    return iommu->mapping_limit;
}

uint64_t pm_iommu_get_n_mappings(PmIommu *iommu)
{
    uint64_t n_mappings;

    pthread_mutex_lock(&iommu->lock);
    n_mappings = pm_ledger_n_mappings(iommu->ledger);
    pthread_mutex_unlock(&iommu->lock);
    return n_mappings;
}

uint64_t pm_iommu_get_pinned_bytes(PmIommu *iommu)
{
    uint64_t n_bytes;

    pthread_mutex_lock(&iommu->lock);
    n_bytes = pm_ledger_n_bytes(iommu->ledger);
    pthread_mutex_unlock(&iommu->lock);
    return n_bytes;
}

bool pm_iommu_query_available(PmIommu *iommu, uint64_t *n_mappings, GError **error)
{
    return iommu->ops->query_available(iommu, n_mappings, error);
}

static bool fail_locked_query(int error_number, GError **error)
{
    g_autofree char *name = pm_errno_text(error_number);

    return pm_fail(error, PM_ERROR_KERNEL,
                   "the locked-memory limit cannot be read: %s; check that /proc is mounted", name);
}

bool pm_iommu_query_locked_memory(PmIommu *iommu, PmLockedMemory *locked, GError **error)
{
    int result = iommu->kernel->ops->locked_memory(iommu->kernel, locked);

    if (result == 0 && iommu->ops->counts_pinned)
        locked->used = locked->pinned;
    return result == 0 || fail_locked_query(-result, error);
}

/* What is in use is asked for only where there is a limit: it takes longer than a MAP. */
static bool check_locked(PmIommu *iommu, uint64_t n_bytes, GError **error)
{
    PmLockedMemory locked;
    int result = iommu->kernel->ops->lock_limit(iommu->kernel, &locked);

    if (result < 0)
        return fail_locked_query(-result, error);
    if (locked.waived || locked.limit == UINT64_MAX)
        return true;
    if (!pm_iommu_query_locked_memory(iommu, &locked, error))
        return false;
    if (locked.used <= locked.limit && n_bytes <= locked.limit - locked.used)
        return true;
    return pm_iommu_fail_locked(&locked, n_bytes, error);
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

bool pm_iommu_check_limit(PmIommu *iommu, uint64_t n_mappings, uint64_t n_bytes,
                          uint64_t block_size, GError **error)
{
    uint64_t n_used = pm_ledger_n_mappings(iommu->ledger);

    if (n_used <= iommu->mapping_limit && n_mappings <= iommu->mapping_limit - n_used)
        return true;
    return pm_iommu_fail_limit(iommu, n_mappings, n_bytes, block_size, n_used,
                               pm_ledger_n_bytes(iommu->ledger), error);
}

bool pm_iommu_check_budget(PmIommu *iommu, uint64_t n_mappings, uint64_t n_bytes,
                           uint64_t block_size, GError **error)
{
    bool fits;

    pthread_mutex_lock(&iommu->lock);
    fits = pm_iommu_check_limit(iommu, n_mappings, n_bytes, block_size, error);
    pthread_mutex_unlock(&iommu->lock);
    return fits && check_locked(iommu, n_bytes, error);
}

bool pm_iommu_next_run(PmIommu *iommu, uint64_t iova, PmIommuRun *run)
{
    bool found;

    pthread_mutex_lock(&iommu->lock);
    found = pm_ledger_next_run(iommu->ledger, iova, run);
    pthread_mutex_unlock(&iommu->lock);
    return found;
}
