/* SPDX-License-Identifier: MIT */
/* Operations on iommufd: IOAS, HWPT and cdevs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "world.h"

/* Device 0 does the DMA. On the host it is QEMU's nvme, which is fast. */
static const char *const addresses[N_DEVICES] = {"0000:00:06.0", "0000:00:04.0", "0000:00:05.0",
                                                 "0000:00:07.0"};
static const unsigned fake_numbers[N_DEVICES] = {2, 0, 1, 3};

/* Upper bound of object ids: no sequence creates more. */
#define N_IDS 40

/* An argument with room for a longer struct than the kernel knows. */
typedef union {
    struct iommu_destroy destroy;
    struct iommu_ioas_alloc alloc;
    struct iommu_ioas_iova_ranges ranges;
    struct iommu_ioas_allow_iovas allow;
    struct iommu_ioas_map map;
    struct iommu_ioas_copy copy;
    struct iommu_ioas_unmap unmap;
    struct iommu_option option;
    struct iommu_vfio_ioas vfio_ioas;
    struct iommu_hwpt_alloc hwpt;
    struct iommu_hw_info hw_info;
    struct iommu_hwpt_invalidate invalidate;
    struct iommu_hwpt_set_dirty_tracking set_dirty;
    struct iommu_hwpt_get_dirty_bitmap get_dirty;
    struct vfio_device_attach_iommufd_pt attach;
    struct vfio_device_detach_iommufd_pt detach;
    uint32_t size;
    char bytes[128];
} Argument;

/* Returns the host's result, or 1 if the call was skipped. */
static int call(World *world, const Op *op, unsigned long request, Argument argument, size_t known)
{
    const int fds[] = {world->sides[HOST].containers[op->slot % N_CONTAINERS],
                       world->sides[FAKE].containers[op->slot % N_CONTAINERS]};

    argument.size = op->argsz;
    if (op->bitmap_size != 0 && op->argsz > known && op->argsz <= sizeof argument)
        argument.bytes[op->argsz - 1] = 1;
    if (fds[HOST] < 0 || fds[FAKE] < 0)
        return 1;
    return world_ioctl(world, fds, request, &argument, sizeof argument, op);
}

/* --- cdevs --- */

static char *device_path(int side, unsigned device)
{
    g_autofree char *folder =
        g_strdup_printf("/sys/bus/pci/devices/%s/vfio-dev", addresses[device]);
    g_autoptr(GDir) listing = NULL;
    const char *name = NULL;

    if (side == FAKE)
        return g_strdup_printf("/dev/vfio/devices/vfio%u", fake_numbers[device]);
    listing = g_dir_open(folder, 0, NULL);
    if (listing != NULL)
        name = g_dir_read_name(listing);
    return g_strdup_printf("/dev/vfio/devices/%s", name != NULL ? name : "missing");
}

