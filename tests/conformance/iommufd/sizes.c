/* SPDX-License-Identifier: MIT */
/* How /dev/iommu takes a call: which number it is, how long its struct is, and what is behind it.
 */
#include "util/iommufd_util.h"

typedef struct {
    unsigned long request;
    uint32_t least;
    uint32_t known;
} Call;

static const Call calls[] = {
    {IOMMU_DESTROY, 8, 8},
    {IOMMU_IOAS_ALLOC, 12, 12},
    {IOMMU_IOAS_ALLOW_IOVAS, 24, 24},
    {IOMMU_IOAS_COPY, 40, 40},
    {IOMMU_IOAS_IOVA_RANGES, 32, 32},
    {IOMMU_IOAS_MAP, 40, 40},
    {IOMMU_IOAS_UNMAP, 24, 24},
    {IOMMU_OPTION, 24, 24},
    {IOMMU_VFIO_IOAS, 12, 12},
    {IOMMU_HWPT_ALLOC, 24, 48},
    {IOMMU_GET_HW_INFO, 32, 40},
    {IOMMU_HWPT_SET_DIRTY_TRACKING, 16, 16},
    {IOMMU_HWPT_GET_DIRTY_BITMAP, 48, 48},
    {IOMMU_HWPT_INVALIDATE, 32, 32},
    {IOMMU_FAULT_QUEUE_ALLOC, 16, 16},
};

/* Zeros but for the size; every call refuses that for a reason of its own, or takes it. */
static uint32_t *argument(Kernel *kernel, uint32_t size)
{
    uint32_t *bytes = (uint32_t *)kernel->memory;

    memset(bytes, 0, PAGE);
    bytes[0] = size;
    return bytes;
}

/* @size bytes are in reach and the next one is not. */
static void *argument_at_the_end(Kernel *kernel, uint32_t size, uint32_t said)
{
    uint32_t *bytes = (uint32_t *)(kernel->memory + PAGE - size);

    munmap(kernel->memory + PAGE, PAGE);
    memset(bytes, 0, size);
    bytes[0] = said;
    return bytes;
}

static void null_is_efault(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
        assert_int_equal(iommufd_ioctl(*state, calls[i].request, NULL), -EFAULT);
}

static void a_struct_that_ends_too_early_is_efault(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        uint32_t size = calls[i].least;

        assert_int_equal(
            iommufd_ioctl(*state, calls[i].request, argument_at_the_end(*state, size - 4, size)),
            -EFAULT);
    }
}

static void a_struct_that_says_it_is_too_short_is_einval(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        assert_int_equal(iommufd_ioctl(*state, calls[i].request, argument(*state, 0)), -EINVAL);
        assert_int_equal(
            iommufd_ioctl(*state, calls[i].request, argument(*state, calls[i].least - 1)), -EINVAL);
    }
}

/* What a call says of zeros, whichever it is; it opens no file, for FAULT_QUEUE_ALLOC gets flags.
 */
static int say_of_zeros(Kernel *kernel, const Call *call, uint32_t size)
{
    uint32_t *zeros = argument(kernel, size);
    int result;

    if (call->request == IOMMU_FAULT_QUEUE_ALLOC)
        zeros[1] = 1;
    result = iommufd_ioctl(kernel, call->request, zeros);
    if (call->request == IOMMU_IOAS_ALLOC)
        assert_int_equal(iommufd_destroy(kernel, zeros[2]), 0);
    return result;
}

static void a_longer_struct_is_as_good_if_the_rest_is_zeros(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        int known = say_of_zeros(*state, &calls[i], calls[i].known);

        assert_int_equal(say_of_zeros(*state, &calls[i], calls[i].known + 1), known);
        assert_int_equal(say_of_zeros(*state, &calls[i], (uint32_t)PAGE), known);
    }
}

static void a_shorter_struct_is_as_good_if_the_rest_is_optional(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
        assert_int_equal(say_of_zeros(*state, &calls[i], calls[i].least),
                         say_of_zeros(*state, &calls[i], calls[i].known));
}

