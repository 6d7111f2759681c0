/* SPDX-License-Identifier: MIT */
/* The host can read why a request was refused, though the guest is told no more than BUSY. */
#include "virtio_mem/refusal.h"
#include "virtio_mem_util.h"

static const struct {
    int code;
    PmRefusal cause;
} causes[] = {
    {PM_ERROR_INVALID_ARGUMENT, PM_REFUSAL_LISTENER},
    {PM_ERROR_UNALIGNED, PM_REFUSAL_LISTENER},
    {PM_ERROR_LIMIT, PM_REFUSAL_LIMIT},
    {PM_ERROR_LOCKED_MEMORY, PM_REFUSAL_LOCKED_MEMORY},
    {PM_ERROR_OVERLAP, PM_REFUSAL_LISTENER},
    {PM_ERROR_IOVA_RANGE, PM_REFUSAL_LISTENER},
    {PM_ERROR_NO_MAPPING, PM_REFUSAL_LISTENER},
    {PM_ERROR_CUTS_MAPPING, PM_REFUSAL_LISTENER},
    {PM_ERROR_UNMAP_MISMATCH, PM_REFUSAL_QUARANTINE},
    {PM_ERROR_BAD_ADDRESS, PM_REFUSAL_LISTENER},
    {PM_ERROR_MEMORY, PM_REFUSAL_MEMORY},
    {PM_ERROR_BUSY, PM_REFUSAL_LISTENER},
    {PM_ERROR_NOT_FOUND, PM_REFUSAL_LISTENER},
    {PM_ERROR_PERMISSION, PM_REFUSAL_LISTENER},
    {PM_ERROR_NOT_VIABLE, PM_REFUSAL_LISTENER},
    {PM_ERROR_UNSUPPORTED, PM_REFUSAL_LISTENER},
    {PM_ERROR_BAD_REQUEST, PM_REFUSAL_LISTENER},
    {PM_ERROR_BAD_INPUT, PM_REFUSAL_LISTENER},
    {PM_ERROR_QUARANTINED, PM_REFUSAL_QUARANTINE},
    {PM_ERROR_AUDIT, PM_REFUSAL_LISTENER},
    {PM_ERROR_KERNEL, PM_REFUSAL_LISTENER},
};

static bool quarantines(int code)
{
    return code == PM_ERROR_QUARANTINED || code == PM_ERROR_UNMAP_MISMATCH;
}

static void assert_refused(Fixture *fixture, uint16_t type, size_t row, const char *part)
{
    uint8_t before[CONFIG_SIZE];
    uint8_t after[CONFIG_SIZE];

    read_config(fixture, before);
    assert_int_equal(request(fixture, type, BLOCK_AT(4), 2), BUSY);
    assert_refusal(fixture, causes[row].cause, part);
    assert_refusal(fixture, causes[row].cause, "the test listener objects");
    read_config(fixture, after);
    assert_memory_equal(before, after, CONFIG_SIZE);
}

static void every_objection_to_plug_has_its_cause(void **state)
{
    Fixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(causes); i++) {
        /* Only QUARANTINED says of a populate that something is left behind. */
        if (causes[i].code == PM_ERROR_UNMAP_MISMATCH)
            continue;
        fixture->listener.populate_error = causes[i].code;
        assert_refused(fixture, PLUG, i, "PLUG of 2 blocks at 0x100800000 refused: ");
        fixture->listener.populate_error = NO_OBJECTION;
        assert_int_equal(unplug_all(fixture), ACK);
        assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 2), ACK);
        assert_int_equal(unplug_all(fixture), ACK);
        fixture->listener.populated = 0;
    }
}

static void every_failure_of_unplug_has_its_cause(void **state)
{
    Fixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(causes); i++) {
        assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 2), ACK);
        fixture->listener.discard_error = causes[i].code;
        assert_refused(fixture, UNPLUG, i, "UNPLUG of 2 blocks at 0x100800000 refused: ");
        fixture->listener.discard_error = NO_OBJECTION;
        if (!quarantines(causes[i].code))
            assert_int_equal(request(fixture, UNPLUG, BLOCK_AT(4), 2), ACK);
        assert_int_equal(unplug_all(fixture), ACK);
    }
}

static void every_failure_of_unplug_all_has_its_cause(void **state)
{
    Fixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(causes); i++) {
        assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 2), ACK);
        fixture->listener.discard_error = causes[i].code;
        assert_refused(fixture, UNPLUG_ALL, i, "UNPLUG_ALL refused: ");
        fixture->listener.discard_error = NO_OBJECTION;
        assert_int_equal(unplug_all(fixture), ACK);
    }
}

