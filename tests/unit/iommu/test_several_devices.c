/* SPDX-License-Identifier: MIT */
/* Several devices in one address space, and in several: fake ones, or real ones (devices_util.h).
 * Cases that need a fake kernel are in test_attach.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/backend_util.h"
#include "util/devices_util.h"
#include "util/either_kernel.h"

static void devices_of_one_address_space_share_its_mappings(void **state)
{
    Devices *devices = *state;
    PmIommuClaim *claim;

    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    claim = map_block(devices, devices->iommu, 0);
    assert_true(device_sees(devices, devices->iommu, FIRST, 0));
    assert_true(device_sees(devices, devices->iommu, SECOND, 0));
    unmap_block(claim);
    assert_false(device_sees(devices, devices->iommu, SECOND, 0));
}

static void device_attached_later_sees_what_is_mapped(void **state)
{
    Devices *devices = *state;
    PmLockedMemory before = {.struct_size = sizeof(before)};
    PmLockedMemory after = {.struct_size = sizeof(after)};

    (void)map_block(devices, devices->iommu, 0);
    assert_true(pm_iommu_query_locked_memory(devices->iommu, &before, NULL));
    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    assert_true(pm_iommu_query_locked_memory(devices->iommu, &after, NULL));
    assert_int_equal(after.used, before.used);
    assert_int_equal(pm_iommu_get_n_mappings(devices->iommu), 1);
    assert_true(device_sees(devices, devices->iommu, SECOND, 0));
}

static void detached_device_leaves_the_other_attached(void **state)
{
    Devices *devices = *state;
    PmIommuClaim *first;
    PmIommuClaim *second;

    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    first = map_block(devices, devices->iommu, 0);
    assert_true(device_sees(devices, devices->iommu, SECOND, 0));
    assert_true(pm_iommu_detach(devices->iommu, SECOND, NULL));
    assert_true(device_sees(devices, devices->iommu, FIRST, 0));
    second = map_block(devices, devices->iommu, 1);
    assert_true(device_sees(devices, devices->iommu, FIRST, 1));
    unmap_block(first);
    unmap_block(second);
}

/* Also the one that the address space was opened with. */
static void devices_are_detached_in_any_order(void **state)
{
    Devices *devices = *state;
    g_autoptr(PmIommu) other = NULL;

    (void)map_block(devices, devices->iommu, 0);
    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    assert_true(pm_iommu_detach(devices->iommu, FIRST, NULL));
    assert_true(device_sees(devices, devices->iommu, SECOND, 0));
    other = devices_open(devices, FIRST);
    assert_non_null(other);
}

static void address_spaces_are_independent(void **state)
{
    Devices *devices = *state;
    g_autoptr(PmIommu) other = devices_open(devices, SECOND);
    PmIommuClaim *claim;

    (void)map_block(devices, devices->iommu, 0);
    assert_false(device_sees(devices, other, SECOND, 0));
    claim = map_block_at(devices, other, 0, 1);
    assert_true(device_sees(devices, devices->iommu, FIRST, 0));
    assert_false(device_sees(devices, other, SECOND, 0));
    unmap_block(claim);
    assert_true(device_sees(devices, devices->iommu, FIRST, 0));
}

static void device_of_another_address_space_is_busy(void **state)
{
    Devices *devices = *state;
    g_autoptr(PmIommu) other = devices_open(devices, SECOND);
    g_autoptr(GError) error = NULL;

    assert_non_null(other);
    assert_false(pm_iommu_attach(devices->iommu, SECOND, &error));
    assert_error(&error, PM_ERROR_BUSY, "fuser -v /dev/vfio/");
}

static void device_is_attached_once(void **state)
{
    Devices *devices = *state;
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_attach(devices->iommu, FIRST, &error));
    assert_error(&error, PM_ERROR_BUSY, FIRST " is already attached");
}

static void last_device_stays(void **state)
{
    Devices *devices = *state;
    g_autoptr(GError) error = NULL;

    (void)map_block(devices, devices->iommu, 0);
    assert_false(pm_iommu_detach(devices->iommu, FIRST, &error));
    assert_error(&error, PM_ERROR_BUSY, "cannot detach " FIRST ": it is the last device");
    assert_true(device_sees(devices, devices->iommu, FIRST, 0));
}

