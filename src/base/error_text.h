/* SPDX-License-Identifier: MIT */
/* Helpers for error messages. */
#ifndef PLUGMAP_SRC_BASE_ERROR_TEXT_H
#define PLUGMAP_SRC_BASE_ERROR_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/error.h>

/* Sets @error and returns false, for "return pm_fail(...)". */
bool pm_fail(GError **error, PmError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Adds the errno of a failed system call to an error that was just set. Returns false. */
bool pm_note_errno(GError **error, int error_number);

/* Replaces code and message; keeps errno, listener and cause. */
void pm_reword(GError *error, PmError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* "ENOSPC (No space left on device)"; a new string. @error_number is positive. */
char *pm_errno_text(int error_number);

/* "65,535": with thousands separators; a new string. */
char *pm_count_text(uint64_t count);

/* "831 ns", "4070 ns", "26 µs", "15 ms", "12 s"; a new string. */
char *pm_duration_text(uint64_t ns);

/* "45 s", "7 min 23 s", "3 h 5 min"; a new string. */
char *pm_seconds_text(uint64_t seconds);

/* "1 mapping", "65,535 mappings"; a new string. @noun: singular; the plural must end with s. */
char *pm_counted(uint64_t count, const char *noun);

/* @text as a terminal may show it, for what others wrote: UTF-8, with '?' for each control
 * character; a new string. */
char *pm_printable(const char *text);

/* Advice for errnos with more than one possible cause. */
#define PM_SEE_KERNEL_LOG "see the kernel's log (dmesg)"

/* Explains ECHILD. */
#define PM_KERNEL_CAUSE_INHERITED                                                                  \
    "opened by the parent of this forked process: open another address space in the child"

#define PM_CHECK_DEVICE                                                                            \
    "check that the device is awake and still bound to vfio-pci, and " PM_SEE_KERNEL_LOG

/* "WHAT failed: ERRNO; ADVICE", PM_ERROR_KERNEL; ECHILD: PM_ERROR_PERMISSION with its own advice.
 * @what: a format; names the object. Returns false. */
bool pm_fail_ioctl(GError **error, int error_number, const char *advice, const char *what, ...)
    G_GNUC_PRINTF(4, 5);

#endif
