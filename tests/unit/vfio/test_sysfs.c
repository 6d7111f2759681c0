/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "util/fork_util.h"
#include "util/sysfs_tree.h"
#include "vfio/pci_names.h"
#include "vfio/sysfs.h"

static int make(void **state)
{
    *state = sysfs_tree_new(NULL);
    return 0;
}

static int drop(void **state)
{
    pm_kernel_unref(*state);
    return 0;
}

static void assert_refused(PmKernel *kernel, const char *device, PmError code, const char *because)
{
    g_autoptr(GError) error = NULL;
    unsigned group = 77;

    assert_false(pm_sysfs_find_group(kernel, device, &group, &error));
    assert_true(g_error_matches(error, PM_ERROR, (gint)code));
    assert_non_null(strstr(error->message, because));
    assert_non_null(strstr(error->message, device));
    assert_int_equal(group, 77);
}

static void pci_addresses_are_recognized(void **state)
{
    static const char *const right[] = {"0000:00:04.0", "0000:ff:1f.7", "10000:e1:00.0",
                                        "deadbeef:00:00.0"};
    static const char *const wrong[] = {"",
                                        "04.0",
                                        "00:04.0",
                                        "0000:00:04",
                                        "0000:00:04.8",
                                        "0000:00:20.0",
                                        "0000:00:04.0 ",
                                        "0000:0g:04.0",
                                        "0000:00:04.00",
                                        "000:00:04.0",
                                        "123456789:00:04.0",
                                        "0000:FF:04.0",
                                        "../../etc/p.0",
                                        "0000:../04.0",
                                        "0000/00/04.0"};
    size_t i;

    (void)state;
    for (i = 0; i < G_N_ELEMENTS(right); i++)
        assert_true(pm_pci_is_address(right[i]));
    for (i = 0; i < G_N_ELEMENTS(wrong); i++)
        assert_false(pm_pci_is_address(wrong[i]));
}

static void device_of_vfio_pci_has_its_group(void **state)
{
    unsigned group = 0;

    sysfs_tree_add(*state, "0000:00:04.0", 13, "vfio-pci");
    assert_true(pm_sysfs_find_group(*state, "0000:00:04.0", &group, NULL));
    assert_int_equal(group, 13);
}

static void device_of_another_vfio_driver_has_its_group(void **state)
{
    unsigned group = 0;

    sysfs_tree_add(*state, "0000:00:04.0", 2, "mlx5_vfio_pci");
    assert_true(pm_sysfs_find_group(*state, "0000:00:04.0", &group, NULL));
    assert_int_equal(group, 2);
}

static void text_that_is_not_an_address_is_refused(void **state)
{
    assert_refused(*state, "../../../etc", PM_ERROR_INVALID_ARGUMENT, "lspci -D");
}

static void missing_device_is_refused(void **state)
{
    assert_refused(*state, "0000:00:04.0", PM_ERROR_NOT_FOUND, "no PCI device 0000:00:04.0");
}

static void device_without_iommu_names_the_kernel_command_line(void **state)
{
    sysfs_tree_add(*state, "0000:00:04.0", -1, "vfio-pci");
    assert_refused(*state, "0000:00:04.0", PM_ERROR_NOT_FOUND,
                   "kernel command line:\n  intel_iommu=on");
}

static void device_of_a_host_driver_names_it_and_how_to_rebind(void **state)
{
    sysfs_tree_add(*state, "0000:00:04.0", 1, "e1000e");
    assert_refused(*state, "0000:00:04.0", PM_ERROR_BUSY,
                   "0000:00:04.0 is bound to the driver e1000e. Bind it to vfio-pci, as root:\n"
                   "  driverctl set-override 0000:00:04.0 vfio-pci\n"
                   "or without driverctl:\n"
                   "  modprobe vfio-pci\n"
                   "  echo vfio-pci > /sys/bus/pci/devices/0000:00:04.0/driver_override\n"
                   "  echo 0000:00:04.0 > /sys/bus/pci/devices/0000:00:04.0/driver/unbind\n"
                   "  echo 0000:00:04.0 > /sys/bus/pci/drivers_probe");
}

static void device_without_a_driver_says_how_to_bind(void **state)
{
    sysfs_tree_add(*state, "0000:00:04.0", 1, NULL);
    assert_refused(*state, "0000:00:04.0", PM_ERROR_NOT_FOUND,
                   "0000:00:04.0 has no driver. Bind it to vfio-pci, as root:\n"
                   "  driverctl set-override 0000:00:04.0 vfio-pci\n"
                   "or without driverctl:\n"
                   "  modprobe vfio-pci\n"
                   "  echo vfio-pci > /sys/bus/pci/devices/0000:00:04.0/driver_override\n"
                   "  echo 0000:00:04.0 > /sys/bus/pci/drivers_probe");
}

static void group_link_without_a_number_is_refused(void **state)
{
    sysfs_tree_add(*state, "0000:00:04.0", -1, "vfio-pci");
    sysfs_tree_add_link(*state, "0000:00:04.0", "iommu_group", "../../../../kernel/iommu_groups/x");
    assert_refused(*state, "0000:00:04.0", PM_ERROR_BAD_INPUT,
                   "links to 'x', which is not a group");
}

static int list_nothing(PmKernel *kernel G_GNUC_UNUSED, const char *path G_GNUC_UNUSED,
                        GStrv *names G_GNUC_UNUSED)
{
    return -EIO;
}

