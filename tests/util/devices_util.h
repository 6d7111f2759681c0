/* SPDX-License-Identifier: MIT */
/* Two devices. With PLUGMAP_KERNEL=host they are those of tests/vm/run: 0000:00:06.0 (QEMU's
 * nvme) and 0000:00:05.0 (edu). */
#ifndef PLUGMAP_TESTS_UTIL_DEVICES_UTIL_H
#define PLUGMAP_TESTS_UTIL_DEVICES_UTIL_H

#include <plugmap/plugmap.h>

#include "util/iommu_fixture.h"

#define FIRST  "0000:00:06.0"
#define SECOND "0000:00:05.0"

typedef struct {
    PmKernel *kernel;
    PmIommu *iommu; /* of FIRST */
    PmRam *ram;     /* two blocks */
    char *memory;   /* the RAM's */
    GPtrArray *claims;
} Devices;

/* Setup and teardown of a test. */
int devices_setup(void **state);
int devices_teardown(void **state);

/* An address space with a device. */
PmIommu *devices_open(const Devices *devices, const char *device);

/* Claims a block of I/O addresses until teardown or devices_drop_claims(). */
PmIommuClaim *claim_block(Devices *devices, PmIommu *iommu, uint64_t block);
void devices_drop_claims(Devices *devices);

/* The same, and maps a block of memory there. */
PmIommuClaim *map_block_at(Devices *devices, PmIommu *iommu, uint64_t block, uint64_t ram_block);

/* The same, with the memory block of the same number. */
PmIommuClaim *map_block(Devices *devices, PmIommu *iommu, uint64_t block);

void unmap_block(PmIommuClaim *claim);

/* Whether the device reads the contents of a block of memory by DMA. */
bool device_sees(Devices *devices, PmIommu *iommu, const char *device, uint64_t block);

#endif
