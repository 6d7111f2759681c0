/* SPDX-License-Identifier: MIT */
/* Pinning: what a mapping makes of the process's memory, and what it charges for it. */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_PIN_H
#define PLUGMAP_SRC_FAKE_MEMORY_PIN_H

#include "fake/memory/memory.h"
#include "fake/memory/page_table.h"

/* What a mapping has pinned. @held_first, @held_last: its addresses among the held pages; both 0 if
 * there are none. */
typedef struct {
    uint64_t n_locked;
    uint64_t held_first;
    uint64_t held_last;
} PmPins;

/*
 * Pins @size bytes from @host on for @access, charges them, and enters them into the page table at
 * @iova. Page by page, as the kernel: first whether the page can be pinned, then whether the limit
 * allows it. Returns 0, -EFAULT or -ENOMEM; nothing is pinned then.
 */
int pm_pin(PmFakeMemory *memory, uint64_t host, uint64_t size, PmIommuAccess access,
           PmPageTable *table, uint64_t iova, PmPins *pins);

/* The page table is the caller's to clear. */
void pm_unpin(PmFakeMemory *memory, const PmPins *pins);

/* --- by halves, as iommufd does it: all pages first, then the charge --- */

/*
 * Pins bytes from @host on, at most @size, that go by one address for devices, which is @address.
 * Returns how many, or -EFAULT; registers of a device cannot be pinned. What is held is in @pins.
 */
int64_t pm_pin_piece(PmFakeMemory *memory, uint64_t host, uint64_t size, PmIommuAccess access,
                     uint64_t *address, PmPins *pins);

#endif
