/* SPDX-License-Identifier: MIT */
/* Handing an iommufd to another process: IOMMU_IOAS_CHANGE_PROCESS (iommufd/ioas.c), Linux 6.13.
 * Areas of files have no host addresses, so that nothing else changes. */
#include <errno.h>

#include "base/error_text.h"
#include "iommu/iommufd/iommufd.h"
#include "kernel-uapi/iommufd.h"

int pm_iommufd_change_process(PmIommu *iommu)
{
    struct iommu_ioas_change_process change = {.size = sizeof change};
    int result = pm_iommufd_ioctl((const PmIommufd *)iommu, IOMMU_IOAS_CHANGE_PROCESS, &change);

    return MIN(result, 0);
}

/* For the process that is charged already, the request only checks. */
bool pm_iommufd_check_handover(PmIommu *iommu, GError **error)
{
    int result = pm_iommufd_change_process(iommu);

    if (result == 0)
        return true;
    if (result == -ENOTTY)
        (void)pm_fail(error, PM_ERROR_UNSUPPORTED,
                      "cannot hand over the iommufd: ENOTTY: the kernel lacks "
                      "IOMMU_IOAS_CHANGE_PROCESS (Linux 6.13). Use the back end type1");
    else if (result == -EINVAL)
        (void)pm_fail(error, PM_ERROR_UNSUPPORTED,
                      "cannot hand over the iommufd: EINVAL: it has mappings of host addresses, "
                      "and only mappings of files can change their process: map memfds or hugetlb "
                      "memory only");
    else
        return pm_fail_ioctl(error, -result, PM_SEE_KERNEL_LOG,
                             "checking whether the iommufd can be handed over");
    return pm_note_errno(error, -result);
}

int pm_iommufd_check_run(PmIommu *iommu, const PmIommuRequest *run)
{
    PmIommuPresence presence = PM_IOMMU_PRESENT;

    for (uint64_t i = 0; i < run->n_blocks && presence == PM_IOMMU_PRESENT; i++)
        presence = pm_iommufd_probe(iommu, run->iova + i * run->block_size, run->block_size);
    return presence == PM_IOMMU_PRESENT ? 0 : -ENOENT;
}

void pm_iommufd_describe(const PmIommu *iommu, PmIommuFiles *files)
{
    const PmIommufd *iommufd = (const PmIommufd *)iommu;

    files->backend = PM_IOMMU_IOMMUFD;
    files->fd = iommufd->iommufd;
    files->ioas = iommufd->ioas;
    files->maps_files = iommufd->maps_files;
    g_array_append_vals(files->page_tables, iommufd->page_tables->data, iommufd->page_tables->len);
    pm_vfio_device_set_describe(&iommufd->devices, files->files);
}

/* Closing does not detach devices or destroy the IOAS: see iommufd_end(). */
void pm_iommufd_forget(PmIommu *iommu)
{
    g_array_set_size(((PmIommufd *)iommu)->page_tables, 0);
}
