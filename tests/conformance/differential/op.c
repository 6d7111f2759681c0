/* SPDX-License-Identifier: MIT */
#include "op.h"

#include <inttypes.h>

#include "choose.h"
#include "kernel-uapi/vfio.h"
#include "memory.h"

static const Weight mapping_weights[] = {
    {OP_MAP, 36}, {OP_UNMAP, 20},  {OP_MEMORY, 14}, {OP_DIRTY, 10},  {OP_DMA, 6},
    {OP_INFO, 4}, {OP_MEMLOCK, 4}, {OP_FORK, 1},    {OP_UNKNOWN, 1},
};

static const Weight file_weights[] = {
    {OP_OPEN, 14},       {OP_CLOSE, 3},       {OP_JOIN, 12},
    {OP_LEAVE, 3},       {OP_SET_IOMMU, 10},  {OP_CHECK_EXTENSION, 3},
    {OP_STATUS, 5},      {OP_GET_DEVICE, 10}, {OP_DEVICE_INFO, 4},
    {OP_REGION_INFO, 4}, {OP_IRQ_INFO, 4},    {OP_SET_IRQS, 14},
    {OP_RESET, 1},       {OP_REGION, 4},      {OP_UNKNOWN, 3},
    {OP_MAP, 6},         {OP_UNMAP, 4},       {OP_INFO, 4},
    {OP_DIRTY, 1},
};

static const Weight device_weights[] = {
    {OP_REGION, 60}, {OP_SET_IRQS, 30}, {OP_RESET, 1},       {OP_UNKNOWN, 2},
    {OP_MAP, 2},     {OP_UNMAP, 1},     {OP_DEVICE_INFO, 1}, {OP_REGION_INFO, 1},
};

static void choose_bitmap(Op *op, GRand *random)
{
    static const uint64_t page_sizes[] = {0, 1, 2048, 8192, UINT64_C(1) << 63};
    static const uint64_t places[] = {0, 8, UINT64_C(0xffff888000000000), UINT64_MAX - 7};
    uint64_t words = (op->size / PAGE + 63) / 64;

    op->page_size = choose_once_in(random, 20)
                        ? page_sizes[choose_below(random, G_N_ELEMENTS(page_sizes))]
                        : PAGE;
    op->bitmap_size = words * 8;
    if (choose_once_in(random, 10))
        op->bitmap_size += choose_below(random, 40) - UINT64_C(20);
    if (choose_once_in(random, 60))
        op->bitmap_size = UINT64_C(1) << (25 + choose_below(random, 8));
    op->bitmap = bitmap_address() + UINT64_C(8) * choose_below(random, 8);
    if (choose_once_in(random, 25))
        op->bitmap = places[choose_below(random, G_N_ELEMENTS(places))];
    if (choose_once_in(random, 25))
        op->bitmap = bitmap_address() + BITMAP_SIZE - choose_below(random, 16);
}

static bool is_private_file(uint64_t host, uint64_t size)
{
    uint64_t area = area_address(AREA_PRIVATE_FILE);

    return host < area + AREA_SIZE && host + size > area;
}

/* Places with mappings of one size, so that later operations hit exactly a mapping: to invalidate
 * its vaddr and set a new one. */
static void choose_fixed(Op *op, GRand *random)
{
    uint64_t place = choose_below(random, 4);

    op->iova = UINT64_C(0x2000000) + place * 0x10000;
    op->size = (place + 1) * PAGE;
}

static void choose_map(Op *op, GRand *random)
{
    static const uint32_t usual[] = {3, 3, 3, 3, 3, 3, 1, 2};

    choose_argument(op, sizeof(struct vfio_iommu_type1_dma_map), random);
    op->flags = choose_once_in(random, 12) ? choose_below(random, 12)
                                           : usual[choose_below(random, G_N_ELEMENTS(usual))];
    op->iova = choose_iova(random);
    op->size = choose_size(random, op->iova);
    op->host = choose_host(random);
    /* Linux 6.1 pins the file's page, which the process no longer maps once it writes. The fake
     * pins the page of the process. */
    if (op->flags == VFIO_DMA_MAP_FLAG_READ && is_private_file(op->host, op->size))
        op->flags |= VFIO_DMA_MAP_FLAG_WRITE;
    if (!choose_once_in(random, 5))
        return;
    choose_fixed(op, random);
    op->flags = choose_once_in(random, 2) ? VFIO_DMA_MAP_FLAG_VADDR : 3;
}

