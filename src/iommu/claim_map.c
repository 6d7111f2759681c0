/* SPDX-License-Identifier: MIT */
/* Mapping and unmapping through claims: no other file changes what is mapped. */
#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "base/probes.h"
#include "iommu/budget.h"
#include "iommu/claim.h"
#include "iommu/dirty.h"
#include "iommu/iommu_error.h"
#include "iommu/ownership.h"
#include "iommu/range_check.h"
#include "memory/ram_private.h"

/* How often a purge retries before it concludes that somebody else keeps mapping. */
#define MAX_PURGE_TRIES 16

/* The latest reason is the useful one. */
static void set_reason(PmIommuClaim *claim, const char *reason)
{
    g_free(claim->reason);
    claim->reason = g_strdup(reason);
}

void pm_claim_note(PmIommuClaim *claim, uint64_t iova, uint64_t size, PmLedgerState state,
                   uint64_t ram_offset)
{
    pm_ledger_set(claim->ledger, iova, iova + (size - 1), state, ram_offset);
    if (state == PM_LEDGER_UNKNOWN)
        PM_PROBE(map__unknown, claim->iommu, iova, size);
    pm_budget_update(claim);
    if (pm_ledger_n_unknown(claim->ledger) == 0)
        g_clear_pointer(&claim->reason, g_free);
}

void pm_claim_forget(PmIommuClaim *claim, uint64_t iova, uint64_t size)
{
    PM_PROBE(map__unknown, claim->iommu, iova, size);
    pm_ledger_forget(claim->ledger, iova, iova + (size - 1));
}

void pm_iommu_claim_forget(PmIommuClaim *claim, uint64_t offset, uint64_t size, const char *reason)
{
    pm_iommu_lock(claim->iommu);
    set_reason(claim, reason);
    if (pm_ledger_reserve(claim->ledger))
        pm_claim_forget(claim, claim->iova + offset, size);
    else
        pm_claim_forget(claim, claim->iova, claim->size); /* needs no memory */
    pm_iommu_unlock(claim->iommu);
}

static bool check_blocks(const PmIommuClaim *claim, uint64_t offset, uint64_t size, GError **error)
{
    if (size == 0 || offset >= claim->size || size > claim->size - offset)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid range of 0x%" PRIx64 " bytes at offset 0x%" PRIx64
                       ": must be in the 0x%" PRIx64 " bytes of %s at I/O address 0x%" PRIx64,
                       size, offset, claim->size, claim->owner, claim->iova);
    if (offset % claim->block_size != 0 || size % claim->block_size != 0)
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "0x%" PRIx64 " bytes at offset 0x%" PRIx64
                       " of %s are not whole blocks of 0x%" PRIx64 " bytes",
                       size, offset, claim->owner, claim->block_size);
    return true;
}

/* The lock is held. */
static bool check_owned(const PmIommuClaim *claim, GError **error)
{
    if (claim->life == PM_CLAIM_OWNED)
        return pm_iommu_check_ours(claim->iommu, false, error);
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "the claim of %s on I/O address 0x%" PRIx64 " has been %s", claim->owner,
                   claim->iova, claim->life == PM_CLAIM_ENDED ? "released" : "abandoned");
}

bool pm_iommu_claim_check_room(PmIommuClaim *claim, uint64_t size, GError **error)
{
    bool fits;

    if (size % claim->block_size != 0)
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "0x%" PRIx64 " bytes of %s are not whole blocks of 0x%" PRIx64 " bytes",
                       size, claim->owner, claim->block_size);
    pm_iommu_lock(claim->iommu);
    fits = check_owned(claim, error) && pm_budget_check(claim, size / claim->block_size, error);
    pm_iommu_unlock(claim->iommu);
    return fits;
}

/* --- mapping --- */

