/* SPDX-License-Identifier: MIT */
/* PmIommu's verbs that change what is mapped. */
#include "iommu/iommu.h"

#include <inttypes.h>
#include <unistd.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "iommu/iommu_error.h"

/* How often purge asks again before it believes that somebody else goes on mapping. */
#define MAX_PURGE_TRIES 16

/* Of the process's own pages, which can be smaller than the IOMMU's. */
static bool check_file_offset(uint64_t file_offset, uint64_t size, GError **error)
{
    uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);

    if (file_offset % page_size != 0)
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "file offset 0x%" PRIx64 " is not a multiple of the page size, 0x%" PRIx64,
                       file_offset, page_size);
    if (size > UINT64_MAX - file_offset)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "0x%" PRIx64 " bytes at file offset 0x%" PRIx64
                       " reach beyond the end of any file",
                       size, file_offset);
    return true;
}

static bool check_request(const PmIommu *iommu, const PmIommuRequest *request, GError **error)
{
    uint64_t size;

    if (request->access == 0 || request->access > PM_IOMMU_READ_WRITE)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "a mapping has to be for reading, writing or both, not 0x%x",
                       (unsigned)request->access);
    if (request->n_blocks == 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "there is no block to map at 0x%" PRIx64,
                       request->iova);
    if (!pm_iommu_check_size(iommu, request->iova, request->block_size, error) ||
        !pm_iommu_check_aligned(iommu, "host address", request->host, error))
        return false;
    if (__builtin_mul_overflow(request->block_size, request->n_blocks, &size))
        return pm_fail(error, PM_ERROR_IOVA_RANGE,
                       "%" PRIu64 " blocks of 0x%" PRIx64
                       " bytes are more than there are addresses",
                       request->n_blocks, request->block_size);
    if (!pm_iommu_check_range(iommu, request->iova, size, error))
        return false;
    if (request->fd >= 0 && !check_file_offset(request->file_offset, size, error))
        return false;
    if (size - 1 > UINT64_MAX - request->host)
        return pm_fail(error, PM_ERROR_BAD_ADDRESS,
                       "0x%" PRIx64 " bytes at host address 0x%" PRIx64
                       " reach beyond the end of memory",
                       size, request->host);
    return true;
}

static bool check_free(PmIommu *iommu, uint64_t iova, uint64_t size, GError **error)
{
    g_autofree char *size_text = NULL;
    g_autofree char *block_text = NULL;
    PmIommuRun run;

    if (!pm_ledger_next_run(iommu->ledger, iova, &run) || run.iova > iova + (size - 1))
        return true;
    size_text = pm_size_format(size);
    block_text = pm_size_format(run.block_size);
    return pm_fail(error, PM_ERROR_OVERLAP,
                   "%s at I/O address 0x%" PRIx64 " overlap the mapping of %s at 0x%" PRIx64
                   ": unmap that first",
                   size_text, iova, block_text, run.iova);
}

/* Judges an unmap of @size bytes: the kernel's word on how many it removed is compared with it. */
static bool judge_unmap(const PmIommu *iommu, uint64_t iova, uint64_t size, int result,
                        uint64_t n_bytes, GError **error)
{
    if (result != 0)
        return pm_iommu_fail_unmap(iommu, iova, size, -result, error);
    if (n_bytes != size)
        return pm_fail(error, PM_ERROR_UNMAP_MISMATCH,
                       "unmapping 0x%" PRIx64 " bytes at I/O address 0x%" PRIx64
                       " removed 0x%" PRIx64 " bytes: what is mapped there is not known, purge it",
                       size, iova, n_bytes);
    return true;
}

static bool unmap_exactly(PmIommu *iommu, uint64_t iova, uint64_t size, GError **error)
{
    uint64_t n_bytes = 0;
    int result = iommu->ops->unmap(iommu, iova, size, &n_bytes);

    return judge_unmap(iommu, iova, size, result, n_bytes, error);
}

/* Removes the blocks before the one that failed. If that fails, too, the ledger keeps them: it must
 * not promise room that the kernel does not have. */
static bool roll_back(PmIommu *iommu, const PmIommuRequest *request, uint64_t n_mapped,
                      GError **error)
{
    uint64_t mapped_size = n_mapped * request->block_size;
    uint64_t last = request->iova + (request->block_size * request->n_blocks - 1);
    g_autoptr(GError) map_error = NULL;
    g_autoptr(GError) unmap_error = NULL;
    g_autofree char *blocks = NULL;

    if (n_mapped == 0 || unmap_exactly(iommu, request->iova, mapped_size, &unmap_error)) {
        pm_ledger_remove(iommu->ledger, request->iova, last);
        return true;
    }
    pm_ledger_remove(iommu->ledger, request->iova + mapped_size, last);
    if (error == NULL)
        return false;
    map_error = g_steal_pointer(error);
    blocks = pm_counted(n_mapped, "block");
    return pm_fail(error, PM_ERROR_QUARANTINED,
                   "%s; and the %s mapped before it, from I/O address 0x%" PRIx64
                   " on, could not be removed again (%s): purge what is there before it is used",
                   map_error->message, blocks, request->iova, unmap_error->message);
}

