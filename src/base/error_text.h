/* SPDX-License-Identifier: MIT */
/* Small helpers for writing error messages. */
#ifndef PLUGMAP_SRC_BASE_ERROR_TEXT_H
#define PLUGMAP_SRC_BASE_ERROR_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/error.h>

/* Sets @error and returns false, so that a check can end with «return pm_fail(…)». */
bool pm_fail(GError **error, PmError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Adds the errno of a refused system call to an error that was just set. Returns false. */
bool pm_note_errno(GError **error, int error_number);

/* Another code and message for the same failure: what else the error has stays. */
void pm_reword(GError *error, PmError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* «ENOSPC (No space left on device)»; a new string. @error_number is positive. */
char *pm_errno_text(int error_number);

/* «65,535»: counts are easier to read in groups; a new string. */
char *pm_count_text(uint64_t count);

/* «1 mapping», «65,535 mappings»; a new string. @noun: in the singular; its plural has an s. */
char *pm_counted(uint64_t count, const char *noun);

/* What to do about an error of the kernel that can mean anything. */
#define PM_SEE_KERNEL_LOG "see the kernel's log (dmesg)"

#endif
