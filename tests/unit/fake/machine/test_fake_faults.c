/* SPDX-License-Identifier: MIT */
/* The fake kernel's fault plan and inspector. */

#include "kernel-uapi/iommufd.h"
#include "util/kernel_util.h"

static Kernel *new_v2(void)
{
    return kernel_new_fake_type1(NULL, VFIO_TYPE1v2_IOMMU);
}

static void the_nth_map_fails_once_without_effect(void **state)
{
    g_autoptr(Kernel) fake = new_v2();

    (void)state;
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_MAP, 2, EIO);
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), 0);
    assert_int_equal(kernel_map(fake, PAGE, fake->memory, PAGE), -EIO);
    assert_int_equal(kernel_n_inspected(fake), 1);
    assert_int_equal(kernel_map(fake, PAGE, fake->memory, PAGE), 0);
}

static void faults_accumulate_and_can_be_cleared(void **state)
{
    g_autoptr(Kernel) fake = new_v2();

    (void)state;
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_MAP, 1, EIO);
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_MAP, 2, ENOMEM);
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_MAP, 3, EINTR);
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), -EIO);
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), -ENOMEM);
    pm_fake_kernel_clear_faults(fake->pm);
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), 0);
}

static void call_kinds_count_separately_and_any_counts_all(void **state)
{
    g_autoptr(Kernel) fake = new_v2();
    uint64_t any = pm_fake_kernel_get_n_calls(fake->pm, PM_FAKE_CALL_ANY);
    uint64_t ioctls = pm_fake_kernel_get_n_calls(fake->pm, PM_FAKE_CALL_IOCTL);

    (void)state;
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), 0);
    assert_int_equal(kernel_unmap(fake, 0, PAGE, NULL), -EIO);
    assert_int_equal(kernel_n_inspected(fake), 1);
    assert_int_equal(pm_fake_kernel_get_n_calls(fake->pm, PM_FAKE_CALL_MAP), 1);
    assert_int_equal(pm_fake_kernel_get_n_calls(fake->pm, PM_FAKE_CALL_UNMAP), 1);
    assert_int_equal(pm_fake_kernel_get_n_calls(fake->pm, PM_FAKE_CALL_IOCTL), ioctls + 2);
    assert_int_equal(pm_fake_kernel_get_n_calls(fake->pm, PM_FAKE_CALL_ANY), any + 2);
    assert_int_equal(pm_fake_kernel_get_n_calls(fake->pm, PM_FAKE_CALL_OPEN), 2);
}

static void ioctl_faults_apply_to_maps(void **state)
{
    g_autoptr(Kernel) fake = new_v2();

    (void)state;
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_IOCTL, 2, EIO);
    assert_int_equal(kernel_ioctl(fake, fake->container, VFIO_GET_API_VERSION, NULL), 0);
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), -EIO);
}

static void open_can_fail_and_a_failing_close_still_closes(void **state)
{
    g_autoptr(Kernel) fake = new_v2();

    (void)state;
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_OPEN, 1, EMFILE);
    assert_int_equal(kernel_open(fake, "/dev/vfio/vfio"), -EMFILE);
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_CLOSE, 1, EINTR);
    assert_int_equal(kernel_close(fake, fake->group), -EINTR);
    assert_int_equal(kernel_close(fake, fake->group), -EBADF);
    assert_int_equal(pm_fake_kernel_get_n_open(fake->pm), 1);
}