/* A private file mapping has pages that the file does not have. */
static PmIommuRequest make_request(const PmIommuClaim *claim, uint64_t offset, uint64_t size,
                                   uint64_t ram_offset, PmIommuAccess access)
{
    uint64_t file_offset = 0;
    int fd = pm_ram_get_fd(claim->ram, &file_offset);

    return (PmIommuRequest){
        .iova = claim->iova + offset,
        .host = (uintptr_t)pm_ram_get_host(claim->ram) + ram_offset,
        .block_size = claim->block_size,
        .n_blocks = size / claim->block_size,
        .access = access,
        .fd = pm_ram_is_shared(claim->ram) ? fd : -1,
        .file_offset = file_offset + ram_offset,
        .device_memory = pm_ram_get_kind(claim->ram) == PM_RAM_DEVICE,
    };
}

static bool check_memory(const PmIommuClaim *claim, const PmIommuRequest *request, uint64_t size,
                         uint64_t ram_offset, GError **error)
{
    if (request->access == 0 || request->access > PM_IOMMU_READ_WRITE)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid access 0x%x: must be PM_IOMMU_READ, PM_IOMMU_WRITE or both",
                       (unsigned)request->access);
    if (ram_offset < claim->ram_offset || ram_offset > claim->ram_end ||
        size > claim->ram_end - ram_offset)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "0x%" PRIx64 " bytes at offset 0x%" PRIx64
                       " are not inside the part of the RAM that %s may map, 0x%" PRIx64
                       " bytes at offset 0x%" PRIx64,
                       size, ram_offset, claim->owner, claim->ram_end - claim->ram_offset,
                       claim->ram_offset);
    return pm_iommu_check_aligned(claim->iommu, "host address", request->host, error);
}

/* The lock is held. */
static bool check_unmapped(PmIommuClaim *claim, uint64_t iova, uint64_t last, GError **error)
{
    g_autofree char *block = NULL;
    uint64_t free_last;
    PmLedgerState state = pm_ledger_state_at(claim->ledger, iova, last, &free_last);

    if (state == PM_LEDGER_UNMAPPED && free_last < last) {
        iova = free_last + 1;
        state = pm_ledger_state_at(claim->ledger, iova, last, &free_last);
    }
    if (state == PM_LEDGER_UNMAPPED)
        return true;
    if (state == PM_LEDGER_UNKNOWN)
        return pm_claim_fail_unknown(claim, iova, error);
    block = pm_size_format(claim->block_size);
    return pm_fail(error, PM_ERROR_OVERLAP,
                   "the block of %s at I/O address 0x%" PRIx64 " (%s) is mapped already: unmap it "
                   "first",
                   block, iova, claim->owner);
}

static bool reserve(PmIommuClaim *claim, GError **error)
{
    if (pm_ledger_reserve(claim->ledger))
        return true;
    return pm_fail(error, PM_ERROR_MEMORY, "out of memory for the list of mappings");
}

/* @dirty: whose bits to set; NULL: none. */
static int call_unmap(PmIommu *iommu, uint64_t iova, uint64_t size, const PmDirtyPiece *dirty,
                      uint64_t *n_bytes)
{
    int result;

    PM_PROBE(unmap__begin, iommu, iova, size);
    if (dirty != NULL && iommu->ops->unmap_dirty != NULL)
        result = iommu->ops->unmap_dirty(iommu, iova, size, dirty->unit, dirty->found, n_bytes);
    else
        result = iommu->ops->unmap(iommu, iova, size, n_bytes);
    PM_PROBE(unmap__end, iommu, iova, size, *n_bytes, result);
    pm_log(G_LOG_LEVEL_DEBUG,
           "unmap of 0x%" PRIx64 " bytes at I/O address 0x%" PRIx64 ": 0x%" PRIx64 " bytes, %s",
           size, iova, *n_bytes, result == 0 ? "ok" : g_strerror(-result));
    return result;
}

/* One call, which must remove exactly these bytes. Does not change the ledger. */
static bool unmap_exactly(PmIommuClaim *claim, uint64_t iova, uint64_t size,
                          const PmDirtyPiece *dirty, GError **error)
{
    PmIommu *iommu = claim->iommu;
    uint64_t n_bytes = 0;
    int result = call_unmap(iommu, iova, size, dirty, &n_bytes);

    if (result != 0)
        return pm_iommu_fail_unmap(iommu, iova, size, claim->block_size, -result, error);
    if (n_bytes == size)
        return true;
    return pm_fail(error, PM_ERROR_UNMAP_MISMATCH,
                   "unmapping 0x%" PRIx64 " bytes at I/O address 0x%" PRIx64 " removed 0x%" PRIx64
                   " bytes: the blocks are in quarantine until pm_iommu_claim_purge() or a machine "
                   "reset unmaps them",
                   size, iova, n_bytes);
}

