/* SPDX-License-Identifier: MIT */
/* Whole simulations: steps, resets, limits, and that traces replay on the fake kernel. */
#include "util/allocation_util.h"
#include "util/trace_util.h"
#include "util/valgrind_util.h"

#include <plugmap/virtio_mem_wire.h>

#include "generate/generate.h"

typedef struct {
    PmGenerateConfig config;
    PmTrace *trace;
    PmGenerateResult result;
} Simulation;

static void simulation_clear(Simulation *simulation)
{
    g_array_unref(simulation->config.steps);
    pm_trace_free(simulation->trace);
    pm_generate_result_clear(&simulation->result);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Simulation, simulation_clear)

static Simulation simulation_of(uint64_t size, uint64_t block_size, const char *steps)
{
    Simulation simulation = {
        .config = {.region = {.address = 4 * PM_GIB, .size = size, .block_size = block_size},
                   .memory_block = PM_GUEST_MEMORY_BLOCK,
                   .memory = {.release = 25},
                   .entry_limit = UINT64_MAX,
                   .steps = pm_steps_parse(steps, NULL)},
    };

    assert_non_null(simulation.config.steps);
    return simulation;
}

static void append(const PmTraceEvent *event, void *user_data)
{
    g_array_append_val(user_data, *event);
}

static void run(Simulation *simulation)
{
    g_autoptr(GError) error = NULL;

    pm_trace_free(simulation->trace);
    pm_generate_result_clear(&simulation->result);
    simulation->trace = pm_trace_new("generated");
    pm_trace_add_region(simulation->trace, simulation->config.region);
    if (!pm_generate(&simulation->config, append, simulation->trace->events, &simulation->result,
                     &error))
        fail_msg("%s", error->message);
}

static const PmGenerateStep *step_at(const Simulation *simulation, guint i)
{
    assert_true(i < simulation->result.steps->len);
    return &g_array_index(simulation->result.steps, PmGenerateStep, i);
}

static void assert_step(const Simulation *simulation, guint i, uint64_t requested, uint64_t plugged)
{
    assert_int_equal(step_at(simulation, i)->requested_size, requested);
    assert_int_equal(step_at(simulation, i)->plugged_size, plugged);
}

static void each_step_waits_until_the_guest_has_settled(void **state)
{
    g_auto(Simulation) simulation = simulation_of(4 * PM_GIB, 2 * PM_MIB, "1G,512M,0");

    (void)state;
    run(&simulation);
    assert_int_equal(simulation.result.steps->len, 3);
    assert_step(&simulation, 0, PM_GIB, PM_GIB);
    assert_step(&simulation, 1, PM_GIB / 2, PM_GIB / 2);
    assert_step(&simulation, 2, 0, 0);
    assert_int_equal(step_at(&simulation, 0)->n_requests, 8);
    assert_int_equal(simulation.result.n_events[PM_EVENT_PLUG], 8);
    assert_int_equal(simulation.result.n_events[PM_EVENT_UNPLUG], 8);
    assert_int_equal(simulation.result.n_events[PM_EVENT_RESIZE], 3);
    assert_int_equal(simulation.result.n_answers[PM_VIRTIO_MEM_ACK], 16);
}

static void a_step_with_a_time_does_not_wait(void **state)
{
    g_auto(Simulation) simulation = simulation_of(4 * PM_GIB, 2 * PM_MIB, "4G,1G@0.05,0@20");

    (void)state;
    run(&simulation);
    assert_step(&simulation, 0, 4 * PM_GIB, PM_GIB / 2);
    assert_step(&simulation, 1, PM_GIB, PM_GIB);
    assert_int_equal(step_at(&simulation, 1)->time_ns - step_at(&simulation, 0)->time_ns, 50000000);
    assert_int_equal(step_at(&simulation, 2)->time_ns - step_at(&simulation, 1)->time_ns,
                     INT64_C(20000000000));
}

