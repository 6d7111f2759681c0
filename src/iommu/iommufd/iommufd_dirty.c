/* SPDX-License-Identifier: MIT */
/* Dirty tracking with iommufd: needs HWPTs that are allocated for it. */
#include "iommu/iommufd/iommufd.h"

#include <errno.h>
#include <inttypes.h>

#include "base/error_text.h"
#include "kernel-uapi/iommufd.h"
#include "vfio/device_node.h"

static uint32_t page_table_at(const PmIommufd *iommufd, guint i)
{
    return g_array_index(iommufd->page_tables, uint32_t, i);
}

/* --- HWPTs --- */

static void destroy(const PmIommufd *iommufd, uint32_t id)
{
    struct iommu_destroy destroy = {.size = sizeof destroy, .id = id};

    (void)pm_iommufd_ioctl(iommufd, IOMMU_DESTROY, &destroy);
}

static bool is_used(const PmIommufd *iommufd, uint32_t page_table)
{
    const GPtrArray *devices = iommufd->devices.devices;

    for (guint i = 0; i < devices->len; i++) {
        const PmVfioDevice *device = devices->pdata[i];

        if (device->page_table == page_table)
            return true;
    }
    return false;
}

void pm_iommufd_drop_page_tables(PmIommufd *iommufd, guint first)
{
    for (guint i = iommufd->page_tables->len; i-- > first;) {
        if (is_used(iommufd, page_table_at(iommufd, i)))
            continue;
        destroy(iommufd, page_table_at(iommufd, i));
        g_array_remove_index_fast(iommufd->page_tables, i);
    }
}

static int enable(const PmIommufd *iommufd, uint32_t page_table, bool enabled)
{
    struct iommu_hwpt_set_dirty_tracking set = {
        .size = sizeof set,
        .flags = enabled ? IOMMU_HWPT_DIRTY_TRACKING_ENABLE : 0,
        .hwpt_id = page_table,
    };

    return pm_iommufd_ioctl(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, &set);
}

/* -EOPNOTSUPP: not supported by the IOMMU; -ENOTTY: not by the kernel (before 6.6). */
static int make_page_table(const PmIommufd *iommufd, const PmVfioDevice *device,
                           uint32_t *page_table)
{
    struct iommu_hwpt_alloc alloc = {
        .size = sizeof alloc,
        .flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
        .dev_id = device->id,
        .pt_id = iommufd->ioas,
    };
    int result = pm_iommufd_ioctl(iommufd, IOMMU_HWPT_ALLOC, &alloc);

    if (result < 0)
        return result;
    if (iommufd->parent.tracks_dirty)
        result = enable(iommufd, alloc.out_hwpt_id, true);
    if (result < 0) {
        destroy(iommufd, alloc.out_hwpt_id);
        return result;
    }
    *page_table = alloc.out_hwpt_id;
    return 0;
}

/* Attaches the device to a HWPT of its own. */
static int attach_to_new(PmIommufd *iommufd, PmVfioDevice *device, uint32_t page_table)
{
    int result = pm_vfio_device_attach(&iommufd->devices, device, page_table);

    if (result == 0)
        g_array_append_val(iommufd->page_tables, page_table);
    else
        destroy(iommufd, page_table);
    return result;
}

/* Attaches the device to an existing HWPT, if its IOMMU can use one. */
static int attach_to_known(const PmIommufd *iommufd, PmVfioDevice *device)
{
    int result = -EINVAL;

    for (guint i = 0; i < iommufd->page_tables->len && result == -EINVAL; i++)
        result = pm_vfio_device_attach(&iommufd->devices, device, page_table_at(iommufd, i));
    return result;
}

int pm_iommufd_attach_tracking(PmIommufd *iommufd, PmVfioDevice *device)
{
    uint32_t page_table;
    int result = attach_to_known(iommufd, device);

    if (result != -EINVAL)
        return result;
    result = make_page_table(iommufd, device, &page_table);
    if (result == 0)
        return attach_to_new(iommufd, device, page_table);
    /* Reading would miss the writes of this device. */
    if (iommufd->parent.tracks_dirty)
        return result;
    return pm_vfio_device_attach(&iommufd->devices, device, iommufd->ioas);
}

/* --- PmIommuOps --- */

