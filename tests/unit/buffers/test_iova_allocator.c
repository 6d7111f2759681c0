/* SPDX-License-Identifier: MIT */
/* The choice of I/O addresses, also against a model of every page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/plugmap.h>

#include "buffers/iova_allocator.h"
#include "util/iommu_fixture.h"
#include "util/random_util.h"

#define PAGE UINT64_C(4096)

static PmIovaAllocator *allocator_new(uint64_t start, uint64_t last, uint64_t temporary_size)
{
    const PmIovaRange valid = {start, last};
    const PmIovaAllocatorConfig config = {
        .valid = &valid, .n_valid = 1, .page_size = PAGE, .temporary_size = temporary_size};

    return pm_iova_allocator_new(&config);
}

static uint64_t take_aligned(PmIovaAllocator *allocator, PmIovaClass iova_class, uint64_t size,
                             uint64_t alignment)
{
    uint64_t iova = 0;
    GError *error = NULL;

    (void)pm_iova_allocator_take(allocator, iova_class, size, alignment, &iova, &error);
    assert_null(error);
    return iova;
}

static uint64_t take(PmIovaAllocator *allocator, uint64_t size)
{
    return take_aligned(allocator, PM_IOVA_FIXED, size, 0);
}

static void put(PmIovaAllocator *allocator, uint64_t iova, uint64_t size)
{
    pm_iova_allocator_put(allocator, PM_IOVA_FIXED, iova, size);
}

static uint64_t n_free(PmIovaAllocator *allocator)
{
    return pm_iova_allocator_get_n_free(allocator, PM_IOVA_FIXED);
}

static void the_smallest_hole_that_has_room_is_used(void **state)
{
    g_autoptr(PmIovaAllocator) allocator = allocator_new(PAGE, 100 * PAGE - 1, 0);
    uint64_t large = take(allocator, 8 * PAGE);
    uint64_t small;

    (void)state;
    (void)take(allocator, PAGE);
    small = take(allocator, 3 * PAGE);
    (void)take(allocator, PAGE);
    put(allocator, large, 8 * PAGE);
    put(allocator, small, 3 * PAGE);
    assert_int_equal(take(allocator, 2 * PAGE), small);
    assert_int_equal(take(allocator, 2 * PAGE), large);
}

static void freed_space_is_merged_and_reused(void **state)
{
    g_autoptr(PmIovaAllocator) allocator = allocator_new(PAGE, 4 * PAGE - 1, 0);
    const uint64_t order[] = {0, 2, 1};

    (void)state;
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(take(allocator, PAGE), (i + 1) * PAGE);
    assert_int_equal(n_free(allocator), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(order); i++)
        put(allocator, (order[i] + 1) * PAGE, PAGE);
    assert_int_equal(pm_iova_allocator_get_n_holes(allocator, PM_IOVA_FIXED), 1);
    assert_int_equal(take(allocator, 3 * PAGE), PAGE);
}

static void an_address_has_the_alignment(void **state)
{
    g_autoptr(PmIovaAllocator) allocator = allocator_new(3 * PAGE, 64 * PAGE - 1, 0);

    (void)state;
    assert_int_equal(take_aligned(allocator, PM_IOVA_FIXED, 2 * PAGE, 8 * PAGE), 8 * PAGE);
    assert_int_equal(take(allocator, 5 * PAGE), 3 * PAGE);
    assert_int_equal(n_free(allocator), (61 - 7) * PAGE);
}

/* Frees pages @first to @last, which were taken one by one. */
static void put_pages(PmIovaAllocator *allocator, uint64_t first, uint64_t last)
{
    for (uint64_t page = first; page <= last; page++)
        put(allocator, page * PAGE, PAGE);
}

