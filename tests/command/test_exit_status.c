/* SPDX-License-Identifier: MIT */
/* Exit status, and interrupted replays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command_util.h"
#include "tools/exit_status.h"

#define TRACE  "tests/traces/qemu-vfio-4m.log"
#define HEADER "plugmap-trace 1\nregion addr=4G size=64M block=2M\n"

static void assert_status(const char *line, int status)
{
    int found = run_shell(line, NULL);

    if (found != status)
        fail_msg("exit status %d, expected %d: %s", found, status, line);
}

static void each_failure_has_its_exit_status(void **state)
{
    static const struct {
        const char *line;
        int status;
    } table[] = {
        {"\"$PLUGMAP\" replay " TRACE, 0},
        {"printf '" HEADER "' | \"$PLUGMAP\" replay -", 0},
        {"printf '" HEADER "plug addr=4G blocks=1 -> busy\\n' | \"$PLUGMAP\" replay -", 1},
        {"printf '" HEADER "jump\\n' | \"$PLUGMAP\" replay -", 2},
        {"\"$PLUGMAP\" replay none", 2},
        {"\"$PLUGMAP\" replay --bogus " TRACE, 2},
        {"\"$PLUGMAP\" replay --device 4:0 " TRACE, 2},
        {"\"$PLUGMAP\" replay " TRACE " >/dev/full", 2},
        {"\"$PLUGMAP\" replay --device ffff:1f:1f.7 " TRACE, 3},
        {"\"$PLUGMAP\" replay --backend iommufd --device ffff:1f:1f.7 " TRACE, 3},
        {"\"$PLUGMAP\" replay --entry-limit 511 " TRACE, 4},
        {"\"$PLUGMAP\" replay --memlock 1G " TRACE, 4},
        {"\"$PLUGMAP\" replay --iova-bits 32 " TRACE, 4},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        assert_status(table[i].line, table[i].status);
}

/* 200T exceed the address space of a process: with --force it fails before allocating memory. */
static void a_trace_that_exceeds_host_memory_is_refused(void **state)
{
    static const char *const flags[] = {"--pin populate", "--prefault 2",
                                        "--pin populate --memory memfd"};
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "trace",
                                         "plugmap-trace 1\n"
                                         "region addr=4G size=200T block=1G\n"
                                         "plug addr=4G blocks=65535 -> ack\n",
                                         -1);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_autofree char *refused = g_strdup_printf(
            "\"$PLUGMAP\" replay %s %s 2>&1 >/dev/null | grep 'plugs up to 65535G at once' | "
            "grep -q -e --force",
            flags[i], path);
        g_autofree char *status =
            g_strdup_printf("\"$PLUGMAP\" replay %s %s >/dev/null 2>&1", flags[i], path);
        g_autofree char *forced = g_strdup_printf(
            "\"$PLUGMAP\" replay --force %s %s 2>&1 | grep -q 'cannot reserve 200T'", flags[i],
            path);

        assert_status(refused, 0);
        assert_status(status, 4);
        assert_status(forced, 0);
    }
    scratch_remove(folder);
}

/* tests/vm/not-ready-cases covers most of these on a real kernel. */
static void each_error_code_has_its_exit_status(void **state)
{
    static const struct {
        PmError code;
        int status;
    } table[] = {
        {PM_ERROR_INVALID_ARGUMENT, 2},
        {PM_ERROR_BAD_INPUT, 2},
        {PM_ERROR_OVERLAP, 2},
        {PM_ERROR_NOT_FOUND, 3},
        {PM_ERROR_PERMISSION, 3},
        {PM_ERROR_BUSY, 3},
        {PM_ERROR_NOT_VIABLE, 3},
        {PM_ERROR_UNSUPPORTED, 3},
        {PM_ERROR_KERNEL, 3},
        {PM_ERROR_LIMIT, 4},
        {PM_ERROR_IOVA_RANGE, 4},
        {PM_ERROR_LOCKED_MEMORY, 4},
        {PM_ERROR_MEMORY, 4},
        {PM_ERROR_UNALIGNED, 4},
        {PM_ERROR_AUDIT, 1},
        {PM_ERROR_UNMAP_MISMATCH, 1},
        {PM_ERROR_QUARANTINED, 1},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = g_error_new_literal(PM_ERROR, (gint)table[i].code, "");

        assert_int_equal(pm_exit_status(error), table[i].status);
    }
}

