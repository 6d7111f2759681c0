/* SPDX-License-Identifier: MIT */
/* How plugmap probes whether anything is mapped in a range: an IOAS_MAP that always fails, because
 * its host address is less aligned than the area. */
#include "util/iommufd_util.h"

#define IOVA UINT64_C(0x40000000)

static int probe(Kernel *kernel, uint64_t iova, uint64_t length)
{
    return iommufd_map_flags(kernel, IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE, &iova, 1,
                             length);
}

/* The probe changes nothing. */
static void assert_answer(Kernel *kernel, uint64_t iova, uint64_t length, int error_number)
{
    uint64_t pinned = iommufd_pinned(kernel);

    assert_int_equal(probe(kernel, iova, length), -error_number);
    assert_int_equal(iommufd_pinned(kernel), pinned);
}

static void probe_of_unmapped_iovas_fails_with_einval_and_maps_nothing(void **state)
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

static void probe_of_an_area_fails_with_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_answer(kernel, IOVA, 4 * PAGE, EEXIST);
    assert_true(iommufd_had(kernel, IOVA, 4 * PAGE));
}

static void probe_of_part_of_an_area_fails_with_eexist(void **state)
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

static void probe_around_an_area_fails_with_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA + 0x100000, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA, 0x200000, EEXIST);
    assert_answer(kernel, IOVA, 0x100000 + PAGE, EEXIST);
    assert_answer(kernel, IOVA + 0x100000, 0x100000, EEXIST);
}

static void probe_over_many_areas_fails_with_eexist(void **state)
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

static void probe_ignores_neighbours(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA - PAGE, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, IOVA + 4 * PAGE, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA, 4 * PAGE, EINVAL);
    assert_int_equal(iommufd_unmap_all(kernel), 2 * PAGE);
}

static void probe_changes_after_unmap(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA, PAGE, EEXIST);
    assert_int_equal(iommufd_unmap(kernel, IOVA, PAGE, NULL), 0);
    assert_answer(kernel, IOVA, PAGE, EINVAL);
}

/* An allowed range is not an area. */
static void probe_of_reserved_iovas_fails_with_einval(void **state)
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

/* Only devices require alignment, so this MAP succeeds and the caller has to unmap it. */
static void probe_without_a_device_maps(void **state)
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
        TEST_ATTACHED(probe_of_unmapped_iovas_fails_with_einval_and_maps_nothing),
        TEST_ATTACHED(probe_of_an_area_fails_with_eexist),
        TEST_ATTACHED(probe_of_part_of_an_area_fails_with_eexist),
        TEST_ATTACHED(probe_around_an_area_fails_with_eexist),
        TEST_ATTACHED(probe_over_many_areas_fails_with_eexist),
        TEST_ATTACHED(probe_ignores_neighbours),
        TEST_ATTACHED(probe_changes_after_unmap),
        TEST_ATTACHED(probe_of_reserved_iovas_fails_with_einval),
        TEST_IOAS(probe_without_a_device_maps),
        TEST_IOAS(probe_of_part_of_an_area_fails_with_eexist),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
