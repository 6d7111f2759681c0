/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/iommufd_group.h"

#include <errno.h>

void pm_iommufd_group_init(PmIommufdGroup *group)
{
    *group = (PmIommufdGroup){.attached = g_ptr_array_new()};
}

void pm_iommufd_group_clear(PmIommufdGroup *group)
{
    g_ptr_array_unref(group->attached);
}

int pm_iommufd_group_bind(PmIommufdGroup *group, PmFakeIommufd *iommufd)
{
    if (group->owner != NULL && group->owner != iommufd)
        return -EPERM;
    group->owner = iommufd;
    group->n_bound++;
    return 0;
}

void pm_iommufd_group_unbind(PmIommufdGroup *group)
{
    if (--group->n_bound == 0)
        group->owner = NULL;
}

/* --- reserved I/O addresses --- */

/* Reserves the gaps between valid ranges, such as the MSI window. */
static int reserve_gaps(PmIoas *ioas, const void *device)
{
    const PmFakeConfig *config = &ioas->iommufd->machine->config;
    int result = 0;

    for (size_t i = 1; i < config->n_iova_ranges && result == 0; i++) {
        uint64_t first = config->iova_ranges[i - 1].last + 1;

        if (first < config->iova_ranges[i].start)
            result = pm_ioas_reserve(ioas, first, config->iova_ranges[i].start - 1, device);
    }
    if (result < 0)
        pm_ioas_unreserve(ioas, device);
    return result;
}

/* For every attached device. All or nothing, because all have the same gaps. */
static int reserve_for_all(const PmIommufdGroup *group, PmIoas *ioas)
{
    int result = 0;

    for (guint i = 0; i < group->attached->len && result == 0; i++)
        result = reserve_gaps(ioas, g_ptr_array_index(group->attached, i));
    return result;
}

static void unreserve_for_all(const PmIommufdGroup *group, PmIoas *ioas)
{
    for (guint i = 0; i < group->attached->len; i++)
        pm_ioas_unreserve(ioas, g_ptr_array_index(group->attached, i));
}

/* --- one page table --- */

int pm_iommufd_group_join(PmIommufdGroup *group, PmHwpt *hwpt, void *device)
{
    int result;

    if (group->hwpt != NULL && group->hwpt != hwpt)
        return -EINVAL;
    result = reserve_gaps(hwpt->ioas, device);
    if (result < 0)
        return result;
    group->hwpt = hwpt;
    g_ptr_array_add(group->attached, device);
    hwpt->object.n_users++;
    return 0;
}

PmHwpt *pm_iommufd_group_leave(PmIommufdGroup *group, void *device)
{
    PmHwpt *hwpt = group->hwpt;

    g_ptr_array_remove(group->attached, device);
    if (group->attached->len == 0)
        group->hwpt = NULL;
    pm_ioas_unreserve(hwpt->ioas, device);
    return hwpt;
}

int pm_iommufd_group_replace(PmIommufdGroup *group, PmHwpt *hwpt)
{
    PmHwpt *old = group->hwpt;
    int result = 0;

    if (hwpt == old)
        return 0;
    if (hwpt->ioas != old->ioas)
        result = reserve_for_all(group, hwpt->ioas);
    if (result < 0)
        return result;
    if (hwpt->ioas != old->ioas)
        unreserve_for_all(group, old->ioas);
    group->hwpt = hwpt;
    hwpt->object.n_users += group->attached->len;
    old->object.n_users -= group->attached->len - 1;
    pm_hwpt_put(old);
    return 0;
}
