/* SPDX-License-Identifier: MIT */
/* VFIO_IOMMU_DIRTY_PAGES and UNMAP with a bitmap on the fake kernel, with the real one's word-wise
 * leaks. */
#include "fake_util.h"

/* struct vfio_iommu_type1_dirty_bitmap and what follows it. */
typedef struct {
    uint32_t argsz;
    uint32_t flags;
    struct vfio_iommu_type1_dirty_bitmap_get get;
} Get;

static int dirty(Fake *fake, uint32_t flags)
{
    struct vfio_iommu_type1_dirty_bitmap request = {.argsz = sizeof(request), .flags = flags};

    return fake_ioctl(fake, fake->container, VFIO_IOMMU_DIRTY_PAGES, &request);
}

static int start(Fake *fake)
{
    return dirty(fake, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
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

static int send(Fake *fake, Get *get)
{
    return fake_ioctl(fake, fake->container, VFIO_IOMMU_DIRTY_PAGES, get);
}

static int get_bits(Fake *fake, uint64_t iova, uint64_t n_pages, uint64_t *bitmap, uint64_t n_bytes)
{
    Get get = get_request(iova, n_pages, bitmap, n_bytes);

    return send(fake, &get);
}

static Fake *logging(void)
{
    Fake *fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);

    assert_int_equal(start(fake), 0);
    return fake;
}

static void type1_v1_cannot_log_and_says_so_before_it_looks(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1_IOMMU);

    (void)state;
    assert_int_equal(fake_ioctl(fake, fake->container, VFIO_IOMMU_DIRTY_PAGES, NULL), -EACCES);
}

static void exactly_one_known_flag(void **state)
{
    static const uint32_t flags[] = {0, 3, 5, 6, 7, 8, 9};
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
        assert_int_equal(dirty(fake, flags[i]), -EINVAL);
    assert_int_equal(fake_ioctl(fake, fake->container, VFIO_IOMMU_DIRTY_PAGES, NULL), -EFAULT);
}

static void start_and_stop_may_be_repeated(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);

    (void)state;
    assert_int_equal(dirty(fake, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);
    assert_int_equal(start(fake), 0);
    assert_int_equal(start(fake), 0);
    assert_int_equal(dirty(fake, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);
    assert_int_equal(dirty(fake, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);
}

static void a_bitmap_is_refused_for_each_wrong_thing(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);
    uint64_t bitmap[2] = {0};
    Get get;

    (void)state;
    assert_int_equal(fake_map(fake, 0x10000, fake->memory, 4 * PAGE), 0);
    assert_int_equal(get_bits(fake, 0x10000, 4, bitmap, 8), -EINVAL); /* not logging */
    assert_int_equal(start(fake), 0);
    assert_int_equal(get_bits(fake, 0x10000, 4, bitmap, 8), 0);
    assert_int_equal(get_bits(fake, 0x10000, 4, bitmap, 7), -EINVAL);
    assert_int_equal(get_bits(fake, 0x10000, 4, bitmap, 0), -EINVAL);
    assert_int_equal(get_bits(fake, 0x10000, 4, bitmap, (UINT64_C(256) << 20) + 8), -EINVAL);
    assert_int_equal(get_bits(fake, 0x10000, 0, bitmap, 8), -EINVAL);
    assert_int_equal(get_bits(fake, 0x10800, 4, bitmap, 8), -EINVAL);
    assert_int_equal(get_bits(fake, 0x10000, 2, bitmap, 8), -EINVAL); /* cuts */
    assert_int_equal(get_bits(fake, 0x12000, 4, bitmap, 8), -EINVAL);
    assert_int_equal(get_bits(fake, -PAGE, 1, bitmap, 8), -EINVAL); /* ends at 2^64 */
    assert_int_equal(get_bits(fake, 0x10000, 4, (uint64_t *)(uintptr_t)0xffff800000000000, 8),
                     -EINVAL);
    assert_int_equal(get_bits(fake, 0x10000, 4, (uint64_t *)(uintptr_t)0x1000, 8), -EFAULT);
    for (uint64_t page_size = 0; page_size <= 8192;
         page_size = page_size == 0 ? 2048 : 4 * page_size) {
        get = get_request(0x10000, 4, bitmap, 16);
        get.get.bitmap.pgsize = page_size;
        assert_int_equal(send(fake, &get), -EINVAL);
    }
    get = get_request(0x10000, 4, bitmap, 8);
    get.argsz = sizeof(get) - 1;
    assert_int_equal(send(fake, &get), -EINVAL);
}

static void every_page_is_dirty_on_every_read(void **state)
{
    g_autoptr(Fake) fake = logging();
    uint64_t bitmap = 0;

    (void)state;
    assert_int_equal(fake_map(fake, 0x10000, fake->memory, 4 * PAGE), 0);
    for (unsigned i = 0; i < 3; i++) {
        bitmap = 0;
        assert_int_equal(get_bits(fake, 0x10000, 4, &bitmap, 8), 0);
        assert_int_equal(bitmap, 0xf);
    }
}

static void mappings_from_before_the_start_are_logged_as_well(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);
    uint64_t bitmap = 0;

    (void)state;
    assert_int_equal(fake_map(fake, 0, fake->memory, 2 * PAGE), 0);
    assert_int_equal(start(fake), 0);
    assert_int_equal(get_bits(fake, 0, 2, &bitmap, 8), 0);
    assert_int_equal(bitmap, 3);
}

