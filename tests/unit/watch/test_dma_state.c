/* SPDX-License-Identifier: MIT */
/* What is mapped after the calls of a DMA log, also compared with a plain model. */
#include "dma_log_util.h"

#include "watch/dma_state.h"
#include "watch/dma_statistics.h"

static PmLineReader reader;

static void apply(PmDmaState *state, const char *line)
{
    PmDmaLogCall call = line_parse(&reader, line);
    g_autoptr(GError) error = NULL;

    if (!pm_dma_state_apply(state, &call, &error))
        fail_msg("%s", error->message);
}

static uint64_t n_contradictions(const PmDmaState *state)
{
    const char *first;

    return pm_dma_state_n_contradictions(state, &first);
}

static void one_unmap_covers_several_mappings(void **state)
{
    g_autoptr(PmDmaState) dma = pm_dma_state_new();

    (void)state;
    apply(dma, "map iova=0 size=4K");
    apply(dma, "map iova=0x1000 size=8K");
    apply(dma, "map iova=0x10000 size=4K");
    apply(dma, "unmap iova=0 size=16K unmapped=12K");
    assert_int_equal(pm_dma_state_n_mappings(dma), 1);
    assert_int_equal(pm_dma_state_most_bytes(dma), 4096);
    assert_int_equal(pm_dma_state_space(dma, 0)->peak_mappings, 3);
    assert_int_equal(pm_dma_state_space(dma, 0)->peak_bytes, 16384);
    assert_int_equal(n_contradictions(dma), 0);
}

static void unmap_all_leaves_other_spaces_alone(void **state)
{
    g_autoptr(PmDmaState) dma = pm_dma_state_new();

    (void)state;
    apply(dma, "map iova=0 size=4K space=a");
    apply(dma, "map iova=0xfffffffffffff000 size=4K space=a");
    apply(dma, "map iova=0 size=4K space=b");
    apply(dma, "unmap all space=a");
    assert_int_equal(pm_dma_state_n_mappings(dma), 1);
    assert_int_equal(pm_dma_state_space(dma, 0)->n_mappings, 0);
    assert_int_equal(pm_dma_state_space(dma, 1)->n_mappings, 1);
}

static void failed_calls_change_nothing(void **state)
{
    g_autoptr(PmDmaState) dma = pm_dma_state_new();

    (void)state;
    apply(dma, "map iova=0 size=4K");
    apply(dma, "map iova=0x1000 size=4K -> ENOSPC");
    apply(dma, "unmap iova=0 size=4K -> EINVAL");
    apply(dma, "unmap all -> EINVAL");
    assert_int_equal(pm_dma_state_n_mappings(dma), 1);
    assert_int_equal(n_contradictions(dma), 0);
}

/* iommufd has unmapped what is below the mapping that it would have to cut. */
static void a_cut_of_iommufd_leaves_what_is_above(void **state)
{
    static const struct {
        const char *line;
        uint64_t n_mappings;
    } cases[] = {
        {"unmap iova=0 size=0x3800 -> ENOENT", 2},      /* cuts [12K, 16K) */
        {"unmap iova=0x1000 size=0x2800 -> ENOENT", 3}, /* does not reach the first one */
        {"unmap iova=0x1000 size=0x2800 -> EINVAL", 4}, /* of type1 */
        {"unmap iova=0x800 size=0x3000 -> ENOENT", 4},  /* cuts the first one */
        {"unmap iova=0x3000 size=0x800 -> ENOENT", 4},  /* begins with the cut one */
        {"unmap iova=0x2000 size=0x800 -> ENOENT", 4},  /* nothing below it */
        {"unmap iova=0x8000 size=4K -> ENOENT", 4},     /* nothing there */
        {"unmap iova=0 size=0 -> ENOENT", 4},
        {"unmap iova=0x1000 size=0xffffffffffffffff -> ENOENT", 4},
        {"unmap all -> ENOENT", 4},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(PmDmaState) dma = pm_dma_state_new();

        apply(dma, "map iova=0 size=4K");
        apply(dma, "map iova=0x1000 size=4K");
        apply(dma, "map iova=0x3000 size=4K");
        apply(dma, "map iova=0x10000 size=4K");
        apply(dma, cases[i].line);
        if (pm_dma_state_n_mappings(dma) != cases[i].n_mappings)
            fail_msg("%s: %u mappings", cases[i].line, (unsigned)pm_dma_state_n_mappings(dma));
        assert_int_equal(pm_dma_state_most_bytes(dma), 4096 * cases[i].n_mappings);
        assert_int_equal(n_contradictions(dma), 0);
    }
}