static void unreadable_sysfs_has_its_own_error(void **state)
{
    static const PmKernelOps ops = {.struct_size = sizeof(PmKernelOps), .list = list_nothing};
    PmKernel unreadable;

    assert_true(pm_kernel_init(&unreadable, &ops, *state, NULL));
    sysfs_tree_add(*state, "0000:00:04.0", 1, "vfio-pci");
    assert_refused(&unreadable, "0000:00:04.0", PM_ERROR_KERNEL,
                   "cannot list /sys/bus/pci/devices/0000:00:04.0: EIO");
    pm_kernel_unref(&unreadable);
}

static bool find_in_child(void *user_data)
{
    g_autoptr(GError) error = NULL;
    unsigned group;

    return !pm_sysfs_find_group(user_data, "0000:00:04.0", &group, &error) &&
           g_error_matches(error, PM_ERROR, PM_ERROR_PERMISSION) &&
           strstr(error->message, "forked") != NULL;
}

static void vfio_dev_without_a_device_number_is_no_cdev(void **state)
{
    g_autofree char *path = NULL;
    unsigned group;

    sysfs_tree_add(*state, "0000:00:04.0", 1, "vfio-pci");
    sysfs_tree_add(*state, "0000:00:05.0", 2, "vfio-pci");
    sysfs_tree_add_vfio(*state, "0000:00:04.0", 7, true);
    sysfs_tree_add_vfio(*state, "0000:00:05.0", 8, false);
    assert_true(pm_sysfs_has_device_file(*state, "0000:00:04.0"));
    assert_false(pm_sysfs_has_device_file(*state, "0000:00:05.0"));
    assert_true(pm_sysfs_find_device_file(*state, "0000:00:04.0", &path, &group, NULL));
    assert_string_equal(path, "/dev/vfio/devices/vfio7");
    assert_int_equal(group, 1);
}

static void forked_child_finds_no_device(void **state)
{
    sysfs_tree_add(*state, "0000:00:04.0", 1, "vfio-pci");
    assert_child(fork, find_in_child, *state);
}

static void drivers_that_keep_a_group_from_its_user_are_to_be_unbound(void **state)
{
    g_autofree char *text = NULL;

    sysfs_tree_add(*state, "0000:00:07.0", 3, "vfio-pci");
    sysfs_tree_add(*state, "0000:00:07.1", 3, "serial");
    sysfs_tree_add(*state, "0000:00:07.2", 3, NULL);
    sysfs_tree_add(*state, "0000:00:07.3", 3, "pcieport");
    sysfs_tree_add(*state, "0000:00:07.4", 3, "pci-stub");
    sysfs_tree_add(*state, "0000:00:07.5", 3, "ahci");
    text = pm_sysfs_describe_unbinding(*state, 3);
    assert_string_equal(text,
                        "\n  echo 0000:00:07.1 > /sys/bus/pci/devices/0000:00:07.1/driver/unbind"
                        "\n  echo 0000:00:07.5 > /sys/bus/pci/devices/0000:00:07.5/driver/unbind");
}

static void group_lists_its_devices_and_their_drivers(void **state)
{
    g_autofree char *text = NULL;

    sysfs_tree_add(*state, "0000:00:07.1", 3, "serial");
    sysfs_tree_add(*state, "0000:00:07.0", 3, "vfio-pci");
    sysfs_tree_add(*state, "0000:00:07.2", 3, NULL);
    sysfs_tree_add(*state, "0000:00:08.0", 4, "ahci");
    text = pm_sysfs_describe_group(*state, 3);
    assert_string_equal(text,
                        "0000:00:07.0: vfio-pci, 0000:00:07.1: serial, 0000:00:07.2: no driver");
}

static void large_group_is_cut_short(void **state)
{
    g_autofree char *text = NULL;
    unsigned i;

    for (i = 0; i < 20; i++) {
        g_autofree char *address = g_strdup_printf("0000:%02x:00.0", i);

        sysfs_tree_add(*state, address, 3, "pcieport");
    }
    text = pm_sysfs_describe_group(*state, 3);
    assert_true(g_str_has_suffix(text, "0000:0f:00.0: pcieport and 4 more"));
}

static void missing_group_is_described(void **state)
{
    g_autofree char *text = pm_sysfs_describe_group(*state, 5);

    assert_true(g_str_has_suffix(text, "kernel/iommu_groups/5/devices lists no device"));
}

#define SYSFS_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYSFS_TEST(pci_addresses_are_recognized),
        SYSFS_TEST(device_of_vfio_pci_has_its_group),
        SYSFS_TEST(device_of_another_vfio_driver_has_its_group),
        SYSFS_TEST(text_that_is_not_an_address_is_refused),
        SYSFS_TEST(missing_device_is_refused),
        SYSFS_TEST(device_without_iommu_names_the_kernel_command_line),
        SYSFS_TEST(device_of_a_host_driver_names_it_and_how_to_rebind),
        SYSFS_TEST(device_without_a_driver_says_how_to_bind),
        SYSFS_TEST(group_link_without_a_number_is_refused),
        SYSFS_TEST(unreadable_sysfs_has_its_own_error),
        SYSFS_TEST(vfio_dev_without_a_device_number_is_no_cdev),
        SYSFS_TEST(forked_child_finds_no_device),
        SYSFS_TEST(drivers_that_keep_a_group_from_its_user_are_to_be_unbound),
        SYSFS_TEST(group_lists_its_devices_and_their_drivers),
        SYSFS_TEST(large_group_is_cut_short),
        SYSFS_TEST(missing_group_is_described),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
