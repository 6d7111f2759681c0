/* SPDX-License-Identifier: MIT */
#include "dma/engine.h"

#include <string.h>

#include "base/error_text.h"
#include "dma/scratch.h"
#include "kernel-uapi/vfio.h"

static const PmDmaEngineKind *const kinds[] = {&pm_edu_engine, &pm_nvme_engine};

static const PmDmaEngineKind *find_kind(const char *device, uint32_t pci_id, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (kinds[i]->pci_id == pci_id)
            return kinds[i];
    }
    pm_fail(error, PM_ERROR_UNSUPPORTED,
            "no DMA engine for %s (PCI ID %04x:%04x): the DMA check requires QEMU's edu "
            "(1234:11e8) or nvme (1b36:0010)",
            device, pci_id & 0xffff, pci_id >> 16);
    return NULL;
}

/* Without this the device could continue DMA to the former scratch addresses. */
static void disable_device(PmDmaEngine *engine)
{
    if (engine->registers.size > 0)
        engine->kind->stop(engine);
    pm_pci_region_close(&engine->registers);
    pm_pci_config_close(&engine->config);
}

static bool set_up(PmDmaEngine *engine, GError **error)
{
    const PmPciRegion *config = &engine->config.region;

    return pm_pci_config_enable(&engine->config, error) &&
           pm_pci_region_open(&engine->registers, config->kernel, config->device, config->fd,
                              VFIO_PCI_BAR0_REGION_INDEX, engine->kind->registers_size, error) &&
           engine->kind->start(engine, error);
}

PmDmaEngine *pm_dma_engine_new(PmKernel *kernel, int fd, const char *name, void *scratch,
                               uint64_t scratch_iova, GError **error)
{
    g_autoptr(PmDmaEngine) engine = NULL;
    const PmDmaEngineKind *kind;
    PmPciConfig config;
    uint32_t pci_id;

    if (!pm_pci_config_open(&config, kernel, name, fd, error) ||
        !pm_pci_config_read_id(&config, &pci_id, error))
        return NULL;
    kind = find_kind(name, pci_id, error);
    if (kind == NULL)
        return NULL;
    engine = g_malloc0(kind->size);
    engine->kind = kind;
    engine->config = config;
    engine->scratch = scratch;
    engine->scratch_iova = scratch_iova;
    return set_up(engine, error) ? g_steal_pointer(&engine) : NULL;
}

static PmDmaEngine *new_with_scratch(PmDmaScratch *scratch, PmKernel *kernel, int fd,
                                     const char *device, GError **error)
{
    PmDmaEngine *engine = pm_dma_engine_new(kernel, fd, device, pm_dma_scratch_get_memory(scratch),
                                            pm_dma_scratch_get_iova(scratch), error);

    if (engine == NULL)
        pm_dma_scratch_free(scratch);
    else
        engine->own = scratch;
    return engine;
}

PmDmaEngine *pm_dma_engine_attach(PmIommu *iommu, PmKernel *kernel, const char *device,
                                  uint64_t avoid, uint64_t avoid_size, GError **error)
{
    bool was_attached = pm_iommu_has_device(iommu, device);
    PmDmaEngine *engine = NULL;
    PmDmaScratch *scratch;
    int fd = pm_iommu_open_device(iommu, device, error);

    if (fd < 0)
        return NULL;
    scratch = pm_dma_scratch_new(iommu, avoid, avoid_size, error);
    if (scratch != NULL)
        engine = new_with_scratch(scratch, kernel, fd, device, error);
    if (engine == NULL && !was_attached)
        (void)pm_iommu_detach(iommu, device, NULL);
    return engine;
}

void pm_dma_engine_free(PmDmaEngine *engine)
{
    if (engine == NULL)
        return;
    disable_device(engine);
    pm_dma_scratch_free(engine->own);
    g_free(engine);
}

const char *pm_dma_engine_name(const PmDmaEngine *engine)
{
    return engine->kind->name;
}

size_t pm_dma_engine_transfer_size(const PmDmaEngine *engine)
{
    return engine->kind->transfer_size;
}

bool pm_dma_engine_is_slow(const PmDmaEngine *engine)
{
    return engine->is_slow;
}

bool pm_dma_engine_read(PmDmaEngine *engine, uint64_t iova, void *data, GError **error)
{
    if (!engine->kind->move(engine, iova, engine->scratch_iova, error))
        return false;
    memcpy(data, engine->scratch, engine->kind->transfer_size);
    return true;
}

bool pm_dma_engine_write(PmDmaEngine *engine, uint64_t iova, const void *data, GError **error)
{
    memcpy(engine->scratch, data, engine->kind->transfer_size);
    return engine->kind->move(engine, engine->scratch_iova, iova, error);
}
