/* SPDX-License-Identifier: MIT */
#include "pci/fail.h"

#include <errno.h>
#include <string.h>

bool pm_pci_fail(GError **error, PmError code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (error != NULL)
        *error = g_error_new_valist(PM_ERROR, (gint)code, format, arguments);
    va_end(arguments);
    return false;
}

bool pm_pci_fail_call(GError **error, int error_number, const char *what, ...)
{
    const char *name = strerrorname_np(error_number);
    bool inherited = error_number == ECHILD;
    g_autofree char *done = NULL;
    va_list arguments;

    va_start(arguments, what);
    done = g_strdup_vprintf(what, arguments);
    va_end(arguments);
    (void)pm_pci_fail(
        error, inherited ? PM_ERROR_PERMISSION : PM_ERROR_KERNEL, "%s failed: %s (%s); %s", done,
        name != NULL ? name : "unknown error", g_strerror(error_number),
        inherited
            ? "opened by the parent of this forked process: open another address space in the child"
            : "check that the device is awake and still bound to vfio-pci, and see the kernel's "
              "log (dmesg)");
    pm_error_set_errno(error != NULL ? *error : NULL, error_number);
    return false;
}
