/* SPDX-License-Identifier: MIT */
/* Drops capabilities that the command does not need. */
#ifndef PLUGMAP_TOOLS_PRIVILEGES_H
#define PLUGMAP_TOOLS_PRIVILEGES_H

#include <stdbool.h>

#include <plugmap/error.h>

#define PM_NEEDS_MAX_OUTPUTS 3

/*
 * What the command still has to do.
 * @input: file to read; NULL or "-": none.
 * @outputs: files to write (output.h); NULL or "-": none.
 * @device: whether to open and map for a real device.
 * @processes: whether to see the files that other processes have open.
 */
typedef struct {
    const char *input;
    const char *outputs[PM_NEEDS_MAX_OUTPUTS];
    bool device;
    bool processes;
} PmNeeds;

/*
 * Permanently drops all capabilities except those that @needs require: CAP_DAC_READ_SEARCH for
 * input that is not readable otherwise; CAP_DAC_OVERRIDE, CAP_CHOWN and CAP_FOWNER for output owned
 * by, or in a directory of, another user; CAP_DAC_OVERRIDE for inaccessible files in /dev;
 * CAP_IPC_LOCK for a device, to exceed RLIMIT_MEMLOCK; CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for
 * processes. Also empties the bounding set (with
 * CAP_SETPCAP) and sets no_new_privs. May be called again with fewer needs. Call before creating
 * threads. Errors: PM_ERROR_PERMISSION; the remaining set is undefined then.
 */
bool pm_privileges_keep(const PmNeeds *needs, GError **error);

/* Whether RLIMIT_MEMLOCK is no limit: CAP_IPC_LOCK, before it is dropped. */
bool pm_privileges_can_lock(void);

/* "ipc_lock, dac_override" or "none"; a new string. */
char *pm_privileges_describe(void);

#endif
