/* SPDX-License-Identifier: MIT */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/range_map.h"
#include "util/allocation_util.h"
#include "util/random_util.h"

typedef struct {
    PmRangeKey key;
    uint64_t value;
} Record;

static int make(void **state)
{
    *state = pm_range_map_new(sizeof(Record));
    return 0;
}

static int drop(void **state)
{
    pm_range_map_free(*state);
    return 0;
}

static void add(PmRangeMap *map, uint64_t first, uint64_t last, uint64_t value)
{
    Record record = {{first, last}, value};

    assert_true(pm_range_map_insert(map, &record));
}

static void assert_found(PmRangeMap *map, uint64_t address, uint64_t first, uint64_t last,
                         uint64_t value)
{
    const Record *record = pm_range_map_find(map, address);

    assert_non_null(record);
    assert_int_equal(record->key.first, first);
    assert_int_equal(record->key.last, last);
    assert_int_equal(record->value, value);
}

static void empty_map_finds_and_removes_nothing(void **state)
{
    assert_null(pm_range_map_find(*state, 0));
    assert_int_equal(pm_range_map_remove(*state, 0, UINT64_MAX), 0);
    assert_int_equal(pm_range_map_n_records(*state), 0);
}

static void find_returns_the_containing_record_or_the_next(void **state)
{
    add(*state, 10, 19, 1);
    add(*state, 30, 39, 2);
    assert_found(*state, 0, 10, 19, 1);
    assert_found(*state, 10, 10, 19, 1);
    assert_found(*state, 19, 10, 19, 1);
    assert_found(*state, 20, 30, 39, 2);
    assert_found(*state, 39, 30, 39, 2);
    assert_null(pm_range_map_find(*state, 40));
}

static void a_range_can_end_at_the_last_address(void **state)
{
    add(*state, UINT64_MAX - 9, UINT64_MAX, 7);
    assert_found(*state, UINT64_MAX, UINT64_MAX - 9, UINT64_MAX, 7);
    assert_int_equal(pm_range_map_remove(*state, UINT64_MAX - 9, UINT64_MAX), 1);
    assert_null(pm_range_map_find(*state, 0));
}

static void remove_is_limited_to_the_range(void **state)
{
    for (uint64_t i = 0; i < 1000; i++)
        add(*state, 10 * i, 10 * i + 9, i);
    assert_int_equal(pm_range_map_remove(*state, 50, 8999), 895);
    assert_int_equal(pm_range_map_n_records(*state), 105);
    assert_found(*state, 49, 40, 49, 4);
    assert_found(*state, 50, 9000, 9009, 900);
    assert_int_equal(pm_range_map_remove(*state, 50, 8999), 0);
}

static void a_record_changed_in_place_is_found(void **state)
{
    Record *record;

    for (uint64_t i = 1; i <= 1000; i++)
        add(*state, 100 * i, 100 * i + 9, i);
    for (uint64_t i = 1; i <= 1000; i++) {
        record = pm_range_map_find(*state, 100 * i);
        record->key = (PmRangeKey){100 * i - 50, 100 * i - 41};
    }
    for (uint64_t i = 1; i < 1000; i++) {
        assert_found(*state, 100 * i - 41, 100 * i - 50, 100 * i - 41, i);
        assert_found(*state, 100 * i, 100 * i + 50, 100 * i + 59, i + 1);
    }
    assert_int_equal(pm_range_map_remove(*state, 50, 59), 1);
}

static void ascending_inserts_fill_chunks(void **state)
{
    const size_t n_records = 200000;
    size_t before = mallinfo2().uordblks;
    size_t used;

    for (uint64_t i = 0; i < n_records; i++)
        add(*state, i, i, i);
    used = mallinfo2().uordblks - before;
    /* 0 with allocators that do not report it. */
    assert_true(used <= n_records * sizeof(Record) * 11 / 10);
}

static void descending_inserts_keep_every_record(void **state)
{
    for (uint64_t i = 100000; i > 0; i--)
        add(*state, i, i, i);
    assert_int_equal(pm_range_map_n_records(*state), 100000);
    for (uint64_t i = 1; i <= 100000; i++)
        assert_found(*state, i, i, i, i);
}

/* --- out of memory --- */

/* Enough for many full chunks and a full directory. */
#define N_CROWDED UINT64_C(10000)

