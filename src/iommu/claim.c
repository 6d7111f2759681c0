/* SPDX-License-Identifier: MIT */
/* Life cycle of claims; claim_map.c maps and unmaps. */
#include "iommu/claim.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "base/sized.h"
#include "iommu/budget.h"
#include "iommu/ownership.h"
#include "iommu/range_check.h"
#include "memory/ram_claims.h"
#include "memory/ram_private.h"
#include "vfio/device_node.h"

/* Why blocks are unknown if no unmap failed. */
#define ABANDONED "its owner abandoned it while mapped"

/* --- the claims of an address space --- */

PmIommuClaim *pm_claim_find(PmIommu *iommu, uint64_t iova)
{
    const PmClaimRecord *record = pm_range_map_find(iommu->claims, iova);

    return record != NULL ? record->claim : NULL;
}

bool pm_iommu_find_claim(PmIommu *iommu, uint64_t iova, PmIovaRange *range)
{
    const PmIommuClaim *claim;

    pm_iommu_lock(iommu);
    claim = pm_claim_find(iommu, iova);
    if (claim != NULL)
        *range = (PmIovaRange){claim->iova, claim->last};
    pm_iommu_unlock(iommu);
    return claim != NULL;
}

PmIommuClaim *pm_claim_next(PmIommuClaim *claim)
{
    return claim->last < UINT64_MAX ? pm_claim_find(claim->iommu, claim->last + 1) : NULL;
}

bool pm_claims_find_run(PmIommu *iommu, uint64_t iova, PmIommuRun *run)
{
    PmIommuClaim *claim = pm_claim_find(iommu, iova);

    while (claim != NULL && !pm_ledger_next_run(claim->ledger, MAX(iova, claim->iova), run))
        claim = pm_claim_next(claim);
    return claim != NULL;
}

const PmIommuClaim *pm_claim_find_outside(PmIommu *iommu)
{
    const PmIommuGeometry *geometry = pm_iommu_geometry(iommu);
    PmIommuClaim *claim = pm_claim_find(iommu, 0);

    while (claim != NULL && pm_iommu_geometry_has(geometry, claim->iova, claim->last))
        claim = pm_claim_next(claim);
    return claim;
}

/* --- release and abandon --- */

static void free_claim(PmIommuClaim *claim)
{
    PmIommu *iommu = claim->iommu;

    pm_ledger_free(claim->ledger);
    g_free(claim->reason);
    g_free(claim->owner);
    g_free(claim);
    pm_iommu_drop_holder(iommu);
}

/* Nothing of it is mapped any more. */
static void end(PmIommuClaim *claim)
{
    PmIommu *iommu = claim->iommu;

    claim->life = PM_CLAIM_ENDED;
    g_clear_pointer(&claim->reason, g_free);
    (void)pm_range_map_remove(iommu->claims, claim->iova, claim->last);
    pm_budget_drop_reservation(claim);
    (void)pm_ram_leave_claim(claim->ram, claim->discard_claim);
    g_clear_pointer(&claim->ram, pm_ram_unref);
}

/* Frees an ended claim without references. The lock is not held. */
static void free_if_unused(PmIommuClaim *claim)
{
    if (claim->n_references == 0)
        free_claim(claim);
}

static bool release(PmIommuClaim *claim, GError **error)
{
    if (!pm_claim_purge(claim, error))
        return false;
    end(claim);
    return true;
}

static void abandon(PmIommuClaim *claim)
{
    if (pm_ledger_n_blocks(claim->ledger) == 0) {
        end(claim);
        return;
    }
    pm_claim_forget(claim, claim->iova, claim->size);
    pm_budget_drop_reservation(claim);
    claim->life = PM_CLAIM_ABANDONED;
}

/* An abandoned claim ends with it: nobody else will release it. */
bool pm_iommu_claim_purge(PmIommuClaim *claim, GError **error)
{
    bool purged = true;

    pm_iommu_lock(claim->iommu);
    if (claim->life == PM_CLAIM_OWNED)
        purged = pm_claim_purge(claim, error);
    else if (claim->life == PM_CLAIM_ABANDONED)
        purged = release(claim, error);
    pm_iommu_unlock(claim->iommu);
    return purged;
}

