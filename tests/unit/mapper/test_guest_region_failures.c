/* SPDX-License-Identifier: MIT */
/* Every call and allocation fails while a region is added to a guest mapper, or removed. */
#include <errno.h>
#include <string.h>

#include "guest_world.h"

#include "util/allocation_util.h"

#define MAX_STEPS 200

/* So many that undoing fails as well, whatever retries it. */
#define N_FOLLOWING 60

/* Consecutive calls, at most, whose failure has no consequence. */
#define N_NOT_NEEDED 8

#define DOMAIN 1

typedef struct {
    const char *name;
    uint64_t address;
    uint64_t size;
    bool is_plain;
    bool has_bypass; /* endpoints 0 and 2 are in bypass */
    bool has_orphan; /* of an earlier failure domain 1 may have some of it mapped */
} Case;

static const Case cases[] = {
    {"managed, bypass", MEMORY, N_BLOCKS / 2 * BLOCK, false, true, false},
    {"managed, domains only", MEMORY, N_BLOCKS / 2 * BLOCK, false, false, false},
    {"managed, bypass, orphan", MEMORY, N_BLOCKS / 2 * BLOCK, false, true, true},
    {"managed, domains only, orphan", MEMORY, N_BLOCKS / 2 * BLOCK, false, false, true},
    {"plain, bypass", PLAIN, PLAIN_SIZE, true, true, false},
    {"plain, domains only", PLAIN, PLAIN_SIZE, true, false, false},
};

static PmDiscardManager *manager_of(const GuestWorld *world)
{
    return pm_virtio_mem_get_manager(world->device);
}

static void fail_unmaps(GuestWorld *world, uint64_t nth)
{
    for (unsigned i = 0; i < N_FOLLOWING; i++)
        either_fail(world->kernel, PM_FAKE_CALL_UNMAP, nth + i, ENOMEM);
}

/* Blocks 0 and 1 stay mapped, of a mapping that the table does not have. */
static void make_orphan(GuestWorld *world)
{
    either_fail(world->kernel, PM_FAKE_CALL_MAP, 3, ENOMEM);
    fail_unmaps(world, 1);
    assert_false(guest_map(world, DOMAIN, 2 * IOVA, MEMORY, 3 * BLOCK, PM_IOMMU_READ, NULL));
    either_clear_faults(world->kernel);
    assert_int_not_equal(pm_discard_manager_get_quarantined(manager_of(world)), 0);
}

/* Endpoint 1 is in domain 1, which maps none of the region. */
static GuestWorld *make_world(const Case *c)
{
    GuestWorld *world = guest_world_new(&(GuestWorldConfig){.is_bypass = c->has_bypass});

    guest_plug(world, 0, 2);
    guest_plug(world, 3, 7);
    assert_true(guest_attach(world, DOMAIN, 1, NULL));
    assert_true(guest_map(world, DOMAIN, IOVA, MEMORY + 8 * BLOCK, BLOCK, PM_IOMMU_READ, NULL));
    guest_plug(world, 2, 1);
    if (c->has_orphan)
        make_orphan(world);
    else
        guest_check(world);
    return world;
}

/* --- everything that must not change --- */

static bool append_mapping(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                           void *user_data)
{
    g_string_append_printf(user_data, "0x%lx+0x%lx %p %d\n", iova, size, host, (int)access);
    return true;
}

static void append_claims(GString *text, PmRam *ram)
{
    PmDiscardClaim claim = {.struct_size = sizeof(claim)};
    g_autofree char *owner = NULL;

    while (pm_ram_next_discard_claim(ram, claim.id, &claim, &owner)) {
        g_string_append_printf(text, "%s: %d 0x%lx+0x%lx\n", owner, (int)claim.kind, claim.offset,
                               claim.size);
        g_clear_pointer(&owner, g_free);
    }
}

