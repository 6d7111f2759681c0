/* SPDX-License-Identifier: MIT */
/* plugmap replay --report and --svg: what is written, where, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "command_util.h"

#define TRACE "tests/traces/qemu-vfio-4m.log"
#define OLD   "what was there before\n"

static char *read_file(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void assert_old(const char *folder, const char *name)
{
    g_autofree char *text = read_file(folder, name);

    assert_string_equal(text, OLD);
}

static unsigned count_files(const char *folder)
{
    g_autoptr(GDir) files = g_dir_open(folder, 0, NULL);
    unsigned count = 0;

    while (g_dir_read_name(files) != NULL)
        count++;
    return count;
}

static void page_and_picture_are_written_beside_the_text(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *page = g_build_filename(folder, "page", NULL);
    g_autofree char *picture = g_build_filename(folder, "picture", NULL);
    g_autoptr(Run) run = run_plugmap("replay", "--report", page, "--svg", picture, TRACE, NULL);
    g_autofree char *html = read_file(folder, "page");
    g_autofree char *svg = read_file(folder, "picture");

    (void)state;
    assert_int_equal(run->status, 0);
    assert_non_null(strstr(run->out, "\nverdict   pass"));
    assert_true(g_str_has_prefix(html, "<!DOCTYPE html>\n"));
    assert_true(g_str_has_suffix(html, "</html>\n"));
    assert_true(g_str_has_prefix(svg, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg "));
    assert_true(g_str_has_suffix(svg, "</svg>\n"));
    assert_int_equal(count_files(folder), 2);
    scratch_remove(folder);
}

static void json_and_a_page_are_of_one_run(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *page = g_build_filename(folder, "page", NULL);
    g_autoptr(Run) run = run_plugmap("replay", "--json", "--report", page, TRACE, NULL);
    g_autoptr(JsonParser) json = json_parse(run);
    g_autofree char *html = read_file(folder, "page");
    g_autofree char *median =
        g_strdup_printf("<data data-field=\"latency_ns.plug.p50\" value=\"%" G_GINT64_FORMAT "\">",
                        json_number(json, "latency_ns.plug.p50"));

    (void)state;
    assert_int_equal(run->status, 0);
    assert_non_null(strstr(html, median));
    scratch_remove(folder);
}

static void a_dash_replaces_the_text(void **state)
{
    static const char *const cases[][3] = {{"--report", "<!DOCTYPE html>", "</html>\n"},
                                           {"--svg", "<?xml ", "</svg>\n"}};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Run) run = run_plugmap("replay", cases[i][0], "-", TRACE, NULL);
        g_autoptr(Run) other = run_plugmap("replay", cases[i][0], "/dev/stdout", TRACE, NULL);

        assert_int_equal(run->status, 0);
        assert_true(g_str_has_prefix(run->out, cases[i][1]));
        assert_true(g_str_has_suffix(run->out, cases[i][2]));
        assert_int_equal(other->status, 0);
        assert_true(g_str_has_suffix(other->out, cases[i][2]));
    }
}

static void two_outputs_need_two_files(void **state)
{
    static const char *const cases[][2] = {
        {"--report - --svg -", "--report and --svg both write to -: choose another file"},
        {"--dma-log - --svg -", "--dma-log and --svg both write to -: choose another file"},
        {"--report $1/x --svg $1/x", "--report and --svg both write to "},
        {"--report - --svg /dev/stdout",
         "--report - and --svg /dev/stdout both write to standard output: write to a file"},
        {"--json --report -", "--json writes to standard output: write --dma-log, --report and"},
        {"--json --svg /dev/stdout",
         "--json and --svg /dev/stdout both write to standard output: write to a file"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *folder = scratch_new();
        g_autofree char *line = g_strdup_printf(
            "\"$PLUGMAP\" replay %s " TRACE " 2>\"$1/message\" | cat >/dev/null", cases[i][0]);
        g_autofree char *message = NULL;

        (void)run_shell(line, folder);
        message = read_file(folder, "message");
        if (strstr(message, cases[i][1]) == NULL)
            fail_msg("%s: %s", cases[i][0], message);
        assert_int_equal(count_files(folder), 1);
        scratch_remove(folder);
    }
}

static void a_file_that_is_not_writable_is_found_before_the_replay(void **state)
{
    static const char *const options[] = {"--report", "--svg"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autoptr(Run) run =
            run_plugmap("replay", "--json", options[i], "/sys/plugmap.html", TRACE, NULL);
        g_autoptr(JsonParser) json = json_parse(run);

        assert_int_equal(run->status, 2);
        assert_non_null(strstr(run->err, "/sys/plugmap.html: write failed: "));
        assert_false(json_object_has_member(json_node_get_object(json_parser_get_root(json)),
                                            "events_played"));
    }
}

static void the_trace_is_not_overwritten(void **state)
{
    g_autofree char *folder = scratch_new();

    (void)state;
    assert_int_equal(run_shell("cp " TRACE " \"$1/trace\"; chmod u+w \"$1/trace\"; \"$PLUGMAP\" "
                               "replay --svg \"$1/trace\" \"$1/trace\"",
                               folder),
                     2);
    assert_int_equal(run_shell("cmp " TRACE " \"$1/trace\"", folder), 0);
    scratch_remove(folder);
}

static void failed_responses_have_a_page_too(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *html = NULL;

    (void)state;
    assert_int_equal(run_shell("\"$PLUGMAP\" replay --entry-limit 200 --overcommit --report "
                               "\"$1/page\" " TRACE,
                               folder),
                     1);
    html = read_file(folder, "page");
    assert_non_null(strstr(html, "<p class=\"verdict bad\">FAIL</p>"));
    assert_non_null(strstr(html, "<h2>Differing responses</h2>"));
    assert_non_null(strstr(html, "<td>entry-limit</td>"));
    scratch_remove(folder);
}

static void a_failed_replay_keeps_the_old_files(void **state)
{
    g_autofree char *folder = scratch_new();

    (void)state;
    g_free(scratch_file(folder, "page", OLD, -1));
    g_free(scratch_file(folder, "picture", OLD, -1));
    assert_int_equal(run_shell("\"$PLUGMAP\" replay --entry-limit 200 --report \"$1/page\" --svg "
                               "\"$1/picture\" " TRACE,
                               folder),
                     4);
    assert_old(folder, "page");
    assert_old(folder, "picture");
    assert_int_equal(count_files(folder), 2);
    scratch_remove(folder);
}

static void a_full_disk_keeps_the_old_page(void **state)
{
    g_autofree char *folder = scratch_new();

    (void)state;
    g_free(scratch_file(folder, "page", OLD, -1));
    assert_int_equal(
        run_shell("ulimit -f 8; \"$PLUGMAP\" replay --report \"$1/page\" " TRACE, folder), 2);
    assert_old(folder, "page");
    assert_int_equal(count_files(folder), 1);
    scratch_remove(folder);
}

/* Takes minutes; the first line on the pipe shows that it has begun. SIGINT would be ignored in the
 * background. */
