/* SPDX-License-Identifier: MIT */
/* The bound of the requested size, which QEMU does not log, derived from the usable region.
 */
#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "replay/replay.h"
#include "util/trace_util.h"

#define WHOLE                                                                                      \
    "ram_block_discard_range @0x7f0000000000 + 0x100000000: madvise: 1 fallocate: 0 ret: 0\n"
#define USABLE(before, now)                                                                        \
    "virtio_mem_resized_usable_region old_size=0x" before "new_size=0x" now "\n"
#define PLUG(blocks) "virtio_mem_plug_request addr=0x100000000 nb_blocks=" blocks "\n"
#define MORE(blocks) "virtio_mem_plug_request addr=0x108000000 nb_blocks=" blocks "\n"
#define ACK          "virtio_mem_send_response type=0\n"
#define NACK         "virtio_mem_send_response type=1\n"

static const PmTraceGeometry small_blocks = {
    .has_region_address = true, .region_address = 0x100000000, .block_size = 2 * PM_MIB};
static const PmTraceGeometry large_blocks = {
    .has_region_address = true, .region_address = 0x100000000, .block_size = 512 * PM_MIB};

static PmTrace *load(const char *text, const PmTraceGeometry *given)
{
    g_autoptr(GError) error = NULL;
    PmTrace *trace = load_text(text, given, &error);

    if (trace == NULL)
        fail_msg("%s", error->message);
    return trace;
}

static PmReplayResult *replay(const PmTrace *trace)
{
    g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, NULL);
    const PmReplayConfig config = {.kernel = fake,
                                   .fake = fake,
                                   .memory = PM_RAM_MEMFD,
                                   .only_counts = true,
                                   .group = 1,
                                   .audit = true};
    PmReplayResult *result = pm_replay(trace, &config, NULL);

    assert_non_null(result);
    return result;
}

static void assert_resize(const PmTrace *trace, guint index, uint64_t size)
{
    assert_int_equal(event_at(trace, index)->type, PM_EVENT_RESIZE);
    assert_int_equal(event_at(trace, index)->size, size);
}

/* --- the bound --- */

static void the_usable_region_bounds_the_requested_size(void **state)
{
    g_autoptr(PmTrace) trace = load(
        WHOLE USABLE("0", "20000000") PLUG("1") ACK USABLE("20000000", "20200000"), &small_blocks);

    (void)state;
    assert_true(pm_trace_region(trace, 0)->requested_is_bound);
    assert_int_equal(pm_trace_region(trace, 0)->requested_size, 0);
    assert_int_equal(trace->events->len, 3);
    assert_resize(trace, 0, 256 * PM_MIB);
    assert_resize(trace, 2, 258 * PM_MIB);
}

static void without_the_usable_region_the_bound_is_the_region(void **state)
{
    g_autoptr(PmTrace) trace = load(WHOLE PLUG("1") ACK, &small_blocks);

    (void)state;
    assert_true(pm_trace_region(trace, 0)->requested_is_bound);
    assert_int_equal(pm_trace_region(trace, 0)->requested_size, 4 * PM_GIB);
}

static void if_all_is_usable_the_bound_is_the_region(void **state)
{
    g_autoptr(PmTrace) trace = load(WHOLE USABLE("0", "100000000") PLUG("1") ACK, &small_blocks);

    (void)state;
    assert_resize(trace, 0, 4 * PM_GIB);
}

static void the_usable_extent_is_at_least_a_block(void **state)
{
    g_autoptr(PmTrace) trace = load(WHOLE USABLE("0", "60000000") PLUG("1") ACK, &large_blocks);

    (void)state;
    assert_resize(trace, 0, PM_GIB);
}

static void a_log_that_starts_late_has_the_old_usable_size(void **state)
{
    g_autoptr(PmTrace) trace =
        load(WHOLE PLUG("1") ACK USABLE("20000000", "30000000"), &small_blocks);

    (void)state;
    assert_int_equal(pm_trace_region(trace, 0)->requested_size, 256 * PM_MIB);
    assert_resize(trace, 1, 512 * PM_MIB);
}

