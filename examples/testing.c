/* SPDX-License-Identifier: MIT */
/*
 * Tests of VFIO code that knows nothing of plugmap: raw ioctls on the fake kernel, under cmocka.
 *
 * The code under test is driver_open() to driver_close(): it opens a group, maps a ring and unmaps
 * it. It makes its system calls through a PmKernel, the host's in production; that is all it takes.
 * The tests fail its calls one by one, lower the kernel's limits, and look for leaks: what no
 * hardware does on request.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <linux/vfio.h>
#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

/* --- the code under test --- */

#define RING_SIZE 65536
#define RING_IOVA 0x10000000

typedef struct {
    PmKernel *kernel;
    int container;
    int group;
    void *ring;
} Driver;

static void driver_close(Driver *driver)
{
    struct vfio_iommu_type1_dma_unmap unmap = {
        .argsz = sizeof(unmap), .iova = RING_IOVA, .size = RING_SIZE};

    if (driver->ring != NULL) {
        (void)pm_kernel_ioctl(driver->kernel, driver->container, VFIO_IOMMU_UNMAP_DMA, &unmap);
        (void)munmap(driver->ring, RING_SIZE);
    }
    if (driver->group >= 0)
        (void)driver->kernel->ops->close(driver->kernel, driver->group);
    if (driver->container >= 0)
        (void)driver->kernel->ops->close(driver->kernel, driver->container);
}

static int driver_map(Driver *driver)
{
    void *ring = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct vfio_iommu_type1_dma_map map = {
        .argsz = sizeof(map),
        .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        .vaddr = (uintptr_t)ring,
        .iova = RING_IOVA,
        .size = RING_SIZE,
    };
    int result;

    if (ring == MAP_FAILED)
        return -errno;
    result = pm_kernel_ioctl(driver->kernel, driver->container, VFIO_IOMMU_MAP_DMA, &map);
    if (result < 0)
        (void)munmap(ring, RING_SIZE);
    else
        driver->ring = ring;
    return result;
}

/* 0 or -errno; on failure nothing stays open or mapped. */
static int driver_open(Driver *driver, PmKernel *kernel)
{
    int result;

    *driver = (Driver){.kernel = kernel, .group = -1};
    result = driver->container = kernel->ops->open(kernel, "/dev/vfio/vfio", O_RDWR);
    if (result >= 0)
        result = driver->group = kernel->ops->open(kernel, "/dev/vfio/1", O_RDWR);
    if (result >= 0)
        result =
            pm_kernel_ioctl(kernel, driver->group, VFIO_GROUP_SET_CONTAINER, &driver->container);
    if (result >= 0)
        result = pm_kernel_ioctl(kernel, driver->container, VFIO_SET_IOMMU,
                                 (void *)VFIO_TYPE1v2_IOMMU); // NOLINT(performance-no-int-to-ptr)
    if (result >= 0)
        result = driver_map(driver);
    if (result < 0)
        driver_close(driver);
    return result < 0 ? result : 0;
}

/* --- its tests --- */

static void assert_nothing_left(PmKernel *fake)
{
    assert_int_equal(pm_fake_kernel_get_n_open(fake), 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake), 0);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fake, 1), 0);
}

static void the_device_reaches_the_ring_and_nothing_else(void **state)
{
    g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, NULL);
    uint64_t iova;
    uint64_t size;
    Driver driver;

    (void)state;
    assert_int_equal(driver_open(&driver, fake), 0);
    assert_true(pm_fake_kernel_next_translated(fake, 1, 0, UINT64_MAX, &iova, &size));
    assert_int_equal(iova, RING_IOVA);
    assert_int_equal(size, RING_SIZE);
    driver_close(&driver);
    assert_nothing_left(fake);
}

/* Every call once, until the driver has no more. */
static void after_a_failure_of_any_call_nothing_is_left(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, NULL);
        Driver driver;

        pm_fake_kernel_fail(fake, PM_FAKE_CALL_ANY, nth, ENOMEM);
        if (driver_open(&driver, fake) == 0) {
            assert_true(nth > 5);
            pm_fake_kernel_clear_faults(fake);
            driver_close(&driver);
            return;
        }
        assert_nothing_left(fake);
    }
}

static void the_locked_memory_limit_is_reported_as_enomem(void **state)
{
    g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, NULL);
    Driver driver;

    (void)state;
    pm_fake_kernel_set_memlock(fake, RING_SIZE - 1, false);
    assert_int_equal(driver_open(&driver, fake), -ENOMEM);
    assert_nothing_left(fake);
}

static void the_mapping_limit_is_reported_as_enospc(void **state)
{
    g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, NULL);
    Driver driver;

    (void)state;
    pm_fake_kernel_set_entry_limit(fake, 0);
    assert_int_equal(driver_open(&driver, fake), -ENOSPC);
    assert_nothing_left(fake);
}

static void a_group_with_a_host_driver_in_it_is_not_opened(void **state)
{
    g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, NULL);
    Driver driver;

    (void)state;
    assert_true(pm_fake_kernel_add_device(fake, 1, "0000:00:04.1", "nvme", NULL));
    assert_true(driver_open(&driver, fake) < 0);
    assert_nothing_left(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_device_reaches_the_ring_and_nothing_else),
        cmocka_unit_test(after_a_failure_of_any_call_nothing_is_left),
        cmocka_unit_test(the_locked_memory_limit_is_reported_as_enomem),
        cmocka_unit_test(the_mapping_limit_is_reported_as_enospc),
        cmocka_unit_test(a_group_with_a_host_driver_in_it_is_not_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
