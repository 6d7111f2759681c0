/* SPDX-License-Identifier: MIT */
/* PmDmaCheck: has a device prove by DMA that it reaches what is plugged, and nothing else. */
#ifndef PLUGMAP_SRC_DMA_CHECK_H
#define PLUGMAP_SRC_DMA_CHECK_H

#include <plugmap/virtio_mem.h>

#include "dma/engine.h"

typedef struct PmDmaCheck PmDmaCheck;

/* Transfers that were tried, and the pages they were for. */
typedef struct {
    uint64_t n_transfers;
    uint64_t n_plugged_pages;
    uint64_t n_unplugged_pages;
} PmDmaCheckCounts;

/* @engine: taken over. @device: whose region is checked; lives as long. @access: with which the
 * region has been added to its mapper. Cannot fail. */
PmDmaCheck *pm_dma_check_new(PmDmaEngine *engine, PmVirtioMem *device, PmIommuAccess access);
void pm_dma_check_free(PmDmaCheck *check);

/*
 * Tries the first and the last page of each run of plugged and of unplugged blocks in @range (of
 * the region's addresses; NULL: all), and some pages of the whole region; with a slow engine, one
 * plugged and one unplugged page. Into plugged pages the device's reads and writes have to arrive,
 * or, of a read-only region, its reads and no write (IOMMUs let devices read what is write-only);
 * what it writes to an unplugged page must not be there when it reads it again, and must take no
 * memory. What plugged pages hold is overwritten. Errors: PM_ERROR_AUDIT (the first page that is
 * not right), PM_ERROR_DEVICE, PM_ERROR_MEMORY, PM_ERROR_KERNEL.
 */
bool pm_dma_check_run(PmDmaCheck *check, const PmIovaRange *range, GError **error);

/* The same for one page, mapped at I/O address @iova with @access if the device has it plugged.
 * @offset: of the page in the device's memory. */
bool pm_dma_check_page(PmDmaCheck *check, uint64_t iova, uint64_t offset, PmIommuAccess access,
                       GError **error);

/* Calls @func for each page that is tried, with its offset in the device's memory. */
typedef void (*PmDmaCheckFunc)(uint64_t offset, void *user_data);
void pm_dma_check_set_func(PmDmaCheck *check, PmDmaCheckFunc func, void *user_data);

/* pm_dma_engine_is_slow(). */
bool pm_dma_check_is_slow(const PmDmaCheck *check);

PmDmaCheckCounts pm_dma_check_get_counts(const PmDmaCheck *check);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmDmaCheck, pm_dma_check_free)

#endif
