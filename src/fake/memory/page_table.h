/* SPDX-License-Identifier: MIT */
/* The IOMMU's page table: I/O address to host address and permissions, with pages of 4 KiB, 2 MiB
 * and 1 GiB. */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_PAGE_TABLE_H
#define PLUGMAP_SRC_FAKE_MEMORY_PAGE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/iova.h>

typedef struct PmPageTable PmPageTable;

PmPageTable *pm_page_table_new(void);
void pm_page_table_free(PmPageTable *table);

/* All multiples of 4 KiB; nothing may be mapped there. False if there is no memory: nothing is
 * mapped then. */
bool pm_page_table_map(PmPageTable *table, uint64_t iova, uint64_t host, uint64_t size,
                       PmIommuAccess access);

/* Removes what was mapped with whole pm_page_table_map() calls inside the range; holes are fine. */
void pm_page_table_unmap(PmPageTable *table, uint64_t iova, uint64_t size);

/* False if nothing is mapped at @iova. @left: bytes from @iova to the end of the page-table entry's
 * page. */
bool pm_page_table_translate(const PmPageTable *table, uint64_t iova, uint64_t *host,
                             PmIommuAccess *access, uint64_t *left);

/* The first run of translated addresses from @iova up to @last; false if there is none. */
bool pm_page_table_next_run(const PmPageTable *table, uint64_t iova, uint64_t last,
                            uint64_t *run_iova, uint64_t *run_size);

/*
 * Dirty tracking: while it is on, the table marks pages that devices write, as large as its entries
 * are. Turning it on or off keeps the marks.
 */
void pm_page_table_track_dirty(PmPageTable *table, bool on);
/* A device has written at @iova, which is translated. */
void pm_page_table_mark_dirty(PmPageTable *table, uint64_t iova);
/* How large the page is that @iova is in, or 0 if it is not translated. @dirty: whether the page
 * was marked; with @clean it no more is. */
uint64_t pm_page_table_take_dirty(PmPageTable *table, uint64_t iova, bool clean, bool *dirty);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmPageTable, pm_page_table_free)

#endif
