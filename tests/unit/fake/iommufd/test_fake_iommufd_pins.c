/* SPDX-License-Identifier: MIT */
/* What iommufd pins, and whom it charges for it. */

#include "fake_iommufd_util.h"
#include <plugmap/fake.h>

/* --- whom it is charged to --- */

static PmFakeConfig limited_config(uint64_t limit)
{
    PmFakeConfig config = iommufd_config();

    config.memlock_limit = limit;
    return config;
}

static void set_rlimit_mode(Iommufd *iommufd, uint64_t mode)
{
    struct iommu_option option = {
        .size = sizeof(option),
        .option_id = IOMMU_OPTION_RLIMIT_MODE,
        .op = IOMMU_OPTION_OP_SET,
        .val64 = mode,
    };

    assert_int_equal(iommufd_call(iommufd, IOMMU_OPTION, &option), 0);
}

/* A fresh iommufd that charges the process; its device is attached. */
static Iommufd *charging_the_process(const PmFakeConfig *config)
{
    Iommufd *iommufd = iommufd_new(config);
    uint32_t pt_id;

    assert_int_equal(iommufd_close(iommufd, iommufd->device), 0);
    assert_int_equal(iommufd_close(iommufd, iommufd->iommufd), 0);
    iommufd->iommufd = iommufd_open(iommufd, "/dev/iommu");
    set_rlimit_mode(iommufd, 1);
    iommufd->device = iommufd_open(iommufd, "/dev/vfio/devices/vfio0");
    assert_int_equal(iommufd_bind(iommufd, iommufd->device, &iommufd->device_id), 0);
    iommufd->ioas = iommufd_new_ioas(iommufd);
    pt_id = iommufd->ioas;
    assert_int_equal(iommufd_attach(iommufd, iommufd->device, &pt_id), 0);
    return iommufd;
}

static void the_user_is_charged(void **state)
{
    PmFakeConfig config = limited_config(2 * PAGE);
    g_autoptr(Iommufd) iommufd = iommufd_attached(&config);

    (void)state;
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 2 * PAGE), 0);
    iommufd_assert_charged(iommufd, 2 * PAGE, 2 * PAGE, 0);
    assert_int_equal(iommufd_map(iommufd, 2 * PAGE, iommufd->memory, PAGE), -ENOMEM);
    iommufd_assert_charged(iommufd, 2 * PAGE, 2 * PAGE, 0);
    assert_int_equal(iommufd_unmap(iommufd, 0, 2 * PAGE, NULL), 0);
    iommufd_assert_charged(iommufd, 0, 0, 0);
}

static void the_process_is_charged_if_asked(void **state)
{
    PmFakeConfig config = limited_config(2 * PAGE);
    g_autoptr(Iommufd) iommufd = charging_the_process(&config);

    (void)state;
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 2 * PAGE), 0);
    iommufd_assert_charged(iommufd, 2 * PAGE, 0, 2 * PAGE);
    assert_int_equal(iommufd_map(iommufd, 2 * PAGE, iommufd->memory, PAGE), -ENOMEM);
    assert_int_equal(iommufd_close(iommufd, iommufd->device), 0);
    iommufd_assert_charged(iommufd, 0, 0, 0);
}

static void nobody_is_charged_with_the_capability(void **state)
{
    PmFakeConfig config = limited_config(0);
    g_autoptr(Iommufd) iommufd = NULL;

    (void)state;
    config.cap_ipc_lock = true;
    iommufd = iommufd_attached(&config);
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, PAGE), 0);
    iommufd_assert_charged(iommufd, PAGE, 0, 0);
    pm_fake_kernel_set_memlock(iommufd->kernel, 0, false);
    assert_int_equal(iommufd_map(iommufd, PAGE, iommufd->memory, PAGE), -ENOMEM);
    assert_int_equal(iommufd_unmap(iommufd, 0, PAGE, NULL), 0);
    iommufd_assert_charged(iommufd, 0, 0, 0);
}

static void who_is_charged_was_decided_by_the_mapping(void **state)
{
    PmFakeConfig config = limited_config(0);
    g_autoptr(Iommufd) iommufd = iommufd_new(&config);
    uint32_t pt_id = iommufd->ioas;

    (void)state;
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, PAGE), 0);
    pm_fake_kernel_set_memlock(iommufd->kernel, 0, true);
    assert_int_equal(iommufd_attach(iommufd, iommufd->device, &pt_id), -ENOMEM);
    pm_fake_kernel_set_memlock(iommufd->kernel, PAGE, false);
    assert_int_equal(iommufd_attach(iommufd, iommufd->device, &pt_id), 0);
    iommufd_assert_charged(iommufd, PAGE, PAGE, 0);
}

static void the_mode_needs_the_capability(void **state)
{
    PmFakeConfig config = iommufd_config();
    g_autoptr(Iommufd) iommufd = NULL;
    struct iommu_option option = {
        .size = sizeof(option),
        .option_id = IOMMU_OPTION_RLIMIT_MODE,
        .op = IOMMU_OPTION_OP_SET,
        .val64 = 1,
    };

    (void)state;
    config.cap_sys_resource = false;
    iommufd = iommufd_new(&config);
    assert_int_equal(iommufd_call(iommufd, IOMMU_OPTION, &option), -EPERM);
}

