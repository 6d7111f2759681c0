/* SPDX-License-Identifier: MIT */
/* What iommufd pins, and who is charged for it. */

#include "util/device_util.h"
#include "util/iommufd_util.h"

/* --- who is charged --- */

static PmFakeConfig limited_config(uint64_t limit)
{
    PmFakeConfig config = iommufd_fake_config();

    config.memlock_limit = limit;
    return config;
}

static void set_rlimit_mode(Kernel *kernel, uint64_t mode)
{
    struct iommu_option option = {
        .size = sizeof(option),
        .option_id = IOMMU_OPTION_RLIMIT_MODE,
        .op = IOMMU_OPTION_OP_SET,
        .val64 = mode,
    };

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_OPTION, &option), 0);
}

/* A new iommufd that charges the process, with an attached device. */
static Kernel *charging_the_process(const PmFakeConfig *config)
{
    Kernel *kernel = iommufd_new_fake(config);
    uint32_t pt_id;

    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(kernel_close(kernel, kernel->iommu), 0);
    kernel->iommu = kernel_open(kernel, "/dev/iommu");
    set_rlimit_mode(kernel, 1);
    kernel->device = kernel_open(kernel, "/dev/vfio/devices/vfio0");
    assert_int_equal(cdev_bind(kernel, kernel->device, kernel->iommu, &kernel->device_id), 0);
    kernel->ioas = iommufd_new_ioas(kernel);
    pt_id = kernel->ioas;
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), 0);
    return kernel;
}

static void iommufd_charges_the_user(void **state)
{
    PmFakeConfig config = limited_config(2 * PAGE);
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(&config);

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, 2 * PAGE), 0);
    iommufd_assert_charged(kernel, 2 * PAGE, 2 * PAGE, 0);
    assert_int_equal(iommufd_map(kernel, 2 * PAGE, kernel->memory, PAGE), -ENOMEM);
    iommufd_assert_charged(kernel, 2 * PAGE, 2 * PAGE, 0);
    assert_int_equal(iommufd_unmap(kernel, 0, 2 * PAGE, NULL), 0);
    iommufd_assert_charged(kernel, 0, 0, 0);
}

static void rlimit_mode_charges_the_process(void **state)
{
    PmFakeConfig config = limited_config(2 * PAGE);
    g_autoptr(Kernel) kernel = charging_the_process(&config);

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, 2 * PAGE), 0);
    iommufd_assert_charged(kernel, 2 * PAGE, 0, 2 * PAGE);
    assert_int_equal(iommufd_map(kernel, 2 * PAGE, kernel->memory, PAGE), -ENOMEM);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    iommufd_assert_charged(kernel, 0, 0, 0);
}

static void nobody_is_charged_with_cap_ipc_lock(void **state)
{
    PmFakeConfig config = limited_config(0);
    g_autoptr(Kernel) kernel = NULL;

    (void)state;
    config.cap_ipc_lock = true;
    kernel = iommufd_new_fake_attached(&config);
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    iommufd_assert_charged(kernel, PAGE, 0, 0);
    pm_fake_kernel_set_memlock(kernel->pm, 0, false);
    assert_int_equal(iommufd_map(kernel, PAGE, kernel->memory, PAGE), -ENOMEM);
    assert_int_equal(iommufd_unmap(kernel, 0, PAGE, NULL), 0);
    iommufd_assert_charged(kernel, 0, 0, 0);
}

static void map_decides_who_is_charged(void **state)
{
    PmFakeConfig config = limited_config(0);
    g_autoptr(Kernel) kernel = iommufd_new_fake(&config);
    uint32_t pt_id = kernel->ioas;

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    pm_fake_kernel_set_memlock(kernel->pm, 0, true);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), -ENOMEM);
    pm_fake_kernel_set_memlock(kernel->pm, PAGE, false);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), 0);
    iommufd_assert_charged(kernel, PAGE, PAGE, 0);
}

static void rlimit_mode_needs_cap_sys_resource(void **state)
{
    PmFakeConfig config = iommufd_fake_config();
    g_autoptr(Kernel) kernel = NULL;
    struct iommu_option option = {
        .size = sizeof(option),
        .option_id = IOMMU_OPTION_RLIMIT_MODE,
        .op = IOMMU_OPTION_OP_SET,
        .val64 = 1,
    };

    (void)state;
    config.cap_sys_resource = false;
    kernel = iommufd_new_fake(&config);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_OPTION, &option), -EPERM);
}

/* type1 stops at whichever it meets first. */
static void bad_memory_is_reported_before_the_limit(void **state)
{
    PmFakeConfig config = limited_config(PAGE);
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(&config);

    (void)state;
    assert_int_equal(munmap(kernel->memory + 4 * PAGE, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, 5 * PAGE), -EFAULT);
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, 4 * PAGE), -ENOMEM);
    iommufd_assert_charged(kernel, 0, 0, 0);
}

/* --- sharing --- */