/* The lock is held. */
static bool map_blocks(PmIommu *iommu, const PmIommuRequest *request, GError **error)
{
    uint64_t size = request->block_size * request->n_blocks;
    uint64_t n_mapped = 0;
    int result;

    if (!check_free(iommu, request->iova, size, error) ||
        !pm_iommu_check_limit(iommu, request->n_blocks, size, request->block_size, error))
        return false;
    if (!pm_ledger_add(iommu->ledger, request->iova, request->block_size, request->n_blocks))
        return pm_fail(error, PM_ERROR_MEMORY, "there is no memory left for the list of mappings");
    result = iommu->ops->map(iommu, request, &n_mapped);
    if (result == 0) {
        pm_ledger_join(iommu->ledger, request->iova + size);
        return true;
    }
    (void)pm_iommu_fail_map(iommu, request, n_mapped, -result, error);
    (void)roll_back(iommu, request, n_mapped, error);
    return false;
}

bool pm_iommu_map(PmIommu *iommu, uint64_t iova, void *host, uint64_t block_size, uint64_t n_blocks,
                  PmIommuAccess access, GError **error)
{
    return pm_iommu_map_file(iommu, iova, host, -1, 0, block_size, n_blocks, access, error);
}

bool pm_iommu_map_file(PmIommu *iommu, uint64_t iova, void *host, int fd, uint64_t file_offset,
                       uint64_t block_size, uint64_t n_blocks, PmIommuAccess access, GError **error)
{
    PmIommuRequest request = {
        iova, (uintptr_t)host, block_size, n_blocks, access, fd, file_offset,
    };
    bool mapped;

    if (!check_request(iommu, &request, error))
        return false;
    pthread_mutex_lock(&iommu->lock);
    mapped = map_blocks(iommu, &request, error);
    pthread_mutex_unlock(&iommu->lock);
    return mapped;
}

static bool check_unmap(const PmIommu *iommu, uint64_t iova, uint64_t size, GError **error)
{
    if (!pm_iommu_check_size(iommu, iova, size, error))
        return false;
    if (size - 1 > UINT64_MAX - iova)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "0x%" PRIx64 " bytes at I/O address 0x%" PRIx64
                       " reach beyond the end of the address space",
                       size, iova);
    return true;
}

bool pm_iommu_fail_cut(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t at,
                       const char *advice, GError **error)
{
    g_autofree char *size_text = pm_size_format(size);
    g_autofree char *block_text = NULL;
    PmIommuRun run = {0};

    (void)pm_ledger_next_run(iommu->ledger, at, &run);
    block_text = pm_size_format(run.block_size);
    return pm_fail(error, PM_ERROR_CUTS_MAPPING,
                   "%s at I/O address 0x%" PRIx64 " would cut the mapping of %s at 0x%" PRIx64
                   " at 0x%" PRIx64 ": %s",
                   size_text, iova, block_text, run.iova, at, advice);
}

static bool fail_finding(PmIommu *iommu, PmLedgerFinding finding, uint64_t iova, uint64_t size,
                         uint64_t at, GError **error)
{
    g_autofree char *size_text = NULL;

    if (finding == PM_LEDGER_CUT)
        return pm_iommu_fail_cut(iommu, iova, size, at, "a mapping can be unmapped only whole",
                                 error);
    size_text = pm_size_format(size);
    return pm_fail(error, PM_ERROR_NO_MAPPING,
                   "%s at I/O address 0x%" PRIx64 " are not wholly mapped: there is a hole at "
                   "0x%" PRIx64,
                   size_text, iova, at);
}

/* Tells whether the range can be unmapped, and gets the ledger ready for it. The lock is held. */
static bool prepare_unmap(PmIommu *iommu, uint64_t iova, uint64_t size, bool holes_allowed,
                          GError **error)
{
    uint64_t last = iova + (size - 1);
    uint64_t at;
    PmLedgerFinding finding = pm_ledger_check(iommu->ledger, iova, last, holes_allowed, &at);

    if (finding != PM_LEDGER_WHOLE)
        return fail_finding(iommu, finding, iova, size, at, error);
    if (!pm_ledger_prepare_remove(iommu->ledger, iova, last))
        return pm_fail(error, PM_ERROR_MEMORY, "there is no memory left for the list of mappings");
    return true;
}

static void finish_unmap(PmIommu *iommu, uint64_t iova, uint64_t size, bool unmapped)
{
    if (unmapped)
        pm_ledger_remove(iommu->ledger, iova, iova + (size - 1));
    else
        pm_ledger_join(iommu->ledger, iova + size);
}

