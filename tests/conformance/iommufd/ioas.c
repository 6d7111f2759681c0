/* SPDX-License-Identifier: MIT */
/* IOAS_ALLOC, IOAS_IOVA_RANGES and IOAS_ALLOW_IOVAS. */
#include "util/iommufd_util.h"

#define N_RANGES 4

typedef struct {
    struct iommu_ioas_iova_ranges call;
    struct iommu_iova_range ranges[N_RANGES];
} Answer;

static int get_ranges(Kernel *kernel, Answer *answer, uint32_t n_ranges)
{
    memset(answer, 0x77, sizeof(*answer));
    answer->call = (struct iommu_ioas_iova_ranges){
        .size = sizeof(answer->call),
        .ioas_id = kernel->ioas,
        .num_iovas = n_ranges,
        .allowed_iovas = (uintptr_t)answer->ranges,
    };
    return iommufd_ioctl(kernel, IOMMU_IOAS_IOVA_RANGES, &answer->call);
}

static void assert_range(const Answer *answer, unsigned i, uint64_t start, uint64_t last)
{
    assert_int_equal(answer->ranges[i].start, start);
    assert_int_equal(answer->ranges[i].last, last);
}

static void assert_everything(Kernel *kernel)
{
    Answer answer;

    assert_int_equal(get_ranges(kernel, &answer, N_RANGES), 0);
    assert_int_equal(answer.call.num_iovas, 1);
    assert_int_equal(answer.call.out_iova_alignment, 1);
    assert_range(&answer, 0, 0, UINT64_MAX);
}

static int allow(Kernel *kernel, const struct iommu_iova_range *ranges, uint32_t n_ranges)
{
    struct iommu_ioas_allow_iovas call = {
        .size = sizeof(call),
        .ioas_id = kernel->ioas,
        .num_iovas = n_ranges,
        .allowed_iovas = (uintptr_t)ranges,
    };

    return iommufd_ioctl(kernel, IOMMU_IOAS_ALLOW_IOVAS, &call);
}

static int allow_one(Kernel *kernel, uint64_t start, uint64_t last)
{
    const struct iommu_iova_range range = {start, last};

    return allow(kernel, &range, 1);
}

/* Maps a page where the kernel places it. */
static int place(Kernel *kernel, uint64_t *iova)
{
    *iova = 0;
    return iommufd_map_flags(kernel, IOAS_READ_WRITE, iova, (uintptr_t)kernel->memory, PAGE);
}

static void alloc_rejects_flags(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_alloc alloc = {.size = sizeof(alloc), .flags = 1};

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOC, &alloc), -EOPNOTSUPP);
    assert_int_equal(iommufd_new_ioas(kernel), 1);
}

static void alloc_into_a_read_only_struct_fails_with_efault_and_is_undone(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_alloc *alloc = (void *)kernel->memory;

    *alloc = (struct iommu_ioas_alloc){.size = sizeof(*alloc)};
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOC, alloc), -EFAULT);
    assert_int_equal(iommufd_new_ioas(kernel), 1);
}

static void without_a_device_all_iovas_are_available(void **state)
{
    assert_everything(*state);
}

static void a_device_leaves_two_page_aligned_ranges(void **state)
{
    Answer answer;

    assert_int_equal(get_ranges(*state, &answer, N_RANGES), 0);
    assert_int_equal(answer.call.num_iovas, 2);
    assert_int_equal(answer.call.out_iova_alignment, PAGE);
    assert_range(&answer, 0, 0, WINDOW - 1);
    assert_range(&answer, 1, WINDOW_LAST + 1, LAST_IOVA);
    assert_range(&answer, 2, 0x7777777777777777, 0x7777777777777777);
}

static void all_iovas_are_available_after_the_last_detach(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_everything(kernel);
}

static void an_allocated_hwpt_keeps_its_aperture_but_not_the_msi_window(void **state)
{
    Kernel *kernel = *state;
    Answer answer;
    uint32_t hwpt;

    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), 0);
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(get_ranges(kernel, &answer, N_RANGES), 0);
    assert_int_equal(answer.call.num_iovas, 1);
    assert_int_equal(answer.call.out_iova_alignment, PAGE);
    assert_range(&answer, 0, 0, LAST_IOVA);
}

