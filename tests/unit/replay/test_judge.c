/* SPDX-License-Identifier: MIT */
/* Differing responses: grouping by cause, and consequences of earlier differences. */
#include "replay/judge.h"

#include <errno.h>

#include <plugmap/fake.h>

#include "replay/replay.h"
#include "replay/report_text.h"
#include "util/trace_util.h"

#define HEADER "plugmap-trace 1\nregion addr=4G size=64M block=2M requested=32M\n"

/* @failing_map: number of the MAP that fails, or 0. */
static PmReplayResult *replay(const char *text, uint64_t failing_map, char **report)
{
    g_autoptr(PmTrace) trace = load_text(text, NULL, NULL);
    g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, NULL);
    const PmReplayConfig config = {
        .kernel = fake, .fake = fake, .memory = PM_RAM_MEMFD, .only_counts = true, .group = 1};
    const PmReportStyle style = {.backend = "fake", .width = 80};
    PmReplayResult *result;

    assert_non_null(trace);
    if (failing_map != 0)
        pm_fake_kernel_fail(fake, PM_FAKE_CALL_MAP, failing_map, ENOMEM);
    result = pm_replay(trace, &config, NULL);
    assert_non_null(result);
    if (report != NULL)
        *report = pm_report_text(trace, result, &style);
    return result;
}

static const PmReplayDivergence *divergence_at(const PmReplayResult *result, guint index)
{
    assert_true(index < result->divergences->len);
    return g_ptr_array_index(result->divergences, index);
}

static void assert_consequences(const char *events, uint64_t failing_map, const char *wanted)
{
    g_autofree char *text = g_strconcat(HEADER, events, NULL);
    g_autoptr(PmReplayResult) result = replay(text, failing_map, NULL);
    GString *found = g_string_new(NULL);

    for (guint i = 0; i < result->divergences->len; i++)
        g_string_append_c(found, divergence_at(result, i)->is_consequence ? 'c' : 'x');
    assert_string_equal(found->str, wanted);
    g_string_free(found, TRUE);
}

static void an_unplug_of_blocks_not_plugged_is_a_consequence(void **state)
{
    (void)state;
    assert_consequences("plug addr=4G blocks=2 -> ack\n"
                        "unplug addr=4G blocks=2 -> ack\n",
                        1, "xc");
}

static void a_state_of_blocks_not_plugged_is_a_consequence(void **state)
{
    (void)state;
    assert_consequences("plug addr=4G blocks=2 -> ack\n"
                        "state addr=4G blocks=2 -> plugged\n"
                        "state addr=4G blocks=4 -> mixed\n",
                        1, "xcc");
}

static void other_blocks_have_a_separate_cause(void **state)
{
    (void)state;
    assert_consequences("plug addr=4G blocks=2 -> ack\n"
                        "unplug addr=0x100800000 blocks=2 -> ack\n",
                        1, "xx");
}

static void a_plug_within_the_requested_size_is_a_consequence(void **state)
{
    (void)state;
    assert_consequences("plug addr=4G blocks=16 -> ack\n"
                        "plug addr=0x102000000 blocks=1 -> nack\n",
                        1, "xc");
}

static void a_plug_recorded_as_refused_has_consequences(void **state)
{
    (void)state;
    assert_consequences("plug addr=4G blocks=2 -> busy\n"
                        "plug addr=4G blocks=2 -> ack\n"
                        "unplug addr=4G blocks=2 -> ack\n",
                        0, "xc");
    assert_consequences("plug addr=4G blocks=2 -> busy\n"
                        "unplug addr=4G blocks=2 -> error\n",
                        0, "xc");
}

static void state_that_matches_again_has_no_consequences(void **state)
{
    (void)state;
    assert_consequences("plug addr=4G blocks=2 -> ack\n"
                        "unplug-all -> ack\n"
                        "plug addr=4G blocks=2 -> error\n",
                        1, "xx");
    assert_consequences("plug addr=4G blocks=2 -> ack\n"
                        "reset\n"
                        "plug addr=4G blocks=2 -> error\n",
                        1, "xx");
}

