/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/iommufd_option.h"

#include <errno.h>

#include "fake/iommufd/ioas.h"
#include "fake/memory/user_memory.h"

static int set_rlimit_mode(PmFakeIommufd *iommufd, uint64_t value)
{
    if (!iommufd->machine->config.cap_sys_resource)
        return -EPERM;
    if (iommufd->objects->len > 0)
        return -EBUSY;
    if (value > 1)
        return -EINVAL;
    iommufd->charges_process = value == 1;
    return 0;
}

static int rlimit_mode(PmFakeIommufd *iommufd, struct iommu_option *option)
{
    if (option->object_id != 0)
        return -EOPNOTSUPP;
    if (option->op == IOMMU_OPTION_OP_SET)
        return set_rlimit_mode(iommufd, option->val64);
    if (option->op != IOMMU_OPTION_OP_GET)
        return -EOPNOTSUPP;
    option->val64 = iommufd->charges_process;
    return 0;
}

static int huge_pages(const PmFakeIommufd *iommufd, struct iommu_option *option)
{
    PmIoas *ioas = pm_fake_iommufd_find(iommufd, option->object_id, PM_OBJECT_IOAS);

    if (ioas == NULL)
        return -ENOENT;
    if (option->op == IOMMU_OPTION_OP_SET)
        return option->val64 > 1 ? -EINVAL : pm_ioas_set_small_pages(ioas, option->val64 == 0);
    if (option->op != IOMMU_OPTION_OP_GET)
        return -EOPNOTSUPP;
    option->val64 = !ioas->small_pages;
    return 0;
}

int pm_fake_iommufd_option(PmFakeIommufdRequest *request)
{
    struct iommu_option *option = &request->option;
    int result = -EOPNOTSUPP;

    if (option->__reserved != 0)
        return -EOPNOTSUPP;
    if (option->option_id == IOMMU_OPTION_RLIMIT_MODE)
        result = rlimit_mode(request->iommufd, option);
    else if (option->option_id == IOMMU_OPTION_HUGE_PAGES)
        result = huge_pages(request->iommufd, option);
    if (result < 0)
        return result;
    return pm_user_write((uint8_t *)request->argument + offsetof(struct iommu_option, val64),
                         &option->val64, sizeof(option->val64));
}
