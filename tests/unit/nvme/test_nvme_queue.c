/* SPDX-License-Identifier: MIT */
#include "nvme_model.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DEPTH    3
#define MAX_SIZE (UINT64_C(2) * 1024 * 1024)

typedef struct {
    Model model;
    PmNvmeMemory memory;
    PmNvmeMemory queue_memory;
    PmNvmeMemory data;
    PmPciInterrupts interrupts;
    PmNvmeController *controller;
    PmNvmeQueue *queue;
} World;

static void start(World *world, bool interrupts)
{
    const PmNvmeConfig config = {
        .registers = &world->model.registers,
        .memory = world->memory,
        .n_queues = 1,
        .interrupts = interrupts ? &world->interrupts : NULL,
        .timeout_ms = 1,
    };

    world->controller = pm_nvme_controller_new(&config, NULL);
    assert_non_null(world->controller);
    world->queue = pm_nvme_queue_new(world->controller, world->queue_memory, DEPTH, NULL);
    assert_non_null(world->queue);
}

static int set_up(void **state)
{
    World *world = g_new0(World, 1);

    model_init(&world->model);
    world->memory = model_memory(PM_NVME_CONTROLLER_PAGES);
    world->queue_memory = model_memory(PM_NVME_QUEUE_PAGES(DEPTH));
    world->data = model_memory(2 * MAX_SIZE / PM_NVME_PAGE + 1);
    start(world, false);
    *state = world;
    return 0;
}

static void stop(World *world)
{
    pm_nvme_queue_free(world->queue);
    pm_nvme_controller_free(world->controller);
}

static int tear_down(void **state)
{
    World *world = *state;

    stop(world);
    model_clear(&world->model);
    free(world->memory.host);
    free(world->queue_memory.host);
    free(world->data.host);
    g_free(world);
    return 0;
}

/* @place: of the data in its memory. */
static bool submit(World *world, uint8_t opcode, uint64_t offset, uint64_t place, uint64_t size,
                   void *user_data, GError **error)
{
    const PmDmaSegment segment = {world->data.address + place, size};
    const PmNvmeRequest request = {opcode, offset, &segment, 1, user_data};

    return pm_nvme_queue_submit(world->queue, &request, error);
}

static bool move(World *world, uint8_t opcode, uint64_t offset, uint64_t place, uint64_t size)
{
    const PmDmaSegment segment = {world->data.address + place, size};
    const PmNvmeRequest request = {opcode, offset, &segment, 1, NULL};

    return pm_nvme_queue_execute(world->queue, &request, NULL);
}

static void assert_refused(World *world, uint64_t offset, uint64_t size, PmError code,
                           const char *text)
{
    g_autoptr(GError) error = NULL;

    assert_false(submit(world, PM_NVME_WRITE, offset, 0, size, NULL, &error));
    assert_true(g_error_matches(error, PM_ERROR, (gint)code));
    assert_non_null(strstr(error->message, text));
    assert_int_equal(pm_nvme_queue_get_n_in_flight(world->queue), 0);
}

static void data_of_any_size_is_read_back(void **state)
{
    static const uint64_t sizes[] = {512, 4096, 8192, 12288, 65536, 1048576, 2097152};
    World *world = *state;
    char *data = world->data.host;

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        memset(data, (int)i + 1, sizes[i]);
        memset(data + MAX_SIZE, 0, sizes[i] + 1);
        assert_true(move(world, PM_NVME_WRITE, 1024, 0, sizes[i]));
        assert_true(move(world, PM_NVME_READ, 1024, MAX_SIZE, sizes[i]));
        assert_memory_equal(data, data + MAX_SIZE, sizes[i]);
        assert_int_equal(data[MAX_SIZE + sizes[i]], 0);
    }
}

/* Each round of 4 entries has another phase tag; 3 requests are in flight at a time. */
static void queues_wrap(void **state)
{
    World *world = *state;
    int ids[DEPTH];

    for (unsigned round = 0; round < 9; round++) {
        for (unsigned i = 0; i < DEPTH; i++)
            assert_true(submit(world, PM_NVME_WRITE, UINT64_C(512) * i, UINT64_C(512) * i, 512,
                               &ids[i], NULL));
        for (unsigned i = 0; i < DEPTH; i++) {
            void *done;

            assert_true(pm_nvme_queue_wait(world->queue, &done, NULL));
            assert_ptr_equal(done, &ids[i]);
        }
    }
}

static void requests_may_complete_in_any_order(void **state)
{
    World *world = *state;
    int ids[2];
    void *done;

    world->model.reverse = true;
    assert_true(submit(world, PM_NVME_WRITE, 0, 0, 512, &ids[0], NULL));
    assert_true(submit(world, PM_NVME_WRITE, 512, 0, 512, &ids[1], NULL));
    assert_true(pm_nvme_queue_wait(world->queue, &done, NULL));
    assert_ptr_equal(done, &ids[1]);
    assert_true(pm_nvme_queue_wait(world->queue, &done, NULL));
    assert_ptr_equal(done, &ids[0]);
}

static void lists_of_requests_in_flight_are_separate(void **state)
{
    World *world = *state;
    char *data = world->data.host;
    void *done;

    memset(data, 'a', 16384);
    memset(data + MAX_SIZE, 'b', 16384);
    world->model.reverse = true;
    assert_true(submit(world, PM_NVME_WRITE, 0, 0, 16384, NULL, NULL));
    assert_true(submit(world, PM_NVME_WRITE, 16384, MAX_SIZE, 16384, NULL, NULL));
    assert_true(pm_nvme_queue_wait(world->queue, &done, NULL));
    assert_true(pm_nvme_queue_wait(world->queue, &done, NULL));
    assert_memory_equal(world->model.disk, data, 16384);
    assert_memory_equal(world->model.disk + 16384, data + MAX_SIZE, 16384);
}

