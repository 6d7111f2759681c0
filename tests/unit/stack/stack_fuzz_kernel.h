/* SPDX-License-Identifier: MIT */
/* A kernel that injects faults without lying: a MAP that probes for existing mappings never fails
 * with an errno that would be a false answer. */
#ifndef PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_KERNEL_H
#define PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_KERNEL_H

#include <plugmap/fake.h>

#define FUZZ_MAX_FAULTS 4

typedef struct {
    uint64_t first; /* number of the first MAP that fails */
    uint64_t end;
    int error_number;
} FuzzMapFault;

typedef struct {
    PmKernel parent;
    PmKernel *fake;
    const bool *traced; /* whether to print calls */
    bool freed;
    uint64_t n_maps;
    FuzzMapFault faults[FUZZ_MAX_FAULTS]; /* of MAPs; the fake kernel injects those of UNMAPs */
    unsigned n_faults;
    uint64_t added_size; /* to the size returned by the next UNMAP */
} FuzzKernel;

/* @kernel is not freed with its last reference; the free operation only sets a flag. */
void fuzz_kernel_init(FuzzKernel *kernel, PmKernel *fake, const bool *traced);

/* Fails @n_maps MAPs, starting with the @nth from now on. */
void fuzz_kernel_fail_maps(FuzzKernel *kernel, uint64_t nth, uint64_t n_maps, int error_number);

/* Removes all faults, including the fake kernel's. */
void fuzz_kernel_clear_faults(FuzzKernel *kernel);

#endif
