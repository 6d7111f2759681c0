/* SPDX-License-Identifier: MIT */
/* Dirty tracking of the fake's iommufd, which no real kernel of the tests supports. */

#include "util/device_util.h"
#include "util/iommufd_util.h"

#define SIZE (128 * PAGE)

static uint32_t alloc_hwpt(Kernel *kernel, uint32_t flags, int expected)
{
    struct iommu_hwpt_alloc alloc = {
        .size = sizeof(alloc),
        .flags = flags,
        .dev_id = kernel->device_id,
        .pt_id = kernel->ioas,
    };

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_HWPT_ALLOC, &alloc), expected);
    return alloc.out_hwpt_id;
}

static int set_tracking(Kernel *kernel, uint32_t hwpt, bool on)
{
    struct iommu_hwpt_set_dirty_tracking set = {
        .size = sizeof(set),
        .flags = on ? IOMMU_HWPT_DIRTY_TRACKING_ENABLE : 0,
        .hwpt_id = hwpt,
    };

    return iommufd_ioctl(kernel, IOMMU_HWPT_SET_DIRTY_TRACKING, &set);
}

static int get_bitmap(Kernel *kernel, uint32_t hwpt, uint32_t flags, uint64_t iova, uint64_t length,
                      uint64_t page_size, const uint64_t *bitmap)
{
    struct iommu_hwpt_get_dirty_bitmap get = {
        .size = sizeof(get),
        .hwpt_id = hwpt,
        .flags = flags,
        .iova = iova,
        .length = length,
        .page_size = page_size,
        .data = (uintptr_t)bitmap,
    };

    return iommufd_ioctl(kernel, IOMMU_HWPT_GET_DIRTY_BITMAP, &get);
}

/* Attached to a page table with dirty tracking on, with the memory mapped at 0 in areas of one
 * page;
 * @hwpt: its id. */
static Kernel *tracking(uint32_t *hwpt)
{
    PmFakeConfig config = iommufd_fake_config();
    Kernel *kernel;
    uint32_t pt_id;

    config.dirty_tracking = true;
    kernel = iommufd_new_fake(&config);
    *hwpt = alloc_hwpt(kernel, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, 0);
    pt_id = *hwpt;
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), 0);
    for (uint64_t at = 0; at < SIZE; at += PAGE)
        assert_int_equal(iommufd_map(kernel, at, kernel->memory + at, PAGE), 0);
    assert_int_equal(set_tracking(kernel, *hwpt, true), 0);
    return kernel;
}

static void dirty_tracking_is_not_supported_unless_configured(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    uint32_t hwpt;

    (void)state;
    (void)alloc_hwpt(kernel, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, -EOPNOTSUPP);
    hwpt = alloc_hwpt(kernel, 0, 0);
    assert_int_equal(set_tracking(kernel, hwpt, true), -EOPNOTSUPP);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, PAGE, PAGE, NULL), -EOPNOTSUPP);
}

static void get_hw_info_reports_dirty_tracking(void **state)
{
    uint32_t hwpt;
    g_autoptr(Kernel) with = tracking(&hwpt);
    g_autoptr(Kernel) without = iommufd_new_fake(NULL);
    struct iommu_hw_info info = {.size = sizeof(info), .dev_id = with->device_id};

    (void)state;
    assert_int_equal(iommufd_ioctl(with, IOMMU_GET_HW_INFO, &info), 0);
    assert_int_equal(info.out_capabilities, IOMMU_HW_CAP_DIRTY_TRACKING);
    assert_int_equal(info.out_data_type, IOMMU_HW_INFO_TYPE_INTEL_VTD);
    info.data_len = 0;
    assert_int_equal(iommufd_ioctl(without, IOMMU_GET_HW_INFO, &info), 0);
    assert_int_equal(info.out_capabilities, 0);
}

static void written_pages_are_reported_once(void **state)
{
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint64_t bitmap[2] = {0, 0};

    (void)state;
    device_poke_word(kernel, 3 * PAGE, 1);
    device_poke_word(kernel, 64 * PAGE + 8, 1);
    (void)device_peek_word(kernel, 5 * PAGE);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, SIZE, PAGE, bitmap), 0);
    assert_int_equal(bitmap[0], 1 << 3);
    assert_int_equal(bitmap[1], 1);
    memset(bitmap, 0, sizeof(bitmap));
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, SIZE, PAGE, bitmap), 0);
    assert_int_equal(bitmap[0] | bitmap[1], 0);
}

