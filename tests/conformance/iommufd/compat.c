/* SPDX-License-Identifier: MIT */
/* The type1 interface of /dev/iommu (VFIO compat), where it differs from type1 and where not. */
#include "util/device_util.h"
#include "util/iommufd_util.h"

#define A UINT64_C(0x10000)
#define B UINT64_C(0x20000)

static int check(Kernel *kernel, unsigned long extension)
{
    return kernel_ioctl_number(kernel, kernel->container, VFIO_CHECK_EXTENSION, extension);
}

static int set_iommu(Kernel *kernel, unsigned long type)
{
    return kernel_set_iommu(kernel, kernel->container, type);
}

static uint64_t huge_pages(Kernel *kernel)
{
    uint64_t value = 77;

    assert_int_equal(
        iommufd_option(kernel, IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_GET, 1, &value), 0);
    return value;
}

/* --- before MAP --- */

static void without_a_group_there_is_no_device(void **state)
{
    Kernel *kernel = *state;
    struct vfio_iommu_type1_info info = {.argsz = sizeof(info)};

    kernel->container = kernel->iommu;
    assert_int_equal(set_iommu(kernel, VFIO_TYPE1v2_IOMMU), -ENODEV);
    assert_int_equal(kernel_map(kernel, A, kernel->memory, PAGE), -ENODEV);
    assert_int_equal(kernel_unmap(kernel, A, PAGE, NULL), -ENODEV);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_GET_INFO, &info), -ENODEV);
    assert_int_equal(check(kernel, VFIO_DMA_CC_IOMMU), -ENODEV);
}

static void bad_structs_are_checked_before_the_missing_device(void **state)
{
    Kernel *kernel = *state;

    kernel->container = kernel->iommu;
    assert_int_equal(kernel_map_flags(kernel, 8, A, kernel->memory, PAGE), -EINVAL);
    assert_int_equal(kernel_unmap_flags(kernel, 8, A, PAGE, NULL), -EINVAL);
    assert_int_equal(kernel_ioctl(kernel, kernel->iommu, VFIO_IOMMU_MAP_DMA, NULL), -EFAULT);
    assert_int_equal(kernel_ioctl(kernel, kernel->iommu, VFIO_IOMMU_UNMAP_DMA, NULL), -EFAULT);
    assert_int_equal(kernel_ioctl(kernel, kernel->iommu, VFIO_IOMMU_GET_INFO, NULL), -EFAULT);
}

static void the_version_is_0(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_ioctl(kernel, kernel->iommu, VFIO_GET_API_VERSION, NULL), 0);
}

static void it_has_fewer_extensions_than_type1(void **state)
{
    static const unsigned long has[] = {VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_UNMAP_ALL};
    static const unsigned long has_not[] = {0, 2, 5, 6, 7, 8, VFIO_UPDATE_VADDR, 11, 4711};
    Kernel *kernel = *state;

    kernel->container = kernel->iommu;
    for (size_t i = 0; i < G_N_ELEMENTS(has); i++)
        assert_int_equal(check(kernel, has[i]), 1);
    for (size_t i = 0; i < G_N_ELEMENTS(has_not); i++)
        assert_int_equal(check(kernel, has_not[i]), 0);
}

static void dma_is_not_cache_coherent_on_this_hardware(void **state)
{
    assert_int_equal(check(*state, VFIO_DMA_CC_IOMMU), 0);
}

static void set_iommu_can_be_repeated_with_another_type(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_iommu(kernel, VFIO_TYPE1v2_IOMMU), 0);
    assert_int_equal(set_iommu(kernel, VFIO_TYPE1v2_IOMMU), 0);
    assert_int_equal(set_iommu(kernel, VFIO_TYPE1_IOMMU), 0);
    assert_int_equal(set_iommu(kernel, VFIO_TYPE1v2_IOMMU), 0);
}

static void only_the_type1_types_are_supported(void **state)
{
    static const unsigned long others[] = {0, 2, 4, 5, 6, 7, 8, 9, 10, 4711};

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        assert_int_equal(set_iommu(*state, others[i]), -EINVAL);
}