/* Rolls back: unmaps the blocks before the one that failed. If that fails, too, they are unknown.
 */
static void roll_back(PmIommuClaim *claim, const PmIommuRequest *request, uint64_t n_mapped,
                      uint64_t ram_offset, GError **error)
{
    uint64_t size = n_mapped * request->block_size;
    g_autoptr(GError) unmap_error = NULL;
    g_autofree char *blocks = NULL;

    if (n_mapped == 0)
        return;
    PM_PROBE(map__rollback, claim->iommu, request->iova, size);
    pm_watch_notify(claim, ram_offset, size);
    if (unmap_exactly(claim, request->iova, size, NULL, &unmap_error))
        return;
    pm_claim_note(claim, request->iova, size, PM_LEDGER_UNKNOWN, ram_offset);
    set_reason(claim, unmap_error->message);
    if (error == NULL)
        return;
    blocks = pm_counted(n_mapped, "block");
    pm_reword(*error, PM_ERROR_QUARANTINED,
              "%s; and unmapping the %s before it, from I/O address 0x%" PRIx64
              " on, failed (%s): they are in quarantine until pm_iommu_claim_purge() or a machine "
              "reset unmaps them",
              (*error)->message, blocks, request->iova, unmap_error->message);
}

/* Kernels without the fixes of 2025 mishandle a missing hugetlb page when mapping by file: the
 * pool's reservation underflows, or the page is not zeroed. Blocks may be parts of pages. */
static bool fault_in(PmIommuClaim *claim, const PmIommuRequest *request, uint64_t size,
                     uint64_t ram_offset, GError **error)
{
    const PmIommuOps *ops = claim->iommu->ops;
    uint64_t page_size = pm_ram_get_page_size(claim->ram);
    uint64_t end = ram_offset + size + (page_size - 1);

    if (request->access == PM_IOMMU_READ && !pm_ram_own_pages(claim->ram, ram_offset, size, error))
        return false;
    if (ops->maps_by_file == NULL || !ops->maps_by_file(claim->iommu, request) ||
        !pm_ram_is_hugetlb(claim->ram))
        return true;
    ram_offset -= ram_offset % page_size;
    end -= end % page_size;
    return pm_ram_populate(claim->ram, ram_offset, end - ram_offset, 1, error);
}

/* The budgets have committed the blocks. */
static bool call_map(PmIommuClaim *claim, const PmIommuRequest *request, uint64_t ram_offset,
                     GError **error)
{
    uint64_t size = request->block_size * request->n_blocks;
    uint64_t n_mapped = 0;
    int result;

    if (!fault_in(claim, request, size, ram_offset, error) || !reserve(claim, error))
        return false;
    claim->is_written = claim->is_written || (request->access & PM_IOMMU_WRITE) != 0;
    PM_PROBE(map__begin, claim->iommu, request->iova, size, request->n_blocks);
    result = claim->iommu->ops->map(claim->iommu, request, &n_mapped);
    PM_PROBE(map__end, claim->iommu, request->iova, size, n_mapped, result);
    pm_log(G_LOG_LEVEL_DEBUG,
           "map of 0x%" PRIx64 " bytes at I/O address 0x%" PRIx64 " (%s): %" PRIu64 " of %" PRIu64
           " blocks, %s",
           size, request->iova, claim->owner, n_mapped, request->n_blocks,
           result == 0 ? "ok" : g_strerror(-result));
    if (result == 0) {
        pm_claim_note(claim, request->iova, size, PM_LEDGER_MAPPED, ram_offset);
        return true;
    }
    (void)pm_iommu_fail_map(claim->iommu, request, n_mapped, -result, error);
    roll_back(claim, request, n_mapped, ram_offset, error);
    return false;
}

