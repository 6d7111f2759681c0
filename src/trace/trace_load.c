/* SPDX-License-Identifier: MIT */
#include "trace/trace_load.h"

#include "base/error_text.h"
#include "trace/format.h"
#include "trace/format_plugmap.h"
#include "trace/format_qemu.h"

/* Our own format has a magic; everything else is assumed to be a log. */
static bool detect(PmLineReader *reader, PmTraceFormat *format, GError **error)
{
    bool end;

    if (!pm_line_reader_next(reader, &end, error))
        return false;
    if (end)
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: empty file", reader->name);
    if (*format == PM_TRACE_FORMAT_AUTO)
        *format = g_str_has_prefix(reader->text, PM_TRACE_MAGIC) ? PM_TRACE_FORMAT_PLUGMAP
                                                                 : PM_TRACE_FORMAT_QEMU_LOG;
    pm_line_reader_unread(reader);
    return true;
}

static bool read_format(PmLineReader *reader, PmTraceFormat format, const PmTraceGeometry *given,
                        PmTrace *trace, GError **error)
{
    if (!detect(reader, &format, error))
        return false;
    trace->format = format == PM_TRACE_FORMAT_PLUGMAP ? "plugmap" : "qemu-log";
    if (!(format == PM_TRACE_FORMAT_PLUGMAP ? pm_format_plugmap_read(reader, given, trace, error)
                                            : pm_format_qemu_read(reader, given, trace, error)))
        return false;
    if (reader->truncated && trace->warning == NULL)
        trace->warning =
            g_strdup_printf("%s: unexpected end of compressed data: file is truncated or "
                            "still being written",
                            reader->name);
    return true;
}

PmTrace *pm_trace_load(const char *path, PmTraceFormat format, const PmTraceGeometry *given,
                       GError **error)
{
    static const PmTraceGeometry nothing_given;
    g_autofree PmLineReader *reader = g_new0(PmLineReader, 1);
    g_autoptr(PmTrace) trace = NULL;
    bool loaded;

    if (!pm_line_reader_open(reader, path, error))
        return NULL;
    trace = pm_trace_new(reader->name);
    loaded = read_format(reader, format, given != NULL ? given : &nothing_given, trace, error);
    pm_line_reader_close(reader);
    return loaded ? g_steal_pointer(&trace) : NULL;
}
