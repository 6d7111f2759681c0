/* SPDX-License-Identifier: MIT */
#include "iommu/iommu_error.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "kernel/kernel_calls.h"

#define GIVE_CAPABILITY                                                                            \
    "or give the process CAP_IPC_LOCK (setcap cap_ipc_lock+ep PROGRAM, AmbientCapabilities=)"
#define RAISE_LOCKED                                                                               \
    "raise the limit (ulimit -l, LimitMEMLOCK= of the systemd unit) " GIVE_CAPABILITY

/* The rest is "and N more". */
#define MAX_RANGES_SHOWN 8

static const PmIommuCause *find_cause(const PmIommuCause *causes, int error_number)
{
    while (causes->error_number != 0 && causes->error_number != error_number)
        causes++;
    return causes;
}

static uint64_t saturating_sum(uint64_t a, uint64_t b)
{
    return a <= UINT64_MAX - b ? a + b : UINT64_MAX;
}

/* The limit, in KiB for ulimit -l, with room for n_bytes more. */
static uint64_t kib_needed(uint64_t n_used, uint64_t n_bytes)
{
    return saturating_sum(saturating_sum(n_used, n_bytes), PM_KIB - 1) / PM_KIB;
}

#define FREE_KERNEL_MEMORY "free some on the host, or raise memory.max of this process's cgroup"

/* ENOMEM has two causes, and only the numbers distinguish them. @code is PM_ERROR_LOCKED_MEMORY
 * unless the limit has room. */
static char *describe_no_memory(PmIommu *iommu, uint64_t block_size, PmError *code)
{
    PmLockedMemory locked = {.struct_size = sizeof(locked)};
    g_autofree char *limit = NULL;
    g_autofree char *used = NULL;
    g_autofree char *needed = NULL;

    *code = PM_ERROR_LOCKED_MEMORY;
    if (!pm_iommu_query_locked_memory(iommu, &locked, NULL))
        return g_strdup("the locked-memory limit is reached: " RAISE_LOCKED);
    if (locked.limit == UINT64_MAX) {
        *code = PM_ERROR_MEMORY;
        return g_strdup(
            "the kernel is out of memory, as there is no locked-memory limit: " FREE_KERNEL_MEMORY);
    }
    if (locked.waived)
        return g_strdup("the kernel is out of memory, or ignores CAP_IPC_LOCK because the process "
                        "is in a user namespace: raise the limit there (ulimit -l)");
    limit = pm_size_format(locked.limit);
    used = pm_size_format(locked.used);
    needed = pm_size_format(block_size);
    if (locked.used > locked.limit || block_size > locked.limit - locked.used)
        return g_strdup_printf("the mapping needs %s of locked memory, and %s of the limit of %s "
                               "are in use: " RAISE_LOCKED,
                               needed, used, limit);
    if (iommu->ops->counts_pinned)
        return g_strdup_printf(
            "the kernel is out of memory, or other processes of this user have "
            "locked the rest of the limit of %s, which is the user's: " RAISE_LOCKED,
            limit);
    *code = PM_ERROR_MEMORY;
    return g_strdup_printf("the kernel is out of memory: the locked-memory limit of %s is not the "
                           "cause, it has room (%s in use): " FREE_KERNEL_MEMORY,
                           limit, used);
}

/* NULL unless the backing file ends before the block does. The kernel then returns EFAULT if it
 * maps by address, and EINVAL if by file. */
