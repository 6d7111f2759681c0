/* SPDX-License-Identifier: MIT */
/* Operations on files: opens, joins and closes containers, groups and devices in any order. */
#include <fcntl.h>
#include <string.h>

#include "kernel-uapi/vfio.h"
#include "world.h"

/* Groups 1 and 2 have an edu each, as on the fake; 4 is not viable. One can be opened twice. */
static const char *const group_paths[N_GROUPS] = {"/dev/vfio/1", "/dev/vfio/2", "/dev/vfio/4",
                                                  "/dev/vfio/1"};
static const char *const device_names[N_GROUPS] = {"0000:00:04.0", "0000:00:05.0", "0000:00:07.0",
                                                   "0000:00:04.0"};
static const char *const wrong_names[] = {
    "0000:00:07.1",
    "",
    "0000:00:04.0 ",
    "0000:00:04.0 foo",
    "0000:00:04.0 vf_token=1",
    "0000:00:04",
    "0000:00:04.00",
    "0000:00:1e.0",
    "0000:00:05.0 vf_token=00000000-0000-0000-0000-000000000000",
    NULL,
};

static int *container_slot(Side *side, const Op *op)
{
    return &side->containers[op->other % N_CONTAINERS];
}

static int *group_slot(Side *side, const Op *op)
{
    return &side->groups[op->slot];
}

static int *device_slot(Side *side, const Op *op)
{
    return &side->devices[op->slot];
}

/* Any file: @other modulo 3 selects the type. */
static int *any_slot(Side *side, const Op *op)
{
    switch (op->other % 3) {
    case 0:
        return &side->containers[op->slot % N_CONTAINERS];
    case 1:
        return group_slot(side, op);
    default:
        return device_slot(side, op);
    }
}

static int open_slot(Side *side, int *slot, const char *path)
{
    int fd;

    if (*slot >= 0)
        return 1;
    fd = side->kernel->ops->open(side->kernel, path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return fd;
    *slot = fd;
    return 0;
}

static int do_open(Side *side, const Op *op)
{
    if (op->other % 3 == 0)
        return open_slot(side, &side->containers[op->slot % N_CONTAINERS],
                         side->is_iommufd ? "/dev/iommu" : "/dev/vfio/vfio");
    return open_slot(side, group_slot(side, op),
                     op->other == 14 ? "/dev/vfio/77" : group_paths[op->slot]);
}

static int do_close(Side *side, const Op *op)
{
    int *slot = any_slot(side, op);
    int fd = *slot;

    if (fd < 0)
        return 1;
    /* The device that does DMA must always be on the first iommufd, or on none. */
    if (side->is_iommufd && slot == &side->containers[0] && side->devices[0] >= 0) {
        (void)side->kernel->ops->close(side->kernel, side->devices[0]);
        side->devices[0] = -1;
    }
    *slot = -1;
    return side->kernel->ops->close(side->kernel, fd);
}

/* Mostly a container, sometimes another file. */
static int do_join(Side *side, const Op *op)
{
    int group = *group_slot(side, op);
    int container = *container_slot(side, op);

    if (group < 0)
        return 1;
    if (op->other == 14)
        container = group;
    if (op->other == 15)
        container = -1;
    return side->kernel->ops->ioctl(side->kernel, group, VFIO_GROUP_SET_CONTAINER,
                                    op->other == 13 ? NULL : &container);
}

static int do_leave(Side *side, const Op *op)
{
    int group = *group_slot(side, op);

    return group < 0
               ? 1
               : side->kernel->ops->ioctl(side->kernel, group, VFIO_GROUP_UNSET_CONTAINER, NULL);
}

static int do_get_device(Side *side, const Op *op)
{
    int group = *group_slot(side, op);
    int *slot = &side->devices[op->other % N_DEVICES];
    const char *name = device_names[op->slot];
    int fd;

    if (group < 0 || *slot >= 0)
        return 1;
    if (op->other < G_N_ELEMENTS(wrong_names))
        name = wrong_names[op->other];
    fd = side->kernel->ops->ioctl(side->kernel, group, VFIO_GROUP_GET_DEVICE_FD, (void *)name);
    if (fd < 0)
        return fd;
    *slot = fd;
    return 0;
}

static int do_reset(Side *side, const Op *op)
{
    int device = *device_slot(side, op);

    return device < 0 ? 1 : side->kernel->ops->ioctl(side->kernel, device, VFIO_DEVICE_RESET, NULL);
}

static bool get_fds(World *world, const Op *op, int *(*slot_of)(Side *, const Op *), int *fds)
{
    for (int i = 0; i < N_SIDES; i++)
        fds[i] = *slot_of(&world->sides[i], op);
    return fds[HOST] >= 0 && fds[FAKE] >= 0;
}

/* Structs that start with argsz; the third word of region and interrupt info is the index. */
static void query(World *world, const Op *op, int *(*slot_of)(Side *, const Op *),
                  unsigned long request, size_t size)
{
    uint32_t words[16] = {op->argsz, 0, op->other};
    int fds[N_SIDES];

    if (get_fds(world, op, slot_of, fds))
        (void)world_ioctl(world, fds, request, words, size, op);
}

static void query_number(World *world, const Op *op, int *(*slot_of)(Side *, const Op *),
                         unsigned long request, unsigned long number)
{
    int fds[N_SIDES];

    if (get_fds(world, op, slot_of, fds))
        (void)world_ioctl_number(world, fds, request, number);
}

static unsigned long choose_type(const Op *op)
{
    static const unsigned long types[16] = {1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 6, 9, 10, 0, 2};

    return types[op->other % G_N_ELEMENTS(types)];
}

void world_do_files(World *world, const Op *op)
{
    switch (op->kind) {
    case OP_OPEN:
        (void)world_on_both(world, op, "open", do_open);
        break;
    case OP_CLOSE:
        (void)world_on_both(world, op, "close", do_close);
        break;
    case OP_JOIN:
        (void)world_on_both(world, op, "set container", do_join);
        break;
    case OP_LEAVE:
        (void)world_on_both(world, op, "unset container", do_leave);
        break;
    case OP_GET_DEVICE:
        (void)world_on_both(world, op, "get device", do_get_device);
        break;
    case OP_RESET:
        (void)world_on_both(world, op, "reset", do_reset);
        break;
    case OP_SET_IOMMU:
        query_number(world, op, container_slot, VFIO_SET_IOMMU, choose_type(op));
        break;
    case OP_CHECK_EXTENSION:
        query_number(world, op, container_slot, VFIO_CHECK_EXTENSION, op->other);
        query_number(world, op, container_slot, VFIO_GET_API_VERSION, 0);
        break;
    case OP_STATUS:
        query(world, op, group_slot, VFIO_GROUP_GET_STATUS, sizeof(struct vfio_group_status));
        break;
    case OP_DEVICE_INFO:
        query(world, op, device_slot, VFIO_DEVICE_GET_INFO, sizeof(struct vfio_device_info));
        break;
    case OP_REGION_INFO:
        query(world, op, device_slot, VFIO_DEVICE_GET_REGION_INFO, sizeof(struct vfio_region_info));
        break;
    case OP_IRQ_INFO:
        query(world, op, device_slot, VFIO_DEVICE_GET_IRQ_INFO, sizeof(struct vfio_irq_info));
        break;
    default:
        query_number(world, op, any_slot, 0x3bf0, 0);
        break;
    }
}
