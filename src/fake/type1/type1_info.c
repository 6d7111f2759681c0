/* SPDX-License-Identifier: MIT */
#include "fake/type1/type1_info.h"

#include <errno.h>
#include <string.h>

#include "fake/memory/user_memory.h"
#include "kernel-uapi/vfio.h"

#define MAX_DIRTY_BITMAP (UINT64_C(256) << 20)

/* A capability chain being built; offsets count from the start of the info struct, which
 * precedes it. */
typedef struct {
    GByteArray *bytes;
    uint32_t newest; /* offset of the newest capability in @bytes */
    uint32_t alignment;
} Chain;

/* Appends a capability and links the previous one to it. */
static void add_capability(Chain *chain, uint16_t id, struct vfio_info_cap_header *capability,
                           guint size)
{
    static const uint8_t zeros[8];
    guint padding = (chain->alignment - size % chain->alignment) % chain->alignment;
    uint32_t begin = chain->bytes->len;

    *capability = (struct vfio_info_cap_header){.id = id, .version = 1};
    if (begin > 0) {
        uint32_t offset = (uint32_t)sizeof(struct vfio_iommu_type1_info) + begin;

        memcpy(chain->bytes->data + chain->newest + offsetof(struct vfio_info_cap_header, next),
               &offset, sizeof(offset));
    }
    chain->newest = begin;
    g_byte_array_append(chain->bytes, (const guint8 *)capability, size);
    g_byte_array_append(chain->bytes, zeros, padding);
}

static void add_ranges(Chain *chain, const PmFakeConfig *config)
{
    guint size = (guint)(sizeof(struct vfio_iommu_type1_info_cap_iova_range) +
                         config->n_iova_ranges * sizeof(struct vfio_iova_range));
    g_autofree struct vfio_iommu_type1_info_cap_iova_range *ranges = g_malloc0(size);

    ranges->nr_iovas = (uint32_t)config->n_iova_ranges;
    for (size_t i = 0; i < config->n_iova_ranges; i++)
        ranges->iova_ranges[i] = (struct vfio_iova_range){
            .start = config->iova_ranges[i].start,
            .end = config->iova_ranges[i].last,
        };
    add_capability(chain, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, &ranges->header, size);
}

/* Linux 6.1 does not pad capabilities; later kernels pad them to 8 bytes. */
static GByteArray *build_chain(const PmFakeType1 *type1)
{
    const PmFakeConfig *config = &type1->machine->config;
    Chain chain = {
        .bytes = g_byte_array_new(),
        .alignment = config->linux_version == PM_FAKE_LINUX_6_1 ? 1 : 8,
    };
    struct vfio_iommu_type1_info_cap_migration migration = {
        .pgsize_bitmap = pm_fake_type1_page_size(type1),
        .max_dirty_bitmap_size = MAX_DIRTY_BITMAP,
    };
    struct vfio_iommu_type1_info_dma_avail available = {.avail = type1->n_available};

    add_capability(&chain, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, &migration.header,
                   sizeof(migration));
    add_capability(&chain, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, &available.header, sizeof(available));
    add_ranges(&chain, config);
    return chain.bytes;
}

/* Bytes of the struct to write: 6.1 has no padding after cap_offset, and writes cap_offset whole
 * or not at all. */
static size_t written_size(PmFakeLinux version, uint32_t argsz)
{
    const size_t without_caps = offsetof(struct vfio_iommu_type1_info, cap_offset);
    const size_t with_caps = offsetof(struct vfio_iommu_type1_info, pad);

    if (version == PM_FAKE_LINUX_6_1)
        return argsz < with_caps ? without_caps : with_caps;
    return MIN(argsz, sizeof(struct vfio_iommu_type1_info));
}

int pm_fake_type1_get_info(PmFakeType1 *type1, void *argument)
{
    g_autoptr(GByteArray) chain = NULL;
    struct vfio_iommu_type1_info info = {0};
    size_t size;

    if (pm_user_read(&info, argument, offsetof(struct vfio_iommu_type1_info, cap_offset)) < 0)
        return -EFAULT;
    if (info.argsz < offsetof(struct vfio_iommu_type1_info, cap_offset))
        return -EINVAL;
    size = written_size(type1->machine->config.linux_version, info.argsz);
    info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
    info.iova_pgsizes = type1->machine->config.page_sizes;
    chain = build_chain(type1);
    if (info.argsz < sizeof(info) + chain->len) {
        info.argsz = (uint32_t)sizeof(info) + chain->len;
    } else {
        if (pm_user_write((uint8_t *)argument + sizeof(info), chain->data, chain->len) < 0)
            return -EFAULT;
        info.cap_offset = sizeof(info);
    }
    return pm_user_write(argument, &info, size);
}