static void a_shortened_unmap_returns_the_size_it_removed(void **state)
{
    g_autoptr(Kernel) fake = new_v2();
    uint64_t n_bytes;

    (void)state;
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(kernel_map(fake, i * PAGE, fake->memory, PAGE), 0);
    pm_fake_kernel_shorten_unmap(fake->pm, 2);
    assert_int_equal(kernel_unmap(fake, 4 * PAGE, PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, PAGE);
    assert_int_equal(kernel_unmap(fake, 0, 4 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 2 * PAGE);
    assert_int_equal(kernel_n_inspected(fake), 2);
    assert_int_equal(kernel_unmap(fake, 0, 4 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 2 * PAGE);
}

static void a_shortened_unmap_of_one_mapping_removes_nothing(void **state)
{
    g_autoptr(Kernel) fake = new_v2();
    uint64_t n_bytes;

    (void)state;
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), 0);
    pm_fake_kernel_shorten_unmap(fake->pm, 1);
    assert_int_equal(kernel_unmap(fake, 0, PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 0);
    assert_int_equal(kernel_n_inspected(fake), 1);
}

typedef struct {
    uint64_t iova[3];
    uint64_t size[3];
    const void *host[3];
    unsigned n_seen;
    unsigned n_wanted;
} Seen;

static bool see(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                void *user_data)
{
    Seen *seen = user_data;

    assert_int_equal(access, PM_IOMMU_READ_WRITE);
    seen->iova[seen->n_seen] = iova;
    seen->size[seen->n_seen] = size;
    seen->host[seen->n_seen] = host;
    return ++seen->n_seen < seen->n_wanted;
}

static void foreach_mapping_lists_mappings_in_order(void **state)
{
    g_autoptr(Kernel) fake = new_v2();
    Seen seen = {.n_wanted = 4};

    (void)state;
    assert_int_equal(kernel_map(fake, 0x20000, fake->memory + PAGE, 2 * PAGE), 0);
    assert_int_equal(kernel_map(fake, 0x10000, fake->memory, PAGE), 0);
    assert_int_equal(kernel_map(fake, 0x30000, fake->memory, PAGE), 0);
    assert_true(pm_fake_kernel_foreach_mapping(fake->pm, 1, see, &seen));
    assert_int_equal(seen.n_seen, 3);
    assert_int_equal(seen.iova[0], 0x10000);
    assert_int_equal(seen.iova[1], 0x20000);
    assert_int_equal(seen.size[1], 2 * PAGE);
    assert_ptr_equal(seen.host[1], fake->memory + PAGE);
    seen = (Seen){.n_wanted = 2};
    assert_false(pm_fake_kernel_foreach_mapping(fake->pm, 1, see, &seen));
    assert_int_equal(seen.n_seen, 2);
    assert_true(pm_fake_kernel_foreach_mapping(fake->pm, 99, see, &seen));
}

static bool unmap_it(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                     void *user_data)
{
    (void)host;
    (void)access;
    return kernel_unmap(user_data, iova, size, NULL) == 0;
}

static void mappings_may_change_during_foreach(void **state)
{
    g_autoptr(Kernel) fake = new_v2();

    (void)state;
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(kernel_map(fake, i * PAGE, fake->memory, PAGE), 0);
    assert_true(pm_fake_kernel_foreach_mapping(fake->pm, 1, unmap_it, fake));
    assert_int_equal(pm_fake_kernel_get_n_mappings(fake->pm, 1), 0);
}

static void locked_memory_counts_as_in_the_kernel(void **state)
{
    g_autoptr(Kernel) fake = new_v2();
    PmLockedMemory locked = {.struct_size = sizeof(locked)};

    (void)state;
    assert_int_equal(kernel_map(fake, 0, fake->memory, 3 * PAGE), 0);
    pm_fake_kernel_set_memlock(fake->pm, 10 * PAGE + 17, true);
    assert_int_equal(fake->pm->ops->locked_memory(fake->pm, &locked), 0);
    assert_int_equal(locked.used, 3 * PAGE);
    assert_int_equal(locked.limit, 10 * PAGE);
    assert_true(locked.waived);
    pm_fake_kernel_set_memlock(fake->pm, UINT64_MAX, false);
    assert_int_equal(fake->pm->ops->locked_memory(fake->pm, &locked), 0);
    assert_true(locked.limit == UINT64_MAX);
    assert_false(locked.waived);
}

static void each_kind_of_call_can_fail(void **state)
{
    g_autoptr(Kernel) fake = new_v2();
    const PmKernelOps *ops = fake->pm->ops;
    int device = kernel_get_device(fake, fake->group, DEVICE);
    void *address = NULL;
    char byte = 0;

    (void)state;
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_MMAP, 1, EIO);
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_MUNMAP, 1, ENOMEM);
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_PREAD, 1, EINTR);
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_PWRITE, 1, EAGAIN);
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_ANY, 5, EPERM);
    assert_int_equal(ops->mmap(fake->pm, device, PAGE, PROT_READ, MAP_SHARED, 0, &address), -EIO);
    assert_int_equal(ops->munmap(fake->pm, fake->memory, PAGE), -ENOMEM);
    assert_int_equal(ops->pread(fake->pm, device, &byte, 1, 0), -EINTR);
    assert_int_equal(ops->pwrite(fake->pm, device, &byte, 1, 0), -EAGAIN);
    assert_int_equal(kernel_ioctl(fake, device, VFIO_DEVICE_RESET, NULL), -EPERM);
}

