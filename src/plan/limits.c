/* SPDX-License-Identifier: MIT */
#include "plan/limits.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "host/entry_limit.h"

#define BASE_PAGE (4 * PM_KIB)

/* Interrupts of x86; IOMMUs do not translate them. */
#define INTERRUPTS_START UINT64_C(0xfee00000)
#define INTERRUPTS_LAST  UINT64_C(0xfeefffff)

static PmPlanHost *new_host(void)
{
    PmPlanHost *host = g_new0(PmPlanHost, 1);

    host->ranges = g_array_new(FALSE, FALSE, sizeof(PmIovaRange));
    host->notes = g_ptr_array_new_with_free_func(g_free);
    host->limits.page_size = BASE_PAGE;
    host->limits.locked = UINT64_MAX;
    host->limits.n_mappings = UINT64_MAX;
    return host;
}

void pm_plan_host_free(PmPlanHost *host)
{
    g_array_unref(host->ranges);
    g_ptr_array_unref(host->notes);
    g_free(host);
}

static void add_note(PmPlanHost *host, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void add_note(PmPlanHost *host, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_ptr_array_add(host->notes, g_strdup_vprintf(format, arguments));
    va_end(arguments);
}

static void add_range(GArray *ranges, uint64_t start, uint64_t last)
{
    const PmIovaRange range = {start, last};

    if (start <= last)
        g_array_append_val(ranges, range);
}

/* Keeps what both have; both are ascending. */
static void intersect(PmPlanHost *host, const PmIovaRange *others, size_t n_others)
{
    GArray *both = g_array_new(FALSE, FALSE, sizeof(PmIovaRange));

    for (guint i = 0; i < host->ranges->len; i++) {
        PmIovaRange one = g_array_index(host->ranges, PmIovaRange, i);

        for (size_t j = 0; j < n_others; j++)
            add_range(both, MAX(one.start, others[j].start), MIN(one.last, others[j].last));
    }
    g_array_unref(host->ranges);
    host->ranges = both;
}

static uint64_t last_address(unsigned iova_bits)
{
    return iova_bits == PM_PLAN_MAX_IOVA_BITS ? UINT64_MAX : (UINT64_C(1) << iova_bits) - 1;
}

/* --- what the user gives --- */

static void limit_mappings(PmPlanHost *host, const PmPlanMachine *machine, const PmPlanGiven *given)
{
    if (machine->backend == PM_IOMMU_IOMMUFD || given->entry_limit == UINT64_MAX)
        return;
    host->limits.n_mappings = given->entry_limit;
    add_note(host, "dma_entry_limit %" PRIu64 " (--entry-limit)", given->entry_limit);
}

static void limit_locked(PmPlanHost *host, const PmPlanGiven *given)
{
    g_autofree char *text = pm_size_format(given->locked);

    if (!given->has_locked)
        return;
    host->limits.locked = given->locked;
    host->locked_is_known = true;
    if (given->locked == UINT64_MAX)
        add_note(host, "locked memory unlimited (--memlock)");
    else
        add_note(host, "RLIMIT_MEMLOCK %s, and no CAP_IPC_LOCK (--memlock)", text);
}

static void limit_addresses(PmPlanHost *host, const PmPlanGiven *given)
{
    const PmIovaRange all = {0, last_address(given->iova_bits)};

    if (given->iova_bits == 0)
        return;
    intersect(host, &all, 1);
    add_note(host, "%u-bit I/O addresses (--iova-bits)", given->iova_bits);
}

static PmPlanHost *apply(PmPlanHost *host, const PmPlanMachine *machine, const PmPlanGiven *given)
{
    limit_mappings(host, machine, given);
    limit_locked(host, given);
    limit_addresses(host, given);
    host->limits.ranges = (const PmIovaRange *)(const void *)host->ranges->data;
    host->limits.n_ranges = host->ranges->len;
    return host;
}

/* --- assumed --- */

PmPlanHost *pm_plan_assume(const PmPlanMachine *machine, const PmPlanGiven *given)
{
    PmPlanHost *host = new_host();
    unsigned bits = given->iova_bits != 0 ? given->iova_bits : PM_PLAN_IOVA_BITS;

    if (machine->backend == PM_IOMMU_IOMMUFD) {
        add_note(host, "iommufd does not limit mappings");
    } else if (given->entry_limit == UINT64_MAX) {
        host->limits.n_mappings = PM_ENTRY_LIMIT_DEFAULT;
        add_note(host, "dma_entry_limit %d, the kernel's default", PM_ENTRY_LIMIT_DEFAULT);
    }
    if (given->iova_bits == 0)
        add_note(host, "%u-bit I/O addresses (many desktops have 39: --iova-bits)",
                 PM_PLAN_IOVA_BITS);
    add_note(host, "0x%" PRIx64 "-0x%" PRIx64 " is reserved for interrupts, as on x86",
             INTERRUPTS_START, INTERRUPTS_LAST);
    if (!given->has_locked)
        add_note(host, "locked memory is not limited (--memlock)");
    add_range(host->ranges, 0, INTERRUPTS_START - 1);
    add_range(host->ranges, INTERRUPTS_LAST + 1, last_address(bits));
    return apply(host, machine, given);
}

/* --- a host's --- */

static PmIommu *open_device(PmKernel *kernel, PmIommuBackend backend, const char *device,
                            GError **error)
{
    const PmType1Config type1 = {.struct_size = sizeof(type1), .kernel = kernel, .device = device};
    const PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .kernel = kernel, .device = device};

    return backend == PM_IOMMU_IOMMUFD ? pm_iommu_iommufd_new(&iommufd, error)
                                       : pm_iommu_type1_new(&type1, error);
}

