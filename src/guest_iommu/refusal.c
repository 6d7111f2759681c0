/* SPDX-License-Identifier: MIT */
#include "guest_iommu/refusal.h"

#include <stdarg.h>

#include "base/error_text.h"

static const char *const names[] = {
    [PM_VIRTIO_IOMMU_OK] = "OK",         [PM_VIRTIO_IOMMU_IOERR] = "IOERR",
    [PM_VIRTIO_IOMMU_UNSUPP] = "UNSUPP", [PM_VIRTIO_IOMMU_DEVERR] = "DEVERR",
    [PM_VIRTIO_IOMMU_INVAL] = "INVAL",   [PM_VIRTIO_IOMMU_RANGE] = "RANGE",
    [PM_VIRTIO_IOMMU_NOENT] = "NOENT",   [PM_VIRTIO_IOMMU_FAULT] = "FAULT",
    [PM_VIRTIO_IOMMU_NOMEM] = "NOMEM",
};

const char *pm_virtio_iommu_status_name(PmVirtioIommuStatus status)
{
    if (status == PM_VIRTIO_IOMMU_NO_STATUS)
        return "no status";
    return (guint)status < G_N_ELEMENTS(names) ? names[status] : "unknown";
}

bool pm_guest_refuse(PmGuestIommu *iommu, GError **error, unsigned status, PmError code,
                     const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list arguments;

    va_start(arguments, format);
    message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    iommu->status = status;
    return pm_fail(error, code, "%s", message);
}

void pm_guest_refusal_clear(PmGuestIommu *iommu)
{
    g_clear_error(&iommu->refusal);
    iommu->refusal_status = PM_VIRTIO_IOMMU_OK;
}

void pm_guest_refusal_set(PmGuestIommu *iommu, PmVirtioIommuStatus status, GError *refusal)
{
    pm_guest_refusal_clear(iommu);
    iommu->refusal = refusal;
    iommu->refusal_status = status;
}

PmVirtioIommuStatus pm_virtio_iommu_last_refusal(const PmGuestIommu *iommu, const GError **refusal)
{
    if (refusal != NULL)
        *refusal = iommu->refusal;
    return iommu->refusal_status;
}
