/* SPDX-License-Identifier: MIT */
/* Exit status of the command. */
#ifndef PLUGMAP_TOOLS_EXIT_STATUS_H
#define PLUGMAP_TOOLS_EXIT_STATUS_H

#include <plugmap/error.h>

/* exit_status.c has what they mean. */
enum {
    PM_EXIT_OK = 0,
    PM_EXIT_WRONG = 1,
    PM_EXIT_USAGE = 2,
    PM_EXIT_NOT_READY = 3,
    PM_EXIT_NO_ROOM = 4,
    PM_EXIT_SIGNAL = 128, /* plus the signal number */
};

/* @number: for people. */
typedef struct {
    int status;
    const char *number;
    const char *meaning;
} PmExitStatus;

/* The one table: --help and the manual are written from it, README.md and docs/json.md compared
 * with it. Ends with a number of NULL. */
extern const PmExitStatus pm_exit_statuses[];

/* Maps @error to an exit status. */
int pm_exit_status(const GError *error);

#endif
