/* SPDX-License-Identifier: MIT */
/* Where a VM's memory is: guest addresses, which are I/O addresses. */
#ifndef PLUGMAP_SRC_PLAN_LAYOUT_H
#define PLUGMAP_SRC_PLAN_LAYOUT_H

#include "plan/machine.h"

#define PM_PLAN_MAX_BOOT_PIECES 2

typedef struct {
    uint64_t address;
    uint64_t size;
} PmPlanPiece;

/*
 * Boot memory as QEMU's q35 places it: below the PCI hole, the rest from 4 GiB on. Each piece is
 * plain RAM, which is one mapping. Returns the number of pieces.
 */
size_t pm_plan_boot_pieces(const PmPlanMachine *machine,
                           PmPlanPiece pieces[PM_PLAN_MAX_BOOT_PIECES]);

/* Whether the addresses are inside one valid range. @size: not 0, and no wrap. */
bool pm_plan_is_valid(const PmPlanLimits *limits, uint64_t address, uint64_t size);

/* Whether all boot memory is at valid I/O addresses. */
bool pm_plan_boot_is_valid(const PmPlanMachine *machine, const PmPlanLimits *limits);

/*
 * The lowest address of the region above the boot memory, a multiple of the block size and of 1
 * GiB, at which all of it is inside one valid range. Returns false if there is none; @address is
 * then the lowest one of all.
 */
bool pm_plan_place_region(const PmPlanMachine *machine, const PmPlanLimits *limits,
                          uint64_t block_size, uint64_t *address);

/* Bytes of the largest region with such a place: whole blocks, at most PM_PLAN_MAX_SIZE. */
uint64_t pm_plan_largest_place(const PmPlanMachine *machine, const PmPlanLimits *limits,
                               uint64_t block_size);

#endif
