/* SPDX-License-Identifier: MIT */
#include "base/error_text.h"

#include <string.h>

bool pm_fail(GError **error, PmError code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (error != NULL)
        *error = g_error_new_valist(PM_ERROR, (gint)code, format, arguments);
    va_end(arguments);
    return false;
}

char *pm_errno_text(int error_number)
{
    const char *name = strerrorname_np(error_number);

    return g_strdup_printf("%s (%s)", name != NULL ? name : "unknown error",
                           g_strerror(error_number));
}
