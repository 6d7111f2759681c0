/* SPDX-License-Identifier: MIT */
/* What a replay records in its timeline. */
#include "replay/replay.h"

#include <plugmap/fake.h>

#include "util/backend_util.h"
#include "util/trace_util.h"

#define BLOCK (2 * PM_MIB)
#define ONE   "plugmap-trace 1\nregion addr=4G size=8M block=2M\n"

typedef struct {
    PmTrace *trace;
    PmTimeline *timeline;
    PmReplayResult *result;
} Played;

static void played_clear(Played *played)
{
    pm_replay_result_free(played->result);
    pm_timeline_free(played->timeline);
    pm_trace_free(played->trace);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Played, played_clear)

/* @fake: NULL: one without faults. */
static void play(Played *played, const char *text, PmKernel *fake, bool dma_check)
{
    PmFakeConfig config;
    g_autoptr(PmKernel) own = NULL;
    g_autoptr(GError) error = NULL;

    pm_fake_config_init(&config);
    config.pin = PM_FAKE_PIN_POPULATE;
    own = fake != NULL ? pm_kernel_ref(fake) : backend_fake_new(&config, NULL);
    played->trace = load_text(text, NULL, &error);
    if (played->trace == NULL)
        fail_msg("%s", error->message);
    played->timeline = pm_timeline_new(played->trace, NULL);
    {
        const PmReplayConfig how = {
            .kernel = own,
            .fake = own,
            .backend = backend_is_iommufd() ? PM_IOMMU_IOMMUFD : PM_IOMMU_TYPE1,
            .device = "0000:00:04.0",
            .group = 1,
            .audit = true,
            .overcommit = true,
            .dma_device = dma_check ? "0000:00:04.0" : NULL,
            .timeline = played->timeline,
        };

        played->result = pm_replay(played->trace, &how, &error);
    }
    if (played->result == NULL)
        fail_msg("%s", error->message);
}

/* Rows are blocks, columns are events. */
static void assert_cell(const Played *played, unsigned row, unsigned column, uint64_t mapped,
                        uint64_t plugged, uint64_t closed)
{
    const PmTimelineState *state = &pm_timeline_cell_at(played->timeline, 0, row, column)->state;

    if (state->mapped != mapped || state->plugged != plugged || state->closed != closed)
        fail_msg("row %u, column %u: mapped %#lx, plugged %#lx, closed %#lx", row, column,
                 state->mapped, state->plugged, state->closed);
}

static const PmTimelineRefusal *refusal_at(const Played *played, guint index)
{
    assert_true(index < played->timeline->refusals->len);
    return g_ptr_array_index(played->timeline->refusals, index);
}

static void plugged_blocks_are_mapped(void **state)
{
    g_auto(Played) played = {0};

    (void)state;
    play(&played,
         ONE "plug addr=4G blocks=2 -> ack\n"
             "unplug addr=0x100000000 blocks=1 -> ack\n"
             "unplug-all -> ack\n"
             "plug addr=0x100600000 blocks=1 -> ack\n"
             "reset\n",
         NULL, false);
    assert_cell(&played, 0, 0, BLOCK, BLOCK, 0);
    assert_cell(&played, 1, 0, BLOCK, BLOCK, 0);
    assert_cell(&played, 2, 0, 0, 0, 0);
    assert_cell(&played, 0, 1, 0, 0, 0);
    assert_cell(&played, 1, 1, BLOCK, BLOCK, 0);
    assert_cell(&played, 1, 2, 0, 0, 0);
    assert_cell(&played, 3, 3, BLOCK, BLOCK, 0);
    assert_cell(&played, 3, 4, 0, 0, 0);
    assert_int_equal(pm_timeline_peak(played.timeline, PM_LEVEL_MAPPINGS),
                     played.result->peak_mappings);
    assert_int_equal(pm_timeline_peak(played.timeline, PM_LEVEL_PINNED),
                     played.result->peak_pinned_bytes);
    assert_int_equal(played.timeline->columns[0].levels[PM_LEVEL_PLUGGED].last, 2 * BLOCK);
    assert_int_equal(played.timeline->columns[0].levels[PM_LEVEL_REQUESTED].last, 8 * PM_MIB);
    assert_int_equal(played.timeline->refusals->len, 0);
}