static void crowd(PmRangeMap *map)
{
    for (uint64_t i = 0; i < N_CROWDED; i++)
        add(map, 10 * i, 10 * i, i);
}

static bool try_to_add(PmRangeMap *map, uint64_t address)
{
    const Record record = {{address, address}, 77};

    return pm_range_map_insert(map, &record);
}

static void reserved_inserts_do_not_allocate(void **state)
{
    crowd(*state);
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t at = (i * 7919 % N_CROWDED) * 10;
        bool added;

        assert_true(pm_range_map_reserve(*state, 3));
        allocations_end_after(0);
        added = try_to_add(*state, at + 1) && try_to_add(*state, at + 2) &&
                try_to_add(*state, 10 * N_CROWDED + i);
        allocations_go_on();
        assert_true(added);
    }
    assert_int_equal(pm_range_map_n_records(*state), N_CROWDED + 6000);
}

static void first_insert_of_a_map_can_be_reserved(void **state)
{
    bool added;

    assert_true(pm_range_map_reserve(*state, 1));
    allocations_end_after(0);
    added = try_to_add(*state, 5);
    allocations_go_on();
    assert_true(added);
    assert_found(*state, 0, 5, 5, 77);
}

static void unused_reservation_is_reused(void **state)
{
    bool reserved;

    assert_true(pm_range_map_reserve(*state, 2));
    allocations_end_after(0);
    reserved = pm_range_map_reserve(*state, 2) && pm_range_map_reserve(*state, 1);
    allocations_go_on();
    assert_true(reserved);
}

static void failed_reservation_changes_nothing(void **state)
{
    crowd(*state);
    for (unsigned n_left = 0; n_left < 3; n_left++) {
        bool reserved;

        allocations_end_after(n_left);
        reserved = pm_range_map_reserve(*state, 4);
        allocations_go_on();
        assert_false(reserved);
        assert_int_equal(pm_range_map_n_records(*state), N_CROWDED);
        assert_found(*state, 49991, 50000, 50000, 5000);
    }
    assert_true(pm_range_map_reserve(*state, 4));
}

static void insert_without_memory_changes_nothing(void **state)
{
    bool added = true;

    crowd(*state);
    allocations_end_after(0);
    for (unsigned i = 1; i < 200 && added; i++)
        added = try_to_add(*state, 10 * N_CROWDED + i);
    allocations_go_on();
    assert_false(added);
    for (uint64_t i = 0; i < N_CROWDED; i++)
        assert_found(*state, 10 * i, 10 * i, 10 * i, i);
}

/* --- against a simple model: the record of each address, 0 for none --- */

#define SPACE 30000

typedef struct {
    PmRangeMap *map;
    GRand *random;
    uint32_t owner[SPACE];
    uint32_t next_value;
    uint64_t n_records;
} Model;

static uint32_t below(Model *model, uint32_t limit)
{
    return (uint32_t)g_rand_int_range(model->random, 0, (gint32)limit);
}

static bool starts_at(const Model *model, uint32_t at)
{
    return model->owner[at] != 0 && (at == 0 || model->owner[at - 1] != model->owner[at]);
}

static uint32_t end_of(const Model *model, uint32_t at)
{
    uint32_t owner = model->owner[at];

    while (at < SPACE && model->owner[at] == owner)
        at++;
    return at;
}

static void insert_run(Model *model, uint32_t first, uint32_t size)
{
    for (uint32_t i = first; i < first + size; i++) {
        if (i >= SPACE || model->owner[i] != 0)
            return;
    }
    for (uint32_t i = first; i < first + size; i++)
        model->owner[i] = model->next_value;
    add(model->map, first, first + size - 1, model->next_value);
    model->next_value++;
    model->n_records++;
}

/* Random single records, and ascending runs like those of PLUG. */
static void insert_some(Model *model)
{
    uint32_t count = below(model, 10) == 0 ? 300 : 1;
    uint32_t size = 1 + below(model, 6);
    uint32_t first = below(model, SPACE);

    for (uint32_t i = 0; i < count; i++)
        insert_run(model, first + i * size, size);
}

