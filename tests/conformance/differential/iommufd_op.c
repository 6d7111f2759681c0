/* SPDX-License-Identifier: MIT */
/* Operations on iommufd. The kernel allocates the lowest free id, so small numbers hit objects. */
#include "choose.h"
#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "memory.h"

static const Weight weights[] = {
    {OP_IOAS_MAP, 36},  {OP_IOAS_UNMAP, 18}, {OP_IOAS_COPY, 16},
    {OP_MEMORY, 12},    {OP_IOMMU_DMA, 14},  {OP_MEMLOCK, 3},
    {OP_IOAS_ALLOC, 2}, {OP_DESTROY, 3},     {OP_RANGES, 4},
    {OP_ALLOW, 2},      {OP_OPTION, 4},      {OP_VFIO_IOAS, 1},
    {OP_HWPT, 4},       {OP_HW_INFO, 1},     {OP_INVALIDATE, 2},
    {OP_HWPT_DIRTY, 2}, {OP_ATTACH, 8},      {OP_DETACH, 1},
    {OP_CDEV_OPEN, 2},  {OP_BIND, 2},        {OP_OPEN, 2},
    {OP_CLOSE, 1},      {OP_JOIN, 2},        {OP_LEAVE, 1},
    {OP_GET_DEVICE, 2}, {OP_STATUS, 1},      {OP_SET_IOMMU, 1},
    {OP_MAP, 3},        {OP_UNMAP, 3},       {OP_DIRTY, 1},
    {OP_INFO, 2},       {OP_DEVICE_INFO, 1}, {OP_CHECK_EXTENSION, 1},
    {OP_FORK, 1},       {OP_UNKNOWN, 1},     {OP_RESTORE, 6},
};

static unsigned choose_id(GRand *random)
{
    if (choose_once_in(random, 40))
        return choose_once_in(random, 2) ? 0 : 4711;
    return 1 + choose_below(random, choose_once_in(random, 3) ? 10 : 4);
}

/* Mostly the first IOAS, which the device is attached to at the start. */
static unsigned choose_ioas(GRand *random)
{
    return choose_once_in(random, 4) ? choose_id(random) : 1;
}

/* Each place has a fixed size, so that areas are hit again. */
static void choose_place(uint64_t *iova, uint64_t *size, GRand *random)
{
    uint64_t place = choose_below(random, 8);

    *iova = UINT64_C(0x2000000) + place * 0x8000;
    *size = (place % 4 + 1) * PAGE;
}

static void choose_range(uint64_t *iova, uint64_t *size, GRand *random)
{
    choose_place(iova, size, random);
    if (!choose_once_in(random, 5))
        return;
    *iova = choose_iova(random);
    *size = choose_size(random, *iova);
}

/* Like choose_argument(), sometimes with nonzero bytes past the known struct. */
static void choose_struct(Op *op, uint32_t size, GRand *random)
{
    choose_argument(op, size, random);
    op->bitmap_size = choose_once_in(random, 2);
    if (choose_once_in(random, 40))
        op->argsz = size + choose_below(random, 24);
}

static uint32_t choose_map_flags(GRand *random)
{
    static const uint32_t usual[] = {7, 7, 7, 7, 7, 7, 6, 6, 3};

    return choose_once_in(random, 20) ? choose_below(random, 16)
                                      : usual[choose_below(random, G_N_ELEMENTS(usual))];
}

/* Read-only mappings are of unchanging memory, because the fake can only hold writable pages. Not
 * of write-only memory either: whether iommufd maps that after a fork is invisible to userspace. */
static void choose_ioas_map(Op *op, GRand *random)
{
    Area area;

    choose_struct(op, sizeof(struct iommu_ioas_map), random);
    op->other = choose_ioas(random);
    op->flags = choose_map_flags(random);
    choose_range(&op->iova, &op->size, random);
    op->host = choose_host(random);
    if (choose_once_in(random, 12))
        op->flags = 5;
    if ((op->flags & IOMMU_IOAS_MAP_WRITEABLE) != 0)
        return;
    area = (Area)(N_CHANGING_AREAS + choose_below(random, N_AREAS - N_CHANGING_AREAS));
    if (area == AREA_WRITE_ONLY)
        area = AREA_READ_ONLY;
    op->host = area_address(area) + choose_below(random, AREA_PAGES / 4) * PAGE;
}