/* --help and the manual are written from the table; README and docs/json.md have each row. */
static void every_exit_status_is_documented(void **state)
{
    static const char *const files[] = {"README.md", "docs/json.md"};
    g_autoptr(Run) help = run_plugmap("help", "replay", NULL);

    (void)state;
    for (const PmExitStatus *status = pm_exit_statuses; status->number != NULL; status++) {
        g_autofree char *row = g_strdup_printf("\n| %s | %s |\n", status->number, status->meaning);
        g_autofree char *line = g_strdup_printf("\n  %-8s  ", status->number);

        assert_non_null(strstr(help->out, line));
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
            g_autofree char *path = g_build_filename(PLUGMAP_SOURCE_DIR, files[i], NULL);
            g_autofree char *text = NULL;

            assert_true(g_file_get_contents(path, &text, NULL, NULL));
            if (strstr(text, row) == NULL)
                fail_msg("%s has no row %s", files[i], row);
        }
    }
}

static void a_trace_without_events_has_nothing_to_check(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "trace", HEADER, -1);
    g_autoptr(Run) run = run_plugmap("replay", path, NULL);

    (void)state;
    scratch_remove(folder);
    assert_int_equal(run->status, 0);
    assert_non_null(strstr(run->out, "verdict   nothing to check: the trace has no events\n"));
}

/* --- signals --- */

/* Runs "plugmap replay @flag @trace" with its standard output in a pipe. */
static pid_t start(const char *flag, const char *trace, FILE **out)
{
    int ends[2];
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(PLUGMAP_COMMAND, "plugmap", "replay", flag, trace, (char *)NULL);
        _exit(99);
    }
    close(ends[1]);
    *out = fdopen(ends[0], "r");
    assert_non_null(*out);
    return child;
}

static char *read_all(FILE *out)
{
    GString *text = g_string_new(NULL);
    int character;

    while ((character = getc(out)) != EOF)
        g_string_append_c(text, (char)character);
    fclose(out);
    return g_string_free(text, FALSE);
}

/* Takes minutes; the DMA log on the pipe shows when it has started. */
static char *make_long_trace(const char *folder)
{
    GString *text = g_string_new("plugmap-trace 1\nregion addr=4G size=1G block=2M\n");
    char *path;

    for (unsigned i = 0; i < 500000; i++)
        g_string_append(text, "plug addr=4G blocks=512 -> ack\nunplug addr=4G blocks=512 -> ack\n");
    path = scratch_file(folder, "trace", text->str, -1);
    g_string_free(text, TRUE);
    return path;
}

static void an_interrupted_replay_prints_a_partial_report(void **state)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    g_autofree char *folder = scratch_new();
    g_autofree char *trace = make_long_trace(folder);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        FILE *out;
        pid_t child = start("--dma-log=-", trace, &out);
        g_autofree char *text = NULL;
        const char *verdict;
        int status;

        assert_int_equal(getc(out), 'm'); /* "map ...", the first line of the log */
        assert_int_equal(kill(child, numbers[i]), 0);
        text = read_all(out);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 128 + numbers[i]);
        verdict = strstr(text, "\nverdict   pass so far, interrupted after ");
        assert_non_null(verdict);
        assert_non_null(strstr(verdict, " of 1,000,000 events: "));
        assert_non_null(strstr(verdict, " audits, 0 failed, 0 responses differ\n"));
    }
    scratch_remove(folder);
}

/* The shell ignores SIGINT in the background, so SIGTERM. Reading the first line of the log says
 * that the replay has begun. */
