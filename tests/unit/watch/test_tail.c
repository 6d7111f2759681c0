/* SPDX-License-Identifier: MIT */
/* Files that grow, are replaced or truncated; pipes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watch/tail.h"

typedef struct {
    char *folder;
    char *path;
} File;

/* What the writer does after the reader has found no more, and before it looks at the path. */
static void (*before_stat)(const char *path);

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int stat(const char *path, struct stat *info)
{
    void (*hook)(const char *path) = before_stat;

    before_stat = NULL;
    if (hook != NULL)
        hook(path);
    return fstatat(AT_FDCWD, path, info, 0);
}

static void append(const File *file, const char *text)
{
    FILE *stream = fopen(file->path, "ae");

    assert_non_null(stream);
    fputs(text, stream);
    fclose(stream);
}

static File make_file(const char *text)
{
    File file = {.folder = g_dir_make_tmp("plugmap-XXXXXX", NULL)};

    file.path = g_build_filename(file.folder, "log", NULL);
    append(&file, text);
    return file;
}

static void file_clear(File *file)
{
    g_autofree char *old = g_strconcat(file->path, ".1", NULL);

    g_unlink(old);
    g_unlink(file->path);
    g_rmdir(file->folder);
    g_free(file->path);
    g_free(file->folder);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(File, file_clear)

static PmTail *open_tail(const File *file, bool follow)
{
    g_autoptr(GError) error = NULL;
    PmTail *tail = pm_tail_open(file->path, follow, &error);

    if (tail == NULL)
        fail_msg("%s", error->message);
    return tail;
}

static PmTailResult next(PmTail *tail)
{
    g_autoptr(GError) error = NULL;
    PmTailResult result;

    if (!pm_tail_next(tail, &result, &error))
        fail_msg("%s", error->message);
    return result;
}

static void assert_line(PmTail *tail, unsigned number, const char *text)
{
    assert_int_equal(next(tail), PM_TAIL_LINE);
    assert_int_equal(pm_tail_reader(tail)->line, number);
    assert_string_equal(pm_tail_reader(tail)->text, text);
}

static void lines_are_returned_when_they_are_whole(void **state)
{
    g_auto(File) file = make_file("one\ntw");
    g_autoptr(PmTail) tail = open_tail(&file, true);

    (void)state;
    assert_line(tail, 1, "one");
    assert_int_equal(next(tail), PM_TAIL_WAIT);
    append(&file, "o\r\n\nthree");
    assert_line(tail, 2, "two");
    assert_line(tail, 3, "");
    assert_int_equal(next(tail), PM_TAIL_WAIT);
    assert_int_equal(next(tail), PM_TAIL_WAIT);
    append(&file, "\n");
    assert_line(tail, 4, "three");
    assert_int_equal(pm_tail_get_fd(tail), -1);
}

static void a_replaced_file_is_read_after_the_rest_of_the_old_one(void **state)
{
    g_auto(File) file = make_file("one\n");
    g_autofree char *old = g_strconcat(file.path, ".1", NULL);
    g_autoptr(PmTail) tail = open_tail(&file, true);

    (void)state;
    assert_line(tail, 1, "one");
    append(&file, "two\nhalf");
    assert_int_equal(g_rename(file.path, old), 0);
    assert_line(tail, 2, "two");
    assert_int_equal(next(tail), PM_TAIL_WAIT); /* there is no other file yet */
    append(&file, "new\n");
    assert_int_equal(next(tail), PM_TAIL_RESTARTED);
    assert_line(tail, 1, "new");
    assert_int_equal(next(tail), PM_TAIL_WAIT);
}

static void write_and_rotate(const char *path)
{
    const File file = {.path = (char *)path};
    g_autofree char *old = g_strconcat(path, ".1", NULL);

    append(&file, "two\n");
    assert_int_equal(g_rename(path, old), 0);
    append(&file, "new\n");
}

static void what_is_written_just_before_the_rotation_is_read(void **state)
{
    g_auto(File) file = make_file("one\n");
    g_autoptr(PmTail) tail = open_tail(&file, true);

    (void)state;
    assert_line(tail, 1, "one");
    before_stat = write_and_rotate;
    assert_int_equal(next(tail), PM_TAIL_WAIT);
    assert_null(before_stat);
    assert_line(tail, 2, "two");
    assert_int_equal(next(tail), PM_TAIL_RESTARTED);
    assert_line(tail, 1, "new");
}

static void a_truncated_file_is_read_from_its_beginning(void **state)
{
    g_auto(File) file = make_file("one\ntwo\nha");
    g_autoptr(PmTail) tail = open_tail(&file, true);

    (void)state;
    assert_line(tail, 1, "one");
    assert_line(tail, 2, "two");
    assert_int_equal(next(tail), PM_TAIL_WAIT);
    assert_int_equal(truncate(file.path, 0), 0);
    append(&file, "new\n");
    assert_int_equal(next(tail), PM_TAIL_RESTARTED);
    assert_line(tail, 1, "new");
}

/* As left by logrotate's copytruncate, for a writer who does not append. */
static void a_hole_at_the_beginning_is_skipped(void **state)
{
    static const off_t sizes[] = {1, 4095, 4096, 70000, (off_t)1 << 40};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_auto(File) file = make_file("one\ntwo\n");
        g_autoptr(PmTail) tail = open_tail(&file, true);

        assert_line(tail, 1, "one");
        assert_line(tail, 2, "two");
        assert_int_equal(truncate(file.path, 0), 0);
        assert_int_equal(next(tail), PM_TAIL_RESTARTED);
        assert_int_equal(truncate(file.path, sizes[i]), 0);
        append(&file, "three\n\n");
        assert_line(tail, 1, "three");
        assert_line(tail, 2, "");
        assert_int_equal(next(tail), PM_TAIL_WAIT);
    }
}

