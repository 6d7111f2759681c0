/* SPDX-License-Identifier: MIT */
/* Errors of the drivers in src/pci and src/nvme, which use public headers only. */
#ifndef PLUGMAP_SRC_PCI_FAIL_H
#define PLUGMAP_SRC_PCI_FAIL_H

#include <stdbool.h>

#include <plugmap/error.h>

/* Sets @error and returns false. */
bool pm_pci_fail(GError **error, PmError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* "WHAT failed: ERRNO; ADVICE" for a system call on a device: PM_ERROR_KERNEL; ECHILD:
 * PM_ERROR_PERMISSION. @error_number: positive; pm_error_get_errno() returns it. @what: a format;
 * names the object. Returns false. */
bool pm_pci_fail_call(GError **error, int error_number, const char *what, ...) G_GNUC_PRINTF(3, 4);

#endif
