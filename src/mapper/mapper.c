/* SPDX-License-Identifier: MIT */
#include <plugmap/mapper.h>

#include <inttypes.h>
#include <string.h>

#include "base/error_text.h"
#include "base/log.h"
#include "base/sized.h"
#include "iommu/ownership.h"
#include "mapper/audit.h"
#include "mapper/mapper_private.h"
#include "mapper/region.h"
#include "mapper/region_check.h"

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
               "%s stays mapped, and its memory in quarantine, until pm_iommu_settle() unmaps it "
               "or its PmIommu is closed: %s",
               pm_iommu_claim_get_owner(region->claim), error->message);
        pm_region_abandon(region);
    }
    g_ptr_array_unref(mapper->regions);
    pm_iommu_unref(mapper->iommu);
    g_free(mapper);
}

static PmRegion *region_at(const PmMapper *mapper, guint index)
{
    return g_ptr_array_index(mapper->regions, index);
}

static bool check_region(const PmMapper *mapper, const PmMapperRegion *config, GError **error)
{
    if (!pm_region_check_fields(config, error))
        return false;
    for (guint i = 0; i < mapper->regions->len; i++)
        if (!pm_region_check_apart(config, &region_at(mapper, i)->config, error))
            return false;
    return true;
}

/* False if the caller is at fault, or if devices may access something else there. */
static bool can_do_without(const PmMapperRegion *config, const GError *failure)
{
    return (config->flags & PM_MAPPER_OPTIONAL) != 0 &&
           !g_error_matches(failure, PM_ERROR, PM_ERROR_INVALID_ARGUMENT) &&
           !g_error_matches(failure, PM_ERROR, PM_ERROR_OVERLAP) &&
           !g_error_matches(failure, PM_ERROR, PM_ERROR_QUARANTINED);
}

/* Takes ownership of @failure. Logs only its first line: the others are commands. */
static PmRegion *do_without(const PmMapperRegion *config, GError *failure)
{
    pm_log(G_LOG_LEVEL_WARNING,
           "the region at 0x%" PRIx64 " is not mapped, so devices cannot access it: %.*s",
           config->address, (int)strcspn(failure->message, "\n"), failure->message);
    return pm_region_new_unmapped(config, failure);
}

static bool add(PmMapper *mapper, const PmMapperRegion *config, GError **error)
{
    uint64_t page_sizes = pm_iommu_get_page_sizes(mapper->iommu);
    PmRegion *region = NULL;
    GError *failure = NULL;

    if (!check_region(mapper, config, error))
        return false;
    if (pm_region_check_blocks(page_sizes & -page_sizes, config, &failure))
        region = pm_region_new(mapper->iommu, config, &failure);
    if (region == NULL && can_do_without(config, failure))
        region = do_without(config, failure);
    if (region == NULL) {
        g_propagate_error(error, failure);
        return false;
    }
    g_ptr_array_add(mapper->regions, region);
    pm_log(G_LOG_LEVEL_INFO, "added the region of 0x%" PRIx64 " bytes at 0x%" PRIx64, config->size,
           config->address);
    return true;
}

bool pm_mapper_add(PmMapper *mapper, const PmMapperRegion *config, GError **error)
{
    PmMapperRegion known;

    return pm_sized_read("PmMapperRegion", &known, sizeof(known), config, error) &&
           add(mapper, &known, error);
}

bool pm_mapper_adopt(PmMapper *mapper, const PmMapperRegion *config, const PmIommuRun *runs,
                     size_t n_runs, GError **error)
{
    uint64_t page_sizes = pm_iommu_get_page_sizes(mapper->iommu);
    PmRegion *region;

    if (!check_region(mapper, config, error) ||
        !pm_region_check_blocks(page_sizes & -page_sizes, config, error))
        return false;
    region = pm_region_adopt(mapper->iommu, config, runs, n_runs, error);
    if (region == NULL)
        return false;
    g_ptr_array_add(mapper->regions, region);
    return true;
}

/* NULL: no region begins there. */
static PmRegion *find_region(const PmMapper *mapper, uint64_t address, GError **error)
{
    for (guint i = 0; i < mapper->regions->len; i++)
        if (region_at(mapper, i)->config.address == address)
            return region_at(mapper, i);
    (void)pm_fail(error, PM_ERROR_NOT_FOUND, "no region begins at 0x%" PRIx64, address);
    return NULL;
}

bool pm_mapper_check_mapped(const PmMapper *mapper, uint64_t address, GError **error)
{
    const PmRegion *region = find_region(mapper, address, error);

    if (region == NULL)
        return false;
    if (region->failure != NULL && error != NULL)
        *error = g_error_copy(region->failure);
    return region->failure == NULL;
}

bool pm_mapper_remove(PmMapper *mapper, uint64_t address, GError **error)
{
    PmRegion *region = find_region(mapper, address, error);

    if (region == NULL)
        return false;
    if (!pm_region_release(region, error))
        return false;
    g_ptr_array_remove(mapper->regions, region);
    pm_log(G_LOG_LEVEL_INFO, "removed the region at 0x%" PRIx64, address);
    return true;
}

bool pm_mapper_audit(PmMapper *mapper, const PmIovaRange *range, PmMapperAudit *audit,
                     GError **error)
{
    PmMapperAudit counts = {.struct_size = sizeof(counts)};
    GError *first = NULL;

    if ((audit != NULL && !pm_sized_check("PmMapperAudit", audit, error)) ||
        !pm_iommu_is_ours(mapper->iommu, error))
        return false;
    for (guint i = 0; i < mapper->regions->len; i++)
        pm_audit_region(g_ptr_array_index(mapper->regions, i), range, &counts, &first);
    if (first == NULL)
        (void)pm_iommu_audit(mapper->iommu, range, 0, &first);
    return pm_audit_end(audit, &counts, sizeof(counts), first, error);
}

PmIommu *pm_mapper_get_iommu(const PmMapper *mapper)
{
    return mapper->iommu;
}

const GPtrArray *pm_mapper_get_regions(const PmMapper *mapper)
{
    return mapper->regions;
}
