/* SPDX-License-Identifier: MIT */
/* Whether a VM fits with a block size, and the largest region that does. */
#ifndef PLUGMAP_SRC_PLAN_BLOCK_H
#define PLUGMAP_SRC_PLAN_BLOCK_H

#include "plan/machine.h"

/*
 * PmPlanLack: what is missing.
 * @PM_PLAN_LACKS_BLOCKS: the region is not a number of such blocks, or they are smaller than a page
 * of the memory or of the IOMMU.
 * @PM_PLAN_LACKS_ADDRESSES: I/O addresses. @PM_PLAN_LACKS_MAPPINGS: mappings of an address space.
 * @PM_PLAN_LACKS_LOCKED_MEMORY: locked memory of the process.
 */
typedef enum {
    PM_PLAN_LACKS_BLOCKS = 1 << 0,
    PM_PLAN_LACKS_ADDRESSES = 1 << 1,
    PM_PLAN_LACKS_MAPPINGS = 1 << 2,
    PM_PLAN_LACKS_LOCKED_MEMORY = 1 << 3,
} PmPlanLack;

/*
 * @address: of the region; where it would be if nothing is long enough.
 * @n_mappings: per address space, with all blocks plugged.
 * @lacks: of PmPlanLack; 0: fits.
 * @largest: bytes of the largest region that fits with this block size; 0: none.
 */
typedef struct {
    uint64_t block_size;
    uint64_t address;
    uint64_t n_mappings;
    unsigned lacks;
    uint64_t largest;
} PmPlanBlock;

/* @machine: checked (pm_plan_check_machine()). @block_size: a power of two. */
PmPlanBlock pm_plan_block(const PmPlanMachine *machine, const PmPlanLimits *limits,
                          uint64_t block_size);

/* Bytes that the VMM locks with all blocks plugged: each address space counts all memory. */
uint64_t pm_plan_locked(const PmPlanMachine *machine);

#endif