static void an_empty_range_leaves_the_bitmap_alone(void **state)
{
    g_autoptr(Fake) fake = logging();
    uint64_t bitmap = 0x1234;

    (void)state;
    assert_int_equal(get_bits(fake, 0, 4, &bitmap, 8), 0);
    assert_int_equal(bitmap, 0x1234);
}

static void an_aligned_mapping_overwrites_whole_words(void **state)
{
    g_autoptr(Fake) fake = logging();
    uint64_t bitmap[2] = {UINT64_MAX, UINT64_MAX};

    (void)state;
    assert_int_equal(fake_map(fake, 0, fake->memory, 4 * PAGE), 0);
    assert_int_equal(get_bits(fake, 0, 128, bitmap, 16), 0);
    assert_int_equal(bitmap[0], 0xf);
    assert_int_equal(bitmap[1], UINT64_MAX);
}

/* Four pages, eight bits behind the start: seen on a real kernel as 000f, 000f0f, 000f0f0f. */
static void an_unaligned_mapping_leaks_into_later_reads(void **state)
{
    static const uint64_t seen[] = {0xf00, 0xf0f00, 0xf0f0f00};
    g_autoptr(Fake) fake = logging();
    uint64_t bitmap;

    (void)state;
    assert_int_equal(fake_map(fake, 0x18000, fake->memory, 4 * PAGE), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(seen); i++) {
        bitmap = 0;
        assert_int_equal(get_bits(fake, 0x10000, 12, &bitmap, 8), 0);
        assert_int_equal(bitmap, seen[i]);
    }
    /* Starting again cleans. */
    assert_int_equal(dirty(fake, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);
    assert_int_equal(start(fake), 0);
    bitmap = 0;
    assert_int_equal(get_bits(fake, 0x10000, 12, &bitmap, 8), 0);
    assert_int_equal(bitmap, 0xf00);
}

static void an_unaligned_mapping_keeps_the_callers_first_word(void **state)
{
    g_autoptr(Fake) fake = logging();
    uint64_t bitmap = UINT64_C(0xff00000000000001);

    (void)state;
    assert_int_equal(fake_map(fake, 0x18000, fake->memory, 4 * PAGE), 0);
    assert_int_equal(get_bits(fake, 0x10000, 12, &bitmap, 8), 0);
    assert_int_equal(bitmap, UINT64_C(0xff00000000000f01));
}

static void bits_go_over_a_word_boundary(void **state)
{
    g_autoptr(Fake) fake = logging();
    uint64_t bitmap[2] = {0};

    (void)state;
    assert_int_equal(fake_map(fake, 62 * PAGE, fake->memory, 4 * PAGE), 0);
    assert_int_equal(get_bits(fake, 0, 66, bitmap, 16), 0);
    assert_int_equal(bitmap[0], UINT64_C(3) << 62);
    assert_int_equal(bitmap[1], 3);
}

static void a_read_that_faults_leaves_its_shift_behind(void **state)
{
    g_autoptr(Fake) fake = logging();
    uint64_t bitmap = 0;

    (void)state;
    assert_int_equal(fake_map(fake, 0x18000, fake->memory, 4 * PAGE), 0);
    assert_int_equal(get_bits(fake, 0x10000, 12, (uint64_t *)(uintptr_t)0x1000, 8), -EFAULT);
    assert_int_equal(get_bits(fake, 0x18000, 4, &bitmap, 8), 0);
    assert_int_equal(bitmap, 0xf0f);
}

/* struct vfio_iommu_type1_dma_unmap and what follows it. */
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

static int send_unmap(Fake *fake, Unmap *unmap)
{
    return fake_ioctl(fake, fake->container, VFIO_IOMMU_UNMAP_DMA, unmap);
}

static void unmap_with_a_bitmap_returns_bits_and_size(void **state)
{
    g_autoptr(Fake) fake = logging();
    uint64_t bitmap = 0;
    Unmap unmap = unmap_request(0x10000, 8, &bitmap);

    (void)state;
    assert_int_equal(fake_map(fake, 0x10000, fake->memory, 2 * PAGE), 0);
    assert_int_equal(fake_map(fake, 0x14000, fake->memory, 4 * PAGE), 0);
    assert_int_equal(send_unmap(fake, &unmap), 0);
    assert_int_equal(unmap.size, 6 * PAGE);
    assert_int_equal(bitmap, 0xf3);
    assert_int_equal(fake_n_mappings(fake), 0);
}

static void unmap_with_a_bitmap_is_refused_for_each_wrong_thing(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);
    uint64_t bitmap = 0;
    Unmap unmap = unmap_request(0, 2, &bitmap);

    (void)state;
    assert_int_equal(fake_map(fake, 0, fake->memory, 2 * PAGE), 0);
    assert_int_equal(send_unmap(fake, &unmap), -EINVAL); /* not logging */
    assert_int_equal(start(fake), 0);
    unmap.flags |= VFIO_DMA_UNMAP_FLAG_ALL;
    assert_int_equal(send_unmap(fake, &unmap), -EINVAL);
    unmap = unmap_request(0, 2, &bitmap);
    unmap.flags |= VFIO_DMA_UNMAP_FLAG_VADDR;
    assert_int_equal(send_unmap(fake, &unmap), -EINVAL);
    unmap = unmap_request(0, 2, &bitmap);
    unmap.argsz = sizeof(unmap) - 1;
    assert_int_equal(send_unmap(fake, &unmap), -EINVAL);
    unmap = unmap_request(0, 2, &bitmap);
    unmap.bitmap.pgsize = 8192;
    assert_int_equal(send_unmap(fake, &unmap), -EINVAL);
    unmap = unmap_request(0, 2, (uint64_t *)(uintptr_t)0x1000);
    assert_int_equal(send_unmap(fake, &unmap), -EFAULT);
    assert_int_equal(fake_n_mappings(fake), 1);
    unmap = unmap_request(0, 2, &bitmap);
    assert_int_equal(send_unmap(fake, &unmap), 0);
    assert_int_equal(fake_n_mappings(fake), 0);
}