/* The lock is held. */
static bool map_blocks(PmIommuClaim *claim, const PmIommuRequest *request, uint64_t ram_offset,
                       GError **error)
{
    uint64_t size = request->block_size * request->n_blocks;
    bool mapped;

    if (!check_unmapped(claim, request->iova, request->iova + (size - 1), error) ||
        !pm_budget_begin_map(claim, request->n_blocks, error))
        return false;
    mapped = call_map(claim, request, ram_offset, error);
    pm_budget_update(claim);
    return mapped;
}

bool pm_iommu_claim_map(PmIommuClaim *claim, uint64_t offset, uint64_t size, uint64_t ram_offset,
                        PmIommuAccess access, GError **error)
{
    PmIommuRequest request;
    bool mapped;

    if (!check_blocks(claim, offset, size, error))
        return false;
    pm_iommu_lock(claim->iommu);
    mapped = check_owned(claim, error);
    if (mapped) {
        request = make_request(claim, offset, size, ram_offset, access);
        mapped = check_memory(claim, &request, size, ram_offset, error) &&
                 map_blocks(claim, &request, ram_offset, error);
    }
    pm_iommu_unlock(claim->iommu);
    return mapped;
}

/* --- unmapping --- */

/* The lock is held. */
static bool check_mapped(PmIommuClaim *claim, uint64_t iova, uint64_t size, GError **error)
{
    uint64_t last = iova + (size - 1);
    uint64_t at = iova;
    uint64_t run_last;
    g_autofree char *size_text = NULL;

    for (;;) {
        PmLedgerState state = pm_ledger_state_at(claim->ledger, at, last, &run_last);

        if (state == PM_LEDGER_UNKNOWN)
            return pm_claim_fail_unknown(claim, at, error);
        if (state == PM_LEDGER_UNMAPPED)
            break;
        if (run_last == last)
            return true;
        at = run_last + 1;
    }
    size_text = pm_size_format(size);
    return pm_fail(error, PM_ERROR_NO_MAPPING,
                   "%s at I/O address 0x%" PRIx64
                   " are not entirely mapped: there is a hole at 0x%" PRIx64,
                   size_text, iova, at);
}

/* The lock is held. */
static bool unmap_blocks(PmIommuClaim *claim, uint64_t iova, uint64_t size,
                         const PmDirtyPiece *dirty, GError **error)
{
    GError *cause = NULL;

    if (!check_owned(claim, error) || !check_mapped(claim, iova, size, error) ||
        !reserve(claim, error))
        return false;
    pm_watch_notify_blocks(claim, iova, iova + (size - 1));
    pm_budget_begin_unmap(claim);
    if (unmap_exactly(claim, iova, size, dirty, &cause)) {
        pm_claim_note(claim, iova, size, PM_LEDGER_UNMAPPED, 0);
        return true;
    }
    pm_budget_update(claim);
    set_reason(claim, cause->message);
    if (g_error_matches(cause, PM_ERROR, PM_ERROR_UNMAP_MISMATCH))
        pm_claim_forget(claim, iova, size);
    g_propagate_error(error, cause);
    return false;
}

bool pm_iommu_claim_unmap(PmIommuClaim *claim, uint64_t offset, uint64_t size, GError **error)
{
    bool unmapped;

    if (!check_blocks(claim, offset, size, error))
        return false;
    pm_iommu_lock(claim->iommu);
    unmapped = unmap_blocks(claim, claim->iova + offset, size, NULL, error);
    pm_iommu_unlock(claim->iommu);
    return unmapped;
}

/* Of mapped blocks only, because iommufd stops at a hole. */
static bool peek_dirty(const PmIommuClaim *claim, const PmDirtyPiece *piece, GError **error)
{
    PmIommu *iommu = claim->iommu;
    int result = 0;

    if (iommu->ops->unmap_dirty == NULL)
        result = iommu->ops->peek_dirty(iommu, piece->iova, piece->size, piece->unit, piece->found);
    return result == 0 || pm_dirty_fail(piece, -result, error);
}