static int copy(Kernel *kernel, uint64_t source, uint64_t destination, uint64_t length)
{
    struct iommu_ioas_copy request = {
        .size = sizeof(request),
        .flags = IOAS_FIXED,
        .dst_ioas_id = kernel->ioas,
        .src_ioas_id = kernel->ioas,
        .length = length,
        .dst_iova = destination,
        .src_iova = source,
    };

    return iommufd_ioctl(kernel, IOMMU_IOAS_COPY, &request);
}

static void a_copy_shares_pins(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(copy(kernel, PAGE, 16 * PAGE, 2 * PAGE), 0);
    iommufd_assert_charged(kernel, 4 * PAGE, 4 * PAGE, 0);
    assert_int_equal(iommufd_unmap(kernel, 0, 4 * PAGE, NULL), 0);
    iommufd_assert_charged(kernel, 2 * PAGE, 2 * PAGE, 0);
    device_poke_word(kernel, 17 * PAGE, 77);
    assert_int_equal(*(uint32_t *)(kernel->memory + 2 * PAGE), 77);
    assert_int_equal(iommufd_unmap(kernel, 16 * PAGE, 2 * PAGE, NULL), 0);
    iommufd_assert_charged(kernel, 0, 0, 0);
}

static void copies_of_copies_share_pins(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, 8 * PAGE), 0);
    assert_int_equal(copy(kernel, 0, 16 * PAGE, 4 * PAGE), 0);
    assert_int_equal(copy(kernel, 2 * PAGE, 32 * PAGE, 4 * PAGE), 0);
    assert_int_equal(copy(kernel, 17 * PAGE, 48 * PAGE, 3 * PAGE), 0);
    iommufd_assert_charged(kernel, 8 * PAGE, 8 * PAGE, 0);
    assert_int_equal(iommufd_unmap(kernel, 0, 8 * PAGE, NULL), 0);
    iommufd_assert_charged(kernel, 6 * PAGE, 6 * PAGE, 0);
    assert_int_equal(iommufd_unmap(kernel, 16 * PAGE, 4 * PAGE, NULL), 0);
    iommufd_assert_charged(kernel, 5 * PAGE, 5 * PAGE, 0);
    assert_int_equal(iommufd_unmap(kernel, 32 * PAGE, 4 * PAGE, NULL), 0);
    iommufd_assert_charged(kernel, 3 * PAGE, 3 * PAGE, 0);
    assert_int_equal(iommufd_unmap(kernel, 0, UINT64_MAX, NULL), 0);
    iommufd_assert_charged(kernel, 0, 0, 0);
}

static void failed_copy_adds_no_area(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);
    struct iommu_ioas_copy request = {
        .size = sizeof(request),
        .flags = IOAS_FIXED,
        .dst_ioas_id = kernel->ioas,
        .length = 2 * PAGE,
    };

    (void)state;
    kernel->ioas = iommufd_new_ioas(kernel);
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, PAGE, (char *)PAGE, PAGE), 0);
    request.src_ioas_id = kernel->ioas;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_COPY, &request), -EFAULT);
    assert_int_equal(kernel_n_inspected(kernel), 0);
    iommufd_assert_charged(kernel, 0, 0, 0);
}

/* --- held pages --- */

static Kernel *holding(void)
{
    PmFakeConfig config = iommufd_fake_config();
    g_autoptr(PmKernel) kernel = NULL;

    config.pin = PM_FAKE_PIN_HOLD;
    kernel = pm_fake_kernel_new(&config, NULL);
    return kernel != NULL ? iommufd_new_fake_attached(&config) : NULL;
}

static void held_pages_can_be_released_in_part(void **state)
{
    g_autoptr(Kernel) kernel = holding();

    (void)state;
    if (kernel == NULL) {
        print_message("skipped: no io_uring; run sysctl kernel.io_uring_disabled=0\n");
        skip();
        return;
    }
    memset(kernel->memory, 0x5a, 4 * PAGE);
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(copy(kernel, 2 * PAGE, 16 * PAGE, PAGE), 0);
    assert_int_equal(iommufd_unmap(kernel, 0, 4 * PAGE, NULL), 0);
    assert_int_equal(madvise(kernel->memory, 4 * PAGE, MADV_DONTNEED), 0);
    assert_int_equal(device_peek_word(kernel, 16 * PAGE), 0x5a5a5a5a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iommufd_charges_the_user),
        cmocka_unit_test(rlimit_mode_charges_the_process),
        cmocka_unit_test(nobody_is_charged_with_cap_ipc_lock),
        cmocka_unit_test(map_decides_who_is_charged),
        cmocka_unit_test(rlimit_mode_needs_cap_sys_resource),
        cmocka_unit_test(bad_memory_is_reported_before_the_limit),
        cmocka_unit_test(a_copy_shares_pins),
        cmocka_unit_test(copies_of_copies_share_pins),
        cmocka_unit_test(failed_copy_adds_no_area),
        cmocka_unit_test(held_pages_can_be_released_in_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
