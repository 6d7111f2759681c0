/* SPDX-License-Identifier: MIT */
#include "plan/block.h"

#include "plan/layout.h"

static uint64_t count_boot_mappings(const PmPlanMachine *machine)
{
    PmPlanPiece pieces[PM_PLAN_MAX_BOOT_PIECES];

    return pm_plan_boot_pieces(machine, pieces);
}

/* A device is in bypass, where all memory is mapped, or has the guest's mappings. */
static uint64_t count_mappings(const PmPlanMachine *machine, uint64_t block_size)
{
    uint64_t n_blocks = machine->size / block_size + (machine->size % block_size != 0);

    return MAX(count_boot_mappings(machine) + n_blocks, machine->guest_mappings);
}

uint64_t pm_plan_locked(const PmPlanMachine *machine)
{
    return pm_plan_n_spaces(machine) * (machine->boot_memory + machine->size);
}

/* What an address space may lock. */
static uint64_t locked_share(const PmPlanMachine *machine, const PmPlanLimits *limits)
{
    return limits->locked / pm_plan_n_spaces(machine);
}

static uint64_t largest_by_mappings(const PmPlanMachine *machine, const PmPlanLimits *limits,
                                    uint64_t block_size)
{
    uint64_t n_boot = count_boot_mappings(machine);
    uint64_t n_blocks = PM_PLAN_MAX_SIZE / block_size;

    if (limits->n_mappings < MAX(n_boot, machine->guest_mappings))
        return 0;
    return MIN(n_blocks, limits->n_mappings - n_boot) * block_size;
}

static uint64_t largest_by_locked(const PmPlanMachine *machine, const PmPlanLimits *limits,
                                  uint64_t block_size)
{
    uint64_t share = locked_share(machine, limits);

    if (limits->locked == UINT64_MAX)
        return PM_PLAN_MAX_SIZE / block_size * block_size;
    return share < machine->boot_memory ? 0
                                        : (share - machine->boot_memory) / block_size * block_size;
}

static bool has_page(const PmPlanMachine *machine, const PmPlanLimits *limits, uint64_t block_size)
{
    return block_size >= pm_plan_memory_page(machine) && block_size >= limits->page_size &&
           block_size <= PM_PLAN_MAX_SIZE;
}

static uint64_t find_largest(const PmPlanMachine *machine, const PmPlanLimits *limits,
                             uint64_t block_size)
{
    uint64_t largest;

    if (!has_page(machine, limits, block_size) || !pm_plan_boot_is_valid(machine, limits))
        return 0;
    largest = MIN(largest_by_mappings(machine, limits, block_size),
                  largest_by_locked(machine, limits, block_size));
    return MIN(largest, pm_plan_largest_place(machine, limits, block_size));
}

PmPlanBlock pm_plan_block(const PmPlanMachine *machine, const PmPlanLimits *limits,
                          uint64_t block_size)
{
    PmPlanBlock block = {
        .block_size = block_size,
        .n_mappings = count_mappings(machine, block_size),
        .largest = find_largest(machine, limits, block_size),
    };

    if (!has_page(machine, limits, block_size) || machine->size % block_size != 0)
        block.lacks |= PM_PLAN_LACKS_BLOCKS;
    if (!pm_plan_place_region(machine, limits, block_size, &block.address) ||
        !pm_plan_boot_is_valid(machine, limits))
        block.lacks |= PM_PLAN_LACKS_ADDRESSES;
    if (block.n_mappings > limits->n_mappings)
        block.lacks |= PM_PLAN_LACKS_MAPPINGS;
    if (pm_plan_locked(machine) > limits->locked)
        block.lacks |= PM_PLAN_LACKS_LOCKED_MEMORY;
    return block;
}
