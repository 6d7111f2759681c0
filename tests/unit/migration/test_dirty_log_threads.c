/* SPDX-License-Identifier: MIT */
/* Other threads map and unmap while a dirty log is read. */
#include "dirty_world.h"

#include <pthread.h>

#define N_ROUNDS 300

/* A claim on the first pages of the plain RAM. */
static PmIommuClaim *make_claim(DirtyWorld *world)
{
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the test",
        .ram = world->plain,
        .iova = PM_GIB / 2,
        .size = 8 * PAGE,
        .block_size = PAGE,
    };

    return pm_iommu_claim_new(world->iommu, &config, NULL);
}

/* Returns the number of failures. */
static void *map_and_unmap(void *user_data)
{
    PmIommuClaim *claim = user_data;
    uintptr_t n_failures = 0;

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        n_failures += !pm_iommu_claim_map(claim, 0, 8 * PAGE, 0, PM_IOMMU_READ_WRITE, NULL);
        n_failures += !pm_iommu_claim_unmap(claim, 0, 8 * PAGE, NULL);
    }
    return (void *)n_failures;
}

static void what_another_thread_unmaps_is_dirty(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(PmIommuClaim) claim = make_claim(world);
    uint64_t bitmap[N_WORDS] = {0};
    pthread_t thread;
    void *n_failures;

    dirty_world_assert(world, world->plain, "0-99", "0-99");
    assert_int_equal(pthread_create(&thread, NULL, map_and_unmap, claim), 0);
    for (unsigned i = 0; i < N_ROUNDS; i++)
        dirty_world_read(world, world->plain, PAGE, bitmap);
    assert_int_equal(pthread_join(thread, &n_failures), 0);
    assert_null(n_failures);
    dirty_world_read(world, world->plain, PAGE, bitmap);
    dirty_world_assert_pages(bitmap, world->tracks ? "0-7" : "0-7 32-79");
    dirty_world_assert(world, world->plain, "", "32-79");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_another_thread_unmaps_is_dirty, dirty_world_setup,
                                        dirty_world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
