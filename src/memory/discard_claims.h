/* SPDX-License-Identifier: MIT */
/* The discard claims on a PmRam, which locks them. */
#ifndef PLUGMAP_SRC_MEMORY_DISCARD_CLAIMS_H
#define PLUGMAP_SRC_MEMORY_DISCARD_CLAIMS_H

#include <plugmap/discard_policy.h>

#define PM_DISCARD_N_KINDS 4

/* What to claim. */
typedef struct {
    uint64_t id; /* pm_discard_claim_new_id() */
    PmDiscardClaimKind kind;
    const char *owner;
    uint64_t offset;
    uint64_t size;
    const char *way_out;   /* how to end it, a static string; NULL: pm_ram_release_discards() */
    bool follows_manager;  /* maps what the RAM's discard manager has populated, and nothing else */
    bool excludes_manager; /* only that (pm_ram_exclude_manager()): not a claim of its kind */
} PmDiscardClaimRequest;

/* A claim that is held. */
typedef struct {
    PmDiscardClaimRequest request;
    char owner[]; /* request.owner */
} PmDiscardHolder;

/* What a search needs of a claim. */
typedef struct {
    uint64_t id;
    uint64_t offset;
    uint64_t size;
    PmDiscardHolder *holder; /* NULL: released */
} PmDiscardEntry;

/* Ascending by id. A guest IOMMU makes a claim for each of its mappings, and releases all at once:
 * entries of released claims are dropped together, once they are the majority. */
typedef struct {
    PmDiscardEntry *entries;
    size_t n_entries;
    size_t n_held;
    size_t n_allocated;
} PmDiscardList;

typedef struct {
    PmDiscardList of_kind[PM_DISCARD_N_KINDS];
    PmDiscardList of_unmanaged; /* those that exclude a manager; they conflict with no claim */
} PmDiscardClaims;

/* A discard that is running: on the stack of the thread that discards. */
typedef struct PmRunningDiscard PmRunningDiscard;
struct PmRunningDiscard {
    PmRunningDiscard *next;
    PmDiscardClaimKind kind; /* the kind that requires such discards */
    uint64_t offset;
    uint64_t size;
};

/* Never 0, and above all earlier ones. Any thread. */
uint64_t pm_discard_claim_new_id(void);

/* Whether a claim of one kind excludes one of the other. */
bool pm_discard_kinds_conflict(PmDiscardClaimKind one, PmDiscardClaimKind other);

/* Whether [@offset, @offset + @size) and the other range have a byte in common. */
bool pm_discard_ranges_overlap(uint64_t offset, uint64_t size, uint64_t other_offset,
                               uint64_t other_size);

/* Adds it without checking for conflicts. False if there is no memory. */
bool pm_discard_claims_add(PmDiscardClaims *claims, const PmDiscardClaimRequest *request);

/* NULL if there is none with that id. */
const PmDiscardHolder *pm_discard_claims_find(const PmDiscardClaims *claims, uint64_t id);

/* The first with an id above @after, or NULL. */
const PmDiscardHolder *pm_discard_claims_next(const PmDiscardClaims *claims, uint64_t after);

/* The first that excludes claims of @kind on the range, or NULL. */
const PmDiscardHolder *pm_discard_claims_find_conflict(const PmDiscardClaims *claims,
                                                       PmDiscardClaimKind kind, uint64_t offset,
                                                       uint64_t size);

/* The first that follows a manager, or NULL. */
const PmDiscardHolder *pm_discard_claims_find_follower(const PmDiscardClaims *claims);

/* The first that excludes a manager, or NULL. */
const PmDiscardHolder *pm_discard_claims_find_unmanaged(const PmDiscardClaims *claims);

/* Returns whether it was there. */
bool pm_discard_claims_remove(PmDiscardClaims *claims, uint64_t id);

void pm_discard_claims_clear(PmDiscardClaims *claims);

#endif
