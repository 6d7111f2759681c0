/* SPDX-License-Identifier: MIT */
#include "base/log.h"

static PmLogFunc log_func;
static void *log_user_data;
static GLogLevelFlags log_level = G_LOG_LEVEL_WARNING;

void pm_log_set_func(PmLogFunc func, void *user_data)
{
    log_func = func;
    log_user_data = user_data;
}

void pm_log_set_level(GLogLevelFlags level)
{
    log_level = level;
}

/* GLib's levels are bits; a less important one is a higher bit. */
bool pm_log_wants(GLogLevelFlags level)
{
    return log_func != NULL && level <= log_level;
}

void pm_log_pass(GLogLevelFlags level, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list arguments;

    va_start(arguments, format);
    message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    log_func(level, message, log_user_data);
}