static bool check_tracked(const PmIommufd *iommufd, GError **error)
{
    const GPtrArray *devices = iommufd->devices.devices;

    for (guint i = 0; i < devices->len; i++) {
        const PmVfioDevice *device = devices->pdata[i];
        bool found = false;

        for (guint j = 0; j < iommufd->page_tables->len; j++)
            found = found || page_table_at(iommufd, j) == device->page_table;
        if (!found)
            return pm_fail(error, PM_ERROR_UNSUPPORTED,
                           "the IOMMU of %s or this kernel (before Linux 6.7) does not support "
                           "dirty tracking: treat every mapped page as dirty",
                           device->address);
    }
    return true;
}

void pm_iommufd_update_dirty_kind(PmIommufd *iommufd)
{
    pm_iommu_set_dirty_kind(&iommufd->parent, check_tracked(iommufd, NULL) ? PM_IOMMU_DIRTY_TRACKED
                                                                           : PM_IOMMU_DIRTY_NONE);
}

/* On failure, tracking stays off. */
static bool start(const PmIommufd *iommufd, GError **error)
{
    for (guint i = 0; i < iommufd->page_tables->len; i++) {
        uint32_t page_table = page_table_at(iommufd, i);
        int result = enable(iommufd, page_table, true);

        if (result == 0)
            continue;
        while (i-- > 0)
            (void)enable(iommufd, page_table_at(iommufd, i), false);
        return pm_fail_ioctl(error, -result,
                             "treat every mapped page as dirty, and " PM_SEE_KERNEL_LOG,
                             "starting dirty tracking in HWPT %" PRIu32, page_table);
    }
    return true;
}

/* No rollback: restarting a HWPT would clear its dirty bits. */
static bool stop(const PmIommufd *iommufd, GError **error)
{
    bool stopped = true;

    for (guint i = 0; i < iommufd->page_tables->len; i++) {
        int result = enable(iommufd, page_table_at(iommufd, i), false);

        if (result < 0 && stopped)
            stopped = pm_fail_ioctl(
                error, -result, "the IOMMU may keep tracking, to no effect; " PM_SEE_KERNEL_LOG,
                "stopping dirty tracking in HWPT %" PRIu32, page_table_at(iommufd, i));
    }
    return stopped;
}

bool pm_iommufd_set_dirty_tracking(PmIommu *iommu, bool enabled, GError **error)
{
    PmIommufd *iommufd = (PmIommufd *)iommu;
    bool set;

    if (!check_tracked(iommufd, error))
        return false;
    /* Starting again would clear dirty bits that have not been read. */
    if (iommu->tracks_dirty == enabled)
        return true;
    set = enabled ? start(iommufd, error) : stop(iommufd, error);
    iommu->tracks_dirty = enabled && set;
    if (!iommu->tracks_dirty)
        pm_iommufd_drop_page_tables(iommufd, 0);
    return set;
}

static int read_page_tables(const PmIommufd *iommufd, struct iommu_hwpt_get_dirty_bitmap *get)
{
    int result = 0;

    for (guint i = 0; i < iommufd->page_tables->len && result == 0; i++) {
        get->hwpt_id = page_table_at(iommufd, i);
        result = pm_iommufd_ioctl(iommufd, IOMMU_HWPT_GET_DIRTY_BITMAP, get);
    }
    return result;
}

/* @flags: IOMMU_HWPT_GET_DIRTY_BITMAP_*. */
static int get_dirty(const PmIommu *iommu, uint32_t flags, uint64_t iova, uint64_t size,
                     uint64_t page_size, uint64_t *bitmap)
{
    void *place = bitmap;
    struct iommu_hwpt_get_dirty_bitmap get = {
        .size = sizeof get,
        .flags = flags,
        .iova = iova,
        .length = size,
        .page_size = page_size,
        .data = (uintptr_t)place,
    };

    return read_page_tables((const PmIommufd *)iommu, &get);
}

int pm_iommufd_read_dirty(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                          uint64_t *bitmap)
{
    return get_dirty(iommu, 0, iova, size, page_size, bitmap);
}

int pm_iommufd_peek_dirty(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                          uint64_t *bitmap)
{
    return get_dirty(iommu, IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR, iova, size, page_size, bitmap);
}
