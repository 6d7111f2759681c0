/* SPDX-License-Identifier: MIT */
#include "generate/generate.h"

#include "base/error_text.h"
#include "generate/guest_device.h"
#include "generate/guest_driver.h"

#define NS_PER_SECOND INT64_C(1000000000)

/* From a reset until the driver probes the device. */
#define BOOT_NS (5 * NS_PER_SECOND)

/* Between a settled guest and the next step. */
#define PAUSE_NS NS_PER_SECOND

/* How often the driver tries again before a step that it did not reach counts as settled. */
#define MAX_TRIES 3

typedef struct {
    const PmGenerateConfig *config;
    PmGuestGeometry geometry;
    PmGuestDevice *host;
    PmGuestMemory *memory;
    PmGuestDriver *driver; /* NULL: the guest boots */
    bool is_going_down;    /* a reset waits until the driver's work has returned */
    int64_t now;
    int64_t boot_end;
    guint next_step;
    PmGenerateStep step; /* the current one */
    PmGenerateFunc emit;
    void *user_data;
    PmGenerateResult *result;
} Simulation;

void pm_generate_result_clear(PmGenerateResult *result)
{
    g_clear_pointer(&result->steps, g_array_unref);
}

static void emit(Simulation *simulation, PmTraceEvent event)
{
    event.state = -1;
    event.time_ns = simulation->now;
    simulation->result->n_events[event.type]++;
    simulation->result->duration_ns = simulation->now;
    simulation->emit(&event, simulation->user_data);
}

static PmVirtioMemAnswer send(void *user_data, PmVirtioMemRequestType type, uint64_t address,
                              uint16_t n_blocks)
{
    static const PmEventType types[] = {
        [PM_VIRTIO_MEM_PLUG] = PM_EVENT_PLUG,
        [PM_VIRTIO_MEM_UNPLUG] = PM_EVENT_UNPLUG,
        [PM_VIRTIO_MEM_UNPLUG_ALL] = PM_EVENT_UNPLUG_ALL,
        [PM_VIRTIO_MEM_STATE] = PM_EVENT_STATE,
    };
    Simulation *simulation = user_data;
    PmVirtioMemAnswer answer = pm_guest_device_send(simulation->host, type, address, n_blocks);

    simulation->step.n_requests++;
    simulation->result->n_answers[answer]++;
    emit(simulation, (PmTraceEvent){.type = types[type],
                                    .address = address,
                                    .n_blocks = n_blocks,
                                    .response = (int8_t)answer});
    return answer;
}

static void read_state(void *user_data, PmGuestDeviceState *state)
{
    const Simulation *simulation = user_data;
    const PmVirtioMem *device = pm_guest_device_get(simulation->host);

    state->plugged_size = pm_virtio_mem_get_plugged_size(device);
    state->requested_size = pm_virtio_mem_get_requested_size(device);
    state->usable_chunks =
        pm_guest_geometry_usable_chunks(&simulation->geometry, simulation->config->region.address,
                                        pm_virtio_mem_get_usable_size(device));
}

static int64_t now(void *user_data)
{
    return ((const Simulation *)user_data)->now;
}

static const PmStep *next_step(const Simulation *simulation)
{
    const GArray *steps = simulation->config->steps;

    return simulation->next_step < steps->len && !simulation->is_going_down
               ? &g_array_index(steps, PmStep, simulation->next_step)
               : NULL;
}

/* INT64_MAX: when the guest has settled. */
static int64_t next_step_time(const Simulation *simulation)
{
    const PmStep *step = next_step(simulation);

    return step == NULL || step->after_ns == PM_STEP_WHEN_SETTLED
               ? INT64_MAX
               : simulation->step.time_ns + step->after_ns;
}

static void end_step(Simulation *simulation)
{
    const PmVirtioMem *device = pm_guest_device_get(simulation->host);

    if (simulation->next_step == 0)
        return;
    simulation->step.requested_size = pm_virtio_mem_get_requested_size(device);
    simulation->step.plugged_size = pm_virtio_mem_get_plugged_size(device);
    g_array_append_val(simulation->result->steps, simulation->step);
}

static void resize(Simulation *simulation, uint64_t size)
{
    /* Checked before. */
    (void)pm_virtio_mem_set_requested_size(pm_guest_device_get(simulation->host), size, NULL);
    emit(simulation, (PmTraceEvent){.type = PM_EVENT_RESIZE, .size = size, .response = -1});
    if (simulation->driver != NULL)
        pm_guest_driver_notify(simulation->driver);
}

static void begin_step(Simulation *simulation)
{
    const PmStep *step = next_step(simulation);

    end_step(simulation);
    simulation->step = (PmGenerateStep){.type = step->type, .time_ns = simulation->now};
    simulation->next_step++;
    if (step->type == PM_STEP_RESIZE) {
        resize(simulation, step->size);
        return;
    }
    simulation->is_going_down = true;
    if (simulation->driver != NULL)
        pm_guest_driver_stop(simulation->driver);
}

