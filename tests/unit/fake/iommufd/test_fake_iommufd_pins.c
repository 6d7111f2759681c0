/* SPDX-License-Identifier: MIT */
/* What iommufd pins, and whom it charges for it. */

#include "util/device_util.h"
#include "util/iommufd_util.h"

/* --- whom it is charged to --- */

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

/* A fresh iommufd that charges the process; its device is attached. */
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

static void the_user_is_charged(void **state)
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

static void the_process_is_charged_if_asked(void **state)
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

static void nobody_is_charged_with_the_capability(void **state)
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

static void who_is_charged_was_decided_by_the_mapping(void **state)
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

static void the_mode_needs_the_capability(void **state)
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

/* Unlike type1, which finds what comes first. */
static void bad_memory_is_found_before_the_limit(void **state)
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

static void a_copy_of_what_cannot_be_pinned_leaves_nothing(void **state)
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

static void a_part_of_held_pages_stays_held(void **state)
{
    g_autoptr(Kernel) kernel = holding();

    (void)state;
    if (kernel == NULL) {
        print_message("skipped, because there is no io_uring: sysctl kernel.io_uring_disabled=0\n");
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
        cmocka_unit_test(the_user_is_charged),
        cmocka_unit_test(the_process_is_charged_if_asked),
        cmocka_unit_test(nobody_is_charged_with_the_capability),
        cmocka_unit_test(who_is_charged_was_decided_by_the_mapping),
        cmocka_unit_test(the_mode_needs_the_capability),
        cmocka_unit_test(bad_memory_is_found_before_the_limit),
        cmocka_unit_test(a_copy_shares_pins),
        cmocka_unit_test(copies_of_copies_share_pins),
        cmocka_unit_test(a_copy_of_what_cannot_be_pinned_leaves_nothing),
        cmocka_unit_test(a_part_of_held_pages_stays_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
