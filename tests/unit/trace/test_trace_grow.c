/* SPDX-License-Identifier: MIT */
/* QEMU's log line by line, as it grows: the same events as those of the whole log. */
#include "trace/format_qemu.h"
#include "util/trace_util.h"

static void set_line(PmLineReader *reader, const char *text)
{
    reader->line++;
    reader->name = "log";
    g_strlcpy(reader->text, text, sizeof(reader->text));
}

static bool read_line(PmQemuLog *log, PmLineReader *reader, const char *text)
{
    bool is_event;

    set_line(reader, text);
    return pm_qemu_log_read_line(log, &is_event, NULL);
}

static void check_log(const char *name)
{
    g_autofree char *path = g_build_filename(PLUGMAP_SOURCE_DIR, "tests/traces", name, NULL);
    g_autoptr(PmTrace) whole = pm_trace_load(path, PM_TRACE_FORMAT_AUTO, NULL, NULL);
    g_autofree PmLineReader *reader = g_new0(PmLineReader, 1);
    g_autoptr(PmQemuLog) log = NULL;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    PmTraceEvent event;
    uint64_t n_of_type[PM_EVENT_N_TYPES] = {0};

    reader->name = name;
    log = pm_qemu_log_new(reader);
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        assert_true(read_line(log, reader, *line));
        while (pm_qemu_log_take(log, &event))
            n_of_type[event.type]++;
    }
    for (guint i = 0; i < whole->events->len; i++)
        n_of_type[event_at(whole, i)->type]--;
    for (unsigned i = 0; i < PM_EVENT_N_TYPES; i++)
        assert_int_equal(n_of_type[i], 0);
    assert_int_equal(pm_qemu_log_get_block_size(log), pm_trace_region(whole, 0)->block_size);
}

static void each_recorded_log_has_the_same_events(void **state)
{
    static const char *const names[] = {
        "big-block-256m.log", "busy-2m.log",   "fragmented-2m.log", "grow-shrink-2m.log",
        "qemu-vfio-4m.log",   "reboot-4m.log", "small-steps-8m.log"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        check_log(names[i]);
}

static void a_request_is_taken_with_its_response(void **state)
{
    g_autofree PmLineReader *reader = g_new0(PmLineReader, 1);
    g_autoptr(PmQemuLog) log = pm_qemu_log_new(reader);
    PmTraceEvent event;
    bool is_event;

    (void)state;
    assert_true(read_line(log, reader, "virtio_mem_plug_request addr=0x100000000 nb_blocks=3"));
    assert_false(pm_qemu_log_take(log, &event));
    assert_true(read_line(log, reader, "virtio_mem_send_response type=2"));
    assert_true(pm_qemu_log_take(log, &event));
    assert_int_equal(event.type, PM_EVENT_PLUG);
    assert_int_equal(event.n_blocks, 3);
    assert_int_equal(event.response, VIRTIO_MEM_RESP_BUSY);
    assert_false(pm_qemu_log_take(log, &event));
    set_line(reader, "vfio_something else");
    assert_true(pm_qemu_log_read_line(log, &is_event, NULL));
    assert_false(is_event);
}

static void a_log_without_its_beginning_is_read_from_the_first_request(void **state)
{
    g_autofree PmLineReader *reader = g_new0(PmLineReader, 1);
    g_autoptr(PmQemuLog) log = pm_qemu_log_new(reader);
    PmTraceEvent event;

    (void)state;
    assert_true(read_line(log, reader, "virtio_mem_state_response state=1"));
    assert_true(read_line(log, reader, "virtio_mem_send_response type=0"));
    assert_true(read_line(log, reader, "virtio_mem_unplug_all_request "));
    assert_true(read_line(log, reader, "virtio_mem_unplugged_all "));
    assert_true(read_line(
        log, reader, "virtio_mem_resized_usable_region old_size=0x20000000 new_size=0x10000000"));
    assert_true(read_line(log, reader, "virtio_mem_send_response type=0"));
    assert_true(pm_qemu_log_take(log, &event));
    assert_int_equal(event.type, PM_EVENT_RESIZE);
    assert_true(pm_qemu_log_take(log, &event));
    assert_int_equal(event.type, PM_EVENT_UNPLUG_ALL);
    assert_int_equal(event.response, VIRTIO_MEM_RESP_ACK);
    assert_false(read_line(log, reader, "virtio_mem_send_response type=0"));
}

static void a_restart_forgets_the_request_without_a_response(void **state)
{
    g_autofree PmLineReader *reader = g_new0(PmLineReader, 1);
    g_autoptr(PmQemuLog) log = pm_qemu_log_new(reader);
    PmTraceEvent event;

    (void)state;
    assert_true(read_line(log, reader, "virtio_mem_plug_request addr=0x100000000 nb_blocks=3"));
    pm_qemu_log_restart(log);
    assert_true(read_line(log, reader, "virtio_mem_send_response type=0"));
    assert_false(pm_qemu_log_take(log, &event));
    assert_true(read_line(log, reader, "virtio_mem_unplug_request addr=0x100000000 nb_blocks=1"));
    assert_true(read_line(log, reader, "virtio_mem_send_response type=0"));
    assert_true(pm_qemu_log_take(log, &event));
    assert_int_equal(event.type, PM_EVENT_UNPLUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_recorded_log_has_the_same_events),
        cmocka_unit_test(a_request_is_taken_with_its_response),
        cmocka_unit_test(a_log_without_its_beginning_is_read_from_the_first_request),
        cmocka_unit_test(a_restart_forgets_the_request_without_a_response),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
