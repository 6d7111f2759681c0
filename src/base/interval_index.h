/* SPDX-License-Identifier: MIT */
/*
 * Finds the intervals, of any number and possibly equal ones, that overlap a range: in time
 * O(log n + k) for k of n intervals, times the number of address bits at worst. It does not depend
 * on how long the intervals are, nor on what lies elsewhere.
 *
 * Each interval is filed under its center: the address in it with the most trailing zeros. The
 * intervals of a range then either have their center in it, or one of the at most 64 centers on
 * each side whose intervals can reach it.
 *
 * Memory: about 100 bytes for each interval, beside the PmInterval.
 */
#ifndef PLUGMAP_SRC_BASE_INTERVAL_INDEX_H
#define PLUGMAP_SRC_BASE_INTERVAL_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct PmIntervalIndex PmIntervalIndex;

/* A member of the caller's struct, who sets @first and @last (inclusive) and does not change them
 * while it is in an index; the rest belongs to the index. */
typedef struct {
    uint64_t first;
    uint64_t last;
    uint64_t center;
    uint64_t number;
} PmInterval;

/* Returns false to stop. Must not change the index. */
typedef bool (*PmIntervalFunc)(PmInterval *interval, void *user_data);

PmIntervalIndex *pm_interval_index_new(void);

/* The intervals belong to the caller. NULL does nothing. */
void pm_interval_index_free(PmIntervalIndex *index);

uint64_t pm_interval_index_n_intervals(const PmIntervalIndex *index);

void pm_interval_index_insert(PmIntervalIndex *index, PmInterval *interval);

void pm_interval_index_remove(PmIntervalIndex *index, PmInterval *interval);

/* Calls @func for each interval that has an address in [@first, @last], in no particular order.
 * Returns false if @func stopped it. */
bool pm_interval_index_foreach(const PmIntervalIndex *index, uint64_t first, uint64_t last,
                               PmIntervalFunc func, void *user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmIntervalIndex, pm_interval_index_free)

#endif
