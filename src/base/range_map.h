/* SPDX-License-Identifier: MIT */
/*
 * An ordered map of non-overlapping ranges, each with a record of the caller's. Optimised for
 * millions of ranges that are mostly added and removed in ascending order: records are packed in
 * chunks, and the last position is cached.
 */
#ifndef PLUGMAP_SRC_BASE_RANGE_MAP_H
#define PLUGMAP_SRC_BASE_RANGE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

typedef struct PmRangeMap PmRangeMap;

/* First member of every record; @last is inclusive, so that a range can end at 2^64-1. */
typedef struct {
    uint64_t first;
    uint64_t last;
} PmRangeKey;

/* @record_size: size of the caller's struct, whose first member is a PmRangeKey. */
PmRangeMap *pm_range_map_new(size_t record_size);

/* The same, which takes little memory as long as it has at most @n_records; it can have more. */
PmRangeMap *pm_range_map_new_small(size_t record_size, uint64_t n_records);

void pm_range_map_free(PmRangeMap *map);

uint64_t pm_range_map_n_records(const PmRangeMap *map);

/*
 * The first record whose range ends at or after @address: the one that contains @address, else the
 * next one; NULL if there is none. Valid until the next insert or remove. The key may be changed in
 * place as long as the ranges keep their order and do not overlap.
 */
void *pm_range_map_find(PmRangeMap *map, uint64_t address);

/* Reserves memory for the next @n_inserts inserts. Returns false if out of memory. */
bool pm_range_map_reserve(PmRangeMap *map, guint n_inserts);

/* Adds a copy of @record, which must not overlap other records. Returns false if out of memory.
 */
bool pm_range_map_insert(PmRangeMap *map, const void *record);

/* Removes the records in [@first, @last], none of which may reach outside. Returns their number. */
uint64_t pm_range_map_remove(PmRangeMap *map, uint64_t first, uint64_t last);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmRangeMap, pm_range_map_free)

#endif
