/* SPDX-License-Identifier: MIT */
/* plugmap generate: options, output, and that what it writes can be replayed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include "command_util.h"

#define GENERATE "generate", "--size", "4G", "--resize"

static void assert_shell(const char *line, const char *folder)
{
    if (run_shell(line, folder) != 0)
        fail_msg("failed: %s", line);
}

static void the_trace_is_on_standard_output(void **state)
{
    g_autoptr(Run) run = run_plugmap(GENERATE, "128M,0", NULL);
    g_autoptr(Run) dash = run_plugmap(GENERATE, "128M,0", "-", NULL);

    (void)state;
    assert_int_equal(run->status, 0);
    assert_string_equal(run->err, "");
    assert_string_equal(run->out, "plugmap-trace 1\n"
                                  "region addr=0x100000000 size=4G block=2M requested=0\n"
                                  "@1.000000000 resize size=128M\n"
                                  "@1.000000000 plug addr=0x100000000 blocks=64 -> ack\n"
                                  "@2.012820000 resize size=0\n"
                                  "@2.025620000 unplug addr=0x100000000 blocks=64 -> ack\n");
    assert_string_equal(dash->out, run->out);
}

static void a_file_gets_the_trace_and_standard_output_a_report(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = g_build_filename(folder, "trace", NULL);
    g_autoptr(Run) run =
        run_plugmap(GENERATE, "512M,0", "--entry-limit", "130", "--address", "8G", path, NULL);
    g_autofree char *expected = g_strdup_printf("trace     %s: 4G at 0x200000000, block size 2M\n"
                                                "requests  6 plug, 2 unplug, 0 unplug-all, "
                                                "2 resize, 0 reset\n"
                                                "responses 4 ack, 4 busy\n"
                                                "steps     1 of 2 reached the requested size\n"
                                                "end       0 requested, 0 plugged after 352.1 s\n",
                                                path);

    (void)state;
    assert_int_equal(run->status, 0);
    assert_string_equal(run->out, expected);
    assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    scratch_remove(folder);
}

static void the_json_report_counts_what_is_in_the_trace(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = g_build_filename(folder, "trace", NULL);
    g_autoptr(Run) run = run_plugmap(GENERATE, "256M,kexec,reset,0", "--json", path, NULL);
    g_autoptr(JsonParser) parser = json_parse(run);

    (void)state;
    assert_int_equal(run->status, 0);
    assert_int_equal(json_number(parser, "region.size"), INT64_C(4) << 30);
    assert_int_equal(json_number(parser, "events.plug"), 6);
    assert_int_equal(json_number(parser, "events.unplug"), 2);
    assert_int_equal(json_number(parser, "events.unplug_all"), 1);
    assert_int_equal(json_number(parser, "events.resize"), 2);
    assert_int_equal(json_number(parser, "events.reset"), 1);
    assert_int_equal(json_number(parser, "responses.ack"), 9);
    assert_int_equal(json_number(parser, "responses.busy"), 0);
    assert_shell("test $(grep -c ' plug ' \"$1/trace\") = 6", folder);
    scratch_remove(folder);
}

static void invalid_options_are_refused(void **state)
{
    static const struct {
        const char *options;
        const char *message;
        int status;
    } table[] = {
        {"", "expected --size and --resize (see --help)", 2},
        {"--size 4G", "expected --size and --resize (see --help)", 2},
        {"--resize 1G", "expected --size and --resize (see --help)", 2},
        {"--size 4G --resize 1G a b", "expected at most one output file (see --help)", 2},
        {"--size 4G --resize 1G --json", "--json requires an output file for the trace", 2},
        {"--size 4G --resize 1G --json -", "--json requires an output file for the trace", 2},
        {"--size 1X --resize 1G", "invalid --size 1X: must be a number", 2},
        {"--size 0 --resize 0", "invalid region size 0", 2},
        {"--size 4G --resize 8G", "invalid step '8G'", 2},
        {"--size 4G --resize 1M", "invalid step '1M'", 2},
        {"--size 4G --resize never", "invalid step 'never'", 2},
        {"--size 4G --resize 1G@x", "invalid time '@x'", 2},
        {"--size 4G --resize 1G --block-size 3M", "invalid block size 3M", 2},
        {"--size 4G --resize 1G --block-size x", "invalid --block-size x", 2},
        {"--size 4G --resize 1G --address 1M", "invalid region address 0x100000", 2},
        {"--size 4G --resize 1G --address x", "invalid --address x", 2},
        {"--size 4G --resize 1G --memory-block 3M", "invalid memory block size 3M", 2},
        {"--size 4G --resize 1G --memory-block x", "invalid --memory-block x", 2},
        {"--size 4G --resize 1G --memory-block 1G --block-size 4K", "262,144 blocks of 4K", 2},
        {"--size 4G --resize 1G --online -1", "invalid --online -1: must be 0 to 86400 seconds", 2},
        {"--size 4G --resize 1G --online soon", "invalid --online soon", 2},
        {"--size 4G --resize 1G --movable 101", "invalid --movable 101: must be a number from 0",
         2},
        {"--size 4G --resize 1G --pressure 1%", "invalid --pressure 1%: must be a number from 0",
         2},
        {"--size 4G --resize 1G --entry-limit 0",
         "invalid --entry-limit 0: must be a number from 1", 2},
        {"--size 4G --resize 1G --seed -1", "invalid --seed -1: must be a number from 0", 2},
        {"--size 4G --resize 1G /none/trace", "/none/trace", 2},
        {"--size 200T --resize 0 --block-size 1G", "cannot reserve 200T", 4},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *status =
            g_strdup_printf("\"$PLUGMAP\" generate %s >/dev/null 2>&1", table[i].options);
        g_autofree char *message =
            g_strdup_printf("\"$PLUGMAP\" generate %s 2>&1 >/dev/null | grep -qF -e \"%s\"",
                            table[i].options, table[i].message);

        assert_shell(message, NULL);
        assert_int_equal(run_shell(status, NULL), table[i].status);
    }
}

static void bad_usage_has_a_json_report(void **state)
{
    g_autoptr(Run) unknown = run_plugmap("generate", "--json", "--bogus", NULL);
    g_autoptr(Run) invalid = run_plugmap(GENERATE, "8G", "--json", "/none/trace", NULL);
    g_autoptr(JsonParser) first = json_parse(unknown);
    g_autoptr(JsonParser) second = json_parse(invalid);

    (void)state;
    assert_int_equal(json_number(first, "exit_status"), 2);
    assert_int_equal(json_number(second, "exit_status"), 2);
    assert_non_null(strstr(invalid->out, "invalid step '8G'"));
}

static void a_failure_leaves_an_older_file_alone(void **state)
{
    g_autofree char *folder = scratch_new();

    (void)state;
    g_free(scratch_file(folder, "trace", "old", -1));
    assert_int_equal(run_shell("\"$PLUGMAP\" generate --size 200T --block-size 1G --resize 0 "
                               "\"$1/trace\" 2>/dev/null",
                               folder),
                     4);
    assert_shell("test \"$(cat \"$1/trace\")\" = old", folder);
    assert_shell("! \"$PLUGMAP\" generate --size 4G --resize 1G >/dev/full 2>/dev/null", folder);
    scratch_remove(folder);
}

/* Modes, sizes, seeds: what the library's device answered once, it answers again. */
static void generated_traces_pass_a_replay(void **state)
{
    static const char *const guests[] = {
        "--size 2G --resize 2G,256M,1G,0 --pressure 5",
        "--size 2G --resize 2G,256M,1G,0 --pressure 30 --movable 50",
        "--size 2G --resize 1G,reset,2G,kexec,0 --block-size 4M --pressure 10",
        "--size 2G --resize 2G,1G@0.05,2G@0.01,reset@0.02,512M@6,0 --pressure 10",
        "--size 8G --resize 8G,2G,6G,0 --block-size 256M --pressure 20",
        "--size 2G --resize 2G,1G,0 --big-blocks --pressure 5 --movable 30",
        "--size 2G --resize 2G,512M,1G,0 --online 2 --pressure 5",
        "--size 2G --resize 2G,300M,1G,0 --online never",
        "--size 2G --resize 2G,0 --memory-block 1G --block-size 1M --pressure 2",
        "--size 2G --resize 2G,1G,0 --address 0x107e00000 --pressure 5",
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(guests); i++) {
        for (unsigned seed = 1; seed <= 3; seed++) {
            g_autofree char *line =
                g_strdup_printf("\"$PLUGMAP\" generate %s --seed %u | \"$PLUGMAP\" replay - | "
                                "grep -q '^verdict   pass: .*, 0 failed, 0 responses differ$'",
                                guests[i], seed);

            assert_shell(line, NULL);
        }
    }
}

