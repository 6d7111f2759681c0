/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "command_util.h"

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB"

/* Counted with awk, independently of plugmap. */
typedef struct {
    const char *path;
    gint64 block_size;
    gint64 plug;
    gint64 unplug;
    gint64 resize;
    gint64 reset;
    gint64 blocks_plugged;
    gint64 blocks_unplugged;
    gint64 blocks_final;
    gint64 peak;
} Totals;

static const Totals all_totals[] = {
    {"tests/traces/big-block-256m.log", 256 << 20, 92, 92, 3, 1, 92, 92, 0, 64},
    {"tests/traces/busy-2m.log", 2 << 20, 8, 39, 1, 1, 512, 480, 32, 512},
    {"tests/traces/fragmented-2m.log", 2 << 20, 26, 147, 1, 1, 1408, 1344, 64, 1024},
    {"tests/traces/grow-shrink-2m.log", 2 << 20, 20, 20, 3, 1, 1280, 1280, 0, 1024},
    {"tests/traces/qemu-vfio-4m.log", 4 << 20, 21, 16, 3, 1, 672, 512, 160, 512},
    {"tests/traces/reboot-4m.log", 4 << 20, 40, 16, 2, 7, 1280, 1280, 0, 512},
    {"tests/traces/small-steps-8m.log", 8 << 20, 46, 70, 8, 1, 640, 640, 0, 512},
};

static void check_totals(const Totals *totals, const char *backend, const char *memory,
                         const char *pin)
{
    g_autoptr(Run) run = run_plugmap("replay", "--json", "--backend", backend, "--memory", memory,
                                     "--pin", pin, totals->path, NULL);
    gboolean has_limit = g_str_equal(backend, "fake");
    g_autoptr(JsonParser) json = NULL;

    assert_string_equal(run->err, "");
    assert_int_equal(run->status, 0);
    json = json_parse(run);
    assert_int_equal(json_number(json, "requests.plug"), totals->plug);
    assert_int_equal(json_number(json, "requests.unplug"), totals->unplug);
    assert_int_equal(json_number(json, "requests.unplug_all"), 0);
    assert_int_equal(json_number(json, "requests.state"), 0);
    assert_int_equal(json_number(json, "requests.resize"), totals->resize);
    assert_int_equal(json_number(json, "requests.reset"), totals->reset);
    assert_int_equal(json_number(json, "responses.ack"), totals->plug + totals->unplug);
    assert_int_equal(json_number(json, "responses.nack"), 0);
    assert_int_equal(json_number(json, "responses.busy"), 0);
    assert_int_equal(json_number(json, "responses.error"), 0);
    assert_int_equal(json_number(json, "blocks.plugged"), totals->blocks_plugged);
    assert_int_equal(json_number(json, "blocks.unplugged"), totals->blocks_unplugged);
    assert_int_equal(json_number(json, "blocks.final"), totals->blocks_final);
    assert_int_equal(json_number(json, "dma.map_calls"), totals->blocks_plugged);
    assert_int_equal(json_number(json, "dma.peak_mappings"), totals->peak);
    if (has_limit)
        assert_int_equal(json_number(json, "dma.mapping_limit"), 65535);
    assert_int_equal(json_number(json, "dma.final_mappings"), totals->blocks_final);
    assert_int_equal(json_number(json, "dma.peak_pinned_bytes"), totals->peak * totals->block_size);
    assert_int_equal(json_number(json, "dma.final_pinned_bytes"),
                     totals->blocks_final * totals->block_size);
    /* By default the fake kernel does not fault memory in. */
    assert_int_equal(json_number(json, "dma.final_resident_bytes"),
                     g_str_equal(pin, "populate") ? totals->blocks_final * totals->block_size : 0);
    assert_int_equal(json_number(json, "audit.mismatches"), 0);
    assert_int_equal(json_number(json, "audit.checks"),
                     4 * (totals->plug + totals->unplug + totals->resize + totals->reset));
    assert_true(json_number(json, "latency_ns.plug.p50") > 0);
    assert_true(json_number(json, "latency_ns.unplug.max") >=
                json_number(json, "latency_ns.unplug.p99"));
    assert_true(json_number(json, "elapsed_ns") > 0);
    assert_string_equal(
        json_object_get_string_member(json_node_get_object(json_parser_get_root(json)), "backend"),
        backend);
    assert_int_equal(json_array_get_length(json_object_get_array_member(
                         json_node_get_object(json_parser_get_root(json)), "divergences")),
                     0);
}

