/* SPDX-License-Identifier: MIT */
/* plugmap convert: reads a trace and writes it in plugmap's own format. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "tools/commands.h"
#include "tools/trace_options.h"

static bool fail_to_write(const char *path, GError **error)
{
    g_set_error(error, PM_ERROR, PM_ERROR_BAD_INPUT, "%s: cannot be written: %s", path,
                g_strerror(errno));
    return false;
}

/* A device or a pipe is written to as it is; moving a file there would put it out of the way. */
static bool write_special(const PmTrace *trace, const char *path, GError **error)
{
    FILE *stream = fopen(path, "we");
    bool written;

    if (stream == NULL)
        return fail_to_write(path, error);
    written = pm_trace_write(trace, stream);
    written = fclose(stream) == 0 && written;
    return written || fail_to_write(path, error);
}

/* Written beside the place and moved there when whole, so that no half file ever has the name. */
static bool write_file(const PmTrace *trace, const char *path, GError **error)
{
    g_autofree char *temporary = g_strconcat(path, ".XXXXXX", NULL);
    int fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, 0666);
    FILE *stream = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool written;

    if (stream == NULL)
        return fail_to_write(path, error);
    written = pm_trace_write(trace, stream);
    written = fclose(stream) == 0 && written;
    if (written && g_rename(temporary, path) == 0)
        return true;
    fail_to_write(path, error);
    g_unlink(temporary);
    return false;
}

static bool convert(const PmTraceOptions *options, char **paths, GError **error)
{
    g_autoptr(PmTrace) trace = NULL;

    if (paths == NULL || (paths[1] != NULL && paths[2] != NULL)) {
        g_set_error_literal(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT,
                            "name the trace file to read, and at most one to write (see --help)");
        return false;
    }
    trace = pm_trace_options_load(options, paths[0], error);
    if (trace == NULL)
        return false;
    if (paths[1] != NULL && !g_str_equal(paths[1], "-"))
        return g_file_test(paths[1], G_FILE_TEST_EXISTS) &&
                       !g_file_test(paths[1], G_FILE_TEST_IS_REGULAR)
                   ? write_special(trace, paths[1], error)
                   : write_file(trace, paths[1], error);
    return pm_trace_write(trace, stdout) || fail_to_write("standard output", error);
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

    g_option_context_set_summary(context,
                                 "Reads a trace (QEMU's trace log or plugmap's own format) and "
                                 "writes it in plugmap's own\nformat, to OUTPUT or to standard "
                                 "output.\n\nExit status: 0 done, 2 bad input or usage.");
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
