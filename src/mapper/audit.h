/* SPDX-License-Identifier: MIT */
/* Compares the populated blocks of a manager with the mapped blocks of a claim, run by run. */
#ifndef PLUGMAP_SRC_MAPPER_AUDIT_H
#define PLUGMAP_SRC_MAPPER_AUDIT_H

#include "mapper/region.h"

/* Adds to @audit; sets @error to the first difference, unless already set. @range: guest addresses,
 * or NULL for all. */
void pm_audit_region(const PmRegion *region, const PmIovaRange *range, PmMapperAudit *audit,
                     GError **error);

#endif
