/* SPDX-License-Identifier: MIT */
#include "watch/forecast.h"

#include <string.h>

#define N_RING        (PM_FORECAST_N_SLOTS + 1)
#define NS_PER_SECOND 1e9
#define MAX_SECONDS   (100.0 * 365 * 24 * 3600)

const PmForecastSample *pm_forecast_sample(const PmForecast *forecast, unsigned age)
{
    return &forecast->samples[(forecast->newest + N_RING - age) % N_RING];
}

void pm_forecast_add(PmForecast *forecast, int64_t time_ns, uint64_t value)
{
    const PmForecastSample *newest = pm_forecast_sample(forecast, 0);

    if (forecast->n_samples > 0 && time_ns < newest->time_ns)
        memset(forecast, 0, sizeof(*forecast));
    /* The first sample stays: the window begins with it. */
    if (forecast->n_samples < 2 ||
        newest->time_ns / PM_FORECAST_SLOT_NS != time_ns / PM_FORECAST_SLOT_NS) {
        forecast->newest = (forecast->newest + 1) % N_RING;
        if (forecast->n_samples < N_RING)
            forecast->n_samples++;
    }
    forecast->samples[forecast->newest] = (PmForecastSample){time_ns, value};
}

/* How many samples are in the window. */
static unsigned count(const PmForecast *forecast)
{
    unsigned n = 0;

    while (n < forecast->n_samples &&
           pm_forecast_sample(forecast, 0)->time_ns - pm_forecast_sample(forecast, n)->time_ns <=
               PM_FORECAST_WINDOW_NS)
        n++;
    return n;
}

bool pm_forecast_rate(const PmForecast *forecast, double *per_second)
{
    unsigned n = count(forecast);
    const PmForecastSample *newest = pm_forecast_sample(forecast, 0);
    double sum_x = 0;
    double sum_y = 0;
    double sum_xx = 0;
    double sum_xy = 0;

    if (n < 2 ||
        newest->time_ns - pm_forecast_sample(forecast, n - 1)->time_ns < PM_FORECAST_MIN_NS)
        return false;
    for (unsigned i = 0; i < n; i++) {
        const PmForecastSample *sample = pm_forecast_sample(forecast, i);
        double x = (double)(sample->time_ns - newest->time_ns) / NS_PER_SECOND;
        double y = (double)sample->value - (double)newest->value;

        sum_x += x;
        sum_y += y;
        sum_xx += x * x;
        sum_xy += x * y;
    }
    *per_second = (n * sum_xy - sum_x * sum_y) / (n * sum_xx - sum_x * sum_x);
    return true;
}

bool pm_forecast_reach(const PmForecast *forecast, uint64_t limit, int64_t *in_ns)
{
    uint64_t value = pm_forecast_sample(forecast, 0)->value;
    double per_second;
    double seconds;

    *in_ns = 0;
    if (forecast->n_samples > 0 && value >= limit)
        return true;
    if (!pm_forecast_rate(forecast, &per_second) || per_second <= 0)
        return false;
    seconds = (double)(limit - value) / per_second;
    if (seconds > MAX_SECONDS)
        return false;
    *in_ns = (int64_t)(seconds * NS_PER_SECOND);
    return true;
}
