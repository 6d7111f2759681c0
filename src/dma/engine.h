/* SPDX-License-Identifier: MIT */
/* PmDmaEngine: a device that copies between its own memory and I/O addresses on request, to verify
 * mappings. */
#ifndef PLUGMAP_SRC_DMA_ENGINE_H
#define PLUGMAP_SRC_DMA_ENGINE_H

#include <plugmap/iommu.h>

#include "dma/scratch.h"
#include "pci/config.h"

typedef struct PmDmaEngine PmDmaEngine;

/*
 * PmDmaEngineKind: a kind of device.
 * @transfer_size: bytes per transfer, at most PM_DMA_PAGE.
 * @registers_size: minimum size of BAR0.
 * @size: of the struct that embeds PmDmaEngine.
 * @start: initialises the device; the scratch page is mapped, the registers are open. Errors:
 * PM_ERROR_DEVICE, PM_ERROR_KERNEL, PM_ERROR_UNSUPPORTED.
 * @move: copies @transfer_size bytes from one I/O address to another, through the device's own
 * memory. A blocked read returns arbitrary data. Sets @is_slow of the engine if the device is slow.
 * Errors: PM_ERROR_DEVICE, PM_ERROR_KERNEL.
 * @stop: stops all DMA; also called after a failed start.
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

/* Kinds embed this first. */
struct PmDmaEngine {
    const PmDmaEngineKind *kind;
    PmPciConfig config;
    PmPciRegion registers;
    char *scratch; /* PM_DMA_SCRATCH_PAGES; mapped for reading and writing */
    uint64_t scratch_iova;
    PmDmaScratch *own; /* NULL if the caller owns the scratch */
    bool is_slow;
};

extern const PmDmaEngineKind pm_edu_engine;
extern const PmDmaEngineKind pm_nvme_engine;

/*
 * Creates the engine for a device. Overwrites the first 4 KiB of an nvme disk.
 * @kernel, @fd (the device's file), @name (of the device, for messages): must outlive the engine.
 * @scratch, @scratch_iova: PM_DMA_SCRATCH_PAGES of zeroed memory, mapped read-write for the device
 * by the caller until the engine is freed. Errors:
 * PM_ERROR_UNSUPPORTED (no engine for this kind of device), PM_ERROR_DEVICE, PM_ERROR_KERNEL.
 */
PmDmaEngine *pm_dma_engine_new(PmKernel *kernel, int fd, const char *name, void *scratch,
                               uint64_t scratch_iova, GError **error);

/*
 * The same for a device of @iommu (takes a reference), with a mapping of the engine's own outside
 * [@avoid, @avoid + @avoid_size).
 * @kernel: the kernel of @iommu; it and @device must outlive the engine.
 * Errors: also PM_ERROR_UNSUPPORTED (no room for the mapping), PM_ERROR_NOT_FOUND (not attached),
 * PM_ERROR_MEMORY, those of pm_iommu_claim_map(). On failure the device is attached only if it
 * was before.
 */
PmDmaEngine *pm_dma_engine_attach(PmIommu *iommu, PmKernel *kernel, const char *device,
                                  uint64_t avoid, uint64_t avoid_size, GError **error);
/* Stops the device, unmaps its scratch, and restores bus mastering. */
void pm_dma_engine_free(PmDmaEngine *engine);

const char *pm_dma_engine_name(const PmDmaEngine *engine);
size_t pm_dma_engine_transfer_size(const PmDmaEngine *engine);

/*
 * Whether transfers are so slow that there is time for few only; derived from the device's status,
 * not from a clock. Valid after the first transfer. QEMU's edu is slow (100 ms); the fake kernel's
 * edu and nvme are not.
 */
bool pm_dma_engine_is_slow(const PmDmaEngine *engine);

/* Has the device read memory at @iova, and copies the result to @data (transfer_size bytes). A
 * blocked access is not an error, but returns other data. Errors: PM_ERROR_DEVICE, PM_ERROR_KERNEL.
 */
bool pm_dma_engine_read(PmDmaEngine *engine, uint64_t iova, void *data, GError **error);

/* Has the device write @data (transfer_size bytes) to memory at @iova. Errors: as above. */
bool pm_dma_engine_write(PmDmaEngine *engine, uint64_t iova, const void *data, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmDmaEngine, pm_dma_engine_free)

#endif
