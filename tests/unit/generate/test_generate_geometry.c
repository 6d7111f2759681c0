/* SPDX-License-Identifier: MIT */
/* How the driver divides the region: sub-blocks, big blocks, what is not aligned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/size.h>

#include "generate/geometry.h"

#define ADDRESS (4 * PM_GIB)

static PmGuestGeometry geometry_of(uint64_t block_size, uint64_t memory_block, bool has_big_blocks)
{
    PmGuestGeometry geometry;

    assert_true(pm_guest_geometry_init(&geometry, ADDRESS, 4 * PM_GIB, block_size, memory_block,
                                       has_big_blocks, NULL));
    return geometry;
}

static void a_sub_block_is_a_block_but_at_least_a_page_block(void **state)
{
    PmGuestGeometry small = geometry_of(PM_MIB, 128 * PM_MIB, false);
    PmGuestGeometry large = geometry_of(64 * PM_MIB, 128 * PM_MIB, false);

    (void)state;
    assert_false(small.has_big_blocks);
    assert_int_equal(small.unit_size, 2 * PM_MIB);
    assert_int_equal(small.units_per_chunk, 64);
    assert_int_equal(small.n_chunks, 32);
    assert_false(large.has_big_blocks);
    assert_int_equal(large.units_per_chunk, 2);
}

static void blocks_of_at_least_a_memory_block_are_big_blocks(void **state)
{
    PmGuestGeometry equal = geometry_of(128 * PM_MIB, 128 * PM_MIB, false);
    PmGuestGeometry larger = geometry_of(256 * PM_MIB, 128 * PM_MIB, false);
    PmGuestGeometry forced = geometry_of(2 * PM_MIB, 128 * PM_MIB, true);

    (void)state;
    assert_true(equal.has_big_blocks);
    assert_int_equal(equal.chunk_size, 128 * PM_MIB);
    assert_true(larger.has_big_blocks);
    assert_int_equal(larger.chunk_size, 256 * PM_MIB);
    assert_int_equal(larger.units_per_chunk, 2);
    assert_true(forced.has_big_blocks);
    assert_int_equal(forced.chunk_size, 128 * PM_MIB);
    assert_int_equal(forced.block_size, 2 * PM_MIB);
}

static void parts_of_memory_blocks_at_the_ends_are_not_used(void **state)
{
    PmGuestGeometry geometry;

    (void)state;
    assert_true(pm_guest_geometry_init(&geometry, ADDRESS + 2 * PM_MIB, PM_GIB, 2 * PM_MIB,
                                       128 * PM_MIB, false, NULL));
    assert_int_equal(geometry.address, ADDRESS + 128 * PM_MIB);
    assert_int_equal(geometry.n_chunks, 7);
    assert_true(pm_guest_geometry_init(&geometry, ADDRESS + 2 * PM_MIB, 64 * PM_MIB, 2 * PM_MIB,
                                       128 * PM_MIB, false, NULL));
    assert_int_equal(geometry.n_chunks, 0);
}

static void only_whole_memory_blocks_of_the_usable_region_are_usable(void **state)
{
    PmGuestGeometry geometry = geometry_of(2 * PM_MIB, 128 * PM_MIB, false);

    (void)state;
    assert_int_equal(pm_guest_geometry_usable_chunks(&geometry, ADDRESS, 0), 0);
    assert_int_equal(pm_guest_geometry_usable_chunks(&geometry, ADDRESS, 254 * PM_MIB), 1);
    assert_int_equal(pm_guest_geometry_usable_chunks(&geometry, ADDRESS, 256 * PM_MIB), 2);
    assert_int_equal(pm_guest_geometry_usable_chunks(&geometry, ADDRESS, 8 * PM_GIB), 32);
    assert_int_equal(
        pm_guest_geometry_usable_chunks(&geometry, ADDRESS - 64 * PM_MIB, 256 * PM_MIB), 1);
    assert_int_equal(pm_guest_geometry_usable_chunks(&geometry, ADDRESS - 64 * PM_MIB, 32 * PM_MIB),
                     0);
}

static void assert_refused(uint64_t block_size, uint64_t memory_block, const char *hint)
{
    PmGuestGeometry geometry;
    g_autoptr(GError) error = NULL;

    assert_false(
        pm_guest_geometry_init(&geometry, 0, PM_TIB, block_size, memory_block, false, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT));
    assert_non_null(strstr(error->message, hint));
}

static void a_request_that_needs_more_than_16_bits_is_refused(void **state)
{
    PmGuestGeometry geometry;

    (void)state;
    assert_refused(4 * PM_KIB, 256 * PM_MIB, "has 65,536 blocks of 4K");
    assert_true(
        pm_guest_geometry_init(&geometry, 0, PM_TIB, 4 * PM_KIB, 128 * PM_MIB, false, NULL));
}

static void an_impossible_memory_block_is_refused(void **state)
{
    (void)state;
    assert_refused(2 * PM_MIB, 0, "invalid memory block size 0: must be a power of two from 4M");
    assert_refused(2 * PM_MIB, 2 * PM_MIB, "invalid memory block size 2M");
    assert_refused(2 * PM_MIB, 96 * PM_MIB, "invalid memory block size 96M");
    assert_refused(2 * PM_MIB, 2 * PM_TIB, "invalid memory block size 2T");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sub_block_is_a_block_but_at_least_a_page_block),
        cmocka_unit_test(blocks_of_at_least_a_memory_block_are_big_blocks),
        cmocka_unit_test(parts_of_memory_blocks_at_the_ends_are_not_used),
        cmocka_unit_test(only_whole_memory_blocks_of_the_usable_region_are_usable),
        cmocka_unit_test(a_request_that_needs_more_than_16_bits_is_refused),
        cmocka_unit_test(an_impossible_memory_block_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
