/* SPDX-License-Identifier: MIT */
#include "watch/limit.h"

#include "base/error_text.h"
#include "text/number.h"

static char *format(const PmLimit *limit, uint64_t value)
{
    return limit->is_size ? pm_text_size(value) : pm_count_text(value);
}

static double percent(const PmLimit *limit, uint64_t value)
{
    if (limit->limit == 0)
        return value > 0 ? 100 : 0;
    return 100.0 * (double)value / (double)limit->limit;
}

char *pm_limit_text(const PmLimit *limit, uint64_t value)
{
    g_autofree char *number = format(limit, value);
    g_autofree char *most = format(limit, limit->limit);

    if (limit->limit == PM_LIMIT_NO_LIMIT)
        return g_strdup_printf("%s, no limit", number);
    return g_strdup_printf("%s of %s (%.1f%%)", number, most, percent(limit, value));
}

static char *when(const PmLimit *limit)
{
    g_autofree char *left = NULL;
    int64_t in_ns;

    if (limit->limit == PM_LIMIT_NO_LIMIT || limit->value >= limit->limit ||
        !pm_forecast_reach(&limit->forecast, limit->limit, &in_ns))
        return g_strdup("");
    left = pm_seconds_text((uint64_t)in_ns / 1000000000);
    return g_strdup_printf(", limit reached in %s", left);
}

char *pm_limit_forecast_text(const PmLimit *limit)
{
    g_autofree char *reached = when(limit);
    g_autofree char *rate = NULL;
    double per_second;
    double size;

    if (!pm_forecast_rate(&limit->forecast, &per_second))
        return g_strdup("");
    size = per_second < 0 ? -per_second : per_second;
    rate = limit->is_size || size >= 9.95 ? format(limit, (uint64_t)(size + 0.5))
                                          : g_strdup_printf("%.1f", size);
    return g_strdup_printf("%s%s/s%s", per_second < 0 ? "-" : "+", rate, reached);
}

static PmLimitLevel level_of(const PmLimit *limit)
{
    double filled = percent(limit, limit->value);

    if (limit->limit == PM_LIMIT_NO_LIMIT || filled < PM_LIMIT_FAR)
        return PM_LIMIT_IS_FAR;
    if (filled >= 100)
        return PM_LIMIT_IS_REACHED;
    /* Between both, what was warned of counts. */
    return filled >= PM_LIMIT_NEAR ? PM_LIMIT_IS_NEAR : MIN(limit->level, PM_LIMIT_IS_NEAR);
}

char *pm_limit_set(PmLimit *limit, int64_t time_ns, uint64_t value)
{
    PmLimitLevel before = limit->level;
    g_autofree char *text = NULL;
    g_autofree char *reached = NULL;

    limit->value = value;
    limit->peak = MAX(limit->peak, value);
    pm_forecast_add(&limit->forecast, time_ns, value);
    limit->level = level_of(limit);
    if (limit->level <= before)
        return NULL;
    text = pm_limit_text(limit, value);
    reached = when(limit);
    return g_strdup_printf("%s: %s%s%s: %s", limit->what, text,
                           limit->level == PM_LIMIT_IS_REACHED ? ", limit reached" : "", reached,
                           limit->remedy);
}
