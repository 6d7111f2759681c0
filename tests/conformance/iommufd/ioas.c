/* SPDX-License-Identifier: MIT */
/* An address space: IOAS_ALLOC, what can be mapped in it, and what the caller allows of that. */
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

/* A page, where the kernel likes. */
static int place(Kernel *kernel, uint64_t *iova)
{
    *iova = 0;
    return iommufd_map_flags(kernel, IOAS_READ_WRITE, iova, (uintptr_t)kernel->memory, PAGE);
}

static void alloc_has_no_flags(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_alloc alloc = {.size = sizeof(alloc), .flags = 1};

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOC, &alloc), -EOPNOTSUPP);
    assert_int_equal(iommufd_new_ioas(kernel), 1);
}

static void alloc_that_cannot_answer_is_efault_and_undone(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_alloc *alloc = (void *)kernel->memory;

    *alloc = (struct iommu_ioas_alloc){.size = sizeof(*alloc)};
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOC, alloc), -EFAULT);
    assert_int_equal(iommufd_new_ioas(kernel), 1);
}

static void without_a_device_all_addresses_are_there(void **state)
{
    assert_everything(*state);
}

static void a_device_leaves_two_ranges_and_whole_pages(void **state)
{
    Answer answer;

    assert_int_equal(get_ranges(*state, &answer, N_RANGES), 0);
    assert_int_equal(answer.call.num_iovas, 2);
    assert_int_equal(answer.call.out_iova_alignment, PAGE);
    assert_range(&answer, 0, 0, WINDOW - 1);
    assert_range(&answer, 1, WINDOW_LAST + 1, LAST_IOVA);
    assert_range(&answer, 2, 0x7777777777777777, 0x7777777777777777);
}

static void all_addresses_are_back_after_the_last_detach(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_everything(kernel);
}

static void a_page_table_by_hand_keeps_its_end_but_not_the_window(void **state)
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

static void too_small_an_array_is_emsgsize_and_filled(void **state)
{
    Answer answer;

    assert_int_equal(get_ranges(*state, &answer, 1), -EMSGSIZE);
    assert_int_equal(answer.call.num_iovas, 2);
    assert_int_equal(answer.call.out_iova_alignment, PAGE);
    assert_range(&answer, 0, 0, WINDOW - 1);
    assert_range(&answer, 1, 0x7777777777777777, 0x7777777777777777);
}

static void no_array_at_all_tells_how_many_there_are(void **state)
{
    struct iommu_ioas_iova_ranges call = {
        .size = sizeof(call), .ioas_id = ((Kernel *)*state)->ioas, .num_iovas = 0};

    assert_int_equal(iommufd_ioctl(*state, IOMMU_IOAS_IOVA_RANGES, &call), -EMSGSIZE);
    assert_int_equal(call.num_iovas, 2);
}

static void ranges_are_refused_for_a_reserved_field_then_the_id_then_the_array(void **state)
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

static void ranges_that_cannot_answer_are_efault(void **state)
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

static void allow_is_refused_for_a_reserved_field_then_the_id_then_the_array(void **state)
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

static void allowed_ranges_have_to_have_a_length(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(allow_one(kernel, 0x2000, 0x1000), -EINVAL);
    assert_int_equal(allow_one(kernel, 0x1000, 0x1000), -EINVAL);
    assert_int_equal(allow_one(kernel, 0x1000, 0x1001), 0);
}

static void allowed_ranges_may_touch_and_not_overlap(void **state)
{
    const struct iommu_iova_range touching[] = {{0x20000, 0x2ffff}, {0x10000, 0x1ffff}};
    const struct iommu_iova_range overlapping[] = {{0x10000, 0x20000}, {0x20000, 0x2ffff}};
    Kernel *kernel = *state;

    assert_int_equal(allow(kernel, overlapping, 2), -EINVAL);
    assert_int_equal(allow(kernel, touching, 2), 0);
}

static void a_bad_range_comes_before_an_array_that_ends_too_early(void **state)
{
    Kernel *kernel = *state;
    struct iommu_iova_range *range = (void *)(kernel->memory + PAGE - sizeof(*range));

    munmap(kernel->memory + PAGE, PAGE);
    *range = (struct iommu_iova_range){2, 1};
    assert_int_equal(allow(kernel, range, 2), -EINVAL);
    *range = (struct iommu_iova_range){1, 2};
    assert_int_equal(allow(kernel, range, 2), -EFAULT);
}

static void what_is_allowed_is_where_the_kernel_places(void **state)
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

static void a_new_list_replaces_the_old_one_and_none_clears_it(void **state)
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

static void who_says_the_address_may_go_where_nothing_is_allowed(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(allow_one(kernel, 0x40000000, 0x40000fff), 0);
    assert_int_equal(iommufd_map(kernel, 0x50000000, kernel->memory, PAGE), 0);
}

static void areas_that_are_there_may_be_outside_of_a_new_list(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 0x50000000, kernel->memory, PAGE), 0);
    assert_int_equal(allow_one(kernel, 0x40000000, 0x40000fff), 0);
    assert_true(iommufd_had(kernel, 0x50000000, PAGE));
}

static void what_is_allowed_does_not_change_the_ranges(void **state)
{
    assert_int_equal(allow_one(*state, 0x40000000, 0x40000fff), 0);
    assert_everything(*state);
}

static void what_is_reserved_cannot_be_allowed_and_the_old_list_stays(void **state)
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
        TEST_IOMMU(alloc_has_no_flags),
        TEST_IOMMU(alloc_that_cannot_answer_is_efault_and_undone),
        TEST_IOAS(without_a_device_all_addresses_are_there),
        TEST_ATTACHED(a_device_leaves_two_ranges_and_whole_pages),
        TEST_ATTACHED(all_addresses_are_back_after_the_last_detach),
        TEST_ATTACHED(a_page_table_by_hand_keeps_its_end_but_not_the_window),
        TEST_ATTACHED(too_small_an_array_is_emsgsize_and_filled),
        TEST_ATTACHED(no_array_at_all_tells_how_many_there_are),
        TEST_IOAS(ranges_are_refused_for_a_reserved_field_then_the_id_then_the_array),
        TEST_IOAS(ranges_that_cannot_answer_are_efault),
        TEST_IOAS(allow_is_refused_for_a_reserved_field_then_the_id_then_the_array),
        TEST_IOAS(allowed_ranges_have_to_have_a_length),
        TEST_IOAS(allowed_ranges_may_touch_and_not_overlap),
        TEST_IOAS(a_bad_range_comes_before_an_array_that_ends_too_early),
        TEST_IOAS(what_is_allowed_is_where_the_kernel_places),
        TEST_IOAS(a_new_list_replaces_the_old_one_and_none_clears_it),
        TEST_IOAS(who_says_the_address_may_go_where_nothing_is_allowed),
        TEST_IOAS(areas_that_are_there_may_be_outside_of_a_new_list),
        TEST_IOAS(what_is_allowed_does_not_change_the_ranges),
        TEST_ATTACHED(what_is_reserved_cannot_be_allowed_and_the_old_list_stays),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