static void unknown_devices_are_refused(void **state)
{
    Devices *devices = *state;
    g_autoptr(GError) attach = NULL;
    g_autoptr(GError) detach = NULL;
    g_autoptr(GError) opened = NULL;

    assert_false(pm_iommu_attach(devices->iommu, "0000:00:1e.0", &attach));
    assert_error(&attach, PM_ERROR_NOT_FOUND, "there is no PCI device 0000:00:1e.0");
    assert_false(pm_iommu_detach(devices->iommu, SECOND, &detach));
    assert_error(&detach, PM_ERROR_NOT_FOUND, SECOND " is not attached");
    assert_int_equal(pm_iommu_open_device(devices->iommu, SECOND, &opened), -1);
    assert_error(&opened, PM_ERROR_NOT_FOUND,
                 backend_is_iommufd() ? SECOND " is not attached" : SECOND " is in no IOMMU group");
}

static void device_file_is_opened_once(void **state)
{
    Devices *devices = *state;
    int fd = pm_iommu_open_device(devices->iommu, FIRST, NULL);

    assert_true(fd >= 0);
    assert_int_equal(pm_iommu_open_device(devices->iommu, FIRST, NULL), fd);
}

/* The parent has the files open as well. */
static void mappings_outlive_the_copy_of_a_forked_child(void **state)
{
    Devices *devices = *state;
    g_autoptr(PmIommu) iommu = devices_open(devices, SECOND);
    PmIommuClaim *claim = map_block(devices, iommu, 0);
    int status;
    pid_t child;

    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        devices_drop_claims(devices);
        pm_iommu_unref(iommu);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    unmap_block(claim);
}

/* --- only on a real kernel, which maps registers --- */

/* Closing its file would leave it attached to memory that others will use. */
static void device_whose_registers_are_mapped_does_not_keep_the_memory(void **state)
{
    Devices *devices = *state;
    PmIommu *other = devices_open(devices, SECOND);
    const PmKernelOps *ops = devices->kernel->ops;
    const size_t size = 4096;
    PmLockedMemory before = {.struct_size = sizeof(before)};
    PmLockedMemory after = {.struct_size = sizeof(after)};
    void *registers;

    assert_true(pm_iommu_query_locked_memory(devices->iommu, &before, NULL));
    pm_iommu_claim_abandon(map_block(devices, other, 0));
    assert_int_equal(ops->mmap(devices->kernel, pm_iommu_open_device(other, SECOND, NULL), size,
                               PROT_READ, MAP_SHARED, 0, &registers),
                     0);
    pm_iommu_unref(other);
    assert_true(pm_iommu_query_locked_memory(devices->iommu, &after, NULL));
    assert_int_equal(after.used, before.used);
    assert_int_equal(ops->munmap(devices->kernel, registers, size), 0);
}

#define DEVICES_TEST(name) cmocka_unit_test_setup_teardown(name, devices_setup, devices_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DEVICES_TEST(devices_of_one_address_space_share_its_mappings),
        DEVICES_TEST(device_attached_later_sees_what_is_mapped),
        DEVICES_TEST(detached_device_leaves_the_other_attached),
        DEVICES_TEST(devices_are_detached_in_any_order),
        DEVICES_TEST(address_spaces_are_independent),
        DEVICES_TEST(device_of_another_address_space_is_busy),
        DEVICES_TEST(device_is_attached_once),
        DEVICES_TEST(last_device_stays),
        DEVICES_TEST(unknown_devices_are_refused),
        DEVICES_TEST(device_file_is_opened_once),
        DEVICES_TEST(mappings_outlive_the_copy_of_a_forked_child),
    };
    const struct CMUnitTest host_tests[] = {
        DEVICES_TEST(device_whose_registers_are_mapped_does_not_keep_the_memory),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);

    if (either_is_real())
        n_failed += cmocka_run_group_tests(host_tests, NULL, NULL);
    return n_failed;
}
