/* SPDX-License-Identifier: MIT */
/* Mapping mmapped device registers for DMA: type1 supports it, iommufd does not. */
#include "util/device_util.h"
#include "util/iommufd_util.h"

#define IOVA UINT64_C(0x40000000)

static void mapping_registers_fails(void **state)
{
    Kernel *kernel = *state;
    void *registers;

    assert_int_equal(kernel_mmap(kernel, kernel->device, PAGE, BAR0, &registers), 0);
    assert_int_equal(iommufd_map(kernel, IOVA, registers, PAGE), -EFAULT);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_int_equal(iommufd_unmap_all(kernel), 0);
}

static void mapping_registers_through_vfio_compat_fails(void **state)
{
    Kernel *kernel = *state;
    void *registers;

    assert_int_equal(kernel_mmap(kernel, kernel->device, PAGE, BAR0, &registers), 0);
    assert_int_equal(kernel_map(kernel, IOVA, registers, PAGE), -EFAULT);
}

/* As if the device were still open. */
static void mmapped_registers_keep_the_device_and_its_pins(void **state)
{
    Kernel *kernel = *state;
    void *registers;

    assert_int_equal(kernel_mmap(kernel, kernel->device, PAGE, BAR0, &registers), 0);
    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->device_id), -EBUSY);
    assert_int_equal(iommufd_pinned(kernel), PAGE);
    assert_int_equal(kernel_munmap(kernel, registers), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->device_id), -ENOENT);
    assert_int_equal(iommufd_pinned(kernel), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ATTACHED(mapping_registers_fails),
        TEST_COMPAT_DEVICE(mapping_registers_through_vfio_compat_fails),
        TEST_ATTACHED(mmapped_registers_keep_the_device_and_its_pins),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
