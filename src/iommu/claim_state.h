/* SPDX-License-Identifier: MIT */
/* What a claim is made of. */
#ifndef PLUGMAP_SRC_IOMMU_CLAIM_STATE_H
#define PLUGMAP_SRC_IOMMU_CLAIM_STATE_H

#include <plugmap/iommu_claim.h>

#include "iommu/address_space.h"
#include "iommu/ledger.h"

typedef enum {
    PM_CLAIM_OWNED,
    PM_CLAIM_ABANDONED, /* the PmIommu's */
    PM_CLAIM_ENDED,
} PmClaimLife;

struct PmIommuClaim {
    guint n_references;
    PmClaimLife life;
    PmIommu *iommu; /* a reference while it is owned, a hold of its memory always */
    char *owner;
    PmRam *ram; /* NULL when it has ended */
    uint64_t iova;
    uint64_t last;
    uint64_t size;
    uint64_t block_size;
    uint64_t pinned_size; /* what each block locks: all of it, or nothing of a device's memory */
    /* The budgets' view of it, in blocks (budget.h). */
    uint64_t n_reserved;
    uint64_t n_in_flight; /* about to be mapped */
    uint64_t n_used;
    uint64_t n_committed;
    uint64_t n_promised; /* of n_reserved, what has been committed */
    bool is_in_call;
    PmLedger *ledger;
    char *reason; /* why the last unmap failed, if nothing has been shown to be unmapped since */
};

/* What PmIommu.claims has. */
typedef struct {
    PmRangeKey key;
    PmIommuClaim *claim;
} PmClaimRecord;

#endif
