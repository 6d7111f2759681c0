/* SPDX-License-Identifier: MIT */
/* Every system call of every operation fails once, and everything is as before; and again with all
 * calls failing from there on, so that undoing fails, too. */
#include "guest_world.h"

#include <errno.h>
#include <stdio.h>

#define MAX_CALLS 400

/* Closing an address space retries three times; then nobody can ever know what is mapped. */
#define N_FOLLOWING         60
#define N_FOLLOWING_A_CLOSE 3

/* Each call fails on a fake kernel, one of these on a real one, whose devices take long to open. */
#define STRIDE_REAL 9

typedef bool (*Operation)(GuestWorld *world, GError **error);

/* Endpoints 0 and 1 in domain 1, 2 in domain 2; blocks 0 to 7 are plugged; domain 1 maps from plain
 * RAM to block 5, a part of block 2 twice more, and domain 2 blocks 1 to 3. */
static GuestWorld *make_world(void)
{
    GuestWorld *world = guest_world_new(&(GuestWorldConfig){0});

    for (uint32_t i = 0; i < N_DEVICES; i++)
        assert_true(guest_attach(world, i < 2 ? 1 : 2, i, NULL));
    guest_plug(world, 0, 8);
    assert_true(guest_map(world, 1, IOVA, PLAIN + PAGE, MEMORY - PLAIN + 5 * BLOCK,
                          PM_IOMMU_READ_WRITE, NULL));
    assert_true(
        guest_map(world, 1, 2 * IOVA, MEMORY + 2 * BLOCK + PAGE, PAGE, PM_IOMMU_READ, NULL));
    assert_true(guest_map(world, 1, 3 * IOVA, MEMORY + 2 * BLOCK, 2 * PAGE, PM_IOMMU_READ, NULL));
    assert_true(guest_map(world, 2, IOVA, MEMORY + BLOCK, 3 * BLOCK, PM_IOMMU_READ_WRITE, NULL));
    return world;
}

/* --- operations --- */

static bool answered(int answer, GError **error)
{
    if (answer == PM_VIRTIO_MEM_ACK)
        return true;
    assert_int_equal(answer, PM_VIRTIO_MEM_BUSY);
    g_set_error(error, PM_ERROR, PM_ERROR_BUSY, "the device answered BUSY");
    return false;
}

static bool map_across_everything(GuestWorld *world, GError **error)
{
    return guest_map(world, 1, 4 * IOVA, PLAIN + 2 * PAGE, MEMORY - PLAIN + 6 * BLOCK,
                     PM_IOMMU_READ, error);
}

static bool unmap_everything(GuestWorld *world, GError **error)
{
    return guest_unmap(world, 1, 0, 8 * IOVA, error);
}

static bool unmap_one(GuestWorld *world, GError **error)
{
    return guest_unmap(world, 1, IOVA, MEMORY - PLAIN + 5 * BLOCK, error);
}

static bool unplug(GuestWorld *world, GError **error)
{
    return answered(guest_request(world, PM_VIRTIO_MEM_UNPLUG, 1, 3), error);
}

static bool unplug_and_plug(GuestWorld *world, GError **error)
{
    return answered(guest_request(world, PM_VIRTIO_MEM_UNPLUG, 1, 3), error) &&
           answered(guest_request(world, PM_VIRTIO_MEM_PLUG, 1, 3), error);
}

static bool unplug_all(GuestWorld *world, GError **error)
{
    return answered(guest_request(world, PM_VIRTIO_MEM_UNPLUG_ALL, 0, 0), error);
}

static bool move_one_of_two(GuestWorld *world, GError **error)
{
    return guest_attach(world, 2, 0, error);
}

static bool move_the_last(GuestWorld *world, GError **error)
{
    return guest_attach(world, 1, 2, error);
}

static bool move_the_last_elsewhere(GuestWorld *world, GError **error)
{
    return guest_attach(world, 3, 2, error);
}

