/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/iommufd_file.h"

#include <errno.h>

#include "fake/iommufd/fault_queue.h"
#include "fake/iommufd/hwpt.h"
#include "fake/iommufd/hwpt_dirty.h"
#include "fake/iommufd/ioas.h"
#include "fake/iommufd/ioas_map.h"
#include "fake/iommufd/ioas_process.h"
#include "fake/iommufd/ioas_unmap.h"
#include "fake/iommufd/iommufd_option.h"
#include "fake/iommufd/vfio_compat.h"
#include "fake/memory/user_memory.h"
#include "kernel-uapi/vfio.h"

#define MAX_INVALIDATIONS (1U << 19)

/* Only nested page tables can be invalidated, and there are none. */
static int hwpt_invalidate(PmFakeIommufdRequest *request)
{
    struct iommu_hwpt_invalidate *invalidate = &request->invalidate;
    int result = -ENOENT;

    if (invalidate->__reserved != 0)
        result = -EOPNOTSUPP;
    else if (invalidate->entry_num != 0 &&
             (invalidate->data_uptr == 0 || invalidate->entry_len == 0 ||
              invalidate->entry_len > PM_FAKE_PAGE || invalidate->entry_num > MAX_INVALIDATIONS))
        result = -EINVAL;
    invalidate->entry_num = 0;
    return pm_fake_iommufd_respond(request, sizeof(*invalidate)) < 0 ? -EFAULT : result;
}

/* Struct sizes: the kernel's, and the least it accepts. */
static const struct {
    uint32_t size;
    uint32_t min_size;
    int (*run)(PmFakeIommufdRequest *request);
} commands[] = {
    {sizeof(struct iommu_destroy), 8, pm_fake_iommufd_destroy},
    {sizeof(struct iommu_ioas_alloc), 12, pm_ioas_alloc},
    {sizeof(struct iommu_ioas_allow_iovas), 24, pm_ioas_allow_iovas},
    {sizeof(struct iommu_ioas_copy), 40, pm_ioas_copy},
    {sizeof(struct iommu_ioas_iova_ranges), 32, pm_ioas_iova_ranges},
    {sizeof(struct iommu_ioas_map), 40, pm_ioas_map},
    {sizeof(struct iommu_ioas_unmap), 24, pm_ioas_unmap},
    {sizeof(struct iommu_option), 24, pm_fake_iommufd_option},
    {sizeof(struct iommu_vfio_ioas), 12, pm_fake_iommufd_vfio_ioas},
    {sizeof(struct iommu_hwpt_alloc), 24, pm_hwpt_alloc},
    {sizeof(struct iommu_hw_info), 32, pm_hwpt_get_hw_info},
    {sizeof(struct iommu_hwpt_set_dirty_tracking), 16, pm_hwpt_set_dirty_tracking},
    {sizeof(struct iommu_hwpt_get_dirty_bitmap), 48, pm_hwpt_get_dirty_bitmap},
    {sizeof(struct iommu_hwpt_invalidate), 32, hwpt_invalidate},
    {sizeof(struct iommu_fault_alloc), 16, pm_fault_queue_alloc},
    {sizeof(struct iommu_ioas_map_file), 40, pm_ioas_map_file},
    {0, 0, NULL}, /* IOMMU_VIOMMU_ALLOC and IOMMU_VDEVICE_ALLOC: there are no nested page tables */
    {0, 0, NULL},
    {sizeof(struct iommu_ioas_change_process), 8, pm_ioas_change_process},
};

/* Those of Linux 6.12. */
#define N_COMMANDS_6_12 (IOMMU_FAULT_QUEUE_ALLOC - IOMMU_DESTROY + 1)

/* A struct larger than the kernel's must end in zeros. */
static int check_tail(const uint8_t *tail, uint64_t size)
{
    uint8_t bytes[256];
    uint64_t done = 0;

    while (done < size) {
        /* In aligned 256-byte pieces, lest a fault hide nonzero bytes before it. */
        uint64_t left = sizeof(bytes) - (uintptr_t)(tail + done) % sizeof(bytes);
        uint64_t piece = MIN(size - done, left);

        if (pm_user_read(bytes, tail + done, piece) < 0)
            return -EFAULT;
        for (uint64_t i = 0; i < piece; i++)
            if (bytes[i] != 0)
                return -E2BIG;
        done += piece;
    }
    return 0;
}

static int run_command(PmFakeIommufd *iommufd, unsigned long code, guint index, void *argument)
{
    PmFakeIommufdRequest request = {.iommufd = iommufd, .argument = argument};
    uint32_t known = commands[index].size;
    int result;

    if (pm_user_read(&request.argument_size, argument, sizeof(request.argument_size)) < 0)
        return -EFAULT;
    if (code != IOMMU_DESTROY + index)
        return -ENOTTY;
    if (request.argument_size < commands[index].min_size)
        return -EINVAL;
    if (request.argument_size > known) {
        result = check_tail((const uint8_t *)argument + known, request.argument_size - known);
        if (result < 0)
            return result;
    }
    if (pm_user_read(&request.destroy, argument, MIN(request.argument_size, known)) < 0)
        return -EFAULT;
    return commands[index].run(&request);
}

/* The low byte selects the command; other codes are for the type1 interface. */
static int iommufd_ioctl(void *object, unsigned long code, void *argument)
{
    PmFakeIommufd *iommufd = object;
    guint n_commands =
        iommufd->machine->config.ioas_map_file ? G_N_ELEMENTS(commands) : N_COMMANDS_6_12;
    guint index = (guint)(code & 0xff) - (IOMMU_DESTROY & 0xff);

    return index < n_commands && commands[index].run != NULL
               ? run_command(iommufd, code, index, argument)
               : pm_vfio_compat_ioctl(iommufd, code, argument);
}

static void release_iommufd(void *object)
{
    pm_fake_iommufd_unref(object);
}

static PmFakeCall iommufd_ioctl_kind(unsigned long code)
{
    switch (code) {
    case IOMMU_IOAS_MAP:
    case IOMMU_IOAS_MAP_FILE:
    case VFIO_IOMMU_MAP_DMA:
        return PM_FAKE_CALL_MAP;
    case IOMMU_IOAS_UNMAP:
    case VFIO_IOMMU_UNMAP_DMA:
        return PM_FAKE_CALL_UNMAP;
    default:
        return PM_FAKE_CALL_IOCTL;
    }
}

const PmFileOps pm_fake_iommufd_file_ops = {
    .release = release_iommufd,
    .ioctl = iommufd_ioctl,
    .ioctl_kind = iommufd_ioctl_kind,
    .mmap_error = ENODEV,
};

int pm_fake_iommufd_open(PmFakeMemory *memory, int flags)
{
    PmFakeIommufd *iommufd = pm_fake_iommufd_new(memory);
    int fd = pm_file_table_open(&memory->machine->files, &pm_fake_iommufd_file_ops, iommufd, flags);

    if (fd < 0)
        pm_fake_iommufd_unref(iommufd);
    return fd;
}
