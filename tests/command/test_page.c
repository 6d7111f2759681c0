/* SPDX-License-Identifier: MIT */
/* Opens the page of a replay in Chromium: no message on the console, the numbers of --json, and
 * what the pointer shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "command_util.h"

/* A page after its scripts have run, and what Chromium reported. */
typedef struct {
    char *dom;
    char *messages;
} Page;

static void page_clear(Page *page)
{
    g_free(page->dom);
    g_free(page->messages);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Page, page_clear)

static char *read_file(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* Without the sandbox, which containers and root do not have: the page is our own. */
static void open_page(const char *folder, Page *page)
{
    assert_int_equal(
        run_shell("HOME=\"$1/home\" timeout 300 chromium --headless --no-sandbox --disable-gpu "
                  "--disable-dev-shm-usage --no-first-run --disable-background-networking "
                  "--disable-component-update --disable-sync --user-data-dir=\"$1/home/profile\" "
                  "--virtual-time-budget=10000 --enable-logging=stderr --dump-dom "
                  "\"file://$1/page.html\" >\"$1/dom\" 2>\"$1/messages\"; status=$?; "
                  "rm -rf \"$1/home\"; exit $status",
                  folder),
        0);
    page->dom = read_file(folder, "dom");
    page->messages = read_file(folder, "messages");
}

static void assert_no_message(const Page *page)
{
    if (strstr(page->messages, "CONSOLE") != NULL)
        fail_msg("%s", page->messages);
}

/* Leaves the page in @folder, and returns the report of the same run. */
static JsonParser *replay(const char *folder, const char *options, int status)
{
    g_autofree char *line = g_strdup_printf(
        "\"$PLUGMAP\" replay --json --report \"$1/page.html\" %s >\"$1/json\"", options);
    g_autofree char *text = NULL;
    JsonParser *json = json_parser_new();

    assert_int_equal(run_shell(line, folder), status);
    text = read_file(folder, "json");
    assert_true(json_parser_load_from_data(json, text, -1, NULL));
    return json;
}

/* --- numbers --- */

static uint64_t size_unit(const char *unit)
{
    static const char units[] = "KMGTPE";
    const char *found = *unit != '\0' ? strchr(units, *unit) : NULL;

    return found != NULL ? UINT64_C(1) << 10 * (found - units + 1) : 1;
}

static uint64_t time_unit(const char *unit)
{
    if (g_str_equal(unit, " µs"))
        return 1000;
    if (g_str_equal(unit, " ms"))
        return 1000000;
    return g_str_equal(unit, " s") ? 1000000000 : 1;
}

/* What people read is the value: exactly, or in a unit of time, rounded down. */
static void assert_text(const char *field, const char *text, uint64_t value)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    g_autofree char *digits = g_strjoinv("", parts);
    char *unit;
    uint64_t number = g_ascii_strtoull(digits, &unit, 10);

    assert_true(unit != digits);
    if (number * size_unit(unit) != value && number != value / time_unit(unit))
        fail_msg("%s: shows '%s', has %" G_GUINT64_FORMAT, field, text, value);
}

