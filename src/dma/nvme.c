/* SPDX-License-Identifier: MIT */
/*
 * QEMU's nvme (hw/nvme/ctrl.c). Copies through the first blocks of the disk: Write reads memory,
 * Read writes it. QEMU reports success for DMA that the IOMMU blocks.
 */
#include "dma/engine.h"
#include "nvme/queue.h"

#define DEPTH 1

/* Pages of the scratch. */
enum {
    CONTROLLER_PAGE = 1, /* after the data page */
    QUEUE_PAGE = CONTROLLER_PAGE + PM_NVME_CONTROLLER_PAGES
};
G_STATIC_ASSERT(QUEUE_PAGE + PM_NVME_QUEUE_PAGES(DEPTH) <= PM_DMA_SCRATCH_PAGES);

typedef struct {
    PmDmaEngine parent;
    PmNvmeController *controller;
    PmNvmeQueue *queue;
} Nvme;

static PmNvmeMemory memory_at(const PmDmaEngine *engine, unsigned page)
{
    return (PmNvmeMemory){engine->scratch + (size_t)page * PM_DMA_PAGE,
                          engine->scratch_iova + (uint64_t)page * PM_DMA_PAGE};
}

static bool nvme_start(PmDmaEngine *engine, GError **error)
{
    Nvme *nvme = (Nvme *)engine;
    const PmNvmeConfig config = {
        .registers = &engine->registers,
        .memory = memory_at(engine, CONTROLLER_PAGE),
        .n_queues = 1,
    };

    nvme->controller = pm_nvme_controller_new(&config, error);
    if (nvme->controller == NULL)
        return false;
    nvme->queue = pm_nvme_queue_new(nvme->controller, memory_at(engine, QUEUE_PAGE), DEPTH, error);
    return nvme->queue != NULL;
}

static bool transfer(Nvme *nvme, uint8_t opcode, uint64_t iova, GError **error)
{
    const PmDmaSegment page = {iova, PM_DMA_PAGE};
    const PmNvmeRequest request = {.opcode = opcode, .segments = &page, .n_segments = 1};

    return pm_nvme_queue_execute(nvme->queue, &request, error);
}

static bool nvme_move(PmDmaEngine *engine, uint64_t from_iova, uint64_t to_iova, GError **error)
{
    Nvme *nvme = (Nvme *)engine;

    return transfer(nvme, PM_NVME_WRITE, from_iova, error) &&
           transfer(nvme, PM_NVME_READ, to_iova, error);
}

static void nvme_stop(PmDmaEngine *engine)
{
    Nvme *nvme = (Nvme *)engine;

    pm_nvme_queue_free(nvme->queue);
    pm_nvme_controller_free(nvme->controller);
}

const PmDmaEngineKind pm_nvme_engine = {
    .name = "nvme",
    .pci_id = 0x00101b36,
    .transfer_size = PM_DMA_PAGE,
    .registers_size = PM_NVME_REGISTERS_SIZE,
    .size = sizeof(Nvme),
    .start = nvme_start,
    .move = nvme_move,
    .stop = nvme_stop,
};
