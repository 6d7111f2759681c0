/* SPDX-License-Identifier: MIT */
/* Input of the trace loader: gzip, standard input, truncated files. */
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include "util/trace_util.h"

#define OWN "plugmap-trace 1\nregion addr=4G size=64M block=2M\nplug addr=4G blocks=1\n"

typedef struct {
    char *folder;
    char *path;
} File;

static void file_clear(File *file)
{
    g_unlink(file->path);
    g_rmdir(file->folder);
    g_free(file->path);
    g_free(file->folder);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(File, file_clear)

static File write_file(const char *content, gssize size)
{
    File file = {.folder = g_dir_make_tmp("plugmap-XXXXXX", NULL)};

    file.path = g_build_filename(file.folder, "no-suffix", NULL);
    assert_true(g_file_set_contents(file.path, content, size, NULL));
    return file;
}

/* A member of gzip; a new string. */
static char *compress_text(const char *text, size_t *size)
{
    z_stream stream = {0};
    char *out;

    assert_int_equal(
        deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    *size = deflateBound(&stream, strlen(text));
    out = g_malloc(*size);
    stream.next_in = (Bytef *)(uintptr_t)text;
    stream.avail_in = (uInt)strlen(text);
    stream.next_out = (Bytef *)out;
    stream.avail_out = (uInt)*size;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *size -= stream.avail_out;
    deflateEnd(&stream);
    return out;
}

/* More events than fit in a buffer, and hardly compressible. */
static char *long_text(void)
{
    GString *text = g_string_new(OWN);
    uint32_t number = 1;

    for (unsigned i = 0; i < 20000; i++) {
        number = number * 1664525 + 1013904223;
        g_string_append_printf(text, "plug addr=4G blocks=%u # %08x\n", number >> 27, number);
    }
    return g_string_free(text, FALSE);
}

static PmTrace *load(const File *file)
{
    g_autoptr(GError) error = NULL;
    PmTrace *trace = pm_trace_load(file->path, PM_TRACE_FORMAT_AUTO, NULL, &error);

    if (trace == NULL)
        fail_msg("%s", error->message);
    return trace;
}

static void a_compressed_trace_is_detected_by_content(void **state)
{
    g_autofree char *text = long_text();
    g_autoptr(PmTrace) plain = load_text(text, NULL, NULL);
    g_autoptr(PmTrace) trace = NULL;
    size_t size;
    g_autofree char *compressed = compress_text(text, &size);
    g_auto(File) file = write_file(compressed, (gssize)size);

    (void)state;
    trace = load(&file);
    assert_same_trace(trace, plain);
    assert_null(trace->warning);
}

/* As written by "cat a.gz b.gz". */
static void all_members_of_a_compressed_trace_are_read(void **state)
{
    static const char first[] = OWN;
    static const char second[] = "unplug addr=4G blocks=1\n";
    size_t first_size;
    size_t second_size;
    g_autofree char *a = compress_text(first, &first_size);
    g_autofree char *b = compress_text(second, &second_size);
    g_autofree char *both = g_malloc(first_size + second_size);
    g_autoptr(PmTrace) trace = NULL;
    g_auto(File) file = {0};

    (void)state;
    memcpy(both, a, first_size);
    memcpy(both + first_size, b, second_size);
    file = write_file(both, (gssize)(first_size + second_size));
    trace = load(&file);
    assert_int_equal(trace->events->len, 2);
}

static void truncated_compressed_data_is_read_to_its_end(void **state)
{
    g_autofree char *text = long_text();
    size_t size;
    g_autofree char *compressed = compress_text(text, &size);
    g_auto(File) file = write_file(compressed, (gssize)size / 2);
    g_autoptr(PmTrace) trace = load(&file);

    (void)state;
    assert_true(trace->events->len > 5000);
    assert_true(trace->events->len < 20001);
    assert_non_null(trace->warning);
}

static void a_missing_trailer_is_a_warning(void **state)
{
    size_t size;
    g_autofree char *compressed = compress_text(OWN, &size);
    g_auto(File) file = write_file(compressed, (gssize)size - 4);
    g_autoptr(PmTrace) trace = load(&file);

    (void)state;
    assert_int_equal(trace->events->len, 1);
    assert_non_null(strstr(trace->warning, ": unexpected end of compressed data"));
}

/* Its checksum does not match. */
static void corrupt_compressed_data_is_refused(void **state)
{
    size_t size;
    g_autofree char *compressed = compress_text(OWN, &size);
    g_autoptr(GError) error = NULL;
    g_auto(File) file = {0};

    (void)state;
    compressed[size - 8] = (char)~compressed[size - 8];
    file = write_file(compressed, (gssize)size);
    assert_null(pm_trace_load(file.path, PM_TRACE_FORMAT_AUTO, NULL, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_INPUT));
    assert_non_null(strstr(error->message, "decompression failed"));
}

static void a_dash_is_standard_input(void **state)
{
    g_auto(File) file = write_file(OWN, -1);
    g_autoptr(PmTrace) trace = NULL;
    int standard = dup(STDIN_FILENO);
    int fd = open(file.path, O_RDONLY);

    (void)state;
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    close(fd);
    trace = pm_trace_load("-", PM_TRACE_FORMAT_AUTO, NULL, NULL);
    assert_int_equal(dup2(standard, STDIN_FILENO), STDIN_FILENO);
    close(standard);
    assert_non_null(trace);
    assert_int_equal(trace->events->len, 1);
    assert_string_equal(trace->file, "standard input");
}

static void a_truncated_last_event_is_ignored_with_a_warning(void **state)
{
    g_autoptr(PmTrace) trace = load_text(OWN "unplug addr=4G bloc", NULL, NULL);

    (void)state;
    assert_non_null(trace);
    assert_int_equal(trace->events->len, 1);
    assert_non_null(strstr(trace->warning, ":4: ignored the last line, which has no newline"));
}

/* Some editors omit it. */
static void a_complete_last_event_without_a_newline_is_read(void **state)
{
    g_autoptr(PmTrace) trace = load_text(OWN "unplug addr=4G blocks=1 -> ack", NULL, NULL);

    (void)state;
    assert_int_equal(trace->events->len, 2);
    assert_null(trace->warning);
}

static void a_truncated_region_is_refused(void **state)
{
    (void)state;
    assert_text_refused("plugmap-trace 1\nregion addr=4G si", NULL, "the last line has no newline");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compressed_trace_is_detected_by_content),
        cmocka_unit_test(all_members_of_a_compressed_trace_are_read),
        cmocka_unit_test(truncated_compressed_data_is_read_to_its_end),
        cmocka_unit_test(a_missing_trailer_is_a_warning),
        cmocka_unit_test(corrupt_compressed_data_is_refused),
        cmocka_unit_test(a_dash_is_standard_input),
        cmocka_unit_test(a_truncated_last_event_is_ignored_with_a_warning),
        cmocka_unit_test(a_complete_last_event_without_a_newline_is_read),
        cmocka_unit_test(a_truncated_region_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