static void no_clear_keeps_pages_dirty(void **state)
{
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint64_t bitmap = 0;

    (void)state;
    device_poke_word(kernel, PAGE, 1);
    assert_int_equal(
        get_bitmap(kernel, hwpt, IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR, 0, 64 * PAGE, PAGE, &bitmap),
        0);
    assert_int_equal(bitmap, 2);
    bitmap = 0;
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, 64 * PAGE, PAGE, &bitmap), 0);
    assert_int_equal(bitmap, 2);
}

static void get_dirty_bitmap_keeps_bits_already_set(void **state)
{
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint64_t bitmap = 0x100;

    (void)state;
    device_poke_word(kernel, 2 * PAGE, 1);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, PAGE, 32 * PAGE, PAGE, &bitmap), 0);
    assert_int_equal(bitmap, 0x102);
}

static void nothing_is_dirty_before_tracking_starts(void **state)
{
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint64_t bitmap = 0;

    (void)state;
    device_poke_word(kernel, 0, 1);
    device_poke_word(kernel, SIZE - PAGE, 1);
    assert_int_equal(set_tracking(kernel, hwpt, false), 0);
    device_poke_word(kernel, PAGE, 1);
    assert_int_equal(set_tracking(kernel, hwpt, true), 0);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, 64 * PAGE, PAGE, &bitmap), 0);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 64 * PAGE, 64 * PAGE, PAGE, &bitmap), 0);
    assert_int_equal(bitmap, 0);
}

/* Intel's and AMD's drivers fail then, but iommufd ignores the error. */
static void nothing_is_reported_after_tracking_stops(void **state)
{
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint64_t bitmap = 0;

    (void)state;
    device_poke_word(kernel, 0, 1);
    assert_int_equal(set_tracking(kernel, hwpt, false), 0);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, 64 * PAGE, PAGE, &bitmap), 0);
    assert_int_equal(bitmap, 0);
}

static void restarting_tracking_clears_dirty_bits(void **state)
{
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint64_t bitmap = 0;

    (void)state;
    device_poke_word(kernel, 0, 1);
    assert_int_equal(set_tracking(kernel, hwpt, true), 0);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, 64 * PAGE, PAGE, &bitmap), 0);
    assert_int_equal(bitmap, 0);
}

static void a_bit_can_stand_for_more_than_a_page(void **state)
{
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint64_t bitmap = 0;

    (void)state;
    device_poke_word(kernel, 5 * PAGE, 1);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, 64 * PAGE, 4 * PAGE, &bitmap), 0);
    assert_int_equal(bitmap, 2);
}

static void a_large_page_is_dirty_as_a_whole(void **state)
{
    const uint64_t large = UINT64_C(2) << 20;
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint64_t bitmap[8] = {0};
    char *memory = mmap(NULL, large, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_int_equal(iommufd_map(kernel, large, memory, large), 0);
    device_poke_word(kernel, large + 9 * PAGE, 1);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, large, large, PAGE, bitmap), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(bitmap); i++)
        assert_int_equal(bitmap[i], UINT64_MAX);
    munmap(memory, large);
}

/* A dirty page of 2 MiB or 1 GiB, mapped as one; the memory is not touched. */
static char *map_dirty_page(Kernel *kernel, uint64_t size)
{
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(iommufd_map(kernel, size, memory, size), 0);
    device_poke_word(kernel, size + size / 2, 1);
    return memory;
}

/* The other half has become clean as well. */
static void a_part_of_a_large_page_sets_bits_past_the_end(void **state)
{
    const uint64_t large = UINT64_C(2) << 20;
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint64_t bitmap[9] = {0};
    char *memory = map_dirty_page(kernel, large);

    (void)state;
    assert_int_equal(get_bitmap(kernel, hwpt, 0, large, 64 * PAGE, PAGE, bitmap), 0);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(bitmap[i], UINT64_MAX);
    assert_int_equal(bitmap[8], 0);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, large + large / 2, large / 2, PAGE, &bitmap[8]),
                     0);
    assert_int_equal(bitmap[8], 0);
    munmap(memory, large);
}

/* The report begins in the middle of the page, but has as many bits as for the whole page. */
static void the_end_of_a_large_page_sets_bits_past_it(void **state)
{
    const uint64_t large = UINT64_C(2) << 20;
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint64_t bitmap[9] = {0};
    char *memory = map_dirty_page(kernel, large);

    (void)state;
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 2 * large - 64 * PAGE, 64 * PAGE, PAGE, bitmap),
                     0);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(bitmap[i], UINT64_MAX);
    assert_int_equal(bitmap[8], 0);
    munmap(memory, large);
}

