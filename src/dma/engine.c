/* SPDX-License-Identifier: MIT */
#include "dma/engine.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error_text.h"
#include "kernel-uapi/vfio.h"

#define CONFIG_ID      0x00
#define CONFIG_COMMAND 0x04
#define COMMAND_MEMORY 0x2
#define COMMAND_MASTER 0x4
#define CONFIG_SIZE    0x100

static const PmDmaEngineKind *const kinds[] = {&pm_edu_engine, &pm_nvme_engine};

static const PmDmaEngineKind *find_kind(const char *device, uint32_t pci_id, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (kinds[i]->pci_id == pci_id)
            return kinds[i];
    }
    pm_fail(error, PM_ERROR_UNSUPPORTED,
            "there is no DMA engine for %s (PCI id %04x:%04x): checking by DMA needs QEMU's edu "
            "(1234:11e8) or nvme (1b36:0010)",
            device, pci_id & 0xffff, pci_id >> 16);
    return NULL;
}

/* Away from [avoid, avoid + avoid_size), with a page between them, so that it is a run of its own.
 */
static bool find_room(PmDmaEngine *engine, uint64_t avoid, uint64_t avoid_size, GError **error)
{
    uint64_t page_sizes = pm_iommu_get_page_sizes(engine->iommu);
    uint64_t page = page_sizes & -page_sizes;
    size_t n_ranges;
    const PmIovaRange *ranges = pm_iommu_get_iova_ranges(engine->iommu, &n_ranges);

    engine->scratch_size = MAX(page, PM_DMA_SCRATCH_PAGES * PM_DMA_PAGE);
    for (size_t i = 0; i < n_ranges; i++) {
        uint64_t candidates[] = {ranges[i].start, avoid + avoid_size + page};

        for (size_t j = 0; j < G_N_ELEMENTS(candidates); j++) {
            uint64_t iova = candidates[j];

            if (!pm_iommu_check_range(engine->iommu, iova, engine->scratch_size + page, NULL) ||
                (iova < avoid + avoid_size + page && avoid < iova + engine->scratch_size + page))
                continue;
            engine->scratch_iova = iova;
            return true;
        }
    }
    return pm_fail(
        error, PM_ERROR_UNSUPPORTED,
        "there is no room for the DMA engine's %zu bytes beside the region at 0x%" PRIx64,
        engine->scratch_size, avoid);
}

static bool map_scratch(PmDmaEngine *engine, GError **error)
{
    void *scratch = mmap(NULL, engine->scratch_size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_autofree char *name = NULL;

    if (scratch == MAP_FAILED) {
        name = pm_errno_text(errno);
        return pm_fail(error, PM_ERROR_MEMORY, "there is no memory for the DMA engine: %s", name);
    }
    engine->scratch = scratch;
    engine->scratch_is_mapped = pm_iommu_map(engine->iommu, engine->scratch_iova, scratch,
                                             engine->scratch_size, 1, PM_IOMMU_READ_WRITE, error);
    return engine->scratch_is_mapped;
}

static bool enable_device(const PmVfioRegion *config, GError **error)
{
    uint64_t command;

    return pm_vfio_region_read(config, CONFIG_COMMAND, 2, &command, error) &&
           pm_vfio_region_write(config, CONFIG_COMMAND, 2,
                                command | COMMAND_MEMORY | COMMAND_MASTER, error);
}

static bool set_up(PmDmaEngine *engine, PmKernel *kernel, int fd, uint64_t avoid,
                   uint64_t avoid_size, GError **error)
{
    return enable_device(&engine->config, error) &&
           pm_vfio_region_open(&engine->registers, kernel, fd, VFIO_PCI_BAR0_REGION_INDEX,
                               engine->kind->registers_size, error) &&
           find_room(engine, avoid, avoid_size, error) && map_scratch(engine, error) &&
           engine->kind->start(engine, error);
}

PmDmaEngine *pm_dma_engine_new(PmIommu *iommu, PmKernel *kernel, const char *device, uint64_t avoid,
                               uint64_t avoid_size, GError **error)
{
    g_autoptr(PmDmaEngine) engine = NULL;
    const PmDmaEngineKind *kind;
    PmVfioRegion config = {0};
    uint64_t pci_id;
    int fd = pm_iommu_open_device(iommu, device, error);

    if (fd < 0 ||
        !pm_vfio_region_open(&config, kernel, fd, VFIO_PCI_CONFIG_REGION_INDEX, CONFIG_SIZE,
                             error) ||
        !pm_vfio_region_read(&config, CONFIG_ID, 4, &pci_id, error))
        return NULL;
    kind = find_kind(device, (uint32_t)pci_id, error);
    if (kind == NULL)
        return NULL;
    engine = g_malloc0(kind->size);
    engine->kind = kind;
    engine->iommu = pm_iommu_ref(iommu);
    engine->config = config;
    return set_up(engine, kernel, fd, avoid, avoid_size, error) ? g_steal_pointer(&engine) : NULL;
}

void pm_dma_engine_free(PmDmaEngine *engine)
{
    if (engine == NULL)
        return;
    if (engine->scratch_is_mapped) {
        engine->kind->stop(engine);
        (void)pm_iommu_purge(engine->iommu, engine->scratch_iova, engine->scratch_size, NULL);
    }
    if (engine->scratch != NULL)
        (void)munmap(engine->scratch, engine->scratch_size);
    pm_vfio_region_close(&engine->registers);
    pm_iommu_unref(engine->iommu);
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