static void choose_unmap(Op *op, GRand *random)
{
    choose_argument(op, sizeof(struct vfio_iommu_type1_dma_unmap), random);
    op->iova = choose_iova(random);
    op->size = choose_size(random, op->iova);
    if (choose_once_in(random, 10))
        op->size = UINT64_C(0x40) * PAGE;
    if (choose_once_in(random, 8))
        op->flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
    if (choose_once_in(random, 20))
        op->flags = VFIO_DMA_UNMAP_FLAG_VADDR;
    if (choose_once_in(random, 40))
        op->flags = choose_below(random, 10);
    if (choose_once_in(random, 60))
        op->flags = VFIO_DMA_UNMAP_FLAG_ALL;
    if (choose_once_in(random, 6)) {
        choose_fixed(op, random);
        op->flags = choose_once_in(random, 2) ? VFIO_DMA_UNMAP_FLAG_VADDR : 0;
    }
    if (op->flags & VFIO_DMA_UNMAP_FLAG_ALL && !choose_once_in(random, 4))
        op->iova = op->size = 0;
    if (op->flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP && !choose_once_in(random, 8))
        op->argsz = sizeof(struct vfio_iommu_type1_dma_unmap) + sizeof(struct vfio_bitmap);
    choose_bitmap(op, random);
}

static void choose_dirty(Op *op, GRand *random)
{
    static const uint32_t flags[] = {1, 1, 1, 2, 4, 4, 4, 4, 4, 4};

    choose_argument(op, sizeof(struct vfio_iommu_type1_dirty_bitmap), random);
    op->flags = choose_once_in(random, 20) ? choose_below(random, 16)
                                           : flags[choose_below(random, G_N_ELEMENTS(flags))];
    if (op->flags & VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP && !choose_once_in(random, 8))
        op->argsz += sizeof(struct vfio_iommu_type1_dirty_bitmap_get);
    op->iova = choose_iova(random);
    op->size = choose_once_in(random, 3) ? choose_size(random, op->iova) : UINT64_C(0x40) * PAGE;
    choose_bitmap(op, random);
}

/* @iova: start; @size: count; @host: which data. */
static void choose_irqs(Op *op, GRand *random)
{
    static const uint32_t actions[] = {8, 16, 32};
    static const uint32_t data[] = {1, 2, 4};
    static const unsigned indices[] = {VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_INTX_IRQ_INDEX,
                                       VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX,
                                       VFIO_PCI_REQ_IRQ_INDEX};

    choose_argument(op, sizeof(struct vfio_irq_set), random);
    op->flags = actions[choose_below(random, G_N_ELEMENTS(actions))] |
                data[choose_below(random, G_N_ELEMENTS(data))];
    if (choose_once_in(random, 12))
        op->flags = choose_below(random, 80);
    op->other = indices[choose_below(random, G_N_ELEMENTS(indices))];
    if (choose_once_in(random, 6))
        op->other = choose_below(random, 7);
    op->iova = choose_once_in(random, 10) ? choose_below(random, 4) : 0;
    op->size = choose_once_in(random, 4) ? choose_below(random, 4) : 1;
    op->host = choose_below(random, 5);
    if (!choose_once_in(random, 10))
        op->argsz = sizeof(struct vfio_irq_set) + 4;
}

/* @other: region; @flags: 1 writes the bytes of @host. Mostly naturally aligned. */
static void choose_region(Op *op, GRand *random)
{
    static const uint64_t registers[] = {0x00, 0x04, 0x08, 0x20, 0x24, 0x60,    0x60,  0x64,
                                         0x80, 0x88, 0x90, 0x98, 0xa0, 0xffffc, 0x1000};
    static const uint64_t sizes[] = {1, 2, 4, 4, 4, 4, 8, 8, 12};

    op->other =
        choose_once_in(random, 2) ? VFIO_PCI_CONFIG_REGION_INDEX : VFIO_PCI_BAR0_REGION_INDEX;
    op->size = sizes[choose_below(random, G_N_ELEMENTS(sizes))];
    op->iova = op->other == VFIO_PCI_BAR0_REGION_INDEX
                   ? registers[choose_below(random, G_N_ELEMENTS(registers))]
                   : choose_below(random, 0x104 / (unsigned)op->size + 1) * op->size;
    op->flags = choose_below(random, 2);
    op->host = ((uint64_t)g_rand_int(random) << 32) | g_rand_int(random);
    if (choose_once_in(random, 3))
        op->host = choose_once_in(random, 2) ? UINT64_MAX : 0x0000010700000107;
    if (choose_once_in(random, 10))
        op->iova += choose_below(random, 8);
    if (choose_once_in(random, 40))
        op->size = 0;
    if (choose_once_in(random, 40))
        op->other = choose_below(random, 12);
}

