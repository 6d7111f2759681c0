/* SPDX-License-Identifier: MIT */
/* How much a trace plugs at once, compared with what a replay of it has pinned. */
#include "replay/peak.h"

#include <plugmap/fake.h>

#include "replay/replay.h"
#include "util/trace_util.h"

#define HEADER "plugmap-trace 1\nregion addr=4G size=64M block=2M requested=32M\n"

static uint64_t peak_of(const PmTrace *trace)
{
    uint64_t n_bytes = UINT64_MAX;

    assert_true(pm_trace_peak(trace, &n_bytes, NULL));
    return n_bytes;
}

static void assert_peak(const char *text, uint64_t expected)
{
    g_autoptr(PmTrace) trace = load_text(text, NULL, NULL);

    assert_non_null(trace);
    assert_int_equal(peak_of(trace), expected);
}

static void peak_is_of_what_is_plugged_at_once(void **state)
{
    (void)state;
    assert_peak(HEADER, 0);
    assert_peak(HEADER "plug addr=4G blocks=8 -> ack\n", 16 * PM_MIB);
    assert_peak(HEADER "plug addr=4G blocks=8 -> ack\n"
                       "unplug addr=4G blocks=4 -> ack\n"
                       "plug addr=4G blocks=2 -> ack\n",
                16 * PM_MIB);
    assert_peak(HEADER "plug addr=4G blocks=8 -> ack\n"
                       "unplug-all -> ack\n"
                       "plug addr=4G blocks=9 -> ack\n",
                18 * PM_MIB);
    assert_peak(HEADER "plug addr=4G blocks=8 -> ack\n"
                       "reset\n"
                       "plug addr=0x102000000 blocks=8 -> ack\n",
                16 * PM_MIB);
}

static void what_the_device_refuses_does_not_count(void **state)
{
    (void)state;
    /* More than is requested; a block that is plugged; an unplug of one that is not. */
    assert_peak(HEADER "plug addr=4G blocks=17 -> ack\n", 0);
    assert_peak(HEADER "plug addr=4G blocks=4 -> ack\n"
                       "plug addr=0x100600000 blocks=4 -> ack\n",
                8 * PM_MIB);
    assert_peak(HEADER "plug addr=4G blocks=4 -> ack\n"
                       "unplug addr=4G blocks=5 -> ack\n"
                       "plug addr=0x101000000 blocks=4 -> ack\n",
                16 * PM_MIB);
}

static void resize_changes_what_can_be_plugged(void **state)
{
    (void)state;
    assert_peak(HEADER "resize size=64M\nplug addr=4G blocks=17 -> ack\n", 34 * PM_MIB);
    assert_peak(HEADER "resize size=8M\nplug addr=4G blocks=8 -> ack\n", 0);
}

static void regions_add_up(void **state)
{
    (void)state;
    assert_peak("plugmap-trace 1\n"
                "region device=a addr=4G size=64M block=2M requested=64M\n"
                "region device=b addr=8G size=64M block=4M requested=64M\n"
                "plug device=a addr=4G blocks=3 -> ack\n"
                "plug device=b addr=8G blocks=3 -> ack\n"
                "reset\n"
                "plug device=b addr=8G blocks=4 -> ack\n",
                18 * PM_MIB);
}

static void recorded_traces_have_the_peak_of_their_replays(void **state)
{
    static const char *const names[] = {"busy-2m",       "fragmented-2m", "grow-shrink-2m",
                                        "qemu-vfio-4m",  "reboot-4m",     "small-steps-8m",
                                        "big-block-256m"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path =
            g_strdup_printf("%s/tests/traces/%s.log", PLUGMAP_SOURCE_DIR, names[i]);
        g_autoptr(PmTrace) trace = pm_trace_load(path, PM_TRACE_FORMAT_AUTO, NULL, NULL);
        g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, NULL);
        const PmReplayConfig config = {
            .kernel = fake, .fake = fake, .memory = PM_RAM_MEMFD, .only_counts = true, .group = 1};
        g_autoptr(PmReplayResult) result = NULL;

        assert_non_null(trace);
        result = pm_replay(trace, &config, NULL);
        assert_non_null(result);
        assert_int_equal(peak_of(trace), result->peak_pinned_bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peak_is_of_what_is_plugged_at_once),
        cmocka_unit_test(what_the_device_refuses_does_not_count),
        cmocka_unit_test(resize_changes_what_can_be_plugged),
        cmocka_unit_test(regions_add_up),
        cmocka_unit_test(recorded_traces_have_the_peak_of_their_replays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
