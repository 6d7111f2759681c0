/* SPDX-License-Identifier: MIT */
/* Replays of several virtio-mem devices in one I/O address space, and interrupted replays. */
#include "replay/replay.h"

#include <plugmap/fake.h>

#include "replay/report_text.h"
#include "util/trace_util.h"

#define TWO                                                                                        \
    "plugmap-trace 1\n"                                                                            \
    "region device=a addr=4G size=64M block=2M\n"                                                  \
    "region device=b addr=8G size=32M block=4M requested=16M\n"

typedef struct {
    guint stop_after;
    guint n_calls;
    uint64_t peak;
    PmKernel *fake;
} Watcher;

static bool watch(const PmReplayResult *so_far, guint n_events, void *user_data)
{
    Watcher *watcher = user_data;

    (void)n_events;
    watcher->n_calls++;
    watcher->peak = MAX(watcher->peak, pm_fake_kernel_get_n_mappings(watcher->fake, 1));
    return so_far->n_played != watcher->stop_after;
}

static PmReplayResult *replay(const char *text, Watcher *watcher, char **report)
{
    g_autoptr(PmTrace) trace = load_text(text, NULL, NULL);
    g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, NULL);
    const PmReplayConfig config = {.kernel = fake,
                                   .fake = fake,
                                   .only_counts = true,
                                   .group = 1,
                                   .audit = true,
                                   .progress = watch,
                                   .user_data = watcher};
    const PmReportStyle style = {.backend = "fake", .width = 80};
    PmReplayResult *result;

    assert_non_null(trace);
    watcher->fake = fake;
    result = pm_replay(trace, &config, NULL);
    assert_non_null(result);
    assert_int_equal(pm_fake_kernel_get_n_open(fake), 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake), 0);
    if (report != NULL)
        *report = pm_report_text(trace, result, &style);
    return result;
}

static void all_devices_are_mapped_in_one_address_space(void **state)
{
    Watcher watcher = {0};
    g_autofree char *report = NULL;
    g_autoptr(PmReplayResult) result = replay(TWO "plug device=a addr=4G blocks=3 -> ack\n"
                                                  "plug device=b addr=8G blocks=2 -> ack\n"
                                                  "state device=b addr=8G blocks=2 -> plugged\n"
                                                  "unplug device=a addr=4G blocks=1 -> ack\n",
                                              &watcher, &report);

    (void)state;
    assert_true(pm_replay_is_right(result));
    assert_int_equal(watcher.peak, 5);
    assert_int_equal(result->peak_mappings, 5);
    assert_int_equal(result->final_mappings, 4);
    assert_int_equal(result->n_blocks_plugged, 5);
    assert_int_equal(result->n_blocks_final, 4);
    assert_int_equal(result->final_plugged_bytes, 12 * PM_MIB);
    assert_int_equal(result->final_pinned_bytes, 12 * PM_MIB);
    assert_int_equal(result->n_checks, 16);
    assert_non_null(strstr(report, ": 2 devices, backend fake\n"
                                   "device    a: 64M at 0x100000000, block size 2M\n"
                                   "device    b: 32M at 0x200000000, block size 4M\n"));
    assert_non_null(strstr(report, "\na         ·"));
    assert_non_null(strstr(report, "\nb         █"));
}

static void each_device_has_its_own_requested_size(void **state)
{
    Watcher watcher = {0};
    g_autoptr(PmReplayResult) result = replay(TWO "plug device=b addr=8G blocks=5 -> nack\n"
                                                  "resize device=b size=20M\n"
                                                  "plug device=b addr=8G blocks=5 -> ack\n"
                                                  "unplug-all device=b -> ack\n"
                                                  "plug device=a addr=4G blocks=32 -> ack\n",
                                              &watcher, NULL);

    (void)state;
    assert_true(pm_replay_is_right(result));
    assert_int_equal(result->n_blocks_final, 32);
}

static void a_reset_applies_to_all_devices_and_audits_them(void **state)
{
    Watcher watcher = {0};
    g_autoptr(PmReplayResult) result = replay(TWO "plug device=a addr=4G blocks=3 -> ack\n"
                                                  "plug device=b addr=8G blocks=2 -> ack\n"
                                                  "reset\n",
                                              &watcher, NULL);

    (void)state;
    assert_true(pm_replay_is_right(result));
    assert_int_equal(result->final_mappings, 0);
    assert_int_equal(result->n_blocks_unplugged, 5);
    assert_int_equal(result->n_checks, 16);
}

static void a_differing_response_names_its_device(void **state)
{
    Watcher watcher = {0};
    g_autofree char *report = NULL;
    g_autoptr(PmReplayResult) result =
        replay(TWO "plug device=b addr=8G blocks=1 -> busy\n", &watcher, &report);

    (void)state;
    assert_int_equal(result->n_divergences, 1);
    assert_non_null(
        strstr(report, "  line 4: b: plug of 1 block at 0x200000000: expected busy, got ack\n"));
}

static void an_interrupted_replay_reports_and_unmaps(void **state)
{
    Watcher watcher = {.stop_after = 2};
    g_autofree char *report = NULL;
    g_autoptr(PmReplayResult) result = replay(TWO "plug device=a addr=4G blocks=3 -> ack\n"
                                                  "plug device=b addr=8G blocks=2 -> ack\n"
                                                  "unplug device=b addr=8G blocks=2 -> ack\n",
                                              &watcher, &report);

    (void)state;
    assert_true(result->stopped);
    assert_int_equal(result->n_played, 2);
    assert_int_equal(watcher.n_calls, 2);
    assert_int_equal(result->final_mappings, 5);
    assert_non_null(strstr(report, "verdict   pass so far, interrupted after 2 of 3 events: "));
}

static void a_device_that_exceeds_the_limits_is_named(void **state)
{
    g_autoptr(PmTrace) trace = load_text(TWO, NULL, NULL);
    g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, NULL);
    const PmReplayConfig config = {
        .kernel = fake, .fake = fake, .memory = PM_RAM_MEMFD, .only_counts = true, .group = 1};
    g_autoptr(GError) error = NULL;

    (void)state;
    pm_fake_kernel_set_entry_limit(fake, 39);
    assert_null(pm_replay(trace, &config, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_LIMIT));
    assert_true(g_str_has_prefix(error->message, "device b: "));
    assert_int_equal(pm_fake_kernel_get_n_open(fake), 0);
}

static void a_trace_without_events_is_nothing_to_check(void **state)
{
    Watcher watcher = {0};
    g_autofree char *report = NULL;
    g_autoptr(PmReplayResult) result = replay(TWO, &watcher, &report);

    (void)state;
    assert_true(pm_replay_is_right(result));
    assert_non_null(strstr(report, "verdict   nothing to check: the trace has no events\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_devices_are_mapped_in_one_address_space),
        cmocka_unit_test(each_device_has_its_own_requested_size),
        cmocka_unit_test(a_reset_applies_to_all_devices_and_audits_them),
        cmocka_unit_test(a_differing_response_names_its_device),
        cmocka_unit_test(an_interrupted_replay_reports_and_unmaps),
        cmocka_unit_test(a_device_that_exceeds_the_limits_is_named),
        cmocka_unit_test(a_trace_without_events_is_nothing_to_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
