/* SPDX-License-Identifier: MIT */
/* Output files: complete or not at all, and never the input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command_util.h"

#define TRACE  "tests/traces/qemu-vfio-4m.log"
#define HEADER "plugmap-trace 1\nregion addr=4G size=64M block=2M\n"
#define OLD    "what was there before\n"

/* Size of the log of TRACE: more than 8 blocks of 512 bytes. */
static char *wanted_log(void)
{
    char *wanted = NULL;

    assert_true(g_file_get_contents(PLUGMAP_SOURCE_DIR "/tests/traces/qemu-vfio-4m.dma", &wanted,
                                    NULL, NULL));
    return wanted;
}

static void assert_content(const char *folder, const char *name, const char *wanted)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *content = NULL;

    assert_true(g_file_get_contents(path, &content, NULL, NULL));
    assert_string_equal(content, wanted);
}

static unsigned count_files(const char *folder)
{
    g_autoptr(GDir) files = g_dir_open(folder, 0, NULL);
    unsigned count = 0;

    assert_non_null(files);
    while (g_dir_read_name(files) != NULL)
        count++;
    return count;
}

static char *scratch_with_old_file(void)
{
    char *folder = scratch_new();

    g_free(scratch_file(folder, "old", OLD, -1));
    return folder;
}

static void a_new_log_replaces_the_old_one(void **state)
{
    g_autofree char *folder = scratch_with_old_file();
    g_autofree char *wanted = wanted_log();

    (void)state;
    assert_int_equal(run_shell("\"$PLUGMAP\" replay --dma-log \"$1/old\" " TRACE, folder), 0);
    assert_content(folder, "old", wanted);
    assert_int_equal(count_files(folder), 1);
    scratch_remove(folder);
}

/* The file is replaced, not overwritten: readers of the old one are not affected. */
static void readers_of_the_old_log_are_not_affected(void **state)
{
    g_autofree char *folder = scratch_with_old_file();

    (void)state;
    assert_int_equal(
        run_shell("exec 3<\"$1/old\" && \"$PLUGMAP\" replay --dma-log \"$1/old\" " TRACE
                  " && cat <&3 >\"$1/read\"",
                  folder),
        0);
    assert_content(folder, "read", OLD);
    scratch_remove(folder);
}

static void a_file_size_limit_keeps_the_old_file(void **state)
{
    static const char *const commands[] = {"replay --dma-log \"$1/old\" " TRACE,
                                           "convert tests/traces/small-steps-8m.log \"$1/old\""};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autofree char *folder = scratch_with_old_file();
        g_autofree char *line = g_strconcat("exec 2>/dev/null; ulimit -f 8; \"$PLUGMAP\" ",
                                            commands[i], " >/dev/null", NULL);

        assert_int_equal(run_shell(line, folder), 2);
        assert_content(folder, "old", OLD);
        assert_int_equal(count_files(folder), 1);
        scratch_remove(folder);
    }
}

static void a_file_size_limit_is_reported(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *message = NULL;
    g_autofree char *path = g_build_filename(folder, "message", NULL);

    (void)state;
    assert_int_equal(run_shell("ulimit -f 8; \"$PLUGMAP\" replay --dma-log \"$1/log\" " TRACE
                               " >/dev/null 2>\"$1/message\"",
                               folder),
                     2);
    assert_true(g_file_get_contents(path, &message, NULL, NULL));
    scratch_remove(folder);
    assert_non_null(strstr(message, "/log: write failed: File too large\n"));
}

static void a_failed_replay_keeps_the_old_file(void **state)
{
    g_autofree char *folder = scratch_with_old_file();

    (void)state;
    g_free(scratch_file(folder, "trace",
                        "plugmap-trace 1\nregion addr=4G size=1G block=4K requested=1G\n", -1));
    assert_int_equal(run_shell("\"$PLUGMAP\" replay --dma-log \"$1/old\" \"$1/trace\"", folder), 4);
    assert_content(folder, "old", OLD);
    assert_int_equal(count_files(folder), 2);
    scratch_remove(folder);
}

