/* SPDX-License-Identifier: MIT */
/* State of a claim. */
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
    PmIommu *iommu; /* a reference while it has an owner, a holder always */
    char *owner;
    PmRam *ram;          /* NULL once it has ended */
    uint64_t ram_offset; /* the part of the RAM that may be mapped */
    uint64_t ram_end;
    uint64_t discard_claim; /* on that part */
    uint64_t iova;
    uint64_t last;
    uint64_t size;
    uint64_t block_size;
    uint64_t pinned_size; /* locked memory per block: 0 for device memory */
    /* Budgets, in blocks (budget.h). */
    uint64_t n_reserved;
    uint64_t n_in_flight; /* about to be mapped */
    uint64_t n_used;
    uint64_t n_committed;
    uint64_t n_promised; /* committed part of n_reserved */
    bool is_in_call;
    bool is_written; /* a block was mapped for writing */
    PmLedger *ledger;
    char *reason; /* why the last unmap failed; NULL once blocks are known to be unmapped */
};

/* Element of PmIommu.claims. */
typedef struct {
    PmRangeKey key;
    PmIommuClaim *claim;
} PmClaimRecord;

#endif
