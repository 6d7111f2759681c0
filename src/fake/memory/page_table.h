/* SPDX-License-Identifier: MIT */
/* The IOMMU's page table, with pages of 4 KiB, 2 MiB and 1 GiB. */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_PAGE_TABLE_H
#define PLUGMAP_SRC_FAKE_MEMORY_PAGE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/iova.h>

typedef struct PmPageTable PmPageTable;

PmPageTable *pm_page_table_new(void);
void pm_page_table_free(PmPageTable *table);

/* All multiples of 4 KiB; the range must be unmapped. Returns false and maps nothing if out of
 * memory. */
bool pm_page_table_map(PmPageTable *table, uint64_t iova, uint64_t host, uint64_t size,
                       PmIommuAccess access);

/* Removes what pm_page_table_map() calls have mapped in the range, which must not cut any of
 * them; may have holes. */
void pm_page_table_unmap(PmPageTable *table, uint64_t iova, uint64_t size);

/* False if @iova is not mapped. @left: bytes from @iova to the end of its page. */
bool pm_page_table_translate(const PmPageTable *table, uint64_t iova, uint64_t *host,
                             PmIommuAccess *access, uint64_t *left);

/* The first run of translated addresses from @iova to @last; false if there is none. */
bool pm_page_table_next_run(const PmPageTable *table, uint64_t iova, uint64_t last,
                            uint64_t *run_iova, uint64_t *run_size);

/*
 * Dirty tracking: while it is on, DMA writes mark the pages, in the size of their entries, dirty.
 * Turning it on or off keeps the marks.
 */
void pm_page_table_track_dirty(PmPageTable *table, bool on);
/* A device has written to @iova, which must be translated. */
void pm_page_table_mark_dirty(PmPageTable *table, uint64_t iova);
/* The size of the page that contains @iova, or 0 if there is none. @dirty: whether it was dirty;
 * @clean clears that. */
uint64_t pm_page_table_take_dirty(PmPageTable *table, uint64_t iova, bool clean, bool *dirty);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmPageTable, pm_page_table_free)

#endif