/* The lock is held. Pages of blocks that stay mapped after a failure may count as dirty. */
static bool unmap_dirty(PmIommuClaim *claim, const PmDirtyReading *reading, GError **error)
{
    uint64_t size = reading->last - reading->iova + 1;
    PmDirtyPiece piece;
    bool unmapped;

    if (!check_owned(claim, error) || !pm_dirty_check_tracked(claim->iommu, error) ||
        !check_mapped(claim, reading->iova, size, error) ||
        !pm_dirty_piece_init(&piece, claim->iommu, reading, reading->iova, size, claim->block_size,
                             error))
        return false;
    unmapped =
        peek_dirty(claim, &piece, error) && unmap_blocks(claim, reading->iova, size, &piece, error);
    pm_dirty_merge(reading, &piece);
    g_free(piece.found);
    return unmapped;
}

bool pm_iommu_claim_unmap_dirty(PmIommuClaim *claim, uint64_t offset, uint64_t size,
                                uint64_t page_size, uint64_t *bitmap, GError **error)
{
    PmDirtyReading reading = {0};
    bool unmapped;

    if (!check_blocks(claim, offset, size, error) ||
        !pm_dirty_reading_init(&reading, claim->iommu, claim->iova + offset, size, page_size,
                               bitmap, error))
        return false;
    pm_iommu_lock(claim->iommu);
    unmapped = unmap_dirty(claim, &reading, error);
    pm_iommu_unlock(claim->iommu);
    return unmapped;
}

/* --- purging --- */

/* The range of one unmap call of a purge: the whole claim, or, where others map, too, one run of
 * it. */
typedef struct {
    uint64_t iova;
    uint64_t size;
    uint64_t n_bytes; /* bytes known to be mapped there */
    bool known;       /* nothing else is mapped there */
} PurgeRange;

/* The error of the first call can mean that nothing changed; after that, mappings may be gone. */
static bool fail_purge(PmIommuClaim *claim, const PurgeRange *range, unsigned n_calls,
                       int error_number, GError **error)
{
    GError *cause = NULL;

    (void)pm_iommu_fail_unmap(claim->iommu, range->iova, range->size, claim->block_size,
                              error_number, &cause);
    set_reason(claim, cause->message);
    if (n_calls > 1 || g_error_matches(cause, PM_ERROR, PM_ERROR_UNMAP_MISMATCH)) {
        pm_claim_forget(claim, range->iova, range->size);
        cause->code = PM_ERROR_UNMAP_MISMATCH;
    }
    g_propagate_error(error, cause);
    return false;
}

static bool give_up_purge(PmIommuClaim *claim, const PurgeRange *range, PmIommuPresence presence,
                          GError **error)
{
    GError *cause = NULL;

    if (presence == PM_IOMMU_PRESENT)
        (void)pm_fail(&cause, PM_ERROR_UNMAP_MISMATCH,
                      "the kernel still has a mapping in the 0x%" PRIx64
                      " bytes of %s at I/O address 0x%" PRIx64
                      " after %u calls to unmap them. Find who else has the descriptor and maps "
                      "there, or close the address space",
                      range->size, claim->owner, range->iova, MAX_PURGE_TRIES);
    else
        (void)pm_fail(&cause, PM_ERROR_UNMAP_MISMATCH,
                      "the kernel does not report whether anything is mapped in the 0x%" PRIx64
                      " bytes of %s at I/O address 0x%" PRIx64
                      ": close the address space to end its mappings",
                      range->size, claim->owner, range->iova);
    set_reason(claim, cause->message);
    pm_claim_forget(claim, range->iova, range->size);
    g_propagate_error(error, cause);
    return false;
}

