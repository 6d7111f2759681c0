/* SPDX-License-Identifier: MIT */
#include "diff_op.h"

#include <inttypes.h>

#include "diff_memory.h"
#include "kernel-uapi/vfio.h"

typedef struct {
    OpKind kind;
    unsigned weight;
} Weight;

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

/* A number below @end. */
static unsigned below(GRand *random, unsigned end)
{
    return g_rand_int(random) % end;
}

static bool once_in(GRand *random, unsigned n)
{
    return below(random, n) == 0;
}

static OpKind choose_kind(const Weight *weights, size_t n, GRand *random)
{
    unsigned sum = 0;
    unsigned at;
    size_t i;

    for (i = 0; i < n; i++)
        sum += weights[i].weight;
    at = below(random, sum);
    for (i = 0; at >= weights[i].weight; i++)
        at -= weights[i].weight;
    return weights[i].kind;
}

/* Mostly in a small window, so that ranges meet; else at the edges of what there is. */
static uint64_t choose_iova(GRand *random)
{
    static const uint64_t edges[] = {
        0, 0xfee00000, 0xfef00000, UINT64_C(1) << 32, UINT64_C(1) << 39, UINT64_C(1) << 63, 0,
    };
    uint64_t iova = UINT64_C(0x100000) + below(random, once_in(random, 2) ? 64 : 512) * PAGE;

    if (once_in(random, 12))
        iova = edges[below(random, G_N_ELEMENTS(edges))] + below(random, 12) * PAGE - 6 * PAGE;
    if (once_in(random, 20))
        iova = UINT64_C(0x40000000) + below(random, 2) * AREA_SIZE;
    if (once_in(random, 60))
        iova += 1 + below(random, PAGE - 1);
    return iova;
}

static uint64_t choose_size(GRand *random, uint64_t iova)
{
    const uint64_t large[] = {
        -iova,      -iova - PAGE,         UINT64_C(1) << 63,
        AREA_SIZE,  UINT64_C(0x40000000), UINT64_MAX - PAGE + 1,
        UINT64_MAX,
    };
    uint64_t size = (1 + below(random, once_in(random, 5) ? 40 : 6)) * PAGE;

    if (once_in(random, 25))
        size = large[below(random, G_N_ELEMENTS(large))];
    if (once_in(random, 60))
        size += 1 + below(random, PAGE - 1);
    return once_in(random, 60) ? 0 : size;
}

static uint64_t choose_host(GRand *random)
{
    static const uint64_t strange[] = {
        0,
        UINT64_C(0xffff888000000000),
        UINT64_C(0x800000000000),
        UINT64_MAX - PAGE + 1,
        UINT64_MAX - 4 * PAGE + 1,
    };
    Area area = (Area)below(random, once_in(random, 4) ? N_AREAS : N_CHANGING_AREAS);
    uint64_t host = area_address(area) + below(random, AREA_PAGES - 4) * PAGE;

    if (area == AREA_HUGETLB || area == AREA_TRANSPARENT_HUGE)
        host = area_address(area) + (uint64_t)below(random, 2) * below(random, 512) * PAGE;
    if (once_in(random, 50))
        host = strange[below(random, G_N_ELEMENTS(strange))];
    if (once_in(random, 80))
        host += 1 + below(random, PAGE - 1);
    return host;
}

static void choose_argument(Op *op, uint32_t size, GRand *random)
{
    op->argsz = size;
    if (once_in(random, 15))
        op->argsz = below(random, 64);
    if (once_in(random, 30))
        op->argsz = size + below(random, 1000);
    if (!once_in(random, 25))
        return;
    op->place = (Place)(1 + below(random, 3));
    op->place_bytes = below(random, size + 48);
}

static void choose_bitmap(Op *op, GRand *random)
{
    static const uint64_t page_sizes[] = {0, 1, 2048, 8192, UINT64_C(1) << 63};
    static const uint64_t places[] = {0, 8, UINT64_C(0xffff888000000000), UINT64_MAX - 7};
    uint64_t words = (op->size / PAGE + 63) / 64;

    op->page_size =
        once_in(random, 20) ? page_sizes[below(random, G_N_ELEMENTS(page_sizes))] : PAGE;
    op->bitmap_size = words * 8;
    if (once_in(random, 10))
        op->bitmap_size += below(random, 40) - UINT64_C(20);
    if (once_in(random, 60))
        op->bitmap_size = UINT64_C(1) << (25 + below(random, 8));
    op->bitmap = bitmap_address() + UINT64_C(8) * below(random, 8);
    if (once_in(random, 25))
        op->bitmap = places[below(random, G_N_ELEMENTS(places))];
    if (once_in(random, 25))
        op->bitmap = bitmap_address() + BITMAP_SIZE - below(random, 16);
}

