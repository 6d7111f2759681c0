/* SPDX-License-Identifier: MIT */
/* The stack that a plan is about, on a kernel: boot memory and a virtio-mem region, mapped for
 * devices. What it does is the truth that the plan is compared with. */
#ifndef PLUGMAP_TESTS_UNIT_PLAN_PLAN_WORLD_H
#define PLUGMAP_TESTS_UNIT_PLAN_PLAN_WORLD_H

#include <plugmap/plugmap.h>

#include "plan/block.h"

/* @devices: as many as the machine has. @strict: refuse the region up front if it does not fit;
 * otherwise plug until a request is refused. */
typedef struct {
    PmKernel *kernel;
    const char *const *devices;
    const PmPlanMachine *machine;
    uint64_t block_size;
    bool strict;
} PlanCase;

/* @lack: what the first refusal lacked; 0: everything is plugged (strict: would be accepted).
 * @plugged: bytes. @address: of the region; 0: no place. @n_mappings: of the fullest address space;
 * @pinned: bytes, over all of them. */
typedef struct {
    unsigned lack;
    uint64_t plugged;
    uint64_t address;
    uint64_t n_mappings;
    uint64_t pinned;
} PlanTruth;

PlanTruth plan_try(const PlanCase *try);

/* Fails the test unless the plan is what the kernel does, with and without the largest region and a
 * block more. @limits: the kernel's. Returns the number of stacks that were built. */
unsigned plan_compare(const PlanCase *try, const PmPlanLimits *limits);

#endif
