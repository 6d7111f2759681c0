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

/* By their own file they are opened without the group's. */
static void devices_of_vfio_name_their_own_file_with_iommufd(void **state)
{
    Kernel *kernel = *state;
    int iommufd = kernel_open(kernel, "/dev/iommu");
    g_auto(GStrv) names = NULL;
    g_autofree char *file = NULL;

    if (iommufd < 0) {
        assert_int_equal(pm_kernel_list(kernel->pm, DEVICES DEVICE "/vfio-dev", &names), -ENOENT);
        return;
    }
    assert_int_equal(list(kernel, DEVICES DEVICE "/vfio-dev", &names), 1);
    file = g_build_filename("/dev/vfio/devices", names[0], NULL);
    assert_true(kernel_open(kernel, file) >= 0);
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
        TEST_CLOSED(devices_of_vfio_name_their_own_file_with_iommufd),
        TEST_CLOSED(missing_things_are_enoent_and_folders_no_links),
        TEST_CLOSED(link_is_cut_where_the_buffer_ends),
    };

    return RUN_TESTS(tests);
}
