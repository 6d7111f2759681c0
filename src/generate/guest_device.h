/* SPDX-License-Identifier: MIT */
/* The host's side of a simulated guest: a virtio-mem device whose answers are the library's. */
#ifndef PLUGMAP_SRC_GENERATE_GUEST_DEVICE_H
#define PLUGMAP_SRC_GENERATE_GUEST_DEVICE_H

#include <plugmap/plugmap.h>

#include "trace/trace_region.h"

typedef struct PmGuestDevice PmGuestDevice;

/* @entry_limit: how many blocks can be mapped at once. Errors: those of pm_ram_new() and
 * pm_virtio_mem_new(). */
PmGuestDevice *pm_guest_device_new(const PmTraceRegion *region, uint64_t entry_limit,
                                   GError **error);
void pm_guest_device_free(PmGuestDevice *host);

/* For what the host does, and sizes. */
PmVirtioMem *pm_guest_device_get(const PmGuestDevice *host);

/* What the guest does. */
PmVirtioMemAnswer pm_guest_device_send(PmGuestDevice *host, PmVirtioMemRequestType type,
                                       uint64_t address, uint16_t n_blocks);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmGuestDevice, pm_guest_device_free)

#endif
