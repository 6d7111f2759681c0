/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "iommu/type1/type1_info.h"
#include "kernel-uapi/vfio.h"

#define FIXED_SIZE   sizeof(struct vfio_iommu_type1_info)
/* As Linux 6.1 has it: migration, dma_avail without padding, ranges at a multiple of 4 only. */
#define MIGRATION_AT 24
#define AVAIL_AT     56
#define RANGES_AT    68
#define ANSWER_SIZE  116

static void put_header(uint8_t *answer, uint32_t offset, uint16_t id, uint32_t next)
{
    struct vfio_info_cap_header header = {.id = id, .version = 1, .next = next};

    memcpy(answer + offset, &header, sizeof header);
}

static void put_ranges(uint8_t *answer, uint32_t offset, uint32_t n_ranges,
                       const struct vfio_iova_range *ranges)
{
    size_t fixed = sizeof(struct vfio_iommu_type1_info_cap_iova_range);

    memcpy(answer + offset + offsetof(struct vfio_iommu_type1_info_cap_iova_range, nr_iovas),
           &n_ranges, sizeof n_ranges);
    memcpy(answer + offset + fixed, ranges, n_ranges * sizeof *ranges);
}

static void put_fixed(uint8_t *answer, uint32_t argsz, uint32_t flags, uint32_t cap_offset)
{
    struct vfio_iommu_type1_info fixed = {
        .argsz = argsz, .flags = flags, .iova_pgsizes = 0x40201000, .cap_offset = cap_offset};

    memcpy(answer, &fixed, sizeof fixed);
}

/* A valid answer of ANSWER_SIZE bytes. */
static void fill(uint8_t *answer)
{
    static const struct vfio_iova_range ranges[] = {{0, 0xfedfffff}, {0xfef00000, 0x7fffffffff}};
    static const uint64_t dirty[] = {0x1000, 0x10000000}; /* page sizes, bytes of a bitmap */
    uint32_t available = 65535;

    memset(answer, 0, ANSWER_SIZE);
    put_fixed(answer, ANSWER_SIZE, VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS, MIGRATION_AT);
    put_header(answer, MIGRATION_AT, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, AVAIL_AT);
    memcpy(answer + MIGRATION_AT + 16, &dirty, sizeof dirty);
    put_header(answer, AVAIL_AT, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, RANGES_AT);
    memcpy(answer + AVAIL_AT + 8, &available, sizeof available);
    put_header(answer, RANGES_AT, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0);
    put_ranges(answer, RANGES_AT, 2, ranges);
}

static void assert_right(const PmType1Info *info)
{
    assert_int_equal(info->page_sizes, 0x40201000);
    assert_int_equal(info->n_available, 65535);
    assert_int_equal(info->n_ranges, 2);
    assert_int_equal(info->ranges[0].start, 0);
    assert_int_equal(info->ranges[0].last, 0xfedfffff);
    assert_int_equal(info->ranges[1].start, 0xfef00000);
    assert_int_equal(info->ranges[1].last, 0x7fffffffff);
}

/* Parses memory of exactly that size, so that sanitizers and valgrind detect an overrun. */
static bool parse(const uint8_t *answer, size_t size, PmType1Info *info, GError **error)
{
    g_autofree uint8_t *exact = g_memdup2(answer, size);

    return pm_type1_info_parse(exact, size, info, error);
}

static void assert_refused(const uint8_t *answer, size_t size, const char *because)
{
    g_auto(PmType1Info) info = {0};
    g_autoptr(GError) error = NULL;

    assert_false(parse(answer, size, &info, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_INPUT));
    assert_non_null(strstr(error->message, because));
    assert_null(info.ranges);
}

static void chain_of_linux_6_1_is_read(void **state)
{
    uint8_t answer[ANSWER_SIZE];
    g_auto(PmType1Info) info = {0};

    (void)state;
    fill(answer);
    assert_true(parse(answer, sizeof answer, &info, NULL));
    assert_right(&info);
}

static void dirty_page_sizes_are_read(void **state)
{
    uint8_t answer[ANSWER_SIZE];
    g_auto(PmType1Info) info = {0};

    (void)state;
    fill(answer);
    assert_true(parse(answer, sizeof answer, &info, NULL));
    assert_int_equal(info.dirty_page_sizes, 0x1000);
    assert_int_equal(info.max_dirty_bytes, 0x10000000);
}

