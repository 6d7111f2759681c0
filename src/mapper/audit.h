/* SPDX-License-Identifier: MIT */
/* Compares what a manager has populated with what a claim has mapped, run by run. */
#ifndef PLUGMAP_SRC_MAPPER_AUDIT_H
#define PLUGMAP_SRC_MAPPER_AUDIT_H

#include "mapper/region.h"

/* Adds to @audit; @error is set to the first difference, unless it is set already. @range: of guest
 * addresses, or NULL for all. */
void pm_audit_region(const PmRegion *region, const PmIovaRange *range, PmMapperAudit *audit,
                     GError **error);

#endif
