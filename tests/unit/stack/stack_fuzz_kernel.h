/* SPDX-License-Identifier: MIT */
/* A kernel that fails as it is told to, but does not lie: where a MAP is a question for what is
 * mapped, it does not get an error that would be an answer. */
#ifndef PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_KERNEL_H
#define PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_KERNEL_H

#include <plugmap/fake.h>

#define FUZZ_MAX_FAULTS 4

typedef struct {
    uint64_t first; /* the numbers of the MAPs */
    uint64_t end;
    int error_number;
} FuzzMapFault;

typedef struct {
    PmKernel parent;
    PmKernel *fake;
    const bool *traced; /* whether calls are printed */
    bool freed;
    uint64_t n_maps;
    FuzzMapFault faults[FUZZ_MAX_FAULTS]; /* of MAPs; those of UNMAPs are the fake kernel's */
    unsigned n_faults;
    uint64_t added_size; /* to what the next UNMAP says that it removed */
} FuzzKernel;

/* @kernel is not freed with its last reference, but then says so. */
void fuzz_kernel_init(FuzzKernel *kernel, PmKernel *fake, const bool *traced);

/* The @nth MAP from now on fails, and those behind it, @n_maps of them. */
void fuzz_kernel_fail_maps(FuzzKernel *kernel, uint64_t nth, uint64_t n_maps, int error_number);

/* Drops all faults, the fake kernel's as well. */
void fuzz_kernel_clear_faults(FuzzKernel *kernel);

#endif