static void a_trace_with_a_limit_passes_a_replay_with_that_limit(void **state)
{
    (void)state;
    assert_shell("\"$PLUGMAP\" generate --size 4G --resize 2G,1G,reset,3G,0 --entry-limit 700 | "
                 "\"$PLUGMAP\" replay --entry-limit 700 --overcommit - | "
                 "grep -q '^verdict   pass: .*, 0 responses differ$'",
                 NULL);
}

static void a_million_requests_for_one_tib_are_generated(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = g_build_filename(folder, "trace", NULL);
    g_autoptr(Run) run = run_plugmap("generate", "--size", "1T", "--resize", "1T,0,1T,0",
                                     "--pressure", "5", "--json", path, NULL);
    g_autoptr(JsonParser) parser = json_parse(run);

    (void)state;
    assert_true(json_number(parser, "events.plug") + json_number(parser, "events.unplug") >
                1000000);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_trace_is_on_standard_output),
        cmocka_unit_test(a_file_gets_the_trace_and_standard_output_a_report),
        cmocka_unit_test(the_json_report_counts_what_is_in_the_trace),
        cmocka_unit_test(invalid_options_are_refused),
        cmocka_unit_test(bad_usage_has_a_json_report),
        cmocka_unit_test(a_failure_leaves_an_older_file_alone),
        cmocka_unit_test(generated_traces_pass_a_replay),
        cmocka_unit_test(a_trace_with_a_limit_passes_a_replay_with_that_limit),
        cmocka_unit_test(a_million_requests_for_one_tib_are_generated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
