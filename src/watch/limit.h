/* SPDX-License-Identifier: MIT */
/* A limit of the kernel, how near a value is to it, and when it will reach it. */
#ifndef PLUGMAP_SRC_WATCH_LIMIT_H
#define PLUGMAP_SRC_WATCH_LIMIT_H

#include "watch/forecast.h"

/* In percent of the limit. A warning is repeated only after the value fell below the last one. */
#define PM_LIMIT_NEAR     90
#define PM_LIMIT_FAR      80
#define PM_LIMIT_NO_LIMIT UINT64_MAX

typedef enum {
    PM_LIMIT_IS_FAR,
    PM_LIMIT_IS_NEAR,
    PM_LIMIT_IS_REACHED,
} PmLimitLevel;

typedef struct {
    const char *what;   /* "mappings" */
    const char *remedy; /* what to do */
    bool is_size;       /* of bytes */
    uint64_t limit;     /* PM_LIMIT_NO_LIMIT: none */
    uint64_t value;
    uint64_t peak;
    PmLimitLevel level; /* that was warned of */
    PmForecast forecast;
} PmLimit;

/* Sets the value. Returns a warning (a new string) if it came near the limit or reached it, else
 * NULL. */
char *pm_limit_set(PmLimit *limit, int64_t time_ns, uint64_t value);

/* "1,024 of 65,535 (1.6%)", or "1,024, no limit"; a new string. */
char *pm_limit_text(const PmLimit *limit, uint64_t value);

/* "+120/s, limit reached in 7 min 23 s"; a new string, empty if the rate is not known. */
char *pm_limit_forecast_text(const PmLimit *limit);

#endif
