/* SPDX-License-Identifier: MIT */
/* Free I/O addresses, found by address and by size. For PmIovaAllocator. */
#ifndef PLUGMAP_SRC_BUFFERS_IOVA_HOLES_H
#define PLUGMAP_SRC_BUFFERS_IOVA_HOLES_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include <plugmap/iova.h>

typedef struct PmIovaHoles PmIovaHoles;

/* All addresses and sizes are multiples of @page_size. */
PmIovaHoles *pm_iova_holes_new(uint64_t page_size);
void pm_iova_holes_free(PmIovaHoles *holes);

/* Adds a range without free addresses, and merges it with what is next to it. */
void pm_iova_holes_add(PmIovaHoles *holes, uint64_t first, uint64_t last);

/* Removes what is free of a range. @removed: optional: the pieces are added to this array of
 * PmIovaRange. */
void pm_iova_holes_remove(PmIovaHoles *holes, uint64_t first, uint64_t last, GArray *removed);

/* As pm_iova_allocator_take(), but takes nothing. Returns false if there is no room. */
bool pm_iova_holes_find(const PmIovaHoles *holes, uint64_t size, uint64_t alignment,
                        uint64_t *iova);

/* The hole with the highest address; false if there is none. */
bool pm_iova_holes_find_last(const PmIovaHoles *holes, PmIovaRange *range);

uint64_t pm_iova_holes_n_bytes(const PmIovaHoles *holes);
uint64_t pm_iova_holes_n_holes(const PmIovaHoles *holes);
/* The size of the largest; 0 if there is none. */
uint64_t pm_iova_holes_largest(const PmIovaHoles *holes);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmIovaHoles, pm_iova_holes_free)

#endif
