/* SPDX-License-Identifier: MIT */
/* The owner of adopted memory is notified when the PmRam is freed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/iommu_claim.h>
#include <plugmap/size.h>

#include "util/backend_util.h"
#include "util/fork_util.h"

#define SIZE PM_MIB

static char memory[SIZE] __attribute__((aligned(4096)));
static unsigned n_destroyed;

static void note_destroyed(void *user_data)
{
    assert_ptr_equal(user_data, memory);
    n_destroyed++;
}

static PmRam *adopt(uint64_t size)
{
    const PmRamAdoption adoption = {
        .struct_size = sizeof(adoption),
        .host = memory,
        .size = size,
        .destroy = note_destroyed,
        .user_data = memory,
    };

    n_destroyed = 0;
    return pm_ram_adopt(&adoption, NULL);
}

static void destroy_is_called_with_the_last_reference(void **state)
{
    PmRam *ram = adopt(SIZE);

    (void)state;
    pm_ram_unref(pm_ram_ref(ram));
    assert_int_equal(n_destroyed, 0);
    pm_ram_unref(ram);
    assert_int_equal(n_destroyed, 1);
}

static void destroy_is_not_called_if_adopting_fails(void **state)
{
    (void)state;
    assert_null(adopt(SIZE + 1));
    assert_int_equal(n_destroyed, 0);
}

/* The claim has a reference. */
static void destroy_waits_for_the_last_mapping(void **state)
{
    g_autoptr(PmKernel) fake = backend_fake_new(NULL, NULL);
    g_autoptr(PmIommu) iommu = backend_open(fake, 0, NULL);
    PmRam *ram = adopt(SIZE);
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the test",
        .ram = ram,
        .iova = PM_GIB,
        .size = SIZE,
        .block_size = SIZE,
    };
    g_autoptr(PmIommuClaim) claim = pm_iommu_claim_new(iommu, &config, NULL);

    (void)state;
    assert_true(pm_iommu_claim_map(claim, 0, SIZE, 0, PM_IOMMU_READ, NULL));
    pm_ram_unref(ram);
    pm_fake_kernel_fail(fake, PM_FAKE_CALL_UNMAP, 1, 5);
    assert_false(pm_iommu_claim_release(claim, NULL));
    assert_int_equal(n_destroyed, 0);
    assert_true(pm_iommu_claim_release(claim, NULL));
    assert_int_equal(n_destroyed, 1);
}

static bool drop_in_child(void *user_data)
{
    pm_ram_unref(user_data);
    return n_destroyed == 0;
}

static void child_does_not_call_destroy(void **state)
{
    PmRam *ram = adopt(SIZE);

    (void)state;
    for (unsigned i = 0; i < n_ways_to_fork; i++)
        assert_child(ways_to_fork[i], drop_in_child, ram);
    pm_ram_unref(ram);
    assert_int_equal(n_destroyed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(destroy_is_called_with_the_last_reference),
        cmocka_unit_test(destroy_is_not_called_if_adopting_fails),
        cmocka_unit_test(destroy_waits_for_the_last_mapping),
        cmocka_unit_test(child_does_not_call_destroy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
