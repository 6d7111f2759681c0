/* SPDX-License-Identifier: MIT */
/* plugmap doctor: a device in every state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "doctor_host.h"
#include "util/host_tree.h"

#define DEVICE  "/sys/bus/pci/devices/" READY
#define REGIONS "/sys/kernel/iommu_groups/1/reserved_regions"

/* --- driver --- */

static void bound_device_is_ok(void **state)
{
    doctor_host_expect(*state, READY, "driver", PM_DOCTOR_OK, "vfio-pci, no device cdev", NULL,
                       NULL);
    host_tree_link(*state, DEVICE "/driver", "../drivers/mlx5_vfio_pci");
    doctor_host_expect(*state, READY, "driver", PM_DOCTOR_OK, "mlx5_vfio_pci, no device cdev", NULL,
                       NULL);
}

/* Kernels without CONFIG_VFIO_DEVICE_CDEV have vfio-dev/vfioN, too. */
static void only_a_device_number_makes_a_cdev(void **state)
{
    host_tree_folder(*state, DEVICE "/vfio-dev/vfio3");
    doctor_host_expect(*state, READY, "driver", PM_DOCTOR_OK, "vfio-pci, no device cdev", NULL,
                       NULL);
    host_tree_file(*state, DEVICE "/vfio-dev/vfio3/dev", "511:3\n");
    doctor_host_expect(*state, READY, "driver", PM_DOCTOR_OK, "vfio-pci, device cdev vfio3", NULL,
                       NULL);
}

static void device_of_a_host_driver_is_an_error(void **state)
{
    doctor_host_expect(*state, NVME, "driver", PM_DOCTOR_ERROR, "nvme, not vfio-pci",
                       "echo 0000:00:05.0 >/sys/bus/pci/devices/0000:00:05.0/driver/unbind",
                       "driverctl set-override 0000:00:05.0 vfio-pci");
}

static void device_without_a_driver_is_an_error(void **state)
{
    host_tree_remove(*state, DEVICE "/driver");
    doctor_host_expect(*state, READY, "driver", PM_DOCTOR_ERROR, "none, not vfio-pci",
                       "echo 0000:00:04.0 >/sys/bus/pci/drivers_probe",
                       "driverctl set-override 0000:00:04.0 vfio-pci");
}

/* --- group --- */

static void viable_group_is_ok(void **state)
{
    doctor_host_expect(*state, READY, "group", PM_DOCTOR_OK, "1, viable, alone", NULL, NULL);
    doctor_host_expect(*state, SHARED, "group", PM_DOCTOR_OK,
                       "4, viable, with 0000:00:07.1 (no driver)", NULL, NULL);
    host_tree_link(*state, "/sys/bus/pci/devices/0000:00:07.1/driver", "../drivers/pcieport");
    doctor_host_expect(*state, SHARED, "group", PM_DOCTOR_OK,
                       "4, viable, with 0000:00:07.1 (pcieport)", NULL, NULL);
}

static void group_with_a_host_driver_is_not_viable(void **state)
{
    host_tree_link(*state, "/sys/bus/pci/devices/0000:00:07.1/driver", "../drivers/serial");
    doctor_host_expect(*state, SHARED, "group", PM_DOCTOR_ERROR,
                       "4 is not viable: host drivers have 0000:00:07.1 (serial); all of a group "
                       "belong to one owner",
                       "echo 0000:00:07.1 >/sys/bus/pci/devices/0000:00:07.1/driver/unbind",
                       "driverctl set-override 0000:00:07.1 vfio-pci");
}

static void large_groups_stay_readable(void **state)
{
    g_autoptr(PmDoctorReport) report = NULL;
    const PmDoctorFinding *finding;

    for (unsigned i = 0; i < 20; i++) {
        g_autofree char *address = g_strdup_printf("0000:01:%02x.0", i);

        doctor_host_device(*state, address, 1, "0x020000\n", "e1000e");
    }
    report = doctor_host_run(*state, READY);
    finding = g_ptr_array_index(
        ((const PmDoctorDevice *)g_ptr_array_index(report->devices, 0))->findings, 1);
    assert_non_null(strstr(finding->text, "0000:01:07.0 (e1000e) and 12 more"));
    assert_int_equal(finding->fix->len, 8);
}

