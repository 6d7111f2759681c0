/* SPDX-License-Identifier: MIT */
#include "trace/format.h"

/* Bounds the memory use; no real trace has as many. */
#define MAX_EVENTS 4000000

bool pm_format_add_event(PmTrace *trace, const PmLineReader *reader, PmTraceEvent event,
                         GError **error)
{
    if (trace->events->len >= MAX_EVENTS)
        return pm_line_fail(reader, error, "too many events, at most %d: split the trace",
                            MAX_EVENTS);
    event.line = reader->line;
    g_array_append_val(trace->events, event);
    return true;
}

void pm_format_leave_out(PmTrace *trace, const PmLineReader *reader)
{
    g_free(trace->warning);
    trace->warning = pm_line_cut_off_text(reader);
}
