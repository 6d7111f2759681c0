/* SPDX-License-Identifier: MIT */
/* A process with privileges opens descriptors on a fake kernel, for a process that cannot open
 * files. */
#ifndef PLUGMAP_TESTS_UTIL_SENT_UTIL_H
#define PLUGMAP_TESTS_UTIL_SENT_UTIL_H

#include <plugmap/plugmap.h>

#include "util/iommu_fixture.h"

#define SENT_N 3

/* Device i is alone in group i + 1. */
typedef struct {
    PmKernel *kernel;    /* of the sender */
    HookedKernel hooked; /* of the receiver: every open fails */
    int main;            /* the container or iommufd */
    int fds[SENT_N];     /* groups or device cdevs */
    uint32_t ids[SENT_N];
    PmType1Config type1; /* the container and the first group */
    PmIommufdConfig iommufd;
    PmIommu *iommu; /* set by a test; dropped by teardown */
    PmRam *ram;     /* four blocks */
    char *memory;   /* the RAM's */
} Sent;

extern const char *const sent_devices[SENT_N];

/* Around a test, for cmocka. */
int sent_setup(void **state);
int sent_teardown(void **state);

/* From the descriptors, with the back end under test. */
PmIommu *sent_try_to_open(Sent *sent, GError **error);
void sent_open(Sent *sent);

/* Opening fails with @code and @words, and takes no descriptor. */
void sent_assert_refused(Sent *sent, PmError code, const char *words);

/* System calls of the sender. */
int sent_file(const Sent *sent, const char *path);
int sent_ioctl(const Sent *sent, int fd, unsigned long request, void *argument);
void sent_close(const Sent *sent, int fd);

/* Number of descriptors open in the fake kernel. */
uint64_t sent_n_open(const Sent *sent);

/* Number of mappings for device i. */
uint64_t sent_n_mappings(const Sent *sent, unsigned i);

/* Claims @n_blocks from block @first on, and maps block @mapped if it is one of them. */
PmIommuClaim *sent_claim(const Sent *sent, uint64_t first, uint64_t n_blocks, uint64_t mapped);

/* Whether the device reads the contents of a block of memory by DMA. */
bool sent_device_sees(const Sent *sent, unsigned i, uint64_t block);

#endif