static void choose_ioas_unmap(Op *op, GRand *random)
{
    choose_struct(op, sizeof(struct iommu_ioas_unmap), random);
    op->other = choose_ioas(random);
    choose_range(&op->iova, &op->size, random);
    if (choose_once_in(random, 6))
        op->size = UINT64_C(0x8000) * (1 + choose_below(random, 4));
    if (choose_once_in(random, 16)) {
        op->iova = choose_once_in(random, 4);
        op->size = UINT64_MAX;
    }
}

/* @host: source IOVA; @page_size: source IOAS. */
static void choose_ioas_copy(Op *op, GRand *random)
{
    uint64_t size;

    choose_struct(op, sizeof(struct iommu_ioas_copy), random);
    op->other = choose_ioas(random);
    op->page_size = choose_ioas(random);
    op->flags = choose_map_flags(random);
    choose_range(&op->iova, &size, random);
    choose_range(&op->host, &op->size, random);
    if (choose_once_in(random, 4)) {
        op->host += PAGE;
        op->size = PAGE * (1 + choose_below(random, 3));
    }
}

/* @page_size: number of ranges; @host and @bitmap_size are the second one. */
static void choose_allow(Op *op, GRand *random)
{
    choose_argument(op, sizeof(struct iommu_ioas_allow_iovas), random);
    op->other = choose_ioas(random);
    op->page_size = choose_below(random, 3);
    choose_range(&op->iova, &op->size, random);
    choose_range(&op->host, &op->bitmap_size, random);
    op->size *= choose_once_in(random, 2) ? 64 : 1;
    op->flags = choose_once_in(random, 40);
}

/* @slot: file; @iova: option; @other: object; @page_size: op. */
static void choose_option(Op *op, GRand *random)
{
    choose_struct(op, sizeof(struct iommu_option), random);
    op->iova = choose_once_in(random, 20) ? choose_below(random, 4) : choose_below(random, 2);
    op->other = op->iova == 1 || choose_once_in(random, 10) ? choose_ioas(random) : 0;
    op->page_size = choose_once_in(random, 20) ? 2 : choose_below(random, 2);
    op->size = choose_once_in(random, 10) ? 2 : choose_below(random, 2);
    op->flags = choose_once_in(random, 40);
}

/* @other: device; @page_size: parent. */
static void choose_hwpt(Op *op, GRand *random)
{
    choose_struct(op, choose_once_in(random, 2) ? 24 : sizeof(struct iommu_hwpt_alloc), random);
    op->other = choose_once_in(random, 3) ? choose_id(random) : 2;
    op->page_size = choose_ioas(random);
    op->flags = choose_once_in(random, 8) ? choose_below(random, 16) & ~4U : 0;
}

/* @bitmap: entries; @size: size of an entry; @page_size: number of entries. No HWPT here supports
 * any. */
static void choose_invalidation(Op *op, GRand *random)
{
    choose_struct(op, sizeof(struct iommu_hwpt_invalidate), random);
    op->bitmap = choose_once_in(random, 4) ? 0 : bitmap_address();
    op->size = choose_once_in(random, 4) ? choose_below(random, 3) * PAGE : 16;
    op->page_size = choose_below(random, 3);
    op->flags = choose_once_in(random, 10);
}

static void choose_dirty_bitmap(Op *op, GRand *random)
{
    choose_struct(op,
                  choose_once_in(random, 3) ? sizeof(struct iommu_hwpt_set_dirty_tracking)
                                            : sizeof(struct iommu_hwpt_get_dirty_bitmap),
                  random);
    op->other = choose_id(random);
    op->flags = choose_below(random, 3);
    choose_range(&op->iova, &op->size, random);
    op->page_size = choose_once_in(random, 4) ? choose_below(random, 3) * PAGE / 2 : PAGE;
}

