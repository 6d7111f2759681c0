/* SPDX-License-Identifier: MIT */
/* --json always prints one report; command/schema compares those that are kept with docs/schema. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/fake.h>

#include "command_util.h"
#include "replay/replay.h"
#include "replay/report_json.h"
#include "trace/trace_load.h"

#define TRACE  "tests/traces/qemu-vfio-4m.log"
#define HEADER "plugmap-trace 1\nregion device=vm0 addr=4G size=64M block=2M requested-max=4M\n"

/* Differing responses, one that is not judged, and a truncated last line. */
#define EVERYTHING                                                                                 \
    HEADER "plug addr=4G blocks=1 -> nack\n"                                                       \
           "plug addr=4G blocks=1 -> busy\n"                                                       \
           "unplug addr=4G blocks=1 -> error\n"                                                    \
           "plug addr=4G bloc"

static JsonObject *parse(const char *text, JsonParser **parser)
{
    g_autoptr(GError) error = NULL;

    *parser = json_parser_new();
    if (!json_parser_load_from_data(*parser, text, -1, &error))
        fail_msg("%s in: %s", error->message, text);
    return json_node_get_object(json_parser_get_root(*parser));
}

static char *read_document(const char *name)
{
    g_autofree char *path = g_build_filename(PLUGMAP_SOURCE_DIR, "docs", name, NULL);
    GError *error = NULL;
    char *document = NULL;

    if (!g_file_get_contents(path, &document, NULL, &error))
        fail_msg("%s", error->message);
    return document;
}

/* --- verdicts and errors --- */

static void assert_verdict(const Run *run, const char *verdict, int status)
{
    g_autofree char *document = read_document("json.md");
    g_autofree char *item = g_strdup_printf("\n- `%s`: ", verdict);
    g_autoptr(JsonParser) parser = NULL;
    JsonObject *root = parse(run->out, &parser);

    assert_string_equal(json_object_get_string_member(root, "verdict"), verdict);
    assert_int_equal(json_object_get_int_member(root, "exit_status"), status);
    assert_int_equal(run->status, status);
    assert_non_null(strstr(document, item));
}

/* Made by hand: audits only fail if the kernel misbehaves, which no option requests. */
static void a_failed_audit_is_reported(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "wrong",
                                         "plugmap-trace 1\n"
                                         "region device=vm0 addr=4G size=64M block=2M\n"
                                         "plug addr=4G blocks=4\nunplug addr=4G blocks=2\n",
                                         -1);
    g_autoptr(PmTrace) trace = pm_trace_load(path, PM_TRACE_FORMAT_AUTO, NULL, NULL);
    g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, NULL);
    const PmReplayConfig config = {
        .kernel = fake, .fake = fake, .only_counts = true, .group = 1, .audit = true};
    g_autoptr(PmReplayResult) result = NULL;
    PmJsonReport report = {.command = "replay", .version = "0", .trace = trace, .backend = "fake"};
    g_autofree char *text = NULL;
    g_autoptr(JsonParser) parser = NULL;
    JsonObject *audit;

    (void)state;
    scratch_remove(folder);
    pm_fake_kernel_shorten_unmap(fake, 1);
    result = pm_replay(trace, &config, NULL);
    report.result = result;
    text = pm_report_json(&report);
    keep_report(text);
    audit = json_object_get_object_member(parse(text, &parser), "audit");
    assert_true(json_object_get_int_member(audit, "mismatches") > 0);
    assert_true(json_array_get_length(json_object_get_array_member(audit, "causes")) > 0);
}

/* command/schema compares what is printed here with docs/schema. */
static void each_command_prints_a_report(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *trace = scratch_file(folder, "trace", EVERYTHING, -1);
    g_autofree char *output = g_build_filename(folder, "output", NULL);
    g_autoptr(Run) replay = run_plugmap("replay", "--json", "--dma-check", trace, NULL);
    g_autoptr(Run) convert = run_plugmap("convert", "--json", trace, output, NULL);
    g_autoptr(Run) version = run_plugmap("--version", "--json", NULL);
    g_autoptr(Run) own_version = run_plugmap("replay", "--version", "--json", NULL);

    (void)state;
    scratch_remove(folder);
    assert_verdict(replay, "fail", 1);
    assert_verdict(convert, "done", 0);
    assert_verdict(version, "done", 0);
    assert_string_equal(version->out, own_version->out);
}

static void all_error_codes_are_documented(void **state)
{
    g_autofree char *document = read_document("schema/report.json");

    (void)state;
    for (int code = 0; !g_str_equal(pm_error_code_name((PmError)code), "unknown"); code++) {
        g_autofree char *quoted = g_strdup_printf("\"%s\"", pm_error_code_name((PmError)code));

        if (strstr(document, quoted) == NULL)
            fail_msg("%s is not in docs/schema/report.json", quoted);
    }
}

static void assert_error(const Run *run, const char *code, int status)
{
    g_autoptr(JsonParser) parser = NULL;
    JsonObject *root = parse(run->out, &parser);
    JsonObject *error;

    assert_verdict(run, "error", status);
    error = json_object_get_object_member(root, "error");
    assert_string_equal(json_object_get_string_member(error, "code"), code);
    assert_non_null(strstr(run->err, json_object_get_string_member(error, "message")));
}

