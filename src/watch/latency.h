/* SPDX-License-Identifier: MIT */
/* The distribution of any number of latencies, in a fixed amount of memory. */
#ifndef PLUGMAP_SRC_WATCH_LATENCY_H
#define PLUGMAP_SRC_WATCH_LATENCY_H

#include <stdint.h>

#define PM_LATENCY_N_BUCKETS 1920

/* All zero: none. */
typedef struct {
    uint64_t n_values;
    uint64_t max;
    uint64_t n_in_bucket[PM_LATENCY_N_BUCKETS];
} PmLatency;

void pm_latency_add(PmLatency *latency, uint64_t value);

/* The percentile from 0 to 100, of the ranks that a replay reports: exact below 64 and for the
 * maximum, else at most 1/32 too large; 0 if there are no values. */
uint64_t pm_latency_percentile(const PmLatency *latency, unsigned percent);

#endif
