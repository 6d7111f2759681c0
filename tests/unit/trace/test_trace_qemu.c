/* SPDX-License-Identifier: MIT */
/* QEMU's trace log. tests/command/test_replay.c checks the totals of the recorded ones. */
#include "util/trace_util.h"

#define WHOLE                                                                                      \
    "ram_block_discard_range @0x7f0000000000 + 0x4000000: madvise: 1 fallocate: 0 ret: 0\n"
#define PLUG   "virtio_mem_plug_request addr=0x100400000 nb_blocks=4\n"
#define UNPLUG "virtio_mem_unplug_request addr=0x100400000 nb_blocks=2\n"
#define DISCARD                                                                                    \
    "ram_block_discard_range m0@0x7f0000400000 + 0x400000: madvise: 1 fallocate: 0 ret: 0\n"
#define ACK   "virtio_mem_send_response type=0\n"
#define RESET "virtio_mem_unplugged_all \n"
#define LOG   WHOLE PLUG ACK UNPLUG DISCARD ACK

static PmTrace *load(const char *text)
{
    g_autoptr(GError) error = NULL;
    PmTrace *trace = load_text(text, NULL, &error);

    if (trace == NULL)
        fail_msg("%s", error->message);
    return trace;
}

static void the_geometry_is_derived_from_discards(void **state)
{
    g_autoptr(PmTrace) trace = load(LOG);

    (void)state;
    assert_int_equal(pm_trace_region(trace, 0)->address, 0x100000000);
    assert_int_equal(pm_trace_region(trace, 0)->size, 64 * PM_MIB);
    assert_int_equal(pm_trace_region(trace, 0)->block_size, 2 * PM_MIB);
    assert_int_equal(pm_trace_region(trace, 0)->requested_size, 64 * PM_MIB);
    assert_int_equal(trace->events->len, 2);
    assert_int_equal(event_at(trace, 0)->type, PM_EVENT_PLUG);
    assert_int_equal(event_at(trace, 0)->response, VIRTIO_MEM_RESP_ACK);
    assert_int_equal(event_at(trace, 0)->line, 2);
    assert_int_equal(event_at(trace, 0)->time_ns, -1);
}

static void both_time_stamp_formats_are_read(void **state)
{
    g_autoptr(PmTrace) old = load("48@1795204565.000000:" WHOLE "52@1795204565.500000:" PLUG
                                  "52@1795204566.000001:" ACK "52@1795204567.000000:" UNPLUG
                                  "52@1795204567.000000:" DISCARD "52@1795204567.000000:" ACK);
    g_autoptr(PmTrace) new =
        load("2026-03-01T12:00:00.000000Z " WHOLE "2026-03-01T12:00:00.500000Z " PLUG
             "2026-03-01T12:00:01.000001Z " ACK "2026-03-01T12:00:02.000000Z " UNPLUG
             "2026-03-01T12:00:02.000000Z " DISCARD "2026-03-01T12:00:02.000000Z " ACK);

    (void)state;
    assert_int_equal(event_at(old, 0)->time_ns, 500000000);
    assert_int_equal(event_at(old, 1)->time_ns, 2000000000);
    assert_same_trace(old, new);
}

/* Such a stamp does not fit, so its line is that of another program. */
static void times_of_other_centuries_are_no_stamps(void **state)
{
    g_autoptr(PmTrace) trace =
        load("2026-03-01T12:00:00.000000Z " WHOLE "2026-03-01T12:00:01.000000Z " PLUG
             "2026-03-01T12:00:01.000000Z " ACK "9999-03-01T12:00:01.000000Z " RESET
             "0001-03-01T12:00:01.000000Z " RESET "4@4611686019.000000:" RESET
             "2026-03-01T12:00:02.000000Z " UNPLUG "2026-03-01T12:00:02.000000Z " DISCARD
             "2026-03-01T12:00:02.000000Z " ACK);

    (void)state;
    assert_int_equal(trace->events->len, 2);
    assert_int_equal(event_at(trace, 1)->type, PM_EVENT_UNPLUG);
    assert_int_equal(event_at(trace, 1)->time_ns, 2000000000);
}

/* QEMU's stamps are of the host's clock, which can be set back. */
static void times_may_decrease_but_not_below_the_first(void **state)
{
    g_autoptr(PmTrace) trace = load(
        "48@100.000000:" WHOLE "48@102.000000:" PLUG "48@102.000000:" ACK "48@101.000000:" UNPLUG
        "48@101.000000:" DISCARD "48@101.000000:" ACK "48@90.000000:" PLUG "48@90.000000:" ACK);

    (void)state;
    assert_int_equal(event_at(trace, 0)->time_ns, 2000000000);
    assert_int_equal(event_at(trace, 1)->time_ns, 1000000000);
    assert_int_equal(event_at(trace, 2)->time_ns, 0);
}

