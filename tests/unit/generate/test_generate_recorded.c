/* SPDX-License-Identifier: MIT */
/* The simulated driver against Linux's: what QEMU recorded in tests/traces. */
#include "guest_util.h"

#include "generate/generate.h"
#include "trace/trace_load.h"
#include "util/valgrind_util.h"

static PmTrace *load(const char *name)
{
    g_autofree char *path = g_build_filename(PLUGMAP_SOURCE_DIR, "tests/traces", name, NULL);
    const PmTraceGeometry given = {.has_region_address = true, .region_address = GUEST_ADDRESS};
    g_autoptr(GError) error = NULL;
    PmTrace *trace = pm_trace_load(path, PM_TRACE_FORMAT_AUTO, &given, &error);

    if (trace == NULL)
        fail_msg("%s", error->message);
    return trace;
}

static void append_event(const PmTraceEvent *event, void *user_data)
{
    g_array_append_val(user_data, *event);
}

static bool is_request(const PmTraceEvent *event)
{
    return event->type <= PM_EVENT_UNPLUG_ALL;
}

/* The first one at or after @i, or the number of events. */
static guint next_request(const GArray *events, guint i)
{
    while (i < events->len && !is_request(&g_array_index(events, PmTraceEvent, i)))
        i++;
    return i;
}

static void assert_same_requests(const GArray *recorded, const GArray *generated)
{
    guint i = next_request(recorded, 0);
    guint j = next_request(generated, 0);

    for (; i < recorded->len && j < generated->len;
         i = next_request(recorded, i + 1), j = next_request(generated, j + 1)) {
        const PmTraceEvent *a = &g_array_index(recorded, PmTraceEvent, i);
        const PmTraceEvent *b = &g_array_index(generated, PmTraceEvent, j);

        assert_int_equal(a->type, b->type);
        assert_int_equal(a->address, b->address);
        assert_int_equal(a->n_blocks, b->n_blocks);
        assert_int_equal(a->response, b->response);
    }
    assert_int_equal(i, recorded->len);
    assert_int_equal(j, generated->len);
}

static PmGenerateConfig config_of(const PmTrace *trace, const char *steps)
{
    PmGenerateConfig config = {
        .region = *pm_trace_region(trace, 0),
        .memory_block = PM_GUEST_MEMORY_BLOCK,
        .entry_limit = UINT64_MAX,
        .steps = pm_steps_parse(steps, NULL),
    };

    assert_non_null(config.steps);
    config.region.requested_size = 0;
    return config;
}

static void assert_recorded(const char *name, const char *steps)
{
    g_autoptr(PmTrace) trace = load(name);
    PmGenerateConfig config = config_of(trace, steps);
    g_autoptr(GArray) generated = g_array_new(FALSE, FALSE, sizeof(PmTraceEvent));
    g_auto(PmGenerateResult) result = {0};

    assert_true(pm_generate(&config, append_event, generated, &result, NULL));
    assert_same_requests(trace->events, generated);
    g_array_unref(config.steps);
}

static void whole_memory_blocks_are_plugged_and_unplugged_as_recorded(void **state)
{
    (void)state;
    assert_recorded("grow-shrink-2m.log", "256M,1G,512M,2G,0");
}

static void parts_of_memory_blocks_are_plugged_and_unplugged_as_recorded(void **state)
{
    (void)state;
    assert_recorded("small-steps-8m.log", "8M,16M,64M,72M,136M,1G,1032M,520M,512M,8M,4G,0");
    assert_recorded("busy-2m.log", "1G,64M");
}

static void big_blocks_are_plugged_and_unplugged_as_recorded(void **state)
{
    (void)state;
    assert_recorded("big-block-256m.log", "2G,8G,1G,16G,0");
}

static void a_guest_that_boots_again_plugs_as_recorded(void **state)
{
    (void)state;
    assert_recorded("reboot-4m.log", "1G,reset,2G,reset,0");
}

/* The recorded host asked for more while the guest was still unplugging. */
static void a_resize_interrupts_the_driver_as_recorded(void **state)
{
    (void)state;
    assert_recorded("qemu-vfio-4m.log", "256M,1G,0,640M@0.07,2G,640M");
}

/* Unmovable pages are where the recorded guest skipped sub-blocks. */
static const struct {
    uint64_t offset;
    uint64_t n_blocks;
} fragments[] = {{0x19400000, 5}, {0x1a000000, 2}, {0x1ac00000, 20}};