static void what_the_kernel_did_counts(void **state)
{
    static const struct {
        const char *line;
        uint64_t n_mappings;
    } cases[] = {
        {"map iova=0x1000 size=4K", 3},        /* overlaps [0, 16K) */
        {"unmap iova=0x1000 size=4K", 2},      /* cuts it */
        {"unmap iova=0x2000 size=0x20000", 1}, /* and the next one */
        {"unmap iova=0x20000 size=4K unmapped=8K", 2},
        {"unmap iova=0x80000 size=4K unmapped=4K", 3},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(PmDmaState) dma = pm_dma_state_new();
        const char *first;

        apply(dma, "map iova=0 size=16K");
        apply(dma, "map iova=0x20000 size=4K");
        apply(dma, "map iova=0x40000 size=4K");
        apply(dma, cases[i].line);
        assert_int_equal(pm_dma_state_n_mappings(dma), cases[i].n_mappings);
        assert_int_equal(pm_dma_state_n_contradictions(dma, &first), 1);
        assert_non_null(strstr(first, "line 7: "));
    }
}

static void an_unmap_of_nothing_is_valid(void **state)
{
    g_autoptr(PmDmaState) dma = pm_dma_state_new();

    (void)state;
    apply(dma, "unmap iova=0 size=4K");
    apply(dma, "unmap iova=0 size=4K unmapped=0");
    assert_int_equal(n_contradictions(dma), 0);
}

static void ends_are_of_their_spaces_only(void **state)
{
    g_autoptr(PmDmaState) dma = pm_dma_state_new();
    const PmDmaLeaks *leaks = pm_dma_state_leaks(dma);

    (void)state;
    apply(dma, "map iova=0 size=4K pid=1 space=a");
    apply(dma, "map iova=0 size=8K pid=1 space=b");
    apply(dma, "map iova=0 size=16K pid=2 space=c");
    apply(dma, "map iova=0 size=32K");
    apply(dma, "end space=b");
    assert_int_equal(leaks->n_bytes, 8192);
    assert_string_equal(leaks->first, "0x0-0x1fff of b");
    apply(dma, "end pid=1");
    assert_int_equal(leaks->n_mappings, 2);
    assert_false(pm_dma_state_is_complete(dma));
    apply(dma, "end");
    assert_int_equal(leaks->n_mappings, 4);
    assert_int_equal(pm_dma_state_n_mappings(dma), 0);
    assert_int_equal(pm_dma_state_most_bytes(dma), 0);
    assert_true(pm_dma_state_is_complete(dma));
}

static void bytes_of_a_process_are_those_of_all_its_spaces(void **state)
{
    g_autoptr(PmDmaState) dma = pm_dma_state_new();

    (void)state;
    apply(dma, "map iova=0 size=16K pid=1 space=a");
    apply(dma, "map iova=0 size=8K pid=1 space=b");
    apply(dma, "map iova=0 size=20K pid=2 space=c");
    assert_int_equal(pm_dma_state_most_bytes(dma), 24 << 10);
    assert_int_equal(pm_dma_state_fullest(dma), 1);
    apply(dma, "unmap all pid=2 space=b"); /* handed over, and emptied */
    assert_int_equal(pm_dma_state_most_bytes(dma), 20 << 10);
    apply(dma, "map iova=0 size=8K pid=2 space=b");
    assert_int_equal(pm_dma_state_most_bytes(dma), 28 << 10);
}

static void runs_are_of_adjacent_mappings(void **state)
{
    g_autoptr(PmDmaState) dma = pm_dma_state_new();
    PmDmaRuns runs = pm_dma_state_runs(dma);

    (void)state;
    assert_int_equal(runs.n_runs, 0);
    apply(dma, "map iova=0x1000 size=4K space=a");
    apply(dma, "map iova=0x2000 size=4K space=a");
    apply(dma, "map iova=0x4000 size=4K space=a");
    apply(dma, "map iova=0x3000 size=4K space=b");
    runs = pm_dma_state_runs(dma);
    assert_int_equal(runs.n_runs, 3);
    assert_int_equal(runs.largest_iova, 0x1000);
    assert_int_equal(runs.largest_size, 8192);
    assert_int_equal(runs.largest_n_mappings, 2);
}

static void ended_spaces_make_room_for_others(void **state)
{
    g_autoptr(PmDmaState) dma = pm_dma_state_new();
    g_autoptr(GError) error = NULL;
    PmDmaLogCall call;

    (void)state;
    for (unsigned i = 0; i < PM_DMA_STATE_MAX_SPACES; i++) {
        g_autofree char *line = g_strdup_printf("map iova=0 size=4K space=%u", i);

        apply(dma, line);
    }
    call = line_parse(&reader, "map iova=0 size=4K space=more");
    assert_false(pm_dma_state_apply(dma, &call, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_LIMIT));
    assert_int_equal(pm_dma_state_n_mappings(dma), PM_DMA_STATE_MAX_SPACES);
    apply(dma, "end space=7");
    apply(dma, "map iova=0 size=4K space=more");
    assert_int_equal(pm_dma_state_n_mappings(dma), PM_DMA_STATE_MAX_SPACES);
    assert_string_equal(pm_dma_state_space(dma, PM_DMA_STATE_MAX_SPACES - 1)->name, "more");
}

