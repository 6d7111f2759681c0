/* SPDX-License-Identifier: MIT */
/* VFIO_IOMMU_DIRTY_PAGES and UNMAP with a bitmap: errors, dirty bits, and bits that leak from read
 * to read. */
#include "util/kernel_util.h"

/* struct vfio_iommu_type1_dirty_bitmap and its data. */
typedef struct {
    uint32_t argsz;
    uint32_t flags;
    struct vfio_iommu_type1_dirty_bitmap_get get;
} Get;

static int dirty(Kernel *kernel, uint32_t flags)
{
    struct vfio_iommu_type1_dirty_bitmap request = {.argsz = sizeof(request), .flags = flags};

    return kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_DIRTY_PAGES, &request);
}

static int start(Kernel *kernel)
{
    return dirty(kernel, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
}

static Get get_request(uint64_t iova, uint64_t n_pages, uint64_t *bitmap, uint64_t n_bytes)
{
    return (Get){
        .argsz = sizeof(Get),
        .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
        .get = {.iova = iova,
                .size = n_pages * PAGE,
                .bitmap = {.pgsize = PAGE, .size = n_bytes, .data = bitmap}},
    };
}

static int send(Kernel *kernel, Get *get)
{
    return kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_DIRTY_PAGES, get);
}

static int get_bits(Kernel *kernel, uint64_t iova, uint64_t n_pages, uint64_t *bitmap,
                    uint64_t n_bytes)
{
    Get get = get_request(iova, n_pages, bitmap, n_bytes);

    return send(kernel, &get);
}

static int setup_logging(void **state)
{
    kernel_setup_v2(state);
    return start(*state);
}

static void type1_v1_rejects_dirty_logging_before_reading_the_struct(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_DIRTY_PAGES, NULL),
                     -EACCES);
}

static void exactly_one_known_flag_is_required(void **state)
{
    static const uint32_t flags[] = {0, 3, 5, 6, 7, 8, 9};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
        assert_int_equal(dirty(kernel, flags[i]), -EINVAL);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_DIRTY_PAGES, NULL),
                     -EFAULT);
}

