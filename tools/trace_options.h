/* SPDX-License-Identifier: MIT */
/* The flags that say how to read a trace, which several sub-commands have. */
#ifndef PLUGMAP_TOOLS_TRACE_OPTIONS_H
#define PLUGMAP_TOOLS_TRACE_OPTIONS_H

#include "trace/trace_load.h"

/* As given, not parsed; NULL is not given. */
typedef struct {
    char *format;
    char *region_address;
    char *region_size;
    char *block_size;
} PmTraceOptions;

/* Adds the flags to a context; @options is filled in when it parses. */
void pm_trace_options_add(PmTraceOptions *options, GOptionContext *context);
void pm_trace_options_clear(PmTraceOptions *options);

/* Loads the trace. Errors: PM_ERROR_BAD_INPUT, PM_ERROR_INVALID_ARGUMENT (a flag's value). */
PmTrace *pm_trace_options_load(const PmTraceOptions *options, const char *path, GError **error);

/* The index of @text among @names, which end with NULL; @text NULL is the first. False with an
 * error that lists them. */
bool pm_option_choose(const char *option, const char *text, const char *const *names, int *chosen,
                      GError **error);

#endif
