/* SPDX-License-Identifier: MIT */
/* A replay that goes wrong: what it finds, and how it says so. */
#include "trace/replay.h"

#include <errno.h>

#include "trace/report.h"
#include "trace_util.h"

static const char trace_text[] = "plugmap-trace 1\n"
                                 "region addr=4G size=64M block=2M\n"
                                 "plug addr=4G blocks=8 -> ack\n"
                                 "unplug addr=4G blocks=4 -> ack\n"
                                 "plug addr=4G blocks=1 -> ack\n"
                                 "unplug-all -> ack\n"
                                 "plug addr=4G blocks=8 -> ack\n";

static PmReplayResult *replay(PmKernel *fake, GError **error)
{
    g_autoptr(PmTrace) trace = load_text(trace_text, NULL, NULL);
    const PmReplayConfig config = {.kernel = fake, .fake = fake, .group = 1, .audit = true};

    return pm_replay(trace, &config, error);
}

static PmKernel *make_fake(void)
{
    PmKernel *fake = pm_fake_kernel_new(NULL, NULL);

    assert_non_null(fake);
    return fake;
}

static const PmReplayDivergence *divergence_at(const GPtrArray *divergences, guint index)
{
    assert_true(index < divergences->len);
    return g_ptr_array_index(divergences, index);
}

static void a_right_replay_leaves_nothing_open(void **state)
{
    g_autoptr(PmKernel) fake = make_fake();
    g_autoptr(PmReplayResult) result = replay(fake, NULL);

    (void)state;
    assert_non_null(result);
    assert_true(pm_replay_is_right(result));
    assert_int_equal(result->n_blocks_plugged, 17);
    assert_int_equal(result->n_blocks_unplugged, 9);
    assert_int_equal(result->n_checks, 25);
    assert_int_equal(pm_fake_kernel_get_n_open(fake), 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake), 0);
}

static void a_short_unmap_is_found_by_answers_and_audits(void **state)
{
    g_autoptr(PmKernel) fake = make_fake();
    g_autoptr(PmReplayResult) result = NULL;
    const PmReplayDivergence *first;

    (void)state;
    pm_fake_kernel_shorten_unmap(fake, 1);
    result = replay(fake, NULL);
    assert_non_null(result);
    assert_false(pm_replay_is_right(result));
    /* BUSY for the unplug; the plug behind it meets plugged blocks. */
    assert_int_equal(result->divergences->len, 2);
    first = divergence_at(result->divergences, 0);
    assert_int_equal(first->line, 4);
    assert_string_equal(first->expected, "ack");
    assert_true(g_str_has_prefix(first->got, "busy ("));
    /* Two events with the page table, the room for mappings and the locked memory against what is
     * plugged, until all is unplugged. */
    assert_int_equal(result->n_mismatches, 6);
    assert_int_equal(divergence_at(result->mismatches, 0)->line, 4);
    assert_int_equal(divergence_at(result->mismatches, 5)->line, 5);
}

static void a_failing_map_is_only_another_answer(void **state)
{
    g_autoptr(PmKernel) fake = make_fake();
    g_autoptr(PmReplayResult) result = NULL;

    (void)state;
    pm_fake_kernel_fail(fake, PM_FAKE_CALL_MAP, 3, ENOMEM);
    result = replay(fake, NULL);
    assert_non_null(result);
    assert_int_equal(result->n_mismatches, 0);
    assert_int_equal(divergence_at(result->divergences, 0)->line, 3);
    assert_non_null(strstr(divergence_at(result->divergences, 0)->got, "ENOMEM"));
}

static void an_iommu_that_cannot_be_opened_is_an_error(void **state)
{
    g_autoptr(PmKernel) fake = make_fake();
    g_autoptr(GError) error = NULL;

    (void)state;
    pm_fake_kernel_fail(fake, PM_FAKE_CALL_OPEN, 1, EACCES);
    assert_null(replay(fake, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_PERMISSION));
    assert_int_equal(pm_fake_kernel_get_n_open(fake), 0);
}

static void a_wrong_replay_is_reported_as_wrong(void **state)
{
    g_autoptr(PmKernel) fake = make_fake();
    g_autoptr(PmTrace) trace = load_text(trace_text, NULL, NULL);
    g_autoptr(PmReplayResult) result = NULL;
    const PmReportStyle style = {.backend = "fake", .width = 80};
    g_autofree char *text = NULL;
    g_autofree char *json = NULL;

    (void)state;
    pm_fake_kernel_shorten_unmap(fake, 1);
    result = replay(fake, NULL);
    text = pm_report_text(trace, result, &style);
    json = pm_report_json(result, "fake");
    assert_non_null(strstr(text, "WRONG: 6 of 25 checks found mapped ≠ plugged, 2 answers differ"));
    assert_non_null(strstr(text, "line 4: unplug of 4 blocks at 0x100000000: expected ack"));
    assert_non_null(strstr(text, "Audits that failed:"));
    assert_non_null(strstr(json, "\"mismatches\" : 6"));
    assert_non_null(strstr(json, "\"line\" : 5"));
}

static void percentiles_of_few_numbers(void **state)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(uint64_t));

    (void)state;
    assert_int_equal(pm_percentile(numbers, 50), 0);
    for (uint64_t i = 1; i <= 101; i++)
        g_array_append_val(numbers, i);
    assert_int_equal(pm_percentile(numbers, 0), 1);
    assert_int_equal(pm_percentile(numbers, 50), 51);
    assert_int_equal(pm_percentile(numbers, 99), 100);
    assert_int_equal(pm_percentile(numbers, 100), 101);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_replay_leaves_nothing_open),
        cmocka_unit_test(a_short_unmap_is_found_by_answers_and_audits),
        cmocka_unit_test(a_failing_map_is_only_another_answer),
        cmocka_unit_test(an_iommu_that_cannot_be_opened_is_an_error),
        cmocka_unit_test(a_wrong_replay_is_reported_as_wrong),
        cmocka_unit_test(percentiles_of_few_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
