/* SPDX-License-Identifier: MIT */
/* plugmap convert: converts a trace to plugmap's own format. */
#include <stdio.h>

#include "base/error_text.h"
#include "tools/commands.h"
#include "tools/exit_status.h"
#include "tools/output.h"
#include "tools/print.h"
#include "tools/privileges.h"
#include "tools/trace_options.h"
#include "trace/trace_write.h"

typedef struct {
    PmTraceOptions trace;
    gboolean json;
    gboolean verbose;
    char **paths; /* TRACE and, optionally, OUTPUT */
} Options;

static void options_clear(Options *options)
{
    pm_trace_options_clear(&options->trace);
    g_strfreev(options->paths);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static bool check_options(const Options *options, GError **error)
{
    char **paths = options->paths;

    if (paths == NULL || (paths[1] != NULL && paths[2] != NULL))
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "expected a trace file and at most one output file (see --help)");
    if (options->json && (paths[1] == NULL || g_str_equal(paths[1], "-")))
        return pm_fail(
            error, PM_ERROR_INVALID_ARGUMENT,
            "--json requires an output file for the trace: both would go to standard output");
    return true;
}

static void print_notes(const Options *options, const PmTrace *trace)
{
    g_autofree char *capabilities = NULL;

    if (trace->warning != NULL)
        fprintf(stderr, "plugmap convert: warning: %s\n", trace->warning);
    if (!options->verbose)
        return;
    capabilities = pm_privileges_describe();
    fprintf(stderr, "plugmap convert: capabilities kept: %s\n", capabilities);
}

static bool convert(const Options *options, PmTrace **trace, GError **error)
{
    g_auto(PmOutput) output = {0};
    PmNeeds needs = {0};

    if (!check_options(options, error))
        return false;
    needs.input = options->paths[0];
    needs.outputs[0] = options->paths[1];
    if (!pm_privileges_keep(&needs, error))
        return false;
    *trace = pm_trace_options_load(&options->trace, options->paths[0], error);
    needs.input = NULL;
    if (*trace == NULL || !pm_privileges_keep(&needs, error))
        return false;
    print_notes(options, *trace);
    if (!pm_output_open(&output, options->paths[1], options->paths[0], error))
        return false;
    (void)pm_trace_write(*trace, output.stream); /* pm_output_finish() reports errors */
    return pm_output_finish(&output, error);
}

static int report(const Options *options, const PmTrace *trace, const GError *error)
{
    g_autoptr(GError) failure = NULL;
    const PmJsonReport json = {
        .command = "convert",
        .version = PLUGMAP_VERSION,
        .exit_status = error != NULL ? pm_exit_status(error) : PM_EXIT_OK,
        .trace = trace,
        .output = error == NULL ? options->paths[1] : NULL,
        .error = error,
    };

    if (error != NULL)
        fprintf(stderr, "plugmap convert: %s\n", error->message);
    if (!options->json || pm_print_json(&json, &failure))
        return json.exit_status;
    fprintf(stderr, "plugmap convert: %s\n", failure->message);
    return PM_EXIT_USAGE;
}

static int convert_main(int argc, char **argv)
{
    g_auto(Options) options = {0};
    g_autoptr(PmTrace) trace = NULL;
    g_autoptr(GError) error = NULL;

    if (pm_command_line_parse(&pm_convert_command, &options, argc, argv, &error))
        (void)convert(&options, &trace, &error);
    else
        options.json = pm_json_is_asked_for(argc, argv); /* GLib resets parsed options on errors */
    return report(&options, trace, error);
}

#define MEMBER(name) offsetof(Options, name)

static const PmOption option_list[] = {
    {"json", 0, PM_VALUE_FLAG, MEMBER(json), .help = "print a report in JSON; requires OUTPUT"},
    {"verbose", 'v', PM_VALUE_FLAG, MEMBER(verbose),
     .help = "print the capabilities that are kept"},
    PM_OPTION_END,
};

const PmCommand pm_convert_command = {
    .name = "convert",
    .summary = "convert a trace to plugmap's own format",
    .arguments = "TRACE [OUTPUT]",
    .argument = PM_VALUE_FILE,
    .rest = MEMBER(paths),
    .description =
        {
            "Converts TRACE to plugmap's own format. OUTPUT defaults to \"-\", standard output.",
            "TRACE is a QEMU trace log or in plugmap's own format, optionally gzip-compressed; "
            "\"-\" is standard input.",
            "An output file is replaced only when it is complete.",
        },
    .groups =
        {
            {"Options", option_list, 0, false},
            {"Trace", pm_trace_option_list, MEMBER(trace), false},
        },
    .examples =
        {
            {"plugmap convert qemu.log guest.trace", "a QEMU log to a file", PM_EXIT_OK},
            {"plugmap convert --region-addr 4G --region-size 4G --block-size 2M partial.log",
             "a log that begins after QEMU has started, to standard output", PM_EXIT_OK},
        },
    .statuses = {PM_EXIT_USAGE},
    .see_also = {"plugmap-replay(1)", "plugmap-trace(5)"},
    .main = convert_main,
};
