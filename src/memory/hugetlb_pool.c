/* SPDX-License-Identifier: MIT */
#include "memory/hugetlb_pool.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "memory/ram_private.h"

/* 0 if the host has no pool of such pages. */
static uint64_t read_pool(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    return g_ascii_strtoull(text, NULL, 10);
}

/* free_hugepages includes what others have reserved. */
static uint64_t count_free(const char *folder)
{
    uint64_t n_free = read_pool(folder, "free_hugepages");

    return n_free - MIN(n_free, read_pool(folder, "resv_hugepages"));
}

/* Pages of a range that are not in memory yet. */
static uint64_t count_missing(PmRam *ram, uint64_t offset, uint64_t size)
{
    uint64_t n_bytes = 0;

    (void)pm_ram_resident(ram, offset, size, &n_bytes, NULL);
    return (size - MIN(n_bytes, size)) / ram->page_size;
}

static char *describe_lack(PmRam *ram, uint64_t n_missing, uint64_t n_free, const char *folder)
{
    uint64_t n_missing_in_all = count_missing(ram, 0, ram->size);
    g_autofree char *page = pm_size_format(ram->page_size);
    g_autofree char *missing = pm_counted(n_missing, "hugetlb page");
    g_autofree char *whole = pm_counted(n_missing_in_all, "page");

    return g_strdup_printf(
        "the range lacks %s of %s, and the host has %" PRIu64
        " free. Add enough for the whole RAM, which lacks %s, or for what will be plugged; as "
        "root:\n"
        "  echo %" PRIu64 " > %s/nr_hugepages",
        missing, page, n_free, whole, read_pool(folder, "nr_hugepages") + n_missing_in_all - n_free,
        folder);
}

/* Counting walks the memory: only where it can matter. */
char *pm_hugetlb_pool_describe_lack_in(const char *pools, PmRam *ram, uint64_t offset,
                                       uint64_t size)
{
    g_autofree char *folder = NULL;
    uint64_t n_missing;
    uint64_t n_free;

    if (ram->page_size == pm_base_page_size())
        return NULL;
    folder = g_strdup_printf("%s/hugepages-%" PRIu64 "kB", pools, ram->page_size / PM_KIB);
    n_missing = count_missing(ram, offset, size);
    n_free = count_free(folder);
    return n_missing > n_free ? describe_lack(ram, n_missing, n_free, folder) : NULL;
}

char *pm_hugetlb_pool_describe_lack(PmRam *ram, uint64_t offset, uint64_t size)
{
    return pm_hugetlb_pool_describe_lack_in("/sys/kernel/mm/hugepages", ram, offset, size);
}
