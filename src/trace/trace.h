/* SPDX-License-Identifier: MIT */
/* A recording of one or more virtio-mem devices: their regions, and the requests with their
 * responses. */
#ifndef PLUGMAP_SRC_TRACE_TRACE_H
#define PLUGMAP_SRC_TRACE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/error.h>

#include "trace/trace_region.h"

typedef enum {
    PM_EVENT_PLUG,
    PM_EVENT_UNPLUG,
    PM_EVENT_UNPLUG_ALL,
    PM_EVENT_STATE,
    PM_EVENT_RESIZE,
    PM_EVENT_RESET,
    PM_EVENT_CONVERT,
    PM_EVENT_IOMMU_MAP,
    PM_EVENT_IOMMU_UNMAP,
    PM_EVENT_N_TYPES,
} PmEventType;

typedef struct {
    PmEventType type;
    uint16_t n_blocks; /* PLUG, UNPLUG, STATE */
    int8_t response;   /* VIRTIO_MEM_RESP_* (IOMMU_*: VIRTIO_IOMMU_S_*), as recorded; -1: not */
    int8_t state;      /* VIRTIO_MEM_STATE_*, as recorded for STATE; -1: not recorded */
    unsigned region;   /* index; unused by RESET and IOMMU_*, which affect all */
    unsigned line;     /* of the file */
    uint64_t address;  /* PLUG, UNPLUG, STATE, CONVERT, IOMMU_MAP */
    uint64_t size;     /* RESIZE, CONVERT, IOMMU_* */
    bool shared;       /* CONVERT: to shared, not private */
    uint8_t access;    /* IOMMU_MAP: of PmIommuAccess */
    uint64_t iova;     /* IOMMU_* */
    int64_t time_ns;   /* since the first event that has a time; -1: not recorded */
} PmTraceEvent;

/* Geometry given by the user; 0 if not given. */
typedef struct {
    bool has_region_address;
    uint64_t region_address;
    uint64_t region_size;
    uint64_t block_size;
} PmTraceGeometry;

typedef struct {
    char *file;         /* the path, for messages */
    const char *format; /* "plugmap" or "qemu-log" */
    char *warning;      /* what was ignored, with file and line; NULL: nothing */
    GArray *regions;    /* of PmTraceRegion, in the order of the file; at least one */
    GArray *events;     /* of PmTraceEvent */
} PmTrace;

PmTrace *pm_trace_new(const char *file);
void pm_trace_free(PmTrace *trace);

/* Valid until a region is added. */
PmTraceRegion *pm_trace_region(const PmTrace *trace, unsigned index);

/* The range of guest addresses that spans all regions. */
void pm_trace_get_window(const PmTrace *trace, uint64_t *address, uint64_t *size);

/* Takes ownership of the name. */
PmTraceRegion *pm_trace_add_region(PmTrace *trace, PmTraceRegion region);

/* "plug", "unplug" and so on, as in plugmap's own format. */
const char *pm_event_type_name(PmEventType type);

/* Whether events of that type have an address and blocks. */
bool pm_event_type_has_blocks(PmEventType type);

/* Whether events of that type are requests to the guest's IOMMU. */
bool pm_event_type_is_iommu(PmEventType type);

/* Statuses of the guest's IOMMU, from 0 on. */
#define PM_TRACE_N_IOMMU_STATUSES 9

/* Indexed by VIRTIO_MEM_RESP_* ("ack"), VIRTIO_MEM_STATE_* ("plugged"), VIRTIO_IOMMU_S_* ("ok") and
 * PmIommuAccess ("rw"; from 1 on); NULL-terminated. */
#define PM_TRACE_N_RESPONSES 4 /* VIRTIO_MEM_RESP_* */
extern const char *const pm_response_names[];
extern const char *const pm_state_names[];
extern const char *const pm_iommu_status_names[];
extern const char *const pm_access_names[];

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmTrace, pm_trace_free)

#endif
