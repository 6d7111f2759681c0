/* SPDX-License-Identifier: MIT */
/* DMA faults: accesses that the IOMMU rejected. */
#ifndef PLUGMAP_SRC_FAKE_MACHINE_DMA_FAULT_LOG_H
#define PLUGMAP_SRC_FAKE_MACHINE_DMA_FAULT_LOG_H

#include <plugmap/fake.h>

/* Zero-initialised. */
typedef struct {
    uint64_t n_faults;
    PmFakeDmaFault last;
} PmDmaFaultLog;

static inline void pm_dma_fault_log_add(PmDmaFaultLog *log, uint64_t iova, bool write)
{
    log->n_faults++;
    log->last = (PmFakeDmaFault){.iova = iova, .write = write};
}

#endif
