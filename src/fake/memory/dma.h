/* SPDX-License-Identifier: MIT */
/* A device's DMA: through a page table, page by page; logs the accesses that the IOMMU rejects. */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_DMA_H
#define PLUGMAP_SRC_FAKE_MEMORY_DMA_H

#include "fake/machine/dma_fault_log.h"
#include "fake/memory/held_pages.h"
#include "fake/memory/page_table.h"

/* Translated addresses from here on read as zeros; from PM_HELD_BASE on, they are held pages;
 * below, the process's memory. */
#define PM_DMA_ZEROS (UINT64_C(3) << 61)

/*
 * The device reads or writes @size bytes at @iova. Continues after a rejected page, as the bus
 * does: a rejected read returns zeros, a rejected write changes nothing. @table NULL: every access
 * is rejected.
 * @held: the held pages; NULL: none. Access to memory that is not held and no longer mapped by the
 * process is rejected as well.
 */
void pm_dma_read(const PmPageTable *table, PmHeldPages *held, PmDmaFaultLog *log, uint64_t iova,
                 void *buffer, uint64_t size);
void pm_dma_write(PmPageTable *table, PmHeldPages *held, PmDmaFaultLog *log, uint64_t iova,
                  const void *buffer, uint64_t size);

#endif