static bool is_private_file(uint64_t host, uint64_t size)
{
    uint64_t area = area_address(AREA_PRIVATE_FILE);

    return host < area + AREA_SIZE && host + size > area;
}

/* Places where mappings of one size follow each other, so that a whole one is met again: to lose
 * its host address, and get another. */
static void choose_fixed(Op *op, GRand *random)
{
    uint64_t place = below(random, 4);

    op->iova = UINT64_C(0x2000000) + place * 0x10000;
    op->size = (place + 1) * PAGE;
}

static void choose_map(Op *op, GRand *random)
{
    static const uint32_t usual[] = {3, 3, 3, 3, 3, 3, 1, 2};

    choose_argument(op, sizeof(struct vfio_iommu_type1_dma_map), random);
    op->flags = once_in(random, 12) ? below(random, 12) : usual[below(random, G_N_ELEMENTS(usual))];
    op->iova = choose_iova(random);
    op->size = choose_size(random, op->iova);
    op->host = choose_host(random);
    /* Linux 6.1 pins the file's page then, which the process no longer has once it writes. The fake
     * has the process's. */
    if (op->flags == VFIO_DMA_MAP_FLAG_READ && is_private_file(op->host, op->size))
        op->flags |= VFIO_DMA_MAP_FLAG_WRITE;
    if (!once_in(random, 5))
        return;
    choose_fixed(op, random);
    op->flags = once_in(random, 2) ? VFIO_DMA_MAP_FLAG_VADDR : 3;
}

static void choose_unmap(Op *op, GRand *random)
{
    choose_argument(op, sizeof(struct vfio_iommu_type1_dma_unmap), random);
    op->iova = choose_iova(random);
    op->size = choose_size(random, op->iova);
    if (once_in(random, 10))
        op->size = UINT64_C(0x40) * PAGE;
    if (once_in(random, 8))
        op->flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
    if (once_in(random, 20))
        op->flags = VFIO_DMA_UNMAP_FLAG_VADDR;
    if (once_in(random, 40))
        op->flags = below(random, 10);
    if (once_in(random, 6)) {
        choose_fixed(op, random);
        op->flags = once_in(random, 2) ? VFIO_DMA_UNMAP_FLAG_VADDR : 0;
    }
    if (op->flags & VFIO_DMA_UNMAP_FLAG_ALL && !once_in(random, 4))
        op->iova = op->size = 0;
    if (op->flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP && !once_in(random, 8))
        op->argsz = sizeof(struct vfio_iommu_type1_dma_unmap) + sizeof(struct vfio_bitmap);
    choose_bitmap(op, random);
}

static void choose_dirty(Op *op, GRand *random)
{
    static const uint32_t flags[] = {1, 1, 1, 2, 4, 4, 4, 4, 4, 4};

    choose_argument(op, sizeof(struct vfio_iommu_type1_dirty_bitmap), random);
    op->flags = once_in(random, 20) ? below(random, 16) : flags[below(random, G_N_ELEMENTS(flags))];
    if (op->flags & VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP && !once_in(random, 8))
        op->argsz += sizeof(struct vfio_iommu_type1_dirty_bitmap_get);
    op->iova = choose_iova(random);
    op->size = once_in(random, 3) ? choose_size(random, op->iova) : UINT64_C(0x40) * PAGE;
    choose_bitmap(op, random);
}

static void choose_memory(Op *op, GRand *random)
{
    Area area = (Area)below(random, N_CHANGING_AREAS);
    unsigned page = below(random, AREA_PAGES);

    op->other = below(random, N_MEMORY_DEEDS);
    op->host = area_address(area) + page * PAGE;
    op->size = (1 + below(random, MIN(AREA_PAGES - page, 8))) * PAGE;
}

/* @iova: start; @size: count; @bitmap_size: what the data say. */
static void choose_irqs(Op *op, GRand *random)
{
    static const uint32_t deeds[] = {8, 16, 32};
    static const uint32_t data[] = {1, 2, 4};

    choose_argument(op, sizeof(struct vfio_irq_set), random);
    op->flags = deeds[below(random, G_N_ELEMENTS(deeds))] | data[below(random, G_N_ELEMENTS(data))];
    if (once_in(random, 12))
        op->flags = below(random, 80);
    op->other = below(random, once_in(random, 3) ? 7 : 2);
    op->iova = once_in(random, 10) ? below(random, 4) : 0;
    op->size = once_in(random, 4) ? below(random, 4) : 1;
    op->host = below(random, 4);
    if (!once_in(random, 10))
        op->argsz = sizeof(struct vfio_irq_set) + 4;
}