static void private_memory_is_closed(void **state)
{
    g_auto(Played) played = {0};

    (void)state;
    play(&played,
         "plugmap-trace 1\nregion addr=4G size=8M block=2M granularity=4K\n"
         "convert addr=4G size=512K to=private\n"
         "plug addr=4G blocks=2 -> ack\n"
         "convert addr=0x100080000 size=4K to=private\n"
         "convert addr=4G size=256K to=shared\n",
         NULL, false);
    assert_cell(&played, 0, 0, 0, 0, 0);
    assert_cell(&played, 0, 1, BLOCK - 512 * PM_KIB, BLOCK, 512 * PM_KIB);
    assert_cell(&played, 1, 1, BLOCK, BLOCK, 0);
    assert_cell(&played, 0, 2, BLOCK - 516 * PM_KIB, BLOCK, 516 * PM_KIB);
    assert_cell(&played, 0, 3, BLOCK - 260 * PM_KIB, BLOCK, 260 * PM_KIB);
}

/* Memory that is mapped several times counts once; a mapping may cover two blocks in part. */
static void a_guest_iommu_maps_a_part(void **state)
{
    g_auto(Played) played = {0};

    (void)state;
    play(&played,
         ONE "plug addr=4G blocks=2 -> ack\n"
             "iommu-map iova=256M addr=0x1001ff000 size=8K access=rw -> ok\n"
             "iommu-map iova=512M addr=0x1001ff000 size=4K access=r -> ok\n"
             "iommu-map iova=1G addr=0x100000000 size=1M access=r -> ok\n"
             "unplug addr=0x100200000 blocks=1 -> ack\n"
             "iommu-unmap iova=1G size=1M -> ok\n",
         NULL, false);
    assert_cell(&played, 0, 0, 0, BLOCK, 0);
    assert_cell(&played, 0, 1, 4 * PM_KIB, BLOCK, 0);
    assert_cell(&played, 1, 1, 4 * PM_KIB, BLOCK, 0);
    assert_cell(&played, 0, 2, 4 * PM_KIB, BLOCK, 0);
    assert_cell(&played, 0, 3, PM_MIB + 4 * PM_KIB, BLOCK, 0);
    assert_cell(&played, 1, 3, 4 * PM_KIB, BLOCK, 0);
    assert_cell(&played, 0, 4, PM_MIB + 4 * PM_KIB, BLOCK, 0);
    assert_cell(&played, 1, 4, 0, 0, 0);
    assert_cell(&played, 0, 5, 4 * PM_KIB, BLOCK, 0);
}

static void refusals_have_response_cause_and_message(void **state)
{
    g_auto(Played) played = {0};

    (void)state;
    play(&played,
         ONE "resize size=4M\n"
             "plug addr=4G blocks=1 -> ack\n"
             "plug addr=4G blocks=1 -> error\n"
             "plug addr=0x100200000 blocks=3 -> nack\n"
             "unplug addr=0x100600000 blocks=1 -> error\n",
         NULL, false);
    assert_int_equal(played.timeline->refusals->len, 3);
    assert_string_equal(refusal_at(&played, 0)->response, "error");
    assert_string_equal(refusal_at(&played, 0)->cause, "block-state");
    assert_non_null(strstr(refusal_at(&played, 0)->message, "0x100000000"));
    assert_int_equal(refusal_at(&played, 0)->first_line, 5);
    assert_string_equal(refusal_at(&played, 1)->response, "nack");
    assert_string_equal(refusal_at(&played, 1)->cause, "requested-size");
    assert_int_equal(refusal_at(&played, 2)->type, PM_EVENT_UNPLUG);
    assert_int_equal(pm_timeline_cell_at(played.timeline, 0, 1, 3)->n_refused, 1);
    assert_int_equal(pm_timeline_cell_at(played.timeline, 0, 3, 4)->n_refused, 1);
    assert_int_equal(played.timeline->columns[3].n_refused, 1);
}

