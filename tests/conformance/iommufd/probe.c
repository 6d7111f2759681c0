/* SPDX-License-Identifier: MIT */
/* The IOAS_MAP that cannot succeed, by which plugmap asks whether anything is mapped in a range:
 * with a host address that is not aligned as the area. */
#include "util/iommufd_util.h"

#define IOVA UINT64_C(0x40000000)

static int probe(Kernel *kernel, uint64_t iova, uint64_t length)
{
    return iommufd_map_flags(kernel, IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE, &iova, 1,
                             length);
}

/* Nothing has changed by asking. */
static void assert_answer(Kernel *kernel, uint64_t iova, uint64_t length, int error_number)
{
    uint64_t pinned = iommufd_pinned(kernel);

    assert_int_equal(probe(kernel, iova, length), -error_number);
    assert_int_equal(iommufd_pinned(kernel), pinned);
}

static void nothing_mapped_is_einval_and_leaves_nothing(void **state)
{
    static const uint64_t lengths[] = {PAGE, 2 * PAGE, 0x200000, 0x40000000, 0x1000000000};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        assert_answer(kernel, 0x100000000, lengths[i], EINVAL);
        assert_int_equal(iommufd_unmap_all(kernel), 0);
        assert_int_equal(iommufd_map(kernel, 0x100000000, kernel->memory, PAGE), 0);
        assert_true(iommufd_had(kernel, 0x100000000, PAGE));
    }
}

static void area_is_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_answer(kernel, IOVA, 4 * PAGE, EEXIST);
    assert_true(iommufd_had(kernel, IOVA, 4 * PAGE));
}

static void part_of_an_area_is_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_answer(kernel, IOVA, PAGE, EEXIST);
    assert_answer(kernel, IOVA + PAGE, 2 * PAGE, EEXIST);
    assert_answer(kernel, IOVA + 3 * PAGE, PAGE, EEXIST);
    assert_answer(kernel, IOVA - PAGE, 2 * PAGE, EEXIST);
    assert_answer(kernel, IOVA + 3 * PAGE, 2 * PAGE, EEXIST);
    assert_true(iommufd_had(kernel, IOVA, 4 * PAGE));
}

static void area_in_the_middle_is_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA + 0x100000, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA, 0x200000, EEXIST);
    assert_answer(kernel, IOVA, 0x100000 + PAGE, EEXIST);
    assert_answer(kernel, IOVA + 0x100000, 0x100000, EEXIST);
}

static void one_area_of_many_is_eexist(void **state)
{
    Kernel *kernel = *state;

    for (uint64_t i = 0; i < 64; i++)
        assert_int_equal(iommufd_map(kernel, IOVA + 2 * i * PAGE, kernel->memory, PAGE), 0);
    for (uint64_t i = 0; i < 64; i++) {
        assert_answer(kernel, IOVA, 128 * PAGE, EEXIST);
        assert_int_equal(iommufd_unmap(kernel, IOVA + 2 * i * PAGE, PAGE, NULL), 0);
    }
    assert_answer(kernel, IOVA, 128 * PAGE, EINVAL);
}

static void neighbours_are_not_asked_for(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA - PAGE, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, IOVA + 4 * PAGE, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA, 4 * PAGE, EINVAL);
    assert_int_equal(iommufd_unmap_all(kernel), 2 * PAGE);
}

static void answer_changes_with_what_is_unmapped(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA, PAGE, EEXIST);
    assert_int_equal(iommufd_unmap(kernel, IOVA, PAGE, NULL), 0);
    assert_answer(kernel, IOVA, PAGE, EINVAL);
}

/* What is told of as kept for a region is no area. */
static void addresses_that_are_kept_are_einval(void **state)
{
    Kernel *kernel = *state;
    struct iommu_iova_range range = {.start = IOVA, .last = IOVA + 4 * PAGE - 1};
    struct iommu_ioas_allow_iovas allow = {
        .size = sizeof(allow),
        .ioas_id = kernel->ioas,
        .num_iovas = 1,
        .allowed_iovas = (uintptr_t)&range,
    };

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOW_IOVAS, &allow), 0);
    assert_answer(kernel, IOVA, 4 * PAGE, EINVAL);
    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA, 4 * PAGE, EEXIST);
}

/* Areas have to be aligned for devices alone. Somebody has to take it back. */
static void without_a_device_nothing_mapped_is_no_error(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(probe(kernel, IOVA, 4 * PAGE), 0);
    assert_answer(kernel, IOVA, 4 * PAGE, EEXIST);
    assert_int_equal(iommufd_unmap(kernel, IOVA, 4 * PAGE, NULL), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ATTACHED(nothing_mapped_is_einval_and_leaves_nothing),
        TEST_ATTACHED(area_is_eexist),
        TEST_ATTACHED(part_of_an_area_is_eexist),
        TEST_ATTACHED(area_in_the_middle_is_eexist),
        TEST_ATTACHED(one_area_of_many_is_eexist),
        TEST_ATTACHED(neighbours_are_not_asked_for),
        TEST_ATTACHED(answer_changes_with_what_is_unmapped),
        TEST_ATTACHED(addresses_that_are_kept_are_einval),
        TEST_IOAS(without_a_device_nothing_mapped_is_no_error),
        TEST_IOAS(part_of_an_area_is_eexist),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
