/* SPDX-License-Identifier: MIT */
#include "iommu/ownership.h"

#include <errno.h>

#include "base/error_text.h"

#define BETWEEN                                                                                    \
    "the address space is being handed over to another process: try again after "                  \
    "pm_handover_send() or pm_handover_take_over()"
#define THEIRS "the address space was handed over to another process: only drop this one's objects"

static bool is_theirs(const PmIommu *iommu)
{
    return iommu->owner == PM_IOMMU_THEIRS;
}

static int refusal(const PmIommu *iommu)
{
    return is_theirs(iommu) ? -EPERM : -EBUSY;
}

static bool fail_closed(const PmIommu *iommu, GError **error)
{
    return is_theirs(iommu) ? pm_fail(error, PM_ERROR_PERMISSION, THEIRS)
                            : pm_fail(error, PM_ERROR_BUSY, BETWEEN);
}

static int closed_map(PmIommu *iommu, const PmIommuRequest *request G_GNUC_UNUSED,
                      uint64_t *n_mapped)
{
    *n_mapped = 0;
    return refusal(iommu);
}

static int closed_unmap(PmIommu *iommu, uint64_t iova G_GNUC_UNUSED, uint64_t size G_GNUC_UNUSED,
                        uint64_t *n_bytes)
{
    *n_bytes = 0;
    return refusal(iommu);
}

static bool closed_query_available(PmIommu *iommu, uint64_t *n_mappings G_GNUC_UNUSED,
                                   GError **error)
{
    return fail_closed(iommu, error);
}

static bool closed_attach(PmIommu *iommu, const char *device G_GNUC_UNUSED, GError **error)
{
    return fail_closed(iommu, error);
}

static bool closed_attach_fd(PmIommu *iommu, const char *device G_GNUC_UNUSED, int fd G_GNUC_UNUSED,
                             uint32_t *device_id G_GNUC_UNUSED, GError **error)
{
    return fail_closed(iommu, error);
}

static int closed_open_device(PmIommu *iommu, const char *device G_GNUC_UNUSED, GError **error)
{
    (void)fail_closed(iommu, error);
    return -1;
}

static bool closed_set_dirty_tracking(PmIommu *iommu, bool enabled G_GNUC_UNUSED, GError **error)
{
    return fail_closed(iommu, error);
}

static const PmIommuCause closed_causes[] = {
    {EBUSY, PM_ERROR_BUSY, BETWEEN},
    {EPERM, PM_ERROR_PERMISSION, THEIRS},
    {0, PM_ERROR_KERNEL, PM_SEE_KERNEL_LOG},
};

void pm_iommu_close_to_callers(PmIommu *iommu, PmIommuOwner owner)
{
    PmIommuOps *ops = &iommu->handover_ops;

    iommu->owner = owner;
    if (iommu->ops == ops)
        return;
    *ops = *iommu->own_ops;
    ops->map = closed_map;
    ops->unmap = closed_unmap;
    ops->query_available = closed_query_available;
    ops->attach = closed_attach;
    ops->attach_fd = closed_attach_fd;
    ops->detach = closed_attach;
    ops->open_device = closed_open_device;
    ops->get_kvm_fd = closed_open_device;
    ops->set_dirty_tracking = closed_set_dirty_tracking;
    ops->end = NULL;
    ops->map_causes = closed_causes;
    ops->unmap_causes = closed_causes;
    ops->stops_halfway = NULL;
    iommu->ops = ops;
}

bool pm_iommu_check_ours(const PmIommu *iommu, bool to_adopt, GError **error)
{
    return iommu->owner == PM_IOMMU_OURS || (to_adopt && iommu->owner == PM_IOMMU_AWAITED) ||
           fail_closed(iommu, error);
}

bool pm_iommu_is_ours(PmIommu *iommu, GError **error)
{
    bool ours;

    pm_iommu_lock(iommu);
    ours = pm_iommu_check_ours(iommu, false, error);
    pm_iommu_unlock(iommu);
    return ours;
}

void pm_iommu_open_to_callers(PmIommu *iommu)
{
    iommu->owner = PM_IOMMU_OURS;
    iommu->ops = iommu->own_ops;
}