static void device_requests_do_not_count_as_maps(void **state)
{
    g_autoptr(Kernel) fake = new_v2();
    int device = kernel_get_device(fake, fake->group, DEVICE);

    (void)state;
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_MAP, 1, EIO);
    assert_int_not_equal(kernel_ioctl(fake, device, VFIO_IOMMU_MAP_DMA, NULL), -EIO);
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), -EIO);
}

static void iommufd_codes_on_a_container_do_not_count_as_maps(void **state)
{
    g_autoptr(Kernel) fake = new_v2();

    (void)state;
    assert_int_equal(kernel_ioctl(fake, fake->container, IOMMU_IOAS_MAP, NULL), -ENOTTY);
    assert_int_equal(kernel_ioctl(fake, fake->container, IOMMU_IOAS_UNMAP, NULL), -ENOTTY);
    assert_int_equal(pm_fake_kernel_get_n_calls(fake->pm, PM_FAKE_CALL_MAP), 0);
    assert_int_equal(pm_fake_kernel_get_n_calls(fake->pm, PM_FAKE_CALL_UNMAP), 0);
}

static void the_first_of_two_faults_on_a_call_wins(void **state)
{
    g_autoptr(Kernel) fake = new_v2();

    (void)state;
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_IOCTL, 1, EIO);
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_MAP, 1, ENOSPC);
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), -EIO);
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), 0);
}

static void faults_with_invalid_call_or_error_are_ignored(void **state)
{
    g_autoptr(Kernel) fake = new_v2();

    (void)state;
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), 0);
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_UNMAP, 0, EIO);
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_UNMAP, 1, 0);
    pm_fake_kernel_fail(fake->pm, PM_FAKE_CALL_UNMAP, 1, -EIO);
    pm_fake_kernel_fail(fake->pm, (PmFakeCall)(PM_FAKE_CALL_PWRITE + 1), 1, EIO);
    assert_int_equal(kernel_unmap(fake, 0, PAGE, NULL), 0);
    assert_int_equal(kernel_n_inspected(fake), 0);
}

static void a_shortened_unmap_all_removes_the_first_half(void **state)
{
    g_autoptr(Kernel) fake = new_v2();
    uint64_t n_bytes;

    (void)state;
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(kernel_map(fake, 2 * i * PAGE, fake->memory, PAGE), 0);
    pm_fake_kernel_shorten_unmap(fake->pm, 1);
    assert_int_equal(kernel_unmap_flags(fake, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, &n_bytes), 0);
    assert_int_equal(n_bytes, 2 * PAGE);
    assert_int_equal(kernel_n_inspected(fake), 2);
}

static bool has_new_address(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                            void *user_data)
{
    const Kernel *fake = user_data;

    assert_int_equal(iova, 0);
    assert_int_equal(size, PAGE);
    assert_int_equal(access, PM_IOMMU_READ_WRITE);
    assert_ptr_equal(host, fake->memory + 8 * PAGE);
    return true;
}

