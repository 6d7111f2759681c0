/* SPDX-License-Identifier: MIT */
#include "trace/format.h"

/* More than any machine records; what they take in memory is bounded by it. */
#define MAX_EVENTS 4000000

bool pm_format_add_event(PmTrace *trace, const PmLineReader *reader, PmTraceEvent event,
                         GError **error)
{
    if (trace->events->len >= MAX_EVENTS)
        return pm_line_fail(reader, error, "more than %d events: split the trace", MAX_EVENTS);
    event.line = reader->line;
    g_array_append_val(trace->events, event);
    return true;
}

void pm_format_leave_out(PmTrace *trace, const PmLineReader *reader)
{
    g_free(trace->warning);
    trace->warning =
        g_strdup_printf("%s:%u: the last line has no newline and is left out: the file is still "
                        "being written, or was cut off there",
                        reader->name, reader->line);
}
