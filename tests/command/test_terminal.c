/* SPDX-License-Identifier: MIT */
/* The command on a terminal: colours, NO_COLOR, width, progress. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <pty.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command_util.h"

#define TRACE  "tests/traces/fragmented-2m.log"
#define SECOND G_USEC_PER_SEC

#define SHORT_TRACE                                                                                \
    "plugmap-trace 1\nregion addr=4G size=4M block=2M\n"                                           \
    "plug addr=4G blocks=1 -> ack\n"

/* The kind of the terminal. */
static const char *kind = "xterm";

/* Runs 'plugmap replay @trace' on a terminal with @columns columns. */
static pid_t start(const char *trace, unsigned short n_columns, const char *no_color, int *terminal)
{
    struct winsize size = {.ws_row = 24, .ws_col = n_columns};
    pid_t child = forkpty(terminal, NULL, NULL, &size);

    assert_true(child >= 0);
    if (child != 0)
        return child;
    if (chdir(PLUGMAP_SOURCE_DIR) != 0)
        _exit(99);
    setenv("TERM", kind, 1);
    if (no_color != NULL)
        setenv("NO_COLOR", no_color, 1);
    else
        unsetenv("NO_COLOR");
    execl(PLUGMAP_COMMAND, "plugmap", "replay", trace, (char *)NULL);
    _exit(99);
}

/* All output. */
static char *finish(pid_t child, int terminal)
{
    GString *shown = g_string_new(NULL);
    char buffer[4096];
    int status;
    ssize_t n_read;

    /* EIO: the child has closed the terminal. */
    while ((n_read = read(terminal, buffer, sizeof(buffer))) > 0 || (n_read < 0 && errno == EINTR))
        if (n_read > 0)
            g_string_append_len(shown, buffer, n_read);
    close(terminal);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    return g_string_free(shown, FALSE);
}

static char *show(const char *trace, unsigned short n_columns, const char *no_color)
{
    int terminal;
    pid_t child = start(trace, n_columns, no_color, &terminal);

    return finish(child, terminal);
}

/* Takes more than a second on any host, because the trace arrives late. */
static char *show_slowly(const char *no_color)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = g_build_filename(folder, "trace", NULL);
    FILE *trace;
    pid_t child;
    int terminal;

    assert_int_equal(mkfifo(path, 0600), 0);
    child = start(path, 80, no_color, &terminal);
    trace = fopen(path, "we"); /* blocks until the replay has opened it */
    assert_non_null(trace);
    g_usleep(SECOND + SECOND / 10);
    fputs(SHORT_TRACE, trace);
    fclose(trace);
    scratch_remove(folder);
    return finish(child, terminal);
}

/* Colours only; the progress bar is erased by another escape sequence. */
static bool has_colours(const char *shown)
{
    return g_regex_match_simple("\033\\[[0-9;]*m", shown, 0, 0);
}

/* Width of the region line. */
static glong strip_width(const char *shown)
{
    const char *line = strstr(shown, "\nregion ");
    g_autofree char *strip = NULL;

    assert_non_null(line);
    strip = g_strndup(line + 1, strcspn(line + 1, "\r\n"));
    return g_utf8_strlen(strip, -1);
}

static void colours_are_used_on_a_terminal(void **state)
{
    g_autofree char *shown = show(TRACE, 80, NULL);

    (void)state;
    assert_true(has_colours(shown));
    assert_non_null(strstr(shown, "pass"));
}

static void no_color_is_honoured_unless_it_is_empty(void **state)
{
    g_autofree char *without = show(TRACE, 80, "1");
    g_autofree char *empty = show(TRACE, 80, "");

    (void)state;
    assert_false(has_colours(without));
    assert_true(has_colours(empty));
}

static void no_color_is_honoured_after_a_progress_bar(void **state)
{
    g_autofree char *without = show_slowly("1");

    (void)state;
    assert_non_null(strstr(without, "pass"));
    assert_false(has_colours(without));
}

static void the_region_bar_fits_the_terminal(void **state)
{
    static const unsigned short widths[] = {60, 80, 200};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++) {
        g_autofree char *shown = show(TRACE, widths[i], "1");

        assert_true(strip_width(shown) <= widths[i]);
        assert_true(strip_width(shown) >= widths[i] - 4);
    }
}

/* On a busy host even this may take a second; only then may there be a bar. */
static void no_progress_is_shown_in_the_first_second(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "trace", SHORT_TRACE, -1);
    gint64 start_us = g_get_monotonic_time();
    g_autofree char *shown = show(path, 80, "1");
    gint64 elapsed_us = g_get_monotonic_time() - start_us;

    (void)state;
    scratch_remove(folder);
    assert_non_null(strstr(shown, "pass"));
    assert_true(strstr(shown, " of 1 event") == NULL || elapsed_us >= SECOND);
}

static void a_long_replay_shows_and_erases_its_progress(void **state)
{
    g_autofree char *shown = show_slowly("1");

    (void)state;
    assert_non_null(strstr(shown, "\r\033[K[####################] 1 of 1 event, "));
    /* The bar is erased before the report. */
    assert_non_null(strstr(shown, "\r\033[Ktrace "));
}

/* It would show escape sequences as text. */
static void a_dumb_terminal_gets_plain_text(void **state)
{
    g_autofree char *shown = NULL;

    (void)state;
    kind = "dumb";
    shown = show_slowly(NULL);
    kind = "xterm";
    assert_non_null(strstr(shown, "pass"));
    assert_null(strchr(shown, '\033'));
    assert_null(strstr(shown, " of 1 event, "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colours_are_used_on_a_terminal),
        cmocka_unit_test(no_color_is_honoured_unless_it_is_empty),
        cmocka_unit_test(no_color_is_honoured_after_a_progress_bar),
        cmocka_unit_test(the_region_bar_fits_the_terminal),
        cmocka_unit_test(no_progress_is_shown_in_the_first_second),
        cmocka_unit_test(a_long_replay_shows_and_erases_its_progress),
        cmocka_unit_test(a_dumb_terminal_gets_plain_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
