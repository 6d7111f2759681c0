/* SPDX-License-Identifier: MIT */
#include "iommu/type1/type1_info.h"

#include <inttypes.h>
#include <string.h>

#include "base/error_text.h"
#include "kernel-uapi/vfio.h"
#include "kernel/kernel_calls.h"
#include "vfio/device_node.h"

/* Enough for all current capabilities with six I/O address ranges, so that one call suffices. */
#define FIRST_SIZE 256
/* A range of one page after every gap of one page would fit; more is a corrupt answer. */
#define MAX_SIZE   (1U << 20)
/* The number of ranges can grow between two calls, but not forever. */
#define MAX_TRIES  4

/* The answer's bytes; structs in it are only 4-byte aligned, so copy them out. */
typedef struct {
    const uint8_t *bytes;
    size_t size;
} Answer;

static bool fail_chain(GError **error, const char *what, uint32_t offset)
{
    return pm_fail(
        error, PM_ERROR_BAD_INPUT,
        "invalid answer of the kernel to VFIO_IOMMU_GET_INFO: the capability at offset %" PRIu32
        " %s",
        offset, what);
}

static bool read_struct(const Answer *answer, uint32_t offset, void *to, size_t size)
{
    if (offset > answer->size || size > answer->size - offset)
        return false;
    memcpy(to, answer->bytes + offset, size);
    return true;
}

static bool check_ranges(const PmIovaRange *ranges, size_t n_ranges)
{
    size_t i;

    for (i = 0; i < n_ranges; i++) {
        if (ranges[i].start > ranges[i].last || (i > 0 && ranges[i].start <= ranges[i - 1].last))
            return false;
    }
    return n_ranges > 0;
}

static bool read_ranges(const Answer *answer, uint32_t offset, PmType1Info *info, GError **error)
{
    struct vfio_iommu_type1_info_cap_iova_range capability;
    const uint8_t *from;
    size_t i;

    if (!read_struct(answer, offset, &capability, sizeof capability))
        return fail_chain(error, "is cut off", offset);
    if (capability.nr_iovas >
        (answer->size - offset - sizeof capability) / sizeof(struct vfio_iova_range))
        return fail_chain(error, "has more I/O address ranges than fit", offset);
    if (info->ranges != NULL)
        return fail_chain(error, "repeats the I/O address ranges", offset);
    info->n_ranges = capability.nr_iovas;
    info->ranges = g_try_new(PmIovaRange, MAX(info->n_ranges, 1));
    if (info->ranges == NULL)
        return pm_fail(error, PM_ERROR_MEMORY, "out of memory for %zu I/O address ranges",
                       info->n_ranges);
    from = answer->bytes + offset + sizeof capability;
    for (i = 0; i < info->n_ranges; i++) {
        struct vfio_iova_range range;

        memcpy(&range, from + i * sizeof range, sizeof range);
        info->ranges[i] = (PmIovaRange){range.start, range.end};
    }
    if (!check_ranges(info->ranges, info->n_ranges))
        return fail_chain(error, "has I/O address ranges that overlap or are not ascending",
                          offset);
    return true;
}

static bool read_available(const Answer *answer, uint32_t offset, PmType1Info *info, GError **error)
{
    struct vfio_iommu_type1_info_dma_avail capability;

    if (!read_struct(answer, offset, &capability, sizeof capability))
        return fail_chain(error, "is cut off", offset);
    info->n_available = capability.avail;
    return true;
}

/* More bytes than a bitmap of all addresses has are as good as no limit. */
static bool read_migration(const Answer *answer, uint32_t offset, PmType1Info *info, GError **error)
{
    struct vfio_iommu_type1_info_cap_migration capability;

    if (!read_struct(answer, offset, &capability, sizeof capability))
        return fail_chain(error, "is cut off", offset);
    info->dirty_page_sizes = capability.pgsize_bitmap;
    info->max_dirty_bytes = MIN(capability.max_dirty_bitmap_size, UINT64_MAX / 64);
    return true;
}

/* Treat another version of a known capability as unknown. */
static bool read_capability(const Answer *answer, const struct vfio_info_cap_header *header,
                            uint32_t offset, PmType1Info *info, GError **error)
{
    if (header->version != 1)
        return true;
    if (header->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
        return read_ranges(answer, offset, info, error);
    if (header->id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL)
        return read_available(answer, offset, info, error);
    if (header->id == VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION)
        return read_migration(answer, offset, info, error);
    return true;
}

static bool read_chain(const Answer *answer, uint32_t offset, PmType1Info *info, GError **error)
{
    size_t n_left = answer->size / sizeof(struct vfio_info_cap_header);
    struct vfio_info_cap_header header;

    for (; offset != 0; offset = header.next) {
        if (n_left-- == 0)
            return fail_chain(error, "is in a loop", offset);
        if (offset < sizeof(struct vfio_iommu_type1_info))
            return fail_chain(error, "overlaps the fixed part", offset);
        if (offset % sizeof(uint32_t) != 0)
            return fail_chain(error, "is misaligned", offset);
        if (!read_struct(answer, offset, &header, sizeof header))
            return fail_chain(error, "is past the end", offset);
        if (!read_capability(answer, &header, offset, info, error))
            return false;
    }
    return true;
}

bool pm_type1_info_parse(const void *answer, size_t size, PmType1Info *info, GError **error)
{
    Answer bytes = {.bytes = answer, .size = size};
    struct vfio_iommu_type1_info fixed;

    *info = (PmType1Info){.n_available = UINT64_MAX};
    if (!read_struct(&bytes, 0, &fixed, sizeof fixed))
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "invalid answer of the kernel to VFIO_IOMMU_GET_INFO: only %zu bytes", size);
    if ((fixed.flags & VFIO_IOMMU_INFO_PGSIZES) == 0 || fixed.iova_pgsizes == 0)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "invalid answer of the kernel to VFIO_IOMMU_GET_INFO: no page sizes");
    info->page_sizes = fixed.iova_pgsizes;
    if ((fixed.flags & VFIO_IOMMU_INFO_CAPS) == 0 ||
        read_chain(&bytes, fixed.cap_offset, info, error))
        return true;
    pm_type1_info_clear(info);
    return false;
}

bool pm_type1_info_query(PmKernel *kernel, int container, PmType1Info *info, GError **error)
{
    uint32_t size = FIRST_SIZE;
    unsigned i;

    for (i = 0; i < MAX_TRIES; i++) {
        /* Zeroed, because old kernels do not write the padding. */
        g_autofree void *answer = g_malloc0(size);
        struct vfio_iommu_type1_info fixed = {.argsz = size};
        int result;

        memcpy(answer, &fixed, sizeof fixed);
        result = pm_kernel_ioctl(kernel, container, VFIO_IOMMU_GET_INFO, answer);
        if (result < 0)
            return pm_fail_ioctl(error, -result, PM_SEE_KERNEL_LOG,
                                 "asking the container about its IOMMU");
        memcpy(&fixed, answer, sizeof fixed);
        if (fixed.argsz <= size)
            return pm_type1_info_parse(answer, size, info, error);
        if (fixed.argsz > MAX_SIZE)
            break;
        size = fixed.argsz;
    }
    return pm_fail(error, PM_ERROR_BAD_INPUT,
                   "invalid answer of the kernel to VFIO_IOMMU_GET_INFO: more than %u bytes", size);
}

void pm_type1_info_clear(PmType1Info *info)
{
    g_free(info->ranges);
    *info = (PmType1Info){0};
}
