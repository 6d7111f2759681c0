/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <plugmap/fake.h>

#include <cmocka.h>

#include <errno.h>

#include "kernel-uapi/vfio.h"
#include "util/iommu_fixture.h"

typedef struct {
    PmKernel *kernel;
    HookedKernel hooked;
    PmType1Config config;
} Fixture;

static int make(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    fixture->kernel = pm_fake_kernel_new(NULL, NULL);
    hooked_kernel_init(&fixture->hooked, fixture->kernel);
    fixture->config = (PmType1Config){.struct_size = sizeof(PmType1Config),
                                      .kernel = &fixture->hooked.parent,
                                      .has_group = true,
                                      .group = GROUP};
    *state = fixture;
    return 0;
}

static int drop(void **state)
{
    Fixture *fixture = *state;

    pm_kernel_unref(&fixture->hooked.parent);
    pm_kernel_unref(fixture->kernel);
    g_free(fixture);
    return 0;
}

/* Opening fails with this error, and leaves no descriptor open. */
static void assert_not_opened(Fixture *fixture, PmError code, const char *words)
{
    uint64_t n_open = pm_fake_kernel_get_n_open(fixture->kernel);
    g_autoptr(GError) error = NULL;

    assert_null(pm_iommu_type1_new(&fixture->config, &error));
    assert_error(&error, code, words);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), n_open);
}

static void group_is_opened_by_number(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmIommu) iommu = pm_iommu_type1_new(&fixture->config, NULL);

    assert_non_null(iommu);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 2);
}

static void group_0_is_a_valid_group(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmIommu) iommu = NULL;

    assert_true(pm_fake_kernel_add_device(fixture->kernel, 0, "0000:00:05.0", "vfio-pci", NULL));
    fixture->config.group = 0;
    iommu = pm_iommu_type1_new(&fixture->config, NULL);
    assert_non_null(iommu);
    assert_true(pm_iommu_open_device(iommu, "0000:00:05.0", NULL) >= 0);
}

static void zeroed_config_opens_nothing(void **state)
{
    Fixture *fixture = *state;

    assert_true(pm_fake_kernel_add_device(fixture->kernel, 0, "0000:00:05.0", "vfio-pci", NULL));
    fixture->config =
        (PmType1Config){.struct_size = sizeof(PmType1Config), .kernel = &fixture->hooked.parent};
    assert_not_opened(fixture, PM_ERROR_INVALID_ARGUMENT,
                      "PmType1Config has none of device, has_group");
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_ANY), 0);
}

static void device_and_group_at_once_are_refused(void **state)
{
    Fixture *fixture = *state;

    fixture->config.device = "0000:00:04.0";
    assert_not_opened(fixture, PM_ERROR_INVALID_ARGUMENT,
                      "PmType1Config has more than one of device, has_group");
}

static void device_is_opened_by_address(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmIommu) iommu = NULL;

    fixture->config.has_group = false;
    fixture->config.device = "0000:00:04.0";
    fixture->config.group = 99;
    iommu = pm_iommu_type1_new(&fixture->config, NULL);
    assert_non_null(iommu);
}

static void last_reference_closes_all_and_the_group_can_be_opened_again(void **state)
{
    Fixture *fixture = *state;
    PmIommu *iommu = pm_iommu_type1_new(&fixture->config, NULL);

    pm_iommu_unref(pm_iommu_ref(iommu));
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 2);
    pm_iommu_unref(iommu);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
    iommu = pm_iommu_type1_new(&fixture->config, NULL);
    assert_non_null(iommu);
    pm_iommu_unref(iommu);
}

static void old_kernels_without_capabilities_have_no_limits(void **state)
{
    Fixture *fixture = *state;
    PmIommuClaimConfig config = {.struct_size = sizeof(config),
                                 .owner = "the test",
                                 .iova = BASE,
                                 .size = BLOCK,
                                 .block_size = 4096};
    g_autoptr(PmIommu) iommu = NULL;
    g_autoptr(PmRam) ram = NULL;
    g_autoptr(PmIommuClaim) claim = NULL;
    size_t n_ranges = 0;

    fixture->hooked.hide_capabilities = true;
    iommu = pm_iommu_type1_new(&fixture->config, NULL);
    assert_non_null(iommu);
    assert_true(pm_iommu_get_mapping_limit(iommu) == UINT64_MAX);
    assert_int_equal(pm_iommu_get_iova_ranges(iommu, &n_ranges)[0].start, 0);
    assert_int_equal(n_ranges, 1);
    ram = pm_ram_new(PM_RAM_ANONYMOUS, BLOCK, 0, NULL);
    config.ram = ram;
    claim = pm_iommu_claim_new(iommu, &config, NULL);
    assert_non_null(claim);
    assert_true(pm_iommu_claim_check_room(claim, UINT64_MAX - 4095, NULL));
    assert_true(pm_iommu_audit(iommu, NULL, 0, NULL));
}