/* More holes have room without the alignment than are tried, and none has it wherever it starts. */
static void the_only_hole_with_room_for_the_alignment_is_found(void **state)
{
    g_autoptr(PmIovaAllocator) allocator = allocator_new(PAGE, 501 * PAGE - 1, 0);

    (void)state;
    for (uint64_t i = 0; i < 500; i++)
        (void)take(allocator, PAGE);
    for (uint64_t i = 0; i < 98; i++)
        put_pages(allocator, 4 * i + 1, 4 * i + 2);
    put_pages(allocator, 396, 398);
    assert_int_equal(take_aligned(allocator, PM_IOVA_FIXED, PAGE, 4 * PAGE), 396 * PAGE);
    put_pages(allocator, 450, 460);
    assert_int_equal(take_aligned(allocator, PM_IOVA_FIXED, PAGE, 4 * PAGE), 452 * PAGE);
}

static void lack_of_room_is_explained(void **state)
{
    g_autoptr(PmIovaAllocator) allocator = allocator_new(PAGE, 4 * PAGE - 1, 0);
    g_autoptr(GError) error = NULL;
    uint64_t iova = 77;

    (void)state;
    (void)take_aligned(allocator, PM_IOVA_FIXED, PAGE, 2 * PAGE);
    assert_false(
        pm_iova_allocator_take(allocator, PM_IOVA_FIXED, 3 * PAGE, 2 * PAGE, &iova, &error));
    assert_error(&error, PM_ERROR_LIMIT,
                 "no room for 12K of fixed I/O addresses at a multiple of 8K: the largest free "
                 "range has 4K");
    assert_false(pm_iova_allocator_take(allocator, PM_IOVA_TEMPORARY, PAGE, 0, &iova, &error));
    assert_error(&error, PM_ERROR_LIMIT, "temporary");
    assert_int_equal(iova, 77);
}

static void a_huge_alignment_or_size_does_not_overflow(void **state)
{
    g_autoptr(PmIovaAllocator) allocator = allocator_new(0, UINT64_MAX, 0);
    uint64_t iova;

    (void)state;
    assert_int_equal(n_free(allocator), UINT64_MAX - PAGE + 1);
    assert_false(pm_iova_allocator_take(allocator, PM_IOVA_FIXED, -(2 * PAGE) + PAGE * 2 - PAGE,
                                        UINT64_C(1) << 63, &iova, NULL));
    assert_int_equal(take_aligned(allocator, PM_IOVA_FIXED, PAGE, UINT64_C(1) << 63), UINT64_C(1)
                                                                                          << 63);
    assert_int_equal(take(allocator, (UINT64_C(1) << 63) - PAGE), PAGE);
    assert_int_equal(take(allocator, (UINT64_C(1) << 63) - PAGE), (UINT64_C(1) << 63) + PAGE);
    assert_int_equal(n_free(allocator), 0);
    put(allocator, (UINT64_C(1) << 63) + PAGE, (UINT64_C(1) << 63) - PAGE);
    assert_int_equal(n_free(allocator), (UINT64_C(1) << 63) - PAGE);
}

static void only_whole_pages_of_the_window_are_used(void **state)
{
    const PmIovaRange valid[] = {{0, 5 * PAGE}, {6 * PAGE + 1, 8 * PAGE - 1}, {9 * PAGE, 9 * PAGE}};
    PmIovaAllocatorConfig config = {.valid = valid, .n_valid = 3, .page_size = PAGE};
    g_autoptr(PmIovaAllocator) all = pm_iova_allocator_new(&config);
    g_autoptr(PmIovaAllocator) some = NULL;

    (void)state;
    assert_int_equal(n_free(all), (4 + 1) * PAGE);
    config.window = (PmIovaRange){2 * PAGE, 4 * PAGE - 2};
    some = pm_iova_allocator_new(&config);
    assert_int_equal(n_free(some), PAGE);
    assert_int_equal(take(some, PAGE), 2 * PAGE);
}

static void temporary_ranges_take_no_room_of_fixed_ones(void **state)
{
    g_autoptr(PmIovaAllocator) allocator = allocator_new(PAGE, 9 * PAGE - 1, 3 * PAGE);

    (void)state;
    assert_int_equal(take_aligned(allocator, PM_IOVA_TEMPORARY, PAGE, 0), 6 * PAGE);
    assert_int_equal(take(allocator, 5 * PAGE), PAGE);
    pm_iova_allocator_put(allocator, PM_IOVA_TEMPORARY, 6 * PAGE, PAGE);
    assert_int_equal(take_aligned(allocator, PM_IOVA_TEMPORARY, 3 * PAGE, 0), 6 * PAGE);
}