bool pm_iommu_claim_release(PmIommuClaim *claim, GError **error)
{
    PmIommu *iommu = claim->iommu;
    bool owned;
    bool released;

    pm_iommu_lock(iommu);
    owned = claim->life == PM_CLAIM_OWNED;
    released = claim->life == PM_CLAIM_ENDED || release(claim, error);
    pm_iommu_unlock(iommu);
    if (owned && released)
        pm_iommu_unref(iommu);
    return released;
}

void pm_iommu_claim_abandon(PmIommuClaim *claim)
{
    PmIommu *iommu = claim->iommu;
    bool owned;

    pm_iommu_lock(iommu);
    owned = claim->life == PM_CLAIM_OWNED;
    if (owned)
        abandon(claim);
    pm_iommu_unlock(iommu);
    if (owned)
        pm_iommu_unref(iommu);
}

PmIommuClaim *pm_iommu_claim_ref(PmIommuClaim *claim)
{
    pm_iommu_lock(claim->iommu);
    claim->n_references++;
    pm_iommu_unlock(claim->iommu);
    return claim;
}

/* Drops the last reference to a claim that has an owner. Returns why it was abandoned, or NULL. */
static char *release_or_abandon(PmIommuClaim *claim)
{
    g_autoptr(GError) error = NULL;

    if (release(claim, &error))
        return NULL;
    abandon(claim);
    return g_strdup_printf("%s stays mapped (pm_iommu_settle() retries the unmap, closing the "
                           "address space ends it): %s",
                           claim->owner, error->message);
}

void pm_iommu_claim_unref(PmIommuClaim *claim)
{
    g_autofree char *complaint = NULL;
    PmIommu *iommu;
    bool last;
    bool owned;
    bool ended;

    if (claim == NULL)
        return;
    iommu = claim->iommu;
    pm_iommu_lock(iommu);
    last = --claim->n_references == 0;
    owned = last && claim->life == PM_CLAIM_OWNED;
    if (owned)
        complaint = release_or_abandon(claim);
    ended = last && claim->life == PM_CLAIM_ENDED;
    pm_iommu_unlock(iommu);
    if (complaint != NULL)
        pm_log(G_LOG_LEVEL_WARNING, "%s", complaint);
    if (ended)
        free_claim(claim);
    if (owned)
        pm_iommu_unref(iommu);
}

/* --- creation --- */

static bool check_part(const PmIommuClaimConfig *config, GError **error)
{
    uint64_t ram_size = pm_ram_get_size(config->ram);

    if (config->ram_offset < ram_size && config->ram_size <= ram_size - config->ram_offset)
        return true;
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "invalid ram_offset 0x%" PRIx64 " and ram_size 0x%" PRIx64
                   " of %s: must be inside the RAM of 0x%" PRIx64 " bytes",
                   config->ram_offset, config->ram_size, config->owner, ram_size);
}

static bool check_config(PmIommu *iommu, const PmIommuClaimConfig *config, GError **error)
{
    if (config->owner == NULL || config->ram == NULL)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "a claim needs an owner's name and the RAM that it maps");
    if (config->block_size == 0 || config->block_size % pm_iommu_page_size(iommu) != 0)
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "invalid block size 0x%" PRIx64
                       " of %s: must be a multiple of the IOMMU's page size, 0x%" PRIx64,
                       config->block_size, config->owner, pm_iommu_page_size(iommu));
    if (!pm_iommu_check_size(iommu, config->iova, config->size, error))
        return false;
    if (config->size % config->block_size != 0 || config->reserved_size % config->block_size != 0 ||
        config->reserved_size > config->size)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid claim of 0x%" PRIx64 " bytes with 0x%" PRIx64
                       " reserved: both must be multiples of the block size 0x%" PRIx64
                       ", and reserved at most the size",
                       config->size, config->reserved_size, config->block_size);
    return check_part(config, error);
}

static PmIommuClaim *make_claim(PmIommu *iommu, const PmIommuClaimConfig *config)
{
    PmIommuClaim *claim = g_new0(PmIommuClaim, 1);

    g_atomic_ref_count_inc(&iommu->holders);
    claim->iommu = iommu;
    claim->n_references = 1;
    claim->owner = g_strdup(config->owner);
    claim->iova = config->iova;
    claim->last = config->iova + (config->size - 1);
    claim->size = config->size;
    claim->block_size = config->block_size;
    claim->pinned_size = pm_ram_get_kind(config->ram) == PM_RAM_DEVICE ? 0 : config->block_size;
    claim->ram_offset = config->ram_offset;
    claim->ram_end = config->ram_size != 0 ? config->ram_offset + config->ram_size
                                           : pm_ram_get_size(config->ram);
    claim->n_reserved = config->reserved_size / config->block_size;
    claim->ledger = pm_ledger_new(config->block_size, config->size / config->block_size);
    return claim;
}

