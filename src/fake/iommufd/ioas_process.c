/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/ioas_process.h"

#include <errno.h>

static bool has_only_files(const PmIoas *ioas)
{
    const PmArea *area = pm_range_map_find(ioas->areas, 0);

    while (area != NULL && pm_iopt_pages_is_file(area->pages))
        area = pm_ioas_next_area(ioas, area);
    return area == NULL;
}

/* The fake kernel has one process, which is charged already: nothing is left to move. */
int pm_ioas_change_process(PmFakeIommufdRequest *request)
{
    const PmFakeIommufd *iommufd = request->iommufd;

    if (request->change_process.__reserved != 0)
        return -EOPNOTSUPP;
    for (uint32_t id = 1; id <= iommufd->objects->len; id++) {
        const PmIoas *ioas = pm_fake_iommufd_find(iommufd, id, PM_OBJECT_IOAS);

        if (ioas != NULL && !has_only_files(ioas))
            return -EINVAL;
    }
    return 0;
}