static void every_failure_of_a_system_reset_has_its_code_and_cause(void **state)
{
    Fixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(causes); i++) {
        g_autoptr(GError) error = NULL;

        assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 2), ACK);
        fixture->listener.discard_error = causes[i].code;
        assert_false(pm_virtio_mem_system_reset(fixture->device, &error));
        /* A listener that lost its way puts blocks into quarantine, whatever it called that. */
        assert_int_equal(error->code, causes[i].code == PM_ERROR_UNMAP_MISMATCH
                                          ? PM_ERROR_QUARANTINED
                                          : causes[i].code);
        assert_refusal(fixture, causes[i].cause, error->message);
        fixture->listener.discard_error = NO_OBJECTION;
        assert_true(pm_virtio_mem_system_reset(fixture->device, NULL));
    }
}

static void an_error_of_another_domain_is_the_listeners(void **state)
{
    g_autoptr(GError) error =
        g_error_new_literal(g_quark_from_static_string("other"), PM_ERROR_LIMIT, "not ours");
    (void)state;
    assert_int_equal(pm_refusal_of_error(error), PM_REFUSAL_LISTENER);
}

static void every_error_has_its_cause(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(causes); i++) {
        g_autoptr(GError) error = g_error_new_literal(PM_ERROR, causes[i].code, "it failed");

        assert_int_equal(pm_refusal_of_error(error), causes[i].cause);
    }
}

static void a_quarantined_block_is_busy_until_all_is_unplugged(void **state)
{
    Fixture *fixture = *state;
    PmDiscardManager *manager = pm_virtio_mem_get_manager(fixture->device);

    fixture->listener.populate_error = PM_ERROR_QUARANTINED;
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 2), BUSY);
    assert_refusal(fixture, PM_REFUSAL_QUARANTINE, "PLUG of 2 blocks");
    assert_int_equal(pm_discard_manager_get_quarantined(manager), 2 * BLOCK);
    fixture->listener.populate_error = NO_OBJECTION;

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(5), 1), BUSY);
    assert_refusal(fixture, PM_REFUSAL_QUARANTINE, "PLUG of 1 block at 0x100a00000");
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 0);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(6), 1), ACK);

    assert_int_equal(unplug_all(fixture), ACK);
    assert_int_equal(pm_discard_manager_get_quarantined(manager), 0);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 2), ACK);
}

static void unplug_all_with_only_quarantined_blocks_is_busy_while_migrating(void **state)
{
    Fixture *fixture = *state;
    PmDiscardManager *manager = pm_virtio_mem_get_manager(fixture->device);

    fixture->listener.populate_error = PM_ERROR_QUARANTINED;
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 2), BUSY);
    fixture->listener.populate_error = NO_OBJECTION;
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_int_equal(unplug_all(fixture), BUSY);
    assert_refusal(fixture, PM_REFUSAL_MIGRATION, "UNPLUG_ALL refused");
    assert_false(pm_virtio_mem_system_reset(fixture->device, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(manager), 2 * BLOCK);
    pm_virtio_mem_set_migrating(fixture->device, false);
    fixture->n_plugged_calls = 0;
    assert_true(pm_virtio_mem_system_reset(fixture->device, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(manager), 0);
    /* Nothing was plugged, so nothing changed its size. */
    assert_int_equal(fixture->n_plugged_calls, 0);
}

static void a_refusal_is_forgotten_with_the_next_request(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, 1, 1), ERROR);
    assert_refusal(fixture, PM_REFUSAL_BAD_RANGE, "0x1 ");
    assert_int_equal(request(fixture, PLUG, 2, 1), ERROR);
    assert_refusal(fixture, PM_REFUSAL_BAD_RANGE, "0x2 ");
    assert_int_equal(request(fixture, STATE, ADDRESS, 1), ACK);
    assert_refusal(fixture, PM_REFUSAL_NONE, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LISTENER(every_objection_to_plug_has_its_cause),
        TEST_WITH_LISTENER(every_failure_of_unplug_has_its_cause),
        TEST_WITH_LISTENER(every_failure_of_unplug_all_has_its_cause),
        TEST_WITH_LISTENER(every_failure_of_a_system_reset_has_its_code_and_cause),
        cmocka_unit_test(an_error_of_another_domain_is_the_listeners),
        cmocka_unit_test(every_error_has_its_cause),
        TEST_WITH_LISTENER(a_quarantined_block_is_busy_until_all_is_unplugged),
        TEST_WITH_LISTENER(unplug_all_with_only_quarantined_blocks_is_busy_while_migrating),
        TEST(a_refusal_is_forgotten_with_the_next_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
