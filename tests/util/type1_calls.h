/* SPDX-License-Identifier: MIT */
/* A container's calls, for tests that speak to a kernel directly. */
#ifndef PLUGMAP_TESTS_UTIL_TYPE1_CALLS_H
#define PLUGMAP_TESTS_UTIL_TYPE1_CALLS_H

#include <plugmap/kernel.h>

/* Both return what the kernel does. @n_bytes: set to the size that comes back; may be NULL. */
int type1_map(PmKernel *kernel, int container, uint32_t flags, uint64_t iova, const void *host,
              uint64_t size);
int type1_unmap(PmKernel *kernel, int container, uint32_t flags, uint64_t iova, uint64_t size,
                uint64_t *n_bytes);

/* dma_avail of the capability chain; fails the test if there is none. */
uint32_t type1_available(PmKernel *kernel, int container);

#endif
