/* SPDX-License-Identifier: MIT */
/* A recorded life of a virtio-mem device: its geometry, and the requests it got, with their
 * answers. */
#ifndef PLUGMAP_SRC_TRACE_TRACE_H
#define PLUGMAP_SRC_TRACE_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <plugmap/error.h>

typedef enum {
    PM_EVENT_PLUG,
    PM_EVENT_UNPLUG,
    PM_EVENT_UNPLUG_ALL,
    PM_EVENT_STATE,
    PM_EVENT_RESIZE,
    PM_EVENT_RESET,
    PM_EVENT_N_TYPES,
} PmEventType;

typedef struct {
    PmEventType type;
    uint16_t n_blocks; /* PLUG, UNPLUG, STATE */
    int8_t response;   /* VIRTIO_MEM_RESP_*, as recorded; -1: not recorded */
    int8_t state;      /* VIRTIO_MEM_STATE_*, as recorded for STATE; -1: not recorded */
    unsigned line;     /* of the file */
    uint64_t address;  /* PLUG, UNPLUG, STATE */
    uint64_t size;     /* RESIZE */
    int64_t time_ns;   /* since the first event that has a time; -1: not recorded */
} PmTraceEvent;

/* What of a trace's geometry is given from outside; 0 is not given. */
typedef struct {
    bool has_region_address;
    uint64_t region_address;
    uint64_t region_size;
    uint64_t block_size;
} PmTraceGeometry;

/* How far the usable region reaches beyond the requested size where a log was recorded: what QEMU
 * has on x86. Elsewhere it has more, which makes the bounds looser, not wrong. */
#define PM_TRACE_USABLE_EXTENT (2 * (UINT64_C(128) << 20))

typedef struct {
    char *file; /* the path, for messages */
    uint64_t region_address;
    uint64_t region_size;
    uint64_t block_size;
    uint64_t requested_size; /* at the start */
    bool requested_is_bound; /* this and RESIZE are the most that can have been asked for */
    GArray *events;          /* of PmTraceEvent */
} PmTrace;

typedef enum {
    PM_TRACE_FORMAT_AUTO,
    PM_TRACE_FORMAT_PLUGMAP,
    PM_TRACE_FORMAT_QEMU_LOG,
} PmTraceFormat;

/*
 * Reads a trace. @given completes what the file does not say; it may be NULL.
 * Errors: PM_ERROR_BAD_INPUT; the message begins with the file and, where there is one, the line.
 */
PmTrace *pm_trace_load(const char *path, PmTraceFormat format, const PmTraceGeometry *given,
                       GError **error);
void pm_trace_free(PmTrace *trace);

/* Writes plugmap's own format (docs/trace-format.md). False if the stream has an error. */
bool pm_trace_write(const PmTrace *trace, FILE *stream);

/* «plug», «unplug», …: as in plugmap's own format. */
const char *pm_event_type_name(PmEventType type);

/* «ack», … by VIRTIO_MEM_RESP_*; «plugged», … by VIRTIO_MEM_STATE_*; NULL at the end. */
extern const char *const pm_response_names[];
extern const char *const pm_state_names[];

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmTrace, pm_trace_free)

#endif