static void end_replay(const char *folder, const char *name)
{
    g_autoptr(GString) text = g_string_new("plugmap-trace 1\nregion addr=4G size=1G block=2M\n");
    g_autofree char *trace = NULL;
    g_autofree char *line =
        g_strdup_printf("mkfifo \"$1/pipe\"; \"$PLUGMAP\" replay --dma-log - --report \"$1/page\" "
                        "--svg \"$1/picture\" \"$1/trace\" >\"$1/pipe\" & exec 3<\"$1/pipe\"; "
                        "head -c 1 <&3; kill -%s $!; cat <&3 >/dev/null; wait $!",
                        name);

    for (unsigned i = 0; i < 500000; i++)
        g_string_append(text, "plug addr=4G blocks=512 -> ack\nunplug addr=4G blocks=512 -> ack\n");
    trace = scratch_file(folder, "trace", text->str, -1);
    g_free(scratch_file(folder, "page", OLD, -1));
    g_free(scratch_file(folder, "picture", OLD, -1));
    assert_int_equal(run_shell(line, folder), g_str_equal(name, "TERM") ? 143 : 129);
    assert_int_equal(count_files(folder), 4); /* no temporary */
}

static void an_interrupted_replay_writes_a_partial_page(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *html = NULL;
    g_autofree char *svg = NULL;

    (void)state;
    end_replay(folder, "TERM");
    html = read_file(folder, "page");
    svg = read_file(folder, "picture");
    assert_non_null(strstr(html, "<p class=\"verdict bad\">pass so far, interrupted after "));
    assert_non_null(strstr(html, "<rect class=\"rest\""));
    assert_non_null(strstr(svg, ">pass so far, interrupted after "));
    scratch_remove(folder);
}

static void a_fatal_signal_keeps_the_old_files_only(void **state)
{
    g_autofree char *folder = scratch_new();

    (void)state;
    end_replay(folder, "HUP");
    assert_old(folder, "page");
    assert_old(folder, "picture");
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_and_picture_are_written_beside_the_text),
        cmocka_unit_test(json_and_a_page_are_of_one_run),
        cmocka_unit_test(a_dash_replaces_the_text),
        cmocka_unit_test(two_outputs_need_two_files),
        cmocka_unit_test(a_file_that_is_not_writable_is_found_before_the_replay),
        cmocka_unit_test(the_trace_is_not_overwritten),
        cmocka_unit_test(failed_responses_have_a_page_too),
        cmocka_unit_test(a_failed_replay_keeps_the_old_files),
        cmocka_unit_test(a_full_disk_keeps_the_old_page),
        cmocka_unit_test(an_interrupted_replay_writes_a_partial_page),
        cmocka_unit_test(a_fatal_signal_keeps_the_old_files_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