static void temporary_ranges_get_at_most_half(void **state)
{
    g_autoptr(PmIovaAllocator) allocator = allocator_new(PAGE, 8 * PAGE - 1, PM_TIB);

    (void)state;
    assert_int_equal(n_free(allocator), 4 * PAGE);
    assert_int_equal(pm_iova_allocator_get_n_free(allocator, PM_IOVA_TEMPORARY), 3 * PAGE);
}

static void the_number_of_ranges_is_limited(void **state)
{
    g_autoptr(PmIovaAllocator) allocator = allocator_new(PAGE, PM_TIB - 1, 0);
    g_autoptr(GError) error = NULL;
    uint64_t iova;

    (void)state;
    for (uint64_t i = 0; i < PM_IOVA_MAX_TAKEN; i++)
        assert_true(pm_iova_allocator_take(allocator, PM_IOVA_FIXED, PAGE, 0, &iova, NULL));
    assert_false(pm_iova_allocator_take(allocator, PM_IOVA_FIXED, PAGE, 0, &iova, &error));
    assert_error(&error, PM_ERROR_LIMIT, "1,048,576 ranges of I/O addresses are in use");
    put(allocator, 5 * PAGE, PAGE);
    assert_int_equal(take(allocator, PAGE), 5 * PAGE);
}

/* --- with an address space --- */

static PmIovaAllocator *allocator_of(IommuFixture *fixture)
{
    const PmIovaAllocatorConfig config = {
        .iommu = fixture->iommu,
        .window = {BASE, BASE + 2 * FIXTURE_MEMORY_SIZE - 1},
        .page_size = PAGE,
    };

    return pm_iova_allocator_new(&config);
}

static void claims_of_others_are_avoided(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIovaAllocator) allocator = allocator_of(fixture);
    g_autoptr(PmIommuClaim) later = NULL;

    assert_int_equal(take(allocator, PAGE), BASE + FIXTURE_MEMORY_SIZE);
    later = fixture_claim(fixture, BASE + FIXTURE_MEMORY_SIZE + PAGE, PAGE, PAGE, NULL);
    assert_non_null(later);
    assert_int_equal(take(allocator, PAGE), BASE + FIXTURE_MEMORY_SIZE + 2 * PAGE);
}

static void addresses_of_ended_claims_are_used_if_nothing_else_is_left(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIovaAllocator) allocator = allocator_of(fixture);
    uint64_t iova;

    assert_int_equal(take(allocator, FIXTURE_MEMORY_SIZE), BASE + FIXTURE_MEMORY_SIZE);
    assert_false(pm_iova_allocator_take(allocator, PM_IOVA_FIXED, PAGE, 0, &iova, NULL));
    fixture_drop_claim(fixture);
    assert_int_equal(take(allocator, FIXTURE_MEMORY_SIZE), BASE);
}

static void addresses_that_a_new_device_does_not_reach_are_avoided(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIovaAllocator) allocator = NULL;
    uint64_t iova;

    fixture_drop_claim(fixture);
    allocator = allocator_of(fixture);
    assert_true(pm_fake_kernel_add_device(fixture->kernel, 2, "0000:00:05.0", "vfio-pci", NULL));
    fixture->hooked.last_iova = BASE + 3 * PAGE - 1;
    assert_true(pm_iommu_attach(fixture->iommu, "0000:00:05.0", NULL));
    assert_false(pm_iova_allocator_take(allocator, PM_IOVA_FIXED, 4 * PAGE, 0, &iova, NULL));
    assert_int_equal(take(allocator, 3 * PAGE), BASE);
}

/* --- threads --- */

#define N_ROUNDS 20000

static void *take_and_put(void *user_data)
{
    PmIovaAllocator *allocator = user_data;

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        uint64_t size = (1 + i % 3) * PAGE;
        uint64_t iova;

        if (pm_iova_allocator_take(allocator, PM_IOVA_TEMPORARY, size, 0, &iova, NULL))
            pm_iova_allocator_put(allocator, PM_IOVA_TEMPORARY, iova, size);
    }
    return NULL;
}