static void version_1_disables_large_pages_for_good(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_iommu(kernel, VFIO_TYPE1v2_IOMMU), 0);
    assert_int_equal(huge_pages(kernel), 1);
    assert_int_equal(set_iommu(kernel, VFIO_TYPE1_IOMMU), 0);
    assert_int_equal(huge_pages(kernel), 0);
    assert_int_equal(set_iommu(kernel, VFIO_TYPE1v2_IOMMU), 0);
    assert_int_equal(huge_pages(kernel), 0);
}

static void version_1_fails_once_there_are_a_device_and_areas(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, A, kernel->memory, PAGE), 0);
    assert_int_equal(set_iommu(kernel, VFIO_TYPE1_IOMMU), -EINVAL);
    assert_int_equal(huge_pages(kernel), 1);
}

/* --- MAP --- */

static void map_works_before_set_iommu(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, A, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_map(kernel, A, kernel->memory, PAGE), -EEXIST);
}

static void mapping_without_permissions_fails_only_with_a_device(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map_flags(kernel, 0, A, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_get_device(kernel, kernel->group, DEVICE), -EINVAL);
    assert_int_equal(kernel_unmap(kernel, A, PAGE, NULL), 0);
    assert_true(kernel_get_device(kernel, kernel->group, DEVICE) >= 0);
    assert_int_equal(kernel_map_flags(kernel, 0, A, kernel->memory, PAGE), -EINVAL);
    assert_int_equal(iommufd_pinned(kernel), 0);
}

static void unknown_flags_and_new_vaddr_fail_with_einval(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map_flags(kernel, 8, A, kernel->memory, PAGE), -EINVAL);
    assert_int_equal(kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_VADDR, A, kernel->memory, PAGE),
                     -EINVAL);
}

static void wrapping_ranges_fail_with_eoverflow(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, -PAGE, kernel->memory, 2 * PAGE), -EOVERFLOW);
    assert_int_equal(kernel_map(kernel, A, (void *)(uintptr_t)-PAGE, 2 * PAGE), -EOVERFLOW);
    assert_int_equal(kernel_map(kernel, A, (void *)(uintptr_t)-PAGE, PAGE), -EOVERFLOW);
}

static void memory_is_checked_when_a_device_is_opened(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, A, NULL, PAGE), 0);
    assert_int_equal(kernel_get_device(kernel, kernel->group, DEVICE), -EFAULT);
    assert_int_equal(kernel_unmap(kernel, A, PAGE, NULL), 0);
    assert_true(kernel_get_device(kernel, kernel->group, DEVICE) >= 0);
    assert_int_equal(kernel_map(kernel, A, NULL, PAGE), -EFAULT);
}

static void a_device_that_fails_to_open_leaves_no_object(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, A, NULL, PAGE), 0);
    assert_int_equal(kernel_get_device(kernel, kernel->group, DEVICE), -EFAULT);
    assert_int_equal(iommufd_new_ioas(kernel), 2);
}

static void page_alignment_is_checked_when_a_device_is_opened(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, A + 1, kernel->memory, 100), 0);
    assert_int_equal(kernel_get_device(kernel, kernel->group, DEVICE), -EADDRINUSE);
    assert_int_equal(kernel_unmap(kernel, A + 1, 100, NULL), 0);
    assert_true(kernel_get_device(kernel, kernel->group, DEVICE) >= 0);
    assert_int_equal(kernel_map(kernel, A, kernel->memory, 100), -EINVAL);
    assert_int_equal(kernel_map(kernel, WINDOW, kernel->memory, PAGE), -EINVAL);
}

