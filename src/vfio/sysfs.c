/* SPDX-License-Identifier: MIT */
#include "vfio/sysfs.h"

#include <string.h>

#include <glib/gstdio.h>

#include "base/error_text.h"

/* More are told by «and N more»: a message is read by people. */
#define MAX_DEVICES_TOLD 16

#define MIN_DOMAIN_DIGITS 4
#define MAX_DOMAIN_DIGITS 8

static bool is_lower_hex(char c)
{
    return g_ascii_isxdigit(c) && !g_ascii_isupper(c);
}

bool pm_sysfs_is_pci_address(const char *text)
{
    size_t n_domain = 0;
    const char *rest;

    while (is_lower_hex(text[n_domain]))
        n_domain++;
    if (n_domain < MIN_DOMAIN_DIGITS || n_domain > MAX_DOMAIN_DIGITS)
        return false;
    rest = text + n_domain; /* «:00:1f.7» */
    return strlen(rest) == strlen(":00:1f.7") && rest[0] == ':' && is_lower_hex(rest[1]) &&
           is_lower_hex(rest[2]) && rest[3] == ':' && (rest[4] == '0' || rest[4] == '1') &&
           is_lower_hex(rest[5]) && rest[6] == '.' && rest[7] >= '0' && rest[7] <= '7';
}

bool pm_sysfs_check_pci_address(const char *text, GError **error)
{
    return pm_sysfs_is_pci_address(text) ||
           pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "«%s» is not a PCI address like «0000:00:04.0» (domain, bus, device, function; "
                   "lspci -D shows them)",
                   text);
}

/* Where a link of sysfs leads to, its last part alone; NULL if there is no such link. */
static char *link_name(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *target = g_file_read_link(path, NULL);

    return target != NULL ? g_path_get_basename(target) : NULL;
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

/* There are others than vfio-pci itself (mlx5_vfio_pci, for example). */
static bool is_vfio_driver(const char *driver)
{
    return driver != NULL && strstr(driver, "vfio") != NULL;
}

/* The folder of a device that is ready for VFIO, and its group; NULL with @error set. */
static char *find_ready_device(const char *root, const char *device, unsigned *group,
                               GError **error)
{
    g_autofree char *folder = NULL;
    g_autofree char *driver = NULL;
    g_autofree char *name = NULL;
    guint64 number;
    bool ready = false;

    if (!pm_sysfs_check_pci_address(device, error))
        return NULL;
    folder = g_build_filename(root, "bus/pci/devices", device, NULL);
    name = link_name(folder, "iommu_group");
    driver = link_name(folder, "driver");
    if (!g_file_test(folder, G_FILE_TEST_IS_DIR))
        (void)pm_fail(error, PM_ERROR_NOT_FOUND,
                      "there is no PCI device %s: lspci -D shows which there are", device);
    else if (name == NULL)
        (void)pm_fail(error, PM_ERROR_NOT_FOUND,
                      "%s is behind no IOMMU. Enable it in the firmware (VT-d or AMD-Vi) and, for "
                      "Intel's, add to the kernel command line:\n"
                      "  intel_iommu=on",
                      device);
    else if (!g_ascii_string_to_unsigned(name, 10, 0, G_MAXUINT, &number, NULL))
        (void)pm_fail(error, PM_ERROR_BAD_INPUT, "%s/iommu_group leads to «%s», not to a group",
                      folder, name);
    else if (!is_vfio_driver(driver))
        (void)fail_driver(error, device, driver);
    else
        ready = true;
    if (!ready)
        return NULL;
    *group = (unsigned)number;
    return g_steal_pointer(&folder);
}

bool pm_sysfs_find_group(const char *root, const char *device, unsigned *group, GError **error)
{
    g_autofree char *folder = find_ready_device(root, device, group, error);

    return folder != NULL;
}

bool pm_sysfs_has_device_file(const char *root, const char *device)
{
    g_autofree char *path = g_build_filename(root, "bus/pci/devices", device, "vfio-dev", NULL);

    return g_file_test(path, G_FILE_TEST_IS_DIR);
}

bool pm_sysfs_find_device_file(const char *root, const char *device, char **path, unsigned *group,
                               GError **error)
{
    g_autofree char *folder = find_ready_device(root, device, group, error);
    g_autofree char *list = NULL;
    g_autoptr(GDir) names = NULL;
    const char *name;

    if (folder == NULL)
        return false;
    list = g_build_filename(folder, "vfio-dev", NULL);
    names = g_dir_open(list, 0, NULL);
    name = names != NULL ? g_dir_read_name(names) : NULL;
    if (name == NULL)
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       "%s has no file of its own: this kernel is without "
                       "CONFIG_VFIO_DEVICE_CDEV, or older than Linux 6.6. Use the back end type1",
                       device);
    *path = g_build_filename("/dev/vfio/devices", name, NULL);
    return true;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in a folder, ascending; empty if it cannot be read. */
static GPtrArray *list_folder(const char *path)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    const char *name;

    while (folder != NULL && (name = g_dir_read_name(folder)) != NULL)
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compare_names);
    return names;
}

/* The devices of a group, ascending; the folder they are listed in goes to @folder. */
static GPtrArray *list_group(const char *root, unsigned group, char **folder)
{
    g_autofree char *number = g_strdup_printf("%u", group);

    *folder = g_build_filename(root, "kernel/iommu_groups", number, "devices", NULL);
    return list_folder(*folder);
}

static char *group_driver(const char *group_folder, const char *device)
{
    g_autofree char *path = g_build_filename(group_folder, device, NULL);

    return link_name(path, "driver");
}

char *pm_sysfs_describe_group(const char *root, unsigned group)
{
    g_autofree char *path = NULL;
    g_autoptr(GPtrArray) names = list_group(root, group, &path);
    unsigned n_told = MIN(names->len, MAX_DEVICES_TOLD);
    GString *text = g_string_new(NULL);
    unsigned i;

    for (i = 0; i < n_told; i++) {
        const char *name = names->pdata[i];
        g_autofree char *driver = group_driver(path, name);

        g_string_append_printf(text, "%s%s: %s", i > 0 ? ", " : "", name,
                               driver != NULL ? driver : "no driver");
    }
    if (names->len > n_told)
        g_string_append_printf(text, " and %u more", names->len - n_told);
    if (names->len == 0)
        g_string_append_printf(text, "%s lists no device", path);
    return g_string_free(text, FALSE);
}

/* Those that do no DMA of their own may stay. */
static bool keeps_group_from_user(const char *driver)
{
    return driver != NULL && !is_vfio_driver(driver) && strcmp(driver, "pci-stub") != 0 &&
           strcmp(driver, "pcieport") != 0;
}

char *pm_sysfs_describe_unbinding(const char *root, unsigned group)
{
    g_autofree char *path = NULL;
    g_autoptr(GPtrArray) names = list_group(root, group, &path);
    GString *text = g_string_new(NULL);
    unsigned n_found = 0;
    unsigned i;

    for (i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        g_autofree char *driver = group_driver(path, name);

        if (keeps_group_from_user(driver) && n_found++ < MAX_DEVICES_TOLD)
            g_string_append_printf(text, "\n  echo %s > /sys/bus/pci/devices/%s/driver/unbind",
                                   name, name);
    }
    return g_string_free(text, FALSE);
}
