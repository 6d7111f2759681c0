/* SPDX-License-Identifier: MIT */
/*
 * An I/O address space: its areas, and where areas may be. Linux: drivers/iommu/iommufd/ioas.c and
 * io_pagetable.c.
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
    uint64_t start; /* offset in the pages */
    PmIommuAccess access;
} PmArea;

/* I/O addresses reserved by a device or a page table, the owner. */
typedef struct {
    PmRangeKey key;
    const void *owner;
} PmReserved;

/* A page table that contains the areas. */
typedef struct {
    PmPageTable *table;
    struct PmHwpt *hwpt; /* the HWPT it belongs to */
} PmIoasTable;

typedef struct PmIoas {
    PmObject object;
    PmFakeIommufd *iommufd;
    PmRangeMap *areas;   /* of PmArea */
    PmRangeMap *allowed; /* of PmRangeKey; empty: all */
    GArray *reserved;    /* of PmReserved */
    GArray *tables;      /* of PmIoasTable */
    uint64_t alignment;  /* of areas, in I/O addresses and in memory */
    bool small_pages;    /* page tables use the smallest pages only */
} PmIoas;

PmIoas *pm_ioas_new(PmFakeIommufd *iommufd);

int pm_ioas_alloc(PmFakeIommufdRequest *request);
int pm_ioas_iova_ranges(PmFakeIommufdRequest *request);
int pm_ioas_allow_iovas(PmFakeIommufdRequest *request);

/* Returns 0, -EINVAL (page tables contain areas) or -EADDRINUSE (areas are not page aligned). */
int pm_ioas_set_small_pages(PmIoas *ioas, bool small_pages);

/* Returns 0 or -EADDRINUSE: the range contains areas or explicitly allowed addresses. */
int pm_ioas_reserve(PmIoas *ioas, uint64_t first, uint64_t last, const void *owner);
void pm_ioas_unreserve(PmIoas *ioas, const void *owner);
bool pm_ioas_is_reserved(const PmIoas *ioas, uint64_t first, uint64_t last);
/* The first range at or after @from that is not reserved; false if there is none. */
bool pm_ioas_next_valid(const PmIoas *ioas, uint64_t from, PmRangeKey *range);

/* --- areas --- */

static inline uint64_t pm_area_size(const PmArea *area)
{
    return area->key.last - area->key.first + 1;
}
/* The area after @area, or NULL. */
PmArea *pm_ioas_next_area(const PmIoas *ioas, const PmArea *area);
bool pm_ioas_is_aligned(const PmIoas *ioas, uint64_t alignment);
/* Sets the alignment that page tables and options require. Returns 0 or -EADDRINUSE (areas are
 * less aligned). */
int pm_ioas_update_alignment(PmIoas *ioas);

#endif
