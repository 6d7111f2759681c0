/* SPDX-License-Identifier: MIT */
#include "trace/trace_write.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "trace/format.h"

#define NS_PER_SECOND 1000000000

static void write_device(const PmTraceRegion *region, FILE *stream)
{
    if (region->name != NULL)
        fprintf(stream, " device=%s", region->name);
}

static void write_conversion(const PmTraceEvent *event, FILE *stream)
{
    g_autofree char *size = pm_size_format(event->size);

    fprintf(stream, " addr=0x%" PRIx64 " size=%s to=%s", event->address, size,
            event->shared ? "shared" : "private");
}

static void write_iommu(const PmTraceEvent *event, FILE *stream)
{
    g_autofree char *size = pm_size_format(event->size);

    fprintf(stream, " iova=0x%" PRIx64, event->iova);
    if (event->type == PM_EVENT_IOMMU_MAP)
        fprintf(stream, " addr=0x%" PRIx64 " size=%s access=%s", event->address, size,
                pm_access_names[event->access]);
    else
        fprintf(stream, " size=%s", size);
    if (event->response >= 0)
        fprintf(stream, " -> %s", pm_iommu_status_names[event->response]);
}

void pm_trace_write_event(const PmTrace *trace, const PmTraceEvent *event, FILE *stream)
{
    if (event->time_ns >= 0)
        fprintf(stream, "@%" PRId64 ".%09" PRId64 " ", event->time_ns / NS_PER_SECOND,
                event->time_ns % NS_PER_SECOND);
    fputs(pm_event_type_name(event->type), stream);
    if (pm_event_type_is_iommu(event->type))
        write_iommu(event, stream);
    else if (event->type != PM_EVENT_RESET)
        write_device(pm_trace_region(trace, event->region), stream);
    if (pm_event_type_has_blocks(event->type))
        fprintf(stream, " addr=0x%" PRIx64 " blocks=%u", event->address, event->n_blocks);
    if (event->type == PM_EVENT_CONVERT)
        write_conversion(event, stream);
    if (event->type == PM_EVENT_RESIZE) {
        g_autofree char *size = pm_size_format(event->size);

        fprintf(stream, " size=%s", size);
    }
    if (event->state >= 0)
        fprintf(stream, " -> %s", pm_state_names[event->state]);
    else if (event->response >= 0 && !pm_event_type_is_iommu(event->type))
        fprintf(stream, " -> %s", pm_response_names[event->response]);
    fputc('\n', stream);
}

static void write_region(const PmTraceRegion *region, FILE *stream)
{
    g_autofree char *size = pm_size_format(region->size);
    g_autofree char *block = pm_size_format(region->block_size);
    g_autofree char *requested = pm_size_format(region->requested_size);

    fputs("region", stream);
    write_device(region, stream);
    fprintf(stream, " addr=0x%" PRIx64 " size=%s block=%s %s=%s", region->address, size, block,
            region->requested_is_bound ? "requested-max" : "requested", requested);
    if (region->granularity != 0) {
        g_autofree char *granularity = pm_size_format(region->granularity);

        fprintf(stream, " granularity=%s", granularity);
    }
    fputc('\n', stream);
}

void pm_trace_write_head(const PmTrace *trace, FILE *stream)
{
    fprintf(stream, PM_TRACE_MAGIC " " PM_TRACE_VERSION "\n");
    for (guint i = 0; i < trace->regions->len; i++)
        write_region(pm_trace_region(trace, i), stream);
}

bool pm_trace_write(const PmTrace *trace, FILE *stream)
{
    pm_trace_write_head(trace, stream);
    for (guint i = 0; i < trace->events->len; i++)
        pm_trace_write_event(trace, &g_array_index(trace->events, PmTraceEvent, i), stream);
    return fflush(stream) == 0 && ferror(stream) == 0;
}
