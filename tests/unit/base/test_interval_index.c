/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/interval_index.h"
#include "util/random_util.h"

#define N_INTERVALS 400
#define N_STEPS     4000

typedef struct {
    PmInterval interval; /* first: the tests cast */
    bool inserted;
    unsigned n_visits;
} Item;

static int make(void **state)
{
    *state = pm_interval_index_new();
    return 0;
}

static int drop(void **state)
{
    pm_interval_index_free(*state);
    return 0;
}

static void add(PmIntervalIndex *index, Item *item, uint64_t first, uint64_t last)
{
    *item = (Item){.interval = {.first = first, .last = last}, .inserted = true};
    pm_interval_index_insert(index, &item->interval);
}

static bool visit(PmInterval *interval, void *user_data)
{
    (*(unsigned *)user_data)++;
    ((Item *)interval)->n_visits++;
    return true;
}

static unsigned count(const PmIntervalIndex *index, uint64_t first, uint64_t last)
{
    unsigned n_visits = 0;

    assert_true(pm_interval_index_foreach(index, first, last, visit, &n_visits));
    return n_visits;
}

static bool stop(PmInterval *interval, void *user_data)
{
    (void)interval;
    (*(unsigned *)user_data)++;
    return false;
}

static void an_empty_index_visits_nothing(void **state)
{
    assert_int_equal(count(*state, 0, UINT64_MAX), 0);
    assert_int_equal(pm_interval_index_n_intervals(*state), 0);
}

static void an_interval_is_visited_if_it_has_an_address_in_the_range(void **state)
{
    Item item;

    add(*state, &item, 10, 19);
    assert_int_equal(count(*state, 0, 9), 0);
    assert_int_equal(count(*state, 0, 10), 1);
    assert_int_equal(count(*state, 12, 13), 1);
    assert_int_equal(count(*state, 19, 30), 1);
    assert_int_equal(count(*state, 20, 30), 0);
    assert_int_equal(count(*state, 0, UINT64_MAX), 1);
}

static void the_first_and_the_last_address_count(void **state)
{
    Item all;
    Item low;
    Item high;

    add(*state, &all, 0, UINT64_MAX);
    add(*state, &low, 0, 0);
    add(*state, &high, UINT64_MAX, UINT64_MAX);
    assert_int_equal(count(*state, 0, 0), 2);
    assert_int_equal(count(*state, 1, UINT64_MAX - 1), 1);
    assert_int_equal(count(*state, UINT64_MAX, UINT64_MAX), 2);
}

static void equal_intervals_are_removed_one_by_one(void **state)
{
    Item items[3];

    for (unsigned i = 0; i < 3; i++)
        add(*state, &items[i], 4096, 8191);
    pm_interval_index_remove(*state, &items[1].interval);
    assert_int_equal(count(*state, 5000, 5000), 2);
    assert_int_equal(items[0].n_visits, 1);
    assert_int_equal(items[1].n_visits, 0);
    assert_int_equal(items[2].n_visits, 1);
    assert_int_equal(pm_interval_index_n_intervals(*state), 2);
}

static void a_visitor_can_stop(void **state)
{
    Item items[3];
    unsigned n_visits = 0;

    add(*state, &items[0], 100, 1000); /* with centers below, in and above the range */
    add(*state, &items[1], 600, 700);
    add(*state, &items[2], 650, 4000);
    assert_false(pm_interval_index_foreach(*state, 660, 690, stop, &n_visits));
    assert_int_equal(n_visits, 1);
}

/* Addresses of any size, so that centers of all levels occur. */
static uint64_t random_address(GRand *random)
{
    uint64_t value = (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);

    return value >> g_rand_int_range(random, 0, 64);
}

static void random_range(GRand *random, uint64_t *first, uint64_t *last)
{
    uint64_t size = random_address(random);

    *first = random_address(random);
    *last = *first + size < *first ? UINT64_MAX : *first + size;
}

static void compare(const PmIntervalIndex *index, Item *items, uint64_t first, uint64_t last)
{
    unsigned n_visits;
    unsigned n_expected = 0;

    for (unsigned i = 0; i < N_INTERVALS; i++)
        items[i].n_visits = 0;
    n_visits = count(index, first, last);
    for (unsigned i = 0; i < N_INTERVALS; i++) {
        const PmInterval *interval = &items[i].interval;
        bool overlaps = items[i].inserted && interval->first <= last && interval->last >= first;

        assert_int_equal(items[i].n_visits, overlaps ? 1 : 0);
        n_expected += overlaps;
    }
    assert_int_equal(n_visits, n_expected);
}

static void every_overlapping_interval_is_visited_once(void **state)
{
    g_autoptr(GRand) random = random_new("interval_index");
    g_autofree Item *items = g_new0(Item, N_INTERVALS);
    unsigned n_steps = random_steps(N_STEPS);
    uint64_t first;
    uint64_t last;

    for (unsigned step = 0; step < n_steps; step++) {
        Item *item = &items[g_rand_int_range(random, 0, N_INTERVALS)];

        random_range(random, &first, &last);
        if (item->inserted) {
            pm_interval_index_remove(*state, &item->interval);
            item->inserted = false;
        } else {
            add(*state, item, first, last);
        }
        random_range(random, &first, &last);
        compare(*state, items, first, last);
        compare(*state, items, first, first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_index_visits_nothing, make, drop),
        cmocka_unit_test_setup_teardown(an_interval_is_visited_if_it_has_an_address_in_the_range,
                                        make, drop),
        cmocka_unit_test_setup_teardown(the_first_and_the_last_address_count, make, drop),
        cmocka_unit_test_setup_teardown(equal_intervals_are_removed_one_by_one, make, drop),
        cmocka_unit_test_setup_teardown(a_visitor_can_stop, make, drop),
        cmocka_unit_test_setup_teardown(every_overlapping_interval_is_visited_once, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
