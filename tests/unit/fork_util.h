/* SPDX-License-Identifier: MIT */
/* Children that have a copy of the whole stack, and what their parent sees of what they do. The
 * kernel counts in memory that both share. */
#ifndef PLUGMAP_TESTS_FORK_UTIL_H
#define PLUGMAP_TESTS_FORK_UTIL_H

#include <stdatomic.h>

#include "stack_util.h"

#define FORK_N_PLUGGED 4
#define FORK_PAGE      UINT64_C(4096)
#define FORK_BYTE      0x5a /* is in all plugged memory */

typedef struct {
    char registers[FORK_PAGE]; /* a page of its own */
    atomic_uint n_calls;       /* that could change something for another process */
} ForkShared;

typedef struct {
    PmKernel parent;
    PmKernel *next;
    ForkShared *shared;
} ForkKernel;

/* FORK_N_PLUGGED blocks of a device are plugged and mapped, as of stack_util.h. */
typedef struct {
    ForkKernel kernel;
    PmKernel *fake;
    PmIommu *iommu;
    PmRam *ram;
    PmVirtioMem *device;
    PmMapper *mapper;
} ForkWorld;

/* For cmocka. */
int fork_world_set_up(void **state);
int fork_world_tear_down(void **state);

/* Hands the device a request. False: there is no answer. */
bool fork_request(ForkWorld *world, uint16_t type, unsigned first, uint16_t n_blocks,
                  GError **error);

/* What a child does; false: not as it should be. It tells by its exit status: cmocka's assertions
 * would go on with the next test there. */
typedef bool (*ForkBody)(ForkWorld *world);

/* In a child of each kind that there is: by fork(), by _Fork() and by a bare system call. */
void fork_run_children(ForkBody body, ForkWorld *world);

/* The same, and nothing of the parent's changes, and the kernel is not called. */
void fork_check_children(ForkWorld *world, ForkBody body);

/* Whether it has failed as it does in a child; frees @error. */
bool fork_is_refused(bool done, GError *error);

#endif