static char *snapshot(GuestWorld *world)
{
    g_autofree char *table = guest_describe(world);
    GString *text = g_string_new(table);

    for (unsigned group = 1; group <= N_DEVICES; group++) {
        g_string_append_printf(text, "\ndevice %u\n", group);
        (void)pm_fake_kernel_foreach_mapping(world->kernel, group, append_mapping, text);
    }
    append_claims(text, world->plain);
    append_claims(text, world->memory);
    g_string_append_printf(text, "pinned 0x%lx, quarantined 0x%lx, audit %d\n",
                           backend_get_pinned(world->kernel),
                           pm_discard_manager_get_quarantined(manager_of(world)),
                           pm_guest_mapper_audit(world->mapper, NULL, NULL));
    return g_string_free(text, FALSE);
}

/* --- operations --- */

typedef bool (*Operation)(GuestWorld *world, const Case *c, GError **error);

static bool add(GuestWorld *world, const Case *c, GError **error)
{
    const PmMapperRegion region = {
        .struct_size = sizeof(region),
        .ram = c->is_plain ? world->plain : world->memory,
        .size = c->size,
        .address = c->address,
        .access = PM_IOMMU_READ_WRITE,
    };

    return pm_guest_mapper_add(world->mapper, &region, error);
}

static bool remove_region(GuestWorld *world, const Case *c, GError **error)
{
    return pm_guest_mapper_remove(world->mapper, c->address, error);
}

/* --- failures --- */

typedef void (*Failure)(GuestWorld *world, uint64_t nth);

static void fail_one_call(GuestWorld *world, uint64_t nth)
{
    either_fail(world->kernel, PM_FAKE_CALL_ANY, nth, ENOMEM);
}

static void fail_map_and_unmaps(GuestWorld *world, uint64_t nth)
{
    either_fail(world->kernel, PM_FAKE_CALL_MAP, nth, ENOMEM);
    fail_unmaps(world, 1);
}

static void shorten_unmap(GuestWorld *world, uint64_t nth)
{
    either_shorten_unmap(world->kernel, nth);
}

static void fail_allocations(GuestWorld *world, uint64_t nth)
{
    (void)world;
    allocations_end_after((unsigned)nth - 1);
}

static void fail_allocations_and_unmaps(GuestWorld *world, uint64_t nth)
{
    fail_unmaps(world, 1);
    fail_allocations(world, nth);
}

static bool is_quarantine(const GError *error)
{
    return g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED) ||
           g_error_matches(error, PM_ERROR, PM_ERROR_UNMAP_MISMATCH);
}

/* What may still be mapped has an owner, and is found. */
static void check_quarantined(GuestWorld *world, const Case *c, const GError *error)
{
    g_autoptr(GError) difference = NULL;

    if (strstr(error->message, "region at 0x") == NULL)
        fail_msg("no owner: %s", error->message);
    assert_false(pm_guest_mapper_audit(world->mapper, NULL, &difference));
    assert_int_equal(difference->code, PM_ERROR_QUARANTINED);
    if (!c->is_plain)
        assert_int_not_equal(pm_discard_manager_get_quarantined(manager_of(world)), 0);
}

static void check_failure(GuestWorld *world, const Case *c, const char *before, const GError *error)
{
    g_autofree char *after = NULL;

    assert_non_null(error);
    if (is_quarantine(error)) {
        check_quarantined(world, c, error);
        return;
    }
    after = snapshot(world);
    if (!c->has_orphan)
        assert_string_equal(after, before);
}

/* Adding and removing it works. */
static void check_usable(GuestWorld *world, const Case *c, Operation operation)
{
    g_autoptr(GError) error = NULL;

    if (operation == remove_region && !add(world, c, &error))
        fail_msg("%s", error->message);
    guest_check(world);
    assert_int_equal(pm_discard_manager_get_quarantined(manager_of(world)), 0);
    assert_true(remove_region(world, c, NULL));
    assert_true(add(world, c, NULL));
    guest_check(world);
}

