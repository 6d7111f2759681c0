/* SPDX-License-Identifier: MIT */
/* The guest's IOMMU in a replay: one endpoint in one translated domain, whose mappings the trace's
 * iommu-map and iommu-unmap events change. */
#ifndef PLUGMAP_SRC_REPLAY_GUEST_H
#define PLUGMAP_SRC_REPLAY_GUEST_H

#include <plugmap/plugmap.h>

#include "dma/check.h"
#include "trace/trace.h"

typedef struct PmReplayGuest PmReplayGuest;

/* Whether the trace has such events; without, the device uses guest addresses. */
bool pm_replay_guest_is_in(const PmTrace *trace);

/* The I/O addresses that the trace maps, from the lowest to the highest. */
void pm_replay_guest_window(const PmTrace *trace, uint64_t *address, uint64_t *size);

/* Opens the address space of the replay. */
typedef PmIommu *(*PmReplayOpenFunc)(void *user_data, GError **error);

PmReplayGuest *pm_replay_guest_new(PmReplayOpenFunc open, void *user_data, GError **error);
void pm_replay_guest_free(PmReplayGuest *guest);

/* Adds the memory of a device. */
bool pm_replay_guest_add(PmReplayGuest *guest, const PmMapperRegion *region, GError **error);

/* After all regions: attaches the endpoint. */
bool pm_replay_guest_start(PmReplayGuest *guest, GError **error);

/* Owned by @guest, as long as it exists. */
PmIommu *pm_replay_guest_get_iommu(const PmReplayGuest *guest);

/* Sends the event's request. @refusal: why the status is another than PM_VIRTIO_IOMMU_OK. */
PmVirtioIommuStatus pm_replay_guest_play(PmReplayGuest *guest, const PmTraceEvent *event,
                                         const GError **refusal);

/* pm_guest_iommu_next_mapping(). */
bool pm_replay_guest_next_mapping(const PmReplayGuest *guest, uint64_t iova,
                                  PmGuestMapping *mapping);

/* The machine is reset: unmaps everything. */
PmVirtioIommuStatus pm_replay_guest_reset(PmReplayGuest *guest, const GError **refusal);

/* --- audits --- */

/* The table, the managers and the claims (pm_guest_mapper_audit()). @n_own: mappings of the
 * replay itself. */
bool pm_replay_guest_check_mapped(PmReplayGuest *guest, uint64_t n_own, GError **error);

/* The page table of @group translates what @device has populated of each of the table's mappings,
 * and nothing else of it. */
bool pm_replay_guest_check_page_table(PmReplayGuest *guest, PmVirtioMem *device, PmKernel *fake,
                                      unsigned group, GError **error);

/* By I/O address: the ends of each run of populated and other blocks of each mapping; one page
 * with a slow engine, and of a large table some mappings, next time others. */
bool pm_replay_guest_check_dma(PmReplayGuest *guest, PmVirtioMem *device, PmDmaCheck *check,
                               GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmReplayGuest, pm_replay_guest_free)

#endif
