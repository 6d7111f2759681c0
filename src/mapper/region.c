/* SPDX-License-Identifier: MIT */
#include "mapper/region.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "iommu/handover.h"
#include "memory/hugetlb_pool.h"

static PmRegion *make_region(const PmMapperRegion *config)
{
    PmRegion *region = g_new0(PmRegion, 1);

    g_atomic_ref_count_init(&region->references);
    region->config = *config;
    pm_ram_ref(config->ram);
    return region;
}

PmRegion *pm_region_new_unmapped(const PmMapperRegion *config, GError *failure)
{
    PmRegion *region = make_region(config);

    region->failure = failure;
    return region;
}

void pm_region_unref(PmRegion *region)
{
    if (!g_atomic_ref_count_dec(&region->references))
        return;
    pm_iommu_claim_unref(region->claim);
    pm_ram_unref(region->config.ram);
    g_clear_pointer(&region->manager, pm_discard_manager_unref);
    g_clear_error(&region->failure);
    g_free(region);
}

/* Listeners get offsets in the RAM; offsets in the claim are relative to the region. */
static uint64_t claim_offset(const PmRegion *region, uint64_t ram_offset)
{
    return ram_offset - region->config.ram_offset;
}

/* A missing hugetlb page is EFAULT (ENOMEM if mapped by file), as are many other errors; but
 * without pages no mapping succeeds, whatever else is wrong. */
static void explain_lack_of_huge_pages(const PmRegion *region, uint64_t offset, uint64_t size,
                                       GError **error)
{
    g_autofree char *lack = NULL;
    g_autofree char *size_text = NULL;

    if (error == NULL || (!g_error_matches(*error, PM_ERROR, PM_ERROR_BAD_ADDRESS) &&
                          !g_error_matches(*error, PM_ERROR, PM_ERROR_MEMORY) &&
                          !g_error_matches(*error, PM_ERROR, PM_ERROR_LOCKED_MEMORY)))
        return;
    lack = pm_hugetlb_pool_describe_lack(region->config.ram, offset, size);
    if (lack == NULL)
        return;
    size_text = pm_size_format(size);
    pm_reword(*error, PM_ERROR_MEMORY, "cannot pin %s of RAM at guest address 0x%" PRIx64 ": %s",
              size_text, region->config.address + claim_offset(region, offset), lack);
}

/* --- the discard listener; offsets are relative to the RAM --- */

static bool can_populate(void *user_data, uint64_t offset G_GNUC_UNUSED, uint64_t size,
                         GError **error)
{
    const PmRegion *region = user_data;

    return region->adopts || pm_iommu_claim_check_room(region->claim, size, error);
}

/* Instead of mapping: the blocks are mapped already, and to this memory. */
static bool check_adopted(PmRegion *region, uint64_t offset, uint64_t size, GError **error)
{
    PmIommuRun run = {0};
    uint64_t end = offset + size;
    bool found = true;

    for (uint64_t at = offset; at < end && found; at += run.n_blocks * run.block_size) {
        found = pm_iommu_claim_next_run(region->claim, claim_offset(region, at), &run) &&
                run.iova == region->config.address + claim_offset(region, at) &&
                run.ram_offset == at;
        if (found)
            region->n_adopted += MIN(run.n_blocks, (end - at) / run.block_size);
        else
            (void)pm_fail(error, PM_ERROR_AUDIT,
                          "cannot adopt the region at 0x%" PRIx64 ": the block at offset 0x%" PRIx64
                          " of its RAM is populated, but not mapped to it",
                          region->config.address, at);
    }
    return found;
}

static bool populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    PmRegion *region = user_data;

    if (region->adopts)
        return check_adopted(region, offset, size, error);
    if (pm_iommu_claim_map(region->claim, claim_offset(region, offset), size, offset,
                           region->config.access, error))
        return true;
    explain_lack_of_huge_pages(region, offset, size, error);
    return false;
}

static bool discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    const PmRegion *region = user_data;

    /* Registering it failed. */
    if (region->adopts)
        return true;
    return pm_iommu_claim_unmap(region->claim, claim_offset(region, offset), size, error);
}

/* Purge, because unmap fails for unknown blocks. */
static bool discard_all(void *user_data, GError **error)
{
    const PmRegion *region = user_data;

    return pm_iommu_claim_purge(region->claim, error);
}

static bool next_unknown(void *user_data, uint64_t offset, uint64_t *run_offset, uint64_t *run_size,
                         char **reason)
{
    const PmRegion *region = user_data;
    uint64_t from = claim_offset(region, MAX(offset, region->config.ram_offset));

    if (!pm_iommu_claim_next_unknown(region->claim, from, run_offset, run_size, reason))
        return false;
    *run_offset += region->config.ram_offset;
    return true;
}

static void unref(void *user_data)
{
    pm_region_unref(user_data);
}

static const PmDiscardListenerOps listener_ops = {
    .struct_size = sizeof(listener_ops),
    .can_populate = can_populate,
    .populate = populate,
    .discard = discard,
    .discard_all = discard_all,
    .next_unknown = next_unknown,
    .free = unref,
};