/* Returns whether the operation failed. */
static bool fail_at(const Case *c, Operation operation, Failure failure, uint64_t nth)
{
    GuestWorld *world = make_world(c);
    g_autoptr(GError) error = NULL;
    g_autofree char *before = NULL;
    bool done;

    if (operation == add)
        assert_true(remove_region(world, c, NULL));
    before = snapshot(world);
    failure(world, nth);
    done = operation(world, c, &error);
    allocations_go_on();
    either_clear_faults(world->kernel);
    if (!done) {
        check_failure(world, c, before, error);
        g_clear_error(&error);
        if (!operation(world, c, &error))
            fail_msg("%s: retry: %s", c->name, error->message);
    }
    check_usable(world, c, operation);
    guest_world_free(world);
    return !done;
}

/* Returns how often it failed. */
static uint64_t fail_each(const Case *c, Operation operation, Failure failure)
{
    uint64_t n_failed = 0;
    uint64_t nth = 1;

    for (unsigned n_done = 0; n_done < N_NOT_NEEDED; nth++) {
        bool failed = fail_at(c, operation, failure, nth);

        assert_true(nth < MAX_STEPS);
        n_failed += failed;
        n_done = failed ? 0 : n_done + 1;
    }
    return n_failed;
}

/* Returns how often it failed. */
static uint64_t sweep(Operation operation, Failure failure)
{
    uint64_t n_failed = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        n_failed += fail_each(&cases[i], operation, failure);
    return n_failed;
}

static void adding_a_region_is_undone_whatever_fails(void **state)
{
    (void)state;
    assert_true(sweep(add, fail_one_call) > 0);
    assert_true(sweep(add, fail_allocations) > 0);
}

static void what_adding_a_region_could_not_undo_is_in_quarantine_until_it_is_added(void **state)
{
    (void)state;
    assert_true(sweep(add, fail_map_and_unmaps) > 0);
    assert_true(sweep(add, fail_allocations_and_unmaps) > 0);
}

static void removing_a_region_fails_as_a_whole(void **state)
{
    (void)state;
    assert_true(sweep(remove_region, fail_one_call) > 0);
    assert_true(sweep(remove_region, fail_unmaps) > 0);
}

static void removing_a_region_survives_short_unmaps_and_lack_of_memory(void **state)
{
    (void)state;
    assert_int_equal(sweep(remove_region, shorten_unmap), 0);
    assert_int_equal(sweep(remove_region, fail_allocations), 0);
}

/* --- quarantine of others --- */

static bool accept(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data;
    (void)offset;
    (void)size;
    (void)error;
    return true;
}

static bool lose(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data;
    (void)offset;
    (void)size;
    g_set_error(error, PM_ERROR, PM_ERROR_QUARANTINED, "lost by the test");
    return false;
}

static void a_region_with_blocks_that_another_listener_lost_is_not_added(void **state)
{
    const Case *c = &cases[0];
    const PmDiscardListenerOps ops = {
        .struct_size = sizeof(ops), .populate = accept, .discard = lose};
    GuestWorld *world = make_world(c);
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    g_autoptr(GError) error = NULL;
    PmDiscardListener *listener;

    (void)state;
    assert_true(remove_region(world, c, NULL));
    listener =
        pm_discard_manager_register(manager_of(world), &ops, NULL, "the loser", 0, BLOCK, NULL);
    assert_int_equal(guest_request(world, PM_VIRTIO_MEM_UNPLUG, 0, 1), PM_VIRTIO_MEM_BUSY);
    before = snapshot(world);
    assert_false(add(world, c, &error));
    guest_assert_error(&error, PM_ERROR_QUARANTINED, "the loser");
    after = snapshot(world);
    assert_string_equal(after, before);
    pm_discard_manager_drop(manager_of(world), listener);
    assert_true(pm_virtio_mem_system_reset(world->device, NULL));
    assert_true(add(world, c, NULL));
    guest_check(world);
    guest_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adding_a_region_is_undone_whatever_fails),
        cmocka_unit_test(what_adding_a_region_could_not_undo_is_in_quarantine_until_it_is_added),
        cmocka_unit_test(removing_a_region_fails_as_a_whole),
        cmocka_unit_test(removing_a_region_survives_short_unmaps_and_lack_of_memory),
        cmocka_unit_test(a_region_with_blocks_that_another_listener_lost_is_not_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
