/* SPDX-License-Identifier: MIT */
/* For examples: what a guest did, from a file in plugmap's trace format (docs/trace-format.md) with
 * one device. 'plugmap convert' makes such files of QEMU's logs. */
#ifndef PLUGMAP_EXAMPLES_TRACE_FILE_H
#define PLUGMAP_EXAMPLES_TRACE_FILE_H

#include <plugmap/plugmap.h>

/* A request: @type of PmVirtioMemRequestType; a reset is UNPLUG_ALL. In blocks of the region. */
typedef struct {
    unsigned type;
    uint64_t first;
    uint16_t n_blocks;
} TraceRequest;

typedef struct {
    uint64_t n_blocks;
    GArray *requests; /* of TraceRequest */
} TraceFile;

/* NULL on failure. Skips all other events: what the host requests, STATE, conversions, IOMMU. */
TraceFile *trace_file_read(const char *path, GError **error);
void trace_file_free(TraceFile *trace);

#endif