static char *describe_end_of_file(const PmIommuRequest *request, uint64_t end, PmError *code)
{
    struct stat status;

    if (request->fd < 0 || fstat(request->fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        (uint64_t)status.st_size >= end)
        return NULL;
    *code = PM_ERROR_BAD_ADDRESS;
    return g_strdup_printf("the backing file has 0x%" PRIx64
                           " bytes, and the block ends at offset 0x%" PRIx64
                           ": extend the file (ftruncate)",
                           (uint64_t)status.st_size, end);
}

static char *describe_device_memory(const PmIommu *iommu, PmError *code)
{
    if (iommu->ops->no_device_memory == NULL)
        return g_strdup("device memory must be mapped, readable for PM_IOMMU_READ and writable for "
                        "PM_IOMMU_WRITE, and enabled (PCI command register)");
    *code = PM_ERROR_UNSUPPORTED;
    return g_strdup(iommu->ops->no_device_memory);
}

bool pm_iommu_fail_map(PmIommu *iommu, const PmIommuRequest *request, uint64_t n_mapped,
                       int error_number, GError **error)
{
    const PmIommuCause *cause = find_cause(iommu->ops->map_causes, error_number);
    uint64_t offset = n_mapped * request->block_size;
    PmError code = cause->code;
    g_autofree char *size = pm_size_format(request->block_size);
    g_autofree char *name = pm_errno_text(error_number);
    g_autofree char *sentence = NULL;

    if (error_number == ENOMEM)
        sentence = describe_no_memory(iommu, request->block_size, &code);
    if (error_number == EFAULT && request->device_memory)
        sentence = describe_device_memory(iommu, &code);
    else if (error_number == EINVAL || error_number == EFAULT)
        sentence = describe_end_of_file(request,
                                        request->file_offset + offset + request->block_size, &code);
    (void)pm_fail(error, code,
                  "mapping %s at I/O address 0x%" PRIx64 " (host address 0x%" PRIx64
                  ") failed with %s: %s",
                  size, request->iova + offset, request->host + offset, name,
                  sentence != NULL ? sentence : cause->sentence);
    return pm_note_errno(error, error_number);
}

static bool stops_halfway(const PmIommu *iommu, int error_number)
{
    const int *at = iommu->ops->stops_halfway;

    while (at != NULL && *at != 0 && *at != error_number)
        at++;
    return at != NULL && *at != 0;
}

bool pm_iommu_fail_unmap(const PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t block_size,
                         int error_number, GError **error)
{
    const PmIommuCause *cause = find_cause(iommu->ops->unmap_causes, error_number);
    bool in_part = stops_halfway(iommu, error_number) && size > block_size;
    g_autofree char *size_text = pm_size_format(size);
    g_autofree char *name = pm_errno_text(error_number);

    (void)pm_fail(error, in_part ? PM_ERROR_UNMAP_MISMATCH : cause->code,
                  "unmapping %s at I/O address 0x%" PRIx64 " failed with %s: %s%s", size_text, iova,
                  name, cause->sentence,
                  in_part ? ", with a purge: some mappings may already be removed" : "");
    return pm_note_errno(error, error_number);
}

char *pm_iommu_list_ranges(const PmIommu *iommu)
{
    GString *text = g_string_new(NULL);
    const PmIommuGeometry *geometry = pm_iommu_geometry(iommu);
    size_t n_shown = MIN(geometry->n_ranges, MAX_RANGES_SHOWN);
    size_t i;

    for (i = 0; i < n_shown; i++)
        g_string_append_printf(text, "%s0x%" PRIx64 "-0x%" PRIx64, i > 0 ? ", " : "",
                               geometry->ranges[i].start, geometry->ranges[i].last);
    if (geometry->n_ranges > n_shown)
        g_string_append_printf(text, " and %zu more", geometry->n_ranges - n_shown);
    return g_string_free(text, FALSE);
}

/* Finds the address in the range nearest to iova with room for size bytes; false if there is none.
 */
static bool nearest_in_range(const PmIovaRange *range, uint64_t alignment, uint64_t iova,
                             uint64_t size, uint64_t *nearest)
{
    uint64_t lowest = range->start + (alignment - 1);
    uint64_t highest;

    lowest -= lowest % alignment;
    if (lowest < range->start || range->last < lowest || range->last - lowest < size - 1)
        return false;
    highest = range->last - (size - 1);
    highest -= highest % alignment;
    *nearest = CLAMP(iova, lowest, highest);
    *nearest -= *nearest % alignment;
    return true;
}

static bool nearest_fit(const PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t alignment,
                        uint64_t *nearest)
{
    const PmIommuGeometry *geometry = pm_iommu_geometry(iommu);
    uint64_t smallest_distance = UINT64_MAX;
    bool found = false;
    size_t i;

    for (i = 0; i < geometry->n_ranges; i++) {
        uint64_t candidate;
        uint64_t distance;

        if (!nearest_in_range(&geometry->ranges[i], alignment, iova, size, &candidate))
            continue;
        distance = candidate > iova ? candidate - iova : iova - candidate;
        if (found && distance >= smallest_distance)
            continue;
        found = true;
        smallest_distance = distance;
        *nearest = candidate;
    }
    return found;
}

bool pm_iommu_fail_range(const PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t alignment,
                         GError **error)
{
    g_autofree char *size_text = pm_size_format(size);
    g_autofree char *ranges = pm_iommu_list_ranges(iommu);
    g_autofree char *advice = NULL;
    uint64_t nearest = 0;

    if (nearest_fit(iommu, iova, size, alignment, &nearest))
        advice = g_strdup_printf("the nearest address with room for it is 0x%" PRIx64, nearest);
    else
        advice = g_strdup("no range is that large");
    return pm_fail(error, PM_ERROR_IOVA_RANGE,
                   "%s at I/O address 0x%" PRIx64
                   " do not fit in one of the IOMMU's valid ranges (%s): %s",
                   size_text, iova, ranges, advice);
}

/* The smallest power of two, at least block_size, that needs at most max_blocks for n_bytes; 0 if
 * none. */
static uint64_t smallest_block(uint64_t n_bytes, uint64_t block_size, uint64_t max_blocks)
{
    uint64_t block = 1;

    if (max_blocks == 0 || n_bytes == 0)
        return 0;
    while (block < block_size || (n_bytes - 1) / block + 1 > max_blocks) {
        if (block > UINT64_MAX / 2)
            return 0;
        block *= 2;
    }
    return block;
}

/* Empty, or ", 3 more reserved". */
static char *describe_reserved(const char *count, bool any)
{
    return any ? g_strdup_printf(", %s more reserved", count) : g_strdup("");
}

/* The block size with which the whole claim would fit beside the others; 0 if none. */
static uint64_t fitting_block_size(const PmIommuClaim *claim, uint64_t n_more)
{
    const PmIommu *iommu = claim->iommu;
    uint64_t n_others = iommu->n_committed - claim->n_committed;
    uint64_t n_bytes = (claim->n_committed + n_more) * claim->block_size;
    uint64_t fits = smallest_block(n_bytes, claim->block_size,
                                   iommu->mapping_limit - MIN(n_others, iommu->mapping_limit));

    return fits > claim->block_size && fits <= MAX(claim->size, n_bytes) ? fits : 0;
}

bool pm_iommu_fail_limit(const PmIommuClaim *claim, uint64_t n_more, GError **error)
{
    const PmIommu *iommu = claim->iommu;
    uint64_t limit = iommu->mapping_limit;
    uint64_t n_reserved = iommu->n_committed - iommu->n_mappings;
    uint64_t fits = fitting_block_size(claim, n_more);
    g_autofree char *fits_text = pm_size_format(fits);
    g_autofree char *needed_text = pm_counted(n_more, "more mapping");
    g_autofree char *limit_text = pm_count_text(limit);
    g_autofree char *used_text = pm_count_text(iommu->n_mappings);
    g_autofree char *reserved_text = pm_count_text(n_reserved);
    g_autofree char *reserved = describe_reserved(reserved_text, n_reserved > 0);
    g_autofree char *room_text = pm_count_text(limit - MIN(iommu->n_committed, limit));

    return pm_fail(error, PM_ERROR_LIMIT,
                   "%s would exceed the container's limit of %s (%s in use%s, room "
                   "for %s): %s%s%sraise " PM_IOMMU_ENTRY_LIMIT " to %" PRIu64
                   " before the container is opened, or use the back end iommufd, which has no "
                   "such limit",
                   needed_text, limit_text, used_text, reserved, room_text,
                   fits > 0 ? "use blocks of at least " : "", fits > 0 ? fits_text : "",
                   fits > 0 ? ", or " : "", saturating_sum(iommu->n_committed, n_more));
}

bool pm_iommu_fail_locked_query(int error_number, GError **error)
{
    g_autofree char *name = pm_errno_text(error_number);

    if (error_number == ECHILD)
        (void)pm_fail(error, PM_ERROR_PERMISSION, "cannot read the locked-memory limit: %s: %s",
                      name, PM_KERNEL_CAUSE_INHERITED);
    else
        (void)pm_fail(error, PM_ERROR_KERNEL,
                      "cannot read the locked-memory limit: %s; check that /proc is mounted", name);
    return pm_note_errno(error, error_number);
}

bool pm_iommu_fail_locked(const PmLockedMemory *locked, uint64_t n_bytes, uint64_t n_reserved,
                          GError **error)
{
    uint64_t kib = kib_needed(saturating_sum(locked->used, n_reserved), n_bytes);
    g_autofree char *needed = pm_size_format(n_bytes);
    g_autofree char *used = pm_size_format(locked->used);
    g_autofree char *limit = pm_size_format(locked->limit);
    g_autofree char *reserved_text = pm_size_format(n_reserved);
    g_autofree char *reserved = describe_reserved(reserved_text, n_reserved > 0);

    return pm_fail(error, PM_ERROR_LOCKED_MEMORY,
                   "%s more of locked memory are needed, and %s of the limit of %s are in use%s: "
                   "raise the limit (ulimit -l %" PRIu64 ", LimitMEMLOCK=%" PRIu64
                   "K of the systemd unit; for a running process, as root: prlimit --pid PID "
                   "--memlock=%" PRIu64 ") " GIVE_CAPABILITY,
                   needed, used, limit, reserved, kib, kib,
                   kib <= UINT64_MAX / PM_KIB ? kib * PM_KIB : UINT64_MAX);
}