static void a_line_without_a_change_is_ignored(void **state)
{
    g_autoptr(PmTrace) trace =
        load(WHOLE USABLE("20000000", "20000000") PLUG("1") ACK, &small_blocks);

    (void)state;
    assert_int_equal(trace->events->len, 1);
    assert_int_equal(pm_trace_region(trace, 0)->requested_size, 256 * PM_MIB);
}

/* The host lowered the requested size before; the guest's request made it visible. */
static void a_resize_shown_by_a_reset_precedes_it(void **state)
{
    g_autoptr(PmTrace) trace =
        load("1@5.000000:" WHOLE "1@5.000000:" USABLE("0", "30000000") "1@6.000000:" PLUG(
                 "1") "1@7.000000:" ACK "1@8.000000:virtio_mem_unplugged_all \n"
                      "1@9.000000:" USABLE("30000000", "20000000"),
             &small_blocks);

    (void)state;
    assert_int_equal(trace->events->len, 4);
    assert_resize(trace, 2, 256 * PM_MIB);
    assert_int_equal(event_at(trace, 2)->time_ns, 3000000000);
    assert_int_equal(event_at(trace, 3)->type, PM_EVENT_RESET);
}

static void a_resize_shown_by_unplug_all_precedes_it(void **state)
{
    g_autoptr(PmTrace) trace =
        load(WHOLE USABLE("0", "30000000") PLUG("1") ACK
             "virtio_mem_unplug_all_request \n" WHOLE
             "virtio_mem_unplugged_all \n" USABLE("30000000", "0") ACK PLUG("1") NACK,
             &small_blocks);

    (void)state;
    assert_int_equal(trace->events->len, 5);
    assert_resize(trace, 2, 0);
    assert_int_equal(event_at(trace, 3)->type, PM_EVENT_UNPLUG_ALL);
    assert_int_equal(event_at(trace, 3)->response, VIRTIO_MEM_RESP_ACK);
    assert_int_equal(event_at(trace, 4)->response, VIRTIO_MEM_RESP_NACK);
}

