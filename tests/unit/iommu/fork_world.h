/* SPDX-License-Identifier: MIT */
/* All objects that a child can have a copy of, on a fake kernel that counts its calls in memory
 * that parent and child share. */
#ifndef PLUGMAP_TESTS_UNIT_IOMMU_FORK_WORLD_H
#define PLUGMAP_TESTS_UNIT_IOMMU_FORK_WORLD_H

#include <stdatomic.h>

#include "util/stack_util.h"

#define N_PLUGGED 4
#define N_MAPPED  (N_PLUGGED + 1)
#define PAGE      UINT64_C(4096)

/* Of calls that could change something for another process. */
typedef struct {
    char registers[PAGE]; /* a page of its own */
    atomic_uint n_calls;
} Shared;

typedef struct {
    PmKernel parent;
    PmKernel *next;
    Shared *shared;
} CountingKernel;

typedef struct {
    CountingKernel kernel;
    PmKernel *fake;
    PmIommu *iommu;
    PmRam *ram;
    PmVirtioMem *device;
    PmMapper *mapper;
    PmRam *page;
    PmIommuClaim *claim; /* of two pages, the first mapped */
} World;

/* A test's setup and its teardown. */
int make_world(void **state);
int drop_world(void **state);

/* False: there is no answer. */
bool request(World *world, uint16_t type, unsigned first, uint16_t n_blocks, GError **error);

PmIommuClaim *claim_pages(PmIommu *iommu, PmRam *ram, uint64_t n_pages);

/* What a child does; whether all was well. */
typedef bool (*Body)(World *world);

/* Nothing of the parent's changes with what a child does, and the kernel is not called. */
void check_children(World *world, Body body);

#endif
