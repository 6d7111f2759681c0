/* SPDX-License-Identifier: MIT */
/* A type1 IOMMU. Linux: drivers/vfio/vfio_iommu_type1.c. */
#ifndef PLUGMAP_SRC_FAKE_TYPE1_TYPE1_H
#define PLUGMAP_SRC_FAKE_TYPE1_TYPE1_H

#include <plugmap/fake.h>

#include "base/range_map.h"
#include "fake/memory/page_table.h"
#include "fake/memory/pin.h"

typedef struct {
    PmRangeKey key;
    uint64_t host;
    PmPins pins;
    uint32_t access;          /* PmIommuAccess */
    uint32_t address_invalid; /* UNMAP with VADDR took the host address away */
} PmMapping;

typedef struct PmFakeType1 {
    PmFakeMachine *machine;
    PmFakeMemory *memory;
    bool v2;
    uint32_t n_available;
    PmRangeMap *mappings; /* of PmMapping */
    PmPageTable *table;
    uint64_t n_invalid_addresses;
    GHashTable *bitmaps; /* of each mapping, by its first address; NULL: dirty logging is off */
} PmFakeType1;

PmFakeType1 *pm_fake_type1_new(PmFakeMemory *memory, bool v2);
void pm_fake_type1_free(PmFakeType1 *type1);
int pm_fake_type1_ioctl(PmFakeType1 *type1, unsigned long request, void *argument);
bool pm_fake_type1_has_invalid_addresses(const PmFakeType1 *type1);

/* --- for its other files --- */

/* The smallest page of the IOMMU. */
uint64_t pm_fake_type1_page_size(const PmFakeType1 *type1);
static inline uint64_t pm_mapping_size(const PmMapping *mapping)
{
    return mapping->key.last - mapping->key.first + 1;
}
/* Whether [first, last] begins or ends inside a mapping. */
bool pm_fake_type1_cuts(const PmFakeType1 *type1, uint64_t first, uint64_t last);

int pm_fake_type1_get_info(PmFakeType1 *type1, void *argument);
int pm_fake_type1_unmap(PmFakeType1 *type1, void *argument);

#endif