/* The size that the kernel reports suffices only if it is exactly what is known to be mapped. */
static bool unmap_until_absent(PmIommuClaim *claim, const PurgeRange *range, GError **error)
{
    PmIommu *iommu = claim->iommu;
    PmIommuPresence presence = PM_IOMMU_PRESENT;

    for (unsigned n_calls = 1; n_calls <= MAX_PURGE_TRIES && presence == PM_IOMMU_PRESENT;
         n_calls++) {
        uint64_t n_bytes = 0;
        int result = call_unmap(iommu, range->iova, range->size, NULL, &n_bytes);

        if (result != 0 && result != iommu->ops->nothing_found)
            return fail_purge(claim, range, n_calls, -result, error);
        if (result != 0)
            n_bytes = 0;
        if (n_calls == 1 && range->known && n_bytes == range->n_bytes)
            return true;
        if (n_calls == 1 && range->known)
            pm_log(G_LOG_LEVEL_WARNING,
                   "purging 0x%" PRIx64 " bytes at I/O address 0x%" PRIx64 " removed 0x%" PRIx64
                   " bytes where 0x%" PRIx64
                   " bytes were known to be mapped: probing for what is left",
                   range->size, range->iova, n_bytes, range->n_bytes);
        presence = iommu->ops->probe(iommu, range->iova, range->size);
    }
    return presence == PM_IOMMU_ABSENT || give_up_purge(claim, range, presence, error);
}

static bool purge_range(PmIommuClaim *claim, const PurgeRange *range, GError **error)
{
    bool purged;

    pm_watch_notify_blocks(claim, range->iova, range->iova + (range->size - 1));
    pm_budget_begin_unmap(claim);
    purged = unmap_until_absent(claim, range, error);
    if (purged)
        pm_claim_note(claim, range->iova, range->size, PM_LEDGER_UNMAPPED, 0);
    else
        pm_budget_update(claim);
    return purged;
}

static bool purge_whole(PmIommuClaim *claim, GError **error)
{
    const PurgeRange range = {
        .iova = claim->iova,
        .size = claim->size,
        .n_bytes = pm_ledger_n_blocks(claim->ledger) * claim->block_size,
        .known = pm_ledger_n_unknown(claim->ledger) == 0,
    };

    return purge_range(claim, &range, error);
}

/* Only whole runs are removed, which needs no memory. */
static bool purge_run(PmIommuClaim *claim, const PmIommuRun *run, GError **error)
{
    const PurgeRange range = {
        .iova = run->iova,
        .size = run->n_blocks * run->block_size,
        .n_bytes = run->n_blocks * run->block_size,
        .known = !run->unknown,
    };

    return purge_range(claim, &range, error);
}

/* Somebody else may map where the claim has nothing mapped. */
static bool purge_runs(PmIommuClaim *claim, GError **error)
{
    bool purged = true;
    PmIommuRun run;

    while (purged && pm_ledger_next_run(claim->ledger, claim->iova, &run))
        purged = purge_run(claim, &run, error);
    return purged;
}

static bool purge_unknown(PmIommuClaim *claim, GError **error)
{
    uint64_t at = claim->iova;
    uint64_t last;
    PmIommuRun run;

    do {
        if (!pm_ledger_next_run(claim->ledger, at, &run))
            return true;
        last = run.iova + (run.n_blocks * run.block_size - 1);
        if (run.unknown && !purge_run(claim, &run, error))
            return false;
        at = last + 1;
    } while (last < claim->last);
    return true;
}

bool pm_iommu_claim_purge_unknown(PmIommuClaim *claim, GError **error)
{
    bool purged;

    pm_iommu_lock(claim->iommu);
    if (claim->iommu->closed || pm_iommu_is_inherited(claim->iommu))
        purged = pm_claim_purge(claim, error);
    else
        purged = purge_unknown(claim, error);
    pm_iommu_unlock(claim->iommu);
    return purged;
}

bool pm_claim_purge(PmIommuClaim *claim, GError **error)
{
    if (pm_ledger_n_blocks(claim->ledger) == 0)
        return true;
    if (claim->iommu->closed)
        return pm_claim_fail_unknown(claim, claim->iova, error);
    /* A child made by fork() inherits the record, but no mapping of its own. */
    if (pm_iommu_is_inherited(claim->iommu)) {
        pm_claim_note(claim, claim->iova, claim->size, PM_LEDGER_UNMAPPED, 0);
        return true;
    }
    return claim->iommu->is_shared ? purge_runs(claim, error) : purge_whole(claim, error);
}