/* Returns the number of values. */
static unsigned compare_numbers(const char *dom, JsonParser *json)
{
    g_autoptr(GRegex) regex =
        g_regex_new("<data data-field=\"([^\"]+)\" value=\"([0-9]+)\">([^<]*)</data>", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    unsigned n_values = 0;

    for (g_regex_match(regex, dom, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL)) {
        g_autofree char *field = g_match_info_fetch(match, 1);
        g_autofree char *value = g_match_info_fetch(match, 2);
        g_autofree char *text = g_match_info_fetch(match, 3);

        if ((uint64_t)json_number(json, field) != g_ascii_strtoull(value, NULL, 10))
            fail_msg("%s: %s", field, value);
        assert_text(field, text, g_ascii_strtoull(value, NULL, 10));
        n_values++;
    }
    return n_values;
}

/* The counts in the table of refused requests. */
static uint64_t sum_refusals(const char *dom)
{
    const char *table = strstr(dom, "<h2>Refused requests</h2>");
    const char *end = strstr(table, "<h2>All numbers</h2>");
    static const char cell[] = "<td class=\"number\">";
    uint64_t sum = 0;

    while ((table = strstr(table, cell)) != NULL && table < end) {
        table += strlen(cell);
        sum += g_ascii_strtoull(table, NULL, 10);
    }
    return sum;
}

static uint64_t refused_of(JsonParser *json)
{
    static const char *const fields[] = {"responses.nack",       "responses.busy",
                                         "responses.error",      "iommu_statuses.inval",
                                         "iommu_statuses.range", "iommu_statuses.fault",
                                         "iommu_statuses.noent"};
    uint64_t sum = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        sum += (uint64_t)json_number(json, fields[i]);
    return sum;
}

static void assert_embedded(const char *dom, JsonParser *json)
{
    static const char begin[] = "<script type=\"application/json\" id=\"report\">";
    const char *from = strstr(dom, begin) + strlen(begin);
    g_autofree char *text = g_strndup(from, (gsize)(strstr(from, "</script>") - from));
    g_autoptr(JsonParser) embedded = json_parser_new();

    assert_true(json_parser_load_from_data(embedded, text, -1, NULL));
    assert_true(json_node_equal(json_parser_get_root(embedded), json_parser_get_root(json)));
}

static void numbers_are_those_of_json(void **state)
{
    static const struct {
        const char *options;
        int status;
        unsigned n_values; /* at least */
    } cases[] = {
        {"tests/traces/fragmented-2m.log", 0, 40},
        {"tests/traces/convert-4k-in-2m.trace", 0, 41},
        {"--backend fake-iommufd tests/traces/iommu-random-2m.trace", 0, 45},
        {"--entry-limit 500 --overcommit tests/traces/fragmented-2m.log", 1, 40},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *folder = scratch_new();
        g_autoptr(JsonParser) json = replay(folder, cases[i].options, cases[i].status);
        g_auto(Page) page = {0};

        open_page(folder, &page);
        assert_no_message(&page);
        assert_in_range(compare_numbers(page.dom, json), cases[i].n_values, 100);
        assert_embedded(page.dom, json);
        assert_int_equal(sum_refusals(page.dom), refused_of(json));
        scratch_remove(folder);
    }
}

/* --- the pointer --- */

/* Moves the pointer to a share of a figure's plot, and notes what it shows in the document. The
 * policy would not let this script run. */
static void add_pointer(const char *folder, const char *figure, double x, double y)
{
    g_autofree char *script = g_strdup_printf(
        "<script>{const box=document.querySelector('figure[%s] rect.ground')"
        ".getBoundingClientRect();document.querySelector('figure[%s] svg.plot').dispatchEvent("
        "new "
        "PointerEvent('pointermove',{clientX:box.left+box.width*%g,clientY:box.top+box.height*%g"
        "}));const p=document.createElement('pre');p.textContent='SHOWN '+(document.getElementById("
        "'tip').hidden?'nothing':document.getElementById('tip').textContent);document.body.append("
        "p)"
        "}</script></body>",
        figure, figure, x, y);
    g_autofree char *page = read_file(folder, "page.html");
    g_autoptr(GString) changed = g_string_new(page);

    (void)g_string_replace(changed, "http-equiv=\"Content-Security-Policy\"", "name=\"policy\"", 1);
    (void)g_string_replace(changed, "</body>", script, 1);
    g_free(scratch_file(folder, "page.html", changed->str, -1));
}

static void the_pointer_shows_state_and_sizes(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *trace = scratch_file(folder, "trace",
                                          "plugmap-trace 1\nregion addr=4G size=8M block=2M\n"
                                          "plug addr=4G blocks=2 -> ack\n"
                                          "plug addr=4G blocks=1 -> error\n",
                                          -1);
    g_autoptr(JsonParser) json = replay(folder, "\"$1/trace\"", 0);
    g_auto(Page) page = {0};

    (void)state;
    (void)trace;
    (void)json;
    add_pointer(folder, "data-region", 0.9, 0.99);
    add_pointer(folder, "data-region", 0.1, 0.01);
    add_pointer(folder, "data-levels=\"0 1 2\"", 0.1, 0.5);
    add_pointer(folder, "data-levels=\"3\"", 0.6, 0.5);
    add_pointer(folder, "data-region", 1.5, 0.5);
    open_page(folder, &page);
    assert_no_message(&page);
    assert_non_null(strstr(page.dom,
                           "SHOWN event 2\n1 refused request\n0x100000000 to 0x100200000\n"
                           "plugged, mapped: all\n1 refused request<"));
    assert_non_null(strstr(page.dom, "SHOWN event 1\n0x100600000 to 0x100800000\nunplugged<"));
    assert_non_null(strstr(page.dom, "SHOWN event 1\nplugged 4M\nrequested 8M\npinned 4M<"));
    assert_non_null(strstr(page.dom, "SHOWN event 2\n1 refused request\nmappings 2<"));
    assert_non_null(strstr(page.dom, "SHOWN nothing<"));
    scratch_remove(folder);
}

/* Also shows that messages of the console are seen. */
static void what_else_gets_into_the_page_does_not_run(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autoptr(JsonParser) json = replay(folder, "tests/traces/qemu-vfio-4m.log", 0);
    g_autofree char *html = read_file(folder, "page.html");
    g_autoptr(GString) changed = g_string_new(html);
    g_auto(Page) page = {0};

    (void)state;
    (void)json;
    (void)g_string_replace(changed, "</body>",
                           "<script>document.body.append('it runs')</script></body>", 1);
    g_free(scratch_file(folder, "page.html", changed->str, -1));
    open_page(folder, &page);
    assert_non_null(strstr(page.messages, "CONSOLE"));
    assert_null(strstr(page.dom, "it runs</body>"));
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_json),
        cmocka_unit_test(the_pointer_shows_state_and_sizes),
        cmocka_unit_test(what_else_gets_into_the_page_does_not_run),
    };
    g_autofree char *browser = g_find_program_in_path("chromium");

    if (browser == NULL) {
        fprintf(stderr, "skipped: needs Debian's package chromium: tools/install-packages test\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
