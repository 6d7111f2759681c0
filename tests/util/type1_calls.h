/* SPDX-License-Identifier: MIT */
/* System calls on a container, for tests of a kernel without plugmap. */
#ifndef PLUGMAP_TESTS_UTIL_TYPE1_CALLS_H
#define PLUGMAP_TESTS_UTIL_TYPE1_CALLS_H

#include <plugmap/kernel.h>

/* Return what the kernel does. *@n_bytes (may be NULL): out, the size returned. */
int type1_map(PmKernel *kernel, int container, uint32_t flags, uint64_t iova, const void *host,
              uint64_t size);
int type1_unmap(PmKernel *kernel, int container, uint32_t flags, uint64_t iova, uint64_t size,
                uint64_t *n_bytes);

/* dma_avail of the capability chain; fails the test if there is none. */
uint32_t type1_available(PmKernel *kernel, int container);

#endif