static void device_without_a_group_is_an_error(void **state)
{
    host_tree_remove(*state, DEVICE "/iommu_group");
    doctor_host_expect(*state, READY, "group", PM_DOCTOR_ERROR,
                       "none: no IOMMU translates for this device; enable it in the firmware and "
                       "on the kernel's command line",
                       "dmesg | grep -i -e DMAR -e IOMMU -e AMD-Vi -e SMMU", "update-grub");
    doctor_host_expect(*state, READY, "permission", PM_DOCTOR_SKIPPED, NULL, NULL, NULL);
    doctor_host_expect(*state, READY, "aperture", PM_DOCTOR_SKIPPED, NULL, NULL, NULL);
    doctor_host_expect(*state, READY, "users", PM_DOCTOR_SKIPPED, NULL, NULL, NULL);
}

static void group_of_vfio_without_an_iommu_is_an_error(void **state)
{
    host_tree_file(*state, "/sys/kernel/iommu_groups/1/name", "vfio-noiommu\n");
    doctor_host_expect(*state, READY, "group", PM_DOCTOR_ERROR,
                       "none: no IOMMU translates for this device; enable it in the firmware and "
                       "on the kernel's command line",
                       "dmesg | grep -i -e DMAR -e IOMMU -e AMD-Vi -e SMMU", "update-grub");
}

static void damaged_group_is_named(void **state)
{
    host_tree_remove(*state, "/sys/kernel/iommu_groups/1/devices");
    doctor_host_expect_damaged(*state, READY, "group", "/sys/kernel/iommu_groups/1/devices",
                               "ENOENT");
}

/* --- aperture --- */

static void reserved_regions_are_left_out(void **state)
{
    doctor_host_expect(*state, READY, "aperture", PM_DOCTOR_OK,
                       "39-bit I/O addresses (512G): 0x0-0xfedfffff, 0xfef00000-0x7fffffffff", NULL,
                       NULL);
}

static void regions_at_the_ends_are_left_out(void **state)
{
    host_tree_file(*state, REGIONS,
                   "0x0000007000000000 0xffffffffffffffff reserved\n"
                   "0x0000000000000000 0x000000000000ffff reserved\n"
                   "0x0000000000008000 0x0000000000017fff msi\n"
                   "0x0000000000020000 0x0000000000ffffff direct-relaxable\n");
    doctor_host_expect(*state, READY, "aperture", PM_DOCTOR_OK,
                       "39-bit I/O addresses (512G): 0x18000-0x6fffffffff", NULL, NULL);
}

static void aperture_without_a_width_is_open(void **state)
{
    host_tree_link(*state, DEVICE "/iommu", "../../virtual/iommu/ivhd0");
    doctor_host_expect(*state, READY, "aperture", PM_DOCTOR_OK,
                       "I/O address width not in sysfs: 0x0-0xfedfffff, "
                       "0xfef00000-0xffffffffffffffff",
                       NULL, NULL);
    host_tree_file(*state, REGIONS, "");
    doctor_host_expect(*state, READY, "aperture", PM_DOCTOR_OK,
                       "I/O address width not in sysfs: 0x0-0xffffffffffffffff", NULL, NULL);
}

static void region_that_the_firmware_requires_is_an_error(void **state)
{
    host_tree_file(*state, REGIONS, "0x00000000000e0000 0x00000000000effff direct\n");
    doctor_host_expect(
        *state, READY, "aperture", PM_DOCTOR_ERROR,
        "the firmware requires 0xe0000-0xeffff to be mapped one to one: VFIO refuses "
        "the device. Switch off the firmware's use of it (legacy USB, management "
        "controller), or ask the vendor",
        "dmesg | grep -i -e RMRR -e '1:1'", "systemctl reboot --firmware-setup");
}

static void damaged_regions_are_named(void **state)
{
    static const char *const damaged[] = {
        "0x0 0x1 msi extra\n", "0x2 0x1 msi\n", "0 1 msi\n",
        "0x0 0x1\n",           "nonsense\n",    "0x0 0x1 msi\n\n0x0 0x1 msi\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(damaged); i++) {
        host_tree_file(*state, REGIONS, damaged[i]);
        doctor_host_expect_damaged(*state, READY, "aperture", REGIONS, "is not a region");
    }
}

/* --- permission --- */

/* "/dev/vfio/1: root:root, mode 0600" */
static char *node_text(const char *root, const char *path, unsigned mode)
{
    g_autofree char *full = g_strconcat(root, path, NULL);
    g_autofree char *user = NULL;
    g_autofree char *group = NULL;
    struct stat status;

    assert_int_equal(chmod(full, mode), 0);
    assert_int_equal(stat(full, &status), 0);
    user = pm_host_user_name(status.st_uid);
    group = pm_host_group_name(status.st_gid);
    return g_strdup_printf("%s: %s:%s, mode %04o", path, user, group, mode);
}