static void a_symlink_is_followed_and_preserved(void **state)
{
    g_autofree char *folder = scratch_with_old_file();
    g_autofree char *link = g_build_filename(folder, "link", NULL);
    g_autofree char *dangling = g_build_filename(folder, "dangling", NULL);
    g_autofree char *wanted = wanted_log();

    (void)state;
    assert_int_equal(symlink("old", link), 0);
    assert_int_equal(symlink("new", dangling), 0);
    assert_int_equal(run_shell("\"$PLUGMAP\" replay --dma-log \"$1/link\" " TRACE
                               " && \"$PLUGMAP\" replay --dma-log \"$1/dangling\" " TRACE,
                               folder),
                     0);
    assert_true(g_file_test(link, G_FILE_TEST_IS_SYMLINK));
    assert_true(g_file_test(dangling, G_FILE_TEST_IS_SYMLINK));
    assert_content(folder, "old", wanted);
    assert_content(folder, "new", wanted);
    scratch_remove(folder);
}

/* As a program passes a temporary file of its own to the command. */
static void a_file_without_a_name_gets_what_is_written(void **state)
{
    g_autofree char *folder = scratch_with_old_file();
    g_autofree char *wanted = wanted_log();

    (void)state;
    assert_int_equal(run_shell("exec 7<>\"$1/old\" && rm \"$1/old\" && \"$PLUGMAP\" replay "
                               "--dma-log /dev/fd/7 " TRACE " && cat /dev/fd/7 >\"$1/read\"",
                               folder),
                     0);
    assert_content(folder, "read", wanted);
    assert_int_equal(count_files(folder), 1);
    scratch_remove(folder);
}

static void the_mode_of_the_old_log_is_preserved(void **state)
{
    g_autofree char *folder = scratch_with_old_file();
    g_autofree char *path = g_build_filename(folder, "old", NULL);
    struct stat info;

    (void)state;
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(run_shell("\"$PLUGMAP\" replay --dma-log \"$1/old\" " TRACE, folder), 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    scratch_remove(folder);
}

static void a_pipe_is_written_in_place(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *wanted = wanted_log();

    (void)state;
    assert_int_equal(run_shell("mkfifo \"$1/pipe\" && { cat \"$1/pipe\" >\"$1/read\" & } && "
                               "\"$PLUGMAP\" replay --dma-log \"$1/pipe\" " TRACE
                               " && wait && test -p \"$1/pipe\"",
                               folder),
                     0);
    assert_content(folder, "read", wanted);
    scratch_remove(folder);
}

/* Opened separately, each would write at the start of the file. */
static void a_log_on_standard_output_precedes_the_report(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = g_build_filename(folder, "both", NULL);
    g_autofree char *wanted = wanted_log();
    g_autofree char *both = NULL;

    (void)state;
    assert_int_equal(
        run_shell("\"$PLUGMAP\" replay --dma-log /dev/stdout " TRACE " >\"$1/both\"", folder), 0);
    assert_true(g_file_get_contents(path, &both, NULL, NULL));
    scratch_remove(folder);
    assert_true(g_str_has_prefix(both, wanted));
    assert_true(g_str_has_prefix(both + strlen(wanted), "trace "));
}

static void a_dash_is_standard_output(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *wanted = wanted_log();
    g_autofree char *path = g_build_filename(folder, "both", NULL);
    g_autofree char *both = NULL;

    (void)state;
    assert_int_equal(run_shell("trace=\"$PWD/" TRACE "\" && cd \"$1\" && "
                               "\"$PLUGMAP\" replay --dma-log - \"$trace\" >both && "
                               "\"$PLUGMAP\" convert \"$trace\" - >trace && "
                               "\"$PLUGMAP\" convert \"$trace\" | cmp - trace && rm trace",
                               folder),
                     0);
    assert_true(g_file_get_contents(path, &both, NULL, NULL));
    assert_int_equal(count_files(folder), 1);
    scratch_remove(folder);
    assert_true(g_str_has_prefix(both, wanted));
    assert_true(g_str_has_prefix(both + strlen(wanted), "trace "));
}

static void the_trace_itself_is_never_overwritten(void **state)
{
    static const char *const lines[] = {
        "\"$PLUGMAP\" replay --dma-log \"$1/trace\" \"$1/trace\"",
        "\"$PLUGMAP\" replay --dma-log \"$1/hard\" \"$1/trace\"",
        "\"$PLUGMAP\" replay --dma-log \"$1/trace\" /dev/stdin <\"$1/trace\"",
        "\"$PLUGMAP\" convert \"$1/trace\" \"$1/hard\"",
        "\"$PLUGMAP\" convert \"$1/trace\" \"$1/soft\"",
        "\"$PLUGMAP\" convert \"$1/trace\" >>\"$1/trace\"",
        "\"$PLUGMAP\" convert - \"$1/trace\" <\"$1/trace\"",
        "\"$PLUGMAP\" replay --dma-log \"$1/hard\" - <\"$1/trace\"",
    };
    g_autofree char *folder = scratch_new();

    (void)state;
    assert_int_equal(run_shell("cp " TRACE " \"$1/trace\" && ln \"$1/trace\" \"$1/hard\" && "
                               "ln -s trace \"$1/soft\"",
                               folder),
                     0);
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        assert_int_equal(run_shell(lines[i], folder), 2);
        assert_int_equal(run_shell("cmp " TRACE " \"$1/trace\"", folder), 0);
    }
    assert_int_equal(count_files(folder), 3);
    scratch_remove(folder);
}

