/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/hwpt.h"

#include <errno.h>

#include "fake/iommufd/ioas_fill.h"
#include "fake/memory/user_memory.h"

static void free_hwpt(PmObject *object)
{
    PmHwpt *hwpt = (PmHwpt *)object;
    PmIoas *ioas = hwpt->ioas;

    pm_ioas_remove_table(ioas, hwpt);
    ioas->object.n_users--;
    pm_fake_iommufd_remove(ioas->iommufd, &hwpt->object);
    pm_page_table_free(hwpt->table);
    g_free(hwpt);
}

PmHwpt *pm_hwpt_new(PmIoas *ioas)
{
    PmHwpt *hwpt = g_new0(PmHwpt, 1);

    pm_fake_iommufd_add(ioas->iommufd, &hwpt->object, PM_OBJECT_HWPT, free_hwpt);
    hwpt->ioas = ioas;
    hwpt->table = pm_page_table_new();
    ioas->object.n_users++;
    return hwpt;
}

int pm_hwpt_fill(PmHwpt *hwpt)
{
    return pm_ioas_add_table(hwpt->ioas, hwpt->table, hwpt);
}

void pm_hwpt_free(PmHwpt *hwpt)
{
    free_hwpt(&hwpt->object);
}

void pm_hwpt_put(PmHwpt *hwpt)
{
    hwpt->object.n_users--;
    if (hwpt->automatic && hwpt->object.n_users == 0)
        pm_hwpt_free(hwpt);
}

/* The IOMMU has no nested page tables, and dirty tracking only if configured. */
static int check_flags(const PmFakeConfig *config, const struct iommu_hwpt_alloc *alloc)
{
    uint32_t supported = config->dirty_tracking ? IOMMU_HWPT_ALLOC_DIRTY_TRACKING : 0;

    return alloc->flags & ~supported || alloc->data_len != 0 ? -EOPNOTSUPP : 0;
}

static int check_alloc(PmFakeIommufd *iommufd, const struct iommu_hwpt_alloc *alloc)
{
    const PmObject *source;

    if (alloc->__reserved != 0)
        return -EOPNOTSUPP;
    if ((alloc->data_type == IOMMU_HWPT_DATA_NONE) != (alloc->data_len == 0))
        return -EINVAL;
    if (pm_fake_iommufd_find(iommufd, alloc->dev_id, PM_OBJECT_DEVICE) == NULL)
        return -ENOENT;
    source = pm_fake_iommufd_find_any(iommufd, alloc->pt_id);
    if (source == NULL || (source->type != PM_OBJECT_IOAS && source->type != PM_OBJECT_HWPT))
        return -EINVAL;
    if (source->type == PM_OBJECT_IOAS)
        return check_flags(&iommufd->machine->config, alloc);
    /* A nested page table, whose parent would need IOMMU_HWPT_ALLOC_NEST_PARENT. */
    return alloc->flags & ~(uint32_t)IOMMU_HWPT_FAULT_ID_VALID || alloc->data_len == 0 ? -EOPNOTSUPP
                                                                                       : -EINVAL;
}

int pm_hwpt_alloc(PmFakeIommufdRequest *request)
{
    struct iommu_hwpt_alloc *alloc = &request->hwpt_alloc;
    int result = check_alloc(request->iommufd, alloc);
    PmIoas *ioas;
    PmHwpt *hwpt;

    if (result < 0)
        return result;
    ioas = pm_fake_iommufd_find(request->iommufd, alloc->pt_id, PM_OBJECT_IOAS);
    hwpt = pm_hwpt_new(ioas);
    hwpt->supports_dirty = alloc->flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
    result = pm_hwpt_fill(hwpt);
    if (result == 0) {
        alloc->out_hwpt_id = hwpt->object.id;
        result = pm_fake_iommufd_respond(request, sizeof(*alloc));
    }
    if (result < 0)
        pm_hwpt_free(hwpt);
    return result;
}

/* Fills the caller's buffer past the data with zeros. */
static int clear_user(void *user, uint64_t size)
{
    static const uint8_t zeros[4096];

    while (size > 0) {
        uint64_t piece = MIN(size, sizeof(zeros));

        if (pm_user_write(user, zeros, piece) < 0)
            return -EFAULT;
        user = pm_user_at(user, piece);
        size -= piece;
    }
    return 0;
}

int pm_hwpt_get_hw_info(PmFakeIommufdRequest *request)
{
    const struct iommu_hw_info_vtd registers = {0};
    struct iommu_hw_info *info = &request->hw_info;
    void *user = (void *)(uintptr_t)info->data_uptr;
    uint32_t size = MIN(info->data_len, (uint32_t)sizeof(registers));

    if (info->flags != 0 || info->__reserved[0] != 0 || info->__reserved[1] != 0 ||
        info->__reserved[2] != 0)
        return -EOPNOTSUPP;
    if (pm_fake_iommufd_find(request->iommufd, info->dev_id, PM_OBJECT_DEVICE) == NULL)
        return -ENOENT;
    if ((size > 0 && pm_user_write(user, &registers, size) < 0) ||
        clear_user(pm_user_at(user, size), info->data_len - size) < 0)
        return -EFAULT;
    info->data_len = sizeof(registers);
    info->out_data_type = IOMMU_HW_INFO_TYPE_INTEL_VTD;
    info->out_max_pasid_log2 = 0;
    info->out_capabilities =
        request->iommufd->machine->config.dirty_tracking ? IOMMU_HW_CAP_DIRTY_TRACKING : 0;
    return pm_fake_iommufd_respond(request, sizeof(*info));
}