static void sleep_until(Simulation *simulation, int64_t time)
{
    while (next_step_time(simulation) <= time) {
        simulation->now = MAX(simulation->now, next_step_time(simulation));
        begin_step(simulation);
    }
    if (!simulation->is_going_down)
        simulation->now = MAX(simulation->now, time);
}

static void pass(void *user_data, int64_t ns)
{
    Simulation *simulation = user_data;

    sleep_until(simulation, simulation->now + ns);
}

/* A kexec leaves the device alone: the driver that boots finds everything plugged. */
static void go_down(Simulation *simulation)
{
    g_clear_pointer(&simulation->driver, pm_guest_driver_free);
    pm_guest_memory_reset(simulation->memory);
    simulation->is_going_down = false;
    simulation->boot_end = simulation->now + BOOT_NS;
    if (simulation->step.type != PM_STEP_RESET)
        return;
    /* Nobody objects. */
    (void)pm_virtio_mem_system_reset(pm_guest_device_get(simulation->host), NULL);
    emit(simulation, (PmTraceEvent){.type = PM_EVENT_RESET, .response = -1});
}

static bool fail_memory(GError **error)
{
    return pm_fail(error, PM_ERROR_MEMORY, "no memory for the state of the guest's memory blocks");
}

static bool boot(Simulation *simulation, GError **error)
{
    const PmGuestPort port = {
        .send = send, .read_state = read_state, .now = now, .sleep = pass, .user_data = simulation};

    simulation->driver = pm_guest_driver_new(&simulation->geometry, simulation->memory, &port);
    return simulation->driver != NULL || fail_memory(error);
}

/* What happens next without a step: a boot, a try, memory is onlined. INT64_MAX: nothing. */
static int64_t next_event_time(const Simulation *simulation)
{
    bool has_tried =
        simulation->step.n_tries >= MAX_TRIES && next_step_time(simulation) == INT64_MAX;

    if (simulation->driver == NULL)
        return simulation->boot_end;
    return MIN(pm_guest_memory_next_online(simulation->memory),
               has_tried ? INT64_MAX : pm_guest_driver_get_timer(simulation->driver));
}

static void wake_driver(Simulation *simulation)
{
    if (pm_guest_driver_get_timer(simulation->driver) <= simulation->now) {
        simulation->step.n_tries++;
        pm_guest_driver_expire_timer(simulation->driver);
    }
    pm_guest_driver_online(simulation->driver);
}

/* The guest has nothing to do. False: at the end. */
static bool idle(Simulation *simulation)
{
    int64_t event = next_event_time(simulation);

    if (next_step_time(simulation) <= event) {
        if (next_step(simulation) == NULL)
            return false;
        if (next_step_time(simulation) == INT64_MAX) {
            simulation->now += PAUSE_NS;
            begin_step(simulation);
        } else {
            sleep_until(simulation, next_step_time(simulation));
        }
        return true;
    }
    sleep_until(simulation, event);
    return true;
}

static bool run(Simulation *simulation, GError **error)
{
    for (;;) {
        if (simulation->is_going_down) {
            go_down(simulation);
        } else if (simulation->driver == NULL && simulation->now >= simulation->boot_end) {
            if (!boot(simulation, error))
                return false;
        } else if (simulation->driver != NULL && pm_guest_driver_has_work(simulation->driver)) {
            pm_guest_driver_work(simulation->driver);
        } else if (!idle(simulation)) {
            end_step(simulation);
            return true;
        } else if (simulation->driver != NULL) {
            wake_driver(simulation);
        }
    }
}

static bool set_up(Simulation *simulation, GError **error)
{
    const PmGenerateConfig *config = simulation->config;

    if (!pm_generate_config_check(config, &simulation->geometry, error))
        return false;
    simulation->host = pm_guest_device_new(&config->region, config->entry_limit, error);
    if (simulation->host == NULL)
        return false;
    simulation->memory = pm_guest_memory_new(
        &config->memory, simulation->geometry.n_chunks * simulation->geometry.units_per_chunk);
    return simulation->memory != NULL ? boot(simulation, error) : fail_memory(error);
}

bool pm_generate(const PmGenerateConfig *config, PmGenerateFunc emit_event, void *user_data,
                 PmGenerateResult *result, GError **error)
{
    Simulation simulation = {
        .config = config, .emit = emit_event, .user_data = user_data, .result = result};
    bool is_done;

    *result = (PmGenerateResult){.steps = g_array_new(FALSE, FALSE, sizeof(PmGenerateStep))};
    is_done = set_up(&simulation, error) && run(&simulation, error);
    pm_guest_driver_free(simulation.driver);
    pm_guest_memory_free(simulation.memory);
    pm_guest_device_free(simulation.host);
    return is_done;
}
