/* SPDX-License-Identifier: MIT */
#include "vfio/sysfs.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/error_text.h"
#include "kernel/kernel_calls.h"
#include "vfio/pci_names.h"

/* The rest is "and N more". */
#define MAX_DEVICES_SHOWN 16

/* The base name of the target of a link in sysfs; NULL if there is no such link. */
static char *link_name(PmKernel *kernel, const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    char target[PATH_MAX];
    ssize_t length = pm_kernel_readlink(kernel, path, target, sizeof target - 1);

    if (length < 0)
        return NULL;
    target[length] = '\0';
    return g_path_get_basename(target);
}

static bool fail_driver(GError **error, const char *device, const char *driver)
{
    g_autofree char *problem = NULL;
    g_autofree char *unbind = NULL;

    if (driver == NULL) {
        problem = g_strdup("has no driver");
        unbind = g_strdup("");
    } else {
        problem = g_strdup_printf("is bound to the driver %s", driver);
        unbind =
            g_strdup_printf("  echo %s > /sys/bus/pci/devices/%s/driver/unbind\n", device, device);
    }
    return pm_fail(error, driver == NULL ? PM_ERROR_NOT_FOUND : PM_ERROR_BUSY,
                   "%s %s. Bind it to vfio-pci, as root:\n"
                   "  driverctl set-override %s vfio-pci\n"
                   "or without driverctl:\n"
                   "  modprobe vfio-pci\n"
                   "  echo vfio-pci > /sys/bus/pci/devices/%s/driver_override\n"
                   "%s"
                   "  echo %s > /sys/bus/pci/drivers_probe",
                   device, problem, device, device, unbind, device);
}

/* Listing a device's directory failed. */
static bool fail_device(GError **error, const char *device, const char *folder, int error_number)
{
    g_autofree char *name = pm_errno_text(error_number);

    switch (error_number) {
    case ENOENT:
    case ENOTDIR:
        return pm_fail(error, PM_ERROR_NOT_FOUND, "there is no PCI device %s: lspci -D lists them",
                       device);
    case ECHILD:
        return pm_fail(error, PM_ERROR_PERMISSION, "%s: %s; " PM_KERNEL_CAUSE_INHERITED, device,
                       name);
    default:
        return pm_fail(error, PM_ERROR_KERNEL,
                       "cannot list %s: %s; check that sysfs is mounted at /sys", folder, name);
    }
}

static char *device_folder(const char *device)
{
    return g_build_filename("/sys/bus/pci/devices", device, NULL);
}

static bool read_group(PmKernel *kernel, const char *device, const char *folder, unsigned *group,
                       GError **error)
{
    g_autofree char *name = link_name(kernel, folder, "iommu_group");
    guint64 number;

    if (name == NULL)
        return pm_fail(error, PM_ERROR_NOT_FOUND,
                       "%s has no IOMMU. Enable it in the firmware (VT-d or AMD-Vi) and, for "
                       "Intel, add to the kernel command line:\n"
                       "  intel_iommu=on",
                       device);
    if (!g_ascii_string_to_unsigned(name, 10, 0, G_MAXUINT, &number, NULL))
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "%s/iommu_group links to '%s', which is not a group", folder, name);
    *group = (unsigned)number;
    return true;
}

bool pm_sysfs_find_group(PmKernel *kernel, const char *device, unsigned *group, GError **error)
{
    g_autofree char *folder = NULL;
    g_autofree char *driver = NULL;
    g_auto(GStrv) names = NULL;
    unsigned found = 0;
    int result;

    if (!pm_pci_check_address(device, error))
        return false;
    folder = device_folder(device);
    result = pm_kernel_list(kernel, folder, &names);
    if (result < 0)
        return fail_device(error, device, folder, -result);
    if (!read_group(kernel, device, folder, &found, error))
        return false;
    driver = link_name(kernel, folder, "driver");
    if (!pm_pci_is_vfio_driver(driver))
        return fail_driver(error, device, driver);
    *group = found;
    return true;
}

