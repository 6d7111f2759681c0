/* SPDX-License-Identifier: MIT */
/* Compares the populated blocks of a manager with the mapped blocks of a claim, run by run. */
#ifndef PLUGMAP_SRC_MAPPER_AUDIT_H
#define PLUGMAP_SRC_MAPPER_AUDIT_H

#include "mapper/region.h"

/* What a claim should have mapped. */
typedef struct {
    PmIommuClaim *claim;
    const PmDiscardManager *manager; /* NULL: plain RAM, mapped whole */
    uint64_t ram_offset;
    uint64_t size;
    uint64_t address; /* in the guest, for messages */
} PmAuditView;

/* Adds to @audit; sets @error to the first difference, unless already set. Compares blocks of
 * [@offset, @limit), relative to the view. */
void pm_audit_blocks(const PmAuditView *view, uint64_t offset, uint64_t limit, PmMapperAudit *audit,
                     GError **error);

/* Sets @error if anything of the view's RAM is in quarantine, unless already set. */
void pm_audit_quarantine(const PmAuditView *view, GError **error);

/* Ends an audit: copies @counts, of @size bytes, to the caller's struct, if that is not NULL. Takes
 * @first, the first difference; returns whether there is none. */
bool pm_audit_end(void *callers, const void *counts, size_t size, GError *first, GError **error);

/* Adds to @audit; sets @error to the first difference, unless already set. @range: guest addresses,
 * or NULL for all. */
void pm_audit_region(const PmRegion *region, const PmIovaRange *range, PmMapperAudit *audit,
                     GError **error);

#endif