static void threads_can_share_an_allocator(void **state)
{
    g_autoptr(PmIovaAllocator) allocator = allocator_new(PAGE, 17 * PAGE - 1, 8 * PAGE);
    GThread *other = g_thread_new("other", take_and_put, allocator);

    (void)state;
    (void)take_and_put(allocator);
    (void)g_thread_join(other);
    assert_int_equal(take_aligned(allocator, PM_IOVA_TEMPORARY, 8 * PAGE, 0), 9 * PAGE);
}

/* --- against a model --- */

#define N_PAGES     192
#define N_TEMPORARY 40
#define MAX_TAKEN   64

typedef enum {
    INVALID,
    FREE,
    TAKEN
} PageState;

typedef struct {
    uint64_t page;
    uint64_t n_pages;
    PmIovaClass iova_class;
} Taken;

typedef struct {
    PmIovaAllocator *allocator;
    GRand *random;
    uint64_t base;             /* bytes, of page 0 */
    uint8_t pages[2][N_PAGES]; /* of a class */
    Taken taken[MAX_TAKEN];
    unsigned n_taken;
} Model;

static uint32_t below(Model *model, uint32_t limit)
{
    return g_rand_int(model->random) % limit;
}

static void model_init(Model *model, uint64_t base)
{
    const PmIovaRange valid[] = {
        {base, base + 70 * PAGE - 1},
        {base + 71 * PAGE, base + 150 * PAGE - 1},
        {base + 155 * PAGE, base + (N_PAGES - 1) * PAGE + (PAGE - 1)},
    };
    const PmIovaRange avoid[] = {
        {base + 90 * PAGE + 5, base + 92 * PAGE + 5},
        {base + 20 * PAGE, base + 25 * PAGE - 1},
        {base + 22 * PAGE, base + 26 * PAGE - 1},
    };
    const PmIovaAllocatorConfig config = {.valid = valid,
                                          .n_valid = G_N_ELEMENTS(valid),
                                          .avoid = avoid,
                                          .n_avoid = G_N_ELEMENTS(avoid),
                                          .page_size = PAGE,
                                          .temporary_size = N_TEMPORARY * PAGE};
    unsigned n_left = N_TEMPORARY;

    model->base = base;
    model->allocator = pm_iova_allocator_new(&config);
    for (unsigned page = N_PAGES; page-- > 0;) {
        bool is_valid = (base != 0 || page != 0) && page != 70 && (page < 150 || page >= 155) &&
                        (page < 90 || page > 92) && (page < 20 || page > 25);
        unsigned iova_class = n_left > 0 ? PM_IOVA_TEMPORARY : PM_IOVA_FIXED;

        if (!is_valid)
            continue;
        model->pages[iova_class][page] = FREE;
        n_left -= iova_class == PM_IOVA_TEMPORARY;
    }
}

/* The first page of the lowest of the smallest holes that have room for an aligned range, or
 * N_PAGES. */
static unsigned best_fit(const Model *model, const uint8_t *pages, unsigned n_pages,
                         uint64_t alignment)
{
    unsigned best = N_PAGES;
    unsigned best_size = UINT_MAX;

    for (unsigned page = 0, end; page < N_PAGES; page = end + 1) {
        uint64_t skip = (-(model->base + page * PAGE) & (alignment - 1)) / PAGE;

        for (end = page; end < N_PAGES && pages[end] == FREE; end++)
            ;
        if (end - page < best_size && skip + n_pages <= end - page) {
            best_size = end - page;
            best = page + (unsigned)skip;
        }
    }
    return best;
}

