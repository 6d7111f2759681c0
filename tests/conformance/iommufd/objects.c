/* SPDX-License-Identifier: MIT */
/* Objects of an iommufd: their ids, and DESTROY. */
#include "util/iommufd_util.h"

#include <sys/resource.h>

static void ids_start_at_1(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_new_ioas(kernel), 1);
    assert_int_equal(iommufd_new_ioas(kernel), 2);
}

static void the_lowest_free_id_is_reused(void **state)
{
    Kernel *kernel = *state;

    for (unsigned i = 0; i < 4; i++)
        iommufd_new_ioas(kernel);
    assert_int_equal(iommufd_destroy(kernel, 3), 0);
    assert_int_equal(iommufd_destroy(kernel, 2), 0);
    assert_int_equal(iommufd_new_ioas(kernel), 2);
    assert_int_equal(iommufd_new_ioas(kernel), 3);
    assert_int_equal(iommufd_new_ioas(kernel), 5);
}

static void each_file_has_its_own_ids(void **state)
{
    Kernel *kernel = *state;
    uint32_t ours = iommufd_new_ioas(kernel);
    int first = kernel->iommu;

    iommufd_new_ioas(kernel);
    kernel->iommu = kernel_open(kernel, IOMMU);
    assert_int_equal(iommufd_new_ioas(kernel), ours);
    assert_int_equal(iommufd_destroy(kernel, ours + 1), -ENOENT);
    kernel->iommu = first;
    assert_int_equal(iommufd_destroy(kernel, ours + 1), 0);
}

static void objects_of_all_types_share_the_ids(void **state)
{
    Kernel *kernel = *state;
    uint32_t hwpt;

    assert_int_equal(kernel->ioas, 1);
    assert_int_equal(kernel->device_id, 2);
    assert_int_equal(kernel->hwpt, 3);
    assert_int_equal(iommufd_new_ioas(kernel), 4);
    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), 0);
    assert_int_equal(hwpt, 5);
}

static void destroying_an_unknown_id_fails(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_destroy(kernel, 0), -ENOENT);
    assert_int_equal(iommufd_destroy(kernel, NO_ID), -ENOENT);
    assert_int_equal(iommufd_destroy(kernel, UINT32_MAX), -ENOENT);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), -ENOENT);
}

static void destroying_an_ioas_unmaps_its_areas(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
    assert_int_equal(iommufd_unmap(kernel, 0, 4 * PAGE, NULL), -ENOENT);
    assert_int_equal(iommufd_new_ioas(kernel), kernel->ioas);
    assert_int_equal(iommufd_unmap_all(kernel), 0);
}

static void destroying_objects_in_use_fails(void **state)
{
    Kernel *kernel = *state;
    const uint32_t in_use[] = {kernel->ioas, kernel->device_id, kernel->hwpt};

    for (size_t i = 0; i < G_N_ELEMENTS(in_use); i++)
        assert_int_equal(iommufd_destroy(kernel, in_use[i]), -EBUSY);
    /* Everything still works. */
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_pinned(kernel), PAGE);
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
}

static void destroying_a_bound_device_fails_even_when_detached(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->device_id), -EBUSY);
}

static void an_allocated_hwpt_keeps_its_ioas(void **state)
{
    Kernel *kernel = *state;
    uint32_t hwpt;

    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), -EBUSY);
    assert_int_equal(iommufd_destroy(kernel, hwpt), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
}

static void destroying_an_hwpt_with_an_attached_device_fails(void **state)
{
    Kernel *kernel = *state;
    uint32_t hwpt;
    uint32_t pt;

    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), 0);
    pt = hwpt;
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt), 0);
    assert_int_equal(iommufd_destroy(kernel, hwpt), -EBUSY);
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(iommufd_destroy(kernel, hwpt), 0);
}

static void detaching_the_last_device_destroys_the_automatic_hwpt(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->hwpt), -ENOENT);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
}

static void closing_the_cdev_destroys_the_device(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->device_id), -ENOENT);
    assert_int_equal(iommufd_destroy(kernel, kernel->hwpt), -ENOENT);
    assert_int_equal(iommufd_new_ioas(kernel), kernel->device_id);
}

static void a_fault_queue_in_a_read_only_struct_fails_with_efault_and_frees_its_id(void **state)
{
    Kernel *kernel = *state;
    struct iommu_fault_alloc *alloc = (void *)kernel->memory;

    *alloc = (struct iommu_fault_alloc){.size = sizeof(*alloc)};
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_FAULT_QUEUE_ALLOC, alloc), -EFAULT);
    assert_int_equal(iommufd_new_ioas(kernel), 1);
}

static void a_fault_queue_without_a_descriptor_fails_with_emfile_and_frees_its_id(void **state)
{
    Kernel *kernel = *state;
    struct iommu_fault_alloc alloc = {.size = sizeof(alloc)};
    struct rlimit limit;
    struct rlimit none;
    int result;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    result = iommufd_ioctl(kernel, IOMMU_FAULT_QUEUE_ALLOC, &alloc);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(result, -EMFILE);
    assert_int_equal(iommufd_new_ioas(kernel), 1);
}

/* Calls find objects of their own type only. */
static void objects_of_another_type_fail_with_enoent(void **state)
{
    Kernel *kernel = *state;
    const uint32_t ioas = kernel->ioas;
    struct iommu_hwpt_set_dirty_tracking dirty = {.size = sizeof(dirty), .hwpt_id = ioas};
    uint64_t value = 0;

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_HWPT_SET_DIRTY_TRACKING, &dirty), -ENOENT);
    kernel->ioas = kernel->hwpt;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), -ENOENT);
    kernel->ioas = kernel->device_id;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), -ENOENT);
    assert_int_equal(iommufd_unmap(kernel, 0, UINT64_MAX, NULL), -ENOENT);
    assert_int_equal(iommufd_option(kernel, IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_GET,
                                    kernel->device_id, &value),
                     -ENOENT);
    kernel->device_id = ioas;
    assert_int_equal(iommufd_new_hwpt(kernel, ioas, &kernel->hwpt), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IOMMU(ids_start_at_1),
        TEST_IOMMU(the_lowest_free_id_is_reused),
        TEST_IOMMU(each_file_has_its_own_ids),
        TEST_ATTACHED(objects_of_all_types_share_the_ids),
        TEST_IOAS(destroying_an_unknown_id_fails),
        TEST_IOAS(destroying_an_ioas_unmaps_its_areas),
        TEST_ATTACHED(destroying_objects_in_use_fails),
        TEST_ATTACHED(destroying_a_bound_device_fails_even_when_detached),
        TEST_ATTACHED(an_allocated_hwpt_keeps_its_ioas),
        TEST_ATTACHED(destroying_an_hwpt_with_an_attached_device_fails),
        TEST_ATTACHED(detaching_the_last_device_destroys_the_automatic_hwpt),
        TEST_ATTACHED(closing_the_cdev_destroys_the_device),
        TEST_IOMMU(a_fault_queue_in_a_read_only_struct_fails_with_efault_and_frees_its_id),
        TEST_IOMMU(a_fault_queue_without_a_descriptor_fails_with_emfile_and_frees_its_id),
        TEST_ATTACHED(objects_of_another_type_fail_with_enoent),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
