/* SPDX-License-Identifier: MIT */
/* A plan's verdict is what the whole stack does on the fake kernel, over a grid of machines and
 * limits: exactly enough, one less, and one more. */
#include "plan_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/size.h>

#include "host/entry_limit.h"

#define PAGE      UINT64_C(4096)
#define N_DEVICES 3

static const char *const devices[N_DEVICES] = {"0000:00:04.0", "0000:00:05.0", "0000:00:06.0"};
static const PmIovaRange usual_ranges[] = {{0, 0xfedfffff}, {0xfef00000, 0x7fffffffff}};
static const PmPlanLimits usual = {
    .n_mappings = PM_ENTRY_LIMIT_DEFAULT,
    .locked = UINT64_MAX,
    .page_size = PAGE,
    .ranges = usual_ranges,
    .n_ranges = G_N_ELEMENTS(usual_ranges),
};

static PmKernel *make_kernel(const PmPlanMachine *machine, const PmPlanLimits *limits)
{
    PmFakeConfig config;
    PmKernel *kernel;

    pm_fake_config_init(&config);
    config.iova_ranges = limits->ranges;
    config.n_iova_ranges = limits->n_ranges;
    config.memlock_limit = limits->locked;
    config.iommufd = machine->backend == PM_IOMMU_IOMMUFD;
    if (limits->n_mappings != UINT64_MAX)
        config.entry_limit = (uint32_t)limits->n_mappings;
    kernel = pm_fake_kernel_new(&config, NULL);
    assert_non_null(kernel);
    for (unsigned i = 1; i < N_DEVICES; i++)
        assert_true(pm_fake_kernel_add_device(kernel, i + 1, devices[i], "vfio-pci", NULL));
    return kernel;
}

static unsigned compare(const PmPlanMachine *machine, const PmPlanLimits *limits,
                        uint64_t block_size)
{
    PmPlanLimits used = *limits;
    g_autoptr(PmKernel) kernel = NULL;
    PlanCase try = {.devices = devices, .machine = machine, .block_size = block_size};

    if (machine->backend == PM_IOMMU_IOMMUFD)
        used.n_mappings = UINT64_MAX;
    kernel = make_kernel(machine, &used);
    try.kernel = kernel;
    return plan_compare(&try, &used);
}

/* Numbers of mappings around what is needed. */
static unsigned compare_mappings(const PmPlanMachine *machine, uint64_t block_size)
{
    uint64_t needed = pm_plan_block(machine, &usual, block_size).n_mappings;
    PmPlanLimits limits = usual;
    unsigned n_built = 0;

    for (int more = -1; more <= 1; more++) {
        limits.n_mappings = needed + (uint64_t)more;
        n_built += compare(machine, &limits, block_size);
    }
    return n_built;
}

/* A byte less than a page more is no page more. */
static unsigned compare_locked(const PmPlanMachine *machine, uint64_t block_size)
{
    const uint64_t offsets[] = {-block_size, -PAGE, UINT64_MAX, 0, PAGE - 1, PAGE};
    uint64_t needed = pm_plan_locked(machine);
    PmPlanLimits limits = usual;
    unsigned n_built = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        limits.locked = needed + offsets[i];
        n_built += compare(machine, &limits, block_size);
    }
    return n_built;
}

/* The last valid address around that of the region. */
static unsigned compare_addresses(const PmPlanMachine *machine, uint64_t block_size)
{
    uint64_t end = pm_plan_block(machine, &usual, block_size).address + machine->size;
    PmIovaRange ranges[] = {usual_ranges[0], {0xfef00000, end - 1}};
    PmPlanLimits limits = usual;
    unsigned n_built = 0;

    limits.ranges = ranges;
    for (int more = -1; more <= 1; more++) {
        ranges[1].last = end + (uint64_t)more * PAGE - 1;
        n_built += compare(machine, &limits, block_size);
    }
    return n_built;
}

static unsigned compare_all(const PmPlanMachine *machine, uint64_t block_size)
{
    unsigned n_built = compare_locked(machine, block_size) + compare_addresses(machine, block_size);

    if (machine->backend == PM_IOMMU_TYPE1)
        n_built += compare_mappings(machine, block_size);
    return n_built;
}

