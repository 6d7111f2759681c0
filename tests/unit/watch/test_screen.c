/* SPDX-License-Identifier: MIT */
/* The text of the screen, and of the summary, of given states. */
#include "dma_log_util.h"

#include "watch/screen.h"
#include "watch/summary.h"

#define SECOND INT64_C(1000000000)

static PmLineReader reader;

static void add(PmWatch *watch, const char *line)
{
    PmDmaLogCall call = line_parse(&reader, line);

    watch->has_times = true;
    watch->has_rate = true;
    assert_true(pm_watch_add_call(watch, &call, call.time_ns, NULL));
}

/* 8 mappings in 8 seconds; one call fails. */
static PmWatch *make_watch(void)
{
    PmWatch *watch = pm_watch_new(PM_WATCH_DMA_LOG, "/var/log/calls.dma", 10, 64 << 20);

    for (int i = 0; i < 8; i++) {
        g_autofree char *line =
            g_strdup_printf("@%d map iova=0x%x00000 size=2M ns=1000", 100 + i, i * 2 + 0x1000);

        add(watch, line);
    }
    add(watch, "@108 map iova=0 size=4K -> ENOSPC");
    return watch;
}

/* The first lines, the last one, and no line is too wide. */
static void assert_screen(const PmWatch *watch, const PmScreenView *view, const char *const *lines)
{
    g_autofree char *text = pm_screen_text(watch, view);
    g_auto(GStrv) shown = g_strsplit(text, "\n", -1);

    assert_int_equal(g_strv_length(shown), view->height);
    for (unsigned i = 0; lines[i] != NULL; i++)
        assert_string_equal(shown[i], lines[i]);
    for (unsigned i = 0; i < view->height; i++)
        assert_true(g_utf8_strlen(shown[i], -1) <= (glong)view->width);
    assert_true(g_str_has_prefix(view->keys, shown[view->height - 1]));
}

static void a_wide_screen_has_everything(void **state)
{
    static const char *const lines[] = {
        "plugmap watch calls.dma                                      9 events, 8.0 s, following",
        "mappings  [#######################......] 8 of 10 (80.0%)",
        "locked    [#######......................] 16M of 64M (25.0%)",
        "          [                     ▁▂▃▄▅▆▇█] mappings in the last 30 s",
        "rate      mappings: +0.9/s, limit reached in 2 s",
        "          locked memory: +1.9M/s, limit reached in 25 s",
        "last      map of 4K at 0x0: ENOSPC",
        "calls     9 map, 0 unmap; map failed: 1 ENOSPC",
        "sizes     2M: 8",
        "mappings  peak 8 of 10 (80.0%), now 8",
        "locked    peak 16M of 64M (25.0%), now 16M",
        "fragments 1 run of 8 mappings, largest 16M at 0x100000000",
        "latency   map: p50 1000 ns, p99 1000 ns, max 1000 ns",
        "failure   /var/log/calls.dma:7: map of 4K at 0x0: ENOSPC",
        "",
        NULL,
    };
    const PmScreenView view = {.width = 87,
                               .height = 24,
                               .mode = "following",
                               .position_ns = 8 * SECOND,
                               .keys = "q quit"};
    g_autoptr(PmWatch) watch = make_watch();

    (void)state;
    assert_screen(watch, &view, lines);
}

static void a_narrow_screen_has_the_most_important(void **state)
{
    static const char *const lines[] = {
        "plugmap watch calls.dma  9 of 20 events,",
        "mappings  [##########...] 8 of 10 (80.0%",
        "locked    [###..........] 16M of 64M (25",
        NULL,
    };
    const PmScreenView view = {.width = 40,
                               .height = 5,
                               .mode = "2x",
                               .n_total = 20,
                               .keys = "space pause  s step  + faster  - slower  q quit"};
    g_autoptr(PmWatch) watch = make_watch();

    (void)state;
    assert_screen(watch, &view, lines);
}

static void warnings_are_shown_the_newest_last(void **state)
{
    const PmScreenView view = {
        .width = 80, .height = 17, .colours = true, .mode = "2x", .keys = ""};
    g_autoptr(PmWatch) watch = make_watch();
    g_autofree char *text = NULL;

    (void)state;
    pm_watch_warn(watch, g_strdup("first"));
    pm_watch_warn(watch, g_strdup("second \033[2J"));
    pm_watch_warn(watch, g_strdup("third"));
    text = pm_screen_text(watch, &view);
    assert_null(strstr(text, "first"));
    assert_non_null(strstr(text, "\033[33mwarning   second ?[2J\033[0m\n\033[33mwarning   third"));
}

static void a_limit_that_is_reached_is_red(void **state)
{
    const PmScreenView view = {
        .width = 80, .height = 24, .colours = true, .mode = "2x", .keys = ""};
    g_autoptr(PmWatch) watch = make_watch();
    g_autofree char *near = NULL;
    g_autofree char *reached = NULL;

    (void)state;
    add(watch, "@109 map iova=0x200000000 size=4K");
    near = pm_screen_text(watch, &view);
    add(watch, "@110 map iova=0x200001000 size=4K");
    reached = pm_screen_text(watch, &view);
    assert_non_null(strstr(near, "\033[33mmappings  ["));
    assert_non_null(strstr(reached, "\033[31mmappings  ["));
    assert_int_equal(watch->n_warnings, 2);
}

static void a_screen_of_any_size_is_as_large_as_it(void **state)
{
    static const char *const nothing[] = {NULL};
    g_autoptr(PmWatch) watch = make_watch();

    (void)state;
    for (unsigned width = 1; width < 140; width += 3) {
        for (unsigned height = 1; height < 40; height += 3) {
            const PmScreenView view = {
                .width = width, .height = height, .mode = "paused", .keys = "q quit"};

            assert_screen(watch, &view, nothing);
        }
    }
}

static void the_summary_reports_a_leak(void **state)
{
    g_autoptr(PmWatch) watch = make_watch();
    g_autofree char *before = pm_watch_summary(watch, false);
    g_autofree char *after = NULL;

    (void)state;
    assert_true(pm_watch_passes(watch));
    assert_non_null(strstr(before, "verdict   pass: the log has no end yet, 8 mappings now\n"));
    add(watch, "@109 end");
    assert_false(pm_watch_passes(watch));
    after = pm_watch_summary(watch, true);
    assert_non_null(strstr(after, "leaks     8 mappings, 16M, left at the end: first "
                                  "0x100000000-0x1001fffff\n"));
    assert_non_null(strstr(after, "verdict   \033[1m\033[31mLEAK\033[0m\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wide_screen_has_everything),
        cmocka_unit_test(a_narrow_screen_has_the_most_important),
        cmocka_unit_test(warnings_are_shown_the_newest_last),
        cmocka_unit_test(a_limit_that_is_reached_is_red),
        cmocka_unit_test(a_screen_of_any_size_is_as_large_as_it),
        cmocka_unit_test(the_summary_reports_a_leak),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
