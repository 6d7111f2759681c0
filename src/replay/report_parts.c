/* SPDX-License-Identifier: MIT */
#include "replay/report_parts.h"

#include <inttypes.h>

#include <gio/gio.h>

#include <plugmap/size.h>

#include "base/error_text.h"

char *pm_report_file(const char *name)
{
    g_autofree char *path = g_strconcat("/plugmap/report/", name, NULL);
    g_autoptr(GBytes) file = g_resources_lookup_data(path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);

    return g_strndup(g_bytes_get_data(file, NULL), g_bytes_get_size(file));
}

char *pm_report_verdict(const PmTrace *trace, const PmReplayResult *result)
{
    const char *verdict = pm_replay_is_right(result) ? "pass" : "FAIL";
    g_autofree char *played = pm_count_text(result->n_played);
    g_autofree char *events = pm_counted(trace->events->len, "event");

    if (trace->events->len == 0)
        return g_strdup("nothing to check");
    if (result->stopped)
        return g_strdup_printf("%s so far, interrupted after %s of %s", verdict, played, events);
    return g_strdup(verdict);
}

char *pm_report_region(const PmTraceRegion *region)
{
    g_autofree char *size = pm_size_format(region->size);
    g_autofree char *block = pm_size_format(region->block_size);

    return g_strdup_printf("%s%s%s at 0x%" PRIx64 ", block size %s",
                           region->name != NULL ? region->name : "",
                           region->name != NULL ? ": " : "", size, region->address, block);
}
