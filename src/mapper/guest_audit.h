/* SPDX-License-Identifier: MIT */
/* Compares the table of a guest IOMMU with what the address spaces have mapped. */
#ifndef PLUGMAP_SRC_MAPPER_GUEST_AUDIT_H
#define PLUGMAP_SRC_MAPPER_GUEST_AUDIT_H

#include "mapper/guest_domain.h"

/* These add to @audit, and set @error to the first difference, unless already set. */

/* @guest_iommu: whose table the domain follows. Adds the domain's pieces to *@n_pieces. */
void pm_guest_audit_domain(PmGuestDomain *domain, const PmGuestIommu *guest_iommu,
                           uint64_t *n_pieces, PmGuestMapperAudit *audit, GError **error);

void pm_guest_audit_region(const PmGuestRegion *region, GError **error);

#endif
