/* SPDX-License-Identifier: MIT */
/* Traces from pipes, which cannot seek, and with a byte order mark. */
#include <signal.h>
#include <sys/stat.h>

#include "util/trace_util.h"

#define PIPE_CAPACITY 65536 /* a larger log is read while it is written */

#define WHOLE                                                                                      \
    "ram_block_discard_range @0x7f0000000000 + 0x4000000: madvise: 1 fallocate: 0 ret: 0\n"
#define PLUG   "virtio_mem_plug_request addr=0x100400000 nb_blocks=2\n"
#define UNPLUG "virtio_mem_unplug_request addr=0x100400000 nb_blocks=2\n"
#define DISCARD                                                                                    \
    "ram_block_discard_range m0@0x7f0000400000 + 0x400000: madvise: 1 fallocate: 0 ret: 0\n"
#define ACK        "virtio_mem_send_response type=0\n"
#define LOG        WHOLE PLUG ACK UNPLUG DISCARD ACK
#define OWN_FORMAT "plugmap-trace 1\nregion addr=4G size=64M block=2M\nplug addr=4G blocks=1\n"
#define MARK       "\xef\xbb\xbf"

typedef struct {
    char *path;
    const char *text;
} Writer;

static void *write_pipe(void *data)
{
    const Writer *writer = data;
    FILE *stream = fopen(writer->path, "we");

    if (stream == NULL)
        return NULL;
    fputs(writer->text, stream);
    fclose(stream);
    return NULL;
}

static PmTrace *load_through_pipe(const char *text)
{
    g_autofree char *folder = g_dir_make_tmp("plugmap-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "pipe", NULL);
    g_autoptr(GError) error = NULL;
    Writer writer = {path, text};
    GThread *thread;
    PmTrace *trace;

    (void)signal(SIGPIPE, SIG_IGN); /* the reader closes early on errors */
    assert_int_equal(mkfifo(path, 0600), 0);
    thread = g_thread_new("writer", write_pipe, &writer);
    trace = pm_trace_load(path, PM_TRACE_FORMAT_AUTO, NULL, &error);
    g_thread_join(thread);
    g_unlink(path);
    g_rmdir(folder);
    if (trace == NULL)
        fail_msg("%s", error->message);
    return trace;
}

static void assert_pipe_is_like_a_file(const char *text)
{
    g_autoptr(PmTrace) from_pipe = load_through_pipe(text);
    g_autoptr(PmTrace) from_file = load_text(text, NULL, NULL);

    assert_non_null(from_file);
    assert_same_trace(from_pipe, from_file);
    assert_int_equal(event_at(from_pipe, 0)->line, event_at(from_file, 0)->line);
}

static void a_short_log_from_a_pipe_keeps_its_first_line(void **state)
{
    (void)state;
    assert_pipe_is_like_a_file(LOG);
}

static void a_log_larger_than_the_pipe_is_read_completely(void **state)
{
    GString *text = g_string_new(LOG);

    (void)state;
    while (text->len < (size_t)64 * PIPE_CAPACITY)
        g_string_append(text, PLUG ACK UNPLUG DISCARD ACK);
    assert_pipe_is_like_a_file(text->str);
    g_string_free(text, TRUE);
}

static void plugmaps_own_format_is_detected_on_a_pipe(void **state)
{
    (void)state;
    assert_pipe_is_like_a_file(OWN_FORMAT);
}

static void a_byte_order_mark_is_skipped(void **state)
{
    static const char *const texts[] = {LOG, OWN_FORMAT};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *marked = g_strconcat(MARK, texts[i], NULL);
        g_autoptr(PmTrace) plain = load_text(texts[i], NULL, NULL);
        g_autoptr(PmTrace) trace = load_text(marked, NULL, NULL);

        assert_non_null(trace);
        assert_same_trace(trace, plain);
    }
}

static void a_byte_order_mark_alone_is_an_empty_file(void **state)
{
    (void)state;
    assert_text_refused(MARK, NULL, "empty file");
}

static void a_byte_order_mark_is_skipped_in_the_first_line_only(void **state)
{
    (void)state;
    assert_text_refused(OWN_FORMAT MARK "reset\n", NULL, ":4:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_log_from_a_pipe_keeps_its_first_line),
        cmocka_unit_test(a_log_larger_than_the_pipe_is_read_completely),
        cmocka_unit_test(plugmaps_own_format_is_detected_on_a_pipe),
        cmocka_unit_test(a_byte_order_mark_is_skipped),
        cmocka_unit_test(a_byte_order_mark_alone_is_an_empty_file),
        cmocka_unit_test(a_byte_order_mark_is_skipped_in_the_first_line_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
