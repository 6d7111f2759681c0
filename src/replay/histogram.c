/* SPDX-License-Identifier: MIT */
#include "replay/histogram.h"

/* 10^(i/10), scaled: rounded up, so that a bin begins at a whole number. */
static const uint64_t starts[PM_HISTOGRAM_A_DECADE] = {
    1000000, 1258926, 1584894, 1995263, 2511887, 3162278, 3981072, 5011873, 6309574, 7943283,
};
#define SCALE UINT64_C(1000000)

#define MAX_DECADE 18 /* a later one has times beyond 2^64 */

static uint64_t power_of_ten(unsigned exponent)
{
    uint64_t power = 1;

    while (exponent-- > 0)
        power *= 10;
    return power;
}

static unsigned decade_of(uint64_t ns)
{
    unsigned decade = 0;

    while (ns >= 10) {
        ns /= 10;
        decade++;
    }
    return decade;
}

static uint64_t start_of(unsigned decade, unsigned step)
{
    uint64_t power = power_of_ten(decade);

    if (decade > 6)
        return power / SCALE * starts[step];
    return (power * starts[step] + SCALE - 1) / SCALE;
}

uint64_t pm_histogram_bin_start(const PmHistogram *histogram, unsigned bin)
{
    unsigned decade = histogram->first_decade + bin / PM_HISTOGRAM_A_DECADE;

    return decade > MAX_DECADE ? UINT64_MAX : start_of(decade, bin % PM_HISTOGRAM_A_DECADE);
}

/* 0 counts as 1. */
void pm_histogram_fill(PmHistogram *histogram, const GArray *ns)
{
    unsigned last_decade = decade_of(g_array_index(ns, uint64_t, ns->len - 1));
    unsigned bin = 0;

    histogram->first_decade = decade_of(g_array_index(ns, uint64_t, 0));
    histogram->n_decades = last_decade - histogram->first_decade + 1;
    histogram->counts = g_new0(uint64_t, (gsize)histogram->n_decades * PM_HISTOGRAM_A_DECADE);
    for (guint i = 0; i < ns->len; i++) {
        while (bin + 1 < histogram->n_decades * PM_HISTOGRAM_A_DECADE &&
               g_array_index(ns, uint64_t, i) >= pm_histogram_bin_start(histogram, bin + 1))
            bin++;
        histogram->counts[bin]++;
    }
}

void pm_histogram_clear(PmHistogram *histogram)
{
    g_clear_pointer(&histogram->counts, g_free);
}