static void an_impossible_usable_region_is_refused(void **state)
{
    static const struct {
        const char *text;
        const char *hint;
    } table[] = {
        {WHOLE USABLE("0", "20000000") PLUG("1") ACK USABLE("0", "30000000"),
         ":5: usable region had 0x20000000 bytes in line 2"},
        {WHOLE PLUG("1") USABLE("0", "20000000") ACK,
         ":3: resize while the request of line 2 is pending"},
        {WHOLE USABLE("0", "200000000") PLUG("1") ACK,
         ":2: no requested size results in a usable region of 8G"},
        {WHOLE USABLE("0", "20000001") PLUG("1") ACK, ":2: no requested size results"},
        {WHOLE USABLE("0", "10000000") PLUG("1") ACK,
         ":2: no requested size results in a usable region of 256M"},
        {WHOLE USABLE("10000000", "20000000") PLUG("1") ACK,
         ":2: no requested size results in a usable region of 256M"},
        {WHOLE "virtio_mem_resized_usable_region new_size=0x0\n",
         ":2: missing or invalid number after"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        assert_text_refused(table[i].text, &small_blocks, table[i].hint);
}

static void a_bound_survives_a_round_trip(void **state)
{
    g_autoptr(PmTrace) trace =
        load(WHOLE USABLE("20000000", "30000000") PLUG("1") ACK, &small_blocks);
    g_autoptr(PmTrace) read_back = round_trip(trace);

    (void)state;
    assert_true(pm_trace_region(read_back, 0)->requested_is_bound);
    assert_same_trace(trace, read_back);
}

/* --- responses --- */

static void a_nack_beyond_the_bound_is_reproduced(void **state)
{
    g_autoptr(PmTrace) trace =
        load(WHOLE USABLE("0", "20000000") PLUG("64") ACK MORE("65") NACK, &small_blocks);
    g_autoptr(PmReplayResult) result = replay(trace);

    (void)state;
    assert_true(pm_replay_is_right(result));
    assert_int_equal(result->n_unjudged, 0);
    assert_int_equal(result->n_responses[VIRTIO_MEM_RESP_NACK], 1);
}

static void an_ack_beyond_the_bound_differs(void **state)
{
    g_autoptr(PmTrace) trace =
        load(WHOLE USABLE("0", "20000000") PLUG("64") ACK MORE("65") ACK, &small_blocks);
    g_autoptr(PmReplayResult) result = replay(trace);

    (void)state;
    assert_int_equal(result->n_divergences, 1);
    assert_int_equal(result->n_unjudged, 0);
}

static void a_nack_within_the_bound_is_not_judged(void **state)
{
    g_autoptr(PmTrace) trace =
        load(WHOLE USABLE("0", "20000000") PLUG("64") ACK MORE("64") NACK, &small_blocks);
    g_autoptr(PmReplayResult) result = replay(trace);

    (void)state;
    assert_true(pm_replay_is_right(result));
    assert_int_equal(result->n_unjudged, 1);
    assert_int_equal(result->unjudged->len, 1);
}

static void blocks_of_a_nack_that_is_not_judged_stay_unplugged(void **state)
{
    g_autoptr(PmTrace) trace = load(
        WHOLE USABLE("0", "20000000") PLUG("64") ACK MORE("64") NACK MORE("32") ACK, &small_blocks);
    g_autoptr(PmReplayResult) result = replay(trace);

    (void)state;
    assert_true(pm_replay_is_right(result));
    assert_int_equal(result->n_unjudged, 1);
    assert_int_equal(result->n_blocks_final, 96);
}

/* The device checks the range before the requested size. */
static void a_nack_outside_the_usable_region_differs(void **state)
{
    g_autoptr(PmTrace) trace = load(
        WHOLE USABLE("0", "20000000") "virtio_mem_plug_request addr=0x120000000 nb_blocks=1\n" NACK,
        &small_blocks);
    g_autoptr(PmReplayResult) result = replay(trace);

    (void)state;
    assert_int_equal(result->n_divergences, 1);
    assert_int_equal(result->n_unjudged, 0);
}

static void a_nack_within_an_exact_requested_size_differs(void **state)
{
    g_autoptr(PmTrace) trace = load("plugmap-trace 1\nregion addr=4G size=64M block=2M "
                                    "requested=4M\nplug addr=4G blocks=1 -> nack\n",
                                    NULL);
    g_autoptr(PmReplayResult) result = replay(trace);

    (void)state;
    assert_false(pm_trace_region(trace, 0)->requested_is_bound);
    assert_int_equal(result->n_divergences, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usable_region_bounds_the_requested_size),
        cmocka_unit_test(without_the_usable_region_the_bound_is_the_region),
        cmocka_unit_test(if_all_is_usable_the_bound_is_the_region),
        cmocka_unit_test(the_usable_extent_is_at_least_a_block),
        cmocka_unit_test(a_log_that_starts_late_has_the_old_usable_size),
        cmocka_unit_test(a_line_without_a_change_is_ignored),
        cmocka_unit_test(a_resize_shown_by_a_reset_precedes_it),
        cmocka_unit_test(a_resize_shown_by_unplug_all_precedes_it),
        cmocka_unit_test(an_impossible_usable_region_is_refused),
        cmocka_unit_test(a_bound_survives_a_round_trip),
        cmocka_unit_test(a_nack_beyond_the_bound_is_reproduced),
        cmocka_unit_test(an_ack_beyond_the_bound_differs),
        cmocka_unit_test(a_nack_within_the_bound_is_not_judged),
        cmocka_unit_test(blocks_of_a_nack_that_is_not_judged_stay_unplugged),
        cmocka_unit_test(a_nack_outside_the_usable_region_differs),
        cmocka_unit_test(a_nack_within_an_exact_requested_size_differs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