/* Pages of one address space; a page is 0, or the number of its mapping. */
#define N_PAGES 64

static bool is_valid(const unsigned *pages, bool maps, unsigned first, unsigned end)
{
    if (!maps)
        return (first == 0 || pages[first] == 0 || pages[first] != pages[first - 1]) &&
               (end == N_PAGES || pages[end] == 0 || pages[end] != pages[end - 1]);
    for (unsigned i = first; i < end; i++)
        if (pages[i] != 0)
            return false;
    return true;
}

static unsigned count(const unsigned *pages)
{
    unsigned n = 0;

    for (unsigned i = 0; i < N_PAGES; i++)
        n += pages[i] != 0 && (i == 0 || pages[i] != pages[i - 1]);
    return n;
}

static void calls_by_the_kernels_rules_are_never_contradictions(void **state)
{
    g_autoptr(PmDmaState) dma = pm_dma_state_new();
    unsigned pages[N_PAGES] = {0};
    uint32_t number = 1;

    (void)state;
    for (unsigned step = 1; step < 20000; step++) {
        g_autofree char *line = NULL;
        unsigned first;
        unsigned end;
        bool maps;
        bool valid;

        number = number * 1664525 + 1013904223;
        first = (number >> 8) % N_PAGES;
        end = MIN(first + 1 + (number >> 16) % 8, N_PAGES);
        maps = number >> 31;
        valid = is_valid(pages, maps, first, end);
        line = g_strdup_printf("%s iova=0x%x000 size=%uK -> %s", maps ? "map" : "unmap", first,
                               (end - first) * 4, valid ? "ok" : "EINVAL");
        apply(dma, line);
        for (unsigned i = first; valid && i < end; i++)
            pages[i] = maps ? step : 0;
        assert_int_equal(pm_dma_state_n_mappings(dma), count(pages));
        assert_int_equal(pm_dma_state_fullest(dma), count(pages));
        assert_int_equal(n_contradictions(dma), 0);
    }
}

static void calls_are_counted_by_kind_result_and_size(void **state)
{
    static const char *const lines[] = {
        "map iova=0 size=4K ns=10",
        "map iova=0 size=8191",
        "map iova=0 size=8K",
        "map iova=0 size=4K -> EEXIST",
        "map iova=0 size=4K -> ENOSPC",
        "map iova=0 size=4K -> ENOSPC",
        "unmap iova=0 size=4K ns=5 -> ENOENT",
        "end",
    };
    g_autofree PmDmaStatistics *counts = g_new0(PmDmaStatistics, 1);
    g_autofree char *errors = NULL;

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        PmDmaLogCall call = line_parse(&reader, lines[i]);

        pm_dma_statistics_add(counts, &call);
    }
    assert_int_equal(counts->map.n_calls, 6);
    assert_int_equal(counts->map.n_failed, 3);
    assert_int_equal(counts->unmap.n_calls, 1);
    assert_int_equal(counts->unmap.n_failed, 1);
    assert_int_equal(counts->n_of_size[12], 2);
    assert_int_equal(counts->n_of_size[13], 1);
    assert_int_equal(counts->map.latency.n_values, 1);
    assert_int_equal(counts->unmap.latency.max, 5);
    errors = pm_dma_statistics_errors(&counts->map);
    assert_string_equal(errors, "2 ENOSPC, 1 EEXIST");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_unmap_covers_several_mappings),
        cmocka_unit_test(unmap_all_leaves_other_spaces_alone),
        cmocka_unit_test(failed_calls_change_nothing),
        cmocka_unit_test(a_cut_of_iommufd_leaves_what_is_above),
        cmocka_unit_test(what_the_kernel_did_counts),
        cmocka_unit_test(an_unmap_of_nothing_is_valid),
        cmocka_unit_test(ends_are_of_their_spaces_only),
        cmocka_unit_test(bytes_of_a_process_are_those_of_all_its_spaces),
        cmocka_unit_test(runs_are_of_adjacent_mappings),
        cmocka_unit_test(ended_spaces_make_room_for_others),
        cmocka_unit_test(calls_by_the_kernels_rules_are_never_contradictions),
        cmocka_unit_test(calls_are_counted_by_kind_result_and_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
