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
#include <sys/wait.h>
#include <unistd.h>

#include "command_util.h"

#define TRACE "tests/traces/fragmented-2m.log"

/* Everything that «plugmap replay TRACE» shows on a terminal of so many columns. */
static char *show(const char *trace, unsigned short n_columns, const char *no_color)
{
    struct winsize size = {.ws_row = 24, .ws_col = n_columns};
    GString *shown = g_string_new(NULL);
    char buffer[4096];
    int terminal;
    int status;
    pid_t child = forkpty(&terminal, NULL, NULL, &size);
    ssize_t n_read;

    assert_true(child >= 0);
    if (child == 0) {
        if (chdir(PLUGMAP_SOURCE_DIR) != 0)
            _exit(99);
        if (no_color != NULL)
            setenv("NO_COLOR", no_color, 1);
        else
            unsetenv("NO_COLOR");
        execl(PLUGMAP_COMMAND, "plugmap", "replay", trace, (char *)NULL);
        _exit(99);
    }
    /* When the child has gone, a terminal gives EIO. */
    while ((n_read = read(terminal, buffer, sizeof(buffer))) > 0 || (n_read < 0 && errno == EINTR))
        if (n_read > 0)
            g_string_append_len(shown, buffer, n_read);
    close(terminal);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    return g_string_free(shown, FALSE);
}

/* Columns of the line that shows the region. */
static glong strip_width(const char *shown)
{
    const char *line = strstr(shown, "region ");
    g_autofree char *strip = NULL;

    assert_non_null(line);
    strip = g_strndup(line, strcspn(line, "\r\n"));
    return g_utf8_strlen(strip, -1);
}

static void a_terminal_gets_colours(void **state)
{
    g_autofree char *shown = show(TRACE, 80, NULL);

    (void)state;
    assert_non_null(strstr(shown, "\033[32m"));
    assert_non_null(strstr(shown, "right"));
}

static void no_color_is_honoured_unless_it_is_empty(void **state)
{
    g_autofree char *without = show(TRACE, 80, "1");
    g_autofree char *empty = show(TRACE, 80, "");

    (void)state;
    assert_null(strchr(without, '\033'));
    assert_non_null(strchr(empty, '\033'));
}

static void the_strip_is_as_wide_as_the_terminal_allows(void **state)
{
    static const unsigned short widths[] = {60, 80, 200};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++) {
        g_autofree char *shown = show(TRACE, widths[i], "1");

        assert_true(strip_width(shown) <= widths[i]);
        assert_true(strip_width(shown) >= widths[i] - 4);
    }
}

/* One request, which no host is so busy that it takes a second for. */
static void a_short_replay_shows_no_progress(void **state)
{
    static const char trace[] = "plugmap-trace 1\nregion addr=4G size=4M block=2M\n"
                                "plug addr=4G blocks=1 -> ack\n";
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "trace", trace, -1);
    g_autofree char *shown = show(path, 80, "1");

    (void)state;
    scratch_remove(folder);
    assert_non_null(strstr(shown, "right"));
    assert_null(strstr(shown, "events"));
}

/* Sixteen GiB of small blocks: an audit of them all takes a while. */
static void a_long_replay_shows_its_progress_and_cleans_up(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = NULL;
    g_autofree char *shown = NULL;
    GString *trace = g_string_new("plugmap-trace 1\nregion addr=4G size=32G block=2M\n");

    (void)state;
    for (unsigned i = 0; i < 300; i++)
        g_string_append(trace, "plug addr=4G blocks=16384 -> ack\n"
                               "unplug addr=4G blocks=16384 -> ack\n");
    path = scratch_file(folder, "trace", trace->str, -1);
    g_string_free(trace, TRUE);
    shown = show(path, 80, "1");
    scratch_remove(folder);
    assert_non_null(strstr(shown, "\r["));
    assert_non_null(strstr(shown, "of 600 events"));
    /* The bar is wiped before the report. */
    assert_non_null(strstr(shown, "\r\033[Ktrace "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_terminal_gets_colours),
        cmocka_unit_test(no_color_is_honoured_unless_it_is_empty),
        cmocka_unit_test(the_strip_is_as_wide_as_the_terminal_allows),
        cmocka_unit_test(a_short_replay_shows_no_progress),
        cmocka_unit_test(a_long_replay_shows_its_progress_and_cleans_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
