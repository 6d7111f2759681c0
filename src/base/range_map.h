/* SPDX-License-Identifier: MIT */
/*
 * An ordered map of ranges that do not overlap, each with a record of the user's. Made for millions
 * of ranges that are mostly added and removed in ascending order: records lie side by side in
 * chunks, and the last place is remembered.
 */
#ifndef PLUGMAP_SRC_BASE_RANGE_MAP_H
#define PLUGMAP_SRC_BASE_RANGE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

typedef struct PmRangeMap PmRangeMap;

/* Every record begins with this; @last is inclusive, so that 2^64-1 can be told. */
typedef struct {
    uint64_t first;
    uint64_t last;
} PmRangeKey;

/* @record_size: of the user's struct, whose first member is a PmRangeKey. */
PmRangeMap *pm_range_map_new(size_t record_size);
void pm_range_map_free(PmRangeMap *map);

uint64_t pm_range_map_n_records(const PmRangeMap *map);

/*
 * The first record whose range ends at or behind @address, or NULL. So a record that holds
 * @address, else the next one. Pointers stay valid until the next insert or remove. The key of a
 * record may be changed in place as long as order and disjointness stay.
 */
void *pm_range_map_find(PmRangeMap *map, uint64_t address);

/* Makes sure that the next @n_inserts inserts need no memory. False if there is none. */
bool pm_range_map_reserve(PmRangeMap *map, guint n_inserts);

/* Adds a copy of @record, which must not overlap a record of the map. False if there is no memory.
 */
bool pm_range_map_insert(PmRangeMap *map, const void *record);

/* Removes every record that lies wholly in [@first, @last]; none may lie there in part. Returns how
 * many. */
uint64_t pm_range_map_remove(PmRangeMap *map, uint64_t first, uint64_t last);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmRangeMap, pm_range_map_free)

#endif