static void unmap_stops_at_the_first_word_that_cannot_be_written(void **state)
{
    g_autoptr(Fake) fake = logging();
    uint64_t *last_word = (uint64_t *)(void *)(fake->memory + PAGE) - 1;
    Unmap unmap = unmap_request(0, 192, last_word);

    (void)state;
    unmap.bitmap.size = 3 * sizeof(uint64_t);
    assert_int_equal(mprotect(fake->memory + PAGE, PAGE, PROT_READ), 0);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(fake_map(fake, i * 64 * PAGE, fake->memory + 2 * PAGE, 4 * PAGE), 0);
    assert_int_equal(send_unmap(fake, &unmap), -EFAULT);
    assert_int_equal(unmap.size, 192 * PAGE);
    assert_int_equal(*last_word, 0xf);
    assert_int_equal(fake_n_mappings(fake), 2);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 8 * PAGE);
    assert_int_equal(fake_available(fake), 65533);
}

static void unmap_gives_out_what_has_leaked(void **state)
{
    g_autoptr(Fake) fake = logging();
    uint64_t bitmap = 0;
    Unmap unmap = unmap_request(0, 64, &bitmap);

    (void)state;
    assert_int_equal(fake_map(fake, 8 * PAGE, fake->memory, 4 * PAGE), 0);
    assert_int_equal(get_bits(fake, 0, 64, &bitmap, sizeof(bitmap)), 0);
    bitmap = 0;
    assert_int_equal(send_unmap(fake, &unmap), 0);
    assert_int_equal(bitmap, 0x0f0f00);
}

