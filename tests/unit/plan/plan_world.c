/* SPDX-License-Identifier: MIT */
#include "plan_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <plugmap/size.h>

#include "util/mapper_util.h"
#include "util/request_util.h"

#define MAX_PIECES   2
#define MAX_SPACES   8
#define MAX_REQUEST  65535
#define MAX_MEASURED (UINT64_C(32) << 40) /* of address space in this process */
#define MAX_BLOCKS   70000

typedef struct {
    const PlanCase *of;
    PmIommu *iommus[MAX_SPACES];
    PmMapper *mappers[MAX_SPACES];
    size_t n_spaces;
    PmVirtioMem *device;
} World;

static unsigned lack_of(const GError *error)
{
    assert_true(error->domain == PM_ERROR);
    switch ((PmError)error->code) {
    case PM_ERROR_LIMIT:
        return PM_PLAN_LACKS_MAPPINGS;
    case PM_ERROR_LOCKED_MEMORY:
        return PM_PLAN_LACKS_LOCKED_MEMORY;
    case PM_ERROR_IOVA_RANGE:
        return PM_PLAN_LACKS_ADDRESSES;
    case PM_ERROR_UNALIGNED:
    case PM_ERROR_INVALID_ARGUMENT:
        return PM_PLAN_LACKS_BLOCKS;
    default:
        fail_msg("%s", error->message);
        return 0;
    }
}

static PmIommu *open_device(const PlanCase *try, const char *device)
{
    const PmType1Config type1 = {
        .struct_size = sizeof(type1), .kernel = try->kernel, .device = device};
    const PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .kernel = try->kernel, .device = device};
    g_autoptr(GError) error = NULL;
    PmIommu *iommu = try->machine->backend == PM_IOMMU_IOMMUFD
                         ? pm_iommu_iommufd_new(&iommufd, &error)
                         : pm_iommu_type1_new(&type1, &error);

    if (iommu == NULL)
        fail_msg("%s", error->message);
    return iommu;
}

static void open_spaces(World *world)
{
    const PlanCase *try = world->of;

    for (size_t i = 0; i < try->machine->n_devices; i++) {
        if (i > 0 && !try->machine->guest_iommu) {
            assert_true(pm_iommu_attach(world->iommus[0], try->devices[i], NULL));
            continue;
        }
        assert_in_range(world->n_spaces, 0, MAX_SPACES - 1);
        world->iommus[world->n_spaces] = open_device(try, try->devices[i]);
        world->mappers[world->n_spaces] = pm_mapper_new(world->iommus[world->n_spaces]);
        world->n_spaces++;
    }
}

/* To all address spaces. */
static bool add_ram(World *world, PmRam *ram, uint64_t address, unsigned *lack)
{
    unsigned flags = world->of->strict ? PM_MAPPER_STRICT : PM_MAPPER_OVERCOMMIT;

    for (size_t i = 0; i < world->n_spaces; i++) {
        g_autoptr(GError) error = NULL;

        if (!mapper_add_all(world->mappers[i], address, ram, flags, &error)) {
            *lack = lack_of(error);
            return false;
        }
    }
    return true;
}

static bool add_boot_piece(World *world, uint64_t address, uint64_t size, unsigned *lack)
{
    g_autoptr(PmRam) ram = pm_ram_new(world->of->machine->memory, size, 0, NULL);

    assert_non_null(ram);
    return add_ram(world, ram, address, lack);
}

/* As QEMU's q35; written down once more. */
static bool add_boot(World *world, unsigned *lack)
{
    uint64_t size = world->of->machine->boot_memory;

    if (size == 0)
        return true;
    if (size < 0xb0000000)
        return add_boot_piece(world, 0, size, lack);
    return add_boot_piece(world, 0, 0x80000000, lack) &&
           add_boot_piece(world, 0x100000000, size - 0x80000000, lack);
}

/* The first address that the address space accepts. */
static uint64_t find_place(const World *world)
{
    const PmPlanMachine *machine = world->of->machine;
    uint64_t step = MAX(world->of->block_size, PM_GIB);
    uint64_t at = 4 * PM_GIB;
    const PmIovaRange *ranges;
    size_t n_ranges;
    uint64_t last;

    if (machine->boot_memory >= 0xb0000000)
        at += machine->boot_memory - 0x80000000;
    at = (at + step - 1) / step * step;
    ranges = pm_iommu_get_iova_ranges(world->iommus[0], &n_ranges);
    last = ranges[n_ranges - 1].last;
    for (; at <= last; at += step)
        if (pm_iommu_check_range(world->iommus[0], at, machine->size, NULL))
            return at;
    return 0;
}

static bool make_device(World *world, uint64_t address, unsigned *lack)
{
    const PlanCase *try = world->of;
    g_autoptr(GError) error = NULL;
    g_autoptr(PmRam) ram =
        pm_ram_new(try->machine->memory, try->machine->size, try->block_size, &error);
    const PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .ram = ram,
        .address = address,
        .block_size = try->block_size,
        .requested_size = try->machine->size,
    };

    if (ram != NULL)
        world->device = pm_virtio_mem_new(&config, &error);
    if (world->device != NULL)
        return add_ram(world, ram, address, lack);
    *lack = lack_of(error);
    return false;
}

