/* SPDX-License-Identifier: MIT */
/* Devices bound to an iommufd through their cdevs, and their HWPTs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>

#include <plugmap/fake.h>

#include "iommu/iommufd/device_set.h"
#include "kernel-uapi/iommufd.h"

#define DEVICE "0000:00:04.0"
#define FILE_0 "/dev/vfio/devices/vfio0"

typedef struct {
    PmKernel *kernel;
    PmVfioDeviceSet set;
    uint32_t ioas;
    PmVfioDevice *device; /* bound */
} Fixture;

static int make(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);
    struct iommu_ioas_alloc alloc = {.size = sizeof alloc};
    PmFakeConfig config;
    PmKernel *kernel;

    pm_fake_config_init(&config);
    config.iommufd = true;
    kernel = fixture->kernel = pm_fake_kernel_new(&config, NULL);
    pm_vfio_device_set_init(&fixture->set, kernel);
    fixture->set.iommufd = kernel->ops->open(kernel, "/dev/iommu", O_RDWR);
    assert_int_equal(kernel->ops->ioctl(kernel, fixture->set.iommufd, IOMMU_IOAS_ALLOC, &alloc), 0);
    fixture->ioas = alloc.out_ioas_id;
    fixture->device = pm_vfio_device_set_bind(&fixture->set, DEVICE, FILE_0, NULL);
    assert_non_null(fixture->device);
    *state = fixture;
    return 0;
}

static int drop(void **state)
{
    Fixture *fixture = *state;

    pm_vfio_device_set_clear(&fixture->set);
    (void)fixture->kernel->ops->close(fixture->kernel, fixture->set.iommufd);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
    pm_kernel_unref(fixture->kernel);
    g_free(fixture);
    return 0;
}

static uint64_t n_ioctls(const Fixture *fixture)
{
    return pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_IOCTL);
}

static void page_table_is_known_while_the_device_is_attached(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(fixture->device->page_table, 0);
    assert_int_equal(pm_vfio_device_attach(&fixture->set, fixture->device, fixture->ioas), 0);
    assert_int_not_equal(fixture->device->page_table, 0);
    assert_int_not_equal(fixture->device->page_table, fixture->ioas);
    assert_int_equal(pm_vfio_device_detach(&fixture->set, fixture->device), 0);
    assert_int_equal(fixture->device->page_table, 0);
}

static void failed_detaching_changes_nothing(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(pm_vfio_device_attach(&fixture->set, fixture->device, fixture->ioas), 0);
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_IOCTL, 1, EIO);
    assert_int_equal(pm_vfio_device_detach(&fixture->set, fixture->device), -EIO);
    assert_int_not_equal(fixture->device->page_table, 0);
}

static void unbinding_detaches_only_what_is_attached(void **state)
{
    Fixture *fixture = *state;
    uint64_t n_before = n_ioctls(fixture);

    pm_vfio_device_set_unbind(&fixture->set, fixture->device);
    assert_int_equal(n_ioctls(fixture), n_before);
    assert_null(pm_vfio_device_set_find(&fixture->set, DEVICE));
}

static void unbinding_detaches_what_is_attached(void **state)
{
    Fixture *fixture = *state;
    uint64_t n_before;

    assert_int_equal(pm_vfio_device_attach(&fixture->set, fixture->device, fixture->ioas), 0);
    n_before = n_ioctls(fixture);
    pm_vfio_device_set_unbind(&fixture->set, fixture->device);
    assert_int_equal(n_ioctls(fixture), n_before + 1);
}

#define SET_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SET_TEST(page_table_is_known_while_the_device_is_attached),
        SET_TEST(failed_detaching_changes_nothing),
        SET_TEST(unbinding_detaches_only_what_is_attached),
        SET_TEST(unbinding_detaches_what_is_attached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
