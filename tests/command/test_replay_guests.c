/* SPDX-License-Identifier: MIT */
/* Replays of guests that convert memory between shared and private, and of guests with an IOMMU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "command_util.h"

typedef void (*CheckFunc)(JsonParser *json);

static void replay_on(const char *backend, const char *memory, const char *trace, CheckFunc check)
{
    g_autoptr(Run) run = run_plugmap("replay", "--json", "--dma-check", "--backend", backend,
                                     "--memory", memory, "--pin", "populate", trace, NULL);
    g_autoptr(JsonParser) json = NULL;

    assert_string_equal(run->err, "");
    assert_int_equal(run->status, 0);
    json = json_parse(run);
    check(json);
}

static void replay_everywhere(const char *trace, CheckFunc check)
{
    replay_on("fake", "anon", trace, check);
    replay_on("fake", "memfd", trace, check);
    replay_on("fake-iommufd", "anon", trace, check);
    replay_on("fake-iommufd", "memfd", trace, check);
}

/* Totals counted by tests/traces/convert-generate, granule by granule. */
static void check_conversions(JsonParser *json)
{
    assert_int_equal(json_number(json, "requests.plug"), 37);
    assert_int_equal(json_number(json, "requests.unplug"), 12);
    assert_int_equal(json_number(json, "requests.state"), 11);
    assert_int_equal(json_number(json, "requests.convert"), 92);
    assert_int_equal(json_number(json, "dma.map_calls"), 25945);
    assert_int_equal(json_number(json, "dma.peak_mappings"), 6392);
    assert_int_equal(json_number(json, "dma.final_mappings"), 2917);
    assert_int_equal(json_number(json, "dma.final_pinned_bytes"), 2917 * 4096);
    assert_int_equal(json_number(json, "audit.mismatches"), 0);
    assert_true(json_number(json, "audit.checks") >= INT64_C(5) * 155);
}

static void a_guest_that_converts_pages_maps_what_is_plugged_and_shared(void **state)
{
    (void)state;
    replay_everywhere("tests/traces/convert-4k-in-2m.trace", check_conversions);
}

/* The mappings are counted by hand. */
static void check_guest_iommu(JsonParser *json)
{
    assert_int_equal(json_number(json, "requests.iommu_map"), 13);
    assert_int_equal(json_number(json, "requests.iommu_unmap"), 5);
    assert_int_equal(json_number(json, "iommu_statuses.ok"), 11);
    assert_int_equal(json_number(json, "iommu_statuses.inval"), 1);
    assert_int_equal(json_number(json, "iommu_statuses.range"), 2);
    assert_int_equal(json_number(json, "iommu_statuses.fault"), 4);
    assert_int_equal(json_number(json, "iommu_statuses.noent"), 0);
    assert_int_equal(json_number(json, "dma.map_calls"), 38);
    assert_int_equal(json_number(json, "dma.peak_mappings"), 13);
    assert_int_equal(json_number(json, "dma.final_mappings"), 1);
    assert_int_equal(json_number(json, "dma.final_pinned_bytes"), 2 << 20);
    assert_int_equal(json_number(json, "audit.mismatches"), 0);
    assert_true(json_number(json, "dma_check.unplugged_pages") > 20);
    assert_true(json_number(json, "dma_check.plugged_pages") > 50);
}

static void a_guest_with_an_iommu_maps_what_its_table_says_and_is_plugged(void **state)
{
    (void)state;
    replay_everywhere("tests/traces/iommu-2m.trace", check_guest_iommu);
}

static void random_requests_of_a_guest_iommu_are_answered_as_by_a_model(void **state)
{
    (void)state;
    assert_int_equal(run_shell("tests/traces/iommu-generate | "
                               "cmp - tests/traces/iommu-random-2m.trace",
                               NULL),
                     0);
    for (unsigned seed = 1; seed <= 20; seed++) {
        g_autofree char *line = g_strdup_printf(
            "tests/traces/iommu-generate %u 150 | \"$PLUGMAP\" replay --dma-check --pin populate "
            "--backend %s - >/dev/null",
            seed, seed % 2 ? "fake" : "fake-iommufd");

        if (run_shell(line, NULL) != 0)
            fail_msg("failed: %s", line);
    }
}

static void a_different_status_of_the_guest_iommu_is_a_difference(void **state)
{
    static const char trace[] = "plugmap-trace 1\n"
                                "region addr=0x100000000 size=4M block=2M\n"
                                "iommu-map iova=0 addr=0x100000000 size=4K access=r -> ok\n"
                                "iommu-unmap iova=0 size=4K\n";
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "trace", trace, -1);
    g_autoptr(Run) run = run_plugmap("replay", path, NULL);

    (void)state;
    scratch_remove(folder);
    assert_int_equal(run->status, 1);
    assert_non_null(strstr(run->out, "iommu-map of 4K at I/O address 0x0: expected ok, got fault"));
    assert_non_null(strstr(run->out, "is not populated"));
    assert_non_null(strstr(run->out, "1 map, 1 unmap by the guest; 1 ok, 1 fault\n"));
}

static void a_converted_trace_keeps_the_events_of_the_guest_iommu(void **state)
{
    g_autofree char *folder = scratch_new();
    int status = run_shell("$PLUGMAP convert tests/traces/iommu-2m.trace >$1/converted && "
                           "sed /^#/d tests/traces/iommu-2m.trace | cmp - $1/converted",
                           folder);

    (void)state;
    scratch_remove(folder);
    assert_int_equal(status, 0);
}

static void the_trace_of_conversions_is_what_its_generator_prints(void **state)
{
    (void)state;
    assert_int_equal(run_shell("tests/traces/convert-generate | "
                               "cmp - tests/traces/convert-4k-in-2m.trace",
                               NULL),
                     0);
}

static void a_refused_conversion_is_a_difference(void **state)
{
    static const char trace[] = "plugmap-trace 1\n"
                                "region addr=0x100000000 size=4M block=2M granularity=4K\n"
                                "convert addr=0x100000000 size=2M to=private\n"
                                "plug addr=0x100000000 blocks=2 -> ack\n"
                                "convert addr=0x100000000 size=2M to=shared\n";
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "trace", trace, -1);
    g_autoptr(Run) run = run_plugmap("replay", "--overcommit", "--entry-limit=1000", path, NULL);

    (void)state;
    scratch_remove(folder);
    assert_int_equal(run->status, 1);
    assert_non_null(strstr(run->out, "convert of 2M at 0x100000000 to shared: expected done, got "
                                     "refused"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_that_converts_pages_maps_what_is_plugged_and_shared),
        cmocka_unit_test(a_guest_with_an_iommu_maps_what_its_table_says_and_is_plugged),
        cmocka_unit_test(random_requests_of_a_guest_iommu_are_answered_as_by_a_model),
        cmocka_unit_test(a_different_status_of_the_guest_iommu_is_a_difference),
        cmocka_unit_test(a_converted_trace_keeps_the_events_of_the_guest_iommu),
        cmocka_unit_test(the_trace_of_conversions_is_what_its_generator_prints),
        cmocka_unit_test(a_refused_conversion_is_a_difference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
