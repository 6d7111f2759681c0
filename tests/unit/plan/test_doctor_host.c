/* SPDX-License-Identifier: MIT */
/* plugmap doctor: the IOMMU, modules and device nodes of a host, in every state. */
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

#define CAP        "/sys/class/iommu/dmar0/intel-iommu/cap"
#define UNSAFE     "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
#define NOIOMMU    "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
#define MODULES    "/lib/modules/6.12.0/"
#define DMESG_LINE "dmesg | grep -i -e DMAR -e IOMMU -e AMD-Vi -e SMMU"

static void ready_host_has_no_warning(void **state)
{
    g_autoptr(PmDoctorReport) report = doctor_host_run(*state, READY);

    for (guint i = 0; i < report->findings->len; i++) {
        const PmDoctorFinding *finding = g_ptr_array_index(report->findings, i);

        if (finding->state != PM_DOCTOR_OK)
            fail_msg("%s: %s", finding->name, finding->text);
        assert_int_equal(finding->fix->len + finding->boot->len, 0);
    }
    assert_int_equal(report->findings->len, 12);
    assert_int_equal(report->worst, PM_DOCTOR_OK);
}

/* --- IOMMU --- */

static void intel_iommu_has_its_width(void **state)
{
    doctor_host_expect(*state, NULL, "iommu", PM_DOCTOR_OK,
                       "Intel VT-d, 1 unit, 39-bit I/O addresses (512G)", NULL, NULL);
}

/* The second unit takes 48 bits but walks tables of 39 and 48; a third takes 46 of 57. */
static void width_is_the_smallest_of_all_units(void **state)
{
    host_tree_file(*state, CAP, "d2008c402f0686\n");
    host_tree_file(*state, "/sys/class/iommu/dmar1/intel-iommu/cap", "2d0e86\n");
    doctor_host_expect(*state, NULL, "iommu", PM_DOCTOR_OK,
                       "Intel VT-d, 2 units, 46-bit I/O addresses (64T)", NULL, NULL);
}

