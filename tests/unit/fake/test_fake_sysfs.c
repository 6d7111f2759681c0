/* SPDX-License-Identifier: MIT */
/* The fake kernel's sysfs, and opening devices by PCI address with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <plugmap/fake.h>
#include <plugmap/iommu.h>

#include <cmocka.h>

#include <errno.h>

#include "util/backend_util.h"
#include "util/iommu_fixture.h"

#define FIRST     "0000:00:04.0"
#define SECOND    "0000:00:05.0"
#define HOSTS     "0000:00:06.0"
#define NOBODYS   "0000:00:07.0"
#define SHARED    "0000:00:08.0"
#define SHARED_BY "0000:00:08.1"

static int make(void **state)
{
    PmKernel *kernel = backend_fake_new(NULL, NULL);

    assert_true(pm_fake_kernel_add_device(kernel, 12, SECOND, "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(kernel, 3, HOSTS, "e1000e", NULL));
    assert_true(pm_fake_kernel_add_device(kernel, 4, NOBODYS, NULL, NULL));
    assert_true(pm_fake_kernel_add_device(kernel, 5, SHARED, "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(kernel, 5, SHARED_BY, "serial", NULL));
    *state = kernel;
    return 0;
}

static int drop(void **state)
{
    assert_int_equal(pm_fake_kernel_get_n_open(*state), 0);
    pm_kernel_unref(*state);
    return 0;
}

/* --- contents --- */