static void a_reset_unplugs_all_and_the_guest_plugs_again(void **state)
{
    g_auto(Simulation) simulation = simulation_of(4 * PM_GIB, 2 * PM_MIB, "256M,reset");

    (void)state;
    run(&simulation);
    assert_int_equal(event_at(simulation.trace, 3)->type, PM_EVENT_RESET);
    assert_int_equal(event_at(simulation.trace, 4)->type, PM_EVENT_PLUG);
    assert_int_equal(simulation.result.n_events[PM_EVENT_UNPLUG_ALL], 0);
    assert_step(&simulation, 1, 256 * PM_MIB, 256 * PM_MIB);
}

static void a_kexec_has_the_next_kernel_unplug_all(void **state)
{
    g_auto(Simulation) simulation = simulation_of(4 * PM_GIB, 2 * PM_MIB, "256M,kexec");

    (void)state;
    run(&simulation);
    assert_int_equal(simulation.result.n_events[PM_EVENT_RESET], 0);
    assert_int_equal(event_at(simulation.trace, 3)->type, PM_EVENT_UNPLUG_ALL);
    assert_int_equal(event_at(simulation.trace, 4)->type, PM_EVENT_PLUG);
}

/* In the middle of the driver's work: it sends nothing more, and the reset has its time. */
static void a_reset_interrupts_the_driver(void **state)
{
    g_auto(Simulation) simulation = simulation_of(4 * PM_GIB, 2 * PM_MIB, "4G,reset@0.02,0@1");

    (void)state;
    run(&simulation);
    assert_int_equal(event_at(simulation.trace, 3)->type, PM_EVENT_RESET);
    assert_int_equal(
        event_at(simulation.trace, 3)->time_ns - event_at(simulation.trace, 0)->time_ns, 20000000);
    assert_int_equal(event_at(simulation.trace, 4)->type, PM_EVENT_RESIZE);
    assert_int_equal(simulation.trace->events->len, 5);
}

static void the_host_is_busy_beyond_its_limit(void **state)
{
    g_auto(Simulation) simulation = simulation_of(4 * PM_GIB, 2 * PM_MIB, "512M,128M,0");

    (void)state;
    simulation.config.entry_limit = 192;
    run(&simulation);
    assert_step(&simulation, 0, 512 * PM_MIB, 384 * PM_MIB);
    assert_int_equal(step_at(&simulation, 0)->n_tries, 3);
    assert_int_equal(step_at(&simulation, 0)->n_requests, 7);
    assert_int_equal(simulation.result.n_answers[PM_VIRTIO_MEM_BUSY], 4);
    assert_step(&simulation, 1, 128 * PM_MIB, 128 * PM_MIB);
    assert_step(&simulation, 2, 0, 0);
}

static void pressure_leaves_memory_plugged(void **state)
{
    g_auto(Simulation) simulation = simulation_of(PM_GIB / 2, 2 * PM_MIB, "512M,0");

    (void)state;
    simulation.config.memory.pressure = 50;
    run(&simulation);
    assert_int_equal(step_at(&simulation, 1)->n_tries, 3);
    assert_true(step_at(&simulation, 1)->plugged_size > PM_GIB / 32);
    assert_true(step_at(&simulation, 1)->plugged_size < PM_GIB * 3 / 16);
    assert_true(step_at(&simulation, 1)->n_requests > 100);
}

static void movable_memory_is_not_under_pressure(void **state)
{
    g_auto(Simulation) simulation = simulation_of(4 * PM_GIB, 2 * PM_MIB, "4G,0");

    (void)state;
    simulation.config.memory.pressure = 50;
    simulation.config.memory.movable = 100;
    run(&simulation);
    assert_step(&simulation, 1, 0, 0);
    assert_int_equal(step_at(&simulation, 1)->n_requests, 32);
}

static void memory_that_is_onlined_late_is_plugged_late(void **state)
{
    g_auto(Simulation) simulation = simulation_of(4 * PM_GIB, 2 * PM_MIB, "4G");

    (void)state;
    simulation.config.memory.online_ns = INT64_C(10000000000);
    run(&simulation);
    assert_step(&simulation, 0, 4 * PM_GIB, 4 * PM_GIB);
    assert_true(simulation.result.duration_ns > INT64_C(30000000000));
    assert_true(simulation.result.duration_ns < INT64_C(60000000000));
}

