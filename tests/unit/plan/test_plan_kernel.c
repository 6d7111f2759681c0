/* SPDX-License-Identifier: MIT */
/* A sample of test_plan_truth.c that also runs on real kernels (tests/util/either_kernel.h), with
 * the limits that a device reports. */
#include "plan_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <linux/capability.h>
#include <stdio.h>
#include <sys/resource.h>

#include <plugmap/fake.h>
#include <plugmap/size.h>

#include "host/entry_limit.h"
#include "plan/limits.h"
#include "util/backend_util.h"
#include "util/either_kernel.h"
#include "util/kernel_util.h"

#define BLOCK (64 * PM_KIB)

static void set_entry_limit(PmKernel *kernel, uint64_t limit)
{
    g_autofree char *text = g_strdup_printf("%u", (unsigned)limit);
    FILE *file;

    if (!either_is_real()) {
        pm_fake_kernel_set_entry_limit(kernel, (uint32_t)limit);
        return;
    }
    file = fopen(PM_ENTRY_LIMIT_FILE, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* UINT64_MAX: without limit. */
static void set_memlock(PmKernel *kernel, uint64_t limit)
{
    const struct rlimit both = {.rlim_cur = limit, .rlim_max = RLIM_INFINITY};

    if (!either_is_real()) {
        pm_fake_kernel_set_memlock(kernel, limit, limit == UINT64_MAX);
        return;
    }
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &both), 0);
    kernel_set_capability(CAP_IPC_LOCK, limit == UINT64_MAX);
}

static void compare(PmKernel *kernel, const PmPlanMachine *machine, uint64_t n_mappings,
                    uint64_t locked)
{
    static const PmPlanGiven given = {.entry_limit = UINT64_MAX, .locked = UINT64_MAX};
    const char *devices[] = {either_device(0), either_device(1), NULL};
    PlanCase try = {.kernel = kernel, .devices = devices, .machine = machine, .block_size = BLOCK};
    g_autoptr(PmPlanHost) host = NULL;
    g_autoptr(GError) error = NULL;

    if (machine->n_devices == 1)
        devices[1] = NULL;
    set_entry_limit(kernel, n_mappings);
    set_memlock(kernel, locked);
    host = pm_plan_ask(kernel, machine, &given, devices, &error);
    if (host == NULL)
        fail_msg("%s", error->message);
    assert_int_equal(host->limits.n_mappings, backend_is_iommufd() ? UINT64_MAX : n_mappings);
    assert_int_equal(host->limits.locked, locked == UINT64_MAX ? UINT64_MAX : locked / 4096 * 4096);
    assert_in_range(plan_compare(&try, &host->limits), 2, UINT_MAX);
}

static PmPlanMachine make_machine(uint64_t n_devices, bool guest_iommu)
{
    return (PmPlanMachine){
        .size = 7 * BLOCK,
        .boot_memory = PM_MIB,
        .n_devices = n_devices,
        .guest_iommu = guest_iommu,
        .backend = backend_is_iommufd() ? PM_IOMMU_IOMMUFD : PM_IOMMU_TYPE1,
    };
}

/* One device, two in one address space, and two with one each. */
static void compare_machines(bool limits_mappings)
{
    PmKernel *kernel = either_kernel_new(NULL);

    for (unsigned i = 0; i < 3; i++) {
        const PmPlanMachine machine = make_machine(i == 0 ? 1 : 2, i == 2);
        uint64_t needed = limits_mappings ? 8 : pm_plan_locked(&machine);

        for (int more = -1; more <= 1; more++) {
            uint64_t limit = needed + (uint64_t)more;

            if (limits_mappings)
                compare(kernel, &machine, limit, UINT64_MAX);
            else
                compare(kernel, &machine, PM_ENTRY_LIMIT_DEFAULT, limit);
        }
    }
    set_entry_limit(kernel, PM_ENTRY_LIMIT_DEFAULT);
    set_memlock(kernel, UINT64_MAX);
    either_assert_nothing_left(kernel);
    pm_kernel_unref(kernel);
}

static void kernel_maps_as_many_blocks_as_planned(void **state)
{
    (void)state;
    compare_machines(true);
}

static void kernel_locks_as_much_memory_as_planned(void **state)
{
    (void)state;
    compare_machines(false);
}

static void addresses_are_the_device_s(void **state)
{
    static const PmPlanGiven given = {.entry_limit = UINT64_MAX, .locked = UINT64_MAX};
    static const PmPlanGiven narrow = {
        .entry_limit = 100, .has_locked = true, .locked = PM_GIB, .iova_bits = 33};
    const char *const devices[] = {either_device(0), NULL};
    const PmPlanMachine machine = make_machine(1, false);
    PmKernel *kernel = either_kernel_new(NULL);
    g_autoptr(PmPlanHost) host = pm_plan_ask(kernel, &machine, &given, devices, NULL);
    g_autoptr(PmPlanHost) less = pm_plan_ask(kernel, &machine, &narrow, devices, NULL);

    (void)state;
    assert_non_null(host);
    assert_int_equal(host->limits.n_ranges, 2);
    assert_int_equal(host->limits.ranges[0].last, 0xfedfffff);
    assert_int_equal(host->limits.ranges[1].last, 0x7fffffffff);
    assert_non_null(less);
    assert_int_equal(less->limits.ranges[1].last, 0x1ffffffff);
    assert_int_equal(less->limits.locked, PM_GIB);
    if (!backend_is_iommufd())
        assert_int_equal(less->limits.n_mappings, 100);
    pm_kernel_unref(kernel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BACKEND_TYPE1_ONLY(cmocka_unit_test(kernel_maps_as_many_blocks_as_planned)),
        cmocka_unit_test(kernel_locks_as_much_memory_as_planned),
        cmocka_unit_test(addresses_are_the_device_s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
