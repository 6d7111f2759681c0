/* SPDX-License-Identifier: MIT */
/* plugmap convert: reads a trace and writes it in plugmap's own format. */
#include <stdio.h>

#include "tools/commands.h"
#include "tools/output.h"
#include "tools/trace_options.h"
#include "trace/trace_write.h"

static bool convert(const PmTraceOptions *options, char **paths, GError **error)
{
    g_autoptr(PmTrace) trace = NULL;
    g_auto(PmOutput) output = {0};

    if (paths == NULL || (paths[1] != NULL && paths[2] != NULL)) {
        g_set_error_literal(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT,
                            "name the trace file to read, and at most one to write (see --help)");
        return false;
    }
    trace = pm_trace_options_load(options, paths[0], error);
    if (trace == NULL)
        return false;
    if (!pm_output_open(&output, paths[1], paths[0], error))
        return false;
    (void)pm_trace_write(trace, output.stream); /* what fails is found at the end */
    return pm_output_finish(&output, error);
}

int pm_convert_main(int argc, char **argv)
{
    PmTraceOptions options = {0};
    g_auto(GStrv) paths = NULL;
    g_autoptr(GError) error = NULL;
    const GOptionEntry entries[] = {
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &paths, NULL, "TRACE [OUTPUT]"},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    bool converted;

    g_option_context_set_summary(
        context,
        "Reads a trace (QEMU's trace log or plugmap's own format) and "
        "writes it in plugmap's own\nformat, to OUTPUT or, without it "
        "or with \"-\", to standard output.\n\nExit status: 0 done, 2 bad input or usage.");
    g_option_context_add_main_entries(context, entries, NULL);
    pm_trace_options_add(&options, context);
    converted =
        g_option_context_parse(context, &argc, &argv, &error) && convert(&options, paths, &error);
    pm_trace_options_clear(&options);
    if (converted)
        return PM_EXIT_OK;
    fprintf(stderr, "plugmap convert: %s\n", error->message);
    return PM_EXIT_USAGE;
}
