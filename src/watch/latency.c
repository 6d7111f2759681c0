/* SPDX-License-Identifier: MIT */
#include "watch/latency.h"

#include <glib.h>

/* A bucket's values have the same highest bit and the same five bits after it. */
#define SUB_BITS 5
#define N_SUB    (1U << SUB_BITS)

static unsigned bucket_of(uint64_t value)
{
    unsigned shift;

    if (value < N_SUB)
        return (unsigned)value;
    shift = 63 - (unsigned)__builtin_clzll(value) - SUB_BITS;
    return N_SUB * shift + (unsigned)(value >> shift);
}

/* The largest value of a bucket. */
static uint64_t last_of(unsigned bucket)
{
    unsigned shift = bucket < 2 * N_SUB ? 0 : bucket / N_SUB - 1;
    uint64_t top = bucket - N_SUB * shift;

    return (top << shift) + ((UINT64_C(1) << shift) - 1);
}

void pm_latency_add(PmLatency *latency, uint64_t value)
{
    latency->n_values++;
    latency->max = MAX(latency->max, value);
    latency->n_in_bucket[bucket_of(value)]++;
}

uint64_t pm_latency_percentile(const PmLatency *latency, unsigned percent)
{
    uint64_t last = latency->n_values - 1;
    uint64_t rank = last / 100 * percent + last % 100 * percent / 100 + 1;
    uint64_t n_seen = 0;

    for (unsigned i = 0; latency->n_values > 0 && i < PM_LATENCY_N_BUCKETS; i++) {
        n_seen += latency->n_in_bucket[i];
        if (n_seen >= rank)
            return MIN(last_of(i), latency->max);
    }
    return latency->max;
}
