/* SPDX-License-Identifier: MIT */
#include "fake/memory/dma.h"

#include <string.h>

#include "fake/memory/user_memory.h"

#define PAGE UINT64_C(4096)

/* Intel's page tables do not reject reads of a present page; only writes need a permission. */
static bool translate(const PmPageTable *table, uint64_t iova, bool write, uint64_t *host)
{
    PmIommuAccess access;
    uint64_t left;

    return table != NULL && pm_page_table_translate(table, iova, host, &access, &left) &&
           (!write || access & PM_IOMMU_WRITE);
}

static int read_page(PmHeldPages *held, uint64_t address, void *into, uint64_t size)
{
    if (address >= PM_DMA_ZEROS) {
        memset(into, 0, size);
        return 0;
    }
    if (address >= PM_HELD_BASE)
        return pm_held_pages_read(held, into, address, size);
    return pm_user_read(into, (const void *)(uintptr_t)address, size);
}

/* Zero pages are mapped read-only. */
static int write_page(PmHeldPages *held, uint64_t address, const void *from, uint64_t size)
{
    if (address >= PM_HELD_BASE)
        return pm_held_pages_write(held, address, from, size);
    return pm_user_write((void *)(uintptr_t)address, from, size);
}

/* Page by page: each may be translated to a different place, or not at all. */
void pm_dma_read(const PmPageTable *table, PmHeldPages *held, PmDmaFaultLog *log, uint64_t iova,
                 void *buffer, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        uint64_t piece = MIN(size - done, PAGE - (iova + done) % PAGE);
        uint8_t *into = (uint8_t *)buffer + done;
        uint64_t host;

        if (!translate(table, iova + done, false, &host) ||
            read_page(held, host, into, piece) < 0) {
            memset(into, 0, piece);
            pm_dma_fault_log_add(log, iova + done, false);
        }
        done += piece;
    }
}

void pm_dma_write(PmPageTable *table, PmHeldPages *held, PmDmaFaultLog *log, uint64_t iova,
                  const void *buffer, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        uint64_t piece = MIN(size - done, PAGE - (iova + done) % PAGE);
        uint64_t host;

        if (!translate(table, iova + done, true, &host) ||
            write_page(held, host, (const uint8_t *)buffer + done, piece) < 0)
            pm_dma_fault_log_add(log, iova + done, true);
        else
            pm_page_table_mark_dirty(table, iova + done);
        done += piece;
    }
}