static void take_some(Model *model)
{
    PmIovaClass iova_class = below(model, 3) == 0 ? PM_IOVA_TEMPORARY : PM_IOVA_FIXED;
    uint8_t *pages = model->pages[iova_class];
    unsigned n_pages = 1 + below(model, below(model, 8) == 0 ? 60 : 6);
    uint64_t alignment = PAGE << (below(model, 2) == 0 ? below(model, 5) : 0);
    unsigned best = best_fit(model, pages, n_pages, alignment);
    uint64_t iova = 0;
    unsigned page;

    if (!pm_iova_allocator_take(model->allocator, iova_class, n_pages * PAGE, alignment, &iova,
                                NULL)) {
        assert_int_equal(best, N_PAGES);
        return;
    }
    page = (unsigned)((iova - model->base) / PAGE);
    assert_true(iova >= model->base && page + n_pages <= N_PAGES);
    assert_int_equal(iova % alignment, 0);
    if (alignment == PAGE)
        assert_int_equal(page, best);
    for (unsigned i = page; i < page + n_pages; i++) {
        assert_int_equal(pages[i], FREE);
        pages[i] = TAKEN;
    }
    model->taken[model->n_taken++] = (Taken){page, n_pages, iova_class};
}

static void put_some(Model *model)
{
    unsigned which = below(model, model->n_taken);
    const Taken taken = model->taken[which];

    pm_iova_allocator_put(model->allocator, taken.iova_class, model->base + taken.page * PAGE,
                          taken.n_pages * PAGE);
    memset(&model->pages[taken.iova_class][taken.page], FREE, taken.n_pages);
    model->taken[which] = model->taken[--model->n_taken];
}

/* No hole is lost, and none next to another. */
static void check_holes(Model *model)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t n_free_pages = 0;
        uint64_t n_holes = 0;

        for (unsigned page = 0; page < N_PAGES; page++) {
            bool is_free = model->pages[i][page] == FREE;

            n_free_pages += is_free;
            n_holes += is_free && (page == 0 || model->pages[i][page - 1] != FREE);
        }
        assert_int_equal(pm_iova_allocator_get_n_free(model->allocator, i), n_free_pages * PAGE);
        assert_int_equal(pm_iova_allocator_get_n_holes(model->allocator, i), n_holes);
    }
}

static void run_model(uint64_t base, unsigned n_steps)
{
    Model *model = g_new0(Model, 1);

    model->random = random_new("iova_allocator");
    model_init(model, base);
    for (unsigned step = 0; step < n_steps; step++) {
        if (model->n_taken < MAX_TAKEN && (model->n_taken == 0 || below(model, 100) < 55))
            take_some(model);
        else
            put_some(model);
        if (step % 16 == 0)
            check_holes(model);
    }
    check_holes(model);
    pm_iova_allocator_free(model->allocator);
    g_rand_free(model->random);
    g_free(model);
}

static void random_operations_match_a_model(void **state)
{
    (void)state;
    run_model(0, random_steps(500000));
}

static void random_operations_at_the_last_addresses_match_a_model(void **state)
{
    (void)state;
    run_model(-(N_PAGES * PAGE), random_steps(500000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_hole_that_has_room_is_used),
        cmocka_unit_test(freed_space_is_merged_and_reused),
        cmocka_unit_test(an_address_has_the_alignment),
        cmocka_unit_test(the_only_hole_with_room_for_the_alignment_is_found),
        cmocka_unit_test(lack_of_room_is_explained),
        cmocka_unit_test(a_huge_alignment_or_size_does_not_overflow),
        cmocka_unit_test(only_whole_pages_of_the_window_are_used),
        cmocka_unit_test(temporary_ranges_take_no_room_of_fixed_ones),
        cmocka_unit_test(temporary_ranges_get_at_most_half),
        cmocka_unit_test(the_number_of_ranges_is_limited),
        cmocka_unit_test_setup_teardown(claims_of_others_are_avoided, iommu_fixture_setup,
                                        iommu_fixture_teardown),
        cmocka_unit_test_setup_teardown(addresses_of_ended_claims_are_used_if_nothing_else_is_left,
                                        iommu_fixture_setup, iommu_fixture_teardown),
        cmocka_unit_test_setup_teardown(addresses_that_a_new_device_does_not_reach_are_avoided,
                                        iommu_fixture_setup, iommu_fixture_teardown),
        cmocka_unit_test(threads_can_share_an_allocator),
        cmocka_unit_test(random_operations_match_a_model),
        cmocka_unit_test(random_operations_at_the_last_addresses_match_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