bool pm_iommu_unmap(PmIommu *iommu, uint64_t iova, uint64_t size, GError **error)
{
    bool unmapped = false;

    if (!check_unmap(iommu, iova, size, error))
        return false;
    pthread_mutex_lock(&iommu->lock);
    if (prepare_unmap(iommu, iova, size, false, error)) {
        unmapped = unmap_exactly(iommu, iova, size, error);
        finish_unmap(iommu, iova, size, unmapped);
    }
    pthread_mutex_unlock(&iommu->lock);
    return unmapped;
}

bool pm_iommu_unmap_all(PmIommu *iommu, GError **error)
{
    uint64_t n_bytes = 0;
    bool unmapped;
    int result;

    pthread_mutex_lock(&iommu->lock);
    result = iommu->ops->unmap_all(iommu, &n_bytes);
    unmapped = judge_unmap(iommu, 0, pm_ledger_n_bytes(iommu->ledger), result, n_bytes, error);
    if (unmapped)
        pm_ledger_remove(iommu->ledger, 0, UINT64_MAX);
    pthread_mutex_unlock(&iommu->lock);
    return unmapped;
}

/* What the ledger has mapped in [first, last], which cuts no mapping. */
static uint64_t mapped_bytes(PmIommu *iommu, uint64_t first, uint64_t last)
{
    uint64_t n_bytes = 0;
    PmIommuRun run;

    while (pm_ledger_next_run(iommu->ledger, first, &run) && run.iova <= last) {
        uint64_t run_last = MIN(run.iova + (run.n_blocks * run.block_size - 1), last);

        n_bytes += run_last - run.iova + 1;
        if (run_last == last)
            break;
        first = run_last + 1;
    }
    return n_bytes;
}

/* The kernel finds nothing that is wholly in the range. A mapping that reaches beyond it, which is
 * not of this object's making, has its first or last page. */
static bool check_nothing_reaches_in(PmIommu *iommu, uint64_t iova, uint64_t size, GError **error)
{
    const uint64_t ends[] = {iova, iova + (size - pm_iommu_page_size(iommu))};

    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        if (iommu->ops->is_mapped == NULL || !iommu->ops->is_mapped(iommu, ends[i]))
            continue;
        return pm_fail(
            error, PM_ERROR_UNMAP_MISMATCH,
            "0x%" PRIx64 " bytes at I/O address 0x%" PRIx64
            " cannot be purged: a mapping at 0x%" PRIx64
            " reaches beyond them, which was not made through this object: find who else "
            "has the iommufd's descriptor, or close the address space to be rid of it",
            size, iova, ends[i]);
    }
    return true;
}

/* Unmaps once, and again until the kernel finds nothing, if it did not remove just what the ledger
 * has. */
static bool unmap_until_empty(PmIommu *iommu, uint64_t iova, uint64_t size, GError **error)
{
    uint64_t expected = mapped_bytes(iommu, iova, iova + (size - 1));
    uint64_t n_bytes = 0;
    unsigned i;

    for (i = 0; i < MAX_PURGE_TRIES; i++) {
        int result = iommu->ops->unmap(iommu, iova, size, &n_bytes);

        if (result != 0 && result == iommu->ops->nothing_found)
            return check_nothing_reaches_in(iommu, iova, size, error);
        if (result != 0) {
            bool failed = pm_iommu_fail_unmap(iommu, iova, size, -result, error);

            /* Something is gone already, so it is not as before. */
            if (i > 0 && error != NULL)
                (*error)->code = PM_ERROR_UNMAP_MISMATCH;
            return failed;
        }
        if (n_bytes == 0 || (i == 0 && n_bytes == expected))
            return true;
        if (i == 0)
            pm_log(G_LOG_LEVEL_WARNING,
                   "purging 0x%" PRIx64 " bytes at I/O address 0x%" PRIx64 " removed 0x%" PRIx64
                   " bytes where 0x%" PRIx64 " bytes were known to be mapped",
                   size, iova, n_bytes, expected);
    }
    return pm_fail(error, PM_ERROR_UNMAP_MISMATCH,
                   "the kernel still found 0x%" PRIx64 " bytes mapped in 0x%" PRIx64
                   " bytes at I/O address 0x%" PRIx64
                   " when asked for the %uth time: close the address space to be rid of them",
                   n_bytes, size, iova, MAX_PURGE_TRIES);
}

bool pm_iommu_purge(PmIommu *iommu, uint64_t iova, uint64_t size, GError **error)
{
    bool purged = false;

    if (!check_unmap(iommu, iova, size, error))
        return false;
    pthread_mutex_lock(&iommu->lock);
    if (prepare_unmap(iommu, iova, size, true, error)) {
        purged = unmap_until_empty(iommu, iova, size, error);
        finish_unmap(iommu, iova, size, purged);
    }
    pthread_mutex_unlock(&iommu->lock);
    return purged;
}
