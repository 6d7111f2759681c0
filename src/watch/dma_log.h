/* SPDX-License-Identifier: MIT */
/* The lines of a DMA log: docs/trace-format.md. */
#ifndef PLUGMAP_SRC_WATCH_DMA_LOG_H
#define PLUGMAP_SRC_WATCH_DMA_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "trace/line_reader.h"

#define PM_DMA_LOG_MAX_ERRNO 4095 /* as in the kernel */

typedef enum {
    PM_DMA_LOG_NOTHING, /* a blank line or a comment */
    PM_DMA_LOG_MAP,
    PM_DMA_LOG_UNMAP,
    PM_DMA_LOG_END, /* of an address space, a process or the log */
} PmDmaLogKind;

/*
 * A line. A successful MAP or UNMAP has a range that is not empty and ends in the address space,
 * unless it is an UNMAP of everything.
 */
typedef struct {
    PmDmaLogKind kind;
    bool all; /* UNMAP: all mappings of the address space */
    uint64_t iova;
    uint64_t size;
    bool has_unmapped;
    uint64_t unmapped; /* bytes that the kernel reported */
    bool has_pid;
    uint64_t pid;
    const char *space;  /* in the reader's text; NULL: not given */
    int error_number;   /* errno; 0: success */
    int64_t time_ns;    /* -1: not given */
    int64_t latency_ns; /* in the kernel; -1: not given */
    unsigned line;
} PmDmaLogCall;

/* Parses the reader's line, whose text changes. Errors: PM_ERROR_BAD_INPUT, with file and line. */
bool pm_dma_log_parse(PmLineReader *reader, PmDmaLogCall *call, GError **error);

/* Whether that is a line of a DMA log, not of a trace: its first word, or the one after the time,
 * is map, unmap or end. */
bool pm_dma_log_is_line(const char *text);

#endif
