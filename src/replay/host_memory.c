/* SPDX-License-Identifier: MIT */
#include "replay/host_memory.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "host/memory_room.h"
#include "replay/peak.h"

/* Page tables of the process and of the IOMMU: 8 bytes each per 4 KiB page. */
#define PAGES_A_TABLE 256

static bool check_room(uint64_t peak, const char *root, GError **error)
{
    uint64_t need = peak + peak / PAGES_A_TABLE;
    g_auto(PmMemoryRoom) room = {.n_bytes = UINT64_MAX};
    g_autofree char *peak_text = NULL;
    g_autofree char *need_text = NULL;

    pm_memory_room_ask_host(&room, root);
    pm_memory_room_ask_cgroups(&room, root);
    if (need <= room.n_bytes)
        return true;
    peak_text = pm_size_format(peak);
    need_text = pm_memory_room_format(need + (PM_MIB - 1));
    return pm_fail(error, PM_ERROR_MEMORY,
                   "the trace plugs up to %s at once, which needs %s with page tables, but %s: "
                   "the OOM killer would run. Free memory, raise the limit, or override with "
                   "--force",
                   peak_text, need_text, room.why);
}

static bool check_pool(uint64_t peak, uint64_t page_size, const char *root, GError **error)
{
    g_autofree char *folder = g_strdup_printf("%s/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB",
                                              root, page_size / PM_KIB);
    uint64_t n_needed = peak / page_size + (peak % page_size != 0);
    uint64_t n_free;
    uint64_t n_reserved;
    uint64_t n_pages;
    g_autofree char *peak_text = NULL;
    g_autofree char *page_text = NULL;
    g_autofree char *needed = NULL;

    if (!pm_memory_room_read(folder, "free_hugepages", &n_free) ||
        !pm_memory_room_read(folder, "resv_hugepages", &n_reserved) ||
        !pm_memory_room_read(folder, "nr_hugepages", &n_pages))
        return true;
    n_free -= MIN(n_free, n_reserved);
    if (n_needed <= n_free)
        return true;
    peak_text = pm_size_format(peak);
    page_text = pm_size_format(page_size);
    needed = pm_counted(n_needed, "hugetlb page");
    return pm_fail(error, PM_ERROR_MEMORY,
                   "the trace plugs up to %s at once, which needs %s of %s, but the host has "
                   "%" PRIu64 " free. Override with --force, or allocate enough, as root:\n"
                   "  echo %" PRIu64 " > %s/nr_hugepages",
                   peak_text, needed, page_text, n_free, n_pages + (n_needed - n_free), folder);
}

bool pm_host_memory_check(const PmTrace *trace, PmRamKind kind, const char *root, GError **error)
{
    uint64_t peak;

    if (!pm_trace_peak(trace, &peak, error))
        return false;
    switch (kind) {
    case PM_RAM_HUGETLB_2M:
        return check_pool(peak, 2 * PM_MIB, root, error);
    case PM_RAM_HUGETLB_1G:
        return check_pool(peak, PM_GIB, root, error);
    case PM_RAM_ANONYMOUS:
    case PM_RAM_MEMFD:
    case PM_RAM_ADOPTED:
    default:
        return check_room(peak, root, error);
    }
}