static void refusal_to_overwrite_the_trace_has_advice(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *trace = scratch_file(folder, "trace", HEADER, -1);
    g_autofree char *wanted = g_strdup_printf(
        "plugmap replay: %s: output is the input trace: choose another file\n", trace);
    g_autoptr(Run) run = run_plugmap("replay", "--dma-log", trace, trace, NULL);

    (void)state;
    scratch_remove(folder);
    assert_int_equal(run->status, 2);
    assert_string_equal(run->err, wanted);
}

/* --- while it runs --- */

/* Replays a trace that the test writes, with a log in @folder. */
static pid_t start_replay(const char *folder, bool close_standard)
{
    g_autofree char *trace = g_build_filename(folder, "trace", NULL);
    g_autofree char *log = g_build_filename(folder, "old", NULL);
    pid_t child;

    assert_int_equal(mkfifo(trace, 0600), 0);
    child = fork();
    assert_true(child >= 0);
    if (child != 0)
        return child;
    for (int fd = 0; close_standard && fd <= 2; fd++)
        close(fd);
    execl(PLUGMAP_COMMAND, "plugmap", "replay", "--dma-log", log, trace, (char *)NULL);
    _exit(99);
}

/* Blocks until the replay has opened it. */
static FILE *open_trace(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "trace", NULL);
    FILE *trace = fopen(path, "we");

    assert_non_null(trace);
    return trace;
}

static void closed_standard_descriptors_are_not_reused(void **state)
{
    g_autofree char *folder = scratch_new();
    pid_t child = start_replay(folder, true);
    FILE *trace = open_trace(folder);
    int status;

    (void)state;
    for (int fd = 0; fd <= 2; fd++) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d", (int)child, fd);
        g_autofree char *file = g_file_read_link(path, NULL);

        assert_string_equal(file, "/dev/null");
    }
    fclose(trace);
    assert_int_equal(waitpid(child, &status, 0), child);
    scratch_remove(folder);
}

static void a_closed_standard_output_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(run_shell("\"$PLUGMAP\" replay " TRACE " >&-", NULL), 2);
    assert_int_equal(run_shell("\"$PLUGMAP\" convert " TRACE " >&-", NULL), 2);
    assert_int_equal(run_shell("\"$PLUGMAP\" replay " TRACE " 2>&- <&-", NULL), 0);
}

/* Long enough for the signal, which is sent as soon as there is a temporary file. */
static void write_long_trace(FILE *trace)
{
    fputs("plugmap-trace 1\nregion addr=4G size=32G block=2M\n", trace);
    for (unsigned i = 0; i < 50000; i++)
        fputs("plug addr=4G blocks=16384\nunplug addr=4G blocks=16384\n", trace);
}

/* @end: fatal signal; @status: as returned by waitpid(). */
static void end_replay(int end, int *status)
{
    g_autofree char *folder = scratch_with_old_file();
    pid_t child = start_replay(folder, false);
    FILE *trace = open_trace(folder);
    pid_t gone = 0;

    write_long_trace(trace);
    fclose(trace);
    while (count_files(folder) == 2 && (gone = waitpid(child, status, WNOHANG)) == 0)
        g_usleep(1000);
    assert_int_equal(gone, 0);
    assert_int_equal(kill(child, end), 0);
    assert_int_equal(waitpid(child, status, 0), child);
    assert_content(folder, "old", OLD);
    assert_int_equal(count_files(folder), 2);
    scratch_remove(folder);
}

