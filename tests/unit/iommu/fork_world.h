/* SPDX-License-Identifier: MIT */
/* All objects that a child can have a copy of, on a fake kernel that counts its calls in memory
 * shared by parent and child. */
#ifndef PLUGMAP_TESTS_UNIT_IOMMU_FORK_WORLD_H
#define PLUGMAP_TESTS_UNIT_IOMMU_FORK_WORLD_H

#include <stdatomic.h>

#include "util/stack_util.h"

#define N_PLUGGED 4
#define N_MAPPED  (N_PLUGGED + 1)
#define PAGE      UINT64_C(4096)

/* Number of calls that could affect another process. */
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

/* Setup and teardown of a test. */
int make_world(void **state);
int drop_world(void **state);

/* False without a response. */
bool request(World *world, uint16_t type, unsigned first, uint16_t n_blocks, GError **error);

PmIommuClaim *claim_pages(PmIommu *iommu, PmRam *ram, uint64_t n_pages);

/* Runs in a child; returns whether all went well. */
typedef bool (*Body)(World *world);

/* Checks that a child changes nothing of its parent's, and makes no kernel call. */
void check_children(World *world, Body body);

#endif