static bool ask_locked(PmPlanHost *host, PmIommu *iommu, GError **error)
{
    PmLockedMemory locked = {.struct_size = sizeof(locked)};
    g_autofree char *text = NULL;

    if (!pm_iommu_query_locked_memory(iommu, &locked, error))
        return false;
    host->locked_is_known = true;
    if (locked.waived || locked.limit == UINT64_MAX) {
        add_note(host, "locked memory of this process: unlimited%s",
                 locked.waived ? " (CAP_IPC_LOCK)" : "");
        return true;
    }
    host->limits.locked = locked.limit;
    text = pm_size_format(locked.limit);
    add_note(host, "RLIMIT_MEMLOCK of this process: %s", text);
    return true;
}

static bool ask_space(PmPlanHost *host, PmIommu *iommu, const PmPlanGiven *given, GError **error)
{
    size_t n_ranges;
    const PmIovaRange *ranges = pm_iommu_get_iova_ranges(iommu, &n_ranges);
    uint64_t pages = pm_iommu_get_page_sizes(iommu);

    intersect(host, ranges, n_ranges);
    host->limits.page_size = MAX(host->limits.page_size, pages & -pages);
    host->limits.n_mappings = MIN(host->limits.n_mappings, pm_iommu_get_mapping_limit(iommu));
    return host->locked_is_known || given->has_locked || ask_locked(host, iommu, error);
}

/* One after the other: what they have in common is what each needs. */
static bool ask_devices(PmPlanHost *host, PmKernel *kernel, const PmPlanMachine *machine,
                        const PmPlanGiven *given, const char *const *devices, GError **error)
{
    g_autoptr(PmIommu) iommu = NULL;

    for (size_t i = 0; devices[i] != NULL; i++) {
        if (machine->guest_iommu)
            g_clear_pointer(&iommu, pm_iommu_unref);
        if (iommu == NULL)
            iommu = open_device(kernel, machine->backend, devices[i], error);
        else if (!pm_iommu_attach(iommu, devices[i], error))
            return false;
        if (iommu == NULL || !ask_space(host, iommu, given, error))
            return false;
    }
    return true;
}

PmPlanHost *pm_plan_ask(PmKernel *kernel, const PmPlanMachine *machine, const PmPlanGiven *given,
                        const char *const *devices, GError **error)
{
    g_autoptr(PmPlanHost) host = new_host();
    g_autofree char *names = g_strjoinv(", ", (char **)devices);

    add_range(host->ranges, 0, UINT64_MAX);
    if (!ask_devices(host, kernel, machine, given, devices, error))
        return NULL;
    if (host->limits.n_mappings == UINT64_MAX)
        add_note(host, "%s: mappings are not limited", names);
    else
        add_note(host, "%s: dma_entry_limit %" PRIu64, names, host->limits.n_mappings);
    for (guint i = 0; i < host->ranges->len; i++) {
        PmIovaRange range = g_array_index(host->ranges, PmIovaRange, i);

        add_note(host, "I/O addresses 0x%" PRIx64 "-0x%" PRIx64, range.start, range.last);
    }
    return apply(g_steal_pointer(&host), machine, given);
}
