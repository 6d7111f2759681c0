/* SPDX-License-Identifier: MIT */
/* When a value will reach a limit if it continues as in the last seconds: least squares over a
 * window of time, which is that of the log, not of the clock. */
#ifndef PLUGMAP_SRC_WATCH_FORECAST_H
#define PLUGMAP_SRC_WATCH_FORECAST_H

#include <stdbool.h>
#include <stdint.h>

#define PM_FORECAST_WINDOW_NS INT64_C(30000000000)

/* Of a window the last value of each slot is kept. */
#define PM_FORECAST_N_SLOTS 120
#define PM_FORECAST_SLOT_NS (PM_FORECAST_WINDOW_NS / PM_FORECAST_N_SLOTS)

/* A rate needs values that are at least so far apart. */
#define PM_FORECAST_MIN_NS INT64_C(1000000000)

typedef struct {
    int64_t time_ns;
    uint64_t value;
} PmForecastSample;

/* All zero: no values. */
typedef struct {
    PmForecastSample samples[PM_FORECAST_N_SLOTS + 1]; /* a ring */
    unsigned newest;
    unsigned n_samples;
} PmForecast;

/* A time before the last one restarts the forecast: the clock was set back. */
void pm_forecast_add(PmForecast *forecast, int64_t time_ns, uint64_t value);

/* @age: from 0, the newest one, to n_samples - 1. */
const PmForecastSample *pm_forecast_sample(const PmForecast *forecast, unsigned age);

/* The rate of the window. False if it is not known. */
bool pm_forecast_rate(const PmForecast *forecast, double *per_second);

/* When the newest value plus the rate reaches @limit, in nanoseconds after the newest time. False
 * if that is not known, or not within 100 years. A limit that is reached: 0. */
bool pm_forecast_reach(const PmForecast *forecast, uint64_t limit, int64_t *in_ns);

#endif