static void all_recorded_traces_replay_with_known_totals(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(all_totals); i++)
        check_totals(&all_totals[i], "fake", "anon", "account");
}

static void a_memfd_replays_like_anonymous_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(all_totals); i++)
        check_totals(&all_totals[i], "fake", "memfd", "account");
}

static void all_recorded_traces_replay_with_the_same_totals_on_iommufd(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(all_totals); i++) {
        check_totals(&all_totals[i], "fake-iommufd", "anon", "account");
        check_totals(&all_totals[i], "fake-iommufd", "memfd", "account");
    }
}

static void verbose_prints_the_backend(void **state)
{
    g_autoptr(Run) run = run_plugmap("replay", "--backend", "fake-iommufd", "--verbose",
                                     "tests/traces/qemu-vfio-4m.log", NULL);

    (void)state;
    assert_int_equal(run->status, 0);
    assert_non_null(strstr(run->err, "backend fake-iommufd"));
}

static void verbose_prints_what_the_library_logs(void **state)
{
    static const char info[] = "plugmap: info: added the region of 0x";
    g_autoptr(Run) quiet = run_plugmap("replay", "tests/traces/qemu-vfio-4m.log", NULL);
    g_autoptr(Run) verbose =
        run_plugmap("replay", "--verbose", "tests/traces/qemu-vfio-4m.log", NULL);

    (void)state;
    assert_string_equal(quiet->err, "");
    assert_non_null(strstr(verbose->err, info));
    assert_null(strstr(verbose->out, info));
}

static void populated_memory_is_discarded_on_unplug(void **state)
{
    (void)state;
    check_totals(&all_totals[4], "fake", "anon", "populate");
    check_totals(&all_totals[4], "fake", "memfd", "populate");
}

static void the_dma_log_matches_qemu_on_a_real_kernel(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *log = g_build_filename(folder, "dma", NULL);
    g_autoptr(Run) run =
        run_plugmap("replay", "--dma-log", log, "tests/traces/qemu-vfio-4m.log", NULL);
    g_autofree char *ours = NULL;
    g_autofree char *theirs = NULL;

    (void)state;
    assert_int_equal(run->status, 0);
    assert_true(g_file_get_contents(log, &ours, NULL, NULL));
    assert_true(g_file_get_contents(PLUGMAP_SOURCE_DIR "/tests/traces/qemu-vfio-4m.dma", &theirs,
                                    NULL, NULL));
    scratch_remove(folder);
    assert_string_equal(ours, theirs);
}

static void a_converted_trace_replays_the_same(void **state)
{
    g_autofree char *folder = scratch_new();

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(all_totals); i++) {
        g_autofree char *path = g_build_filename(folder, "trace", NULL);
        g_autoptr(Run) run = run_plugmap("convert", all_totals[i].path, path, NULL);
        Totals totals = all_totals[i];

        assert_string_equal(run->err, "");
        assert_int_equal(run->status, 0);
        totals.path = path;
        check_totals(&totals, "fake", "anon", "account");
    }
    scratch_remove(folder);
}

static void a_differing_response_is_listed_and_exits_1(void **state)
{
    static const char trace[] = "plugmap-trace 1\n"
                                "region addr=0x100000000 size=64M block=2M requested=64M\n"
                                "plug addr=0x100000000 blocks=2 -> ack\n"
                                "plug addr=0x100200000 blocks=1 -> ack\n"
                                "state addr=0x100000000 blocks=3 -> plugged\n";
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "trace", trace, -1);
    g_autoptr(Run) text = run_plugmap("replay", path, NULL);
    g_autoptr(Run) run = run_plugmap("replay", "--json", path, NULL);
    g_autoptr(JsonParser) json = NULL;
    JsonArray *divergences;
    JsonObject *first;

    (void)state;
    scratch_remove(folder);
    assert_int_equal(text->status, 1);
    assert_non_null(strstr(text->out, "verdict   FAIL: "));
    assert_non_null(strstr(text->out, "line 4: plug of 1 block at 0x100200000"));
    assert_int_equal(run->status, 1);
    json = json_parse(run);
    divergences = json_object_get_array_member(json_node_get_object(json_parser_get_root(json)),
                                               "divergences");
    assert_int_equal(json_array_get_length(divergences), 2);
    first = json_array_get_object_element(divergences, 0);
    assert_int_equal(json_object_get_int_member(first, "line"), 4);
    assert_string_equal(json_object_get_string_member(first, "expected"), "ack");
    assert_true(g_str_has_prefix(json_object_get_string_member(first, "got"), "error: "));
}

