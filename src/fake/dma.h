/* SPDX-License-Identifier: MIT */
/* DMA as a device does it: through a page table, page by page, with the IOMMU's refusals recorded.
 */
#ifndef PLUGMAP_FAKE_DMA_H
#define PLUGMAP_FAKE_DMA_H

#include <plugmap/fake.h>

#include "fake/page_table.h"

/* The refused accesses so far; zero-initialised. */
typedef struct {
    uint64_t n_faults;
    PmFakeDmaFault last;
} PmDmaFaultLog;

/*
 * The device reads (writes) @size bytes at @iova. Goes on behind a refused page, as the bus does: a
 * refused read gives zeros, a refused write changes nothing. @table NULL: every access is refused.
 * Memory that the process has unmapped under the mapping counts as refused too.
 */
void pm_dma_read(const PmPageTable *table, PmDmaFaultLog *log, uint64_t iova, void *buffer,
                 uint64_t size);
void pm_dma_write(const PmPageTable *table, PmDmaFaultLog *log, uint64_t iova, const void *buffer,
                  uint64_t size);

#endif
