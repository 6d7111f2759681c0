/* SPDX-License-Identifier: MIT */
/* 'plugmap watch' without a terminal: the summary, in text and JSON, and the exit status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "command_util.h"

/* 672 calls of map, 16 of unmap, made by QEMU's vfio. */
#define QEMU_CALLS "tests/traces/qemu-vfio-4m.dma"

#define NONE "--memlock=none"

static Run *watch_text(const char *text, const char *option)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "log", text, -1);
    Run *run = run_plugmap("watch", NONE, path, option, NULL);

    scratch_remove(folder);
    return run;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("expected '%s' in: %s", part, text);
}

static void assert_same(JsonParser *watch, const char *path, JsonParser *replay,
                        const char *replay_path)
{
    assert_int_equal(json_number(watch, path), json_number(replay, replay_path));
}

/* Of a trace, and of the calls that its replay made. */
static void check_trace(const char *name)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *trace = g_build_filename("tests/traces", name, NULL);
    g_autofree char *log = g_build_filename(folder, "log", NULL);
    g_autoptr(Run) replayed = run_plugmap("replay", "--json", "--dma-log", log, trace, NULL);
    g_autoptr(Run) watched = run_plugmap("watch", "--json", NONE, trace, NULL);
    g_autoptr(Run) calls = run_plugmap("watch", "--json", NONE, log, NULL);
    g_autoptr(JsonParser) replay = json_parse(replayed);
    g_autoptr(JsonParser) watch = json_parse(watched);
    g_autoptr(JsonParser) dma = json_parse(calls);

    scratch_remove(folder);
    assert_int_equal(watched->status, 0);
    assert_int_equal(calls->status, 0);
    assert_same(watch, "mappings.peak", replay, "dma.peak_mappings");
    assert_same(watch, "mappings.now", replay, "dma.final_mappings");
    assert_same(watch, "locked_bytes.peak", replay, "dma.peak_pinned_bytes");
    assert_same(watch, "locked_bytes.now", replay, "dma.final_pinned_bytes");
    assert_same(watch, "map.calls", replay, "dma.map_calls");
    assert_same(watch, "unmap.calls", replay, "dma.unmap_calls");
    assert_same(watch, "responses.ack", replay, "responses.ack");
    assert_same(watch, "requests.plug", replay, "requests.plug");
    assert_same(watch, "audits.count", replay, "audit.checks");
    assert_same(dma, "mappings.peak", replay, "dma.peak_mappings");
    assert_same(dma, "mappings.now", replay, "dma.final_mappings");
    assert_same(dma, "locked_bytes.peak", replay, "dma.peak_pinned_bytes");
    assert_same(dma, "conflicts.count", replay, "audit.mismatches");
}

static void peaks_of_each_trace_are_those_of_its_replay(void **state)
{
    g_autoptr(GDir) folder = g_dir_open(PLUGMAP_SOURCE_DIR "/tests/traces", 0, NULL);
    const char *name;
    unsigned n_traces = 0;

    (void)state;
    while ((name = g_dir_read_name(folder)) != NULL) {
        if (!g_str_has_suffix(name, ".log") && !g_str_has_suffix(name, ".trace"))
            continue;
        check_trace(name);
        n_traces++;
    }
    assert_true(n_traces >= 10);
}

static void calls_of_qemu_are_counted(void **state)
{
    g_autoptr(Run) run = run_plugmap("watch", "--json", NONE, QEMU_CALLS, NULL);
    g_autoptr(JsonParser) json = json_parse(run);

    (void)state;
    assert_int_equal(run->status, 0);
    assert_string_equal(run->err, "");
    assert_int_equal(json_number(json, "map.calls"), 672);
    assert_int_equal(json_number(json, "unmap.calls"), 16);
    assert_int_equal(json_number(json, "mappings.peak"), 512);
    assert_int_equal(json_number(json, "mappings.now"), 160);
    assert_int_equal(json_number(json, "fragments.runs"), 1);
    assert_int_equal(json_number(json, "fragments.largest_bytes"), 640 << 20);
    assert_int_equal(json_number(json, "conflicts.count"), 0);
}