static int open_device(World *world, int side, unsigned device)
{
    g_autofree char *path = device_path(side, device);
    Side *opener = &world->sides[side];
    int fd;

    if (opener->devices[device] >= 0)
        return 1;
    fd = opener->kernel->ops->open(opener->kernel, path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return fd;
    opener->devices[device] = fd;
    return 0;
}

static void open_devices(World *world, unsigned device)
{
    int host = open_device(world, HOST, device);
    int fake = open_device(world, FAKE, device);

    if (host != fake)
        world_differ(world, "open of a cdev: host %d, fake %d", host, fake);
}

/* @other: the first or second iommufd, or another file. Later operations compare the id. */
static int bind_device(Side *side, const Op *op)
{
    struct vfio_device_bind_iommufd bind = {
        .argsz = op->argsz, .flags = op->flags, .iommufd = side->containers[op->other % 2]};
    int result;

    if (side->devices[op->slot] < 0)
        return 1;
    if (op->slot == 0)
        bind.iommufd = side->containers[0];
    if (op->other == 4)
        bind.iommufd = side->devices[op->slot];
    result = side->kernel->ops->ioctl(side->kernel, side->devices[op->slot],
                                      VFIO_DEVICE_BIND_IOMMUFD, &bind);
    return result < 0 ? result : (int)bind.out_devid << 1;
}

static void call_device(World *world, const Op *op)
{
    const int fds[] = {world->sides[HOST].devices[op->slot], world->sides[FAKE].devices[op->slot]};
    const struct vfio_device_attach_iommufd_pt attach = {
        .argsz = op->argsz, .flags = op->flags, .pt_id = op->other};
    const struct vfio_device_detach_iommufd_pt detach = {.argsz = op->argsz, .flags = op->flags};

    if (fds[HOST] < 0 || fds[FAKE] < 0)
        return;
    if (op->kind == OP_ATTACH)
        (void)world_ioctl(world, fds, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach, sizeof attach, op);
    else
        (void)world_ioctl(world, fds, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach, sizeof detach, op);
}

/* --- DMA --- */

/* Maps or unmaps the memory of a side's engine in one IOAS. */
static int map_scratch(Side *side, const Op *op)
{
    struct iommu_ioas_map map = {
        .size = sizeof map,
        .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE,
        .ioas_id = op->other,
        .user_va = (uintptr_t)side->scratch,
        .length = SCRATCH_SIZE,
        .iova = SCRATCH_IOVA,
    };

    return side->kernel->ops->ioctl(side->kernel, side->containers[0], IOMMU_IOAS_MAP, &map);
}

static int unmap_scratch(Side *side, const Op *op)
{
    struct iommu_ioas_unmap unmap = {
        .size = sizeof unmap, .ioas_id = op->other, .iova = SCRATCH_IOVA, .length = SCRATCH_SIZE};

    return side->kernel->ops->ioctl(side->kernel, side->containers[0], IOMMU_IOAS_UNMAP, &unmap);
}

static int attach_for_dma(Side *side, const Op *op)
{
    struct vfio_device_attach_iommufd_pt attach = {.argsz = sizeof attach, .pt_id = op->other};

    return side->kernel->ops->ioctl(side->kernel, side->devices[0], VFIO_DEVICE_ATTACH_IOMMUFD_PT,
                                    &attach);
}

/* In every IOAS that the device may be attached to; false if one fails. */
static bool map_scratch_everywhere(World *world)
{
    for (unsigned id = 1; id < N_IDS && world->difference == NULL; id++) {
        int result = world_on_both(world, &(Op){.other = id}, "scratch map", map_scratch);

        if (result < 0 && result != -ENOENT)
            return false;
    }
    return world->difference == NULL;
}

static void end_dma(World *world)
{
    for (int i = 0; i < N_SIDES; i++)
        g_clear_pointer(&world->sides[i].engine, pm_dma_engine_free);
    for (unsigned id = 1; id < N_IDS; id++)
        (void)world_on_both(world, &(Op){.other = id}, "scratch unmap", unmap_scratch);
}

static bool has_device_for_dma(const World *world)
{
    return world->sides[HOST].containers[0] >= 0 && world->sides[HOST].devices[0] >= 0;
}

/* Attaches to @op->other, where the engines reach their memory. */
static bool begin_dma(World *world, const Op *op)
{
    return map_scratch_everywhere(world) &&
           world_on_both(world, op, "attach for DMA", attach_for_dma) == 0 &&
           world_start_engines(world);
}

/* At both ends of the range; @size: 0 for one page. */
static void do_dma(World *world, const Op *op, uint64_t size)
{
    if (!has_device_for_dma(world))
        return;
    if (begin_dma(world, op))
        world_compare_ends(world, op->iova, size);
    end_dma(world);
}

/* --- calls --- */

static void map_or_copy(World *world, const Op *op)
{
    const struct iommu_ioas_map map = {
        .flags = op->flags,
        .ioas_id = op->other,
        .user_va = op->host,
        .length = op->size,
        .iova = op->iova,
    };
    const struct iommu_ioas_copy copy = {
        .flags = op->flags,
        .dst_ioas_id = op->other,
        .src_ioas_id = (uint32_t)op->page_size,
        .length = op->size,
        .dst_iova = op->iova,
        .src_iova = op->host,
    };

    int result = op->kind == OP_IOAS_MAP
                     ? call(world, op, IOMMU_IOAS_MAP, (Argument){.map = map}, sizeof map)
                     : call(world, op, IOMMU_IOAS_COPY, (Argument){.copy = copy}, sizeof copy);

    if (result == 0 && op->then_dma && op->flags & IOMMU_IOAS_MAP_FIXED_IOVA)
        do_dma(world, op, op->size);
}

static void allow(World *world, const Op *op)
{
    struct iommu_iova_range *list = (struct iommu_iova_range *)(uintptr_t)bitmap_address();
    const struct iommu_ioas_allow_iovas argument = {
        .ioas_id = op->other,
        .num_iovas = (uint32_t)op->page_size,
        .__reserved = op->flags,
        .allowed_iovas = bitmap_address(),
    };

    list[0] = (struct iommu_iova_range){op->iova, op->iova + op->size};
    list[1] = (struct iommu_iova_range){op->host, op->host + op->bitmap_size};
    (void)call(world, op, IOMMU_IOAS_ALLOW_IOVAS, (Argument){.allow = argument}, sizeof argument);
}

static void set_or_get_option(World *world, const Op *op)
{
    const struct iommu_option argument = {
        .option_id = (uint32_t)op->iova,
        .op = (uint16_t)op->page_size,
        .__reserved = (uint16_t)op->flags,
        .object_id = op->other,
        .val64 = op->size,
    };

    (void)call(world, op, IOMMU_OPTION, (Argument){.option = argument}, sizeof argument);
}

static void query_hardware(World *world, const Op *op)
{
    const struct iommu_hw_info info = {
        .dev_id = op->other, .data_len = (uint32_t)op->size, .data_uptr = bitmap_address()};
    const struct iommu_hwpt_alloc hwpt = {
        .flags = op->flags, .dev_id = op->other, .pt_id = (uint32_t)op->page_size};

    if (op->kind == OP_HW_INFO)
        (void)call(world, op, IOMMU_GET_HW_INFO, (Argument){.hw_info = info}, sizeof info);
    else
        (void)call(world, op, IOMMU_HWPT_ALLOC, (Argument){.hwpt = hwpt}, sizeof hwpt);
}

static void invalidate(World *world, const Op *op)
{
    const struct iommu_hwpt_invalidate argument = {
        .hwpt_id = op->other,
        .data_uptr = op->bitmap,
        .entry_len = (uint32_t)op->size,
        .entry_num = (uint32_t)op->page_size,
        .__reserved = op->flags,
    };

    (void)call(world, &(Op){.slot = op->slot, .argsz = op->argsz}, IOMMU_HWPT_INVALIDATE,
               (Argument){.invalidate = argument}, sizeof argument);
}

static void query_dirty_pages(World *world, const Op *op)
{
    const struct iommu_hwpt_set_dirty_tracking set = {.flags = op->flags, .hwpt_id = op->other};
    const struct iommu_hwpt_get_dirty_bitmap get = {
        .hwpt_id = op->other,
        .flags = op->flags,
        .iova = op->iova,
        .length = op->size,
        .page_size = op->page_size,
        .data = bitmap_address(),
    };

    if (op->argsz == sizeof set)
        (void)call(world, op, IOMMU_HWPT_SET_DIRTY_TRACKING, (Argument){.set_dirty = set},
                   sizeof set);
    else
        (void)call(world, op, IOMMU_HWPT_GET_DIRTY_BITMAP, (Argument){.get_dirty = get},
                   sizeof get);
}

static void do_small(World *world, const Op *op)
{
    const struct iommu_ioas_alloc alloc = {.flags = op->flags};
    const struct iommu_destroy destroy = {.id = op->other};
    const struct iommu_ioas_unmap unmap = {
        .ioas_id = op->other, .iova = op->iova, .length = op->size};
    const struct iommu_ioas_iova_ranges ranges = {
        .ioas_id = op->other, .num_iovas = (uint32_t)op->size, .allowed_iovas = op->bitmap};
    const struct iommu_vfio_ioas vfio_ioas = {.ioas_id = op->other, .op = (uint16_t)op->flags};

    switch (op->kind) {
    case OP_IOAS_ALLOC:
        (void)call(world, op, IOMMU_IOAS_ALLOC, (Argument){.alloc = alloc}, sizeof alloc);
        break;
    case OP_DESTROY:
        (void)call(world, op, IOMMU_DESTROY, (Argument){.destroy = destroy}, sizeof destroy);
        break;
    case OP_IOAS_UNMAP:
        if (call(world, op, IOMMU_IOAS_UNMAP, (Argument){.unmap = unmap}, sizeof unmap) == 0 &&
            op->then_dma)
            do_dma(world, op, op->size);
        break;
    case OP_RANGES:
        (void)call(world, op, IOMMU_IOAS_IOVA_RANGES, (Argument){.ranges = ranges}, sizeof ranges);
        break;
    default:
        (void)call(world, op, IOMMU_VFIO_IOAS, (Argument){.vfio_ioas = vfio_ioas},
                   sizeof vfio_ioas);
        break;
    }
}

/* Makes an IOAS with the device that does DMA, unless there is one. */
static void restore(World *world)
{
    static const Op ops[] = {
        {.kind = OP_OPEN, .other = 0},
        {.kind = OP_IOAS_ALLOC, .argsz = sizeof(struct iommu_ioas_alloc)},
        {.kind = OP_CDEV_OPEN},
        {.kind = OP_BIND, .argsz = sizeof(struct vfio_device_bind_iommufd)},
        {.kind = OP_ATTACH, .argsz = sizeof(struct vfio_device_attach_iommufd_pt), .other = 1},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
        if (ops[i].kind != OP_IOAS_ALLOC || world->sides[HOST].devices[0] < 0)
            (void)world_do(world, &ops[i]);
    }
}

void world_do_iommufd(World *world, const Op *op)
{
    switch (op->kind) {
    case OP_IOAS_MAP:
    case OP_IOAS_COPY:
        map_or_copy(world, op);
        break;
    case OP_ALLOW:
        allow(world, op);
        break;
    case OP_OPTION:
        set_or_get_option(world, op);
        break;
    case OP_HWPT:
    case OP_HW_INFO:
        query_hardware(world, op);
        break;
    case OP_INVALIDATE:
        invalidate(world, op);
        break;
    case OP_HWPT_DIRTY:
        query_dirty_pages(world, op);
        break;
    case OP_CDEV_OPEN:
        open_devices(world, op->slot);
        break;
    case OP_BIND:
        (void)world_on_both(world, op, "bind", bind_device);
        break;
    case OP_ATTACH:
    case OP_DETACH:
        call_device(world, op);
        break;
    case OP_IOMMU_DMA:
        do_dma(world, op, 0);
        break;
    case OP_RESTORE:
        restore(world);
        break;
    default:
        do_small(world, op);
        break;
    }
}

void world_begin_iommufd(World *world)
{
    for (int i = 0; i < N_SIDES; i++) {
        world->sides[i].is_iommufd = true;
        world->sides[i].scratch =
            mmap(NULL, SCRATCH_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    restore(world);
    if (world->sides[HOST].containers[0] < 0 || world->sides[HOST].devices[0] < 0) {
        fprintf(stderr,
                "differential: failed to open /dev/iommu or the cdev of %s: run it in the "
                "VM (tests/vm/run --kernel iommufd)\n",
                addresses[0]);
        exit(2);
    }
}

/* Compares everything that is mapped anywhere. */
void world_end_iommufd(World *world)
{
    restore(world);
    for (unsigned id = 1; id < N_IDS && has_device_for_dma(world); id++) {
        if (begin_dma(world, &(Op){.other = id}))
            world_compare_all(world, GROUP_OF_DMA);
        end_dma(world);
    }
}