static void owner_may_use_the_group(void **state)
{
    g_autofree char *text = node_text(*state, "/dev/vfio/1", 0600);

    doctor_host_expect(*state, READY, "permission", PM_DOCTOR_OK, text, NULL, NULL);
}

static void members_of_the_files_group_may_use_it(void **state)
{
    g_autofree char *text = node_text(*state, "/dev/vfio/1", 0060);

    doctor_host_process(*state, 4242, (unsigned)getgid(), "0");
    doctor_host_expect(*state, READY, "permission", PM_DOCTOR_OK, text, NULL, NULL);
}

/* CAP_DAC_OVERRIDE is bit 1. */
static void capability_may_use_any_node(void **state)
{
    g_autofree char *text = node_text(*state, "/dev/vfio/1", 0);

    doctor_host_process(*state, 4242, 4242, "2");
    doctor_host_expect(*state, READY, "permission", PM_DOCTOR_OK, text, NULL, NULL);
}

/* Reading alone does not suffice. */
static void others_may_not(void **state)
{
    static const unsigned modes[] = {0600, 0660, 0664};

    doctor_host_process(*state, 4242, 4242, "0");
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *node = node_text(*state, "/dev/vfio/1", modes[i]);
        g_autofree char *text = g_strconcat(node, " (not for this user)", NULL);

        doctor_host_expect(*state, READY, "permission", PM_DOCTOR_ERROR, text,
                           "chown 4242 /dev/vfio/1",
                           "echo 'SUBSYSTEM==\"vfio\", KERNEL==\"1\", OWNER=\"4242\"' "
                           ">>/etc/udev/rules.d/90-vfio.rules");
    }
}

static void usable_cdev_suffices(void **state)
{
    g_autofree char *group = NULL;
    g_autofree char *cdev = NULL;
    g_autofree char *text = NULL;

    host_tree_file(*state, DEVICE "/vfio-dev/vfio3/dev", "511:3\n");
    host_tree_file(*state, "/dev/vfio/devices/vfio3", "");
    group = node_text(*state, "/dev/vfio/1", 0600);
    cdev = node_text(*state, "/dev/vfio/devices/vfio3", 0606);
    text = g_strdup_printf("%s (not for this user); %s", group, cdev);
    doctor_host_process(*state, 4242, 4242, "0");
    doctor_host_expect(*state, READY, "permission", PM_DOCTOR_OK, text, NULL, NULL);
}

static void nodes_that_are_not_there_are_an_error(void **state)
{
    host_tree_remove(*state, "/dev/vfio/1");
    doctor_host_expect(*state, READY, "permission", PM_DOCTOR_ERROR, "/dev/vfio/1: missing",
                       "udevadm trigger --subsystem-match=vfio && udevadm settle", NULL);
}

static void unbound_device_has_no_nodes(void **state)
{
    doctor_host_expect(*state, NVME, "permission", PM_DOCTOR_SKIPPED, NULL, NULL, NULL);
    doctor_host_expect(*state, NVME, "users", PM_DOCTOR_SKIPPED, NULL, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bound_device_is_ok, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(only_a_device_number_makes_a_cdev, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(device_of_a_host_driver_is_an_error, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(device_without_a_driver_is_an_error, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(viable_group_is_ok, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(group_with_a_host_driver_is_not_viable, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(large_groups_stay_readable, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(device_without_a_group_is_an_error, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(group_of_vfio_without_an_iommu_is_an_error,
                                        doctor_host_setup, doctor_host_teardown),
        cmocka_unit_test_setup_teardown(damaged_group_is_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(reserved_regions_are_left_out, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(regions_at_the_ends_are_left_out, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(aperture_without_a_width_is_open, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(region_that_the_firmware_requires_is_an_error,
                                        doctor_host_setup, doctor_host_teardown),
        cmocka_unit_test_setup_teardown(damaged_regions_are_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(owner_may_use_the_group, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(members_of_the_files_group_may_use_it, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(capability_may_use_any_node, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(others_may_not, doctor_host_setup, doctor_host_teardown),
        cmocka_unit_test_setup_teardown(usable_cdev_suffices, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(nodes_that_are_not_there_are_an_error, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(unbound_device_has_no_nodes, doctor_host_setup,
                                        doctor_host_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