static void a_bit_is_a_page_of_the_smallest_size(void **state)
{
    const uint64_t big_page = 16 * PAGE;
    PmFakeConfig config;
    g_autoptr(Fake) fake = NULL;
    const char *aligned;
    uint64_t bitmap = 0;
    Get get = get_request(0, 256, &bitmap, sizeof(bitmap));

    (void)state;
    pm_fake_config_init(&config);
    config.page_sizes = big_page;
    fake = fake_with_iommu(&config, VFIO_TYPE1v2_IOMMU);
    aligned = fake->memory + (big_page - (uintptr_t)fake->memory % big_page) % big_page;
    assert_int_equal(start(fake), 0);
    assert_int_equal(fake_map(fake, 2 * big_page, aligned, 3 * big_page), 0);
    assert_int_equal(send(fake, &get), -EINVAL);
    get.get.bitmap.pgsize = big_page;
    assert_int_equal(send(fake, &get), 0);
    assert_int_equal(bitmap, 0x1c);
}

static void a_mapping_of_too_many_pages_cannot_be_logged(void **state)
{
    static const PmIovaRange range = {0, (UINT64_C(1) << 47) - 1};
    const uint64_t size = UINT64_C(1) << 43; /* 2^31 pages, one more than a bitmap has bits */
    PmFakeConfig config;
    g_autoptr(Fake) fake = NULL;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    (void)state;
    if (memory == MAP_FAILED) {
        print_message("no address space for a mapping of 8 TiB: run it without valgrind\n");
        skip();
    }
    pm_fake_config_init(&config);
    config.iova_ranges = &range;
    config.n_iova_ranges = 1;
    fake = fake_with_iommu(&config, VFIO_TYPE1v2_IOMMU);
    assert_int_equal(fake_map(fake, 0, memory, size), 0);
    assert_int_equal(start(fake), -EINVAL);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), size);
    assert_int_equal(fake_unmap(fake, 0, size, NULL), 0);
    assert_int_equal(start(fake), 0);
    assert_int_equal(fake_map(fake, 0, memory, size), -EINVAL);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 0);
    assert_int_equal(fake_available(fake), 65535);
    assert_int_equal(munmap(memory, size), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(type1_v1_cannot_log_and_says_so_before_it_looks),
        cmocka_unit_test(exactly_one_known_flag),
        cmocka_unit_test(start_and_stop_may_be_repeated),
        cmocka_unit_test(a_bitmap_is_refused_for_each_wrong_thing),
        cmocka_unit_test(every_page_is_dirty_on_every_read),
        cmocka_unit_test(mappings_from_before_the_start_are_logged_as_well),
        cmocka_unit_test(an_empty_range_leaves_the_bitmap_alone),
        cmocka_unit_test(an_aligned_mapping_overwrites_whole_words),
        cmocka_unit_test(an_unaligned_mapping_leaks_into_later_reads),
        cmocka_unit_test(an_unaligned_mapping_keeps_the_callers_first_word),
        cmocka_unit_test(bits_go_over_a_word_boundary),
        cmocka_unit_test(a_read_that_faults_leaves_its_shift_behind),
        cmocka_unit_test(unmap_with_a_bitmap_returns_bits_and_size),
        cmocka_unit_test(unmap_with_a_bitmap_is_refused_for_each_wrong_thing),
        cmocka_unit_test(unmap_stops_at_the_first_word_that_cannot_be_written),
        cmocka_unit_test(unmap_gives_out_what_has_leaked),
        cmocka_unit_test(a_bit_is_a_page_of_the_smallest_size),
        cmocka_unit_test(a_mapping_of_too_many_pages_cannot_be_logged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
