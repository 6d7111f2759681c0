/* SPDX-License-Identifier: MIT */
#include "stack_fuzz_kernel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <plugmap/fake.h>

#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "util/backend_util.h"

static FuzzKernel *fuzz_of(PmKernel *kernel)
{
    return (FuzzKernel *)kernel;
}

static PmKernel *next_of(PmKernel *kernel)
{
    return fuzz_of(kernel)->fake;
}

static int fuzz_open(PmKernel *kernel, const char *path, int flags)
{
    return next_of(kernel)->ops->open(next_of(kernel), path, flags);
}

static int fuzz_close(PmKernel *kernel, int fd)
{
    return next_of(kernel)->ops->close(next_of(kernel), fd);
}

/* --- MAP --- */

typedef struct {
    uint64_t iova;
    uint64_t size;
    uint64_t host;
} Range;

static bool is_map(unsigned long request)
{
    return request == VFIO_IOMMU_MAP_DMA || request == IOMMU_IOAS_MAP ||
           request == IOMMU_IOAS_MAP_FILE;
}

static Range range_of_map(unsigned long request, const void *argument)
{
    const struct vfio_iommu_type1_dma_map *type1 = argument;
    const struct iommu_ioas_map *map = argument;
    const struct iommu_ioas_map_file *file = argument;

    if (request == VFIO_IOMMU_MAP_DMA)
        return (Range){type1->iova, type1->size, type1->vaddr};
    if (request == IOMMU_IOAS_MAP)
        return (Range){map->iova, map->length, map->user_va};
    return (Range){file->iova, file->length, file->start};
}

/* An invalid address: the errno shows whether something else is mapped there. */
static bool is_question(unsigned long request, const Range *range)
{
    return (request == VFIO_IOMMU_MAP_DMA && range->host == -range->size) ||
           (request == IOMMU_IOAS_MAP && range->host % 2 != 0);
}

static bool is_answer(int error_number)
{
    return error_number == EFAULT || error_number == ENOSPC || error_number == EINVAL ||
           error_number == EEXIST;
}

/* 0: no fault planned for this MAP. */
static int take_fault(FuzzKernel *kernel, bool question)
{
    int result = 0;

    kernel->n_maps++;
    for (unsigned i = 0; i < kernel->n_faults; i++)
        if (kernel->n_maps >= kernel->faults[i].first && kernel->n_maps < kernel->faults[i].end)
            result = -kernel->faults[i].error_number;
    return question && is_answer(-result) ? -EIO : result;
}

static int map(FuzzKernel *kernel, int fd, unsigned long request, void *argument)
{
    const Range range = range_of_map(request, argument);
    bool question = is_question(request, &range);
    int result = take_fault(kernel, question);

    if (result == 0)
        result = kernel->fake->ops->ioctl(kernel->fake, fd, request, argument);
    if (*kernel->traced)
        printf("    %s 0x%" PRIx64 " 0x%" PRIx64 ": %d\n", question ? "PROBE" : "MAP", range.iova,
               range.size, result);
    return result;
}

/* --- UNMAP --- */

static Range range_of_unmap(const void *argument)
{
    const struct vfio_iommu_type1_dma_unmap *type1 = argument;
    const struct iommu_ioas_unmap *iommufd = argument;

    if (backend_is_iommufd())
        return (Range){.iova = iommufd->iova, .size = iommufd->length};
    return (Range){.iova = type1->iova, .size = type1->size};
}

static int unmap(FuzzKernel *kernel, int fd, unsigned long request, void *argument)
{
    const Range range = range_of_unmap(argument);
    int result = kernel->fake->ops->ioctl(kernel->fake, fd, request, argument);

    /* Not on a short unmap, where it could make the size look right. */
    if (result == 0 && range_of_unmap(argument).size == range.size) {
        backend_add_to_unmapped(argument, kernel->added_size);
        kernel->added_size = 0;
    }
    if (*kernel->traced)
        printf("    UNMAP 0x%" PRIx64 " 0x%" PRIx64 ": %d, 0x%" PRIx64 "\n", range.iova, range.size,
               result, range_of_unmap(argument).size);
    return result;
}

static int fuzz_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    if (is_map(request))
        return map(fuzz_of(kernel), fd, request, argument);
    if (request == backend_unmap_request())
        return unmap(fuzz_of(kernel), fd, request, argument);
    return next_of(kernel)->ops->ioctl(next_of(kernel), fd, request, argument);
}

static int fuzz_lock_limit(PmKernel *kernel, PmLockedMemory *locked)
{
    return next_of(kernel)->ops->lock_limit(next_of(kernel), locked);
}

static int fuzz_locked_memory(PmKernel *kernel, PmLockedMemory *locked)
{
    return next_of(kernel)->ops->locked_memory(next_of(kernel), locked);
}

static void fuzz_free(PmKernel *kernel)
{
    fuzz_of(kernel)->freed = true;
}

/* Address spaces do not use the other operations. */
static const PmKernelOps fuzz_ops = {
    .struct_size = sizeof(fuzz_ops),
    .open = fuzz_open,
    .close = fuzz_close,
    .ioctl = fuzz_ioctl,
    .lock_limit = fuzz_lock_limit,
    .locked_memory = fuzz_locked_memory,
    .free = fuzz_free,
};

void fuzz_kernel_init(FuzzKernel *kernel, PmKernel *fake, const bool *traced)
{
    *kernel = (FuzzKernel){.fake = fake, .traced = traced};
    (void)pm_kernel_init(&kernel->parent, &fuzz_ops, fake, NULL);
}

void fuzz_kernel_fail_maps(FuzzKernel *kernel, uint64_t nth, uint64_t n_maps, int error_number)
{
    if (kernel->n_faults < FUZZ_MAX_FAULTS)
        kernel->faults[kernel->n_faults++] = (FuzzMapFault){
            .first = kernel->n_maps + nth,
            .end = kernel->n_maps + nth + n_maps,
            .error_number = error_number,
        };
}

void fuzz_kernel_clear_faults(FuzzKernel *kernel)
{
    kernel->n_faults = 0;
    kernel->added_size = 0;
    pm_fake_kernel_clear_faults(kernel->fake);
}
