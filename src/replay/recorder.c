/* SPDX-License-Identifier: MIT */
#include "replay/recorder.h"

#include <pthread.h>

#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"

typedef struct {
    PmKernel kernel;
    PmKernel *inner;
    uint64_t first;
    uint64_t last;
    PmDmaFunc func;
    void *user_data;
    pthread_mutex_t lock; /* protects the members below and serialises func */
    bool stopped;
    uint64_t n_calls[PM_DMA_N_CALLS];
} PmRecorder;

static PmRecorder *recorder_of(PmKernel *kernel)
{
    return (PmRecorder *)kernel;
}

typedef struct {
    PmDmaCall call;
    uint64_t iova;
    uint64_t size;
} DmaRequest;

/* Decodes a MAP or UNMAP, before the kernel overwrites the argument. */
static bool is_dma_call(unsigned long request, const void *argument, DmaRequest *dma)
{
    const struct vfio_iommu_type1_dma_map *type1_map = argument;
    const struct vfio_iommu_type1_dma_unmap *type1_unmap = argument;
    const struct iommu_ioas_map *map = argument;
    const struct iommu_ioas_map_file *map_file = argument;
    const struct iommu_ioas_unmap *unmap = argument;

    switch (request) {
    case VFIO_IOMMU_MAP_DMA:
        *dma = (DmaRequest){PM_DMA_MAP, type1_map->iova, type1_map->size};
        return true;
    case VFIO_IOMMU_UNMAP_DMA:
        *dma = (DmaRequest){PM_DMA_UNMAP, type1_unmap->iova, type1_unmap->size};
        return true;
    case IOMMU_IOAS_MAP:
        *dma = (DmaRequest){PM_DMA_MAP, map->iova, map->length};
        return true;
    case IOMMU_IOAS_MAP_FILE:
        *dma = (DmaRequest){PM_DMA_MAP, map_file->iova, map_file->length};
        return true;
    case IOMMU_IOAS_UNMAP:
        *dma = (DmaRequest){PM_DMA_UNMAP, unmap->iova, unmap->length};
        return true;
    default:
        return false;
    }
}

static bool touches_window(const PmRecorder *recorder, const DmaRequest *dma)
{
    return dma->size != 0 && dma->iova <= recorder->last &&
           dma->iova + (dma->size - 1) >= recorder->first;
}

static int recorder_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    PmRecorder *recorder = recorder_of(kernel);
    PmKernel *inner = recorder->inner;
    DmaRequest dma;
    int result;

    if (!is_dma_call(request, argument, &dma) || !touches_window(recorder, &dma))
        return pm_kernel_ioctl(inner, fd, request, argument);
    pthread_mutex_lock(&recorder->lock);
    result = pm_kernel_ioctl(inner, fd, request, argument);
    recorder->n_calls[dma.call] += !recorder->stopped;
    if (result >= 0 && recorder->func != NULL && !recorder->stopped)
        recorder->func(dma.call, dma.iova, dma.size, recorder->user_data);
    pthread_mutex_unlock(&recorder->lock);
    return result;
}

static void recorder_free(PmKernel *kernel)
{
    PmRecorder *recorder = recorder_of(kernel);

    pm_kernel_unref(recorder->inner);
    pthread_mutex_destroy(&recorder->lock);
    g_free(recorder);
}

static const PmKernelOps recorder_ops = {
    .struct_size = sizeof(recorder_ops),
    .ioctl = recorder_ioctl,
    .free = recorder_free,
};

PmKernel *pm_recorder_new(PmKernel *inner, uint64_t address, uint64_t size, PmDmaFunc func,
                          void *user_data)
{
    PmRecorder *recorder = g_new0(PmRecorder, 1);

    (void)pm_kernel_init(&recorder->kernel, &recorder_ops, inner, NULL);
    recorder->inner = pm_kernel_ref(inner);
    recorder->first = address;
    recorder->last = address + (size - 1);
    recorder->func = func;
    recorder->user_data = user_data;
    (void)pthread_mutex_init(&recorder->lock, NULL);
    return &recorder->kernel;
}

uint64_t pm_recorder_get_n_calls(PmKernel *kernel, PmDmaCall call)
{
    PmRecorder *recorder = recorder_of(kernel);
    uint64_t n_calls;

    pthread_mutex_lock(&recorder->lock);
    n_calls = recorder->n_calls[call];
    pthread_mutex_unlock(&recorder->lock);
    return n_calls;
}

void pm_recorder_stop(PmKernel *kernel)
{
    PmRecorder *recorder = recorder_of(kernel);

    pthread_mutex_lock(&recorder->lock);
    recorder->stopped = true;
    pthread_mutex_unlock(&recorder->lock);
}