/* The pages that contain the bitmap, and the next one unless the bitmap is page aligned. */
static void bits_past_the_end_stay_in_the_pinned_pages(void **state)
{
    const uint64_t huge = UINT64_C(1) << 30;
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint8_t *bitmap =
        mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *memory = map_dirty_page(kernel, huge);

    (void)state;
    assert_int_equal(get_bitmap(kernel, hwpt, 0, huge, 64 * PAGE, PAGE, (uint64_t *)(void *)bitmap),
                     0);
    assert_int_equal(bitmap[PAGE - 1], 0xff);
    assert_int_equal(bitmap[PAGE], 0);
    device_poke_word(kernel, huge, 1);
    assert_int_equal(
        get_bitmap(kernel, hwpt, 0, huge, 64 * PAGE, PAGE, (uint64_t *)(void *)(bitmap + 8)), 0);
    assert_int_equal(bitmap[2 * PAGE - 1], 0xff);
    assert_int_equal(bitmap[2 * PAGE], 0);
    munmap(memory, huge);
    munmap(bitmap, 4 * PAGE);
}

/* Linux 6.12 does not report an error. */
static void a_hole_ends_the_report_without_an_error(void **state)
{
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint64_t bitmap = 0;

    (void)state;
    device_poke_word(kernel, PAGE, 1);
    device_poke_word(kernel, 9 * PAGE, 1);
    assert_int_equal(iommufd_unmap(kernel, 4 * PAGE, PAGE, NULL), 0);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, 64 * PAGE, PAGE, &bitmap), 0);
    assert_int_equal(bitmap, 2);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 5 * PAGE, 8 * PAGE, PAGE, &bitmap), 0);
    assert_int_equal(bitmap, 2 | 1 << 4);
}

static void a_faulting_bitmap_loses_the_bits(void **state)
{
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint64_t bitmap = 0;

    (void)state;
    device_poke_word(kernel, PAGE, 1);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, 64 * PAGE, PAGE, NULL), 0);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, 64 * PAGE, PAGE, &bitmap), 0);
    assert_int_equal(bitmap, 0);
}

static void requests_check_arguments_in_order(void **state)
{
    uint32_t hwpt;
    g_autoptr(Kernel) kernel = tracking(&hwpt);
    uint64_t bitmap;

    (void)state;
    assert_int_equal(get_bitmap(kernel, 99, 2, 0, 0, 0, &bitmap), -EOPNOTSUPP);
    assert_int_equal(get_bitmap(kernel, 99, 0, 0, 0, 0, &bitmap), -ENOENT);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, 0, 0, &bitmap), -EINVAL);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, -PAGE, 2 * PAGE, PAGE, &bitmap), -EOVERFLOW);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 1, PAGE, PAGE, &bitmap), -EINVAL);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, PAGE, 0, &bitmap), -EINVAL);
    assert_int_equal(get_bitmap(kernel, hwpt, 0, 0, PAGE, 2 * PAGE, &bitmap), -EINVAL);
    assert_int_equal(set_tracking(kernel, kernel->ioas, true), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dirty_tracking_is_not_supported_unless_configured),
        cmocka_unit_test(get_hw_info_reports_dirty_tracking),
        cmocka_unit_test(written_pages_are_reported_once),
        cmocka_unit_test(no_clear_keeps_pages_dirty),
        cmocka_unit_test(get_dirty_bitmap_keeps_bits_already_set),
        cmocka_unit_test(nothing_is_dirty_before_tracking_starts),
        cmocka_unit_test(nothing_is_reported_after_tracking_stops),
        cmocka_unit_test(restarting_tracking_clears_dirty_bits),
        cmocka_unit_test(a_bit_can_stand_for_more_than_a_page),
        cmocka_unit_test(a_large_page_is_dirty_as_a_whole),
        cmocka_unit_test(a_part_of_a_large_page_sets_bits_past_the_end),
        cmocka_unit_test(the_end_of_a_large_page_sets_bits_past_it),
        cmocka_unit_test(bits_past_the_end_stay_in_the_pinned_pages),
        cmocka_unit_test(a_hole_ends_the_report_without_an_error),
        cmocka_unit_test(a_faulting_bitmap_loses_the_bits),
        cmocka_unit_test(requests_check_arguments_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