/* The name of a device's cdev; NULL if it has none: without CONFIG_VFIO_DEVICE_CDEV vfio-dev/vfioN
 * exists, too, but without a device number. */
static char *own_file(PmKernel *kernel, const char *device)
{
    g_autofree char *folder = device_folder(device);
    g_autofree char *path = g_build_filename(folder, "vfio-dev", NULL);
    g_autofree char *file = NULL;
    g_auto(GStrv) names = NULL;
    g_auto(GStrv) attributes = NULL;

    if (pm_kernel_list(kernel, path, &names) < 0 || names[0] == NULL)
        return NULL;
    file = g_build_filename(path, names[0], NULL);
    if (pm_kernel_list(kernel, file, &attributes) < 0 ||
        !g_strv_contains((const char *const *)attributes, "dev"))
        return NULL;
    return g_strdup(names[0]);
}

bool pm_sysfs_has_device_file(PmKernel *kernel, const char *device)
{
    g_autofree char *name = own_file(kernel, device);

    return name != NULL;
}

bool pm_sysfs_find_device_file(PmKernel *kernel, const char *device, char **path, unsigned *group,
                               GError **error)
{
    g_autofree char *name = NULL;

    if (!pm_sysfs_find_group(kernel, device, group, error))
        return false;
    name = own_file(kernel, device);
    if (name == NULL)
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       "%s has no device cdev: this kernel lacks CONFIG_VFIO_DEVICE_CDEV (Linux "
                       "6.6). Use the back end type1",
                       device);
    *path = g_build_filename("/dev/vfio/devices", name, NULL);
    return true;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The devices of a group, ascending; empty if listing fails. *@folder: the directory they are in.
 */
static GStrv list_group(PmKernel *kernel, unsigned group, char **folder)
{
    GStrv names = NULL;

    *folder = g_strdup_printf("/sys/kernel/iommu_groups/%u/devices", group);
    if (pm_kernel_list(kernel, *folder, &names) < 0)
        return g_new0(char *, 1);
    qsort(names, g_strv_length(names), sizeof *names, compare_names);
    return names;
}

static char *group_driver(PmKernel *kernel, const char *group_folder, const char *device)
{
    g_autofree char *path = g_build_filename(group_folder, device, NULL);

    return link_name(kernel, path, "driver");
}

char *pm_sysfs_describe_group(PmKernel *kernel, unsigned group)
{
    g_autofree char *path = NULL;
    g_auto(GStrv) names = list_group(kernel, group, &path);
    unsigned n_names = g_strv_length(names);
    unsigned n_shown = MIN(n_names, MAX_DEVICES_SHOWN);
    GString *text = g_string_new(NULL);
    unsigned i;

    for (i = 0; i < n_shown; i++) {
        const char *name = names[i];
        g_autofree char *driver = group_driver(kernel, path, name);

        g_string_append_printf(text, "%s%s: %s", i > 0 ? ", " : "", name,
                               driver != NULL ? driver : "no driver");
    }
    if (n_names > n_shown)
        g_string_append_printf(text, " and %u more", n_names - n_shown);
    if (n_names == 0)
        g_string_append_printf(text, "%s lists no device", path);
    return g_string_free(text, FALSE);
}

char *pm_sysfs_describe_unbinding(PmKernel *kernel, unsigned group)
{
    g_autofree char *path = NULL;
    g_auto(GStrv) names = list_group(kernel, group, &path);
    GString *text = g_string_new(NULL);
    unsigned n_found = 0;
    unsigned i;

    for (i = 0; names[i] != NULL; i++) {
        const char *name = names[i];
        g_autofree char *driver = group_driver(kernel, path, name);

        if (pm_pci_keeps_group_from_user(driver) && n_found++ < MAX_DEVICES_SHOWN)
            g_string_append_printf(text, "\n  echo %s > /sys/bus/pci/devices/%s/driver/unbind",
                                   name, name);
    }
    return g_string_free(text, FALSE);
}
