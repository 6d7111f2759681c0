/* SPDX-License-Identifier: MIT */
#include "plan/layout.h"

#include <plugmap/size.h>

/* QEMU's q35: all boot memory is below the hole if it ends here, else 2 GiB of it. */
#define LOW_END   (2816 * PM_MIB)
#define LOW_SIZE  (2 * PM_GIB)
#define HIGH_BASE (4 * PM_GIB)

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

size_t pm_plan_boot_pieces(const PmPlanMachine *machine,
                           PmPlanPiece pieces[PM_PLAN_MAX_BOOT_PIECES])
{
    uint64_t size = machine->boot_memory;

    if (size == 0)
        return 0;
    if (size < LOW_END) {
        pieces[0] = (PmPlanPiece){.size = size};
        return 1;
    }
    pieces[0] = (PmPlanPiece){.size = LOW_SIZE};
    pieces[1] = (PmPlanPiece){.address = HIGH_BASE, .size = size - LOW_SIZE};
    return 2;
}

bool pm_plan_is_valid(const PmPlanLimits *limits, uint64_t address, uint64_t size)
{
    uint64_t last = address + (size - 1);

    for (size_t i = 0; i < limits->n_ranges; i++)
        if (address >= limits->ranges[i].start && last <= limits->ranges[i].last)
            return true;
    return false;
}

bool pm_plan_boot_is_valid(const PmPlanMachine *machine, const PmPlanLimits *limits)
{
    PmPlanPiece pieces[PM_PLAN_MAX_BOOT_PIECES];
    size_t n_pieces = pm_plan_boot_pieces(machine, pieces);

    for (size_t i = 0; i < n_pieces; i++)
        if (!pm_plan_is_valid(limits, pieces[i].address, pieces[i].size))
            return false;
    return true;
}

static uint64_t region_alignment(uint64_t block_size)
{
    return MAX(block_size, PM_GIB);
}

static uint64_t region_base(const PmPlanMachine *machine, uint64_t block_size)
{
    PmPlanPiece pieces[PM_PLAN_MAX_BOOT_PIECES];
    size_t n_pieces = pm_plan_boot_pieces(machine, pieces);
    uint64_t end = HIGH_BASE;

    if (n_pieces == PM_PLAN_MAX_BOOT_PIECES)
        end += pieces[1].size;
    return round_up(end, region_alignment(block_size));
}

/* The part of a range in which a region can begin and end: aligned, and not below @base. */
static bool find_room(const PmIovaRange *range, uint64_t base, uint64_t block_size,
                      PmPlanPiece *room)
{
    uint64_t alignment = region_alignment(block_size);
    uint64_t start = MAX(range->start, base);
    uint64_t last = MIN(range->last, UINT64_MAX - 1);

    if (start > UINT64_MAX - alignment)
        return false;
    room->address = round_up(start, alignment);
    if (room->address > last)
        return false;
    room->size = (last - room->address + 1) / block_size * block_size;
    return room->size > 0;
}

bool pm_plan_place_region(const PmPlanMachine *machine, const PmPlanLimits *limits,
                          uint64_t block_size, uint64_t *address)
{
    uint64_t base = region_base(machine, block_size);
    PmPlanPiece room;

    *address = base;
    for (size_t i = 0; i < limits->n_ranges; i++) {
        if (find_room(&limits->ranges[i], base, block_size, &room) && room.size >= machine->size) {
            *address = room.address;
            return true;
        }
    }
    return false;
}

uint64_t pm_plan_largest_place(const PmPlanMachine *machine, const PmPlanLimits *limits,
                               uint64_t block_size)
{
    uint64_t base = region_base(machine, block_size);
    uint64_t largest = 0;
    PmPlanPiece room;

    for (size_t i = 0; i < limits->n_ranges; i++)
        if (find_room(&limits->ranges[i], base, block_size, &room))
            largest = MAX(largest, room.size);
    return MIN(largest, PM_PLAN_MAX_SIZE / block_size * block_size);
}
