/* SPDX-License-Identifier: MIT */
/* PmDmaEngine: a device that moves bytes between its own memory and I/O addresses when it is told
 * to, so that it can prove what is mapped. */
#ifndef PLUGMAP_SRC_DMA_ENGINE_H
#define PLUGMAP_SRC_DMA_ENGINE_H

#include <plugmap/iommu.h>

#include "dma/scratch.h"
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
 * memory. What it may not read reads as anything. Sets @is_slow of the engine if the device takes
 * long. Errors: PM_ERROR_DEVICE, PM_ERROR_KERNEL.
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

/* Kinds embed this first. */
struct PmDmaEngine {
    const PmDmaEngineKind *kind;
    PmVfioRegion config;
    PmVfioRegion registers;
    uint64_t command; /* what the register of that name was before, and is afterwards */
    bool is_enabled;
    char *scratch; /* PM_DMA_SCRATCH_PAGES; mapped for reading and writing */
    uint64_t scratch_iova;
    PmDmaScratch *own; /* NULL: the caller's */
    bool is_slow;
};

extern const PmDmaEngineKind pm_edu_engine;
extern const PmDmaEngineKind pm_nvme_engine;

/*
 * Makes the engine that fits the device whose file is @fd. An nvme disk loses its first 4 KiB.
 * @kernel, @fd: live as long, and so does @name, of the device, for messages.
 * @scratch, @scratch_iova: PM_DMA_SCRATCH_PAGES of zeroed memory, which the caller has mapped for
 * the device, for reading and writing, and keeps mapped until the engine is freed. Errors:
 * PM_ERROR_UNSUPPORTED (no engine for this kind of device), PM_ERROR_DEVICE, PM_ERROR_KERNEL.
 */
PmDmaEngine *pm_dma_engine_new(PmKernel *kernel, int fd, const char *name, void *scratch,
                               uint64_t scratch_iova, GError **error);

/*
 * The same for a device of @iommu (a reference is taken), with one mapping there that is the
 * engine's own, outside of
 * [@avoid, @avoid + @avoid_size).
 * @kernel: the one of @iommu; lives as long, and so does @device.
 * Errors: also PM_ERROR_UNSUPPORTED (no room for the mapping), PM_ERROR_NOT_FOUND (not attached),
 * PM_ERROR_MEMORY, those of pm_iommu_claim_map(). After a failure the device is attached only if it
 * was before.
 */
PmDmaEngine *pm_dma_engine_attach(PmIommu *iommu, PmKernel *kernel, const char *device,
                                  uint64_t avoid, uint64_t avoid_size, GError **error);
/* Stops the device before its scratch goes, and lets it do DMA only if it could before. */
void pm_dma_engine_free(PmDmaEngine *engine);

const char *pm_dma_engine_name(const PmDmaEngine *engine);
size_t pm_dma_engine_transfer_size(const PmDmaEngine *engine);

/*
 * Whether a transfer takes so long that there is time for few: said by the device, not by a clock.
 * Known after the first transfer. A real edu is slow (100 ms); the fake kernel's, which is done as
 * soon as it is told, and nvme are not.
 */
bool pm_dma_engine_is_slow(const PmDmaEngine *engine);

/* The device reads memory at @iova, and what it read goes to @data (transfer_size bytes). A refused
 * access is no error: it gives other data. Errors: PM_ERROR_DEVICE, PM_ERROR_KERNEL. */
bool pm_dma_engine_read(PmDmaEngine *engine, uint64_t iova, void *data, GError **error);

/* The device writes @data (transfer_size bytes) to memory at @iova. Errors: as above. */
bool pm_dma_engine_write(PmDmaEngine *engine, uint64_t iova, const void *data, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmDmaEngine, pm_dma_engine_free)

#endif
