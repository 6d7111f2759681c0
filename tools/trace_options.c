/* SPDX-License-Identifier: MIT */
#include "tools/trace_options.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"

static const char *const formats[] = {"auto", "plugmap", "qemu-log", NULL};

const PmOption pm_trace_option_list[] = {
    {"block-size", 0, PM_VALUE_SIZE, offsetof(PmTraceOptions, block_size), "SIZE",
     .help = "block size, if not in the log"},
    {"format", 0, PM_VALUE_CHOICE, offsetof(PmTraceOptions, format), "FORMAT",
     .help = "auto (default), plugmap or qemu-log", .choices = formats},
    {"region-addr", 0, PM_VALUE_SIZE, offsetof(PmTraceOptions, region_address), "ADDR",
     .help = "guest address of the region, if not in the log"},
    {"region-size", 0, PM_VALUE_SIZE, offsetof(PmTraceOptions, region_size), "SIZE",
     .help = "size of the region, if not in the log"},
    PM_OPTION_END,
};

void pm_trace_options_clear(PmTraceOptions *options)
{
    g_free(options->format);
    g_free(options->region_address);
    g_free(options->region_size);
    g_free(options->block_size);
}

bool pm_option_choose(const char *option, const char *text, const char *const *names, int *chosen,
                      GError **error)
{
    g_autofree char *list = NULL;

    *chosen = 0;
    if (text == NULL)
        return true;
    for (int i = 0; names[i] != NULL; i++) {
        if (g_str_equal(text, names[i])) {
            *chosen = i;
            return true;
        }
    }
    list = g_strjoinv(", ", (char **)names);
    g_set_error(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT, "invalid %s %s: must be one of %s",
                option, text, list);
    return false;
}

bool pm_option_number(const char *option, const char *text, uint64_t min, uint64_t max,
                      uint64_t *value, GError **error)
{
    g_autoptr(GError) wrong = NULL;

    if (text == NULL)
        return true;
    if (!pm_size_parse(text, value, &wrong) || *value < min || *value > max)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid %s %s: must be a number from %" PRIu64 " to %" PRIu64, option, text,
                       min, max);
    return true;
}

bool pm_option_size(const char *option, const char *text, uint64_t *value, GError **error)
{
    if (text == NULL || pm_size_parse(text, value, error))
        return true;
    g_prefix_error(error, "%s: ", option);
    return false;
}

/* Checked here because 0 means "not given" to the loader. */
static bool check_sizes(const PmTraceOptions *options, const PmTraceGeometry *given, GError **error)
{
    if (options->region_size != NULL && given->region_size == 0) {
        g_set_error_literal(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT,
                            "invalid --region-size 0: must be at least one block");
        return false;
    }
    if (options->block_size != NULL &&
        (given->block_size == 0 || (given->block_size & (given->block_size - 1)) != 0)) {
        g_set_error(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT,
                    "invalid --block-size %s: must be a power of two", options->block_size);
        return false;
    }
    return true;
}

PmTrace *pm_trace_options_load(const PmTraceOptions *options, const char *path, GError **error)
{
    PmTraceGeometry given = {.has_region_address = options->region_address != NULL};
    int format;

    if (!pm_option_choose("--format", options->format, formats, &format, error) ||
        !pm_option_size("--region-addr", options->region_address, &given.region_address, error) ||
        !pm_option_size("--region-size", options->region_size, &given.region_size, error) ||
        !pm_option_size("--block-size", options->block_size, &given.block_size, error) ||
        !check_sizes(options, &given, error))
        return NULL;
    return pm_trace_load(path, (PmTraceFormat)format, &given, error);
}
