/* SPDX-License-Identifier: MIT */
#include "fake/memory/zero_page.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#define PAGE UINT64_C(4096)

/* An entry of /proc/self/pagemap (Linux: Documentation/admin-guide/mm/pagemap.rst). The frame is
 * 0 without CAP_SYS_ADMIN. */
#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_SWAPPED (UINT64_C(1) << 62)
#define ENTRY_FRAME   ((UINT64_C(1) << 55) - 1)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int pagemap_fd = -1;
static uint64_t zero_frame;

static bool read_entry(uint64_t address, uint64_t *entry)
{
    return pread(pagemap_fd, entry, sizeof *entry, (off_t)(address / PAGE * sizeof *entry)) ==
           (ssize_t)sizeof *entry;
}

/* The descriptor shows the process that opened it, so a child needs its own. */
static void reopen_pagemap(void)
{
    if (pagemap_fd >= 0)
        (void)close(pagemap_fd);
    pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

/* Reading a page that was never written maps the zero page. */
static void find_zero_frame(void)
{
    const volatile char *page =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t entry = 0;

    reopen_pagemap();
    (void)pthread_atfork(NULL, NULL, reopen_pagemap);
    if (page == MAP_FAILED)
        return;
    (void)*page;
    if (read_entry((uintptr_t)page, &entry))
        zero_frame = entry & ENTRY_FRAME;
    (void)munmap((void *)page, PAGE);
}

static bool is_zero_page(uint64_t address)
{
    uint64_t entry;

    if (!read_entry(address, &entry))
        return false;
    if ((entry & (ENTRY_PRESENT | ENTRY_SWAPPED)) == 0)
        return true;
    return entry & ENTRY_PRESENT && zero_frame != 0 && (entry & ENTRY_FRAME) == zero_frame;
}

uint64_t pm_zero_page_run(uint64_t address, uint64_t size, bool *is_zero)
{
    uint64_t run = PAGE;

    (void)pthread_once(&once, find_zero_frame);
    *is_zero = is_zero_page(address);
    while (run < size && is_zero_page(address + run) == *is_zero)
        run += PAGE;
    return run;
}
