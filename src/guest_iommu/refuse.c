/* SPDX-License-Identifier: MIT */
#include "guest_iommu/refuse.h"

#include <stdarg.h>

#include "base/error_text.h"

bool pm_guest_refuse(PmGuestIommu *iommu, GError **error, unsigned status, PmError code,
                     const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list arguments;

    va_start(arguments, format);
    message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    iommu->status = status;
    return pm_fail(error, code, "%s", message);
}