static void each_verdict_is_reported(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *wrong = scratch_file(folder, "wrong", EVERYTHING, -1);
    g_autofree char *empty = scratch_file(folder, "empty", HEADER, -1);
    g_autofree char *output = g_build_filename(folder, "output", NULL);
    g_autoptr(Run) right_run = run_plugmap("replay", "--json", TRACE, NULL);
    g_autoptr(Run) wrong_run = run_plugmap("replay", "--json", wrong, NULL);
    g_autoptr(Run) empty_run = run_plugmap("replay", "--json", empty, NULL);
    g_autoptr(Run) convert = run_plugmap("convert", "--json", TRACE, output, NULL);

    (void)state;
    scratch_remove(folder);
    assert_verdict(right_run, "pass", 0);
    assert_verdict(wrong_run, "fail", 1);
    assert_verdict(empty_run, "nothing-to-check", 0);
    assert_verdict(convert, "done", 0);
}

static void every_error_is_reported_as_valid_json(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *damaged = scratch_file(folder, "damaged", HEADER "jump\xff\n", -1);
    g_autoptr(Run) usage = run_plugmap("replay", "--bogus", "--json", TRACE, NULL);
    g_autoptr(Run) later = run_plugmap("replay", "--json", TRACE, "--bogus", NULL);
    g_autoptr(Run) number = run_plugmap("replay", "--json", "--prefault", "1e3", TRACE, NULL);
    g_autoptr(Run) convert_usage = run_plugmap("convert", "--json", TRACE, "--bogus", NULL);
    g_autoptr(Run) flag = run_plugmap("replay", "--json", "--memory", "ssd", TRACE, NULL);
    g_autoptr(Run) missing = run_plugmap("replay", "--json", "none", NULL);
    g_autoptr(Run) input = run_plugmap("replay", "--json", damaged, NULL);
    g_autoptr(Run) host = run_plugmap("replay", "--json", "--backend", "type1", "--device",
                                      "ffff:1f:1f.7", TRACE, NULL);
    g_autoptr(Run) room = run_plugmap("replay", "--json", "--entry-limit", "100", TRACE, NULL);
    g_autoptr(Run) convert = run_plugmap("convert", "--json", damaged, "/dev/null", NULL);
    g_autoptr(Run) no_output = run_plugmap("convert", "--json", TRACE, NULL);
    g_autoptr(Run) full = run_plugmap("convert", "--json", TRACE, "/dev/full", NULL);
    g_autoptr(Run) both = run_plugmap("replay", "--json", "--dma-log", "-", TRACE, NULL);
    g_autoptr(Run) same = run_plugmap("replay", "--json", "--dma-log", "/dev/stdout", TRACE, NULL);

    (void)state;
    scratch_remove(folder);
    assert_error(usage, "usage", 2);
    assert_error(later, "usage", 2);
    assert_error(number, "usage", 2);
    assert_error(convert_usage, "usage", 2);
    assert_error(flag, "invalid-argument", 2);
    assert_error(missing, "bad-input", 2);
    assert_verdict(input, "error", 2); /* the message has bytes that are not UTF-8 */
    assert_error(host, "not-found", 3);
    assert_error(room, "entry-limit", 4);
    assert_verdict(convert, "error", 2);
    assert_error(no_output, "invalid-argument", 2);
    assert_error(full, "bad-input", 2);
    assert_error(both, "invalid-argument", 2);
    assert_error(same, "invalid-argument", 2);
}

static void a_log_on_standard_error_does_not_affect_the_report(void **state)
{
    g_autoptr(Run) run = run_plugmap("replay", "--json", "--dma-log", "/dev/stderr", TRACE, NULL);

    (void)state;
    assert_verdict(run, "pass", 0);
    assert_true(g_str_has_prefix(run->err, "map iova=0x"));
}

static void geometry_and_warnings_are_reported(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *trace = scratch_file(folder, "trace", EVERYTHING, -1);
    g_autoptr(Run) run = run_plugmap("replay", "--json", trace, NULL);
    g_autoptr(JsonParser) parser = NULL;
    JsonObject *root = parse(run->out, &parser);
    JsonArray *regions =
        json_object_get_array_member(json_object_get_object_member(root, "trace"), "regions");
    JsonArray *warnings = json_object_get_array_member(root, "warnings");

    (void)state;
    scratch_remove(folder);
    assert_string_equal(
        json_object_get_string_member(json_array_get_object_element(regions, 0), "address"),
        "0x100000000");
    assert_int_equal(json_array_get_length(warnings), 1);
    assert_non_null(strstr(json_array_get_string_element(warnings, 0), "trace:6: ignored"));
    assert_non_null(strstr(run->err, "plugmap replay: warning: "));
    assert_non_null(strstr(run->err, "trace:6: ignored"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_prints_a_report),
        cmocka_unit_test(a_failed_audit_is_reported),
        cmocka_unit_test(all_error_codes_are_documented),
        cmocka_unit_test(each_verdict_is_reported),
        cmocka_unit_test(every_error_is_reported_as_valid_json),
        cmocka_unit_test(a_log_on_standard_error_does_not_affect_the_report),
        cmocka_unit_test(geometry_and_warnings_are_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
