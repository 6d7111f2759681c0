/* SPDX-License-Identifier: MIT */
/* A type1 IOMMU and its mappings. */
#ifndef PLUGMAP_SRC_FAKE_TYPE1_TYPE1_MAPPINGS_H
#define PLUGMAP_SRC_FAKE_TYPE1_TYPE1_MAPPINGS_H

#include <plugmap/fake.h>

#include "base/range_map.h"
#include "fake/memory/page_table.h"
#include "fake/memory/pin.h"

typedef struct {
    PmRangeKey key;
    uint64_t host;
    PmPins pins;
    uint32_t access;          /* PmIommuAccess */
    uint32_t address_invalid; /* by UNMAP with VADDR */
} PmMapping;

typedef struct PmFakeType1 {
    PmFakeMachine *machine;
    PmFakeMemory *memory;
    bool v2;
    uint32_t n_available;
    PmRangeMap *mappings; /* of PmMapping */
    PmPageTable *table;
    uint64_t n_invalid_addresses;
    GHashTable
        *bitmaps; /* of each mapping, by its first address; NULL while dirty logging is off */
} PmFakeType1;

PmFakeType1 *pm_fake_type1_new(PmFakeMemory *memory, bool v2);
void pm_fake_type1_free(PmFakeType1 *type1);
bool pm_fake_type1_has_invalid_addresses(const PmFakeType1 *type1);

/* The IOMMU's smallest page. */
uint64_t pm_fake_type1_page_size(const PmFakeType1 *type1);

static inline uint64_t pm_mapping_size(const PmMapping *mapping)
{
    return mapping->key.last - mapping->key.first + 1;
}
/* The mapping after @mapping, or NULL. */
PmMapping *pm_fake_type1_next_mapping(const PmFakeType1 *type1, const PmMapping *mapping);
/* Whether [first, last] begins or ends inside a mapping. */
bool pm_fake_type1_cuts(const PmFakeType1 *type1, uint64_t first, uint64_t last);

#endif
