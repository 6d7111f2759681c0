/* SPDX-License-Identifier: MIT */
#include "base/log.h"

static PmLogFunc log_func;
static void *log_user_data;

void pm_log_set_func(PmLogFunc func, void *user_data)
{
    log_func = func;
    log_user_data = user_data;
}

void pm_log(GLogLevelFlags level, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list arguments;

    if (log_func == NULL)
        return;
    va_start(arguments, format);
    message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    log_func(level, message, log_user_data);
}
