/* SPDX-License-Identifier: MIT */
#include <plugmap/mapper.h>
#include <plugmap/size.h>

#include <inttypes.h>

#include "base/error_text.h"
#include "base/log.h"
#include "iommu/iommu.h"
#include "mapper/audit.h"
#include "mapper/region.h"
#include "memory/discard_manager_private.h"
#include "memory/hugetlb_pool.h"

struct PmMapper {
    PmIommu *iommu;
    GPtrArray *regions; /* of PmRegion */
};

/* Room that strict regions have been promised and do not use yet. */
static void promised_room(const PmMapper *mapper, const PmRegion *except, uint64_t *n_mappings,
                          uint64_t *n_bytes)
{
    *n_mappings = 0;
    *n_bytes = 0;
    for (guint i = 0; i < mapper->regions->len; i++) {
        const PmRegion *region = g_ptr_array_index(mapper->regions, i);
        uint64_t missing;

        if (region == except || region->manager == NULL || region->flags & PM_MAPPER_OVERCOMMIT)
            continue;
        missing = region->size - pm_discard_manager_get_populated(region->manager);
        *n_mappings += missing / region->block_size;
        *n_bytes += missing;
    }
}

/* Whether @n_bytes more fit for @region, beside what other regions have been promised. */
static bool check_room(const PmMapper *mapper, const PmRegion *region, uint64_t n_bytes,
                       GError **error)
{
    uint64_t promised_mappings;
    uint64_t promised_bytes;

    promised_room(mapper, region, &promised_mappings, &promised_bytes);
    return pm_iommu_check_budget(mapper->iommu, promised_mappings + n_bytes / region->block_size,
                                 promised_bytes + n_bytes, region->block_size, error);
}

static bool can_populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    PmRegion *region = user_data;

    (void)offset;
    return check_room(region->mapper, region, size, error);
}

/* The kernel says EFAULT of a hugetlb page that cannot be had (ENOMEM, if mapped by file), as of
 * much else; but without the pages nothing can be mapped, whatever else is wrong. */
static void tell_lack_of_huge_pages(PmRam *ram, uint64_t address, uint64_t offset, uint64_t size,
                                    GError **error)
{
    g_autofree char *lack = NULL;
    g_autofree char *size_text = NULL;

    if (error == NULL || (!g_error_matches(*error, PM_ERROR, PM_ERROR_BAD_ADDRESS) &&
                          !g_error_matches(*error, PM_ERROR, PM_ERROR_MEMORY) &&
                          !g_error_matches(*error, PM_ERROR, PM_ERROR_LOCKED_MEMORY)))
        return;
    lack = pm_hugetlb_pool_describe_lack(ram, offset, size);
    if (lack == NULL)
        return;
    size_text = pm_size_format(size);
    g_clear_error(error);
    (void)pm_fail(error, PM_ERROR_MEMORY,
                  "%s of RAM at guest address 0x%" PRIx64 " cannot be pinned: %s", size_text,
                  address + offset, lack);
}

/* A private mapping of a file has pages that the file has not. */
static bool map_ram(const PmMapper *mapper, uint64_t address, PmRam *ram, uint64_t offset,
                    uint64_t block_size, uint64_t n_blocks, GError **error)
{
    uint64_t file_offset;
    int fd = pm_ram_get_fd(ram, &file_offset);

    if (pm_iommu_map_file(mapper->iommu, address + offset, (uint8_t *)pm_ram_get_host(ram) + offset,
                          pm_ram_is_shared(ram) ? fd : -1, file_offset + offset, block_size,
                          n_blocks, PM_IOMMU_READ_WRITE, error))
        return true;
    tell_lack_of_huge_pages(ram, address, offset, block_size * n_blocks, error);
    return false;
}

static bool populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    const PmRegion *region = user_data;

    return map_ram(region->mapper, region->address, region->ram, offset, region->block_size,
                   size / region->block_size, error);
}

static bool discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    PmRegion *region = user_data;

    return pm_iommu_unmap(region->mapper->iommu, region->address + offset, size, error);
}

/* A purge and not an unmap, because it has to work for blocks in quarantine, too. */
static bool discard_all(void *user_data, GError **error)
{
    PmRegion *region = user_data;

    return pm_iommu_purge(region->mapper->iommu, region->address, region->size, error);
}

static const PmDiscardListenerOps listener_ops = {
    .can_populate = can_populate,
    .populate = populate,
    .discard = discard,
    .discard_all = discard_all,
};

PmMapper *pm_mapper_new(PmIommu *iommu)
{
    PmMapper *mapper = g_new0(PmMapper, 1);

    mapper->iommu = pm_iommu_ref(iommu);
    mapper->regions = g_ptr_array_new_with_free_func((GDestroyNotify)pm_region_free);
    return mapper;
}