static void an_interrupted_replay_keeps_the_old_file_only(void **state)
{
    static const int numbers[] = {SIGINT, SIGTERM};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        int status;

        end_replay(numbers[i], &status);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 128 + numbers[i]);
    }
}

static void any_fatal_signal_keeps_the_old_file_only(void **state)
{
    static const int numbers[] = {SIGHUP, SIGQUIT, SIGPIPE};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        int status;

        end_replay(numbers[i], &status);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), numbers[i]);
    }
}

static void a_directory_that_is_not_writable_is_an_error(void **state)
{
    g_autoptr(Run) run = run_plugmap("replay", "--dma-log", "/sys/plugmap.log", TRACE, NULL);

    (void)state;
    assert_int_equal(run->status, 2);
    assert_true(g_str_has_prefix(run->err, "plugmap replay: /sys/plugmap.log: write failed: "));
}

/* A directory takes the name of the log during the replay. */
static void a_failed_rename_leaves_no_temporary_file(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *log = g_build_filename(folder, "old", NULL);
    pid_t child = start_replay(folder, false);
    FILE *trace = open_trace(folder);
    pid_t gone = 0;
    int status;

    (void)state;
    fputs("plugmap-trace 1\nregion addr=4G size=32G block=2M\n", trace);
    for (unsigned i = 0; i < 20; i++)
        fputs("plug addr=4G blocks=16384\nunplug addr=4G blocks=16384\n", trace);
    fclose(trace);
    while (count_files(folder) == 1 && (gone = waitpid(child, &status, WNOHANG)) == 0)
        g_usleep(1000);
    assert_int_equal(gone, 0);
    assert_int_equal(g_mkdir(log, 0700), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 2);
    assert_int_equal(count_files(folder), 2);
    assert_true(g_file_test(log, G_FILE_TEST_IS_DIR));
    g_rmdir(log);
    scratch_remove(folder);
}

/* Only root can change the owner of a file. */
static void the_owner_of_the_old_log_is_preserved(void **state)
{
    g_autofree char *folder = scratch_with_old_file();
    g_autofree char *path = g_build_filename(folder, "old", NULL);
    struct stat info;

    (void)state;
    if (chown(path, 12345, 54321) != 0) {
        scratch_remove(folder);
        fprintf(stderr, "skipped: only root can change the owner of a file; run as root\n");
        skip();
    }
    assert_int_equal(run_shell("\"$PLUGMAP\" replay --dma-log \"$1/old\" " TRACE, folder), 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_uid, 12345);
    assert_int_equal(info.st_gid, 54321);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_log_replaces_the_old_one),
        cmocka_unit_test(readers_of_the_old_log_are_not_affected),
        cmocka_unit_test(a_file_size_limit_keeps_the_old_file),
        cmocka_unit_test(a_file_size_limit_is_reported),
        cmocka_unit_test(a_failed_replay_keeps_the_old_file),
        cmocka_unit_test(a_symlink_is_followed_and_preserved),
        cmocka_unit_test(a_file_without_a_name_gets_what_is_written),
        cmocka_unit_test(the_mode_of_the_old_log_is_preserved),
        cmocka_unit_test(a_pipe_is_written_in_place),
        cmocka_unit_test(a_log_on_standard_output_precedes_the_report),
        cmocka_unit_test(a_dash_is_standard_output),
        cmocka_unit_test(the_trace_itself_is_never_overwritten),
        cmocka_unit_test(refusal_to_overwrite_the_trace_has_advice),
        cmocka_unit_test(closed_standard_descriptors_are_not_reused),
        cmocka_unit_test(a_closed_standard_output_is_an_error),
        cmocka_unit_test(an_interrupted_replay_keeps_the_old_file_only),
        cmocka_unit_test(any_fatal_signal_keeps_the_old_file_only),
        cmocka_unit_test(a_directory_that_is_not_writable_is_an_error),
        cmocka_unit_test(a_failed_rename_leaves_no_temporary_file),
        cmocka_unit_test(the_owner_of_the_old_log_is_preserved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
