/* SPDX-License-Identifier: MIT */
/* The capabilities that the command keeps of those it was started with. */
#ifndef PLUGMAP_TOOLS_PRIVILEGES_H
#define PLUGMAP_TOOLS_PRIVILEGES_H

#include <stdbool.h>

#include <plugmap/error.h>

/*
 * What is still to be done.
 * @input: a file to read; NULL or "-": none.
 * @output: a file to write (output.h); NULL or "-": none.
 * @device: a real device is to be opened and mapped for.
 */
typedef struct {
    const char *input;
    const char *output;
    bool device;
} PmNeeds;

/*
 * Gives up, for good, what @needs do not take: CAP_DAC_READ_SEARCH, for input that cannot be read
 * without; CAP_DAC_OVERRIDE, CAP_CHOWN and CAP_FOWNER, for output that is another user's or in
 * another's folder; CAP_DAC_OVERRIDE, for files below /dev that cannot be opened without; and for a
 * device CAP_IPC_LOCK, as memory beyond RLIMIT_MEMLOCK takes it. Nothing can bring back what was
 * given up: the bounding set is emptied (with CAP_SETPCAP) and no_new_privs set. To be called again
 * when less is to be done, before there are other threads. Errors: PM_ERROR_PERMISSION; what is
 * kept is not known then.
 */
bool pm_privileges_keep(const PmNeeds *needs, GError **error);

/* "ipc_lock, dac_override" or "none"; a new string. */
char *pm_privileges_describe(void);

#endif