static void assert_link(PmKernel *kernel, const char *path, const char *target)
{
    char buffer[256] = {0};

    assert_int_equal(kernel->ops->readlink(kernel, path, buffer, sizeof buffer), strlen(target));
    assert_string_equal(buffer, target);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void assert_directory(PmKernel *kernel, const char *path, const char *expected)
{
    g_auto(GStrv) names = NULL;
    g_autofree char *found = NULL;

    assert_int_equal(kernel->ops->list(kernel, path, &names), 0);
    qsort(names, g_strv_length(names), sizeof *names, compare);
    found = g_strjoinv(" ", names);
    assert_string_equal(found, expected);
}

static void assert_missing(PmKernel *kernel, const char *path)
{
    g_auto(GStrv) names = NULL;
    char byte;

    assert_int_equal(kernel->ops->list(kernel, path, &names), -ENOENT);
    assert_int_equal(kernel->ops->readlink(kernel, path, &byte, 1), -ENOENT);
}

static void devices_link_to_their_driver_and_group(void **state)
{
    PmKernel *kernel = *state;

    assert_directory(kernel, "/sys/bus/pci/devices",
                     FIRST " " SECOND " " HOSTS " " NOBODYS " " SHARED " " SHARED_BY);
    assert_link(kernel, "/sys/bus/pci/devices/" SECOND, "../../../devices/pci0000:00/" SECOND);
    assert_link(kernel, "/sys/bus/pci/devices/" SECOND "/driver",
                "../../../bus/pci/drivers/vfio-pci");
    assert_link(kernel, "/sys/bus/pci/devices/" SECOND "/iommu_group",
                "../../../kernel/iommu_groups/12");
    assert_link(kernel, "/sys/bus/pci/devices/" HOSTS "/driver", "../../../bus/pci/drivers/e1000e");
    assert_missing(kernel, "/sys/bus/pci/devices/" NOBODYS "/driver");
}

static void groups_list_their_devices(void **state)
{
    PmKernel *kernel = *state;

    assert_directory(kernel, "/sys/kernel/iommu_groups", "1 12 3 4 5");
    assert_directory(kernel, "/sys/kernel/iommu_groups/5", "devices");
    assert_directory(kernel, "/sys/kernel/iommu_groups/5/devices", SHARED " " SHARED_BY);
    assert_link(kernel, "/sys/kernel/iommu_groups/5/devices/" SHARED_BY,
                "../../../../devices/pci0000:00/" SHARED_BY);
    assert_link(kernel, "/sys/kernel/iommu_groups/5/devices/" SHARED_BY "/driver",
                "../../../bus/pci/drivers/serial");
}

static void vfio_devices_have_cdevs_with_iommufd(void **state)
{
    PmKernel *kernel = *state;

    assert_directory(kernel, "/sys/bus/pci/devices/" SECOND, "driver iommu_group vfio-dev");
    assert_directory(kernel, "/sys/bus/pci/devices/" SECOND "/vfio-dev", "vfio1");
    assert_directory(kernel, "/sys/bus/pci/devices/" SECOND "/vfio-dev/vfio1",
                     backend_is_iommufd() ? "dev" : "");
    assert_missing(kernel, "/sys/bus/pci/devices/" SECOND "/vfio-dev/vfio0");
    assert_missing(kernel, "/sys/bus/pci/devices/" SECOND "/vfio-dev/vfio1/nothing");
    assert_directory(kernel, "/sys/bus/pci/devices/" HOSTS, "driver iommu_group");
    assert_missing(kernel, "/sys/bus/pci/devices/" HOSTS "/vfio-dev");
}

static void other_paths_do_not_exist(void **state)
{
    static const char *const paths[] = {
        "/sys",
        "/sys/bus/pci/devices/0000:00:1f.0",
        "/sys/bus/pci/devicesX",
        "/sys/kernel/iommu_groups/2",
        "/sys/kernel/iommu_groups/1/nothing",
        "/proc/self",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
        assert_missing(*state, paths[i]);
    assert_missing(*state, "/sys/bus/pci/devices/" FIRST "/nothing");
    assert_missing(*state, "/sys/bus/pci/devices/" FIRST "/iommu_group/nothing");
    assert_missing(*state, "/sys/kernel/iommu_groups/1/devices/" SECOND);
}

static void readlink_of_a_directory_fails_with_einval(void **state)
{
    PmKernel *kernel = *state;
    char byte;

    assert_int_equal(kernel->ops->readlink(kernel, "/sys/kernel/iommu_groups/1", &byte, 1),
                     -EINVAL);
}

static void readlink_truncates_to_the_buffer(void **state)
{
    PmKernel *kernel = *state;
    char text[] = "123456";

    assert_int_equal(
        kernel->ops->readlink(kernel, "/sys/bus/pci/devices/" FIRST "/driver", text, 4), 4);
    assert_string_equal(text, "../.56");
}

/* --- users --- */

static PmIommu *open_device(PmKernel *kernel, const char *device, GError **error)
{
    const PmType1Config type1 = {.struct_size = sizeof(type1), .kernel = kernel, .device = device};
    const PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .kernel = kernel, .device = device};

    return backend_is_iommufd() ? pm_iommu_iommufd_new(&iommufd, error)
                                : pm_iommu_type1_new(&type1, error);
}

static void assert_not_opened(PmKernel *kernel, const char *device, PmError code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_null(open_device(kernel, device, &error));
    assert_error(&error, code, words);
}

static void device_opens_by_address(void **state)
{
    g_autoptr(PmIommu) iommu = open_device(*state, SECOND, NULL);

    assert_non_null(iommu);
    assert_true(pm_iommu_has_device(iommu, SECOND));
}

static void second_device_attaches_by_address(void **state)
{
    g_autoptr(PmIommu) iommu = open_device(*state, FIRST, NULL);

    assert_non_null(iommu);
    assert_true(pm_iommu_attach(iommu, SECOND, NULL));
    assert_true(pm_iommu_open_device(iommu, SECOND, NULL) >= 0);
    assert_true(pm_iommu_detach(iommu, SECOND, NULL));
}

static void choose_backend_follows_the_kernels_support(void **state)
{
    g_autofree char *reason = NULL;

    assert_int_equal(pm_iommu_choose_backend(*state, FIRST, &reason),
                     backend_is_iommufd() ? PM_IOMMU_IOMMUFD : PM_IOMMU_TYPE1);
    assert_non_null(strstr(reason, backend_is_iommufd() ? "the device cdev of " FIRST " exist"
                                                        : "there is no /dev/iommu"));
}

static void error_names_a_missing_device(void **state)
{
    g_autoptr(PmIommu) iommu = open_device(*state, FIRST, NULL);
    g_autoptr(GError) error = NULL;

    assert_not_opened(*state, "0000:00:1f.0", PM_ERROR_NOT_FOUND, "no PCI device 0000:00:1f.0");
    assert_false(pm_iommu_attach(iommu, "0000:00:1f.0", &error));
    assert_error(&error, PM_ERROR_NOT_FOUND, "no PCI device 0000:00:1f.0");
}

static void error_for_a_driverless_device_says_how_to_bind(void **state)
{
    assert_not_opened(*state, NOBODYS, PM_ERROR_NOT_FOUND, NOBODYS " has no driver. Bind it");
}

static void error_for_a_host_drivers_device_says_how_to_rebind(void **state)
{
    assert_not_opened(*state, HOSTS, PM_ERROR_BUSY, HOSTS " is bound to the driver e1000e");
}

static void error_for_a_nonviable_group_names_the_other_driver(void **state)
{
    assert_not_opened(*state, SHARED, PM_ERROR_NOT_VIABLE,
                      "(" SHARED ": vfio-pci, " SHARED_BY ": serial)");
    assert_not_opened(*state, SHARED, PM_ERROR_NOT_VIABLE,
                      "echo " SHARED_BY " > /sys/bus/pci/devices/" SHARED_BY "/driver/unbind");
}

static void error_without_iommufd_suggests_type1(void **state)
{
    const PmIommufdConfig config = {
        .struct_size = sizeof(config), .kernel = *state, .device = FIRST};
    g_autoptr(GError) error = NULL;

    if (backend_is_iommufd())
        skip();
    assert_null(pm_iommu_iommufd_new(&config, &error));
    assert_error(&error, PM_ERROR_UNSUPPORTED, "Use the back end type1");
}

/* They are not calls on a VFIO file. */
static void fault_plan_ignores_sysfs_reads(void **state)
{
    PmKernel *kernel = *state;
    uint64_t n_calls = pm_fake_kernel_get_n_calls(kernel, PM_FAKE_CALL_ANY);

    pm_fake_kernel_fail(kernel, PM_FAKE_CALL_ANY, 1, EIO);
    assert_directory(kernel, "/sys/kernel/iommu_groups/5", "devices");
    assert_int_equal(pm_fake_kernel_get_n_calls(kernel, PM_FAKE_CALL_ANY), n_calls);
}

#define SYSFS_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSFS_TEST(devices_link_to_their_driver_and_group),
        SYSFS_TEST(groups_list_their_devices),
        SYSFS_TEST(vfio_devices_have_cdevs_with_iommufd),
        SYSFS_TEST(other_paths_do_not_exist),
        SYSFS_TEST(readlink_of_a_directory_fails_with_einval),
        SYSFS_TEST(readlink_truncates_to_the_buffer),
        SYSFS_TEST(device_opens_by_address),
        SYSFS_TEST(second_device_attaches_by_address),
        SYSFS_TEST(choose_backend_follows_the_kernels_support),
        SYSFS_TEST(error_names_a_missing_device),
        SYSFS_TEST(error_for_a_driverless_device_says_how_to_bind),
        SYSFS_TEST(error_for_a_host_drivers_device_says_how_to_rebind),
        SYSFS_TEST(error_for_a_nonviable_group_names_the_other_driver),
        SYSFS_TEST(error_without_iommufd_suggests_type1),
        SYSFS_TEST(fault_plan_ignores_sysfs_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