static void other_kinds_of_iommu_are_named(void **state)
{
    static const struct {
        const char *name;
        const char *text;
    } kinds[] = {
        {"ivhd0", "AMD-Vi, 1 unit, I/O address width not in sysfs"},
        {"smmu3.0x0000000009050000", "Arm SMMUv3, 1 unit, I/O address width not in sysfs"},
        {"smmu.0x0000000009050000", "Arm SMMU, 1 unit, I/O address width not in sysfs"},
        {"virtio0", "virtio-iommu, 1 unit, I/O address width not in sysfs"},
        {"other", "IOMMU, 1 unit, I/O address width not in sysfs"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *folder = g_strconcat("/sys/class/iommu/", kinds[i].name, NULL);

        host_tree_remove(*state, "/sys/class/iommu");
        host_tree_folder(*state, folder);
        doctor_host_expect(*state, NULL, "iommu", PM_DOCTOR_OK, kinds[i].text, NULL, NULL);
    }
}

static void host_without_an_iommu_is_an_error(void **state)
{
    static const char text[] = "none: enable it in the firmware (VT-d, AMD-Vi, SMMU) and on the "
                               "kernel's command line";

    host_tree_remove(*state, "/sys/class/iommu");
    doctor_host_expect(*state, NULL, "iommu", PM_DOCTOR_ERROR, text, DMESG_LINE,
                       "echo 'GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX intel_iommu=on\"' "
                       ">/etc/default/grub.d/iommu.cfg");
    host_tree_file(*state, "/proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
    doctor_host_expect(*state, NULL, "iommu", PM_DOCTOR_ERROR, text, DMESG_LINE,
                       "systemctl reboot --firmware-setup");
}

static void iommu_that_translates_for_nothing_is_an_error(void **state)
{
    host_tree_remove(*state, "/sys/kernel/iommu_groups");
    doctor_host_expect(*state, NULL, "iommu", PM_DOCTOR_ERROR,
                       "none: enable it in the firmware (VT-d, AMD-Vi, SMMU) and on the kernel's "
                       "command line",
                       DMESG_LINE, "update-grub");
}

static void damaged_capabilities_are_named(void **state)
{
    host_tree_file(*state, CAP, "xyz\n");
    doctor_host_expect_damaged(*state, NULL, "iommu", CAP, "must be a hexadecimal number");
    host_tree_file(*state, CAP, "0\n");
    doctor_host_expect_damaged(*state, NULL, "iommu", CAP, "no page table");
}

/* --- interrupts --- */

static void remapped_interrupts_are_ok(void **state)
{
    doctor_host_expect(*state, NULL, "interrupts", PM_DOCTOR_OK, "remapped", NULL, NULL);
}

static void interrupts_that_are_not_remapped_are_an_error(void **state)
{
    host_tree_file(*state, "/proc/interrupts", "  0:  167  IO-APIC   2-edge      timer\n");
    doctor_host_expect(
        *state, NULL, "interrupts", PM_DOCTOR_ERROR,
        "not remapped: VFIO refuses devices (EPERM). Enable interrupt remapping or x2APIC in the "
        "firmware, and remove intremap=off and nointremap from the kernel's command line; for "
        "trusted guests allow it",
        "echo Y >" UNSAFE,
        "echo 'options vfio_iommu_type1 allow_unsafe_interrupts=1' "
        ">/etc/modprobe.d/vfio-unsafe-interrupts.conf");
}

static void unsafe_interrupts_that_are_allowed_are_a_warning(void **state)
{
    static const char *const files[] = {UNSAFE,
                                        "/sys/module/iommufd/parameters/allow_unsafe_interrupts"};

    host_tree_file(*state, "/proc/interrupts", "  0:  167  IO-APIC   2-edge      timer\n");
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        host_tree_file(*state, files[i], "Y\n");
        doctor_host_expect(*state, NULL, "interrupts", PM_DOCTOR_WARNING,
                           "not remapped, but allow_unsafe_interrupts is set: a guest can inject "
                           "interrupts into the host",
                           "cat /proc/cmdline; dmesg | grep -i remap",
                           "grep -r allow_unsafe_interrupts /etc/modprobe.d");
        host_tree_file(*state, files[i], "N\n");
    }
}

/* Of Linux 6.12 and of older kernels. */
static void interrupts_of_arms_translation_service_are_ok(void **state)
{
    static const char *const texts[] = {
        " 60:  3  ITS-PCI-MSIX-0000:01:00.0  0 Edge  nvme0q0\n",
        " 60:  3  ITS-MSI 524288 Edge  nvme0q0\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        host_tree_file(*state, "/proc/interrupts", texts[i]);
        doctor_host_expect(*state, NULL, "interrupts", PM_DOCTOR_OK,
                           "isolated by the interrupt translation service", NULL, NULL);
    }
}

static void interrupts_of_other_processors_are_unknown(void **state)
{
    host_tree_file(*state, "/proc/interrupts", " 11:  99  GICv3  27 Level  arch_timer\n");
    doctor_host_expect(*state, NULL, "interrupts", PM_DOCTOR_WARNING,
                       "unknown: /proc/interrupts does not show whether they are remapped",
                       "dmesg | grep -i -e remap -e ITS", NULL);
}

static void damaged_interrupt_parameter_is_named(void **state)
{
    host_tree_file(*state, UNSAFE, "?\n");
    doctor_host_expect_damaged(*state, NULL, "interrupts", UNSAFE, "must be Y or N");
}

/* --- modules --- */

static void module_in_the_kernel_is_ok(void **state)
{
    host_tree_remove(*state, "/sys/module/vfio_pci/initstate");
    host_tree_folder(*state, "/sys/module/vfio_pci/parameters");
    doctor_host_expect(*state, NULL, "vfio-pci", PM_DOCTOR_OK, "built in", NULL, NULL);
    host_tree_remove(*state, "/sys/module/vfio_pci");
    host_tree_file(*state, MODULES "modules.builtin", "kernel/drivers/vfio/pci/vfio-pci.ko\n");
    doctor_host_expect(*state, NULL, "vfio-pci", PM_DOCTOR_OK, "built in", NULL, NULL);
}

static void loaded_module_is_ok(void **state)
{
    doctor_host_expect(*state, NULL, "vfio-pci", PM_DOCTOR_OK, "loaded", NULL, NULL);
    doctor_host_expect(*state, NULL, "type1", PM_DOCTOR_OK, "loaded", NULL, NULL);
}

static void module_that_is_not_loaded_is_an_error(void **state)
{
    host_tree_remove(*state, "/sys/module/vfio_pci");
    host_tree_file(*state, MODULES "modules.dep", "a/b.ko:\na/vfio-pci.ko.xz: a/b.ko\n");
    doctor_host_expect(*state, NULL, "vfio-pci", PM_DOCTOR_ERROR, "not loaded (available)",
                       "modprobe vfio-pci", "echo vfio-pci >/etc/modules-load.d/vfio-pci.conf");
    host_tree_remove(*state, MODULES "modules.dep");
    doctor_host_expect(*state, NULL, "vfio-pci", PM_DOCTOR_ERROR, "not loaded (unknown)",
                       "modprobe vfio-pci", "echo vfio-pci >/etc/modules-load.d/vfio-pci.conf");
}

static void missing_module_is_an_error(void **state)
{
    host_tree_remove(*state, "/sys/module/vfio_pci");
    doctor_host_expect(*state, NULL, "vfio-pci", PM_DOCTOR_ERROR,
                       "missing: this kernel has no such module",
                       "apt install linux-image-$(dpkg --print-architecture)", NULL);
}

static void mode_without_an_iommu_is_a_warning(void **state)
{
    host_tree_file(*state, NOIOMMU, "Y\n");
    doctor_host_expect(*state, NULL, "vfio-pci", PM_DOCTOR_WARNING,
                       "loaded, with enable_unsafe_noiommu_mode: devices without an IOMMU reach "
                       "all of the host's memory",
                       "echo N >" NOIOMMU,
                       "grep -r enable_unsafe_noiommu_mode /etc/modprobe.d /etc/default/grub*");
    host_tree_file(*state, NOIOMMU, "N\n");
    doctor_host_expect(*state, NULL, "vfio-pci", PM_DOCTOR_OK, "loaded", NULL, NULL);
}

static void one_back_end_suffices(void **state)
{
    doctor_host_expect(*state, NULL, "iommufd", PM_DOCTOR_OK,
                       "missing; vfio_iommu_type1 is loaded, and one of them suffices", NULL, NULL);
    host_tree_remove(*state, "/sys/module/vfio_iommu_type1");
    host_tree_file(*state, "/sys/module/iommufd/parameters/allow_unsafe_interrupts", "N\n");
    doctor_host_expect(*state, NULL, "type1", PM_DOCTOR_OK,
                       "missing; iommufd is built in, and one of them suffices", NULL, NULL);
    doctor_host_expect(*state, NULL, "iommufd", PM_DOCTOR_OK, "built in", NULL, NULL);
}

static void host_without_a_back_end_is_an_error(void **state)
{
    host_tree_remove(*state, "/sys/module/vfio_iommu_type1");
    host_tree_file(*state, MODULES "modules.dep", "a/vfio_iommu_type1.ko.xz:\n");
    doctor_host_expect(*state, NULL, "type1", PM_DOCTOR_ERROR,
                       "available, and iommufd is missing: one of them is needed",
                       "modprobe vfio_iommu_type1",
                       "echo vfio_iommu_type1 >/etc/modules-load.d/vfio_iommu_type1.conf");
    doctor_host_expect(*state, NULL, "iommufd", PM_DOCTOR_ERROR,
                       "missing, and vfio_iommu_type1 is available: one of them is needed",
                       "apt install linux-image-$(dpkg --print-architecture)", NULL);
}

static void damaged_list_of_modules_is_named(void **state)
{
    host_tree_remove(*state, "/sys/module/vfio_pci");
    host_tree_remove(*state, MODULES "modules.dep");
    host_tree_folder(*state, MODULES "modules.dep");
    doctor_host_expect_damaged(*state, NULL, "vfio-pci", MODULES "modules.dep",
                               "not a regular file");
}

/* --- device nodes --- */

/* "root:root, mode 0600" of a file that this process has made. */
static char *owner_text(const char *root, const char *path, unsigned mode)
{
    g_autofree char *full = g_strconcat(root, path, NULL);
    struct stat status;
    g_autofree char *user = NULL;
    g_autofree char *group = NULL;

    assert_int_equal(chmod(full, mode), 0);
    assert_int_equal(stat(full, &status), 0);
    user = pm_host_user_name(status.st_uid);
    group = pm_host_group_name(status.st_gid);
    return g_strdup_printf("%s:%s, mode %04o", user, group, mode);
}

static void one_usable_node_suffices(void **state)
{
    g_autofree char *owner = owner_text(*state, "/dev/vfio/vfio", 0600);
    g_autofree char *text = g_strdup_printf("/dev/vfio/vfio: %s; /dev/iommu: missing", owner);

    doctor_host_expect(*state, NULL, "nodes", PM_DOCTOR_OK, text, NULL, NULL);
}

static void nodes_of_others_are_an_error(void **state)
{
    g_autofree char *container = owner_text(*state, "/dev/vfio/vfio", 0600);
    g_autofree char *iommufd = NULL;
    g_autofree char *text = NULL;

    host_tree_file(*state, "/dev/iommu", "");
    iommufd = owner_text(*state, "/dev/iommu", 0660);
    text = g_strdup_printf("/dev/vfio/vfio: %s (not for this user); /dev/iommu: %s (not for this "
                           "user)",
                           container, iommufd);
    doctor_host_process(*state, 4242, 4242, "0");
    doctor_host_expect(*state, NULL, "nodes", PM_DOCTOR_ERROR, text, "chown 4242 /dev/vfio/vfio",
                       "echo 'KERNEL==\"iommu\", OWNER=\"4242\"' "
                       ">>/etc/udev/rules.d/90-vfio.rules");
}

static void missing_nodes_are_an_error(void **state)
{
    host_tree_remove(*state, "/dev/vfio/vfio");
    doctor_host_expect(*state, NULL, "nodes", PM_DOCTOR_ERROR,
                       "/dev/vfio/vfio: missing; /dev/iommu: missing", "modprobe vfio",
                       "echo vfio >/etc/modules-load.d/vfio.conf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ready_host_has_no_warning, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(intel_iommu_has_its_width, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(width_is_the_smallest_of_all_units, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(other_kinds_of_iommu_are_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(host_without_an_iommu_is_an_error, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(iommu_that_translates_for_nothing_is_an_error,
                                        doctor_host_setup, doctor_host_teardown),
        cmocka_unit_test_setup_teardown(damaged_capabilities_are_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(remapped_interrupts_are_ok, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(interrupts_that_are_not_remapped_are_an_error,
                                        doctor_host_setup, doctor_host_teardown),
        cmocka_unit_test_setup_teardown(unsafe_interrupts_that_are_allowed_are_a_warning,
                                        doctor_host_setup, doctor_host_teardown),
        cmocka_unit_test_setup_teardown(interrupts_of_arms_translation_service_are_ok,
                                        doctor_host_setup, doctor_host_teardown),
        cmocka_unit_test_setup_teardown(interrupts_of_other_processors_are_unknown,
                                        doctor_host_setup, doctor_host_teardown),
        cmocka_unit_test_setup_teardown(damaged_interrupt_parameter_is_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(module_in_the_kernel_is_ok, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(loaded_module_is_ok, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(module_that_is_not_loaded_is_an_error, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(missing_module_is_an_error, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(mode_without_an_iommu_is_a_warning, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(one_back_end_suffices, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(host_without_a_back_end_is_an_error, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(damaged_list_of_modules_is_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(one_usable_node_suffices, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(nodes_of_others_are_an_error, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(missing_nodes_are_an_error, doctor_host_setup,
                                        doctor_host_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