/* The usable region bounds the requested size, but does not show when it was lowered. */
static void a_nack_within_the_bound_is_reported_as_not_judged(void **state)
{
    static const char log[] =
        "ram_block_discard_range @0x7f0000000000 + 0x100000000: madvise: 1 fallocate: 0 ret: 0\n"
        "virtio_mem_resized_usable_region old_size=0x0new_size=0x20000000\n"
        "virtio_mem_plug_request addr=0x100000000 nb_blocks=96\n"
        "virtio_mem_send_response type=0\n"
        "virtio_mem_plug_request addr=0x10c000000 nb_blocks=32\n"
        "virtio_mem_send_response type=1\n"
        "virtio_mem_plug_request addr=0x10c000000 nb_blocks=33\n"
        "virtio_mem_send_response type=1\n";
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "log", log, -1);
    g_autoptr(Run) text =
        run_plugmap("replay", "--block-size", "2M", "--region-addr", "0x100000000", path, NULL);
    g_autoptr(Run) run = run_plugmap("replay", "--json", "--block-size", "2M", "--region-addr",
                                     "0x100000000", path, NULL);
    g_autoptr(JsonParser) json = NULL;

    (void)state;
    scratch_remove(folder);
    assert_int_equal(text->status, 0);
    assert_non_null(strstr(text->out, "0 responses differ, 1 not judged\n"));
    assert_non_null(strstr(text->out, "line 5: plug of 32 blocks at 0x10c000000: expected nack, "
                                      "got ack or nack: requested size not recorded, at most "
                                      "256M"));
    assert_int_equal(run->status, 0);
    json = json_parse(run);
    assert_int_equal(json_number(json, "responses.nack"), 2);
    assert_int_equal(json_number(json, "n_divergences"), 0);
    assert_int_equal(json_number(json, "n_unjudged"), 1);
    assert_non_null(strstr(run->out, "\"line\" : 5"));
}

static void every_event_type_is_counted(void **state)
{
    static const char trace[] = "plugmap-trace 1\n"
                                "region addr=0x100000000 size=64M block=2M requested=4M\n"
                                "plug addr=0x100000000 blocks=2 -> ack\n"
                                "plug addr=0x100400000 blocks=1 -> nack\n"
                                "resize size=8M\n"
                                "plug addr=0x100400000 blocks=1 -> ack\n"
                                "state addr=0x100000000 blocks=4 -> mixed\n"
                                "unplug addr=0x100000000 blocks=1 -> ack\n"
                                "unplug-all -> ack\n"
                                "unplug addr=0x100000000 blocks=1 -> error\n"
                                "reset\n";
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "trace", trace, -1);
    g_autoptr(Run) run = run_plugmap("replay", "--json", path, NULL);
    g_autoptr(JsonParser) json = NULL;

    (void)state;
    scratch_remove(folder);
    assert_string_equal(run->err, "");
    assert_int_equal(run->status, 0);
    json = json_parse(run);
    assert_int_equal(json_number(json, "requests.plug"), 3);
    assert_int_equal(json_number(json, "requests.unplug"), 2);
    assert_int_equal(json_number(json, "requests.unplug_all"), 1);
    assert_int_equal(json_number(json, "requests.state"), 1);
    assert_int_equal(json_number(json, "requests.resize"), 1);
    assert_int_equal(json_number(json, "requests.reset"), 1);
    assert_int_equal(json_number(json, "responses.ack"), 5);
    assert_int_equal(json_number(json, "responses.nack"), 1);
    assert_int_equal(json_number(json, "responses.error"), 1);
    assert_int_equal(json_number(json, "blocks.plugged"), 3);
    assert_int_equal(json_number(json, "blocks.unplugged"), 3);
}

static void no_audit_skips_all_audits(void **state)
{
    g_autoptr(Run) run =
        run_plugmap("replay", "--json", "--no-audit", "tests/traces/qemu-vfio-4m.log", NULL);
    g_autoptr(JsonParser) json = NULL;

    (void)state;
    assert_int_equal(run->status, 0);
    json = json_parse(run);
    assert_int_equal(json_number(json, "audit.checks"), 0);
}