static void other_events_are_skipped(void **state)
{
    g_autoptr(PmTrace) trace =
        load("kvm_something x=1\n" LOG "virtio_mem_resized_usable_regions x\n"
             "vfio_listener_region_del 0x0 - 0x1\n\n");

    (void)state;
    assert_int_equal(trace->events->len, 2);
}

static void a_skipped_line_may_be_of_any_length(void **state)
{
    g_autofree char *words = g_strnfill((gsize)1 << 20, 'x');
    g_autofree char *first = g_strconcat(words, "\n" LOG, NULL);
    g_autofree char *middle = g_strconcat(LOG, words, "\n" PLUG ACK, NULL);
    g_autofree char *last = g_strconcat(LOG PLUG ACK, words, NULL);
    const char *const texts[] = {first, middle, last};
    static const guint n_events[] = {2, 3, 3};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(PmTrace) trace = load(texts[i]);

        assert_int_equal(trace->events->len, n_events[i]);
    }
}

static void an_event_that_is_too_long_is_refused(void **state)
{
    g_autofree char *spaces = g_strnfill(4096, ' ');
    g_autofree char *text = g_strconcat(LOG "virtio_mem_plug_request ", spaces,
                                        "addr=0x100400000 nb_blocks=4\n" ACK, NULL);

    (void)state;
    assert_text_refused(text, NULL, ":7: line too long, at most 4096 bytes");
}

static void unplugged_all_without_a_request_is_a_reset(void **state)
{
    g_autoptr(PmTrace) trace =
        load(WHOLE "virtio_mem_unplugged_all \n" LOG "virtio_mem_unplug_all_request \n" WHOLE
                   "virtio_mem_unplugged_all \n" ACK "virtio_mem_unplugged_all\n");

    (void)state;
    assert_int_equal(trace->events->len, 5);
    assert_int_equal(event_at(trace, 0)->type, PM_EVENT_RESET);
    assert_int_equal(event_at(trace, 3)->type, PM_EVENT_UNPLUG_ALL);
    assert_int_equal(event_at(trace, 3)->response, VIRTIO_MEM_RESP_ACK);
    assert_int_equal(event_at(trace, 4)->type, PM_EVENT_RESET);
}

static void states_and_refusals_are_kept(void **state)
{
    g_autoptr(PmTrace) trace = load(LOG "virtio_mem_state_request addr=0x100000000 nb_blocks=32\n"
                                        "virtio_mem_state_response state=2\n" ACK PLUG
                                        "virtio_mem_send_response type=2\n");

    (void)state;
    assert_int_equal(event_at(trace, 2)->type, PM_EVENT_STATE);
    assert_int_equal(event_at(trace, 2)->state, VIRTIO_MEM_STATE_MIXED);
    assert_int_equal(event_at(trace, 2)->response, VIRTIO_MEM_RESP_ACK);
    assert_int_equal(event_at(trace, 3)->response, VIRTIO_MEM_RESP_BUSY);
}

static void a_truncated_log_lacks_the_last_response(void **state)
{
    g_autoptr(PmTrace) trace = load(LOG PLUG);

    (void)state;
    assert_int_equal(event_at(trace, 2)->response, -1);
}

static void missing_geometry_is_requested(void **state)
{
    const PmTraceGeometry block = {.block_size = 2 * PM_MIB};
    const PmTraceGeometry enough = {
        .has_region_address = true, .region_address = 0x100000000, .block_size = 2 * PM_MIB};
    g_autoptr(PmTrace) trace = load_text(WHOLE PLUG ACK, &enough, NULL);

    (void)state;
    assert_text_refused(PLUG ACK, NULL,
                        "no initial discard of the whole region in the log: pass --region-size "
                        "--block-size --region-addr (values: ");
    assert_text_refused(PLUG ACK, &enough, "pass --region-size (values: ");
    assert_text_refused(
        WHOLE PLUG ACK, NULL,
        "no successful UNPLUG in the log: pass --block-size --region-addr (values: ");
    assert_text_refused(WHOLE PLUG ACK, &block, "pass --region-addr (values: ");
    assert_non_null(trace);
    assert_int_equal(pm_trace_region(trace, 0)->block_size, 2 * PM_MIB);
}

static void an_option_that_contradicts_the_log_is_refused_with_the_line(void **state)
{
    const PmTraceGeometry other_block = {.block_size = 4 * PM_MIB};
    const PmTraceGeometry other_size = {.region_size = 128 * PM_MIB};
    const PmTraceGeometry other_address = {.has_region_address = true, .region_address = 0};

    (void)state;
    assert_text_refused(LOG, &other_block, ":4: 2M in the log conflicts with --block-size 4M");
    assert_text_refused(LOG, &other_size, ":1: 64M in the log conflicts with --region-size 128M");
    assert_text_refused(LOG, &other_address,
                        ":4: 0x100000000 in the log conflicts with --region-addr 0x0");
}

