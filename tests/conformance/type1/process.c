/* SPDX-License-Identifier: MIT */
/* What a process is charged for: its own mappings plus what it mlocks, not the mappings of
 * others. */
#include "util/kernel_util.h"

#include <sys/wait.h>

#define IOVA UINT64_C(0x40000000)

static void mlock_uses_the_same_budget(void **state)
{
    Kernel *kernel = *state;

    kernel_set_memlock(kernel, 4 * PAGE, false);
    assert_int_equal(mlock(kernel->memory + 8 * PAGE, 3 * PAGE), 0);
    assert_int_equal(kernel_locked(kernel), 3 * PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 2 * PAGE), -ENOMEM);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_locked(kernel), 4 * PAGE);
    assert_int_equal(munlock(kernel->memory + 8 * PAGE, 3 * PAGE), 0);
    assert_int_equal(kernel_locked(kernel), PAGE);
}

/* Runs @what in a child, which shares the open files but has its own memory; returns its result. */
static bool in_child(Kernel *kernel, bool (*what)(Kernel *kernel))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit(what(kernel) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool has_nothing_locked(Kernel *kernel)
{
    return kernel_locked(kernel) == 0;
}

static void a_child_starts_with_nothing_locked(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_true(in_child(kernel, has_nothing_locked));
    assert_int_equal(kernel_locked(kernel), 4 * PAGE);
}

static bool maps_and_is_charged(Kernel *kernel)
{
    return kernel_map(kernel, IOVA + PM_GIB, kernel->memory, 2 * PAGE) == 0 &&
           kernel_locked(kernel) == 2 * PAGE;
}

static void a_child_that_maps_is_charged(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_true(in_child(kernel, maps_and_is_charged));
    assert_int_equal(kernel_locked(kernel), 4 * PAGE);
    /* The mapping outlives the child; unmapping it uncharges nobody. */
    assert_int_equal(kernel_n_mappings(kernel), 2);
    assert_int_equal(kernel_unmap(kernel, IOVA + PM_GIB, 2 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 2 * PAGE);
    assert_int_equal(kernel_locked(kernel), 4 * PAGE);
}

static bool unmaps_and_is_not_uncharged(Kernel *kernel)
{
    return kernel_unmap(kernel, IOVA, 4 * PAGE, NULL) == 0 && kernel_locked(kernel) == 0;
}

static void a_child_that_unmaps_uncharges_its_parent(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_true(in_child(kernel, unmaps_and_is_not_uncharged));
    assert_int_equal(kernel_locked(kernel), 0);
    assert_int_equal(kernel_n_mappings(kernel), 0);
}

static bool maps_vaddr_and_is_charged(Kernel *kernel)
{
    return kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_VADDR, IOVA, kernel->memory, 4 * PAGE) == 0 &&
           kernel_locked(kernel) == 4 * PAGE;
}

static void a_child_that_maps_a_new_vaddr_takes_over_the_charge(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_unmap_flags(kernel, VFIO_DMA_UNMAP_FLAG_VADDR, IOVA, 4 * PAGE, NULL),
                     0);
    assert_true(in_child(kernel, maps_vaddr_and_is_charged));
    assert_int_equal(kernel_locked(kernel), 0);
}

static bool replaces_vaddr_and_is_charged(Kernel *kernel)
{
    return kernel_unmap_flags(kernel, VFIO_DMA_UNMAP_FLAG_VADDR, IOVA, 4 * PAGE, NULL) == 0 &&
           maps_vaddr_and_is_charged(kernel);
}

/* A child can do so whether or not its parent has invalidated the vaddr: a parent that has died
 * cannot. */
static void a_child_can_invalidate_a_vaddr_of_its_parent(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_true(in_child(kernel, replaces_vaddr_and_is_charged));
    assert_int_equal(kernel_locked(kernel), 0);
    assert_int_equal(kernel_n_mappings(kernel), 1);
}

static void a_parent_takes_back_the_charge_of_a_child_that_has_ended(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_true(in_child(kernel, replaces_vaddr_and_is_charged));
    assert_true(replaces_vaddr_and_is_charged(kernel));
    assert_int_equal(kernel_unmap(kernel, IOVA, 4 * PAGE, NULL), 0);
    assert_int_equal(kernel_locked(kernel), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mlock_uses_the_same_budget),
        TEST(a_child_starts_with_nothing_locked),
        TEST(a_child_that_maps_is_charged),
        TEST(a_child_that_unmaps_uncharges_its_parent),
        TEST(a_child_that_maps_a_new_vaddr_takes_over_the_charge),
        TEST(a_child_can_invalidate_a_vaddr_of_its_parent),
        TEST(a_parent_takes_back_the_charge_of_a_child_that_has_ended),
    };

    return RUN_TESTS(tests);
}
