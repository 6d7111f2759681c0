/* SPDX-License-Identifier: MIT */
/* What sysfs shows of the devices and their groups. */
#include "util/kernel_util.h"

#include "kernel/kernel_calls.h"

#define DEVICES "/sys/bus/pci/devices/"
#define GROUPS  "/sys/kernel/iommu_groups/"

static void assert_link(Kernel *kernel, const char *path, const char *target)
{
    char buffer[256] = {0};

    assert_int_equal(pm_kernel_readlink(kernel->pm, path, buffer, sizeof(buffer)), strlen(target));
    assert_string_equal(buffer, target);
}

static unsigned list(Kernel *kernel, const char *path, GStrv *names)
{
    assert_int_equal(pm_kernel_list(kernel->pm, path, names), 0);
    return g_strv_length(*names);
}

static void devices_link_to_their_driver_and_group(void **state)
{
    assert_link(*state, DEVICES DEVICE, "../../../devices/pci0000:00/" DEVICE);
    assert_link(*state, DEVICES DEVICE "/driver", "../../../bus/pci/drivers/vfio-pci");
    assert_link(*state, DEVICES DEVICE "/iommu_group", "../../../kernel/iommu_groups/1");
    assert_link(*state, DEVICES SHARED_HOST "/driver", "../../../bus/pci/drivers/serial");
}

static void groups_list_all_their_devices(void **state)
{
    g_auto(GStrv) names = NULL;
    g_auto(GStrv) folder = NULL;

    assert_int_equal(list(*state, GROUPS "4/devices", &names), 2);
    assert_true(g_strv_contains((const char *const *)names, SHARED_DEVICE));
    assert_true(g_strv_contains((const char *const *)names, SHARED_HOST));
    assert_link(*state, GROUPS "4/devices/" SHARED_HOST,
                "../../../../devices/pci0000:00/" SHARED_HOST);
    assert_link(*state, GROUPS "4/devices/" SHARED_HOST "/driver",
                "../../../bus/pci/drivers/serial");
    (void)list(*state, GROUPS "4", &folder);
    assert_true(g_strv_contains((const char *const *)folder, "devices"));
}

static void folders_have_the_names_of_what_is_in_them(void **state)
{
    g_auto(GStrv) devices = NULL;
    g_auto(GStrv) groups = NULL;
    g_auto(GStrv) device = NULL;

    (void)list(*state, "/sys/bus/pci/devices", &devices);
    assert_true(g_strv_contains((const char *const *)devices, DEVICE));
    assert_false(g_strv_contains((const char *const *)devices, "."));
    assert_false(g_strv_contains((const char *const *)devices, ".."));
    (void)list(*state, "/sys/kernel/iommu_groups", &groups);
    assert_true(g_strv_contains((const char *const *)groups, "4"));
    (void)list(*state, DEVICES DEVICE, &device);
    assert_true(g_strv_contains((const char *const *)device, "driver"));
    assert_true(g_strv_contains((const char *const *)device, "iommu_group"));
}

/* Without CONFIG_VFIO_DEVICE_CDEV the folder is there all the same, with no number of a file. */
static void devices_of_vfio_have_a_file_of_their_own_with_iommufd(void **state)
{
    Kernel *kernel = *state;
    bool has_iommufd = kernel_open(kernel, "/dev/iommu") >= 0;
    g_auto(GStrv) names = NULL;
    g_auto(GStrv) attributes = NULL;
    g_autofree char *folder = NULL;
    g_autofree char *file = NULL;

    assert_int_equal(list(kernel, DEVICES DEVICE "/vfio-dev", &names), 1);
    folder = g_build_filename(DEVICES DEVICE "/vfio-dev", names[0], NULL);
    file = g_build_filename("/dev/vfio/devices", names[0], NULL);
    (void)list(kernel, folder, &attributes);
    assert_int_equal(g_strv_contains((const char *const *)attributes, "dev"), has_iommufd);
    assert_int_equal(kernel_open(kernel, file) >= 0, has_iommufd);
}

static void missing_things_are_enoent_and_folders_no_links(void **state)
{
    Kernel *kernel = *state;
    GStrv names = NULL;
    char byte;

    assert_int_equal(pm_kernel_list(kernel->pm, DEVICES "0000:00:1f.7", &names), -ENOENT);
    assert_int_equal(pm_kernel_readlink(kernel->pm, DEVICES "0000:00:1f.7", &byte, 1), -ENOENT);
    assert_int_equal(pm_kernel_list(kernel->pm, GROUPS "99/devices", &names), -ENOENT);
    assert_int_equal(pm_kernel_readlink(kernel->pm, GROUPS "4/devices", &byte, 1), -EINVAL);
    assert_null(names);
}

static void link_is_cut_where_the_buffer_ends(void **state)
{
    Kernel *kernel = *state;
    char text[] = "123456";

    assert_int_equal(pm_kernel_readlink(kernel->pm, DEVICES DEVICE "/driver", text, 4), 4);
    assert_string_equal(text, "../.56");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_CLOSED(devices_link_to_their_driver_and_group),
        TEST_CLOSED(groups_list_all_their_devices),
        TEST_CLOSED(folders_have_the_names_of_what_is_in_them),
        TEST_CLOSED(devices_of_vfio_have_a_file_of_their_own_with_iommufd),
        TEST_CLOSED(missing_things_are_enoent_and_folders_no_links),
        TEST_CLOSED(link_is_cut_where_the_buffer_ends),
    };

    return RUN_TESTS(tests);
}
