/* SPDX-License-Identifier: MIT */
#include "host/host_device.h"

#include "base/error_text.h"
#include "host/host_files.h"
#include "vfio/pci_names.h"

#define DEVICES "/sys/bus/pci/devices"

#define CLASS_BRIDGE 0x06

void pm_host_device_free(PmHostDevice *device)
{
    if (device == NULL)
        return;
    g_free(device->address);
    g_free(device->driver);
    g_free(device->cdev);
    g_free(device->iommu);
    g_free(device);
}

static bool read_id(const char *root, const char *folder, const char *name, unsigned *id,
                    GError **error)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    uint64_t value;

    if (!pm_host_read_number(root, path, 16, &value, error))
        return false;
    if (value > G_MAXUINT32)
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s%s is not a PCI identifier", root, path);
    *id = (unsigned)value;
    return true;
}

static char *read_link(const char *root, const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    return pm_host_link_name(root, path);
}

static bool read_group(PmHostDevice *device, const char *root, const char *folder, GError **error)
{
    g_autofree char *name = read_link(root, folder, "iommu_group");
    guint64 number = 0;

    device->has_group = name != NULL;
    if (name != NULL && !g_ascii_string_to_unsigned(name, 10, 0, G_MAXUINT, &number, NULL))
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "%s%s/iommu_group links to '%s', which is not a group", root, folder, name);
    device->group = (unsigned)number;
    return true;
}

/* Without CONFIG_VFIO_DEVICE_CDEV vfio-dev/vfioN exists, too, but without a device number. */
static char *find_cdev(const char *root, const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "vfio-dev", NULL);
    g_auto(GStrv) names = pm_host_list(root, path, NULL);

    for (char **name = names; name != NULL && *name != NULL; name++) {
        g_autofree char *number = g_build_filename(path, *name, "dev", NULL);

        if (pm_host_exists(root, number))
            return g_strdup(*name);
    }
    return NULL;
}

PmHostDevice *pm_host_device_read(const char *root, const char *address, GError **error)
{
    g_autofree char *folder = g_build_filename(DEVICES, address, NULL);
    g_autoptr(PmHostDevice) device = g_new0(PmHostDevice, 1);

    if (!pm_host_exists(root, folder)) {
        (void)pm_fail(error, PM_ERROR_NOT_FOUND, "there is no PCI device %s: lspci -D lists them",
                      address);
        return NULL;
    }
    device->address = g_strdup(address);
    if (!read_id(root, folder, "vendor", &device->vendor, error) ||
        !read_id(root, folder, "device", &device->device, error) ||
        !read_id(root, folder, "class", &device->class, error) ||
        !read_group(device, root, folder, error))
        return NULL;
    device->driver = read_link(root, folder, "driver");
    device->iommu = read_link(root, folder, "iommu");
    device->cdev = find_cdev(root, folder);
    return g_steal_pointer(&device);
}

bool pm_host_device_is_ready(const PmHostDevice *device)
{
    return pm_pci_is_vfio_driver(device->driver);
}

static void free_device(gpointer device)
{
    pm_host_device_free(device);
}

GPtrArray *pm_host_device_list(const char *root, GError **error)
{
    g_autoptr(GPtrArray) devices = g_ptr_array_new_with_free_func(free_device);
    g_auto(GStrv) names = NULL;

    if (!pm_host_exists(root, DEVICES)) /* no PCI bus */
        return g_steal_pointer(&devices);
    names = pm_host_list(root, DEVICES, error);
    if (names == NULL)
        return NULL;
    for (char **name = names; *name != NULL; name++) {
        g_autoptr(PmHostDevice) device = pm_host_device_read(root, *name, error);

        if (device == NULL)
            return NULL;
        if (device->has_group && device->class >> 16 != CLASS_BRIDGE)
            g_ptr_array_add(devices, g_steal_pointer(&device));
    }
    return g_steal_pointer(&devices);
}

static char *members_folder(unsigned group)
{
    return g_strdup_printf("/sys/kernel/iommu_groups/%u/devices", group);
}

GStrv pm_host_group_members(const char *root, unsigned group, GError **error)
{
    g_autofree char *folder = members_folder(group);

    return pm_host_list(root, folder, error);
}

char *pm_host_group_member_driver(const char *root, unsigned group, const char *member)
{
    g_autofree char *folder = members_folder(group);
    g_autofree char *path = g_build_filename(folder, member, NULL);

    return read_link(root, path, "driver");
}
