/* SPDX-License-Identifier: MIT */
/* What a sender hands over together: mappers, and the address spaces that they map. */
#ifndef PLUGMAP_SRC_MIGRATION_HANDOVER_PARTY_H
#define PLUGMAP_SRC_MIGRATION_HANDOVER_PARTY_H

#include <plugmap/handover.h>

#include "migration/handover_state.h"

/* PmHandoverParty: owns nothing but its containers. */
typedef struct {
    PmMapper *const *mappers;
    size_t n_mappers;
    GPtrArray *iommus;  /* of PmIommu, each once */
    GHashTable *claims; /* of PmIommuClaim: of all regions */
} PmHandoverParty;

/* @party is initialized even on failure. Errors: PM_ERROR_INVALID_ARGUMENT (none, too many, one
 * twice). */
bool pm_handover_party_init(PmHandoverParty *party, PmMapper *const *mappers, size_t n_mappers,
                            GError **error);
void pm_handover_party_clear(PmHandoverParty *party);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmHandoverParty, pm_handover_party_clear)

/* As pm_iommu_handover_check(), for all. */
bool pm_handover_party_check(const PmHandoverParty *party, GError **error);

/* As pm_iommu_handover_begin(), for all or none. Until pm_handover_party_cancel(), which a success
 * does not need, nobody can map the RAM elsewhere. */
bool pm_handover_party_begin(const PmHandoverParty *party, GError **error);
void pm_handover_party_cancel(const PmHandoverParty *party);

/* Describes all. Errors: PM_ERROR_BUSY (a region without a claim), PM_ERROR_LIMIT (too many
 * descriptors), PM_ERROR_MEMORY. */
bool pm_handover_party_describe(const PmHandoverParty *party, PmHandoverState *state,
                                GError **error);

#endif