static void dirty_page_sizes_that_are_cut_off_are_refused(void **state)
{
    uint8_t answer[ANSWER_SIZE];

    (void)state;
    fill(answer);
    put_header(answer, RANGES_AT, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, 0);
    assert_refused(answer, RANGES_AT + 31, "is cut off");
}

static void answer_without_capabilities_has_no_limits(void **state)
{
    uint8_t answer[FIXED_SIZE];
    g_auto(PmType1Info) info = {0};

    (void)state;
    put_fixed(answer, sizeof answer, VFIO_IOMMU_INFO_PGSIZES, 0);
    assert_true(parse(answer, sizeof answer, &info, NULL));
    assert_int_equal(info.page_sizes, 0x40201000);
    assert_true(info.n_available == UINT64_MAX);
    assert_null(info.ranges);
}

static void unknown_capability_is_skipped(void **state)
{
    uint8_t answer[ANSWER_SIZE];
    g_auto(PmType1Info) info = {0};

    (void)state;
    fill(answer);
    put_header(answer, MIGRATION_AT, 0x7777, AVAIL_AT);
    assert_true(parse(answer, sizeof answer, &info, NULL));
    assert_right(&info);
}

static void other_version_of_a_capability_is_skipped(void **state)
{
    uint8_t answer[ANSWER_SIZE];
    struct vfio_info_cap_header header = {VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 2, RANGES_AT};
    g_auto(PmType1Info) info = {0};

    (void)state;
    fill(answer);
    memcpy(answer + AVAIL_AT, &header, sizeof header);
    assert_true(parse(answer, sizeof answer, &info, NULL));
    assert_true(info.n_available == UINT64_MAX);
    assert_int_equal(info.n_ranges, 2);
}

static void chain_with_descending_offsets_is_read(void **state)
{
    uint8_t answer[ANSWER_SIZE];
    g_auto(PmType1Info) info = {0};

    (void)state;
    fill(answer);
    put_fixed(answer, ANSWER_SIZE, VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS, RANGES_AT);
    put_header(answer, RANGES_AT, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, AVAIL_AT);
    put_header(answer, AVAIL_AT, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 0);
    assert_true(parse(answer, sizeof answer, &info, NULL));
    assert_right(&info);
}

static void capability_that_links_to_itself_is_refused(void **state)
{
    uint8_t answer[ANSWER_SIZE];

    (void)state;
    fill(answer);
    put_header(answer, MIGRATION_AT, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, MIGRATION_AT);
    assert_refused(answer, sizeof answer, "is in a loop");
}

static void chain_that_loops_is_refused(void **state)
{
    uint8_t answer[ANSWER_SIZE];

    (void)state;
    fill(answer);
    put_header(answer, AVAIL_AT, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, MIGRATION_AT);
    assert_refused(answer, sizeof answer, "is in a loop");
}

static void second_list_of_ranges_is_refused(void **state)
{
    uint8_t answer[ANSWER_SIZE];

    (void)state;
    fill(answer);
    put_header(answer, RANGES_AT, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, MIGRATION_AT);
    assert_refused(answer, sizeof answer, "repeats the");
}

static void capability_past_the_end_is_refused(void **state)
{
    static const uint32_t offsets[] = {ANSWER_SIZE - 4, ANSWER_SIZE, 4096, UINT32_MAX - 3};
    uint8_t answer[ANSWER_SIZE];
    size_t i;

    (void)state;
    for (i = 0; i < G_N_ELEMENTS(offsets); i++) {
        fill(answer);
        put_header(answer, MIGRATION_AT, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, offsets[i]);
        assert_refused(answer, sizeof answer, "past the end");
    }
}

static void capability_inside_the_fixed_part_is_refused(void **state)
{
    uint8_t answer[ANSWER_SIZE];

    (void)state;
    fill(answer);
    put_fixed(answer, ANSWER_SIZE, VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS, 8);
    assert_refused(answer, sizeof answer, "overlaps the fixed part");
}

