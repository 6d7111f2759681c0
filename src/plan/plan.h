/* SPDX-License-Identifier: MIT */
/* A plan: all block sizes of a machine, and which one to take. */
#ifndef PLUGMAP_SRC_PLAN_PLAN_H
#define PLUGMAP_SRC_PLAN_PLAN_H

#include "plan/block.h"
#include "plan/limits.h"

/* The block size of QEMU and cloud-hypervisor on x86. */
#define PM_PLAN_USUAL_BLOCK (UINT64_C(2) << 20)

/* Mappings that QEMU 10.2 and later keep for memory slots: as many as KVM has on x86, less one. */
#define PM_PLAN_QEMU_SLOTS 32763

/*
 * @machine, @host: not owned.
 * @blocks: of PmPlanBlock, ascending.
 * @given: index of the block size that was asked for; -1: none.
 * @smallest: index of the smallest one that fits; -1: none does.
 * @enough: the one asked for, if it has enough mappings and addresses, else the smallest one that
 * has; -1: none.
 * @qemu: this one, or the smallest larger one that QEMU accepts, too; -1: none.
 */
typedef struct {
    const PmPlanMachine *machine;
    const PmPlanHost *host;
    GArray *blocks;
    int given;
    int smallest;
    int enough;
    int qemu;
} PmPlan;

/* @block_size: asked for; 0: none, the plan chooses. Errors: PM_ERROR_INVALID_ARGUMENT. */
PmPlan *pm_plan_new(const PmPlanMachine *machine, const PmPlanHost *host, uint64_t block_size,
                    GError **error);
void pm_plan_free(PmPlan *plan);

const PmPlanBlock *pm_plan_get(const PmPlan *plan, int index);

/* The block that the plan is about: the one asked for, else the smallest that fits, else the one
 * that lacks least. */
const PmPlanBlock *pm_plan_subject(const PmPlan *plan);

/* Whether the machine fits: with the block size asked for, else with any. */
bool pm_plan_fits(const PmPlan *plan);

/* Pages of hugetlb memory, boot memory and region; 0 with other memory. */
uint64_t pm_plan_huge_pages(const PmPlanMachine *machine);

/* "mappings, locked memory"; a new string. */
char *pm_plan_describe_lacks(unsigned lacks);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmPlan, pm_plan_free)

#endif