static void start_and_stop_can_be_repeated(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(dirty(kernel, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);
    assert_int_equal(start(kernel), 0);
    assert_int_equal(start(kernel), 0);
    assert_int_equal(dirty(kernel, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);
    assert_int_equal(dirty(kernel, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);
}

static void invalid_bitmap_requests_fail(void **state)
{
    Kernel *kernel = *state;
    uint64_t bitmap[2] = {0};
    Get get;

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(get_bits(kernel, 0x10000, 4, bitmap, 8), -EINVAL); /* not logging */
    assert_int_equal(start(kernel), 0);
    assert_int_equal(get_bits(kernel, 0x10000, 4, bitmap, 8), 0);
    assert_int_equal(get_bits(kernel, 0x10000, 4, bitmap, 7), -EINVAL);
    assert_int_equal(get_bits(kernel, 0x10000, 4, bitmap, 0), -EINVAL);
    assert_int_equal(get_bits(kernel, 0x10000, 4, bitmap, (UINT64_C(256) << 20) + 8), -EINVAL);
    assert_int_equal(get_bits(kernel, 0x10000, 0, bitmap, 8), -EINVAL);
    assert_int_equal(get_bits(kernel, 0x10800, 4, bitmap, 8), -EINVAL);
    assert_int_equal(get_bits(kernel, 0x10000, 2, bitmap, 8), -EINVAL); /* cuts */
    assert_int_equal(get_bits(kernel, 0x12000, 4, bitmap, 8), -EINVAL);
    assert_int_equal(get_bits(kernel, -PAGE, 1, bitmap, 8), -EINVAL); /* ends at 2^64 */
    assert_int_equal(get_bits(kernel, 0x10000, 4, (uint64_t *)(uintptr_t)0xffff800000000000, 8),
                     -EINVAL);
    assert_int_equal(get_bits(kernel, 0x10000, 4, (uint64_t *)(uintptr_t)0x1000, 8), -EFAULT);
    for (uint64_t page_size = 0; page_size <= 8192;
         page_size = page_size == 0 ? 2048 : 4 * page_size) {
        get = get_request(0x10000, 4, bitmap, 16);
        get.get.bitmap.pgsize = page_size;
        assert_int_equal(send(kernel, &get), -EINVAL);
    }
    get = get_request(0x10000, 4, bitmap, 8);
    get.argsz = sizeof(get) - 1;
    assert_int_equal(send(kernel, &get), -EINVAL);
}

static void bitmaps_are_limited_to_256_mib(void **state)
{
    const uint64_t largest = 256 * PM_MIB;
    Kernel *kernel = *state;
    void *bitmap = mmap(NULL, largest + PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_ptr_not_equal(bitmap, MAP_FAILED);
    assert_int_equal(get_bits(kernel, 0, 4, bitmap, largest), 0);
    assert_int_equal(get_bits(kernel, 0, 4, bitmap, largest + 8), -EINVAL);
    munmap(bitmap, largest + PAGE);
}

static void after_stop_bitmaps_fail(void **state)
{
    Kernel *kernel = *state;
    uint64_t bitmap;

    assert_int_equal(dirty(kernel, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);
    assert_int_equal(get_bits(kernel, 0, 4, &bitmap, 8), -EINVAL);
}

static void every_page_is_dirty_on_every_read(void **state)
{
    Kernel *kernel = *state;
    uint64_t bitmap = 0;

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    for (unsigned i = 0; i < 3; i++) {
        bitmap = 0;
        assert_int_equal(get_bits(kernel, 0x10000, 4, &bitmap, 8), 0);
        assert_int_equal(bitmap, 0xf);
    }
}

static void mappings_made_before_start_are_logged_too(void **state)
{
    Kernel *kernel = *state;
    uint64_t bitmap = 0;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 2 * PAGE), 0);
    assert_int_equal(start(kernel), 0);
    assert_int_equal(get_bits(kernel, 0, 2, &bitmap, 8), 0);
    assert_int_equal(bitmap, 3);
}

static void an_empty_range_does_not_touch_the_bitmap(void **state)
{
    Kernel *kernel = *state;
    uint64_t bitmap = 0x1234;

    assert_int_equal(get_bits(kernel, 0, 4, &bitmap, 8), 0);
    assert_int_equal(bitmap, 0x1234);
}

static void an_aligned_mapping_overwrites_whole_words(void **state)
{
    Kernel *kernel = *state;
    uint64_t bitmap[2] = {UINT64_MAX, UINT64_MAX};

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(get_bits(kernel, 0, 128, bitmap, 16), 0);
    assert_int_equal(bitmap[0], 0xf);
    assert_int_equal(bitmap[1], UINT64_MAX);
}

/* Four pages, eight bits after the start: a real kernel returns 000f, 000f0f, 000f0f0f. */
static void an_unaligned_mapping_leaks_into_later_reads(void **state)
{
    static const uint64_t seen[] = {0xf00, 0xf0f00, 0xf0f0f00};
    Kernel *kernel = *state;
    uint64_t bitmap;

    assert_int_equal(kernel_map(kernel, 0x18000, kernel->memory, 4 * PAGE), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(seen); i++) {
        bitmap = 0;
        assert_int_equal(get_bits(kernel, 0x10000, 12, &bitmap, 8), 0);
        assert_int_equal(bitmap, seen[i]);
    }
    /* Restarting clears the log. */
    assert_int_equal(dirty(kernel, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);
    assert_int_equal(start(kernel), 0);
    bitmap = 0;
    assert_int_equal(get_bits(kernel, 0x10000, 12, &bitmap, 8), 0);
    assert_int_equal(bitmap, 0xf00);
}

static void an_unaligned_mapping_preserves_the_callers_first_word(void **state)
{
    Kernel *kernel = *state;
    uint64_t bitmap = UINT64_C(0xff00000000000001);

    assert_int_equal(kernel_map(kernel, 0x18000, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(get_bits(kernel, 0x10000, 12, &bitmap, 8), 0);
    assert_int_equal(bitmap, UINT64_C(0xff00000000000f01));
}

static void bits_cross_a_word_boundary(void **state)
{
    Kernel *kernel = *state;
    uint64_t bitmap[2] = {0};

    assert_int_equal(kernel_map(kernel, 62 * PAGE, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(get_bits(kernel, 0, 66, bitmap, 16), 0);
    assert_int_equal(bitmap[0], UINT64_C(3) << 62);
    assert_int_equal(bitmap[1], 3);
}

static void a_faulting_read_keeps_its_shift(void **state)
{
    Kernel *kernel = *state;
    uint64_t bitmap = 0;

    assert_int_equal(kernel_map(kernel, 0x18000, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(get_bits(kernel, 0x10000, 12, (uint64_t *)(uintptr_t)0x1000, 8), -EFAULT);
    assert_int_equal(get_bits(kernel, 0x18000, 4, &bitmap, 8), 0);
    assert_int_equal(bitmap, 0xf0f);
}

/* struct vfio_iommu_type1_dma_unmap and its data. */
typedef struct {
    uint32_t argsz;
    uint32_t flags;
    uint64_t iova;
    uint64_t size;
    struct vfio_bitmap bitmap;
} Unmap;

static Unmap unmap_request(uint64_t iova, uint64_t n_pages, uint64_t *bitmap)
{
    return (Unmap){
        .argsz = sizeof(Unmap),
        .flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
        .iova = iova,
        .size = n_pages * PAGE,
        .bitmap = {.pgsize = PAGE, .size = 8, .data = bitmap},
    };
}

static int send_unmap(Kernel *kernel, Unmap *unmap)
{
    return kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_UNMAP_DMA, unmap);
}

static void unmap_with_a_bitmap_returns_bits_and_size(void **state)
{
    Kernel *kernel = *state;
    uint64_t bitmap = 0;
    Unmap unmap = unmap_request(0x10000, 8, &bitmap);

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 2 * PAGE), 0);
    assert_int_equal(kernel_map(kernel, 0x14000, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(send_unmap(kernel, &unmap), 0);
    assert_int_equal(unmap.size, 6 * PAGE);
    assert_int_equal(bitmap, 0xf3);
    assert_int_equal(kernel_n_mappings(kernel), 0);
}

static void invalid_unmap_with_a_bitmap_fails(void **state)
{
    Kernel *kernel = *state;
    uint64_t bitmap = 0;
    Unmap unmap = unmap_request(0, 2, &bitmap);

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 2 * PAGE), 0);
    assert_int_equal(send_unmap(kernel, &unmap), -EINVAL); /* not logging */
    assert_int_equal(start(kernel), 0);
    unmap.flags |= VFIO_DMA_UNMAP_FLAG_ALL;
    assert_int_equal(send_unmap(kernel, &unmap), -EINVAL);
    unmap = unmap_request(0, 2, &bitmap);
    unmap.flags |= VFIO_DMA_UNMAP_FLAG_VADDR;
    assert_int_equal(send_unmap(kernel, &unmap), -EINVAL);
    unmap = unmap_request(0, 2, &bitmap);
    unmap.argsz = sizeof(unmap) - 1;
    assert_int_equal(send_unmap(kernel, &unmap), -EINVAL);
    unmap = unmap_request(0, 2, &bitmap);
    unmap.bitmap.pgsize = 8192;
    assert_int_equal(send_unmap(kernel, &unmap), -EINVAL);
    unmap = unmap_request(0, 2, (uint64_t *)(uintptr_t)0xffff800000000000);
    assert_int_equal(send_unmap(kernel, &unmap), -EINVAL);
    unmap = unmap_request(0, 2, (uint64_t *)(uintptr_t)0x1000);
    assert_int_equal(send_unmap(kernel, &unmap), -EFAULT);
    assert_int_equal(kernel_n_mappings(kernel), 1);
    unmap = unmap_request(0, 2, &bitmap);
    assert_int_equal(send_unmap(kernel, &unmap), 0);
    assert_int_equal(kernel_n_mappings(kernel), 0);
}

static void unmap_stops_at_the_first_unwritable_word(void **state)
{
    Kernel *kernel = *state;
    uint64_t *last_word = (uint64_t *)(void *)(kernel->memory + PAGE) - 1;
    Unmap unmap = unmap_request(0, 192, last_word);

    unmap.bitmap.size = 3 * sizeof(uint64_t);
    assert_int_equal(mprotect(kernel->memory + PAGE, PAGE, PROT_READ), 0);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(kernel_map(kernel, i * 64 * PAGE, kernel->memory + 2 * PAGE, 4 * PAGE), 0);
    assert_int_equal(send_unmap(kernel, &unmap), -EFAULT);
    assert_int_equal(unmap.size, 192 * PAGE);
    assert_int_equal(*last_word, 0xf);
    assert_int_equal(kernel_n_mappings(kernel), 2);
    assert_int_equal(kernel_locked(kernel), 8 * PAGE);
    assert_int_equal(kernel_n_mappings(kernel), 2);
}

static void unmap_returns_leaked_bits(void **state)
{
    Kernel *kernel = *state;
    uint64_t bitmap = 0;
    Unmap unmap = unmap_request(0, 64, &bitmap);

    assert_int_equal(kernel_map(kernel, 8 * PAGE, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(get_bits(kernel, 0, 64, &bitmap, sizeof(bitmap)), 0);
    bitmap = 0;
    assert_int_equal(send_unmap(kernel, &unmap), 0);
    assert_int_equal(bitmap, 0x0f0f00);
}

#define LOGGING(name) cmocka_unit_test_setup_teardown(name, setup_logging, kernel_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_V1(type1_v1_rejects_dirty_logging_before_reading_the_struct),
        TEST(exactly_one_known_flag_is_required),
        TEST(start_and_stop_can_be_repeated),
        TEST(invalid_bitmap_requests_fail),
        LOGGING(bitmaps_are_limited_to_256_mib),
        LOGGING(after_stop_bitmaps_fail),
        LOGGING(every_page_is_dirty_on_every_read),
        TEST(mappings_made_before_start_are_logged_too),
        LOGGING(an_empty_range_does_not_touch_the_bitmap),
        LOGGING(an_aligned_mapping_overwrites_whole_words),
        LOGGING(an_unaligned_mapping_leaks_into_later_reads),
        LOGGING(an_unaligned_mapping_preserves_the_callers_first_word),
        LOGGING(bits_cross_a_word_boundary),
        LOGGING(a_faulting_read_keeps_its_shift),
        LOGGING(unmap_with_a_bitmap_returns_bits_and_size),
        TEST(invalid_unmap_with_a_bitmap_fails),
        LOGGING(unmap_stops_at_the_first_unwritable_word),
        LOGGING(unmap_returns_leaked_bits),
    };

    return RUN_TESTS(tests);
}