static void the_summary_has_all_that_the_log_says(void **state)
{
    g_autoptr(Run) run =
        watch_text("@5.0 map iova=0x100000000 size=2M pid=7 space=a ns=1000 -> ok\n"
                   "@5.5 map iova=0x100200000 size=4M pid=7 space=a ns=3000\n"
                   "@6.0 map iova=0 size=4K pid=7 space=b ns=20 -> ENOSPC\n"
                   "@6.5 map iova=0 size=4K pid=7 space=b ns=20 -> ENOSPC\n"
                   "@7.0 unmap iova=0x100000000 size=2M unmapped=2M pid=7 space=a ns=500\n",
                   NULL);

    (void)state;
    assert_int_equal(run->status, 0);
    assert_string_equal(run->err, "");
    assert_has(run->out, "watched   log: DMA log, 5 events in 2.0 s\n");
    assert_has(run->out, "calls     4 map, 1 unmap; map failed: 2 ENOSPC\n");
    assert_has(run->out, "sizes     2M: 1, 4M: 1\n");
    assert_has(run->out, "mappings  peak 2 of ");
    assert_has(run->out, "locked    peak 6M, no limit, now 4M\n");
    assert_has(run->out, "spaces    a: 1, b: 0\n");
    assert_has(run->out, "fragments 1 run of 1 mapping, largest 4M at 0x100200000\n");
    assert_has(run->out, "latency   map: p50 20 ns, p99 1007 ns, max 3000 ns\n");
    assert_has(run->out, "latency   unmap: p50 500 ns, p99 500 ns, max 500 ns\n");
    assert_has(run->out, "log:3: map of 4K at 0x0: ENOSPC\n");
    assert_has(run->out, "verdict   pass: the log has no end yet, 1 mapping now\n");
}

static void mappings_that_are_left_at_an_end_are_leaks(void **state)
{
    static const struct {
        const char *text;
        int status;
        const char *says;
    } cases[] = {
        {"map iova=0 size=4K\nend\n", 1,
         "leaks     1 mapping, 4K, left at the end: first 0x0-0xfff"},
        {"map iova=0 size=4K\nunmap all\nend\n", 0, "leaks     none\nverdict   pass\n"},
        {"map iova=0 size=4K\n", 0, "the log has no end yet, 1 mapping now"},
        {"map iova=0 size=4K pid=1\nend pid=2\n", 0, "the log has no end yet, 1 mapping now"},
        {"map iova=0 size=4K pid=1\nend pid=1\n", 1, "1 mapping, 4K, left at the end"},
        {"map iova=0 size=4K space=a\nmap iova=0 size=4K space=b\nend space=b\n", 1,
         "first 0x0-0xfff of b"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Run) run = watch_text(cases[i].text, NULL);

        assert_has(run->out, cases[i].says);
        assert_int_equal(run->status, cases[i].status);
        assert_has(run->out, cases[i].status == 0 ? "verdict   pass" : "verdict   LEAK");
    }
}

static void a_leak_is_in_the_json(void **state)
{
    g_autoptr(Run) run = watch_text("map iova=0 size=4K -> ok\nmap iova=0 size=4K\n"
                                    "map iova=0 size=4K -> EEXIST\nend\n",
                                    "--json");
    g_autoptr(JsonParser) json = json_parse(run);

    (void)state;
    assert_int_equal(run->status, 1);
    assert_has(run->out, "\"verdict\" : \"leak\"");
    assert_int_equal(json_number(json, "leaks.mappings"), 1);
    assert_int_equal(json_number(json, "leaks.bytes"), 4096);
    assert_int_equal(json_number(json, "map.errors.EEXIST"), 1);
    assert_int_equal(json_number(json, "conflicts.count"), 1);
}

static void a_contradiction_is_reported(void **state)
{
    g_autoptr(Run) run = watch_text("unmap iova=0 size=4K unmapped=4K\n", NULL);

    (void)state;
    assert_int_equal(run->status, 0);
    assert_has(run->out, "conflicts 1 call contradicts the log before: line 1: unmap at 0x0 ");
}

static void a_log_does_not_control_the_terminal(void **state)
{
    g_autoptr(Run) run = watch_text("map iova=0 size=4K space=\033[2J\nend\n", NULL);
    g_autoptr(Run) bad = watch_text("map iova=0 size=\033[2J\n", NULL);

    (void)state;
    assert_has(run->out, "first 0x0-0xfff of ?[2J\n");
    assert_null(strchr(run->out, '\033'));
    assert_null(strchr(bad->err, '\033'));
}

