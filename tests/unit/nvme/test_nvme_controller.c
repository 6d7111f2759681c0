/* SPDX-License-Identifier: MIT */
#include "nvme_model.h"

#include <stdlib.h>

#define KIB                    UINT64_C(1024)
#define CAPABILITY_MIN_PAGE_8K (UINT64_C(1) << 48)
#define CAPABILITY_DOORBELL_8  (UINT64_C(1) << 32)

typedef struct {
    Model model;
    PmNvmeMemory memory;
    PmNvmeMemory queue_memory;
} World;

static int set_up(void **state)
{
    World *world = g_new0(World, 1);

    model_init(&world->model);
    world->memory = model_memory(PM_NVME_CONTROLLER_PAGES);
    world->queue_memory = model_memory(2);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    World *world = *state;

    model_clear(&world->model);
    free(world->memory.host);
    free(world->queue_memory.host);
    g_free(world);
    return 0;
}

static PmNvmeController *make(World *world, GError **error)
{
    const PmNvmeConfig config = {
        .registers = &world->model.registers,
        .memory = world->memory,
        .n_queues = 1,
        .timeout_ms = 1,
    };

    return pm_nvme_controller_new(&config, error);
}

static bool make_ring(World *world, PmNvmeController *controller, unsigned n_entries,
                      PmNvmeRing *ring, GError **error)
{
    return pm_nvme_controller_create_ring(controller, world->queue_memory, n_entries, ring, error);
}

static void assert_refused(World *world, PmError code, const char *text)
{
    g_autoptr(GError) error = NULL;

    assert_null(make(world, &error));
    assert_true(g_error_matches(error, PM_ERROR, (gint)code));
    assert_non_null(strstr(error->message, text));
    assert_int_equal(world->model.configuration, 0);
}

static void controller_is_identified(void **state)
{
    World *world = *state;
    g_autoptr(PmNvmeController) controller = NULL;
    const PmNvmeIdentity *identity;

    world->model.max_transfer_shift = 5;
    controller = make(world, NULL);
    assert_non_null(controller);
    identity = pm_nvme_controller_get_identity(controller);
    assert_string_equal(identity->serial, "serial 7");
    assert_string_equal(identity->model, "model of a controller ?");
    assert_true(identity->max_transfer == 128 * KIB);
    assert_true(identity->block_size == 512);
    assert_true(identity->n_blocks == MODEL_DISK_SIZE / 512);
    assert_int_equal(pm_nvme_controller_get_namespace_id(controller), 1);
}

static void controller_without_a_transfer_limit_has_none(void **state)
{
    static const unsigned shifts[] = {0, 52, 255};
    World *world = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(shifts); i++) {
        g_autoptr(PmNvmeController) controller = NULL;

        world->model.max_transfer_shift = shifts[i];
        controller = make(world, NULL);
        assert_true(pm_nvme_controller_get_identity(controller)->max_transfer == UINT64_MAX);
    }
}

static void freed_controller_is_stopped(void **state)
{
    World *world = *state;
    PmNvmeController *controller = make(world, NULL);

    assert_int_equal(world->model.configuration, 0x460001);
    pm_nvme_controller_free(controller);
    assert_int_equal(world->model.configuration, 0);
}

static void controller_that_is_never_ready_is_an_error(void **state)
{
    World *world = *state;

    world->model.capabilities &= 0xffff;
    world->model.never_ready = true;
    assert_refused(world, PM_ERROR_DEVICE, "the model: controller does not become ready: CSTS 0x0");
}

/* Long before the timeout of 127 seconds, which the controller asks for. */
static void fatal_status_ends_the_wait(void **state)
{
    World *world = *state;

    world->model.capabilities |= UINT64_C(0xff) << 24;
    world->model.ready_fails = true;
    assert_refused(world, PM_ERROR_DEVICE, "does not become ready: CSTS 0x2");
}

static void large_pages_are_refused(void **state)
{
    World *world = *state;

    world->model.capabilities |= CAPABILITY_MIN_PAGE_8K;
    assert_refused(world, PM_ERROR_UNSUPPORTED, "pages of at least 2^13 bytes");
}

static void doorbells_past_the_registers_are_refused(void **state)
{
    World *world = *state;

    world->model.capabilities |= UINT64_C(0xf) << 32;
    assert_refused(world, PM_ERROR_UNSUPPORTED, "doorbells of 1 queues end at 0x81000");
}

static void too_few_queues_are_refused(void **state)
{
    World *world = *state;
    const PmNvmeConfig config = {
        .registers = &world->model.registers, .memory = world->memory, .n_queues = 3};
    g_autoptr(GError) error = NULL;

    assert_null(pm_nvme_controller_new(&config, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_UNSUPPORTED));
    assert_non_null(strstr(error->message, "has 2 I/O queue pairs, must have 3"));
}

static void unknown_namespace_is_refused(void **state)
{
    World *world = *state;
    const PmNvmeConfig config = {
        .registers = &world->model.registers, .memory = world->memory, .namespace_id = 2};
    g_autoptr(GError) error = NULL;

    assert_null(pm_nvme_controller_new(&config, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_UNSUPPORTED));
}

