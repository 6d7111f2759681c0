/* SPDX-License-Identifier: MIT */
/* The plan of a trace is what a replay does on a fake kernel with these limits; with larger blocks
 * it is a replay of the requests that a guest with such blocks would make. */
#include "plan/trace_plan.h"

#include <plugmap/fake.h>
#include <plugmap/size.h>

#include "replay/replay.h"
#include "util/trace_util.h"

#define MAX_FACTOR 64

static const PmIovaRange ranges[] = {{0, 0xfedfffff}, {0xfef00000, 0xffffffffffff}};

static PmTracePlan *make_plan(const PmTrace *trace, uint64_t n_mappings, uint64_t locked)
{
    static PmPlanMachine machine = {.n_devices = 1};
    static PmPlanHost host;
    g_autoptr(GError) error = NULL;
    PmTracePlan *plan;

    host.limits = (PmPlanLimits){.n_mappings = n_mappings,
                                 .locked = locked,
                                 .page_size = 4096,
                                 .ranges = ranges,
                                 .n_ranges = G_N_ELEMENTS(ranges)};
    plan = pm_trace_plan_new(trace, &machine, &host, &error);
    if (plan == NULL)
        fail_msg("%s", error->message);
    return plan;
}

/* --- what a guest with larger blocks would request --- */

static void add_request(PmTrace *trace, const PmTraceEvent *like, PmEventType type, uint64_t block)
{
    const PmTraceRegion *region = pm_trace_region(trace, like->region);
    PmTraceEvent event = *like;

    event.type = type;
    event.n_blocks = 1;
    event.address = region->address + block * region->block_size;
    g_array_append_val(trace->events, event);
}

static bool is_any_set(const bool *plugged, uint64_t block, uint64_t factor)
{
    for (uint64_t i = block * factor; i < (block + 1) * factor; i++)
        if (plugged[i])
            return true;
    return false;
}

/* Block by block, before and after the request. */
static void add_changes(PmTrace *trace, const PmTraceEvent *event, bool *plugged, uint64_t factor,
                        uint64_t small_size)
{
    const PmTraceRegion *region = pm_trace_region(trace, event->region);
    uint64_t first = (event->address - region->address) / small_size;

    for (uint64_t i = first; i < first + event->n_blocks; i++) {
        bool was = is_any_set(plugged, i / factor, factor);
        bool is;

        plugged[i] = event->type == PM_EVENT_PLUG;
        is = is_any_set(plugged, i / factor, factor);
        if (was != is)
            add_request(trace, event, is ? PM_EVENT_PLUG : PM_EVENT_UNPLUG, i / factor);
    }
}

static void forget(bool *plugged, const PmTraceRegion *small)
{
    memset(plugged, 0, small->size / small->block_size * sizeof(*plugged));
}

/* Of a trace with one region. */
static PmTrace *enlarge(const PmTrace *trace, uint64_t factor)
{
    const PmTraceRegion *small = pm_trace_region(trace, 0);
    g_autofree bool *plugged = g_new0(bool, small->size / small->block_size);
    PmTrace *enlarged = pm_trace_new(trace->file);
    PmTraceRegion region = *small;

    region.name = NULL;
    region.block_size *= factor;
    region.requested_size = region.size;
    region.requested_is_bound = false;
    pm_trace_add_region(enlarged, region);
    for (guint i = 0; i < trace->events->len; i++) {
        const PmTraceEvent *event = &g_array_index(trace->events, PmTraceEvent, i);

        if (event->response > VIRTIO_MEM_RESP_ACK)
            continue;
        if (event->type == PM_EVENT_PLUG || event->type == PM_EVENT_UNPLUG) {
            add_changes(enlarged, event, plugged, factor, small->block_size);
        } else if (event->type != PM_EVENT_STATE && event->type != PM_EVENT_RESIZE) {
            g_array_append_val(enlarged->events, *event);
            if (event->type != PM_EVENT_CONVERT)
                forget(plugged, small);
        }
    }
    return enlarged;
}

/* --- the truth --- */

typedef struct {
    uint64_t peak_mappings;
    uint64_t peak_pinned;
    unsigned line; /* of the first request that fails; 0: none */
} Truth;

static Truth replay(const PmTrace *trace, uint64_t n_mappings, uint64_t locked)
{
    g_autoptr(PmKernel) fake = NULL;
    g_autoptr(PmReplayResult) result = NULL;
    PmFakeConfig fake_config;
    PmReplayConfig config = {.only_counts = true, .group = 1, .overcommit = true};

    pm_fake_config_init(&fake_config);
    fake_config.iova_ranges = ranges;
    fake_config.n_iova_ranges = G_N_ELEMENTS(ranges);
    fake_config.entry_limit = (uint32_t)n_mappings;
    fake_config.memlock_limit = locked;
    fake = pm_fake_kernel_new(&fake_config, NULL);
    config.kernel = config.fake = fake;
    result = pm_replay(trace, &config, NULL);
    assert_non_null(result);
    return (Truth){
        .peak_mappings = result->peak_mappings,
        .peak_pinned = result->peak_pinned_bytes,
        .line = result->divergences->len == 0
                    ? 0
                    : ((PmReplayDivergence *)g_ptr_array_index(result->divergences, 0))->line,
    };
}

