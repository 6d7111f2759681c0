/* SPDX-License-Identifier: MIT */
/* How /dev/iommu parses a call: ioctl number, struct size, and bytes past the struct. */
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

/* Zeros except the size; each call accepts that or fails for its own reason. */
static uint32_t *argument(Kernel *kernel, uint32_t size)
{
    uint32_t *bytes = (uint32_t *)kernel->memory;

    memset(bytes, 0, PAGE);
    bytes[0] = size;
    return bytes;
}

/* @size bytes are accessible and the next one is not. */
static void *argument_at_the_end(Kernel *kernel, uint32_t size, uint32_t said)
{
    uint32_t *bytes = (uint32_t *)(kernel->memory + PAGE - size);

    munmap(kernel->memory + PAGE, PAGE);
    memset(bytes, 0, size);
    bytes[0] = said;
    return bytes;
}

static void null_fails_with_efault(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
        assert_int_equal(iommufd_ioctl(*state, calls[i].request, NULL), -EFAULT);
}

static void truncated_struct_fails_with_efault(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        uint32_t size = calls[i].least;

        assert_int_equal(
            iommufd_ioctl(*state, calls[i].request, argument_at_the_end(*state, size - 4, size)),
            -EFAULT);
    }
}

static void short_size_fails_with_einval(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        assert_int_equal(iommufd_ioctl(*state, calls[i].request, argument(*state, 0)), -EINVAL);
        assert_int_equal(
            iommufd_ioctl(*state, calls[i].request, argument(*state, calls[i].least - 1)), -EINVAL);
    }
}

/* The result for zeros, for any call. FAULT_QUEUE_ALLOC gets invalid flags, so that no file is
 * opened. */
static int result_of_zeros(Kernel *kernel, const Call *call, uint32_t size)
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

static void longer_struct_is_accepted_if_the_rest_is_zero(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        int known = result_of_zeros(*state, &calls[i], calls[i].known);

        assert_int_equal(result_of_zeros(*state, &calls[i], calls[i].known + 1), known);
        assert_int_equal(result_of_zeros(*state, &calls[i], (uint32_t)PAGE), known);
    }
}

static void shorter_struct_is_accepted_if_the_rest_is_optional(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
        assert_int_equal(result_of_zeros(*state, &calls[i], calls[i].least),
                         result_of_zeros(*state, &calls[i], calls[i].known));
}

static void longer_struct_with_other_bytes_fails_with_e2big(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        uint32_t size = calls[i].known + 8;
        uint32_t *longer = argument(*state, size);

        ((uint8_t *)longer)[size - 1] = 1;
        assert_int_equal(iommufd_ioctl(*state, calls[i].request, longer), -E2BIG);
    }
}

static void bytes_past_the_size_are_ignored(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        int known = result_of_zeros(*state, &calls[i], calls[i].known);
        uint32_t *same = argument(*state, calls[i].known);

        if (calls[i].request == IOMMU_FAULT_QUEUE_ALLOC)
            same[1] = 1;
        ((uint8_t *)same)[calls[i].known] = 1;
        assert_int_equal(iommufd_ioctl(*state, calls[i].request, same), known);
    }
}

static void longer_struct_that_is_truncated_fails_with_efault(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        uint32_t known = calls[i].known;

        assert_int_equal(
            iommufd_ioctl(*state, calls[i].request, argument_at_the_end(*state, known, known + 8)),
            -EFAULT);
    }
}

static void nonzero_bytes_are_reported_before_the_missing_end(void **state)
{
    uint32_t *longer = argument_at_the_end(*state, 16, 32);

    longer[3] = 1;
    assert_int_equal(iommufd_ioctl(*state, IOMMU_DESTROY, longer), -E2BIG);
}

static void ioctl_of_another_type_fails_with_enotty(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_ioctl(kernel, 0x3c00 | (IOMMU_DESTROY & 0xff), argument(kernel, 8)),
                     -ENOTTY);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOC | 1U << 30, argument(kernel, 12)),
                     -ENOTTY);
}

static void null_is_checked_before_the_ioctl_type(void **state)
{
    assert_int_equal(iommufd_ioctl(*state, 0x3c00 | (IOMMU_DESTROY & 0xff), NULL), -EFAULT);
}

static void unknown_ioctls_fail_with_enotty(void **state)
{
    static const unsigned long unknown[] = {0, 12345, 0x3b00, 0x3b79, 0x3b7f, 0x3ba8, 0x3bff};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
        assert_int_equal(iommufd_ioctl(kernel, unknown[i], NULL), -ENOTTY);
        assert_int_equal(iommufd_ioctl(kernel, unknown[i], argument(kernel, 40)), -ENOTTY);
    }
}

static void map_file_is_not_supported_before_6_13(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_MAP_FILE, argument(kernel, 40)), -ENOTTY);
}

static void read_write_and_mmap_fail(void **state)
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
        TEST_IOMMU(null_fails_with_efault),
        TEST_IOMMU(truncated_struct_fails_with_efault),
        TEST_IOMMU(short_size_fails_with_einval),
        TEST_IOMMU(longer_struct_is_accepted_if_the_rest_is_zero),
        TEST_IOMMU(shorter_struct_is_accepted_if_the_rest_is_optional),
        TEST_IOMMU(longer_struct_with_other_bytes_fails_with_e2big),
        TEST_IOMMU(bytes_past_the_size_are_ignored),
        TEST_IOMMU(longer_struct_that_is_truncated_fails_with_efault),
        TEST_IOMMU(nonzero_bytes_are_reported_before_the_missing_end),
        TEST_IOMMU(ioctl_of_another_type_fails_with_enotty),
        TEST_IOMMU(null_is_checked_before_the_ioctl_type),
        TEST_IOMMU(unknown_ioctls_fail_with_enotty),
        TEST_IOMMU(map_file_is_not_supported_before_6_13),
        TEST_IOMMU(read_write_and_mmap_fail),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
