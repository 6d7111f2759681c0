/* SPDX-License-Identifier: MIT */
#include "replay/progress.h"

#include <inttypes.h>

#include "base/error_text.h"

#define BAR_WIDTH 20

char *pm_progress_text(uint64_t n_done, uint64_t n_events, uint64_t elapsed_us)
{
    static const char full[] = "####################";
    static const char empty[] = "....................";
    int filled = (int)(n_done * BAR_WIDTH / n_events);
    double rate = (double)n_done * G_USEC_PER_SEC / (double)MAX(elapsed_us, 1);
    g_autofree char *done = pm_count_text(n_done);
    g_autofree char *events = pm_counted(n_events, "event");
    g_autofree char *per_second = pm_count_text((uint64_t)rate);
    g_autofree char *left = pm_seconds_text((uint64_t)((double)(n_events - n_done) / rate + 0.5));

    return g_strdup_printf("[%.*s%.*s] %s of %s, %s/s, %s left", filled, full, BAR_WIDTH - filled,
                           empty, done, events, per_second, left);
}