static void misaligned_capability_is_refused(void **state)
{
    uint8_t answer[ANSWER_SIZE];

    (void)state;
    fill(answer);
    put_header(answer, MIGRATION_AT, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, AVAIL_AT + 1);
    assert_refused(answer, sizeof answer, "misaligned");
}

static void answer_cut_off_anywhere_is_refused(void **state)
{
    uint8_t answer[ANSWER_SIZE];
    size_t size;

    (void)state;
    fill(answer);
    for (size = 0; size < sizeof answer; size++)
        assert_refused(answer, size, "");
}

static void more_ranges_than_the_answer_holds_are_refused(void **state)
{
    static const uint32_t counts[] = {3, 0x10000000, 0x10000001, UINT32_MAX};
    uint8_t answer[ANSWER_SIZE];
    size_t i;

    (void)state;
    for (i = 0; i < G_N_ELEMENTS(counts); i++) {
        fill(answer);
        memcpy(answer + RANGES_AT + 8, &counts[i], sizeof counts[i]);
        assert_refused(answer, sizeof answer, "than fit");
    }
}

static void invalid_ranges_are_refused(void **state)
{
    static const struct vfio_iova_range wrong[][2] = {
        {{0x2000, 0x1000}, {0x4000, 0x5000}}, /* ends before it starts */
        {{0x4000, 0x5000}, {0, 0x1000}},      /* descending */
        {{0, 0x2000}, {0x2000, 0x3000}},      /* overlapping */
    };
    uint8_t answer[ANSWER_SIZE];
    size_t i;

    (void)state;
    for (i = 0; i < G_N_ELEMENTS(wrong); i++) {
        fill(answer);
        put_ranges(answer, RANGES_AT, 2, wrong[i]);
        assert_refused(answer, sizeof answer, "ascending");
    }
    fill(answer);
    put_ranges(answer, RANGES_AT, 0, wrong[0]);
    assert_refused(answer, sizeof answer, "ascending");
}

static void iommu_without_page_sizes_is_refused(void **state)
{
    uint8_t answer[ANSWER_SIZE];

    (void)state;
    fill(answer);
    put_fixed(answer, ANSWER_SIZE, VFIO_IOMMU_INFO_CAPS, MIGRATION_AT);
    assert_refused(answer, sizeof answer, "page sizes");
    fill(answer);
    memset(answer + offsetof(struct vfio_iommu_type1_info, iova_pgsizes), 0, sizeof(uint64_t));
    assert_refused(answer, sizeof answer, "page sizes");
}

/* --- querying --- */

#define N_RANGES UINT64_C(100)

/* A kernel with many ranges, whose number grows @n_growths times. */
typedef struct {
    PmKernel parent;
    unsigned n_calls;
    unsigned n_growths;
    uint32_t needed;
    int error_number;
} AskedKernel;

static int asked_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    AskedKernel *asked = (AskedKernel *)kernel;
    struct vfio_iommu_type1_info *fixed = argument;
    struct vfio_iova_range ranges[N_RANGES];
    uint32_t size = fixed->argsz;
    uint32_t i;

    assert_int_equal(fd, 7);
    assert_int_equal(request, VFIO_IOMMU_GET_INFO);
    asked->n_calls++;
    if (asked->error_number != 0)
        return -asked->error_number;
    put_fixed(argument, size, VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS, 0);
    if (asked->n_growths > 0) {
        asked->n_growths--;
        asked->needed = size + 16;
    }
    if (size < asked->needed) {
        fixed->argsz = asked->needed;
        return 0;
    }
    for (i = 0; i < N_RANGES; i++)
        ranges[i] = (struct vfio_iova_range){i * UINT64_C(0x10000), i * UINT64_C(0x10000) + 0xfff};
    put_fixed(argument, size, VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS, FIXED_SIZE);
    put_header(argument, FIXED_SIZE, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0);
    put_ranges(argument, FIXED_SIZE, (size - FIXED_SIZE - 16) / 16 < N_RANGES ? 1 : N_RANGES,
               ranges);
    return 0;
}

static const PmKernelOps asked_ops = {.struct_size = sizeof(asked_ops), .ioctl = asked_ioctl};