static OpKind choose_kind_for(SequenceKind kind, GRand *random)
{
    switch (kind) {
    case SEQUENCE_MAPPINGS:
        return choose_kind(mapping_weights, G_N_ELEMENTS(mapping_weights), random);
    case SEQUENCE_FILES:
        return choose_kind(file_weights, G_N_ELEMENTS(file_weights), random);
    default:
        return choose_kind(device_weights, G_N_ELEMENTS(device_weights), random);
    }
}

void op_make_common(Op *op, SequenceKind kind, GRand *random)
{
    switch (op->kind) {
    case OP_MAP:
        choose_map(op, random);
        break;
    case OP_UNMAP:
        choose_unmap(op, random);
        break;
    case OP_DIRTY:
        choose_dirty(op, random);
        break;
    case OP_DMA:
        op->iova = choose_iova(random) & -PAGE;
        break;
    case OP_MEMORY:
        choose_memory(op, random);
        break;
    case OP_MEMLOCK:
        op->size = choose_once_in(random, 2) ? UINT64_MAX : choose_below(random, 60) * PAGE / 2;
        op->flags = choose_once_in(random, 2);
        break;
    case OP_FORK:
        op->host = area_address((Area)choose_below(random, N_CHANGING_AREAS)) +
                   choose_below(random, AREA_PAGES) * PAGE;
        break;
    case OP_INFO:
        choose_argument(op, sizeof(struct vfio_iommu_type1_info), random);
        op->argsz = choose_once_in(random, 2) ? 128 : op->argsz;
        break;
    case OP_STATUS:
        choose_argument(op, sizeof(struct vfio_group_status), random);
        break;
    case OP_DEVICE_INFO:
        choose_argument(op, sizeof(struct vfio_device_info), random);
        break;
    case OP_REGION_INFO:
        choose_argument(op, sizeof(struct vfio_region_info), random);
        break;
    case OP_IRQ_INFO:
        choose_argument(op, sizeof(struct vfio_irq_info), random);
        break;
    case OP_SET_IRQS:
        choose_irqs(op, random);
        break;
    case OP_REGION:
        choose_region(op, random);
        if (kind == SEQUENCE_DEVICE)
            break;
        /* Writes would persist into later sequences. */
        op->flags = 0;
        op->other = VFIO_PCI_CONFIG_REGION_INDEX;
        break;
    default:
        break;
    }
}

void op_make(Op *op, SequenceKind kind, GRand *random)
{
    *op = (Op){0};
    if (kind == SEQUENCE_IOMMUFD) {
        op_make_iommufd(op, random);
        return;
    }
    op->kind = choose_kind_for(kind, random);
    op->slot = kind == SEQUENCE_DEVICE ? 0 : choose_below(random, 4);
    op->other = choose_below(random, 16);
    op_make_common(op, kind, random);
}

char *op_describe(const Op *op)
{
    static const char *const names[N_OPS] = {
        "map",         "unmap",
        "info",        "dirty",
        "dma",         "memory",
        "memlock",     "fork",
        "open",        "close",
        "join",        "leave",
        "set-iommu",   "check-extension",
        "status",      "get-device",
        "device-info", "region-info",
        "irq-info",    "set-irqs",
        "reset",       "region",
        "unknown",     "ioas-alloc",
        "destroy",     "ioas-map",
        "ioas-unmap",  "ioas-copy",
        "ranges",      "allow",
        "option",      "vfio-ioas",
        "hwpt",        "hw-info",
        "invalidate",  "hwpt-dirty",
        "cdev-open",   "bind",
        "attach",      "detach",
        "iommu-dma",   "restore",
    };

    return g_strdup_printf(
        "%s slot %u other %u argsz %u flags 0x%x iova 0x%" PRIx64 " size 0x%" PRIx64
        " host 0x%" PRIx64 " bitmap 0x%" PRIx64 "+0x%" PRIx64 " of 0x%" PRIx64 " place %d,%u",
        names[op->kind], op->slot, op->other, op->argsz, op->flags, op->iova, op->size, op->host,
        op->bitmap, op->bitmap_size, op->page_size, (int)op->place, op->place_bytes);
}