/* Untimed calls come after the timed ones. */
static void a_clock_that_is_set_back_leaves_no_negative_time(void **state)
{
    g_autoptr(Run) back = watch_text("@100 map iova=0 size=4K\n@50 unmap all\n@57 end\n", "--json");
    g_autoptr(JsonParser) report = json_parse(back);
    g_autoptr(GString) late = g_string_new("@4611686018.999999999 map iova=0 size=4K\n");
    g_autoptr(Run) run = NULL;

    (void)state;
    assert_int_equal(json_number(report, "source.duration_ns"), 7000000000);
    for (unsigned i = 0; i < 100; i++)
        g_string_append(late, "unmap all\n");
    run = watch_text(late->str, NULL);
    assert_has(run->out, "watched   log: DMA log, 101 events in 1.0 s\n");
}

static void numbers_in_the_json_are_never_negative(void **state)
{
    g_autoptr(Run) run = watch_text("map iova=0 size=0xfffffffffffff000\nunmap all\n", "--json");
    g_autoptr(JsonParser) report = json_parse(run);

    (void)state;
    assert_true(json_number(report, "locked_bytes.peak") == INT64_MAX);
}

static void limits_that_are_near_are_warnings(void **state)
{
    g_autoptr(Run) run =
        run_plugmap("watch", "--entry-limit=512", "--memlock=2000M", QEMU_CALLS, NULL);
    g_autoptr(Run) json =
        run_plugmap("watch", "--entry-limit=512", "--json", NONE, QEMU_CALLS, NULL);

    (void)state;
    assert_int_equal(run->status, 0);
    assert_has(run->err, "plugmap watch: warning: mappings: 461 of 512 (90.0%): raise "
                         "vfio_iommu_type1.dma_entry_limit");
    assert_has(run->err, "warning: mappings: 512 of 512 (100.0%), limit reached: ");
    assert_has(run->err, "warning: locked memory: 1.8G of 2.0G (90.0%): raise RLIMIT_MEMLOCK");
    assert_has(run->err, "warning: locked memory: 2.0G of 2.0G (100.0%), limit reached: ");
    assert_has(run->out, "mappings  peak 512 of 512 (100.0%), now 160\n");
    assert_has(json->out, "\"mappings: 512 of 512 (100.0%), limit reached: ");
}

static void a_limit_that_is_given_is_that_of_the_replay(void **state)
{
    g_autoptr(Run) run =
        run_plugmap("watch", NONE, "--entry-limit=1000", "tests/traces/grow-shrink-2m.log", NULL);

    (void)state;
    assert_int_equal(run->status, 1);
    assert_has(run->out, "verdict   FAIL: ");
    assert_has(run->out, "failure   tests/traces/grow-shrink-2m.log:");
    assert_has(run->out, ": busy\n");
}

static void bad_input_is_refused_with_file_and_line(void **state)
{
    g_autoptr(Run) line = watch_text("map iova=0 size=4K\nmap iova=0\n", NULL);
    g_autoptr(Run) json = watch_text("map iova=0 size=4K\nmap iova=0\n", "--json");
    g_autoptr(Run) missing = run_plugmap("watch", "/nonexistent", NULL);
    g_autoptr(Run) folder = run_plugmap("watch", "tests", NULL);
    g_autoptr(Run) empty = watch_text("", NULL);
    g_autoptr(Run) format = watch_text("# nothing\nplug\n", "--format=dma-log");

    (void)state;
    assert_int_equal(line->status, 2);
    assert_has(line->err, "/log:2: missing size=\n");
    assert_string_equal(line->out, "");
    assert_int_equal(json->status, 2);
    assert_has(json->out, "\"verdict\" : \"error\"");
    assert_int_equal(missing->status, 2);
    assert_has(missing->err, "/nonexistent: No such file");
    assert_int_equal(folder->status, 2);
    assert_int_equal(empty->status, 2);
    assert_has(empty->err, "empty file");
    assert_int_equal(format->status, 2);
    assert_has(format->err, "/log:2: unknown call 'plug'");
}

static void a_line_that_is_cut_off_is_a_warning(void **state)
{
    g_autoptr(Run) run = watch_text("map iova=0 size=4K\nmap iova=0x1000 size=4", NULL);

    (void)state;
    assert_int_equal(run->status, 0);
    assert_has(run->err, "/log:2: ignored the last line, which has no newline");
    assert_has(run->out, "calls     1 map, 0 unmap\n");
}