static void failure_of_any_call_leaves_no_descriptor(void **state)
{
    Fixture *fixture = *state;
    uint64_t nth;

    for (nth = 1; nth <= 100; nth++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(PmIommu) iommu = NULL;

        pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_ANY, nth, EIO);
        iommu = pm_iommu_type1_new(&fixture->config, &error);
        if (iommu != NULL)
            break;
        assert_error(&error, PM_ERROR_KERNEL, "EIO");
        assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
        pm_fake_kernel_clear_faults(fixture->kernel);
    }
    /* Two files, and an ioctl each for version, extension, status, container, IOMMU and info. */
    assert_int_equal(nth, 9);
}

/* --- files --- */

static void missing_container_file_names_the_modules(void **state)
{
    static const int errors[] = {ENOENT, ENODEV};
    Fixture *fixture = *state;
    size_t i;

    fixture->hooked.path = "/dev/vfio/vfio";
    for (i = 0; i < G_N_ELEMENTS(errors); i++) {
        fixture->hooked.open_result = -errors[i];
        assert_not_opened(fixture, PM_ERROR_NOT_FOUND, "modprobe -a vfio-pci vfio_iommu_type1");
    }
}

static void missing_group_file_names_the_devices_of_the_group(void **state)
{
    Fixture *fixture = *state;

    assert_true(pm_fake_kernel_add_device(fixture->kernel, 22, "0000:00:05.0", "e1000e", NULL));
    fixture->config.group = 22;
    assert_not_opened(fixture, PM_ERROR_NOT_FOUND,
                      "no device of IOMMU group 22 is bound to vfio-pci (0000:00:05.0: e1000e)");
}

static void permission_error_says_how_to_change_it(void **state)
{
    static const int errors[] = {EACCES, EPERM};
    g_autofree char *command = g_strdup_printf("\n  chown %s /dev/vfio/1\n", g_get_user_name());
    Fixture *fixture = *state;
    size_t i;

    fixture->hooked.path = "/dev/vfio/1";
    for (i = 0; i < G_N_ELEMENTS(errors); i++) {
        fixture->hooked.open_result = -errors[i];
        assert_not_opened(fixture, PM_ERROR_PERMISSION, command);
    }
}

static void group_in_use_says_how_to_find_who(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmIommu) iommu = pm_iommu_type1_new(&fixture->config, NULL);

    assert_non_null(iommu);
    assert_not_opened(fixture, PM_ERROR_BUSY, "fuser -v /dev/vfio/1");
}

/* --- devices --- */

static void device_that_is_not_ready_is_refused(void **state)
{
    Fixture *fixture = *state;

    assert_true(pm_fake_kernel_add_device(fixture->kernel, 2, "0000:00:05.0", "nvme", NULL));
    fixture->config.has_group = false;
    fixture->config.device = "nonsense";
    assert_not_opened(fixture, PM_ERROR_INVALID_ARGUMENT, "lspci -D");
    fixture->config.device = "0000:00:06.0";
    assert_not_opened(fixture, PM_ERROR_NOT_FOUND, "no PCI device 0000:00:06.0");
    fixture->config.device = "0000:00:05.0";
    assert_not_opened(fixture, PM_ERROR_BUSY, "driverctl set-override 0000:00:05.0 vfio-pci");
}