static void append_requests(GString *text, const GArray *events)
{
    for (guint i = next_request(events, 0); i < events->len; i = next_request(events, i + 1)) {
        const PmTraceEvent *event = &g_array_index(events, PmTraceEvent, i);

        g_string_append_printf(text, "%c%u/%u ", event->type == PM_EVENT_PLUG ? '+' : '-',
                               (unsigned)((event->address - GUEST_ADDRESS) / (2 * PM_MIB)),
                               event->n_blocks);
    }
    g_string_truncate(text, text->len - 1);
}

/* The recording is the same whether the host asked for all memory and half of a memory block was in
 * use, or asked for all but that. */
static void a_guest_without_free_memory_unplugs_as_recorded(void **state)
{
    const PmGuestMemoryConfig memory = {0};
    g_autoptr(Guest) guest = guest_new(4 * PM_GIB, 2 * PM_MIB, false, &memory);
    g_autoptr(PmTrace) trace = load("busy-2m.log");
    g_autoptr(GString) recorded = g_string_new(NULL);

    (void)state;
    guest_pin(guest, 0, 32);
    guest_resize(guest, PM_GIB);
    guest_resize(guest, 0);
    guest_wait(guest, 50);
    append_requests(recorded, trace->events);
    assert_requests(guest, recorded->str);
    assert_int_equal(guest->plugged_size, 64 * PM_MIB);
}

static void unmovable_pages_are_avoided_as_recorded(void **state)
{
    const PmGuestMemoryConfig memory = {0};
    g_autoptr(Guest) guest = guest_new(4 * PM_GIB, 2 * PM_MIB, false, &memory);
    g_autoptr(PmTrace) trace = load("fragmented-2m.log");
    g_autoptr(GString) recorded = g_string_new(NULL);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(fragments); i++)
        guest_pin(guest, fragments[i].offset / (2 * PM_MIB), fragments[i].n_blocks);
    guest_resize(guest, 2 * PM_GIB);
    guest_resize(guest, 256 * PM_MIB);
    guest_resize(guest, PM_GIB);
    guest_resize(guest, 128 * PM_MIB);
    append_requests(recorded, trace->events);
    assert_requests(guest, recorded->str);
}

/* Where the pages are depends on the guest, but not how much is plugged after each step. */
static void totals_under_pressure_are_as_recorded(void **state)
{
    static const uint64_t totals[] = {2 * PM_GIB, 256 * PM_MIB, PM_GIB, 128 * PM_MIB};
    g_autoptr(PmTrace) trace = load("fragmented-2m.log");
    PmGenerateConfig config = config_of(trace, "2G,256M,1G,128M");

    (void)state;
    for (config.memory.seed = 0; config.memory.seed < 3; config.memory.seed++) {
        g_autoptr(GArray) generated = g_array_new(FALSE, FALSE, sizeof(PmTraceEvent));
        g_auto(PmGenerateResult) result = {0};

        config.memory.pressure = 3;
        assert_true(pm_generate(&config, append_event, generated, &result, NULL));
        for (guint i = 0; i < result.steps->len; i++)
            assert_int_equal(g_array_index(result.steps, PmGenerateStep, i).plugged_size,
                             totals[i]);
    }
    g_array_unref(config.steps);
}

int main(void)
{
    /* valgrind takes minutes for regions of gigabytes. */
    const struct CMUnitTest large[] = {
        cmocka_unit_test(whole_memory_blocks_are_plugged_and_unplugged_as_recorded),
        cmocka_unit_test(parts_of_memory_blocks_are_plugged_and_unplugged_as_recorded),
        cmocka_unit_test(big_blocks_are_plugged_and_unplugged_as_recorded),
        cmocka_unit_test(a_guest_that_boots_again_plugs_as_recorded),
        cmocka_unit_test(a_resize_interrupts_the_driver_as_recorded),
        cmocka_unit_test(totals_under_pressure_are_as_recorded),
    };
    const struct CMUnitTest small[] = {
        cmocka_unit_test(a_guest_without_free_memory_unplugs_as_recorded),
        cmocka_unit_test(unmovable_pages_are_avoided_as_recorded),
    };

    return (is_under_valgrind() ? 0 : cmocka_run_group_tests(large, NULL, NULL)) +
           cmocka_run_group_tests(small, NULL, NULL);
}
