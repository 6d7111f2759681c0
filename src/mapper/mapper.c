/* SPDX-License-Identifier: MIT */
#include <plugmap/mapper.h>

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "mapper/audit.h"
#include "mapper/region.h"

struct PmMapper {
    PmIommu *iommu;
    GPtrArray *regions; /* of PmRegion */
};

static void unref_region(void *region)
{
    pm_region_unref(region);
}

PmMapper *pm_mapper_new(PmIommu *iommu)
{
    PmMapper *mapper = g_new0(PmMapper, 1);

    mapper->iommu = pm_iommu_ref(iommu);
    mapper->regions = g_ptr_array_new_with_free_func(unref_region);
    return mapper;
}

void pm_mapper_free(PmMapper *mapper)
{
    if (mapper == NULL)
        return;
    for (guint i = 0; i < mapper->regions->len; i++) {
        PmRegion *region = g_ptr_array_index(mapper->regions, i);
        g_autoptr(GError) error = NULL;

        if (pm_region_release(region, &error))
            continue;
        pm_log(G_LOG_LEVEL_WARNING,
               "%s stays mapped, and its memory in quarantine, until it can be unmapped "
               "(pm_iommu_settle()) or its IOMMU is closed: %s",
               pm_iommu_claim_get_owner(region->claim), error->message);
        pm_region_abandon(region);
    }
    g_ptr_array_unref(mapper->regions);
    pm_iommu_unref(mapper->iommu);
    g_free(mapper);
}

/* Takes @region, which may be NULL. */
static bool add(PmMapper *mapper, PmRegion *region, GError **error)
{
    if (region == NULL)
        return false;
    if (pm_region_map(region, error)) {
        g_ptr_array_add(mapper->regions, region);
        return true;
    }
    pm_region_abandon(region);
    pm_region_unref(region);
    return false;
}

bool pm_mapper_add_ram(PmMapper *mapper, uint64_t address, PmRam *ram, GError **error)
{
    return add(mapper, pm_region_new(mapper->iommu, address, ram, NULL, PM_MAPPER_STRICT, error),
               error);
}

/* The IOMMU must be able to map a block, whose size is a power of two, at every block boundary. */
static bool check_blocks(const PmMapper *mapper, uint64_t address, uint64_t block_size,
                         GError **error)
{
    uint64_t page_sizes = pm_iommu_get_page_sizes(mapper->iommu);
    uint64_t smallest_page = page_sizes & -page_sizes;

    if (block_size < smallest_page || address % block_size != 0) {
        g_autofree char *block = pm_size_format(block_size);
        g_autofree char *page = pm_size_format(smallest_page);

        return pm_fail(
            error, PM_ERROR_UNALIGNED,
            "the region at 0x%" PRIx64
            " with blocks of %s cannot be mapped: blocks have to be at least the IOMMU's "
            "page of %s, and the address a multiple of the block",
            address, block, page);
    }
    return true;
}

bool pm_mapper_add_managed(PmMapper *mapper, uint64_t address, PmDiscardManager *manager,
                           PmMapperFlags flags, GError **error)
{
    PmRam *ram = pm_discard_manager_get_ram(manager);

    if (!check_blocks(mapper, address, pm_discard_manager_get_granularity(manager), error))
        return false;
    return add(mapper, pm_region_new(mapper->iommu, address, ram, manager, flags, error), error);
}

bool pm_mapper_remove(PmMapper *mapper, uint64_t address, GError **error)
{
    for (guint i = 0; i < mapper->regions->len; i++) {
        PmRegion *region = g_ptr_array_index(mapper->regions, i);

        if (pm_iommu_claim_get_iova(region->claim) != address)
            continue;
        if (!pm_region_release(region, error))
            return false;
        g_ptr_array_remove_index(mapper->regions, i);
        return true;
    }
    return pm_fail(error, PM_ERROR_NOT_FOUND, "no region begins at 0x%" PRIx64, address);
}

bool pm_mapper_audit(PmMapper *mapper, PmMapperAudit *audit, GError **error)
{
    PmMapperAudit counts = {0};
    GError *first = NULL;

    for (guint i = 0; i < mapper->regions->len; i++)
        pm_audit_region(g_ptr_array_index(mapper->regions, i), &counts, &first);
    if (first == NULL)
        (void)pm_iommu_audit(mapper->iommu, 0, &first);
    if (audit != NULL)
        *audit = counts;
    if (first == NULL)
        return true;
    g_propagate_error(error, first);
    return false;
}
