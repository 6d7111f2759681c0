/* SPDX-License-Identifier: MIT */
/* The parts of a DMA vector's request: what the device accesses directly, and what is copied. */
#ifndef PLUGMAP_SRC_BUFFERS_DMA_PARTS_H
#define PLUGMAP_SRC_BUFFERS_DMA_PARTS_H

#include <plugmap/buffer_registry.h>

/* The arrays keep their memory from one request to the next. */
typedef struct {
    uint64_t alignment;
    uint64_t max_segment_size;
    GArray *parts;      /* in the order of the request's bytes */
    GArray *copies;     /* the elements that bounce */
    GArray *segments;   /* of PmDmaSegment */
    uint64_t n_bounced; /* bytes */
} PmDmaParts;

/* @max_segment_size: a multiple of @alignment; 0: any size. */
void pm_dma_parts_init(PmDmaParts *parts, uint64_t alignment, uint64_t max_segment_size);
void pm_dma_parts_free(PmDmaParts *parts);
void pm_dma_parts_clear(PmDmaParts *parts);

guint pm_dma_parts_n(const PmDmaParts *parts);

/* Adds I/O addresses. Returns false, and adds nothing, if the device does not take them. */
bool pm_dma_parts_add_direct(PmDmaParts *parts, uint64_t address, uint64_t size);

/* Removes the parts from @n on, which are of an element, and bounces it instead. */
void pm_dma_parts_replace(PmDmaParts *parts, guint n, void *host, uint64_t size);

/* Whether what bounces has a length that the device takes. */
bool pm_dma_parts_are_aligned(const PmDmaParts *parts);

uint64_t pm_dma_parts_n_segments(const PmDmaParts *parts);

/* The size of the bounce buffer; 0: none. */
uint64_t pm_dma_parts_n_bounced(const PmDmaParts *parts);

/* @bounce: the bounce buffer, as the CPU and the device see it. */
void pm_dma_parts_copy_in(const PmDmaParts *parts, void *bounce);
void pm_dma_parts_copy_out(const PmDmaParts *parts, const void *bounce);
void pm_dma_parts_make_segments(PmDmaParts *parts, uint64_t bounce);

#endif
