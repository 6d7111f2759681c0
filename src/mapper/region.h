/* SPDX-License-Identifier: MIT */
/* A piece of guest memory that a mapper looks after: a claim, and the listener that follows the
 * manager. */
#ifndef PLUGMAP_SRC_MAPPER_REGION_H
#define PLUGMAP_SRC_MAPPER_REGION_H

#include <plugmap/iommu_claim.h>
#include <plugmap/mapper.h>

/* The manager holds a reference as long as the claim may have blocks of its RAM mapped: longer than
 * the mapper, if they could not be unmapped. */
typedef struct {
    gatomicrefcount references;
    PmMapperRegion config;       /* with a reference to the RAM */
    PmIommuClaim *claim;         /* NULL: it is optional, and could not be mapped */
    GError *failure;             /* why not */
    PmDiscardManager *manager;   /* NULL: plain RAM, mapped whole */
    PmDiscardListener *listener; /* the manager's */
} PmRegion;

/* Claims the addresses of a region that is as it has to be (region_check.h), and maps plain RAM, or
 * follows the manager. On failure nothing is mapped, or it is in quarantine. */
PmRegion *pm_region_new(PmIommu *iommu, const PmMapperRegion *config, GError **error);

/* A region that could not be mapped. Takes @failure. */
PmRegion *pm_region_new_unmapped(const PmMapperRegion *config, GError *failure);

void pm_region_unref(PmRegion *region);

/* Unmaps it and gives its addresses back; on failure everything stays. */
bool pm_region_release(PmRegion *region, GError **error);

/* What cannot be unmapped stays mapped, and in quarantine. */
void pm_region_abandon(PmRegion *region);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmRegion, pm_region_unref)

#endif