static void requests_to_a_guest_iommu_are_refused_with_a_status(void **state)
{
    g_auto(Played) played = {0};

    (void)state;
    play(&played, ONE "iommu-map iova=0 addr=4G size=4K access=r -> fault\n", NULL, false);
    assert_int_equal(played.timeline->refusals->len, 1);
    assert_string_equal(refusal_at(&played, 0)->response, "fault");
    assert_string_equal(refusal_at(&played, 0)->cause, "not-populated");
}

static void quarantine_is_shown_though_it_ends(void **state)
{
    g_autoptr(PmKernel) fake = backend_fake_new(NULL, NULL);
    g_auto(Played) played = {0};

    (void)state;
    pm_fake_kernel_shorten_unmap(fake, 1);
    play(&played,
         ONE "plug addr=4G blocks=4 -> ack\n"
             "unplug addr=0x100200000 blocks=2 -> busy\n"
             "unplug-all -> ack\n",
         fake, false);
    assert_int_equal(pm_timeline_cell_at(played.timeline, 0, 1, 0)->quarantined, 0);
    assert_int_equal(pm_timeline_cell_at(played.timeline, 0, 0, 1)->quarantined, 0);
    assert_int_equal(pm_timeline_cell_at(played.timeline, 0, 1, 1)->quarantined, BLOCK);
    assert_int_equal(pm_timeline_cell_at(played.timeline, 0, 2, 1)->quarantined, BLOCK);
    assert_int_equal(pm_timeline_cell_at(played.timeline, 0, 1, 2)->quarantined, 0);
    assert_string_equal(refusal_at(&played, 0)->response, "busy");
}

/* Two events in a column: the second one ends the quarantine that the first one causes. */
static void quarantine_is_shown_though_it_ends_in_its_column(void **state)
{
    g_autoptr(PmKernel) fake = backend_fake_new(NULL, NULL);
    g_autoptr(GString) text = g_string_new(ONE);
    g_auto(Played) played = {0};
    const unsigned last = PM_TIMELINE_MAX_COLUMNS - 1;

    (void)state;
    pm_fake_kernel_shorten_unmap(fake, 1);
    for (unsigned i = 0; i < 2 * last - 1; i++)
        g_string_append(text, "state addr=4G blocks=1 -> unplugged\n");
    g_string_append(text, "plug addr=4G blocks=4 -> ack\n"
                          "unplug addr=0x100200000 blocks=2 -> busy\n"
                          "unplug-all -> ack\n");
    play(&played, text->str, fake, false);
    assert_int_equal(played.timeline->columns[last].n_events, 2);
    assert_int_equal(pm_timeline_cell_at(played.timeline, 0, 1, last - 1)->quarantined, 0);
    assert_int_equal(pm_timeline_cell_at(played.timeline, 0, 1, last)->quarantined, BLOCK);
    assert_cell(&played, 1, last, 0, 0, 0);
}

static void pages_of_the_dma_check_are_counted(void **state)
{
    g_auto(Played) played = {0};
    uint64_t n_dma = 0;

    (void)state;
    play(&played, ONE "plug addr=4G blocks=2 -> ack\nunplug addr=4G blocks=1 -> ack\n", NULL, true);
    for (unsigned row = 0; row < 4; row++)
        for (unsigned column = 0; column < 2; column++)
            n_dma += pm_timeline_cell_at(played.timeline, 0, row, column)->n_dma;
    assert_true(n_dma > 0);
    assert_int_equal(n_dma, played.result->dma_check.n_plugged_pages +
                                played.result->dma_check.n_unplugged_pages);
    assert_true(pm_timeline_cell_at(played.timeline, 0, 0, 0)->n_dma > 0);
    /* Its own mappings are not the trace's. */
    assert_int_equal(played.timeline->columns[1].levels[PM_LEVEL_MAPPINGS].last, 1);
    assert_int_equal(played.timeline->columns[1].levels[PM_LEVEL_PINNED].last, BLOCK);
}