static void a_short_array_fails_with_emsgsize_and_is_filled(void **state)
{
    Answer answer;

    assert_int_equal(get_ranges(*state, &answer, 1), -EMSGSIZE);
    assert_int_equal(answer.call.num_iovas, 2);
    assert_int_equal(answer.call.out_iova_alignment, PAGE);
    assert_range(&answer, 0, 0, WINDOW - 1);
    assert_range(&answer, 1, 0x7777777777777777, 0x7777777777777777);
}

static void an_empty_array_returns_the_number_of_ranges(void **state)
{
    struct iommu_ioas_iova_ranges call = {
        .size = sizeof(call), .ioas_id = ((Kernel *)*state)->ioas, .num_iovas = 0};

    assert_int_equal(iommufd_ioctl(*state, IOMMU_IOAS_IOVA_RANGES, &call), -EMSGSIZE);
    assert_int_equal(call.num_iovas, 2);
}

static void ranges_check_reserved_fields_then_the_id_then_the_array(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_iova_ranges call = {
        .size = sizeof(call), .ioas_id = NO_ID, .num_iovas = 1, .__reserved = 1};

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_IOVA_RANGES, &call), -EOPNOTSUPP);
    call.__reserved = 0;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_IOVA_RANGES, &call), -ENOENT);
    call.ioas_id = kernel->ioas;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_IOVA_RANGES, &call), -EFAULT);
}

static void ranges_into_unwritable_memory_fail_with_efault(void **state)
{
    Kernel *kernel = *state;
    struct iommu_iova_range range;
    struct iommu_ioas_iova_ranges *call = (void *)kernel->memory;

    *call = (struct iommu_ioas_iova_ranges){.size = sizeof(*call),
                                            .ioas_id = kernel->ioas,
                                            .num_iovas = 1,
                                            .allowed_iovas = (uintptr_t)&range};
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_IOVA_RANGES, call), -EFAULT);
}

static void allow_checks_reserved_fields_then_the_id_then_the_array(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_allow_iovas call = {
        .size = sizeof(call), .ioas_id = NO_ID, .num_iovas = 1, .__reserved = 1};

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOW_IOVAS, &call), -EOPNOTSUPP);
    call.__reserved = 0;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOW_IOVAS, &call), -ENOENT);
    call.ioas_id = kernel->ioas;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOW_IOVAS, &call), -EFAULT);
}

static void allowed_ranges_must_not_be_empty(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(allow_one(kernel, 0x2000, 0x1000), -EINVAL);
    assert_int_equal(allow_one(kernel, 0x1000, 0x1000), -EINVAL);
    assert_int_equal(allow_one(kernel, 0x1000, 0x1001), 0);
}

static void allowed_ranges_may_touch_but_not_overlap(void **state)
{
    const struct iommu_iova_range touching[] = {{0x20000, 0x2ffff}, {0x10000, 0x1ffff}};
    const struct iommu_iova_range overlapping[] = {{0x10000, 0x20000}, {0x20000, 0x2ffff}};
    Kernel *kernel = *state;

    assert_int_equal(allow(kernel, overlapping, 2), -EINVAL);
    assert_int_equal(allow(kernel, touching, 2), 0);
}

static void a_bad_range_is_reported_before_the_end_of_a_truncated_array(void **state)
{
    Kernel *kernel = *state;
    struct iommu_iova_range *range = (void *)(kernel->memory + PAGE - sizeof(*range));

    munmap(kernel->memory + PAGE, PAGE);
    *range = (struct iommu_iova_range){2, 1};
    assert_int_equal(allow(kernel, range, 2), -EINVAL);
    *range = (struct iommu_iova_range){1, 2};
    assert_int_equal(allow(kernel, range, 2), -EFAULT);
}