bool pm_claim_fail_unknown(const PmIommuClaim *claim, uint64_t iova, GError **error)
{
    return pm_fail(error, PM_ERROR_QUARANTINED,
                   "I/O address 0x%" PRIx64
                   " is in quarantine: the kernel may still have a block of %s mapped there (%s)",
                   iova, claim->owner, claim->reason != NULL ? claim->reason : ABANDONED);
}

/* Blocks of abandoned claims may be unmapped by now. */
static bool settle(PmIommuClaim *claim, GError **error)
{
    if (!release(claim, error))
        return false;
    free_if_unused(claim);
    return true;
}

static bool make_way(PmIommu *iommu, uint64_t iova, uint64_t last, GError **error)
{
    PmIommuClaim *other;

    while ((other = pm_claim_find(iommu, iova)) != NULL && other->iova <= last) {
        GError *cause = NULL;

        if (other->life == PM_CLAIM_OWNED)
            return pm_fail(error, PM_ERROR_OVERLAP,
                           "I/O addresses 0x%" PRIx64 "-0x%" PRIx64
                           " overlap those of %s, 0x%" PRIx64 "-0x%" PRIx64
                           ": choose another address, or release that claim first",
                           iova, last, other->owner, other->iova, other->last);
        if (settle(other, &cause))
            continue;
        pm_reword(cause, PM_ERROR_QUARANTINED,
                  "I/O addresses 0x%" PRIx64 "-0x%" PRIx64
                  " are in quarantine since %s abandoned them; retrying the unmap failed: %s",
                  other->iova, other->last, other->owner, cause->message);
        g_propagate_error(error, cause);
        return false;
    }
    return true;
}

static bool enter(PmIommuClaim *claim, GError **error)
{
    const PmClaimRecord record = {{claim->iova, claim->last}, claim};

    return pm_range_map_insert(claim->iommu->claims, &record) ||
           pm_fail(error, PM_ERROR_MEMORY, "out of memory for the list of claims");
}

/* Nobody may discard what a device may access, unless the claim follows. */
static bool disable_discards(PmIommuClaim *claim, const PmIommuClaimConfig *config, GError **error)
{
    const PmDiscardClaimRequest request = {
        .id = pm_discard_claim_new_id(),
        .kind = config->follows_manager ? PM_DISCARD_DISABLE_UNCOORDINATED : PM_DISCARD_DISABLE,
        .owner = claim->owner,
        .offset = claim->ram_offset,
        .size = claim->ram_end - claim->ram_offset,
        .way_out = "unmap it first (pm_mapper_remove(), pm_guest_iommu_unmap(), "
                   "pm_iommu_claim_release(), or pm_iommu_settle() if its owner is gone)",
        .follows_manager = config->follows_manager,
    };

    claim->discard_claim = request.id;
    if (pm_ram_enter_claim(config->ram, &request, error))
        return true;
    g_prefix_error_literal(error, "cannot map RAM for a device: ");
    return false;
}

/* All under one lock, so that no device is attached and nothing claimed between a check and its
 * use. */
static bool begin(PmIommuClaim *claim, const PmIommuClaimConfig *config, GError **error)
{
    PmIommu *iommu = claim->iommu;

    if (!pm_iommu_check_blocks(iommu, claim->iova, claim->size, claim->block_size, error) ||
        !make_way(iommu, claim->iova, claim->last, error) ||
        !disable_discards(claim, config, error))
        return false;
    if (!pm_budget_reserve(claim, error) || !enter(claim, error)) {
        pm_budget_drop_reservation(claim);
        (void)pm_ram_leave_claim(config->ram, claim->discard_claim);
        return false;
    }
    claim->ram = pm_ram_ref(config->ram);
    return true;
}