static void answer_that_needs_more_room_is_queried_again(void **state)
{
    AskedKernel asked = {.needed = FIXED_SIZE + 16 + N_RANGES * 16};
    g_auto(PmType1Info) info = {0};

    (void)state;
    assert_true(pm_kernel_init(&asked.parent, &asked_ops, NULL, NULL));
    assert_true(pm_type1_info_query(&asked.parent, 7, &info, NULL));
    assert_int_equal(asked.n_calls, 2);
    assert_int_equal(info.n_ranges, N_RANGES);
    assert_int_equal(info.ranges[N_RANGES - 1].last, (N_RANGES - 1) * 0x10000 + 0xfff);
    pm_kernel_unref(&asked.parent);
}

static void answer_that_grows_between_two_queries_is_queried_again(void **state)
{
    AskedKernel asked = {.n_growths = 2};
    g_auto(PmType1Info) info = {0};

    (void)state;
    assert_true(pm_kernel_init(&asked.parent, &asked_ops, NULL, NULL));
    assert_true(pm_type1_info_query(&asked.parent, 7, &info, NULL));
    assert_int_equal(asked.n_calls, 3);
    assert_int_equal(info.n_ranges, 1);
    pm_kernel_unref(&asked.parent);
}

static void answer_that_never_fits_is_refused(void **state)
{
    AskedKernel asked = {.n_growths = 1000};
    g_auto(PmType1Info) info = {0};
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_true(pm_kernel_init(&asked.parent, &asked_ops, NULL, NULL));
    assert_false(pm_type1_info_query(&asked.parent, 7, &info, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_INPUT));
    assert_true(asked.n_calls < 10);
    pm_kernel_unref(&asked.parent);
}

static void answer_of_gigabytes_is_refused_without_a_second_call(void **state)
{
    AskedKernel asked = {.needed = 0x80000000};
    g_auto(PmType1Info) info = {0};
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_true(pm_kernel_init(&asked.parent, &asked_ops, NULL, NULL));
    assert_false(pm_type1_info_query(&asked.parent, 7, &info, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_INPUT));
    assert_int_equal(asked.n_calls, 1);
    pm_kernel_unref(&asked.parent);
}

static void refused_query_names_the_errno(void **state)
{
    AskedKernel asked = {.error_number = 22};
    g_auto(PmType1Info) info = {0};
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_true(pm_kernel_init(&asked.parent, &asked_ops, NULL, NULL));
    assert_false(pm_type1_info_query(&asked.parent, 7, &info, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_KERNEL));
    assert_non_null(strstr(error->message, "EINVAL"));
    pm_kernel_unref(&asked.parent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain_of_linux_6_1_is_read),
        cmocka_unit_test(dirty_page_sizes_are_read),
        cmocka_unit_test(dirty_page_sizes_that_are_cut_off_are_refused),
        cmocka_unit_test(answer_without_capabilities_has_no_limits),
        cmocka_unit_test(unknown_capability_is_skipped),
        cmocka_unit_test(other_version_of_a_capability_is_skipped),
        cmocka_unit_test(chain_with_descending_offsets_is_read),
        cmocka_unit_test(capability_that_links_to_itself_is_refused),
        cmocka_unit_test(chain_that_loops_is_refused),
        cmocka_unit_test(second_list_of_ranges_is_refused),
        cmocka_unit_test(capability_past_the_end_is_refused),
        cmocka_unit_test(capability_inside_the_fixed_part_is_refused),
        cmocka_unit_test(misaligned_capability_is_refused),
        cmocka_unit_test(answer_cut_off_anywhere_is_refused),
        cmocka_unit_test(more_ranges_than_the_answer_holds_are_refused),
        cmocka_unit_test(invalid_ranges_are_refused),
        cmocka_unit_test(iommu_without_page_sizes_is_refused),
        cmocka_unit_test(answer_that_needs_more_room_is_queried_again),
        cmocka_unit_test(answer_that_grows_between_two_queries_is_queried_again),
        cmocka_unit_test(answer_that_never_fits_is_refused),
        cmocka_unit_test(answer_of_gigabytes_is_refused_without_a_second_call),
        cmocka_unit_test(refused_query_names_the_errno),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