/* The middle one of three areas that were copied together. */
static void an_unaligned_area_fails_only_with_a_device(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_iommu(kernel, VFIO_TYPE1_IOMMU), 0);
    kernel->ioas = iommufd_new_ioas(kernel);
    assert_int_equal(iommufd_map(kernel, A, kernel->memory, 100), 0);
    assert_int_equal(iommufd_map(kernel, A + 100, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, A + PAGE + 100, kernel->memory, PAGE - 100), 0);
    assert_int_equal(iommufd_copy(kernel, 1, A, A, 2 * PAGE), 0);
    kernel->ioas = 1;
    assert_int_equal(iommufd_unmap(kernel, A, 100, NULL), 0);
    assert_int_equal(iommufd_unmap(kernel, A + PAGE + 100, PAGE - 100, NULL), 0);
    assert_int_equal(kernel_get_device(kernel, kernel->group, DEVICE), -EINVAL);
}

static void memory_is_charged_by_iommufd_rules(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, A, kernel->memory, 2 * PAGE), 0);
    kernel_set_memlock(kernel, 4 * PAGE, false);
    assert_int_equal(kernel_map(kernel, B, kernel->memory, 5 * PAGE), -ENOMEM);
    assert_int_equal(kernel_map(kernel, B, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(iommufd_pinned(kernel), 6 * PAGE);
    assert_int_equal(kernel_locked(kernel), 0);
}

static void mappings_are_unlimited(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    kernel_set_entry_limit(kernel, 2);
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(kernel_map(kernel, A + i * PAGE, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_unmap_flags(kernel, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, &n_bytes), 0);
    assert_int_equal(n_bytes, 4 * PAGE);
}

static void a_device_reaches_what_is_mapped(void **state)
{
    Kernel *kernel = *state;
    uint8_t byte;

    device_enable_dma(kernel, kernel->device);
    memset(kernel->memory, 0x5a, PAGE);
    assert_int_equal(kernel_map(kernel, A, kernel->memory, PAGE), 0);
    device_peek(kernel, kernel->device, A, &byte, 1);
    assert_int_equal(byte, 0x5a);
    assert_int_equal(kernel_unmap(kernel, A, PAGE, NULL), 0);
    device_peek(kernel, kernel->device, A, &byte, 1);
    assert_int_equal(byte, 0);
}

static void there_are_no_dirty_pages(void **state)
{
    Kernel *kernel = *state;
    struct vfio_iommu_type1_dirty_bitmap dirty = {.argsz = sizeof(dirty), .flags = 1};

    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_DIRTY_PAGES, &dirty),
                     -ENOTTY);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_ENABLE, NULL), -ENOTTY);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_DISABLE, NULL), -ENOTTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IOMMU(without_a_group_there_is_no_device),
        TEST_IOMMU(bad_structs_are_checked_before_the_missing_device),
        TEST_IOMMU(the_version_is_0),
        TEST_IOMMU(it_has_fewer_extensions_than_type1),
        TEST_COMPAT_DEVICE(dma_is_not_cache_coherent_on_this_hardware),
        TEST_COMPAT(set_iommu_can_be_repeated_with_another_type),
        TEST_COMPAT(only_the_type1_types_are_supported),
        TEST_COMPAT(version_1_disables_large_pages_for_good),
        TEST_COMPAT_DEVICE(version_1_fails_once_there_are_a_device_and_areas),
        TEST_COMPAT(map_works_before_set_iommu),
        TEST_COMPAT(mapping_without_permissions_fails_only_with_a_device),
        TEST_COMPAT(unknown_flags_and_new_vaddr_fail_with_einval),
        TEST_COMPAT(wrapping_ranges_fail_with_eoverflow),
        TEST_COMPAT(memory_is_checked_when_a_device_is_opened),
        TEST_COMPAT(a_device_that_fails_to_open_leaves_no_object),
        TEST_COMPAT(page_alignment_is_checked_when_a_device_is_opened),
        TEST_COMPAT(an_unaligned_area_fails_only_with_a_device),
        TEST_COMPAT_DEVICE(memory_is_charged_by_iommufd_rules),
        TEST_COMPAT_DEVICE(mappings_are_unlimited),
        TEST_COMPAT_DEVICE(a_device_reaches_what_is_mapped),
        TEST_COMPAT_DEVICE(there_are_no_dirty_pages),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
