/* SPDX-License-Identifier: MIT */
/* Divides a mapping of the guest into parts, each of which a claim can map in blocks of one size
 * (guest_link.h has the names). */
#ifndef PLUGMAP_SRC_MAPPER_GUEST_SPLIT_H
#define PLUGMAP_SRC_MAPPER_GUEST_SPLIT_H

#include "mapper/guest_region.h"

typedef struct {
    PmGuestRegion *region;
    uint64_t address; /* in the guest */
    uint64_t ram_offset;
    uint64_t size;
    uint64_t block_size; /* all of it, or the granularity of the region's manager */
} PmGuestPart;

/*
 * The parts of guest addresses @address to @last, in order: per region of plain RAM one; else the
 * part before the first whole block, the whole blocks, and the rest.
 * @regions: by address.
 * Returns: of PmGuestPart, or NULL. Errors: PM_ERROR_NOT_POPULATED (an address is in no region).
 */
GArray *pm_guest_split(const GPtrArray *regions, uint64_t address, uint64_t last, GError **error);

/* Errors: PM_ERROR_NOT_POPULATED, PM_ERROR_QUARANTINED. */
bool pm_guest_part_check_populated(const PmGuestPart *part, GError **error);

/* The region that has @address, or else the next one; NULL if there is none. @index: optional: its
 * index in @regions, or where one would be added. */
PmGuestRegion *pm_guest_find_region(const GPtrArray *regions, uint64_t address, guint *index);

#endif