static void bad_usage_is_refused(void **state)
{
    static const char *const cases[][3] = {
        {NULL, NULL, "expected one trace or log"},
        {"a", "b", "expected one trace or log"},
        {"--speed=fast", "a", "invalid --speed fast"},
        {"--speed=10", "a", "invalid --speed 10"},
        {"--speed=0x", "a", "invalid --speed 0x"},
        {"--speed=-1x", "a", "invalid --speed -1x"},
        {"--speed=nanx", "a", "invalid --speed nanx"},
        {"--entry-limit=0", "a", "invalid --entry-limit 0"},
        {"--entry-limit=4294967296", "a", "invalid --entry-limit 4294967296"},
        {"--memlock=much", "a", "invalid --memlock much"},
        {"--format=pcap", QEMU_CALLS, "invalid --format pcap"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Run) run = run_plugmap("watch", cases[i][0], cases[i][1], NULL);

        assert_int_equal(run->status, 2);
        assert_string_equal(run->out, "");
        assert_has(run->err, cases[i][2]);
    }
}

static void sources_are_detected_in_pipes(void **state)
{
    static const char *const lines[] = {
        "\"$PLUGMAP\" watch - <" QEMU_CALLS,
        "cat " QEMU_CALLS " | \"$PLUGMAP\" watch -",
        "gzip -c " QEMU_CALLS " >\"$1/gz\" && \"$PLUGMAP\" watch \"$1/gz\"",
        "{ echo '# a comment'; echo; cat " QEMU_CALLS "; } | \"$PLUGMAP\" watch -",
        "{ printf 'm'; sleep 0.1; tail -c +2 " QEMU_CALLS "; } | \"$PLUGMAP\" watch -",
        "mkfifo \"$1/fifo\" && { cat " QEMU_CALLS " >\"$1/fifo\" & } && "
        "\"$PLUGMAP\" watch \"$1/fifo\"",
        "cat " QEMU_CALLS " | \"$PLUGMAP\" watch --follow -",
        "cat " QEMU_CALLS " | \"$PLUGMAP\" watch --format dma-log -",
    };
    g_autofree char *folder = scratch_new();

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *line = g_strdup_printf(
            "(%s) >\"$1/out\" && grep -q 'DMA log, 688 events' \"$1/out\"", lines[i]);

        if (run_shell(line, folder) != 0)
            fail_msg("failed: %s", lines[i]);
    }
    scratch_remove(folder);
}

static void traces_are_detected_in_pipes(void **state)
{
    static const char *const lines[] = {
        "\"$PLUGMAP\" watch - <$trace",
        "cat $trace | \"$PLUGMAP\" watch -",
        "gzip -c $trace | \"$PLUGMAP\" watch -",
        "mkfifo \"$1/fifo\" && { cat $trace >\"$1/fifo\" & } && \"$PLUGMAP\" watch \"$1/fifo\"",
        "\"$PLUGMAP\" convert $trace - | \"$PLUGMAP\" watch -",
    };
    g_autofree char *folder = scratch_new();

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *line =
            g_strdup_printf("trace=tests/traces/grow-shrink-2m.log; (%s) >\"$1/out\" && grep -q "
                            "'trace, 44 events' \"$1/out\"",
                            lines[i]);

        if (run_shell(line, folder) != 0)
            fail_msg("failed: %s", lines[i]);
    }
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peaks_of_each_trace_are_those_of_its_replay),
        cmocka_unit_test(calls_of_qemu_are_counted),
        cmocka_unit_test(the_summary_has_all_that_the_log_says),
        cmocka_unit_test(mappings_that_are_left_at_an_end_are_leaks),
        cmocka_unit_test(a_leak_is_in_the_json),
        cmocka_unit_test(a_contradiction_is_reported),
        cmocka_unit_test(a_log_does_not_control_the_terminal),
        cmocka_unit_test(a_clock_that_is_set_back_leaves_no_negative_time),
        cmocka_unit_test(numbers_in_the_json_are_never_negative),
        cmocka_unit_test(limits_that_are_near_are_warnings),
        cmocka_unit_test(a_limit_that_is_given_is_that_of_the_replay),
        cmocka_unit_test(bad_input_is_refused_with_file_and_line),
        cmocka_unit_test(a_line_that_is_cut_off_is_a_warning),
        cmocka_unit_test(bad_usage_is_refused),
        cmocka_unit_test(sources_are_detected_in_pipes),
        cmocka_unit_test(traces_are_detected_in_pipes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