static PmIommuClaim *new_claim(PmIommu *iommu, const PmIommuClaimConfig *config, GError **error)
{
    PmIommuClaim *claim;
    bool begun;

    if (!check_config(iommu, config, error))
        return NULL;
    claim = make_claim(iommu, config);
    pm_iommu_lock(iommu);
    begun = pm_iommu_check_ours(iommu, true, error) && begin(claim, config, error);
    pm_iommu_unlock(iommu);
    if (!begun) {
        free_claim(claim);
        return NULL;
    }
    pm_iommu_ref(iommu);
    return claim;
}

PmIommuClaim *pm_iommu_claim_new(PmIommu *iommu, const PmIommuClaimConfig *config, GError **error)
{
    PmIommuClaimConfig known;

    if (!pm_sized_read("PmIommuClaimConfig", &known, sizeof(known), config, error))
        return NULL;
    return new_claim(iommu, &known, error);
}

/* --- abandoned claims --- */

bool pm_claims_settle(PmIommu *iommu, GError **error)
{
    PmIommuClaim *claim;
    PmIommuClaim *next;
    GError *first = NULL;

    for (claim = pm_claim_find(iommu, 0); claim != NULL; claim = next) {
        next = pm_claim_next(claim);
        if (claim->life == PM_CLAIM_ABANDONED)
            (void)settle(claim, first == NULL ? &first : NULL);
    }
    if (first == NULL)
        return true;
    g_propagate_error(error, first);
    return false;
}

bool pm_iommu_settle(PmIommu *iommu, GError **error)
{
    bool settled;

    pm_iommu_lock(iommu);
    settled = pm_claims_settle(iommu, error);
    pm_iommu_unlock(iommu);
    return settled;
}

/* Only abandoned claims are left: a claim with an owner holds a reference to the address space. */
void pm_claims_close(PmIommu *iommu, bool gone)
{
    PmIommuClaim *claim = pm_claim_find(iommu, 0);

    while (claim != NULL) {
        PmIommuClaim *next = pm_claim_next(claim);

        if (gone) {
            pm_claim_note(claim, claim->iova, claim->size, PM_LEDGER_UNMAPPED, 0);
            end(claim);
            free_if_unused(claim);
        } else {
            pm_log(G_LOG_LEVEL_WARNING,
                   "the RAM of %s is never freed: its address space was closed, and the kernel did "
                   "not confirm that its mappings are gone",
                   claim->owner);
        }
        claim = next;
    }
}

/* --- getters --- */

uint64_t pm_iommu_claim_get_iova(const PmIommuClaim *claim)
{
    return claim->iova;
}

uint64_t pm_iommu_claim_get_size(const PmIommuClaim *claim)
{
    return claim->size;
}

uint64_t pm_iommu_claim_get_block_size(const PmIommuClaim *claim)
{
    return claim->block_size;
}

const char *pm_iommu_claim_get_owner(const PmIommuClaim *claim)
{
    return claim->owner;
}

bool pm_iommu_claim_next_run(PmIommuClaim *claim, uint64_t offset, PmIommuRun *run)
{
    bool found;

    if (offset >= claim->size)
        return false;
    pm_iommu_lock(claim->iommu);
    found = pm_ledger_next_run(claim->ledger, claim->iova + offset, run);
    pm_iommu_unlock(claim->iommu);
    return found;
}

/* There is almost never one, and every request checks. The lock is held. */
static bool find_unknown(PmIommuClaim *claim, uint64_t iova, PmIommuRun *run)
{
    bool found;

    if (pm_ledger_n_unknown(claim->ledger) == 0)
        return false;
    while ((found = pm_ledger_next_run(claim->ledger, iova, run)) && !run->unknown) {
        uint64_t last = run->iova + (run->n_blocks * run->block_size - 1);

        if (last == claim->last)
            return false;
        iova = last + 1;
    }
    return found;
}

bool pm_iommu_claim_next_unknown(PmIommuClaim *claim, uint64_t offset, uint64_t *run_offset,
                                 uint64_t *run_size, char **reason)
{
    PmIommuRun run;
    bool found;

    if (offset >= claim->size)
        return false;
    pm_iommu_lock(claim->iommu);
    found = find_unknown(claim, claim->iova + offset, &run);
    if (found && reason != NULL)
        *reason = g_strdup(claim->reason != NULL ? claim->reason : ABANDONED);
    pm_iommu_unlock(claim->iommu);
    if (!found)
        return false;
    *run_offset = run.iova - claim->iova;
    *run_size = run.n_blocks * run.block_size;
    return true;
}