static void the_same_seed_makes_the_same_trace(void **state)
{
    g_auto(Simulation) a = simulation_of(PM_GIB / 2, 2 * PM_MIB, "512M,0,512M");
    g_auto(Simulation) b = simulation_of(PM_GIB / 2, 2 * PM_MIB, "512M,0,512M");

    (void)state;
    a.config.memory.pressure = b.config.memory.pressure = 20;
    a.config.memory.movable = b.config.memory.movable = 30;
    run(&a);
    run(&b);
    assert_same_trace(a.trace, b.trace);
    b.config.memory.seed = 2;
    run(&b);
    assert_true(a.trace->events->len != b.trace->events->len);
}

static void assert_refused(const Simulation *simulation, PmError code, const char *hint)
{
    g_auto(PmGenerateResult) result = {0};
    g_autoptr(GError) error = NULL;

    assert_false(pm_generate(&simulation->config, append, NULL, &result, &error));
    assert_true(g_error_matches(error, PM_ERROR, (gint)code));
    if (strstr(error->message, hint) == NULL)
        fail_msg("expected '%s' in: %s", hint, error->message);
}

static void what_no_device_can_be_is_refused(void **state)
{
    g_auto(Simulation) large = simulation_of(PM_GIB, 2 * PM_MIB, "1G,2G");
    g_auto(Simulation) odd = simulation_of(PM_GIB, 2 * PM_MIB, "1M");
    g_auto(Simulation) block = simulation_of(PM_GIB, 3 * PM_MIB, "0");
    g_auto(Simulation) huge = simulation_of(200 * PM_TIB, PM_GIB, "0");

    (void)state;
    assert_refused(&large, PM_ERROR_INVALID_ARGUMENT,
                   "invalid step '2G': must be a multiple of "
                   "the block size, 2M, and at most the "
                   "region's size, 1G");
    assert_refused(&odd, PM_ERROR_INVALID_ARGUMENT, "invalid step '1M'");
    assert_refused(&block, PM_ERROR_BAD_INPUT, "invalid block size 3M");
    assert_refused(&huge, PM_ERROR_MEMORY, "200T");
}

/* The guest's memory and the driver's state, at the start and after a reset. */
static void a_lack_of_memory_is_an_error(void **state)
{
    unsigned n_failures = 0;
    bool is_done = false;

    (void)state;
    while (!is_done) {
        g_auto(Simulation) simulation = simulation_of(256 * PM_MIB, 2 * PM_MIB, "256M,reset");
        g_autoptr(GError) error = NULL;
        g_autoptr(GArray) events = g_array_new(FALSE, FALSE, sizeof(PmTraceEvent));

        allocations_end_after(n_failures);
        is_done = pm_generate(&simulation.config, append, events, &simulation.result, &error);
        allocations_go_on();
        n_failures += !is_done;
        assert_true(is_done || g_error_matches(error, PM_ERROR, PM_ERROR_MEMORY));
    }
    assert_true(n_failures >= 5);
}

int main(void)
{
    /* valgrind takes minutes for regions of gigabytes. */
    const struct CMUnitTest large[] = {
        cmocka_unit_test(each_step_waits_until_the_guest_has_settled),
        cmocka_unit_test(a_step_with_a_time_does_not_wait),
        cmocka_unit_test(a_reset_unplugs_all_and_the_guest_plugs_again),
        cmocka_unit_test(a_kexec_has_the_next_kernel_unplug_all),
        cmocka_unit_test(a_reset_interrupts_the_driver),
        cmocka_unit_test(the_host_is_busy_beyond_its_limit),
        cmocka_unit_test(pressure_leaves_memory_plugged),
        cmocka_unit_test(movable_memory_is_not_under_pressure),
        cmocka_unit_test(memory_that_is_onlined_late_is_plugged_late),
        cmocka_unit_test(the_same_seed_makes_the_same_trace),
    };
    const struct CMUnitTest small[] = {
        cmocka_unit_test(what_no_device_can_be_is_refused),
        cmocka_unit_test(a_lack_of_memory_is_an_error),
    };

    return (is_under_valgrind() ? 0 : cmocka_run_group_tests(large, NULL, NULL)) +
           cmocka_run_group_tests(small, NULL, NULL);
}
