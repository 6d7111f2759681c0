/* SPDX-License-Identifier: MIT */
/* DMA as a device does it: through a page table, page by page, with the IOMMU's refusals recorded.
 */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_DMA_H
#define PLUGMAP_SRC_FAKE_MEMORY_DMA_H

#include "fake/machine/dma_fault_log.h"
#include "fake/memory/held_pages.h"
#include "fake/memory/page_table.h"

/* From this address on, page tables lead to pages that read as zeros. Below, from PM_HELD_BASE on,
 * to held pages; else to the process's memory. */
#define PM_DMA_ZEROS (UINT64_C(3) << 61)

/*
 * The device reads (writes) @size bytes at @iova. Goes on behind a refused page, as the bus does: a
 * refused read gives zeros, a refused write changes nothing. @table NULL: every access is refused.
 * @held: the pages that the table can lead to; NULL: there are none. Memory that is not held and
 * that the process has unmapped under the mapping counts as refused too.
 */
void pm_dma_read(const PmPageTable *table, PmHeldPages *held, PmDmaFaultLog *log, uint64_t iova,
                 void *buffer, uint64_t size);
void pm_dma_write(PmPageTable *table, PmHeldPages *held, PmDmaFaultLog *log, uint64_t iova,
                  const void *buffer, uint64_t size);

#endif