static bool move_to_bypass(GuestWorld *world, GError **error)
{
    return pm_guest_iommu_attach(world->table, 3, true, 2, error);
}

static bool detach(GuestWorld *world, GError **error)
{
    return pm_guest_iommu_detach(world->table, 2, 2, error);
}

/* --- the tests --- */

static uint64_t stride(void)
{
    return either_is_real() ? STRIDE_REAL : 1;
}

/* Returns false if the operation makes fewer than @nth calls. */
static bool fail_once(Operation operation, PmFakeCall call, uint64_t nth)
{
    GuestWorld *world = make_world();
    g_autofree char *before = guest_describe(world);
    g_autofree char *after = NULL;
    uint64_t n_calls = either_n_calls(world->kernel, call);
    g_autoptr(GError) error = NULL;
    bool was_injected;

    either_fail(world->kernel, call, nth, ENOMEM);
    if (!operation(world, &error)) {
        assert_non_null(error);
        after = guest_describe(world);
        if (operation != unplug_and_plug)
            assert_string_equal(after, before);
    }
    was_injected = either_n_calls(world->kernel, call) - n_calls >= nth;
    either_clear_faults(world->kernel);
    guest_check(world);
    if (error != NULL && operation != unplug_and_plug)
        assert_true(operation(world, NULL));
    guest_check(world);
    guest_world_free(world);
    return was_injected;
}

static void fail_each(Operation operation)
{
    uint64_t nth;

    for (nth = 1; nth < MAX_CALLS && fail_once(operation, PM_FAKE_CALL_ANY, nth); nth += stride())
        ;
    assert_true(nth < MAX_CALLS);
    assert_true(nth > 1);
}

static bool closes(Operation operation)
{
    return operation == detach || operation == move_the_last ||
           operation == move_the_last_elsewhere || operation == move_to_bypass;
}

/* The guest unmaps everything, and the machine is reset. */
static void repair(GuestWorld *world)
{
    PmGuestDomainInfo domain = {.struct_size = sizeof(domain)};
    g_autoptr(GError) error = NULL;

    for (uint32_t i = 0; pm_guest_iommu_next_domain(world->table, i, &domain);
         i = domain.domain + 1)
        if (!domain.bypass && !guest_unmap(world, domain.domain, 0, 8 * IOVA, &error))
            fail_msg("%s", error->message);
    if (!pm_virtio_mem_system_reset(world->device, &error))
        fail_msg("%s", error->message);
    guest_check(world);
    guest_plug(world, 0, 8);
    guest_check(world);
}

/* Undoing fails as well. */
static bool fail_from(Operation operation, PmFakeCall call, uint64_t nth)
{
    GuestWorld *world = make_world();
    uint64_t n_calls = either_n_calls(world->kernel, call);
    g_autoptr(GError) error = NULL;
    bool was_injected;

    for (unsigned i = 0; i < (closes(operation) ? N_FOLLOWING_A_CLOSE : N_FOLLOWING); i++)
        either_fail(world->kernel, call, nth + i, ENOMEM);
    (void)operation(world, &error);
    was_injected = either_n_calls(world->kernel, call) - n_calls >= nth;
    either_clear_faults(world->kernel);
    if (g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED))
        guest_check_safe(world);
    repair(world);
    guest_world_free(world);
    return was_injected;
}

static void fail_all_from_each(Operation operation)
{
    for (PmFakeCall call = PM_FAKE_CALL_MAP; call <= PM_FAKE_CALL_UNMAP; call++)
        for (uint64_t nth = 1; nth < MAX_CALLS && fail_from(operation, call, nth); nth += stride())
            ;
}

/* Skips before there is a world to free. */
static void need_short_unmaps(void)
{
    either_needs_fake("a real kernel does not unmap a part of what it was asked to");
}