/* --- life cycle --- */

static uint64_t count_populated(const PmRegion *region)
{
    uint64_t at = region->config.ram_offset;
    uint64_t end = at + region->config.size;
    uint64_t n_bytes = 0;
    uint64_t size;

    for (; pm_discard_manager_next_populated(region->manager, at, end, &at, &size); at += size)
        n_bytes += size;
    return n_bytes;
}

static bool follow(PmRegion *region, GError **error)
{
    if (!region->adopts &&
        !pm_iommu_claim_check_room(region->claim, count_populated(region), error))
        return false;
    g_atomic_ref_count_inc(&region->references);
    region->listener = pm_discard_manager_register(
        region->manager, &listener_ops, region, pm_iommu_claim_get_owner(region->claim),
        region->config.ram_offset, region->config.size, error);
    return region->listener != NULL;
}

static PmRegion *claim_addresses(PmIommu *iommu, const PmMapperRegion *config, GError **error)
{
    PmDiscardManager *manager = pm_ram_get_discard_manager(config->ram);
    g_autofree char *owner = g_strdup_printf("the region at 0x%" PRIx64, config->address);
    const PmIommuClaimConfig claim_config = {
        .struct_size = sizeof(claim_config),
        .owner = owner,
        .ram = config->ram,
        .iova = config->address,
        .size = config->size,
        .block_size = manager != NULL ? pm_discard_manager_get_granularity(manager) : config->size,
        .reserved_size = config->flags & PM_MAPPER_OVERCOMMIT ? 0 : config->size,
        .follows_manager = manager != NULL,
        .ram_offset = config->ram_offset,
        .ram_size = config->size,
    };
    PmIommuClaim *claim = pm_iommu_claim_new(iommu, &claim_config, error);
    PmRegion *region;

    if (claim == NULL)
        return NULL;
    region = make_region(config);
    region->claim = claim;
    region->manager = manager != NULL ? pm_discard_manager_ref(manager) : NULL;
    return region;
}

PmRegion *pm_region_new(PmIommu *iommu, const PmMapperRegion *config, GError **error)
{
    PmRegion *region = claim_addresses(iommu, config, error);

    if (region == NULL)
        return NULL;
    if (region->manager != NULL ? follow(region, error)
                                : populate(region, config->ram_offset, config->size, error))
        return region;
    pm_region_abandon(region);
    pm_region_unref(region);
    return NULL;
}

static uint64_t count_blocks(const PmIommuRun *runs, size_t n_runs)
{
    uint64_t n_blocks = 0;

    for (size_t i = 0; i < n_runs; i++)
        n_blocks += runs[i].n_blocks;
    return n_blocks;
}

static bool check_all_adopted(const PmRegion *region, uint64_t n_mapped, GError **error)
{
    return region->n_adopted == n_mapped ||
           pm_fail(error, PM_ERROR_AUDIT,
                   "cannot adopt the region at 0x%" PRIx64 ": %" PRIu64
                   " blocks are mapped, but its RAM has %" PRIu64
                   " of them populated: restore its device first, in the state it had when "
                   "pm_handover_send() was called",
                   region->config.address, n_mapped, region->n_adopted);
}

/* Registering replays what is populated, which is compared with what is mapped. */
static bool adopt_runs(PmRegion *region, const PmIommuRun *runs, size_t n_runs, GError **error)
{
    bool adopted;

    if (!pm_claim_adopt(region->claim, runs, n_runs, error))
        return false;
    region->adopts = true;
    if (region->manager != NULL)
        adopted = follow(region, error);
    else
        adopted = check_adopted(region, region->config.ram_offset, region->config.size, error);
    region->adopts = false;
    return adopted && check_all_adopted(region, count_blocks(runs, n_runs), error);
}

PmRegion *pm_region_adopt(PmIommu *iommu, const PmMapperRegion *config, const PmIommuRun *runs,
                          size_t n_runs, GError **error)
{
    PmRegion *region = claim_addresses(iommu, config, error);

    if (region == NULL)
        return NULL;
    if (adopt_runs(region, runs, n_runs, error))
        return region;
    pm_claim_forget_adopted(region->claim);
    pm_region_abandon(region);
    pm_region_unref(region);
    return NULL;
}

bool pm_region_release(PmRegion *region, GError **error)
{
    if (region->listener != NULL &&
        !pm_discard_manager_unregister(region->manager, region->listener, error))
        return false;
    region->listener = NULL;
    return region->claim == NULL || pm_iommu_claim_release(region->claim, error);
}

/* Abandon the claim first: it then names all blocks that it still has, as the manager requires of a
 * dropped listener. The manager may keep the region from now on, so the region must not keep the
 * manager. */
void pm_region_abandon(PmRegion *region)
{
    pm_iommu_claim_abandon(region->claim);
    if (region->listener != NULL)
        pm_discard_manager_drop(region->manager, region->listener);
    region->listener = NULL;
    g_clear_pointer(&region->manager, pm_discard_manager_unref);
}
