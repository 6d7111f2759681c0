/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>

#include "iommu/iommufd/iommufd.h"
#include "kernel/kernel_calls.h"
#include "vfio/sysfs.h"

static bool has_iommufd(PmKernel *kernel)
{
    int fd = pm_kernel_open(kernel, PM_IOMMUFD_PATH, O_RDWR | O_CLOEXEC);

    if (fd >= 0)
        (void)pm_kernel_close(kernel, fd);
    return fd != -ENOENT && fd != -ENODEV && fd != -ENXIO;
}

PmIommuBackend pm_iommu_choose_backend(PmKernel *kernel, const char *device, char **reason)
{
    g_autoptr(PmKernel) used = kernel != NULL ? pm_kernel_ref(kernel) : pm_kernel_host_new();
    bool iommufd = has_iommufd(used);
    bool device_file = device != NULL && pm_sysfs_has_device_file(used, device);
    g_autofree char *sentence = NULL;

    if (iommufd && device_file)
        sentence = g_strdup_printf(
            "iommufd, because " PM_IOMMUFD_PATH " and the device cdev of %s exist", device);
    else if (device == NULL)
        sentence = g_strdup("type1, because a group is opened, not a device");
    else if (iommufd)
        sentence = g_strdup_printf(
            "type1, because %s has no device cdev (CONFIG_VFIO_DEVICE_CDEV, Linux 6.6)", device);
    else
        sentence = g_strdup("type1, because there is no " PM_IOMMUFD_PATH);
    if (reason != NULL)
        *reason = g_steal_pointer(&sentence);
    return iommufd && device_file ? PM_IOMMU_IOMMUFD : PM_IOMMU_TYPE1;
}