static void remove_some(Model *model)
{
    uint32_t first = below(model, SPACE);
    uint32_t size = 1 + below(model, below(model, 4) == 0 ? 6000 : 60);
    uint32_t end = MIN(SPACE, first + size);
    uint64_t n_removed = 0;

    while (first < end && model->owner[first] != 0 && !starts_at(model, first))
        first++;
    while (end > first && end < SPACE && model->owner[end] != 0 && !starts_at(model, end))
        end--;
    if (first == end)
        return;
    for (uint32_t i = first; i < end; i++)
        n_removed += starts_at(model, i);
    memset(&model->owner[first], 0, (end - first) * sizeof(*model->owner));
    assert_int_equal(pm_range_map_remove(model->map, first, end - 1), n_removed);
    model->n_records -= n_removed;
}

static void shrink_one(Model *model)
{
    Record *record = pm_range_map_find(model->map, below(model, SPACE));

    if (record == NULL || record->key.first == record->key.last)
        return;
    if (below(model, 2) == 0)
        model->owner[record->key.first++] = 0;
    else
        model->owner[record->key.last--] = 0;
}

static void check_find(Model *model, uint32_t address)
{
    uint32_t at = address;
    uint32_t first;

    while (at < SPACE && model->owner[at] == 0)
        at++;
    if (at == SPACE) {
        assert_null(pm_range_map_find(model->map, address));
        return;
    }
    for (first = at; !starts_at(model, first); first--)
        ;
    assert_found(model->map, address, first, end_of(model, at) - 1, model->owner[at]);
}

static void random_changes_match_a_simple_model(void **state)
{
    Model *model = g_new0(Model, 1);
    unsigned n_steps = random_steps(100000);

    model->map = *state;
    model->random = random_new("range_map");
    model->next_value = 1;
    for (unsigned step = 0; step < n_steps; step++) {
        uint32_t what = below(model, 8);

        if (what < 4)
            insert_some(model);
        else if (what < 7)
            remove_some(model);
        else
            shrink_one(model);
        assert_int_equal(pm_range_map_n_records(model->map), model->n_records);
        check_find(model, below(model, SPACE));
    }
    for (uint32_t address = 0; address < SPACE; address++)
        check_find(model, address);
    g_rand_free(model->random);
    g_free(model);
}

static void a_small_map_can_have_more_records_than_it_was_made_for(void **state)
{
    g_autoptr(PmRangeMap) map = pm_range_map_new_small(sizeof(Record), 1);

    (void)state;
    for (uint64_t i = 0; i < 500; i++) { /* in an order that splits chunks at all places */
        uint64_t first = i * 307 % 500 * 10;

        add(map, first, first + 4, first);
    }
    for (uint64_t i = 0; i < 500; i++)
        assert_found(map, i * 10 - (i > 0 ? 5 : 0), i * 10, i * 10 + 4, i * 10);
    assert_int_equal(pm_range_map_remove(map, 1000, 3999), 300);
    assert_found(map, 1000, 4000, 4004, 4000);
    assert_int_equal(pm_range_map_n_records(map), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_map_can_have_more_records_than_it_was_made_for),
        cmocka_unit_test_setup_teardown(empty_map_finds_and_removes_nothing, make, drop),
        cmocka_unit_test_setup_teardown(find_returns_the_containing_record_or_the_next, make, drop),
        cmocka_unit_test_setup_teardown(a_range_can_end_at_the_last_address, make, drop),
        cmocka_unit_test_setup_teardown(remove_is_limited_to_the_range, make, drop),
        cmocka_unit_test_setup_teardown(a_record_changed_in_place_is_found, make, drop),
        cmocka_unit_test_setup_teardown(ascending_inserts_fill_chunks, make, drop),
        cmocka_unit_test_setup_teardown(descending_inserts_keep_every_record, make, drop),
        cmocka_unit_test_setup_teardown(reserved_inserts_do_not_allocate, make, drop),
        cmocka_unit_test_setup_teardown(first_insert_of_a_map_can_be_reserved, make, drop),
        cmocka_unit_test_setup_teardown(unused_reservation_is_reused, make, drop),
        cmocka_unit_test_setup_teardown(failed_reservation_changes_nothing, make, drop),
        cmocka_unit_test_setup_teardown(insert_without_memory_changes_nothing, make, drop),
        cmocka_unit_test_setup_teardown(random_changes_match_a_simple_model, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