static void output_to_a_file_has_no_colours_and_no_progress_bar(void **state)
{
    g_autoptr(Run) run = run_plugmap("replay", "tests/traces/fragmented-2m.log", NULL);

    (void)state;
    assert_int_equal(run->status, 0);
    assert_null(strchr(run->out, '\033'));
    assert_string_equal(run->err, "");
    assert_non_null(strstr(run->out, "verdict   pass: "));
}

/* The engine's mapping is not included in the other numbers. */
static void dma_check_changes_no_total(void **state)
{
    static const char trace[] = "tests/traces/fragmented-2m.log";
    g_autoptr(Run) plain = run_plugmap("replay", "--json", trace, NULL);
    g_autoptr(Run) checked = run_plugmap("replay", "--json", "--dma-check", trace, NULL);
    g_autoptr(JsonParser) without = json_parse(plain);
    g_autoptr(JsonParser) with = json_parse(checked);
    static const char *const totals[] = {
        "requests.plug",         "blocks.plugged",         "dma.map_calls",
        "dma.unmap_calls",       "dma.peak_mappings",      "dma.final_mappings",
        "dma.peak_pinned_bytes", "dma.final_pinned_bytes",
    };

    (void)state;
    assert_int_equal(checked->status, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(totals); i++)
        assert_int_equal(json_number(with, totals[i]), json_number(without, totals[i]));
    assert_int_equal(json_number(with, "audit.checks"), 5 * (26 + 147 + 1 + 1));
    assert_int_equal(json_number(with, "audit.mismatches"), 0);
    assert_true(json_number(with, "dma_check.plugged_pages") > 174);
    assert_true(json_number(with, "dma_check.unplugged_pages") > 174);
    assert_int_equal(json_number(with, "dma_check.transfers"),
                     2 * (json_number(with, "dma_check.plugged_pages") +
                          json_number(with, "dma_check.unplugged_pages")));
    assert_non_null(strstr(checked->out, "\"engine\" : \"edu\""));
    assert_null(strstr(plain->out, "dma_check"));
}

static void the_report_has_the_dma_check(void **state)
{
    g_autoptr(Run) run =
        run_plugmap("replay", "--dma-check", "tests/traces/qemu-vfio-4m.log", NULL);

    (void)state;
    assert_int_equal(run->status, 0);
    assert_non_null(
        strstr(run->out, "dma check edu: 972 transfers, 243 plugged and 243 unplugged pages"));
}

/* The fake kernel only counts by default: resident memory was prefaulted. */
static void prefault_populates_plugged_blocks_only(void **state)
{
    static const char *const threads[] = {"0", "2"};
    static const gint64 resident[] = {0, 8 << 20};
    g_autofree char *folder = scratch_new();
    g_autofree char *trace = scratch_file(folder, "trace",
                                          "plugmap-trace 1\n"
                                          "region addr=4G size=64M block=2M\n"
                                          "plug addr=4G blocks=8 -> ack\n"
                                          "unplug addr=4G blocks=4 -> ack\n",
                                          -1);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_autoptr(Run) run = run_plugmap("replay", "--json", "--prefault", threads[i], trace, NULL);
        g_autoptr(JsonParser) json = json_parse(run);

        assert_int_equal(run->status, 0);
        assert_int_equal(json_number(json, "blocks.plugged"), 8);
        assert_int_equal(json_number(json, "dma.map_calls"), 8);
        assert_int_equal(json_number(json, "dma.peak_pinned_bytes"), 16 << 20);
        assert_int_equal(json_number(json, "dma.final_resident_bytes"), resident[i]);
        assert_int_equal(json_number(json, "audit.mismatches"), 0);
    }
    scratch_remove(folder);
}

