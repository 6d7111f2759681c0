/* SPDX-License-Identifier: MIT */
/* The bare system calls, the baseline for the whole stack. They exit the program on failure. */
#ifndef PLUGMAP_TESTS_BENCH_BARE_H
#define PLUGMAP_TESTS_BENCH_BARE_H

#include <plugmap/plugmap.h>

typedef struct {
    PmKernel *kernel;
    PmIommuBackend backend;
    int space;  /* the container, or the iommufd */
    int member; /* the group, or the device */
    uint32_t ioas;
} Bare;

/* The address space's descriptor of a PmIommu is not for others; this opens another in the same
 * way. */
void bare_open(Bare *bare, PmKernel *kernel, PmIommuBackend backend, const char *device);
void bare_close(Bare *bare);

void bare_map(const Bare *bare, uint64_t iova, const void *host, uint64_t size);
void bare_unmap(const Bare *bare, uint64_t iova, uint64_t size);

/* "type1" or "iommufd". */
const char *bare_backend_name(PmIommuBackend backend);

#endif
