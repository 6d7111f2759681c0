/* SPDX-License-Identifier: MIT */
/* PmDmaEngine: a device that moves bytes between its own memory and I/O addresses when it is told
 * to, so that it can prove what is mapped. */
#ifndef PLUGMAP_DMA_ENGINE_H
#define PLUGMAP_DMA_ENGINE_H

#include <plugmap/iommu.h>

#include "vfio/region.h"

typedef struct PmDmaEngine PmDmaEngine;

/*
 * PmDmaEngineKind: a kind of device.
 * @transfer_size: bytes of one transfer, at most PM_DMA_PAGE.
 * @registers_size: what BAR0 has to have at least.
 * @size: of the struct that embeds PmDmaEngine.
 * @start: gets the device ready; the scratch page is mapped, the registers are open. Errors:
 * PM_ERROR_DEVICE, PM_ERROR_KERNEL, PM_ERROR_UNSUPPORTED.
 * @move: copies @transfer_size bytes from one I/O address to another, by way of the device's own
 * memory. What it may not read reads as anything. Errors: PM_ERROR_DEVICE, PM_ERROR_KERNEL.
 * @stop: ends all DMA; also after a failed start.
 */
typedef struct {
    const char *name;
    uint32_t pci_id; /* device << 16 | vendor */
    size_t transfer_size;
    uint64_t registers_size;
    size_t size;
    bool (*start)(PmDmaEngine *engine, GError **error);
    bool (*move)(PmDmaEngine *engine, uint64_t from_iova, uint64_t to_iova, GError **error);
    void (*stop)(PmDmaEngine *engine);
} PmDmaEngineKind;

/* The page that data pass through, and pages of the engine's own behind it. */
#define PM_DMA_PAGE          4096
#define PM_DMA_SCRATCH_PAGES 8

/* Kinds embed this first. */
struct PmDmaEngine {
    const PmDmaEngineKind *kind;
    PmIommu *iommu;
    PmVfioRegion config;
    PmVfioRegion registers;
    char *scratch; /* PM_DMA_SCRATCH_PAGES, zeroed; mapped for reading and writing */
    uint64_t scratch_iova;
    size_t scratch_size;
    bool scratch_is_mapped;
};

extern const PmDmaEngineKind pm_edu_engine;
extern const PmDmaEngineKind pm_nvme_engine;

/*
 * Makes the engine that fits the device, which must be attached to @iommu (a reference is taken).
 * It keeps one mapping there, outside of [@avoid, @avoid + @avoid_size), until it is freed. An nvme
 * disk loses its first 4 KiB.
 * @kernel: the one of @iommu; lives as long.
 * Errors: PM_ERROR_UNSUPPORTED (no engine for this kind of device, or no room for the mapping),
 * PM_ERROR_DEVICE, PM_ERROR_NOT_FOUND, PM_ERROR_MEMORY, PM_ERROR_KERNEL, those of pm_iommu_map().
 */
PmDmaEngine *pm_dma_engine_new(PmIommu *iommu, PmKernel *kernel, const char *device, uint64_t avoid,
                               uint64_t avoid_size, GError **error);
void pm_dma_engine_free(PmDmaEngine *engine);

const char *pm_dma_engine_name(const PmDmaEngine *engine);
size_t pm_dma_engine_transfer_size(const PmDmaEngine *engine);

/* The device reads memory at @iova, and what it read goes to @data (transfer_size bytes). A refused
 * access is no error: it gives other data. Errors: PM_ERROR_DEVICE, PM_ERROR_KERNEL. */
bool pm_dma_engine_read(PmDmaEngine *engine, uint64_t iova, void *data, GError **error);

/* The device writes @data (transfer_size bytes) to memory at @iova. Errors: as above. */
bool pm_dma_engine_write(PmDmaEngine *engine, uint64_t iova, const void *data, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmDmaEngine, pm_dma_engine_free)

#endif
