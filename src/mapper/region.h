/* SPDX-License-Identifier: MIT */
/* A region of a mapper: a claim, and the listener that follows the discard manager. */
#ifndef PLUGMAP_SRC_MAPPER_REGION_H
#define PLUGMAP_SRC_MAPPER_REGION_H

#include <plugmap/iommu_claim.h>
#include <plugmap/mapper.h>

/* The manager holds a reference as long as the claim may have blocks of its RAM mapped: longer than
 * the mapper, if unmapping failed. */
typedef struct {
    gatomicrefcount references;
    PmMapperRegion config;       /* with a reference to the RAM */
    PmIommuClaim *claim;         /* NULL: optional, and mapping failed */
    GError *failure;             /* why mapping failed */
    PmDiscardManager *manager;   /* NULL: plain RAM, mapped whole */
    PmDiscardListener *listener; /* owned by the manager */
    bool adopts;                 /* its manager registers it: what is populated is mapped already */
    uint64_t n_adopted;          /* blocks that the manager has populated */
} PmRegion;

/* Claims the addresses of a valid region (region_check.h), and maps plain RAM or follows the
 * manager. On failure nothing is mapped, or it is in quarantine. */
PmRegion *pm_region_new(PmIommu *iommu, const PmMapperRegion *config, GError **error);

/* The same for a region whose blocks another process has mapped: calls no MAP. Its manager must
 * have populated exactly the blocks of @runs. Errors: PM_ERROR_AUDIT (it has not), those of
 * pm_iommu_claim_new() and pm_claim_adopt(). */
PmRegion *pm_region_adopt(PmIommu *iommu, const PmMapperRegion *config, const PmIommuRun *runs,
                          size_t n_runs, GError **error);

/* A region whose mapping failed. Takes ownership of @failure. */
PmRegion *pm_region_new_unmapped(const PmMapperRegion *config, GError *failure);

void pm_region_unref(PmRegion *region);

/* Unmaps the region and releases its addresses; on failure it stays. */
bool pm_region_release(PmRegion *region, GError **error);

/* Blocks that fail to unmap stay mapped, in quarantine. */
void pm_region_abandon(PmRegion *region);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmRegion, pm_region_unref)

#endif