/* Requests are granted whole or not at all: halves them until one block is refused. */
static void plug_all(World *world, PlanTruth *truth)
{
    uint64_t block_size = world->of->block_size;
    uint64_t n_left = world->of->machine->size / block_size;
    uint64_t n_blocks = MAX_REQUEST;

    while (n_left > 0) {
        int answer;

        n_blocks = MIN(n_blocks, n_left);
        answer = send_request(world->device, PM_VIRTIO_MEM_PLUG, truth->address + truth->plugged,
                              n_blocks, NULL);
        if (answer == PM_VIRTIO_MEM_ACK) {
            truth->plugged += n_blocks * block_size;
            n_left -= n_blocks;
            continue;
        }
        assert_int_equal(answer, PM_VIRTIO_MEM_BUSY);
        if (n_blocks == 1)
            break;
        n_blocks /= 2;
    }
    if (n_left > 0) {
        const GError *refusal;

        assert_int_not_equal(pm_virtio_mem_last_refusal(world->device, &refusal), PM_REFUSAL_NONE);
        truth->lack = lack_of(pm_refusal_get_cause(refusal));
    }
}

static void build(World *world, PlanTruth *truth)
{
    open_spaces(world);
    if (!add_boot(world, &truth->lack))
        return;
    truth->address = find_place(world);
    if (truth->address == 0) {
        truth->lack = PM_PLAN_LACKS_ADDRESSES;
        return;
    }
    if (!make_device(world, truth->address, &truth->lack))
        return;
    plug_all(world, truth);
    for (size_t i = 0; i < world->n_spaces; i++) {
        truth->n_mappings = MAX(truth->n_mappings, pm_iommu_get_n_mappings(world->iommus[i]));
        truth->pinned += pm_iommu_get_pinned_bytes(world->iommus[i]);
    }
}

PlanTruth plan_try(const PlanCase *try)
{
    World world = {.of = try};
    PlanTruth truth = {0};

    build(&world, &truth);
    for (size_t i = 0; i < world.n_spaces; i++)
        pm_mapper_free(world.mappers[i]);
    pm_virtio_mem_free(world.device);
    for (size_t i = 0; i < world.n_spaces; i++)
        pm_iommu_unref(world.iommus[i]);
    return truth;
}

static char *describe(const PlanCase *try, const PmPlanLimits *limits)
{
    const PmPlanMachine *machine = try->machine;

    return g_strdup_printf(
        "size 0x%" G_GINT64_MODIFIER "x block 0x%" G_GINT64_MODIFIER "x boot 0x%" G_GINT64_MODIFIER
        "x devices %u%s %s, limits: %u mappings, "
        "0x%" G_GINT64_MODIFIER "x locked, last 0x%" G_GINT64_MODIFIER "x%s",
        machine->size, try->block_size, machine->boot_memory, (unsigned)machine->n_devices,
        machine->guest_iommu ? " own" : "",
        machine->backend == PM_IOMMU_IOMMUFD ? "iommufd" : "type1", (unsigned)limits->n_mappings,
        limits->locked, limits->ranges[limits->n_ranges - 1].last, try->strict ? ", strict" : "");
}

static void compare_one(const PlanCase *try, const PmPlanLimits *limits)
{
    const PmPlanBlock plan = pm_plan_block(try->machine, limits, try->block_size);
    const PlanTruth truth = plan_try(try);
    g_autofree char *what = describe(try, limits);

    if ((plan.lacks == 0) != (truth.lack == 0) || (truth.lack & ~plan.lacks) != 0)
        fail_msg("%s: the plan lacks 0x%x, the kernel 0x%x", what, plan.lacks, truth.lack);
    if (truth.address != 0 && truth.address != plan.address)
        fail_msg("%s: another address", what);
    if (truth.lack == 0 &&
        (truth.n_mappings != plan.n_mappings || truth.pinned != pm_plan_locked(try->machine)))
        fail_msg("%s: %u mappings, planned %u; or locked memory", what, (unsigned)truth.n_mappings,
                 (unsigned)plan.n_mappings);
    if (!try->strict && truth.address != 0 && truth.lack != PM_PLAN_LACKS_BLOCKS &&
        truth.plugged != MIN(plan.largest, try->machine->size))
        fail_msg("%s: plugged 0x%" G_GINT64_MODIFIER "x, planned 0x%" G_GINT64_MODIFIER "x", what,
                 truth.plugged, plan.largest);
}

static unsigned compare_both(const PlanCase *try, const PmPlanLimits *limits)
{
    PlanCase other = *try;

    compare_one(try, limits);
    other.strict = !try->strict;
    compare_one(&other, limits);
    return 2;
}

unsigned plan_compare(const PlanCase *try, const PmPlanLimits *limits)
{
    const PmPlanBlock plan = pm_plan_block(try->machine, limits, try->block_size);
    PmPlanMachine machine = *try->machine;
    PlanCase other = *try;
    unsigned n_built = compare_both(try, limits);

    other.machine = &machine;
    for (uint64_t more = 0; more <= 1; more++) {
        machine.size = plan.largest + more * try->block_size;
        if (plan.largest == 0 || machine.size > MAX_MEASURED ||
            machine.size / try->block_size > MAX_BLOCKS)
            continue;
        assert_int_equal(pm_plan_block(&machine, limits, try->block_size).lacks == 0, more == 0);
        n_built += compare_both(&other, limits);
    }
    return n_built;
}