static void full_queue_is_an_error(void **state)
{
    World *world = *state;
    g_autoptr(GError) error = NULL;
    unsigned i;

    for (i = 0; i < DEPTH; i++)
        assert_true(submit(world, PM_NVME_WRITE, 0, 0, 512, NULL, NULL));
    assert_false(submit(world, PM_NVME_WRITE, 0, 0, 512, NULL, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_LIMIT));
    assert_int_equal(pm_nvme_queue_get_n_in_flight(world->queue), DEPTH);
}

static void invalid_requests_are_refused(void **state)
{
    World *world = *state;

    assert_refused(world, 0, 100, PM_ERROR_UNALIGNED, "must be whole blocks of 512");
    assert_refused(world, 100, 512, PM_ERROR_UNALIGNED, "must be whole blocks of 512");
    assert_refused(world, 0, 0, PM_ERROR_INVALID_ARGUMENT, "no data");
    assert_refused(world, MODEL_DISK_SIZE, 512, PM_ERROR_INVALID_ARGUMENT, "past the end");
    assert_refused(world, MODEL_DISK_SIZE - 512, 1024, PM_ERROR_INVALID_ARGUMENT, "past the end");
    assert_refused(world, UINT64_MAX - 511, 512, PM_ERROR_INVALID_ARGUMENT, "past the end");
    assert_refused(world, 0, UINT64_C(3) * 1024 * 1024, PM_ERROR_LIMIT, "513 pages");
    assert_true(move(world, PM_NVME_WRITE, MODEL_DISK_SIZE - 512, 0, 512));
}

static void more_data_than_the_controller_takes_is_refused(void **state)
{
    World *world = *state;

    stop(world);
    world->model.max_transfer_shift = 1;
    start(world, false);
    assert_true(move(world, PM_NVME_WRITE, 0, 0, 8192));
    assert_refused(world, 0, 8192 + 512, PM_ERROR_LIMIT, "the controller takes 0x2000");
}

static void failed_request_is_over(void **state)
{
    World *world = *state;
    g_autoptr(GError) error = NULL;
    int id;
    void *done;

    world->model.fail_opcode = PM_NVME_READ;
    world->model.fail_queue = 1;
    assert_true(submit(world, PM_NVME_READ, 0, 0, 512, &id, NULL));
    assert_false(pm_nvme_queue_wait(world->queue, &done, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_DEVICE));
    assert_non_null(strstr(error->message, "command 0x02 of queue 1 failed: status 0x4"));
    assert_ptr_equal(done, &id);
    assert_int_equal(pm_nvme_queue_get_n_in_flight(world->queue), 0);
}

static void request_that_does_not_complete_times_out(void **state)
{
    World *world = *state;
    g_autoptr(GError) error = NULL;
    int id;
    void *done = &id;

    world->model.drop = true;
    assert_true(submit(world, PM_NVME_READ, 0, 0, 512, &id, NULL));
    assert_false(pm_nvme_queue_wait(world->queue, &done, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_DEVICE));
    assert_non_null(
        strstr(error->message, "queue 1 completed none of 1 commands in 1 ms: CSTS 0x1"));
    assert_null(done);
    assert_int_equal(pm_nvme_queue_get_n_in_flight(world->queue), 1);
}

static void completion_of_nothing_in_flight_is_an_error(void **state)
{
    World *world = *state;
    g_autoptr(GError) error = NULL;
    void *done;

    world->model.wrong_id = true;
    assert_true(submit(world, PM_NVME_READ, 0, 0, 512, world, NULL));
    assert_false(pm_nvme_queue_wait(world->queue, &done, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_DEVICE));
    assert_non_null(strstr(error->message, "completed command 1, which is not in flight"));
    assert_null(done);
}

static void doorbell_that_fails_submits_nothing(void **state)
{
    World *world = *state;
    g_autoptr(GError) error = NULL;

    world->model.fail_access = 1;
    assert_false(submit(world, PM_NVME_WRITE, 0, 0, 512, NULL, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_KERNEL));
    assert_int_equal(pm_nvme_queue_get_n_in_flight(world->queue), 0);
    assert_true(move(world, PM_NVME_WRITE, 0, 0, 512));
}

static void interrupt_ends_the_wait(void **state)
{
    World *world = *state;
    int events[] = {eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK)};
    eventfd_t n_interrupts;

    stop(world);
    world->interrupts = (PmPciInterrupts){.n = 2, .events = events};
    world->model.events = events;
    start(world, true);
    for (unsigned i = 0; i < 5; i++)
        assert_true(move(world, PM_NVME_WRITE, 0, 0, 512));
    assert_int_equal(eventfd_read(events[1], &n_interrupts), 0);
    assert_int_not_equal(eventfd_read(events[0], &n_interrupts), 0);
    (void)close(events[0]);
    (void)close(events[1]);
}

#define QUEUE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(data_of_any_size_is_read_back),
        QUEUE_TEST(queues_wrap),
        QUEUE_TEST(requests_may_complete_in_any_order),
        QUEUE_TEST(lists_of_requests_in_flight_are_separate),
        QUEUE_TEST(full_queue_is_an_error),
        QUEUE_TEST(invalid_requests_are_refused),
        QUEUE_TEST(more_data_than_the_controller_takes_is_refused),
        QUEUE_TEST(failed_request_is_over),
        QUEUE_TEST(request_that_does_not_complete_times_out),
        QUEUE_TEST(completion_of_nothing_in_flight_is_an_error),
        QUEUE_TEST(doorbell_that_fails_submits_nothing),
        QUEUE_TEST(interrupt_ends_the_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