/* Not where a write is an interrupt, nor beyond what the IOMMU decodes: QEMU's machine reacts in
 * other ways than by a refusal. */
static uint64_t choose_dma(GRand *random)
{
    uint64_t iova = choose_iova(random) & -PAGE;

    return (iova >> 20) == 0xfee || iova >> 32 != 0 ? UINT64_C(0x100000) : iova;
}

/* @other: which region; @flags: 1 to write @host's bytes. Mostly naturally aligned. */
static void choose_region(Op *op, GRand *random)
{
    static const uint64_t registers[] = {0x00, 0x04, 0x08, 0x20, 0x24, 0x60,    0x64,
                                         0x80, 0x88, 0x90, 0x98, 0xa0, 0xffffc, 0x1000};
    static const uint64_t sizes[] = {1, 2, 4, 4, 4, 4, 8, 8, 12};

    op->other = once_in(random, 2) ? VFIO_PCI_CONFIG_REGION_INDEX : VFIO_PCI_BAR0_REGION_INDEX;
    op->size = sizes[below(random, G_N_ELEMENTS(sizes))];
    op->iova = op->other == VFIO_PCI_BAR0_REGION_INDEX
                   ? registers[below(random, G_N_ELEMENTS(registers))]
                   : below(random, 0x104 / (unsigned)op->size + 1) * op->size;
    op->flags = below(random, 2);
    op->host = ((uint64_t)g_rand_int(random) << 32) | g_rand_int(random);
    if (once_in(random, 3))
        op->host = once_in(random, 2) ? UINT64_MAX : 0x0000010700000107;
    if (once_in(random, 10))
        op->iova += below(random, 8);
    if (once_in(random, 40))
        op->size = 0;
    if (once_in(random, 40))
        op->other = below(random, 12);
}

static OpKind choose_kind_for(LifeSort sort, GRand *random)
{
    switch (sort) {
    case LIFE_OF_MAPPINGS:
        return choose_kind(mapping_weights, G_N_ELEMENTS(mapping_weights), random);
    case LIFE_OF_FILES:
        return choose_kind(file_weights, G_N_ELEMENTS(file_weights), random);
    default:
        return choose_kind(device_weights, G_N_ELEMENTS(device_weights), random);
    }
}

void op_make(Op *op, LifeSort sort, GRand *random)
{
    *op = (Op){.kind = choose_kind_for(sort, random)};
    op->slot = sort == LIFE_OF_A_DEVICE ? 0 : below(random, 4);
    op->other = below(random, 16);
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
        op->iova = choose_dma(random);
        break;
    case OP_MEMORY:
        choose_memory(op, random);
        break;
    case OP_MEMLOCK:
        op->size = once_in(random, 2) ? UINT64_MAX : below(random, 60) * PAGE / 2;
        op->flags = once_in(random, 2);
        break;
    case OP_FORK:
        op->host =
            area_address((Area)below(random, N_CHANGING_AREAS)) + below(random, AREA_PAGES) * PAGE;
        break;
    case OP_INFO:
        choose_argument(op, sizeof(struct vfio_iommu_type1_info), random);
        op->argsz = once_in(random, 2) ? 128 : op->argsz;
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
        if (sort == LIFE_OF_A_DEVICE)
            break;
        /* What is written there stays for lives to come. */
        op->flags = 0;
        op->other = VFIO_PCI_CONFIG_REGION_INDEX;
        break;
    default:
        break;
    }
}

char *op_describe(const Op *op)
{
    static const char *const names[N_OPS] = {
        "map",         "unmap",           "info",     "dirty",
        "dma",         "memory",          "memlock",  "fork",
        "open",        "close",           "join",     "leave",
        "set-iommu",   "check-extension", "status",   "get-device",
        "device-info", "region-info",     "irq-info", "set-irqs",
        "reset",       "region",          "unknown",
    };

    return g_strdup_printf(
        "%s slot %u other %u argsz %u flags 0x%x iova 0x%" PRIx64 " size 0x%" PRIx64
        " host 0x%" PRIx64 " bitmap 0x%" PRIx64 "+0x%" PRIx64 " of 0x%" PRIx64 " place %d,%u",
        names[op->kind], op->slot, op->other, op->argsz, op->flags, op->iova, op->size, op->host,
        op->bitmap, op->bitmap_size, op->page_size, (int)op->place, op->place_bytes);
}