/* 2,000 events in 480 columns: blocks that change in the middle of a column, too. */
static void the_end_of_each_column_is_exact(void **state)
{
    g_autoptr(GString) text = g_string_new(ONE);
    g_auto(Played) played = {0};
    bool plugged[4] = {false};
    unsigned next = 0;

    (void)state;
    for (unsigned i = 0; i < 2000; i++)
        g_string_append_printf(text, "%s addr=0x%x00000 blocks=1 -> ack\n",
                               i / 4 % 2 == 0 ? "plug" : "unplug", 0x1000 + i % 4 * 2);
    play(&played, text->str, NULL, false);
    assert_true(pm_replay_is_right(played.result));
    for (unsigned column = 0; column < played.timeline->n_columns; column++) {
        for (uint64_t i = 0; i < played.timeline->columns[column].n_events; i++, next++)
            plugged[next % 4] = !plugged[next % 4];
        for (unsigned row = 0; row < 4; row++)
            assert_cell(&played, row, column, plugged[row] ? BLOCK : 0, plugged[row] ? BLOCK : 0,
                        0);
    }
    assert_int_equal(next, 2000);
}

static void invalid_requests_change_no_state(void **state)
{
    g_auto(Played) played = {0};

    (void)state;
    play(&played,
         ONE "plug addr=0x100400000 blocks=1 -> ack\n"
             "plug addr=0x100300000 blocks=2 -> error\n"
             "unplug addr=0x100500000 blocks=1 -> error\n"
             "unplug addr=0x100200000 blocks=2 -> error\n",
         NULL, false);
    assert_int_equal(played.timeline->refusals->len, 3);
    for (unsigned column = 0; column < 4; column++)
        for (unsigned row = 0; row < 4; row++)
            assert_cell(&played, row, column, row == 2 ? BLOCK : 0, row == 2 ? BLOCK : 0, 0);
}

/* The state of one region does not depend on the requests to another one. */
static void regions_are_apart(void **state)
{
    g_auto(Played) played = {0};

    (void)state;
    play(&played,
         "plugmap-trace 1\n"
         "region device=a addr=4G size=4M block=2M\n"
         "region device=b addr=8G size=4M block=2M\n"
         "plug device=b addr=8G blocks=2 -> ack\n"
         "plug device=a addr=4G blocks=1 -> ack\n"
         "unplug-all device=b -> ack\n"
         "unplug device=a addr=4G blocks=1 -> ack\n",
         NULL, false);
    assert_cell(&played, 0, 0, 0, 0, 0);
    assert_int_equal(pm_timeline_cell_at(played.timeline, 1, 1, 0)->state.mapped, BLOCK);
    assert_cell(&played, 0, 2, BLOCK, BLOCK, 0);
    assert_int_equal(pm_timeline_cell_at(played.timeline, 1, 1, 2)->state.mapped, 0);
    assert_cell(&played, 0, 3, 0, 0, 0);
    assert_int_equal(played.timeline->columns[1].levels[PM_LEVEL_PLUGGED].last, 3 * BLOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plugged_blocks_are_mapped),
        cmocka_unit_test(private_memory_is_closed),
        cmocka_unit_test(a_guest_iommu_maps_a_part),
        cmocka_unit_test(refusals_have_response_cause_and_message),
        cmocka_unit_test(requests_to_a_guest_iommu_are_refused_with_a_status),
        cmocka_unit_test(quarantine_is_shown_though_it_ends),
        cmocka_unit_test(quarantine_is_shown_though_it_ends_in_its_column),
        cmocka_unit_test(pages_of_the_dma_check_are_counted),
        cmocka_unit_test(the_end_of_each_column_is_exact),
        cmocka_unit_test(invalid_requests_change_no_state),
        cmocka_unit_test(regions_are_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