static void a_file_that_is_not_followed_ends(void **state)
{
    g_auto(File) file = make_file("one\ntw");
    g_autoptr(PmTail) tail = open_tail(&file, false);

    (void)state;
    assert_line(tail, 1, "one");
    assert_int_equal(next(tail), PM_TAIL_END);
    assert_true(pm_tail_reader(tail)->cut_off);
}

static void a_whole_last_line_is_not_cut_off(void **state)
{
    g_auto(File) file = make_file("one\n");
    g_autoptr(PmTail) tail = open_tail(&file, false);

    (void)state;
    assert_line(tail, 1, "one");
    assert_int_equal(next(tail), PM_TAIL_END);
    assert_false(pm_tail_reader(tail)->cut_off);
}

static void long_lines_are_cut_and_said_so(void **state)
{
    g_autofree char *longest = g_strnfill(PM_MAX_LINE, 'x');
    g_autofree char *text = g_strdup_printf("%s\n%sx\nshort\n", longest, longest);
    g_auto(File) file = make_file(text);
    g_autoptr(PmTail) tail = open_tail(&file, true);

    (void)state;
    assert_line(tail, 1, longest);
    assert_false(pm_tail_reader(tail)->too_long);
    assert_int_equal(next(tail), PM_TAIL_LINE);
    assert_true(pm_tail_reader(tail)->too_long);
    assert_line(tail, 3, "short");
    assert_false(pm_tail_reader(tail)->too_long);
}

static void a_file_larger_than_the_buffer_is_read_line_by_line(void **state)
{
    GString *text = g_string_new(NULL);
    g_autoptr(PmTail) tail = NULL;

    (void)state;
    for (unsigned i = 1; i <= 20000; i++)
        g_string_append_printf(text, "line %u\n", i);
    {
        g_auto(File) file = make_file(text->str);

        tail = open_tail(&file, true);
        for (unsigned i = 1; i <= 20000; i++) {
            g_autofree char *line = g_strdup_printf("line %u", i);

            assert_line(tail, i, line);
        }
    }
    g_string_free(text, TRUE);
}

static void a_fifo_ends_with_its_writer(void **state)
{
    g_auto(File) file = make_file("");
    g_autoptr(PmTail) tail = NULL;
    int writer;

    (void)state;
    g_unlink(file.path);
    assert_int_equal(mkfifo(file.path, 0600), 0);
    writer = g_open(file.path, O_RDWR | O_CLOEXEC, 0);
    tail = open_tail(&file, true);
    assert_true(pm_tail_get_fd(tail) >= 0);
    assert_int_equal(next(tail), PM_TAIL_WAIT);
    assert_int_equal(write(writer, "one\ntwo", 7), 7);
    assert_line(tail, 1, "one");
    assert_int_equal(next(tail), PM_TAIL_WAIT);
    close(writer);
    assert_int_equal(next(tail), PM_TAIL_END);
    assert_true(pm_tail_reader(tail)->cut_off);
}

static void what_is_no_log_is_refused(void **state)
{
    g_auto(File) file = make_file("one\n");
    g_autoptr(PmTail) tail = open_tail(&file, true);
    g_autoptr(GError) missing = NULL;
    g_autoptr(GError) folder = NULL;
    g_autoptr(GError) binary = NULL;
    PmTailResult result;

    (void)state;
    assert_null(pm_tail_open("/nonexistent", true, &missing));
    assert_true(g_error_matches(missing, PM_ERROR, PM_ERROR_BAD_INPUT));
    assert_null(pm_tail_open(file.folder, true, &folder));
    assert_non_null(strstr(folder->message, "is a directory"));
    assert_line(tail, 1, "one");
    assert_int_equal(truncate(file.path, 5), 0);
    assert_false(pm_tail_next(tail, &result, &binary));
    assert_non_null(strstr(binary->message, "/log:2: not a log: binary data"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_returned_when_they_are_whole),
        cmocka_unit_test(a_replaced_file_is_read_after_the_rest_of_the_old_one),
        cmocka_unit_test(what_is_written_just_before_the_rotation_is_read),
        cmocka_unit_test(a_truncated_file_is_read_from_its_beginning),
        cmocka_unit_test(a_hole_at_the_beginning_is_skipped),
        cmocka_unit_test(a_file_that_is_not_followed_ends),
        cmocka_unit_test(a_whole_last_line_is_not_cut_off),
        cmocka_unit_test(long_lines_are_cut_and_said_so),
        cmocka_unit_test(a_file_larger_than_the_buffer_is_read_line_by_line),
        cmocka_unit_test(a_fifo_ends_with_its_writer),
        cmocka_unit_test(what_is_no_log_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
