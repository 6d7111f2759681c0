/* SPDX-License-Identifier: MIT */
/* Pinning of the process's memory for mappings, with its accounting. */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_PIN_H
#define PLUGMAP_SRC_FAKE_MEMORY_PIN_H

#include "fake/memory/memory.h"
#include "fake/memory/page_table.h"

/* What a mapping has pinned. @held_first, @held_last: its addresses in the held pages; both 0 if
 * there are none. */
typedef struct {
    uint64_t n_locked;
    uint64_t held_first;
    uint64_t held_last;
} PmPins;

/*
 * Pins @size bytes at @host for @access, charges them, and maps them at @iova. Page by page, as the
 * kernel: checks first whether the page can be pinned, then the limit. Returns 0, -EFAULT or
 * -ENOMEM; a failure leaves nothing pinned.
 */
int pm_pin(PmFakeMemory *memory, uint64_t host, uint64_t size, PmIommuAccess access,
           PmPageTable *table, uint64_t iova, PmPins *pins);

/* The caller clears the page table. */
void pm_unpin(PmFakeMemory *memory, const PmPins *pins);

/* --- separate steps, for iommufd: pins all pages first, then charges them --- */

/*
 * Pins bytes at @host, at most @size, that are contiguous for devices from @address on.
 * Returns the number of bytes, or -EFAULT; device registers fail. Pages held are added to @pins.
 */
int64_t pm_pin_piece(PmFakeMemory *memory, uint64_t host, uint64_t size, PmIommuAccess access,
                     uint64_t *address, PmPins *pins);

#endif
