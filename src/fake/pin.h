/* SPDX-License-Identifier: MIT */
/* Pinning: what a mapping makes of the process's memory, and what it charges for it. */
#ifndef PLUGMAP_FAKE_PIN_H
#define PLUGMAP_FAKE_PIN_H

#include "fake/held_pages.h"
#include "fake/page_table.h"

struct PmFakeKernel;

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
int pm_pin(struct PmFakeKernel *fake, uint64_t host, uint64_t size, PmIommuAccess access,
           PmPageTable *table, uint64_t iova, PmPins *pins);

/* The page table is the caller's to clear. */
void pm_unpin(struct PmFakeKernel *fake, const PmPins *pins);

#endif