/* Requires an empty pool on the host. */
static void missing_hugetlb_pages_are_reported_with_advice(void **state)
{
    g_autofree char *n_free = NULL;
    g_autofree char *folder = NULL;
    g_autofree char *trace = NULL;
    g_autoptr(Run) refused = NULL;
    g_autoptr(Run) run = NULL;

    (void)state;
    if (!g_file_get_contents(POOL "/nr_hugepages", &n_free, NULL, NULL) ||
        g_ascii_strtoull(n_free, NULL, 10) != 0) {
        fprintf(stderr, "skipped: the host's pool of huge pages is in use, or there is none; it "
                        "must be empty: echo 0 > " POOL "/nr_hugepages\n");
        skip();
    }
    folder = scratch_new();
    trace = scratch_file(folder, "trace",
                         "plugmap-trace 1\n"
                         "region addr=4G size=64M block=2M\n"
                         "plug addr=4G blocks=8 -> ack\n",
                         -1);
    refused = run_plugmap("replay", "--memory", "hugetlb", "--pin", "populate", trace, NULL);
    run = run_plugmap("replay", "--memory", "hugetlb", "--pin", "populate", "--force", "--json",
                      trace, NULL);
    scratch_remove(folder);
    assert_int_equal(refused->status, 4);
    assert_non_null(strstr(refused->err, "16M at once, which needs 8 hugetlb pages of 2M, but the "
                                         "host has 0 free"));
    assert_non_null(strstr(refused->err, "\n  echo 8 > " POOL "/nr_hugepages"));
    assert_int_equal(run->status, 1);
    assert_non_null(strstr(run->out, "the range lacks 8 hugetlb pages of 2M, and the host has 0 "
                                     "free. Add enough for the whole RAM, which lacks 32 pages"));
    assert_non_null(strstr(run->out, "\\n  echo 32 > "));
    assert_non_null(strstr(run->out, "nr_hugepages\""));
}

static void the_report_has_the_holders_of_discard_claims(void **state)
{
    static const struct {
        const char *owner;
        const char *kind;
    } expected[] = {{"virtio-mem at 0x100000000", "require-coordinated"},
                    {"the region at 0x100000000", "disable-uncoordinated"}};
    g_autoptr(Run) text = run_plugmap("replay", "tests/traces/busy-2m.log", NULL);
    g_autoptr(Run) run = run_plugmap("replay", "--json", "tests/traces/busy-2m.log", NULL);
    g_autoptr(JsonParser) json = json_parse(run);
    JsonArray *regions = json_object_get_array_member(
        json_object_get_object_member(json_node_get_object(json_parser_get_root(json)), "trace"),
        "regions");
    JsonObject *region = json_array_get_object_element(regions, 0);
    JsonArray *claims = json_object_get_array_member(region, "discard_claims");

    (void)state;
    assert_non_null(strstr(text->out, "\ndiscards  virtio-mem at 0x100000000 requires coordinated, "
                                      "the region at 0x100000000 disables uncoordinated\n"));
    assert_int_equal(json_array_get_length(claims), 2);
    for (guint i = 0; i < 2; i++) {
        JsonObject *claim = json_array_get_object_element(claims, i);

        assert_string_equal(json_object_get_string_member(claim, "owner"), expected[i].owner);
        assert_string_equal(json_object_get_string_member(claim, "kind"), expected[i].kind);
        assert_int_equal(json_object_get_int_member(claim, "count"), 1);
        assert_int_equal(json_object_get_int_member(claim, "bytes"),
                         json_object_get_int_member(region, "size"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_recorded_traces_replay_with_known_totals),
        cmocka_unit_test(a_memfd_replays_like_anonymous_memory),
        cmocka_unit_test(all_recorded_traces_replay_with_the_same_totals_on_iommufd),
        cmocka_unit_test(verbose_prints_the_backend),
        cmocka_unit_test(verbose_prints_what_the_library_logs),
        cmocka_unit_test(populated_memory_is_discarded_on_unplug),
        cmocka_unit_test(the_dma_log_matches_qemu_on_a_real_kernel),
        cmocka_unit_test(a_converted_trace_replays_the_same),
        cmocka_unit_test(a_differing_response_is_listed_and_exits_1),
        cmocka_unit_test(a_nack_within_the_bound_is_reported_as_not_judged),
        cmocka_unit_test(every_event_type_is_counted),
        cmocka_unit_test(no_audit_skips_all_audits),
        cmocka_unit_test(output_to_a_file_has_no_colours_and_no_progress_bar),
        cmocka_unit_test(prefault_populates_plugged_blocks_only),
        cmocka_unit_test(missing_hugetlb_pages_are_reported_with_advice),
        cmocka_unit_test(dma_check_changes_no_total),
        cmocka_unit_test(the_report_has_the_dma_check),
        cmocka_unit_test(the_report_has_the_holders_of_discard_claims),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