static void each_error_has_its_line(void **state)
{
    static const struct {
        const char *text;
        const char *hint;
    } table[] = {
        {"hello\nworld\n", "neither"},
        {LOG ACK, ":7: response without a request: the log is damaged"},
        {LOG "virtio_mem_state_response state=1\n", ":7: response without a STATE request"},
        {LOG PLUG PLUG, ":8: request while the request of line 7 is pending"},
        {LOG PLUG "virtio_mem_unplugged_all \n",
         ":8: system reset while the request of line 7 is pending"},
        {WHOLE "virtio_mem_plug_request addr=0x1 nb_blocks=65536\n",
         ":2: missing or invalid number"},
        {WHOLE "virtio_mem_plug_request addr=0x10000000000000000 nb_blocks=1\n",
         ":2: missing or invalid number"},
        {WHOLE "virtio_mem_plug_request addr= nb_blocks=1\n", ":2: missing or invalid number"},
        {WHOLE "virtio_mem_plug_request nb_blocks=1\n", ":2: missing or invalid number"},
        {WHOLE PLUG "virtio_mem_send_response type=4\n", ":3: missing or invalid number"},
        {WHOLE "virtio_mem_state_response state=1\n", ":2: response without a STATE"},
        {"ram_block_discard_range 0x1 + 0x2\n", ":1: missing host address"},
        {LOG "virtio_mem_plug_request addr=0x104000000 nb_blocks=1\n" ACK,
         ":7: 1 block at 0x104000000: outside the region"},
        {LOG "virtio_mem_unplug_request addr=0x100800000 nb_blocks=2\n" DISCARD ACK,
         "region or block size differs from line 4"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        assert_text_refused(table[i].text, NULL, table[i].hint);
}

static void a_log_without_its_beginning_is_refused(void **state)
{
    (void)state;
    assert_text_refused(ACK PLUG ACK, NULL,
                        ":1: response without a request: the log lacks its "
                        "beginning; record from the start or remove the lines before the first");
    assert_text_refused("virtio_mem_state_response state=1\n" ACK LOG, NULL,
                        ":1: response without a STATE request: the log lacks");
}

/* A truncated number looks like a valid one, so a last line without a newline is ignored. */
static void a_truncated_last_line_is_ignored_with_a_warning(void **state)
{
    static const char *const lines[] = {
        "virtio_mem_plug_request ",
        "virtio_mem_plug_request addr=0x",
        "virtio_mem_plug_request addr=0x100400000 nb_blocks=",
        "virtio_mem_plug_request addr=0x100400000 nb_blocks=1",
        "virtio_mem_unplug_request addr=0x100400000",
        "virtio_mem_resized_usable_region old_size=0x10",
        "ram_block_discard_range m0",
        "ram_block_discard_range m0@0x7f0000400000 +",
        "virtio_mem_send_response ty",
    };
    g_autoptr(PmTrace) whole = load_text(LOG, NULL, NULL);

    (void)state;
    assert_null(whole->warning);
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *cut_off = g_strconcat(LOG, lines[i], NULL);
        g_autoptr(PmTrace) trace = load_text(cut_off, NULL, NULL);

        assert_non_null(trace);
        assert_same_trace(trace, whole);
        assert_non_null(strstr(trace->warning, ": ignored the last line, which has no newline"));
    }
}

static void recorded_logs_survive_a_round_trip(void **state)
{
    static const char *const names[] = {"big-block-256m", "busy-2m",      "fragmented-2m",
                                        "grow-shrink-2m", "qemu-vfio-4m", "reboot-4m",
                                        "small-steps-8m"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path =
            g_strdup_printf(PLUGMAP_SOURCE_DIR "/tests/traces/%s.log", names[i]);
        g_autoptr(PmTrace) trace = pm_trace_load(path, PM_TRACE_FORMAT_QEMU_LOG, NULL, NULL);
        g_autoptr(PmTrace) read_back = NULL;

        assert_non_null(trace);
        assert_int_equal(pm_trace_region(trace, 0)->address, 0x100000000);
        read_back = round_trip(trace);
        assert_same_trace(trace, read_back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_geometry_is_derived_from_discards),
        cmocka_unit_test(both_time_stamp_formats_are_read),
        cmocka_unit_test(times_of_other_centuries_are_no_stamps),
        cmocka_unit_test(times_may_decrease_but_not_below_the_first),
        cmocka_unit_test(other_events_are_skipped),
        cmocka_unit_test(a_skipped_line_may_be_of_any_length),
        cmocka_unit_test(an_event_that_is_too_long_is_refused),
        cmocka_unit_test(unplugged_all_without_a_request_is_a_reset),
        cmocka_unit_test(states_and_refusals_are_kept),
        cmocka_unit_test(a_truncated_log_lacks_the_last_response),
        cmocka_unit_test(missing_geometry_is_requested),
        cmocka_unit_test(an_option_that_contradicts_the_log_is_refused_with_the_line),
        cmocka_unit_test(each_error_has_its_line),
        cmocka_unit_test(a_log_without_its_beginning_is_refused),
        cmocka_unit_test(a_truncated_last_line_is_ignored_with_a_warning),
        cmocka_unit_test(recorded_logs_survive_a_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
