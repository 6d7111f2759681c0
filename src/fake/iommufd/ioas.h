/* SPDX-License-Identifier: MIT */
/*
 * An I/O address space: what is mapped in it, and where something may be. Linux:
 * drivers/iommu/iommufd/ioas.c and io_pagetable.c.
 */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_H

#include "base/range_map.h"
#include "fake/iommufd/iommufd.h"
#include "fake/iommufd/iopt_pages.h"

struct PmHwpt;

typedef struct {
    PmRangeKey key;
    PmIoptPages *pages;
    uint64_t start; /* in the pages */
    PmIommuAccess access;
} PmArea;

/* I/O addresses that cannot be used, because of a device or a page table, the owner. */
typedef struct {
    PmRangeKey key;
    const void *owner;
} PmReserved;

/* A page table that has the areas in it. */
typedef struct {
    PmPageTable *table;
    struct PmHwpt *hwpt; /* whose it is */
} PmIoasTable;

typedef struct PmIoas {
    PmObject object;
    PmFakeIommufd *iommufd;
    PmRangeMap *areas;   /* of PmArea */
    PmRangeMap *allowed; /* of PmRangeKey; empty: everything */
    GArray *reserved;    /* of PmReserved */
    GArray *tables;      /* of PmIoasTable */
    uint64_t alignment;  /* of areas, in both address spaces */
    bool small_pages;    /* in page tables */
} PmIoas;

PmIoas *pm_ioas_new(PmFakeIommufd *iommufd);

int pm_ioas_alloc(PmFakeIommufdRequest *request);
int pm_ioas_iova_ranges(PmFakeIommufdRequest *request);
int pm_ioas_allow_iovas(PmFakeIommufdRequest *request);

/* Returns 0, -EINVAL (areas are in page tables) or -EADDRINUSE (areas that are not of whole pages).
 */
int pm_ioas_set_small_pages(PmIoas *ioas, bool small_pages);

/* Returns 0 or -EADDRINUSE: something is mapped there, or has to be allowed. */
int pm_ioas_reserve(PmIoas *ioas, uint64_t first, uint64_t last, const void *owner);
void pm_ioas_unreserve(PmIoas *ioas, const void *owner);
bool pm_ioas_is_reserved(const PmIoas *ioas, uint64_t first, uint64_t last);
/* The first addresses at or behind @from that are not reserved; false if there are none. */
bool pm_ioas_next_valid(const PmIoas *ioas, uint64_t from, PmRangeKey *range);

/* --- areas --- */

static inline uint64_t pm_area_size(const PmArea *area)
{
    return area->key.last - area->key.first + 1;
}
/* The area behind @area, or NULL. */
PmArea *pm_ioas_next_area(const PmIoas *ioas, const PmArea *area);
bool pm_ioas_is_aligned(const PmIoas *ioas, uint64_t alignment);
/* What the page tables and their options ask for now. Returns 0 or -EADDRINUSE (areas that are not
 * as aligned). */
int pm_ioas_update_alignment(PmIoas *ioas);

#endif