static void missing_responses_are_not_compared(void **state)
{
    (void)state;
    assert_consequences("plug addr=4G blocks=2\n"
                        "plug addr=4G blocks=2 -> ack\n",
                        0, "x");
}

static void invalid_requests_have_no_blocks(void **state)
{
    (void)state;
    assert_consequences("plug addr=0x100001000 blocks=2 -> ack\n"
                        "plug addr=4G blocks=0 -> ack\n"
                        "state addr=4G blocks=1 -> unplugged\n",
                        0, "xx");
}

static void the_same_cause_is_counted(void **state)
{
    GString *text = g_string_new(HEADER);
    g_autofree char *report = NULL;
    g_autoptr(PmReplayResult) result = NULL;
    const PmReplayCause *cause;

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        g_string_append(text, "plug addr=0x103e00000 blocks=1 -> nack\n"
                              "unplug addr=0x103e00000 blocks=1 -> ack\n");
    result = replay(text->str, 0, &report);
    g_string_free(text, TRUE);
    assert_int_equal(result->n_divergences, 1000);
    assert_int_equal(result->causes->len, 1);
    cause = g_ptr_array_index(result->causes, 0);
    assert_int_equal(cause->count, 1000);
    assert_int_equal(cause->first->line, 3);
    assert_int_equal(cause->last_line, 2001);
    assert_non_null(strstr(report,
                           "  line 3: plug of 1 block at 0x103e00000: expected nack, got ack\n"
                           "    ... 999 more, last in line 2001\n"));
}

static void consequences_are_listed_separately_and_the_verdict_last(void **state)
{
    g_autofree char *report = NULL;
    g_autoptr(PmReplayResult) result = replay(HEADER "plug addr=4G blocks=2 -> ack\n"
                                                     "unplug addr=4G blocks=2 -> ack\n",
                                              1, &report);
    const char *cause = strstr(report, "\ndiffering responses:\n  line 3: ");
    const char *consequence = strstr(report, "\nconsequences (");
    const char *verdict = strstr(report, "\nverdict   FAIL: ");

    (void)state;
    assert_int_equal(result->n_consequences, 1);
    assert_non_null(cause);
    assert_true(cause < consequence);
    assert_non_null(strstr(consequence, "\n  line 4: "));
    assert_true(consequence < verdict);
    assert_non_null(strstr(verdict, "2 responses differ (1 consequence)\n"));
    assert_ptr_equal(strchr(verdict + 1, '\n'), report + strlen(report) - 1);
}

/* The list for the JSON report is bounded, the counters are not. */
static void divergences_beyond_the_list_are_counted(void **state)
{
    GString *text = g_string_new(HEADER);
    g_autoptr(PmReplayResult) result = NULL;

    (void)state;
    for (unsigned i = 0; i < PM_REPLAY_MAX_DIVERGENCES + 10; i++)
        g_string_append(text, "state addr=4G blocks=1 -> plugged\n");
    result = replay(text->str, 0, NULL);
    g_string_free(text, TRUE);
    assert_int_equal(result->n_divergences, PM_REPLAY_MAX_DIVERGENCES + 10);
    assert_int_equal(result->divergences->len, PM_REPLAY_MAX_DIVERGENCES);
    assert_int_equal(result->causes->len, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unplug_of_blocks_not_plugged_is_a_consequence),
        cmocka_unit_test(a_state_of_blocks_not_plugged_is_a_consequence),
        cmocka_unit_test(other_blocks_have_a_separate_cause),
        cmocka_unit_test(a_plug_within_the_requested_size_is_a_consequence),
        cmocka_unit_test(a_plug_recorded_as_refused_has_consequences),
        cmocka_unit_test(state_that_matches_again_has_no_consequences),
        cmocka_unit_test(missing_responses_are_not_compared),
        cmocka_unit_test(invalid_requests_have_no_blocks),
        cmocka_unit_test(the_same_cause_is_counted),
        cmocka_unit_test(consequences_are_listed_separately_and_the_verdict_last),
        cmocka_unit_test(divergences_beyond_the_list_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
