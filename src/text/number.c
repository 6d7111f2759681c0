/* SPDX-License-Identifier: MIT */
#include "text/number.h"

#include <inttypes.h>

#include <plugmap/size.h>

char *pm_text_size(uint64_t n_bytes)
{
    static const char units[] = "KMGTPE";
    g_autofree char *exact = pm_size_format(n_bytes);
    double value = (double)n_bytes / 1024;
    unsigned unit = 0;

    if (n_bytes < 1024 || g_ascii_strtoull(exact, NULL, 10) < 1024)
        return g_steal_pointer(&exact);
    while (value >= 1024) {
        value /= 1024;
        unit++;
    }
    return g_strdup_printf("%.1f%c", value, units[unit]);
}

char *pm_text_position(int64_t ns)
{
    int64_t tenths = ns / 100000000;
    int64_t seconds = tenths / 10;

    if (seconds < 60)
        return g_strdup_printf("%" PRId64 ".%" PRId64 " s", seconds, tenths % 10);
    return g_strdup_printf("%" PRId64 ":%02" PRId64 ".%" PRId64, seconds / 60, seconds % 60,
                           tenths % 10);
}