/* Of devices: one, several in one address space, and several with one each. */
static unsigned compare_devices(uint64_t n_blocks, uint64_t block_size, uint64_t boot_memory,
                                PmIommuBackend backend)
{
    PmPlanMachine machine = {
        .size = n_blocks * block_size,
        .boot_memory = boot_memory,
        .n_devices = 1,
        .backend = backend,
    };
    unsigned n_built = compare_all(&machine, block_size);

    machine.n_devices = N_DEVICES;
    n_built += compare_all(&machine, block_size);
    machine.guest_iommu = true;
    return n_built + compare_all(&machine, block_size);
}

static void verdict_is_what_the_stack_does(void **state)
{
    static const uint64_t counts[] = {1, 2, 7};
    static const uint64_t blocks[] = {PAGE, 2 * PM_MIB, PM_GIB};
    static const uint64_t boots[] = {0, PM_MIB, 0xb0000000 - PAGE, 0xb0000000, 5 * PM_GIB + PAGE};
    unsigned n_built = 0;

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(blocks); j++)
            for (size_t k = 0; k < G_N_ELEMENTS(boots); k++)
                for (unsigned backend = PM_IOMMU_TYPE1; backend <= PM_IOMMU_IOMMUFD; backend++)
                    n_built += compare_devices(counts[i], blocks[j], boots[k], backend);
    assert_in_range(n_built, 500, UINT_MAX);
}

/* The last valid address below the hole around the end of the boot memory. */
static void boot_memory_needs_addresses(void **state)
{
    const PmPlanMachine machine = {.size = PM_GIB, .boot_memory = PM_GIB, .n_devices = 1};
    PmIovaRange ranges[] = {usual_ranges[0], usual_ranges[1]};
    PmPlanLimits limits = usual;

    (void)state;
    limits.ranges = ranges;
    for (int more = -1; more <= 1; more++) {
        ranges[0].last = PM_GIB + (uint64_t)more * PAGE - 1;
        (void)compare(&machine, &limits, PM_GIB);
    }
}

static void region_avoids_reserved_addresses(void **state)
{
    const PmPlanMachine machine = {.size = 8 * PM_GIB, .boot_memory = 8 * PM_GIB, .n_devices = 1};
    const PmIovaRange ranges[] = {
        {0, 0xfedfffff}, {0xfef00000, 12 * PM_GIB}, {14 * PM_GIB + PAGE, 0xfffffffffff}};
    PmPlanLimits limits = usual;

    (void)state;
    limits.ranges = ranges;
    limits.n_ranges = G_N_ELEMENTS(ranges);
    (void)compare(&machine, &limits, PM_GIB);
    (void)compare(&machine, &limits, 8 * PM_GIB);
    assert_int_equal(pm_plan_block(&machine, &limits, PM_GIB).address, 15 * PM_GIB);
}

static void kernel_s_default_limit_is_met_exactly(void **state)
{
    PmPlanMachine machine = {.boot_memory = 4 * PM_GIB, .n_devices = 1};
    const PmIovaRange wide[] = {{0, 0xfedfffff}, {0xfef00000, 0xffffffffffff}};
    PmPlanLimits limits = usual;

    (void)state;
    limits.ranges = wide;
    machine.size = 65533 * (2 * PM_MIB);
    (void)compare(&machine, &limits, 2 * PM_MIB);
    machine.size = PM_TIB;
    (void)compare(&machine, &limits, 16 * PM_MIB);
    (void)compare(&machine, &limits, 32 * PM_MIB);
}

static void invalid_blocks_do_not_fit(void **state)
{
    const PmPlanMachine machine = {.size = 3 * PM_MIB, .n_devices = 1};
    PmPlanLimits limits = usual;

    (void)state;
    (void)compare(&machine, &limits, 2 * PM_MIB);
    (void)compare(&machine, &limits, 4 * PM_MIB);
    limits.page_size = 64 * PM_KIB;
    assert_int_equal(pm_plan_block(&machine, &limits, 32 * PM_KIB).lacks, PM_PLAN_LACKS_BLOCKS);
    assert_int_equal(pm_plan_block(&machine, &limits, 64 * PM_KIB).lacks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boot_memory_needs_addresses),
        cmocka_unit_test(region_avoids_reserved_addresses),
        cmocka_unit_test(kernel_s_default_limit_is_met_exactly),
        cmocka_unit_test(invalid_blocks_do_not_fit),
        cmocka_unit_test(verdict_is_what_the_stack_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
