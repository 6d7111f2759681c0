/* SPDX-License-Identifier: MIT */
/* Random changes of a table, compared with a model that knows each page on its own. */
#include "lease_util.h"

#include "util/random_util.h"

#define PAGE     UINT64_C(4096)
#define N_PAGES  32
#define MAX_HELD 8

typedef enum {
    ABSENT,
    DISCARDED,
    UNREGISTERED,
    OPENED,
    CLOSED
} State;

/* A block is a page. Its address is different from all that it had before. */
typedef struct {
    PmLeaseRange *range;
    uint64_t first; /* page of the range */
    uint64_t n_pages;
    State state;
    uint64_t address;
    unsigned n_leases;
} Page;

static struct {
    GRand *random;
    PmLeaseTable *table;
    Page pages[N_PAGES];
    PmLease held[MAX_HELD];
    unsigned n_held;
    uint64_t next_address;
} model;

static uint64_t any(uint64_t end)
{
    return (uint64_t)g_rand_int_range(model.random, 0, (gint32)end);
}

static bool all_are(uint64_t first, uint64_t n, State state)
{
    for (uint64_t i = first; i < first + n; i++)
        if (model.pages[i].state != state)
            return false;
    return true;
}

static void add_range(uint64_t first, uint64_t n)
{
    PmLeaseRange *range =
        pm_lease_table_add(model.table, pointer(HOST + first * PAGE), n * PAGE, PAGE, NULL);

    assert_int_equal(range != NULL, all_are(first, n, ABSENT));
    for (uint64_t i = first; range != NULL && i < first + n; i++)
        model.pages[i] = (Page){range, first, n, DISCARDED, 0, 0};
}

static bool close_one(Page *page, uint64_t index)
{
    bool done = pm_lease_range_close(page->range, (index - page->first) * PAGE, PAGE, 0, NULL);

    assert_int_equal(done, page->n_leases == 0);
    return done;
}

static void remove_range(uint64_t index)
{
    const Page range = model.pages[index];
    uint64_t n_leases = 0;
    uint64_t n_left = 0;

    for (uint64_t i = range.first; i < range.first + range.n_pages; i++) {
        n_leases += model.pages[i].n_leases;
        if (model.pages[i].state == CLOSED)
            return;
    }
    assert_int_equal(pm_lease_range_close(range.range, 0, range.n_pages * PAGE, 0, &n_left),
                     n_leases == 0);
    assert_int_equal(n_left, n_leases);
    if (n_leases > 0)
        return;
    pm_lease_table_remove(model.table, range.range);
    for (uint64_t i = range.first; i < range.first + range.n_pages; i++)
        model.pages[i] = (Page){0};
}

static void change_page(uint64_t index)
{
    Page *page = &model.pages[index];
    uint64_t offset = (index - page->first) * PAGE;

    if (page->state == OPENED) {
        if (any(4) == 0 && close_one(page, index))
            page->state = CLOSED;
    } else if (page->state == CLOSED && any(2) == 0) {
        pm_lease_range_reopen(page->range, offset, PAGE);
        page->state = OPENED;
    } else if (any(4) == 0) {
        page->state = any(2) == 0 ? DISCARDED : UNREGISTERED;
        (page->state == DISCARDED ? pm_lease_range_set_discarded
                                  : pm_lease_range_set_unregistered)(page->range, offset, PAGE);
        pm_lease_range_reopen(page->range, offset, PAGE);
    } else {
        page->address = model.next_address;
        page->state = OPENED;
        pm_lease_range_open(page->range, offset, PAGE, page->address);
        model.next_address += PAGE * (1 + any(2));
    }
}

static PmLeaseResult expect(uint64_t offset, uint64_t size, uint64_t *failed_at)
{
    static const PmLeaseResult results[] = {PM_LEASE_UNKNOWN, PM_LEASE_DISCARDED,
                                            PM_LEASE_UNREGISTERED, PM_LEASE_GRANTED,
                                            PM_LEASE_CLOSED};

    for (uint64_t at = offset; at < offset + size; at = (at / PAGE + 1) * PAGE) {
        State state = at / PAGE < N_PAGES ? model.pages[at / PAGE].state : ABSENT;

        *failed_at = at - offset;
        if (state != OPENED)
            return results[state];
    }
    return PM_LEASE_GRANTED;
}

static void count(uint64_t offset, uint64_t size, unsigned change)
{
    for (uint64_t i = offset / PAGE; i <= (offset + size - 1) / PAGE; i++)
        model.pages[i].n_leases += change;
}

static void check_translation(const PmLease *held, uint64_t offset)
{
    uint64_t at = 0;
    PmLeaseRun run;

    for (; pm_lease_next(held, at, &run); at += run.size)
        for (uint64_t i = 0; i < run.size; i += MIN(1000, MAX(run.size - 1 - i, 1))) {
            uint64_t byte = offset + at + i;

            assert_int_equal(run.address + i, model.pages[byte / PAGE].address + byte % PAGE);
        }
    assert_int_equal(at, held->size);
}

static void acquire(void)
{
    uint64_t offset = any(N_PAGES * PAGE);
    uint64_t size = 1 + any(4 * PAGE);
    PmLease *held = &model.held[model.n_held];
    uint64_t failed_at = 0;
    uint64_t expected_at = 0;
    PmLeaseResult expected = expect(offset, size, &expected_at);

    if (model.n_held == MAX_HELD)
        return;
    assert_int_equal(pm_lease_acquire(model.table, held, pointer(HOST + offset), size, &failed_at),
                     expected);
    if (expected != PM_LEASE_GRANTED) {
        assert_int_equal(failed_at, expected_at);
        return;
    }
    model.n_held++;
    count(offset, size, 1);
    check_translation(held, offset);
}

static void release(void)
{
    unsigned index;

    if (model.n_held == 0)
        return;
    index = (unsigned)any(model.n_held);
    check_translation(&model.held[index], model.held[index].host - HOST);
    count(model.held[index].host - HOST, model.held[index].size, (unsigned)-1);
    pm_lease_release(&model.held[index]);
    model.held[index] = model.held[--model.n_held];
}

static void check_counts(void)
{
    for (uint64_t i = 0; i < N_PAGES; i++)
        if (model.pages[i].state != ABSENT)
            assert_int_equal(pm_lease_range_n_leases(model.pages[i].range,
                                                     (i - model.pages[i].first) * PAGE, PAGE),
                             model.pages[i].n_leases);
}

static void step(void)
{
    uint64_t index = any(N_PAGES);

    switch (any(8)) {
    case 0:
        add_range(index, 1 + any(MIN(8, N_PAGES - index)));
        break;
    case 1:
        if (any(8) == 0 && model.pages[index].state != ABSENT)
            remove_range(index);
        break;
    case 2:
        release();
        break;
    case 3:
    case 4:
        acquire();
        break;
    default:
        if (model.pages[index].state != ABSENT)
            change_page(index);
    }
}

static void random_changes_agree_with_a_model(void **state)
{
    unsigned n_steps = random_steps(200000);

    (void)state;
    model.random = random_new("lease_model");
    model.table = pm_lease_table_new(false);
    model.next_address = PAGE;
    for (unsigned i = 0; i < n_steps; i++) {
        step();
        if (i % 16 == 0)
            check_counts();
    }
    while (model.n_held > 0)
        release();
    check_counts();
    pm_lease_table_free(model.table);
    g_rand_free(model.random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_agree_with_a_model),
    };

    return cmocka_run_group_tests_name("lease_model", tests, NULL, NULL);
}
