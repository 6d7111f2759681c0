/* SPDX-License-Identifier: MIT */
/* Counts times in bins of equal width on a logarithmic scale. */
#ifndef PLUGMAP_SRC_REPLAY_HISTOGRAM_H
#define PLUGMAP_SRC_REPLAY_HISTOGRAM_H

#include <stdint.h>

#include <glib.h>

#define PM_HISTOGRAM_A_DECADE 10 /* bins */

/* Whole decades: from 10^@first_decade ns on. */
typedef struct {
    unsigned first_decade;
    unsigned n_decades;
    uint64_t *counts; /* PM_HISTOGRAM_A_DECADE for each decade */
} PmHistogram;

/* @ns: ascending uint64_t, at least one. */
void pm_histogram_fill(PmHistogram *histogram, const GArray *ns);
void pm_histogram_clear(PmHistogram *histogram);

/* The first time of a bin, rounded up: where it begins. */
uint64_t pm_histogram_bin_start(const PmHistogram *histogram, unsigned bin);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmHistogram, pm_histogram_clear)

#endif