/* Unlike type1, which finds what comes first. */
static void bad_memory_is_found_before_the_limit(void **state)
{
    PmFakeConfig config = limited_config(PAGE);
    g_autoptr(Iommufd) iommufd = iommufd_attached(&config);

    (void)state;
    assert_int_equal(munmap(iommufd->memory + 4 * PAGE, PAGE), 0);
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 5 * PAGE), -EFAULT);
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 4 * PAGE), -ENOMEM);
    iommufd_assert_charged(iommufd, 0, 0, 0);
}

/* --- sharing --- */

static int copy(Iommufd *iommufd, uint64_t source, uint64_t destination, uint64_t length)
{
    struct iommu_ioas_copy request = {
        .size = sizeof(request),
        .flags = FIXED,
        .dst_ioas_id = iommufd->ioas,
        .src_ioas_id = iommufd->ioas,
        .length = length,
        .dst_iova = destination,
        .src_iova = source,
    };

    return iommufd_call(iommufd, IOMMU_IOAS_COPY, &request);
}

static void a_copy_shares_pins(void **state)
{
    g_autoptr(Iommufd) iommufd = iommufd_attached(NULL);

    (void)state;
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 4 * PAGE), 0);
    assert_int_equal(copy(iommufd, PAGE, 16 * PAGE, 2 * PAGE), 0);
    iommufd_assert_charged(iommufd, 4 * PAGE, 4 * PAGE, 0);
    assert_int_equal(iommufd_unmap(iommufd, 0, 4 * PAGE, NULL), 0);
    iommufd_assert_charged(iommufd, 2 * PAGE, 2 * PAGE, 0);
    iommufd_dma_write(iommufd, 17 * PAGE, 77);
    assert_int_equal(*(uint32_t *)(iommufd->memory + 2 * PAGE), 77);
    assert_int_equal(iommufd_unmap(iommufd, 16 * PAGE, 2 * PAGE, NULL), 0);
    iommufd_assert_charged(iommufd, 0, 0, 0);
}

static void copies_of_copies_share_pins(void **state)
{
    g_autoptr(Iommufd) iommufd = iommufd_attached(NULL);

    (void)state;
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 8 * PAGE), 0);
    assert_int_equal(copy(iommufd, 0, 16 * PAGE, 4 * PAGE), 0);
    assert_int_equal(copy(iommufd, 2 * PAGE, 32 * PAGE, 4 * PAGE), 0);
    assert_int_equal(copy(iommufd, 17 * PAGE, 48 * PAGE, 3 * PAGE), 0);
    iommufd_assert_charged(iommufd, 8 * PAGE, 8 * PAGE, 0);
    assert_int_equal(iommufd_unmap(iommufd, 0, 8 * PAGE, NULL), 0);
    iommufd_assert_charged(iommufd, 6 * PAGE, 6 * PAGE, 0);
    assert_int_equal(iommufd_unmap(iommufd, 16 * PAGE, 4 * PAGE, NULL), 0);
    iommufd_assert_charged(iommufd, 5 * PAGE, 5 * PAGE, 0);
    assert_int_equal(iommufd_unmap(iommufd, 32 * PAGE, 4 * PAGE, NULL), 0);
    iommufd_assert_charged(iommufd, 3 * PAGE, 3 * PAGE, 0);
    assert_int_equal(iommufd_unmap(iommufd, 0, UINT64_MAX, NULL), 0);
    iommufd_assert_charged(iommufd, 0, 0, 0);
}

static void a_copy_of_what_cannot_be_pinned_leaves_nothing(void **state)
{
    g_autoptr(Iommufd) iommufd = iommufd_attached(NULL);
    struct iommu_ioas_copy request = {
        .size = sizeof(request),
        .flags = FIXED,
        .dst_ioas_id = iommufd->ioas,
        .length = 2 * PAGE,
    };

    (void)state;
    iommufd->ioas = iommufd_new_ioas(iommufd);
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, PAGE), 0);
    assert_int_equal(iommufd_map(iommufd, PAGE, (char *)PAGE, PAGE), 0);
    request.src_ioas_id = iommufd->ioas;
    assert_int_equal(iommufd_call(iommufd, IOMMU_IOAS_COPY, &request), -EFAULT);
    assert_int_equal(iommufd_n_areas(iommufd), 0);
    iommufd_assert_charged(iommufd, 0, 0, 0);
}

/* --- held pages --- */

static Iommufd *holding(void)
{
    PmFakeConfig config = iommufd_config();
    g_autoptr(PmKernel) kernel = NULL;

    config.pin = PM_FAKE_PIN_HOLD;
    kernel = pm_fake_kernel_new(&config, NULL);
    return kernel != NULL ? iommufd_attached(&config) : NULL;
}

static void a_part_of_held_pages_stays_held(void **state)
{
    g_autoptr(Iommufd) iommufd = holding();

    (void)state;
    if (iommufd == NULL) {
        print_message("skipped, because there is no io_uring: sysctl kernel.io_uring_disabled=0\n");
        skip();
        return;
    }
    memset(iommufd->memory, 0x5a, 4 * PAGE);
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 4 * PAGE), 0);
    assert_int_equal(copy(iommufd, 2 * PAGE, 16 * PAGE, PAGE), 0);
    assert_int_equal(iommufd_unmap(iommufd, 0, 4 * PAGE, NULL), 0);
    assert_int_equal(madvise(iommufd->memory, 4 * PAGE, MADV_DONTNEED), 0);
    assert_int_equal(iommufd_dma_read(iommufd, 16 * PAGE), 0x5a5a5a5a);
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