static void shorten_each(Operation operation)
{
    need_short_unmaps();
    for (uint64_t nth = 1; nth < MAX_CALLS; nth++) {
        GuestWorld *world = make_world();
        uint64_t n_calls = either_n_calls(world->kernel, PM_FAKE_CALL_UNMAP);
        g_autoptr(GError) error = NULL;
        bool was_injected;

        either_shorten_unmap(world->kernel, nth);
        (void)operation(world, &error);
        was_injected = either_n_calls(world->kernel, PM_FAKE_CALL_UNMAP) - n_calls >= nth;
        either_clear_faults(world->kernel);
        guest_check_safe(world);
        repair(world);
        guest_world_free(world);
        if (!was_injected)
            return;
    }
    fail();
}

/* --- quarantine --- */

static PmDiscardManager *manager_of(const GuestWorld *world)
{
    return pm_virtio_mem_get_manager(world->device);
}

static void blocks_that_may_still_be_mapped_are_in_quarantine_until_the_guest_unmaps(void **state)
{
    GuestWorld *world;
    g_autoptr(GError) error = NULL;

    (void)state;
    need_short_unmaps();
    world = make_world();
    assert_true(guest_map(world, 2, 2 * IOVA, MEMORY + 6 * BLOCK, 2 * BLOCK, PM_IOMMU_READ, NULL));
    either_shorten_unmap(world->kernel, 1);
    assert_int_equal(guest_request(world, PM_VIRTIO_MEM_UNPLUG, 6, 2), PM_VIRTIO_MEM_BUSY);
    assert_int_equal(pm_discard_manager_get_quarantined(manager_of(world)), 2 * BLOCK);
    assert_false(pm_guest_mapper_audit(world->mapper, NULL, &error));
    guest_assert_error(&error, PM_ERROR_QUARANTINED, "domain 2, I/O address 0x20000000");
    assert_false(guest_map(world, 1, 4 * IOVA, MEMORY + 6 * BLOCK, PAGE, PM_IOMMU_READ, &error));
    guest_assert_error(&error, PM_ERROR_QUARANTINED, "guest address 0x100060000 is in quarantine");
    assert_int_equal(guest_request(world, PM_VIRTIO_MEM_UNPLUG, 6, 1), PM_VIRTIO_MEM_BUSY);
    assert_true(guest_unmap(world, 2, 2 * IOVA, 2 * BLOCK, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(manager_of(world)), 0);
    guest_unplug(world, 6, 2);
    guest_check(world);
    guest_world_free(world);
}

static void blocks_that_could_not_be_mapped_again_are_in_quarantine_until_a_reset(void **state)
{
    GuestWorld *world = make_world();

    (void)state;
    either_fail(world->kernel, PM_FAKE_CALL_UNMAP, 2, ENOMEM);
    either_fail(world->kernel, PM_FAKE_CALL_MAP, 1, ENOMEM);
    assert_int_equal(guest_request(world, PM_VIRTIO_MEM_UNPLUG, 2, 1), PM_VIRTIO_MEM_BUSY);
    assert_int_equal(pm_discard_manager_get_quarantined(manager_of(world)), BLOCK);
    guest_check_safe(world);
    assert_true(pm_virtio_mem_system_reset(world->device, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(manager_of(world)), 0);
    guest_plug(world, 0, 4);
    guest_check(world);
    guest_world_free(world);
}

/* MAP fails, and so does unmapping what it had mapped: no mapping of the guest has it. */
static void what_a_failed_map_leaves_is_in_quarantine_until_a_reset(void **state)
{
    GuestWorld *world = make_world();
    g_autoptr(GError) error = NULL;

    (void)state;
    either_fail(world->kernel, PM_FAKE_CALL_MAP, 3, ENOMEM);
    for (unsigned i = 1; i <= 4; i++)
        either_fail(world->kernel, PM_FAKE_CALL_UNMAP, i, ENOMEM);
    assert_false(
        guest_map(world, 1, 4 * IOVA, MEMORY + 4 * BLOCK, 3 * BLOCK, PM_IOMMU_READ, &error));
    assert_int_equal(error->code, PM_ERROR_QUARANTINED);
    assert_true(pm_discard_manager_get_quarantined(manager_of(world)) >= BLOCK);
    assert_int_equal(guest_request(world, PM_VIRTIO_MEM_UNPLUG, 4, 1), PM_VIRTIO_MEM_BUSY);
    either_clear_faults(world->kernel);
    assert_true(pm_virtio_mem_system_reset(world->device, NULL));
    guest_check(world);
    guest_plug(world, 0, 8);
    assert_true(guest_map(world, 1, 4 * IOVA, MEMORY + 4 * BLOCK, 3 * BLOCK, PM_IOMMU_READ, NULL));
    guest_check(world);
    guest_world_free(world);
}

static void a_region_with_quarantined_blocks_is_not_removed(void **state)
{
    GuestWorld *world = make_world();
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_true(guest_unmap(world, 1, 0, 8 * IOVA, NULL));
    assert_true(guest_unmap(world, 2, 0, 8 * IOVA, NULL));
    either_fail(world->kernel, PM_FAKE_CALL_MAP, 3, ENOMEM);
    for (unsigned i = 1; i <= 8; i++)
        either_fail(world->kernel, PM_FAKE_CALL_UNMAP, i, ENOMEM);
    assert_false(guest_map(world, 1, 4 * IOVA, MEMORY, 3 * BLOCK, PM_IOMMU_READ, NULL));
    assert_false(pm_guest_mapper_remove(world->mapper, MEMORY, &error));
    assert_non_null(error);
    either_clear_faults(world->kernel);
    assert_true(pm_guest_mapper_remove(world->mapper, MEMORY, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(manager_of(world)), 0);
    guest_world_free(world);
}

#define FOR_EACH_OPERATION(DO)                                                                     \
    DO(map_across_everything)                                                                      \
    DO(unmap_everything)                                                                           \
    DO(unmap_one)                                                                                  \
    DO(unplug)                                                                                     \
    DO(unplug_and_plug)                                                                            \
    DO(unplug_all)                                                                                 \
    DO(move_one_of_two)                                                                            \
    DO(move_the_last)                                                                              \
    DO(move_the_last_elsewhere)                                                                    \
    DO(move_to_bypass)                                                                             \
    DO(detach)

#define DEFINE(operation)                                                                          \
    static void operation##_is_undone_whichever_call_fails(void **state)                           \
    {                                                                                              \
        (void)state;                                                                               \
        fail_each(operation);                                                                      \
    }                                                                                              \
    static void operation##_leaves_nothing_that_unmap_and_reset_do_not_repair(void **state)        \
    {                                                                                              \
        (void)state;                                                                               \
        fail_all_from_each(operation);                                                             \
    }                                                                                              \
    static void operation##_survives_each_unmap_of_less_than_was_asked_for(void **state)           \
    {                                                                                              \
        (void)state;                                                                               \
        shorten_each(operation);                                                                   \
    }
FOR_EACH_OPERATION(DEFINE)

int main(void)
{
#define LIST(operation)                                                                            \
    cmocka_unit_test(operation##_is_undone_whichever_call_fails),                                  \
        cmocka_unit_test(operation##_leaves_nothing_that_unmap_and_reset_do_not_repair),           \
        cmocka_unit_test(operation##_survives_each_unmap_of_less_than_was_asked_for),
    const struct CMUnitTest tests[] = {
        FOR_EACH_OPERATION(LIST) cmocka_unit_test(
            blocks_that_may_still_be_mapped_are_in_quarantine_until_the_guest_unmaps),
        cmocka_unit_test(blocks_that_could_not_be_mapped_again_are_in_quarantine_until_a_reset),
        cmocka_unit_test(what_a_failed_map_leaves_is_in_quarantine_until_a_reset),
        cmocka_unit_test(a_region_with_quarantined_blocks_is_not_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