static unsigned line_of(const PmTrace *trace, gint64 event)
{
    return event < 0 ? 0 : g_array_index(trace->events, PmTraceEvent, (guint)event).line;
}

static void compare_limits(const PmTrace *trace, const PmTrace *enlarged, guint row,
                           uint64_t n_mappings, uint64_t locked)
{
    g_autoptr(PmTracePlan) plan = make_plan(trace, n_mappings, locked);
    const PmTracePlanRow *planned = &g_array_index(plan->rows, PmTracePlanRow, row);
    const Truth truth = replay(enlarged, n_mappings, locked);
    unsigned mappings = line_of(trace, planned->mappings_event);
    unsigned memory = line_of(trace, planned->locked_event);
    unsigned first = mappings == 0 || memory == 0 ? MAX(mappings, memory) : MIN(mappings, memory);

    if (first != truth.line)
        fail_msg("%s, block size x %u, %u mappings, 0x%lx locked: planned line %u, is %u",
                 trace->file, 1U << row, (unsigned)n_mappings, (unsigned long)locked, first,
                 truth.line);
}

static void compare_row(const PmTrace *trace, guint row)
{
    g_autoptr(PmTrace) enlarged = enlarge(trace, UINT64_C(1) << row);
    g_autoptr(PmTracePlan) plan = make_plan(trace, UINT32_MAX, UINT64_MAX);
    const PmTracePlanRow *planned = &g_array_index(plan->rows, PmTracePlanRow, row);
    const Truth truth = replay(enlarged, UINT32_MAX, UINT64_MAX);

    assert_int_equal(truth.line, 0);
    assert_int_equal(planned->peak_mappings, truth.peak_mappings);
    assert_int_equal(planned->peak_locked, truth.peak_pinned);
    for (uint64_t less = 0; less <= 1; less++) {
        compare_limits(trace, enlarged, row, MAX(truth.peak_mappings - less, 1), UINT64_MAX);
        compare_limits(trace, enlarged, row, UINT32_MAX, truth.peak_pinned - less);
    }
    compare_limits(trace, enlarged, row, truth.peak_mappings / 2 + 1, truth.peak_pinned / 2);
}

static void compare(const char *name)
{
    g_autofree char *path = g_build_filename(PLUGMAP_SOURCE_DIR, "tests/traces", name, NULL);
    g_autoptr(PmTrace) trace = pm_trace_load(path, PM_TRACE_FORMAT_AUTO, NULL, NULL);
    g_autoptr(PmTracePlan) plan = NULL;

    assert_non_null(trace);
    plan = make_plan(trace, UINT32_MAX, UINT64_MAX);
    for (guint row = 0; row < plan->rows->len && 1U << row <= MAX_FACTOR; row++)
        compare_row(trace, row);
}

static void recorded_traces_fail_where_the_replay_does(void **state)
{
    (void)state;
    compare("fragmented-2m.log");
    compare("grow-shrink-2m.log");
    compare("small-steps-8m.log");
    compare("reboot-4m.log");
}

static void conversions_change_what_is_mapped(void **state)
{
    (void)state;
    compare("convert-4k-in-2m.trace");
}

static void boot_memory_alone_exceeds_before_any_request(void **state)
{
    const PmPlanMachine machine = {.n_devices = 1, .boot_memory = 4 * PM_GIB};
    const PmPlanHost host = {.limits = {.n_mappings = 2,
                                        .locked = 4 * PM_GIB - 1,
                                        .page_size = 4096,
                                        .ranges = ranges,
                                        .n_ranges = G_N_ELEMENTS(ranges)}};
    g_autoptr(PmTrace) trace = pm_trace_load(PLUGMAP_SOURCE_DIR "/tests/traces/fragmented-2m.log",
                                             PM_TRACE_FORMAT_AUTO, NULL, NULL);
    g_autoptr(PmTracePlan) plan = NULL;
    const PmTracePlanRow *row;

    (void)state;
    assert_non_null(trace);
    plan = pm_trace_plan_new(trace, &machine, &host, NULL);
    assert_non_null(plan);
    row = &g_array_index(plan->rows, PmTracePlanRow, 0);
    assert_true(row->locked_event == PM_TRACE_PLAN_AT_START);
    assert_true(row->mappings_event >= 0);
    assert_false(pm_trace_plan_fits(plan));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_traces_fail_where_the_replay_does),
        cmocka_unit_test(conversions_change_what_is_mapped),
        cmocka_unit_test(boot_memory_alone_exceeds_before_any_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
