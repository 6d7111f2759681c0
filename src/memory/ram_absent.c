/* SPDX-License-Identifier: MIT */
#include "memory/ram_absent.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "memory/ram_private.h"

/* The PAGEMAP_SCAN ioctl of /proc/PID/pagemap (Linux 6.7). */
struct page_range {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};
struct pagemap_scan {
    uint64_t size;
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end;
    uint64_t ranges;
    uint64_t n_ranges;
    uint64_t max_pages;
    uint64_t category_inverted;
    uint64_t category_mask;
    uint64_t category_anyof_mask;
    uint64_t return_mask;
};
#define PAGEMAP_SCAN     _IOWR('f', 16, struct pagemap_scan)
#define CATEGORY_PRESENT (1 << 3)
#define CATEGORY_ZERO    (1 << 5)

/* Reading pagemap, on any kernel: 64 bits per base page. */
#define ENTRY_PRESENT   (UINT64_C(1) << 63)
#define ENTRY_EXCLUSIVE (UINT64_C(1) << 56)
#define N_ENTRIES       512

/* PAGEMAP_SCAN reports neither holes between mappings nor copy-on-write pages: only for memory of
 * pm_ram_new(). Returns false if the kernel lacks it. */
static bool scan(const PmRam *ram, int pagemap, uint64_t offset, uint64_t end, uint64_t *absent)
{
    struct page_range found = {0};
    struct pagemap_scan arguments = {
        .size = sizeof(arguments),
        .start = (uintptr_t)(ram->host + offset),
        .end = (uintptr_t)(ram->host + end),
        .ranges = (uintptr_t)&found,
        .n_ranges = 1,
        .max_pages = 1,
        .category_inverted = CATEGORY_PRESENT,
        .category_anyof_mask = CATEGORY_PRESENT | CATEGORY_ZERO,
        .return_mask = CATEGORY_PRESENT,
    };
    int n_found;

    n_found = ioctl(pagemap, PAGEMAP_SCAN, &arguments);
    if (n_found >= 0)
        *absent = n_found == 0 ? end : offset + (found.start - arguments.start);
    return n_found >= 0;
}

static bool is_present(uint64_t entry)
{
    return (entry & ENTRY_PRESENT) != 0 && (entry & ENTRY_EXCLUSIVE) != 0;
}

/* Reads all base pages, or one entry per hugetlb page. */
static uint64_t read_entries(const PmRam *ram, int pagemap, uint64_t offset, uint64_t end)
{
    uint64_t base_page = pm_base_page_size();
    bool huge = ram->page_size > base_page;
    uint64_t entries[N_ENTRIES];

    while (offset < end) {
        uint64_t n_entries = huge ? 1 : MIN((end - offset) / base_page, N_ENTRIES);
        uint64_t place = (uintptr_t)(ram->host + offset) / base_page * sizeof(*entries);
        ssize_t n_bytes = pread(pagemap, entries, n_entries * sizeof(*entries), (off_t)place);

        for (uint64_t i = 0; i < n_entries; i++, offset += ram->page_size)
            if (n_bytes != (ssize_t)(n_entries * sizeof(*entries)) || !is_present(entries[i]))
                return offset;
    }
    return end;
}

uint64_t pm_ram_find_absent(const PmRam *ram, uint64_t offset, uint64_t end)
{
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t absent;

    if (pagemap < 0)
        return offset;
    if (ram->kind == PM_RAM_ADOPTED || !scan(ram, pagemap, offset, end, &absent))
        absent = read_entries(ram, pagemap, offset, end);
    (void)close(pagemap);
    return absent & -ram->page_size;
}