static void the_kernel_places_areas_in_allowed_ranges(void **state)
{
    Kernel *kernel = *state;
    uint64_t iova;

    assert_int_equal(allow_one(kernel, 0x40000000, 0x40001fff), 0);
    assert_int_equal(place(kernel, &iova), 0);
    assert_int_equal(iova, 0x40000000);
    assert_int_equal(place(kernel, &iova), 0);
    assert_int_equal(iova, 0x40001000);
    assert_int_equal(place(kernel, &iova), -ENOSPC);
}

static void a_new_list_replaces_the_old_one_and_an_empty_one_clears_it(void **state)
{
    Kernel *kernel = *state;
    uint64_t iova;

    assert_int_equal(allow_one(kernel, 0x40000000, 0x40000fff), 0);
    assert_int_equal(allow_one(kernel, 0x50000000, 0x50000fff), 0);
    assert_int_equal(place(kernel, &iova), 0);
    assert_int_equal(iova, 0x50000000);
    assert_int_equal(allow(kernel, NULL, 0), 0);
    assert_int_equal(place(kernel, &iova), 0);
    assert_int_equal(iova, 0x1000);
}

static void fixed_iovas_may_be_outside_the_allowed_ranges(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(allow_one(kernel, 0x40000000, 0x40000fff), 0);
    assert_int_equal(iommufd_map(kernel, 0x50000000, kernel->memory, PAGE), 0);
}

static void existing_areas_may_be_outside_a_new_list(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 0x50000000, kernel->memory, PAGE), 0);
    assert_int_equal(allow_one(kernel, 0x40000000, 0x40000fff), 0);
    assert_true(iommufd_had(kernel, 0x50000000, PAGE));
}

static void allowed_ranges_do_not_change_the_usable_ranges(void **state)
{
    assert_int_equal(allow_one(*state, 0x40000000, 0x40000fff), 0);
    assert_everything(*state);
}

static void allowing_reserved_iovas_fails_and_keeps_the_old_list(void **state)
{
    Kernel *kernel = *state;
    uint64_t iova;

    assert_int_equal(allow_one(kernel, 0x40000000, 0x40000fff), 0);
    assert_int_equal(allow_one(kernel, 0x50000000, WINDOW), -EADDRINUSE);
    assert_int_equal(allow_one(kernel, WINDOW_LAST, 0x100000000), -EADDRINUSE);
    assert_int_equal(allow_one(kernel, 0x50000000, LAST_IOVA + 1), -EADDRINUSE);
    assert_int_equal(place(kernel, &iova), 0);
    assert_int_equal(iova, 0x40000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IOMMU(alloc_rejects_flags),
        TEST_IOMMU(alloc_into_a_read_only_struct_fails_with_efault_and_is_undone),
        TEST_IOAS(without_a_device_all_iovas_are_available),
        TEST_ATTACHED(a_device_leaves_two_page_aligned_ranges),
        TEST_ATTACHED(all_iovas_are_available_after_the_last_detach),
        TEST_ATTACHED(an_allocated_hwpt_keeps_its_aperture_but_not_the_msi_window),
        TEST_ATTACHED(a_short_array_fails_with_emsgsize_and_is_filled),
        TEST_ATTACHED(an_empty_array_returns_the_number_of_ranges),
        TEST_IOAS(ranges_check_reserved_fields_then_the_id_then_the_array),
        TEST_IOAS(ranges_into_unwritable_memory_fail_with_efault),
        TEST_IOAS(allow_checks_reserved_fields_then_the_id_then_the_array),
        TEST_IOAS(allowed_ranges_must_not_be_empty),
        TEST_IOAS(allowed_ranges_may_touch_but_not_overlap),
        TEST_IOAS(a_bad_range_is_reported_before_the_end_of_a_truncated_array),
        TEST_IOAS(the_kernel_places_areas_in_allowed_ranges),
        TEST_IOAS(a_new_list_replaces_the_old_one_and_an_empty_one_clears_it),
        TEST_IOAS(fixed_iovas_may_be_outside_the_allowed_ranges),
        TEST_IOAS(existing_areas_may_be_outside_a_new_list),
        TEST_IOAS(allowed_ranges_do_not_change_the_usable_ranges),
        TEST_ATTACHED(allowing_reserved_iovas_fails_and_keeps_the_old_list),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
