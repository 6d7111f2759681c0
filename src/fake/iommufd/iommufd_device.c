/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/iommufd_device.h"

#include <errno.h>

int pm_iommufd_device_bind(PmIommufdGroup *group, PmFakeIommufd *iommufd, PmIommufdDevice **device)
{
    PmIommufdDevice *bound;
    int result = pm_iommufd_group_bind(group, iommufd);

    if (result < 0)
        return result;
    bound = g_new0(PmIommufdDevice, 1);
    pm_fake_iommufd_add(iommufd, &bound->object, PM_OBJECT_DEVICE, NULL);
    bound->object.n_users = 1; /* VFIO, until unbind */
    bound->iommufd = pm_fake_iommufd_ref(iommufd);
    bound->group = group;
    *device = bound;
    return 0;
}

void pm_iommufd_device_unbind(PmIommufdDevice *device)
{
    pm_iommufd_device_detach(device);
    pm_iommufd_group_unbind(device->group);
    pm_fake_iommufd_remove(device->iommufd, &device->object);
    pm_fake_iommufd_unref(device->iommufd);
    g_free(device);
}

static int join(PmIommufdDevice *device, PmHwpt *hwpt)
{
    int result = pm_iommufd_group_join(device->group, hwpt, device);

    device->is_attached = result == 0;
    return result;
}

static PmHwpt *leave(PmIommufdDevice *device)
{
    device->is_attached = false;
    return pm_iommufd_group_leave(device->group, device);
}

static int change(PmIommufdDevice *device, PmHwpt *hwpt)
{
    return device->is_attached ? pm_iommufd_group_replace(device->group, hwpt) : join(device, hwpt);
}

/* The first automatic page table that accepts the device; sets @result if one does or fails. */
static PmHwpt *change_to_automatic(PmIommufdDevice *device, const PmIoas *ioas, int *result)
{
    for (guint i = 0; i < ioas->tables->len; i++) {
        PmHwpt *hwpt = g_array_index(ioas->tables, PmIoasTable, i).hwpt;

        if (!hwpt->automatic)
            continue;
        *result = change(device, hwpt);
        if (*result != -EINVAL)
            return hwpt;
    }
    return NULL;
}

/* Creates a page table. A device that was not attached joins it before the areas are mapped. */
static int change_to_new(PmIommufdDevice *device, PmIoas *ioas, uint32_t *pt_id)
{
    PmHwpt *hwpt = pm_hwpt_new(ioas);
    bool joins = !device->is_attached;
    int result = joins ? join(device, hwpt) : 0;

    if (result == 0) {
        result = pm_hwpt_fill(hwpt);
        if (result < 0 && joins)
            (void)leave(device);
    }
    if (result == 0 && !joins)
        result = pm_iommufd_group_replace(device->group, hwpt);
    if (result < 0) {
        pm_hwpt_free(hwpt);
        return result;
    }
    hwpt->automatic = true;
    *pt_id = hwpt->object.id;
    return 0;
}

static int attach_to_ioas(PmIommufdDevice *device, PmIoas *ioas, uint32_t *pt_id)
{
    int result = 0;
    const PmHwpt *hwpt = change_to_automatic(device, ioas, &result);

    if (hwpt == NULL)
        return change_to_new(device, ioas, pt_id);
    if (result == 0)
        *pt_id = hwpt->object.id;
    return result;
}

int pm_iommufd_device_attach(PmIommufdDevice *device, uint32_t *pt_id)
{
    PmObject *object = pm_fake_iommufd_find_any(device->iommufd, *pt_id);

    if (object == NULL)
        return -ENOENT;
    if (object->type == PM_OBJECT_IOAS)
        return attach_to_ioas(device, (PmIoas *)object, pt_id);
    return object->type == PM_OBJECT_HWPT ? change(device, (PmHwpt *)object) : -EINVAL;
}

void pm_iommufd_device_detach(PmIommufdDevice *device)
{
    if (device->is_attached)
        pm_hwpt_put(leave(device));
}