static void vaddr_update_changes_the_mappings_host_address(void **state)
{
    g_autoptr(Kernel) fake = new_v2();

    (void)state;
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), 0);
    assert_int_equal(kernel_unmap_flags(fake, VFIO_DMA_UNMAP_FLAG_VADDR, 0, PAGE, NULL), 0);
    assert_int_equal(
        kernel_map_flags(fake, VFIO_DMA_MAP_FLAG_VADDR, 0, fake->memory + 8 * PAGE, PAGE), 0);
    assert_true(pm_fake_kernel_foreach_mapping(fake->pm, 1, has_new_address, fake));
}

/* Mappings at 0x10000 (4 pages), 0x14000 (4 pages) and, after a hole, 0x20000 (2 pages). */
static Kernel *with_three(unsigned long type)
{
    Kernel *fake = kernel_new_fake_type1(NULL, type);

    assert_int_equal(kernel_map(fake, 0x10000, fake->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_map(fake, 0x14000, fake->memory + 4 * PAGE, 4 * PAGE), 0);
    assert_int_equal(kernel_map(fake, 0x20000, fake->memory + 8 * PAGE, 2 * PAGE), 0);
    return fake;
}

static void v1_unmap_of_a_part_untranslates_the_whole_mapping(void **state)
{
    g_autoptr(Kernel) fake = with_three(VFIO_TYPE1_IOMMU);
    uint64_t run_iova;
    uint64_t run_size;

    (void)state;
    assert_int_equal(kernel_unmap(fake, 0x10000, PAGE, NULL), 0);
    assert_true(pm_fake_kernel_next_translated(fake->pm, 1, 0, UINT64_MAX, &run_iova, &run_size));
    assert_int_equal(run_iova, 0x14000);
    assert_int_equal(run_size, 4 * PAGE);
}

static void unmap_clears_the_page_table(void **state)
{
    g_autoptr(Kernel) fake = with_three(VFIO_TYPE1v2_IOMMU);
    uint64_t run_iova;
    uint64_t run_size;

    (void)state;
    assert_true(pm_fake_kernel_next_translated(fake->pm, 1, 0, UINT64_MAX, &run_iova, &run_size));
    assert_int_equal(run_iova, 0x10000);
    assert_int_equal(run_size, 8 * PAGE);
    assert_int_equal(kernel_unmap(fake, 0x10000, 8 * PAGE, NULL), 0);
    assert_true(pm_fake_kernel_next_translated(fake->pm, 1, 0, UINT64_MAX, &run_iova, &run_size));
    assert_int_equal(run_iova, 0x20000);
    assert_int_equal(kernel_unmap(fake, 0x20000, 2 * PAGE, NULL), 0);
    assert_false(pm_fake_kernel_next_translated(fake->pm, 1, 0, UINT64_MAX, &run_iova, &run_size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_map_fails_once_without_effect),
        cmocka_unit_test(faults_accumulate_and_can_be_cleared),
        cmocka_unit_test(call_kinds_count_separately_and_any_counts_all),
        cmocka_unit_test(ioctl_faults_apply_to_maps),
        cmocka_unit_test(open_can_fail_and_a_failing_close_still_closes),
        cmocka_unit_test(a_shortened_unmap_returns_the_size_it_removed),
        cmocka_unit_test(a_shortened_unmap_of_one_mapping_removes_nothing),
        cmocka_unit_test(foreach_mapping_lists_mappings_in_order),
        cmocka_unit_test(mappings_may_change_during_foreach),
        cmocka_unit_test(locked_memory_counts_as_in_the_kernel),
        cmocka_unit_test(each_kind_of_call_can_fail),
        cmocka_unit_test(device_requests_do_not_count_as_maps),
        cmocka_unit_test(iommufd_codes_on_a_container_do_not_count_as_maps),
        cmocka_unit_test(the_first_of_two_faults_on_a_call_wins),
        cmocka_unit_test(faults_with_invalid_call_or_error_are_ignored),
        cmocka_unit_test(a_shortened_unmap_all_removes_the_first_half),
        cmocka_unit_test(vaddr_update_changes_the_mappings_host_address),
        cmocka_unit_test(v1_unmap_of_a_part_untranslates_the_whole_mapping),
        cmocka_unit_test(unmap_clears_the_page_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