static void an_interrupted_replay_prints_a_partial_report_in_json(void **state)
{
    static const char line[] =
        "mkfifo \"$1/log\" && cd \"$1\" || exit 99\n"
        "\"$PLUGMAP\" replay --json --dma-log log trace >report & child=$!\n"
        "exec 3<log; read -r first <&3; kill -TERM $child; cat <&3 >log.rest; wait $child";
    g_autofree char *folder = scratch_new();
    g_autofree char *path = g_build_filename(folder, "report", NULL);
    g_autofree char *report = NULL;

    (void)state;
    g_free(make_long_trace(folder));
    assert_int_equal(run_shell(line, folder), 128 + SIGTERM);
    assert_true(g_file_get_contents(path, &report, NULL, NULL));
    scratch_remove(folder);
    keep_report(report);
    assert_non_null(strstr(report, "\"verdict\" : \"interrupted\""));
    assert_non_null(strstr(report, "\"exit_status\" : 143"));
    assert_non_null(strstr(report, "\"interrupted\" : true"));
}

/* The report exceeds the capacity of the pipe, which is not read. */
static char *make_long_report(const char *folder)
{
    GString *text = g_string_new(HEADER);
    char *path;

    for (unsigned i = 0; i < 5000; i++)
        g_string_append(text, "state addr=4G blocks=1 -> plugged\n");
    path = scratch_file(folder, "trace", text->str, -1);
    g_string_free(text, TRUE);
    return path;
}

/* Wait until the signal is no longer pending; SIGINT is bit 1. */
static void wait_until_noted(pid_t child)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)child);
    bool is_pending;

    do {
        g_autofree char *text = NULL;
        const char *pending;

        assert_true(g_file_get_contents(path, &text, NULL, NULL));
        pending = strstr(text, "\nShdPnd:\t");
        assert_non_null(pending);
        is_pending = (g_ascii_strtoull(pending + strlen("\nShdPnd:\t"), NULL, 16) & 2) != 0;
    } while (is_pending);
}

static void a_second_interrupt_is_fatal(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *trace = make_long_report(folder);
    FILE *out;
    pid_t child = start("--json", trace, &out);
    int status;

    (void)state;
    assert_int_equal(getc(out), '{');
    assert_int_equal(kill(child, SIGINT), 0);
    wait_until_noted(child);
    assert_int_equal(waitpid(child, &status, WNOHANG), 0);
    assert_int_equal(kill(child, SIGINT), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    fclose(out);
    scratch_remove(folder);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGINT);
}

static void an_interrupt_does_not_truncate_the_report(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *trace = make_long_report(folder);
    FILE *out;
    pid_t child = start("--json", trace, &out);
    g_autofree char *text = NULL;
    int status;

    (void)state;
    assert_int_equal(getc(out), '{');
    assert_int_equal(kill(child, SIGINT), 0);
    text = read_all(out);
    assert_int_equal(waitpid(child, &status, 0), child);
    scratch_remove(folder);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_true(g_str_has_suffix(text, "\n}\n"));
}

/* Ignored signals, as under nohup, stay ignored. */
static void ignored_interrupts_stay_ignored(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *trace = make_long_report(folder);
    FILE *out;
    pid_t child;
    g_autofree char *text = NULL;
    int status;

    (void)state;
    (void)signal(SIGINT, SIG_IGN);
    child = start("--json", trace, &out);
    (void)signal(SIGINT, SIG_DFL);
    assert_int_equal(getc(out), '{');
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(kill(child, SIGINT), 0);
        wait_until_noted(child);
    }
    text = read_all(out);
    assert_non_null(text);
    assert_int_equal(waitpid(child, &status, 0), child);
    scratch_remove(folder);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_has_its_exit_status),
        cmocka_unit_test(a_trace_that_exceeds_host_memory_is_refused),
        cmocka_unit_test(each_error_code_has_its_exit_status),
        cmocka_unit_test(every_exit_status_is_documented),
        cmocka_unit_test(a_trace_without_events_has_nothing_to_check),
        cmocka_unit_test(an_interrupted_replay_prints_a_partial_report),
        cmocka_unit_test(an_interrupted_replay_prints_a_partial_report_in_json),
        cmocka_unit_test(ignored_interrupts_stay_ignored),
        cmocka_unit_test(a_second_interrupt_is_fatal),
        cmocka_unit_test(an_interrupt_does_not_truncate_the_report),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