static void namespace_is_checked(void **state)
{
    uint8_t data[4096] = {[0] = 1, [130] = 12};
    PmNvmeIdentity identity;
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_true(pm_nvme_identity_read_namespace(&identity, data, "x", NULL));
    assert_true(identity.block_size == 4096);
    data[128] = 8;
    assert_false(pm_nvme_identity_read_namespace(&identity, data, "x", &error));
    assert_non_null(strstr(error->message, "metadata"));
    data[128] = 0;
    data[130] = 13;
    assert_false(pm_nvme_identity_read_namespace(&identity, data, "x", NULL));
    data[130] = 8;
    assert_false(pm_nvme_identity_read_namespace(&identity, data, "x", NULL));
    data[130] = 9;
    memset(data, 0xff, 8);
    assert_false(pm_nvme_identity_read_namespace(&identity, data, "x", NULL));
    memset(data, 0, 8);
    assert_false(pm_nvme_identity_read_namespace(&identity, data, "x", NULL));
}

static void failed_admin_command_has_its_status(void **state)
{
    World *world = *state;

    world->model.fail_opcode = PM_NVME_ADMIN_IDENTIFY;
    assert_refused(world, PM_ERROR_DEVICE, "the model: command 0x06 of queue 0 failed: status 0x4");
}

static void ring_has_its_own_doorbells(void **state)
{
    World *world = *state;
    g_autoptr(PmNvmeController) controller = NULL;
    PmNvmeRing ring;

    world->model.capabilities |= CAPABILITY_DOORBELL_8;
    controller = make(world, NULL);
    assert_true(make_ring(world, controller, 2, &ring, NULL));
    assert_true(ring.doorbells == 0x1010);
    assert_true(world->model.queues[1].has_commands);
}

static void failed_submission_queue_leaves_no_completion_queue(void **state)
{
    World *world = *state;
    g_autoptr(PmNvmeController) controller = make(world, NULL);
    PmNvmeRing ring;

    world->model.fail_opcode = PM_NVME_ADMIN_CREATE_SUBMISSION;
    assert_false(make_ring(world, controller, 2, &ring, NULL));
    assert_false(world->model.queues[1].has_completions);
    world->model.fail_opcode = 0;
    assert_true(make_ring(world, controller, 2, &ring, NULL));
}

static void number_of_entries_is_limited(void **state)
{
    World *world = *state;
    g_autoptr(PmNvmeController) controller = NULL;
    g_autoptr(GError) error = NULL;
    PmNvmeRing ring;

    world->model.capabilities = UINT64_C(1) << 24 | 31;
    controller = make(world, NULL);
    assert_false(make_ring(world, controller, 1, &ring, NULL));
    assert_false(make_ring(world, controller, 33, &ring, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_LIMIT));
    assert_non_null(strstr(error->message, "invalid queues of 33 entries: must be 2 to 32"));
    assert_true(make_ring(world, controller, 32, &ring, NULL));
}

static void queue_that_was_not_asked_for_is_refused(void **state)
{
    World *world = *state;
    g_autoptr(PmNvmeController) controller = make(world, NULL);
    g_autoptr(GError) error = NULL;
    PmNvmeRing ring;

    assert_true(make_ring(world, controller, 2, &ring, NULL));
    assert_false(make_ring(world, controller, 2, &ring, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_LIMIT));
}

static void failure_of_any_access_stops_the_controller(void **state)
{
    World *world = *state;
    PmNvmeController *controller = NULL;
    int n_failed = 0;

    while (controller == NULL) {
        g_autoptr(GError) error = NULL;

        world->model.fail_access = n_failed + 1;
        controller = make(world, &error);
        assert_true((controller == NULL) == (error != NULL));
        if (controller == NULL) {
            assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_KERNEL));
            assert_int_equal(world->model.configuration, 0);
            n_failed++;
        }
    }
    world->model.fail_access = 0;
    pm_nvme_controller_free(controller);
    assert_int_equal(n_failed, 14);
}

#define CONTROLLER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTROLLER_TEST(controller_is_identified),
        CONTROLLER_TEST(controller_without_a_transfer_limit_has_none),
        CONTROLLER_TEST(freed_controller_is_stopped),
        CONTROLLER_TEST(controller_that_is_never_ready_is_an_error),
        CONTROLLER_TEST(fatal_status_ends_the_wait),
        CONTROLLER_TEST(large_pages_are_refused),
        CONTROLLER_TEST(doorbells_past_the_registers_are_refused),
        CONTROLLER_TEST(too_few_queues_are_refused),
        CONTROLLER_TEST(unknown_namespace_is_refused),
        CONTROLLER_TEST(namespace_is_checked),
        CONTROLLER_TEST(failed_admin_command_has_its_status),
        CONTROLLER_TEST(ring_has_its_own_doorbells),
        CONTROLLER_TEST(failed_submission_queue_leaves_no_completion_queue),
        CONTROLLER_TEST(number_of_entries_is_limited),
        CONTROLLER_TEST(queue_that_was_not_asked_for_is_refused),
        CONTROLLER_TEST(failure_of_any_access_stops_the_controller),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
