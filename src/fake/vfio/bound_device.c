/* SPDX-License-Identifier: MIT */
#include "fake/vfio/bound_device.h"

#include <errno.h>

#include "fake/iommufd/hwpt.h"
#include "fake/iommufd/ioas.h"
#include "fake/vfio/group.h"

int pm_bound_device_bind(PmPciDevice *device, PmFakeIommufd *iommufd)
{
    PmGroup *group = device->group;
    PmBoundDevice *bound;

    if (!pm_group_is_viable(group) || (group->owner != NULL && group->owner != iommufd))
        return -EPERM;
    bound = g_new0(PmBoundDevice, 1);
    pm_fake_iommufd_add(iommufd, &bound->object, PM_OBJECT_DEVICE, NULL);
    bound->object.n_users = 1; /* VFIO, which it goes with */
    bound->iommufd = pm_fake_iommufd_ref(iommufd);
    bound->device = device;
    device->bound = bound;
    group->owner = iommufd;
    group->n_bound++;
    return 0;
}

int pm_bound_device_bind_compat(PmPciDevice *device, PmFakeIommufd *iommufd)
{
    int result = pm_bound_device_bind(device, iommufd);
    uint32_t id;

    if (result < 0)
        return result;
    if (iommufd->compat != NULL) {
        id = iommufd->compat->object.id;
        result = pm_bound_device_attach(device->bound, &id);
    } else {
        result = -ENODEV;
    }
    if (result < 0)
        pm_bound_device_unbind(device->bound);
    return result;
}

void pm_bound_device_unbind(PmBoundDevice *bound)
{
    PmGroup *group = bound->device->group;

    pm_bound_device_detach(bound);
    if (--group->n_bound == 0)
        group->owner = NULL;
    bound->device->bound = NULL;
    pm_fake_iommufd_remove(bound->iommufd, &bound->object);
    pm_fake_iommufd_unref(bound->iommufd);
    g_free(bound);
}

/* --- I/O addresses that the device cannot use --- */

/* What lies between the valid ranges, such as where interrupts are written to. */
static int reserve_gaps(const PmBoundDevice *bound, PmIoas *ioas)
{
    const PmFakeConfig *config = &bound->iommufd->machine->config;
    int result = 0;

    for (size_t i = 1; i < config->n_iova_ranges && result == 0; i++) {
        uint64_t first = config->iova_ranges[i - 1].last + 1;

        if (first < config->iova_ranges[i].start)
            result = pm_ioas_reserve(ioas, first, config->iova_ranges[i].start - 1, bound);
    }
    if (result < 0)
        pm_ioas_unreserve(ioas, bound);
    return result;
}

/* Does it for every attached device of the group; all or nothing, because they all have the same
 * gaps. */
static int reserve_for_group(const PmGroup *group, PmIoas *ioas)
{
    int result = 0;

    for (guint i = 0; i < group->devices->len && result == 0; i++) {
        const PmPciDevice *device = g_ptr_array_index(group->devices, i);

        if (device->bound != NULL && device->bound->attached)
            result = reserve_gaps(device->bound, ioas);
    }
    return result;
}

static void unreserve_for_group(const PmGroup *group, PmIoas *ioas)
{
    for (guint i = 0; i < group->devices->len; i++) {
        const PmPciDevice *device = g_ptr_array_index(group->devices, i);

        if (device->bound != NULL)
            pm_ioas_unreserve(ioas, device->bound);
    }
}

/* --- one page table: devices of a group share it --- */

static int join(PmBoundDevice *bound, PmHwpt *hwpt)
{
    PmGroup *group = bound->device->group;
    int result;

    if (group->hwpt != NULL && group->hwpt != hwpt)
        return -EINVAL;
    result = reserve_gaps(bound, hwpt->ioas);
    if (result < 0)
        return result;
    group->hwpt = hwpt;
    group->n_attached++;
    hwpt->object.n_users++;
    bound->attached = true;
    return 0;
}

/* Leaves the page table, which may be of no use then. */
static PmHwpt *leave(PmBoundDevice *bound)
{
    PmGroup *group = bound->device->group;
    PmHwpt *hwpt = group->hwpt;

    bound->attached = false;
    if (--group->n_attached == 0)
        group->hwpt = NULL;
    pm_ioas_unreserve(hwpt->ioas, bound);
    return hwpt;
}

/* Takes the whole group from its page table to another. */
static int replace(PmBoundDevice *bound, PmHwpt *hwpt)
{
    PmGroup *group = bound->device->group;
    PmHwpt *old = group->hwpt;
    int result = 0;

    if (hwpt == old)
        return 0;
    if (hwpt->ioas != old->ioas)
        result = reserve_for_group(group, hwpt->ioas);
    if (result < 0)
        return result;
    if (hwpt->ioas != old->ioas)
        unreserve_for_group(group, old->ioas);
    group->hwpt = hwpt;
    hwpt->object.n_users += group->n_attached;
    old->object.n_users -= group->n_attached - 1;
    pm_hwpt_put(old);
    return 0;
}

static int change(PmBoundDevice *bound, PmHwpt *hwpt)
{
    return bound->attached ? replace(bound, hwpt) : join(bound, hwpt);
}

/* --- attaching --- */

/* The first automatic page table that takes the device; sets @result if one takes it or fails. */
static PmHwpt *change_to_automatic(PmBoundDevice *bound, const PmIoas *ioas, int *result)
{
    for (guint i = 0; i < ioas->tables->len; i++) {
        PmHwpt *hwpt = g_array_index(ioas->tables, PmIoasTable, i).hwpt;

        if (!hwpt->automatic)
            continue;
        *result = change(bound, hwpt);
        if (*result != -EINVAL)
            return hwpt;
    }
    return NULL;
}

/* A new page table: a device that was attached to nothing joins it before it is filled. */
static int change_to_new(PmBoundDevice *bound, PmIoas *ioas, uint32_t *pt_id)
{
    PmHwpt *hwpt = pm_hwpt_new(ioas);
    bool joins = !bound->attached;
    int result = joins ? join(bound, hwpt) : 0;

    if (result == 0) {
        result = pm_hwpt_fill(hwpt);
        if (result < 0 && joins)
            (void)leave(bound);
    }
    if (result == 0 && !joins)
        result = replace(bound, hwpt);
    if (result < 0) {
        pm_hwpt_free(hwpt);
        return result;
    }
    hwpt->automatic = true;
    *pt_id = hwpt->object.id;
    return 0;
}

static int attach_to_ioas(PmBoundDevice *bound, PmIoas *ioas, uint32_t *pt_id)
{
    int result = 0;
    const PmHwpt *hwpt = change_to_automatic(bound, ioas, &result);

    if (hwpt == NULL)
        return change_to_new(bound, ioas, pt_id);
    if (result == 0)
        *pt_id = hwpt->object.id;
    return result;
}

int pm_bound_device_attach(PmBoundDevice *bound, uint32_t *pt_id)
{
    PmObject *object = pm_fake_iommufd_find_any(bound->iommufd, *pt_id);

    if (object == NULL)
        return -ENOENT;
    if (object->type == PM_OBJECT_IOAS)
        return attach_to_ioas(bound, (PmIoas *)object, pt_id);
    return object->type == PM_OBJECT_HWPT ? change(bound, (PmHwpt *)object) : -EINVAL;
}

void pm_bound_device_detach(PmBoundDevice *bound)
{
    if (bound->attached)
        pm_hwpt_put(leave(bound));
}
