/* SPDX-License-Identifier: MIT */
/* The reason of a refusal, which the host can read while the guest only gets BUSY. */
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
    const GError *refusal;
    const GError *cause;

    read_config(fixture, before);
    assert_int_equal(request(fixture, type, BLOCK_AT(4), 2), BUSY);
    (void)pm_virtio_mem_last_refusal(fixture->device, &refusal);
    cause = pm_refusal_get_cause(refusal);
    assert_true(g_error_matches(
        cause, PM_ERROR, quarantines(causes[row].code) ? PM_ERROR_QUARANTINED : causes[row].code));
    assert_string_equal(pm_error_get_listener(cause), "test listener");
    assert_refusal(fixture, causes[row].cause, part);
    assert_refusal(fixture, causes[row].cause, "the test listener objects");
    read_config(fixture, after);
    assert_memory_equal(before, after, CONFIG_SIZE);
}

static void every_objection_to_plug_has_its_cause(void **state)
{
    Fixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(causes); i++) {
        /* A populate that leaves something mapped must return QUARANTINED. */
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
        /* Blocks are quarantined if a listener cannot undo, whatever its error code. */
        assert_int_equal(error->code, causes[i].code == PM_ERROR_UNMAP_MISMATCH
                                          ? PM_ERROR_QUARANTINED
                                          : causes[i].code);
        assert_refusal(fixture, causes[i].cause, error->message);
        assert_string_equal(pm_error_get_listener(error), "test listener");
        fixture->listener.discard_error = NO_OBJECTION;
        assert_true(pm_virtio_mem_system_reset(fixture->device, NULL));
    }
}

static bool fail_abroad(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data, (void)offset, (void)size;
    g_set_error(error, G_FILE_ERROR, PM_ERROR_LIMIT, "not ours");
    return false;
}

static void error_of_another_domain_is_a_listener_refusal(void **state)
{
    static const PmDiscardListenerOps ops = {
        .struct_size = sizeof(ops), .populate = fail_abroad, .discard = fail_abroad};
    Fixture *fixture = *state;
    PmDiscardManager *manager = pm_virtio_mem_get_manager(fixture->device);
    PmDiscardListener *listener =
        pm_discard_manager_register(manager, &ops, NULL, "the disk", 0, REGION, NULL);
    const GError *refusal;
    const GError *cause;

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 2), BUSY);
    assert_int_equal(pm_virtio_mem_last_refusal(fixture->device, &refusal), PM_REFUSAL_LISTENER);
    cause = pm_refusal_get_cause(refusal);
    assert_true(g_error_matches(cause, PM_ERROR, PM_ERROR_LISTENER));
    assert_string_equal(pm_error_get_listener(cause), "the disk");
    assert_true(g_error_matches(pm_error_get_cause(cause), G_FILE_ERROR, PM_ERROR_LIMIT));
    assert_true(pm_discard_manager_unregister(manager, listener, NULL));
}

static void refusal_outlives_the_next_request_as_a_copy(void **state)
{
    Fixture *fixture = *state;
    const GError *refusal;
    g_autoptr(GError) copy = NULL;

    fixture->listener.populate_error = PM_ERROR_LIMIT;
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 2), BUSY);
    (void)pm_virtio_mem_last_refusal(fixture->device, &refusal);
    copy = g_error_copy(refusal);
    fixture->listener.populate_error = NO_OBJECTION;
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 2), ACK);
    assert_refusal(fixture, PM_REFUSAL_NONE, NULL);
    assert_true(g_error_matches(copy, PM_REFUSAL, PM_REFUSAL_LIMIT));
    assert_true(g_error_matches(pm_refusal_get_cause(copy), PM_ERROR, PM_ERROR_LIMIT));
    assert_string_equal(pm_error_get_listener(pm_refusal_get_cause(copy)), "test listener");
}

static void assert_no_cause(const Fixture *fixture)
{
    const GError *refusal;

    (void)pm_virtio_mem_last_refusal(fixture->device, &refusal);
    assert_non_null(refusal);
    assert_null(pm_refusal_get_cause(refusal));
}

static void refusal_by_the_device_has_no_cause(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) foreign = g_error_new(PM_ERROR, PM_ERROR_LIMIT, "no refusal");

    assert_int_equal(request(fixture, PLUG, 1, 1), ERROR);
    assert_no_cause(fixture);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 2), ACK);
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_int_equal(request(fixture, UNPLUG, BLOCK_AT(4), 2), BUSY);
    assert_no_cause(fixture);
    assert_int_equal(unplug_all(fixture), BUSY);
    assert_no_cause(fixture);
    assert_false(pm_virtio_mem_system_reset(fixture->device, NULL));
    assert_no_cause(fixture);
    pm_virtio_mem_set_migrating(fixture->device, false);
    assert_null(pm_refusal_get_cause(foreign));
    assert_null(pm_refusal_get_cause(NULL));
}

static void every_refusal_has_a_unique_name(void **state)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    (void)state;
    for (guint refusal = 0; refusal <= PM_REFUSAL_PROTOCOL; refusal++) {
        const char *name = pm_refusal_code_name((PmRefusal)refusal);

        assert_non_null(name);
        assert_string_not_equal(name, "unknown");
        assert_true(g_hash_table_add(seen, (void *)name));
    }
    assert_string_equal(pm_refusal_code_name(PM_REFUSAL_LIMIT), "entry-limit");
    assert_string_equal(pm_refusal_code_name((PmRefusal)(PM_REFUSAL_PROTOCOL + 1)), "unknown");
}

static void every_error_has_its_cause(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(causes); i++) {
        g_autoptr(GError) error = g_error_new_literal(PM_ERROR, causes[i].code, "it failed");

        assert_int_equal(pm_refusal_of_error(error), causes[i].cause);
    }
}

static void a_quarantined_block_is_busy_until_unplug_all(void **state)
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

static void unplug_all_of_quarantined_blocks_while_migrating_returns_busy(void **state)
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
    /* Nothing was plugged, so the plugged size did not change. */
    assert_int_equal(fixture->n_plugged_calls, 0);
}

static void the_next_request_clears_a_refusal(void **state)
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
        TEST(error_of_another_domain_is_a_listener_refusal),
        TEST_WITH_LISTENER(refusal_outlives_the_next_request_as_a_copy),
        TEST_WITH_LISTENER(refusal_by_the_device_has_no_cause),
        cmocka_unit_test(every_refusal_has_a_unique_name),
        cmocka_unit_test(every_error_has_its_cause),
        TEST_WITH_LISTENER(a_quarantined_block_is_busy_until_unplug_all),
        TEST_WITH_LISTENER(unplug_all_of_quarantined_blocks_while_migrating_returns_busy),
        TEST(the_next_request_clears_a_refusal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