static void choose_bind(Op *op, GRand *random)
{
    choose_argument(op, sizeof(struct vfio_device_bind_iommufd), random);
    op->place = PLACE_NORMAL;
    op->flags = choose_once_in(random, 40);
    op->other = choose_below(random, choose_once_in(random, 6) ? 5 : 1);
}

static void choose_attach(Op *op, uint32_t size, GRand *random)
{
    choose_argument(op, size, random);
    op->flags = choose_once_in(random, 40);
    op->other = choose_once_in(random, 2) ? 1 : choose_id(random);
    op->slot = choose_once_in(random, 3) ? choose_below(random, 4) : 0;
}

/* Mostly the first file, sometimes a second one. */
static void choose_file(Op *op, GRand *random)
{
    op->slot = choose_once_in(random, 10) ? 1 : 0;
}

void op_make_iommufd(Op *op, GRand *random)
{
    op->kind = choose_kind(weights, G_N_ELEMENTS(weights), random);
    op->other = choose_id(random);
    choose_file(op, random);
    op->then_dma = op->slot == 0 && choose_once_in(random, 4);
    switch (op->kind) {
    case OP_IOAS_ALLOC:
        choose_struct(op, sizeof(struct iommu_ioas_alloc), random);
        op->flags = choose_once_in(random, 20);
        break;
    case OP_DESTROY:
        choose_struct(op, sizeof(struct iommu_destroy), random);
        break;
    case OP_IOAS_MAP:
        choose_ioas_map(op, random);
        break;
    case OP_IOAS_UNMAP:
        choose_ioas_unmap(op, random);
        break;
    case OP_IOAS_COPY:
        choose_ioas_copy(op, random);
        break;
    case OP_RANGES:
        choose_struct(op, sizeof(struct iommu_ioas_iova_ranges), random);
        op->other = choose_ioas(random);
        op->size = choose_below(random, 5);
        op->bitmap = choose_once_in(random, 20) ? 8 : bitmap_address();
        break;
    case OP_ALLOW:
        choose_allow(op, random);
        break;
    case OP_OPTION:
        choose_option(op, random);
        break;
    case OP_VFIO_IOAS:
        choose_struct(op, sizeof(struct iommu_vfio_ioas), random);
        op->flags = choose_below(random, choose_once_in(random, 10) ? 5 : 3);
        break;
    case OP_HWPT:
        choose_hwpt(op, random);
        break;
    case OP_INVALIDATE:
        choose_invalidation(op, random);
        break;
    case OP_HW_INFO:
        choose_struct(op, sizeof(struct iommu_hw_info), random);
        op->size = choose_below(random, 64);
        break;
    case OP_HWPT_DIRTY:
        choose_dirty_bitmap(op, random);
        break;
    case OP_BIND:
        choose_bind(op, random);
        G_GNUC_FALLTHROUGH;
    case OP_CDEV_OPEN:
        op->slot = choose_once_in(random, 2) ? choose_below(random, 4) : 0;
        break;
    case OP_ATTACH:
        choose_attach(op, sizeof(struct vfio_device_attach_iommufd_pt), random);
        break;
    case OP_DETACH:
        choose_attach(op, sizeof(struct vfio_device_detach_iommufd_pt), random);
        break;
    case OP_IOMMU_DMA:
        op->other = choose_ioas(random);
        choose_range(&op->iova, &op->size, random);
        op->iova &= -PAGE;
        break;
    default:
        op_make_common(op, SEQUENCE_IOMMUFD, random);
        /* A device that is opened later pins it, and then it may be memory that the fake cannot
         * hold. */
        if (op->kind == OP_MAP && op->flags == VFIO_DMA_MAP_FLAG_READ)
            op->flags |= VFIO_DMA_MAP_FLAG_WRITE;
        /* The first is a different device on the host. */
        if (op->kind == OP_DEVICE_INFO)
            op->slot = 1;
        break;
    }
}