/* Lets go of a region's mappings; on failure everything stays. */
static bool detach(PmRegion *region, GError **error)
{
    if (region->manager != NULL) {
        if (!pm_discard_manager_unregister(region->manager, region->listener, error))
            return false;
        (void)pm_iommu_release_range(region->mapper->iommu, region->address, region->size, NULL);
        return true;
    }
    return pm_iommu_unmap(region->mapper->iommu, region->address, region->size, error);
}

void pm_mapper_free(PmMapper *mapper)
{
    if (mapper == NULL)
        return;
    for (guint i = 0; i < mapper->regions->len; i++) {
        PmRegion *region = g_ptr_array_index(mapper->regions, i);
        g_autoptr(GError) error = NULL;

        if (detach(region, &error))
            continue;
        pm_log(G_LOG_LEVEL_WARNING,
               "the region at 0x%" PRIx64 " stays mapped until its IOMMU is closed: %s",
               region->address, error->message);
        if (region->manager != NULL)
            pm_discard_manager_forget(region->manager, region->listener);
    }
    g_ptr_array_unref(mapper->regions);
    pm_iommu_unref(mapper->iommu);
    g_free(mapper);
}

static bool check_overlap(const PmMapper *mapper, uint64_t address, uint64_t size, GError **error)
{
    for (guint i = 0; i < mapper->regions->len; i++) {
        const PmRegion *other = g_ptr_array_index(mapper->regions, i);

        if (address <= other->address + (other->size - 1) && other->address <= address + (size - 1))
            return pm_fail(
                error, PM_ERROR_OVERLAP,
                "the region at 0x%" PRIx64 "–0x%" PRIx64 " overlaps the region at 0x%" PRIx64
                "–0x%" PRIx64 ": choose another guest address",
                address, address + (size - 1), other->address, other->address + (other->size - 1));
    }
    return true;
}

bool pm_mapper_add_ram(PmMapper *mapper, uint64_t address, PmRam *ram, GError **error)
{
    uint64_t size = pm_ram_get_size(ram);
    uint64_t promised_mappings;
    uint64_t promised_bytes;

    promised_room(mapper, NULL, &promised_mappings, &promised_bytes);
    if (!pm_iommu_check_range(mapper->iommu, address, size, error) ||
        !check_overlap(mapper, address, size, error) ||
        !pm_iommu_check_budget(mapper->iommu, promised_mappings + 1, promised_bytes + size, 0,
                               error) ||
        !map_ram(mapper, address, ram, 0, size, 1, error))
        return false;
    g_ptr_array_add(mapper->regions, pm_region_new(mapper, address, ram, NULL, PM_MAPPER_STRICT));
    return true;
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
    uint64_t size = pm_ram_get_size(ram);
    uint64_t block_size = pm_discard_manager_get_granularity(manager);
    g_autoptr(PmRegion) region = NULL;

    if (!check_blocks(mapper, address, block_size, error) ||
        !pm_iommu_check_blocks(mapper->iommu, address, size, block_size, error) ||
        !check_overlap(mapper, address, size, error))
        return false;
    region = pm_region_new(mapper, address, ram, manager, flags);
    if (!check_room(mapper, region,
                    flags & PM_MAPPER_OVERCOMMIT ? pm_discard_manager_get_populated(manager) : size,
                    error))
        return false;
    if (!pm_iommu_keep_range(mapper->iommu, address, size, error))
        return false;
    region->listener =
        pm_discard_manager_register(manager, &listener_ops, region, region->name, 0, size, error);
    if (region->listener == NULL) {
        (void)pm_iommu_release_range(mapper->iommu, address, size, NULL);
        return false;
    }
    g_ptr_array_add(mapper->regions, g_steal_pointer(&region));
    return true;
}

bool pm_mapper_remove(PmMapper *mapper, uint64_t address, GError **error)
{
    for (guint i = 0; i < mapper->regions->len; i++) {
        PmRegion *region = g_ptr_array_index(mapper->regions, i);

        if (region->address != address)
            continue;
        if (!detach(region, error))
            return false;
        g_ptr_array_remove_index(mapper->regions, i);
        return true;
    }
    return pm_fail(error, PM_ERROR_NOT_FOUND, "no region begins at 0x%" PRIx64, address);
}

bool pm_mapper_audit(PmMapper *mapper, PmMapperAudit *audit, GError **error)
{
    PmMapperAudit counts = {0};
    g_autoptr(GError) first_difference = NULL;

    for (guint i = 0; i < mapper->regions->len; i++) {
        const PmRegion *region = g_ptr_array_index(mapper->regions, i);

        if (region->manager != NULL)
            pm_audit_region(mapper->iommu, region, &counts, &first_difference);
    }
    if (audit != NULL)
        *audit = counts;
    if (first_difference == NULL)
        return true;
    g_propagate_error(error, g_steal_pointer(&first_difference));
    return false;
}
