/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "nvme/prp.h"

#define LIST UINT64_C(0x77000)

static uint64_t list[PM_NVME_PRP_LIST_ENTRIES + 1];
static uint64_t prp[2];

static bool build(const PmDmaSegment *segments, size_t n_segments, GError **error)
{
    memset(list, 0, sizeof list);
    return pm_nvme_prp_build(segments, n_segments, list, LIST, prp, error);
}

static void assert_refused(const PmDmaSegment *segments, size_t n_segments, PmError code,
                           const char *text)
{
    g_autoptr(GError) error = NULL;

    assert_false(build(segments, n_segments, &error));
    assert_true(g_error_matches(error, PM_ERROR, (gint)code));
    assert_non_null(strstr(error->message, text));
}

static void assert_prps(uint64_t first, uint64_t second)
{
    assert_int_equal(prp[0], first);
    assert_int_equal(prp[1], second);
}

static void data_inside_a_page_has_one_prp(void **state)
{
    const PmDmaSegment whole = {0x5000, 4096};
    const PmDmaSegment inside = {0x5204, 512};

    (void)state;
    assert_true(build(&whole, 1, NULL));
    assert_prps(0x5000, 0);
    assert_true(build(&inside, 1, NULL));
    assert_prps(0x5204, 0);
}

static void data_in_two_pages_has_no_list(void **state)
{
    const PmDmaSegment crossing = {0x5f00, 512};

    (void)state;
    assert_true(build(&crossing, 1, NULL));
    assert_prps(0x5f00, 0x6000);
}

static void second_of_two_segments_is_the_second_prp(void **state)
{
    const PmDmaSegment segments[] = {{0x5e00, 512}, {0x9000, 512}};

    (void)state;
    assert_true(build(segments, 2, NULL));
    assert_prps(0x5e00, 0x9000);
}

static void third_page_needs_a_list_of_the_second_and_third(void **state)
{
    const PmDmaSegment segment = {0x5800, 4096 + 2048 + 1};

    (void)state;
    assert_true(build(&segment, 1, NULL));
    assert_prps(0x5800, LIST);
    assert_int_equal(list[0], 0x6000);
    assert_int_equal(list[1], 0x7000);
    assert_int_equal(list[2], 0);
}

static void list_continues_across_segments(void **state)
{
    const PmDmaSegment segments[] = {{0x5800, 2048}, {0x100000, 8192}, {0, 0}, {0x3000, 100}};

    (void)state;
    assert_true(build(segments, G_N_ELEMENTS(segments), NULL));
    assert_prps(0x5800, LIST);
    assert_int_equal(list[0], 0x100000);
    assert_int_equal(list[1], 0x101000);
    assert_int_equal(list[2], 0x3000);
}

static void full_list_is_used_and_not_exceeded(void **state)
{
    const uint64_t size = UINT64_C(4096) * (PM_NVME_PRP_LIST_ENTRIES + 1);
    const PmDmaSegment full = {0x100000, size};
    const PmDmaSegment shifted = {0x100004, size};

    (void)state;
    assert_true(build(&full, 1, NULL));
    assert_int_equal(list[PM_NVME_PRP_LIST_ENTRIES - 1], 0x100000 + size - 4096);
    assert_refused(&shifted, 1, PM_ERROR_LIMIT, "in more than 513 pages");
    assert_int_equal(list[PM_NVME_PRP_LIST_ENTRIES], 0);
}

static void without_a_list_there_are_two_pages(void **state)
{
    const PmDmaSegment two = {0x5000, 8192};
    const PmDmaSegment three = {0x5004, 8192};

    (void)state;
    assert_true(pm_nvme_prp_build(&two, 1, NULL, 0, prp, NULL));
    assert_prps(0x5000, 0x6000);
    assert_false(pm_nvme_prp_build(&three, 1, NULL, 0, prp, NULL));
}

static void data_that_continues_inside_a_page_is_refused(void **state)
{
    const PmDmaSegment ends_inside[] = {{0x5000, 512}, {0x9000, 512}};
    const PmDmaSegment begins_inside[] = {{0x5e00, 512}, {0x9200, 512}};

    (void)state;
    assert_refused(ends_inside, 2, PM_ERROR_UNALIGNED, "ends at 0x5200 and continues at 0x9000");
    assert_refused(begins_inside, 2, PM_ERROR_UNALIGNED, "ends at 0x6000 and continues at 0x9200");
}

static void address_must_be_a_multiple_of_4(void **state)
{
    const PmDmaSegment segment = {0x5002, 512};

    (void)state;
    assert_refused(&segment, 1, PM_ERROR_UNALIGNED, "invalid address 0x5002");
}

static void command_without_data_is_refused(void **state)
{
    const PmDmaSegment empty = {0x5000, 0};

    (void)state;
    assert_refused(NULL, 0, PM_ERROR_INVALID_ARGUMENT, "no data");
    assert_refused(&empty, 1, PM_ERROR_INVALID_ARGUMENT, "no data");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_inside_a_page_has_one_prp),
        cmocka_unit_test(data_in_two_pages_has_no_list),
        cmocka_unit_test(second_of_two_segments_is_the_second_prp),
        cmocka_unit_test(third_page_needs_a_list_of_the_second_and_third),
        cmocka_unit_test(list_continues_across_segments),
        cmocka_unit_test(full_list_is_used_and_not_exceeded),
        cmocka_unit_test(without_a_list_there_are_two_pages),
        cmocka_unit_test(data_that_continues_inside_a_page_is_refused),
        cmocka_unit_test(address_must_be_a_multiple_of_4),
        cmocka_unit_test(command_without_data_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
