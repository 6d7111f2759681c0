/* SPDX-License-Identifier: MIT */
/* The options for loading a trace, shared by the sub-commands. */
#ifndef PLUGMAP_TOOLS_TRACE_OPTIONS_H
#define PLUGMAP_TOOLS_TRACE_OPTIONS_H

#include "tools/command_line.h"
#include "trace/trace_load.h"

/* Not parsed; NULL if not given. */
typedef struct {
    char *format;
    char *region_address;
    char *region_size;
    char *block_size;
} PmTraceOptions;

/* A group's options; its base is a PmTraceOptions. The first one is --block-size, for commands that
 * say something else about it. */
extern const PmOption pm_trace_option_list[];

void pm_trace_options_clear(PmTraceOptions *options);

/* Loads the trace. Errors: PM_ERROR_BAD_INPUT, PM_ERROR_INVALID_ARGUMENT (the value of an option).
 */
PmTrace *pm_trace_options_load(const PmTraceOptions *options, const char *path, GError **error);

/* Looks up @text in @names, a NULL-terminated array; NULL selects the first. The error lists the
 * valid names. */
bool pm_option_choose(const char *option, const char *text, const char *const *names, int *chosen,
                      GError **error);

/* Parses a number, with or without K, M, G; NULL leaves @value alone. Errors:
 * PM_ERROR_INVALID_ARGUMENT. */
bool pm_option_number(const char *option, const char *text, uint64_t min, uint64_t max,
                      uint64_t *value, GError **error);

/* Parses an option's argument; NULL leaves @value as it is. Errors: PM_ERROR_BAD_INPUT; the message
 * names the option. */
bool pm_option_size(const char *option, const char *text, uint64_t *value, GError **error);

#endif