static void group_that_is_not_viable_names_the_other_drivers(void **state)
{
    Fixture *fixture = *state;

    assert_true(pm_fake_kernel_add_device(fixture->kernel, 7, "0000:00:07.0", "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(fixture->kernel, 7, "0000:00:07.1", "serial", NULL));
    fixture->config.has_group = false;
    fixture->config.device = "0000:00:07.0";
    assert_not_opened(fixture, PM_ERROR_NOT_VIABLE, "0000:00:07.0: vfio-pci, 0000:00:07.1: serial");
    assert_not_opened(fixture, PM_ERROR_NOT_VIABLE,
                      "\n  driverctl set-override ADDRESS vfio-pci"
                      "\nor unbind the other drivers:"
                      "\n  echo 0000:00:07.1 > /sys/bus/pci/devices/0000:00:07.1/driver/unbind");
}

/* --- errors of the kernel --- */

static void answer(Fixture *fixture, unsigned long request, int result)
{
    fixture->hooked.request = request;
    fixture->hooked.result = result;
}

static void other_api_version_is_refused(void **state)
{
    answer(*state, VFIO_GET_API_VERSION, 1);
    assert_not_opened(*state, PM_ERROR_UNSUPPORTED, "version 1");
}

static void kernel_without_type1v2_is_refused(void **state)
{
    answer(*state, VFIO_CHECK_EXTENSION, 0);
    assert_not_opened(*state, PM_ERROR_UNSUPPORTED, "modprobe vfio_iommu_type1");
}

static void group_taken_at_the_last_moment_is_refused(void **state)
{
    answer(*state, VFIO_GROUP_SET_CONTAINER, -EPERM);
    assert_not_opened(*state, PM_ERROR_NOT_VIABLE, "0000:00:04.0: vfio-pci");
}

static void group_that_cannot_join_says_what_to_do(void **state)
{
    answer(*state, VFIO_GROUP_SET_CONTAINER, -EBUSY);
    assert_not_opened(*state, PM_ERROR_BUSY,
                      "cannot add IOMMU group 1 (0000:00:04.0: vfio-pci) to the container: EBUSY: "
                      "the container is being handed over");
    assert_not_opened(*state, PM_ERROR_BUSY, "\n  dmesg | grep -i iommu");
    answer(*state, VFIO_GROUP_SET_CONTAINER, -EIO);
    assert_not_opened(*state, PM_ERROR_KERNEL,
                      "adding IOMMU group 1 (0000:00:04.0: vfio-pci) to the container failed: "
                      "EIO (Input/output error); see the kernel's log");
}

static void group_without_a_status_is_named(void **state)
{
    answer(*state, VFIO_GROUP_GET_STATUS, -ENOTTY);
    assert_not_opened(*state, PM_ERROR_KERNEL,
                      "asking for the status of IOMMU group 1 (/dev/vfio/1) failed: ENOTTY");
    assert_not_opened(*state, PM_ERROR_KERNEL, "ls -l /dev/vfio");
}

static void failure_to_set_the_iommu_is_an_error(void **state)
{
    answer(*state, VFIO_SET_IOMMU, -EPERM);
    assert_not_opened(*state, PM_ERROR_UNSUPPORTED, "allow_unsafe_interrupts=1");
    answer(*state, VFIO_SET_IOMMU, -ENODEV);
    assert_not_opened(*state, PM_ERROR_UNSUPPORTED, "modprobe vfio_iommu_type1");
    answer(*state, VFIO_SET_IOMMU, -EBUSY);
    assert_not_opened(*state, PM_ERROR_BUSY,
                      "cannot set an IOMMU for the container of IOMMU group 1: EBUSY");
    answer(*state, VFIO_SET_IOMMU, -ENOMEM);
    assert_not_opened(*state, PM_ERROR_KERNEL,
                      "setting a type1v2 IOMMU for the container of IOMMU group 1 failed");
}

static void invalid_info_is_refused(void **state)
{
    /* Success, with nothing filled in. */
    answer(*state, VFIO_IOMMU_GET_INFO, 0);
    assert_not_opened(*state, PM_ERROR_BAD_INPUT, "page sizes");
}

#define OPEN_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPEN_TEST(group_is_opened_by_number),
        OPEN_TEST(group_0_is_a_valid_group),
        OPEN_TEST(zeroed_config_opens_nothing),
        OPEN_TEST(device_and_group_at_once_are_refused),
        OPEN_TEST(device_is_opened_by_address),
        OPEN_TEST(last_reference_closes_all_and_the_group_can_be_opened_again),
        OPEN_TEST(old_kernels_without_capabilities_have_no_limits),
        OPEN_TEST(failure_of_any_call_leaves_no_descriptor),
        OPEN_TEST(missing_container_file_names_the_modules),
        OPEN_TEST(missing_group_file_names_the_devices_of_the_group),
        OPEN_TEST(permission_error_says_how_to_change_it),
        OPEN_TEST(group_in_use_says_how_to_find_who),
        OPEN_TEST(device_that_is_not_ready_is_refused),
        OPEN_TEST(group_that_is_not_viable_names_the_other_drivers),
        OPEN_TEST(other_api_version_is_refused),
        OPEN_TEST(kernel_without_type1v2_is_refused),
        OPEN_TEST(group_taken_at_the_last_moment_is_refused),
        OPEN_TEST(group_that_cannot_join_says_what_to_do),
        OPEN_TEST(group_without_a_status_is_named),
        OPEN_TEST(failure_to_set_the_iommu_is_an_error),
        OPEN_TEST(invalid_info_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
