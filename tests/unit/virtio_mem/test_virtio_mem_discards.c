/* SPDX-License-Identifier: MIT */
/* A device requires coordinated discards of its RAM, until it is freed. */
#include <plugmap/discard_policy.h>

#include "virtio_mem_util.h"

static unsigned n_claims(PmRam *ram)
{
    PmDiscardClaim found = {.struct_size = sizeof(found)};
    unsigned n = 0;

    while (pm_ram_next_discard_claim(ram, found.id, &found, NULL))
        n++;
    return n;
}

static void the_device_is_named_as_the_holder(void **state)
{
    const Fixture *fixture = *state;
    PmDiscardClaim found = {.struct_size = sizeof(found)};
    g_autofree char *owner = NULL;

    assert_true(pm_ram_next_discard_claim(fixture->ram, 0, &found, &owner));
    assert_string_equal(owner, "virtio-mem at 0x100000000");
    assert_int_equal(found.kind, PM_DISCARD_REQUIRE_COORDINATED);
    assert_int_equal(found.offset, 0);
    assert_int_equal(found.size, REGION);
    assert_int_equal(n_claims(fixture->ram), 1);
}

static void who_disables_all_discards_is_refused(void **state)
{
    const Fixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_int_equal(
        pm_ram_claim_discards(fixture->ram, PM_DISCARD_DISABLE, "the ring", 0, BLOCK, &error), 0);
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BUSY));
    assert_non_null(
        strstr(error->message, "virtio-mem at 0x100000000 requires coordinated discards"));
    assert_non_null(strstr(error->message, "pm_virtio_mem_free()"));
}

static void the_claim_ends_with_the_device(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

    g_clear_pointer(&fixture->device, pm_virtio_mem_free);
    assert_int_equal(n_claims(fixture->ram), 0);
    assert_int_not_equal(
        pm_ram_claim_discards(fixture->ram, PM_DISCARD_DISABLE, "the ring", 0, BLOCK, NULL), 0);
    assert_null(pm_virtio_mem_new(&config, NULL));
    assert_int_equal(n_claims(fixture->ram), 1);
}

static void unplug_discards_although_uncoordinated_discards_are_disabled(void **state)
{
    Fixture *fixture = *state;

    assert_int_not_equal(pm_ram_claim_discards(fixture->ram, PM_DISCARD_DISABLE_UNCOORDINATED,
                                               "the mapper", 0, REGION, NULL),
                         0);
    assert_int_equal(request(fixture, PLUG, ADDRESS, 2), ACK);
    memset(pm_ram_get_host(fixture->ram), 'x', BLOCK);
    assert_int_equal(request(fixture, UNPLUG, ADDRESS, 1), ACK);
    assert_int_equal(*(char *)pm_ram_get_host(fixture->ram), 0);
    assert_int_equal(request(fixture, UNPLUG_ALL, 0, 0), ACK);
    assert_false(pm_ram_discard(fixture->ram, 0, BLOCK, NULL));
}

static void a_device_that_was_refused_holds_no_claim(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    g_autoptr(GError) error = NULL;

    assert_null(pm_virtio_mem_new(&config, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BUSY));
    assert_int_equal(n_claims(fixture->ram), 1);
}

#define DEVICE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DEVICE_TEST(the_device_is_named_as_the_holder),
        DEVICE_TEST(who_disables_all_discards_is_refused),
        DEVICE_TEST(the_claim_ends_with_the_device),
        DEVICE_TEST(unplug_discards_although_uncoordinated_discards_are_disabled),
        DEVICE_TEST(a_device_that_was_refused_holds_no_claim),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