static void a_longer_struct_with_something_in_it_is_e2big(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        uint32_t size = calls[i].known + 8;
        uint32_t *longer = argument(*state, size);

        ((uint8_t *)longer)[size - 1] = 1;
        assert_int_equal(iommufd_ioctl(*state, calls[i].request, longer), -E2BIG);
    }
}

static void what_is_behind_the_size_does_not_matter(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        int known = say_of_zeros(*state, &calls[i], calls[i].known);
        uint32_t *same = argument(*state, calls[i].known);

        if (calls[i].request == IOMMU_FAULT_QUEUE_ALLOC)
            same[1] = 1;
        ((uint8_t *)same)[calls[i].known] = 1;
        assert_int_equal(iommufd_ioctl(*state, calls[i].request, same), known);
    }
}

static void a_longer_struct_that_cannot_be_read_to_its_end_is_efault(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        uint32_t known = calls[i].known;

        assert_int_equal(
            iommufd_ioctl(*state, calls[i].request, argument_at_the_end(*state, known, known + 8)),
            -EFAULT);
    }
}

static void something_in_the_rest_comes_before_its_missing_end(void **state)
{
    uint32_t *longer = argument_at_the_end(*state, 16, 32);

    longer[3] = 1;
    assert_int_equal(iommufd_ioctl(*state, IOMMU_DESTROY, longer), -E2BIG);
}

static void the_number_of_a_call_with_another_type_is_enotty(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_ioctl(kernel, 0x3c00 | (IOMMU_DESTROY & 0xff), argument(kernel, 8)),
                     -ENOTTY);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOC | 1U << 30, argument(kernel, 12)),
                     -ENOTTY);
}

static void but_efault_comes_first(void **state)
{
    assert_int_equal(iommufd_ioctl(*state, 0x3c00 | (IOMMU_DESTROY & 0xff), NULL), -EFAULT);
}

static void unknown_numbers_are_enotty(void **state)
{
    static const unsigned long unknown[] = {0, 12345, 0x3b00, 0x3b79, 0x3b7f, 0x3ba8, 0x3bff};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
        assert_int_equal(iommufd_ioctl(kernel, unknown[i], NULL), -ENOTTY);
        assert_int_equal(iommufd_ioctl(kernel, unknown[i], argument(kernel, 40)), -ENOTTY);
    }
}

static void a_file_cannot_be_mapped_before_6_13(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_MAP_FILE, argument(kernel, 40)), -ENOTTY);
}

static void nothing_can_be_read_written_or_mapped(void **state)
{
    Kernel *kernel = *state;
    const PmKernelOps *ops = kernel->pm->ops;
    uint64_t value = 0;
    void *address;

    assert_int_equal(ops->pread(kernel->pm, kernel->iommu, &value, sizeof(value), 0), -EINVAL);
    assert_int_equal(ops->pwrite(kernel->pm, kernel->iommu, &value, sizeof(value), 0), -EINVAL);
    assert_int_equal(kernel_mmap(kernel, kernel->iommu, PAGE, 0, &address), -ENODEV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IOMMU(null_is_efault),
        TEST_IOMMU(a_struct_that_ends_too_early_is_efault),
        TEST_IOMMU(a_struct_that_says_it_is_too_short_is_einval),
        TEST_IOMMU(a_longer_struct_is_as_good_if_the_rest_is_zeros),
        TEST_IOMMU(a_shorter_struct_is_as_good_if_the_rest_is_optional),
        TEST_IOMMU(a_longer_struct_with_something_in_it_is_e2big),
        TEST_IOMMU(what_is_behind_the_size_does_not_matter),
        TEST_IOMMU(a_longer_struct_that_cannot_be_read_to_its_end_is_efault),
        TEST_IOMMU(something_in_the_rest_comes_before_its_missing_end),
        TEST_IOMMU(the_number_of_a_call_with_another_type_is_enotty),
        TEST_IOMMU(but_efault_comes_first),
        TEST_IOMMU(unknown_numbers_are_enotty),
        TEST_IOMMU(a_file_cannot_be_mapped_before_6_13),
        TEST_IOMMU(nothing_can_be_read_written_or_mapped),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
