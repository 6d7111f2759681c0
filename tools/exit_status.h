/* SPDX-License-Identifier: MIT */
/* What the command exits with. */
#ifndef PLUGMAP_TOOLS_EXIT_STATUS_H
#define PLUGMAP_TOOLS_EXIT_STATUS_H

#include <plugmap/error.h>

enum {
    PM_EXIT_OK = 0,
    PM_EXIT_WRONG = 1,     /* an answer or a mapping is not what it has to be */
    PM_EXIT_USAGE = 2,     /* bad input, bad usage, or output that cannot be written */
    PM_EXIT_NOT_READY = 3, /* the host: no such device, its driver, permission, kernel */
    PM_EXIT_NO_ROOM = 4,   /* mappings, locked memory, I/O addresses, memory */
    PM_EXIT_SIGNAL = 128,  /* and the signal's number */
};

/* For --help. */
#define PM_EXIT_HELP                                                                               \
    "Exit status:\n"                                                                               \
    "  0    right\n"                                                                               \
    "  1    an answer or a mapping differs\n"                                                      \
    "  2    bad input or usage, or output that cannot be written\n"                                \
    "  3    the host is not ready: no such device, its driver, permissions, the kernel\n"          \
    "  4    does not fit: mappings, locked memory, I/O addresses, the host's memory\n"             \
    "  130  interrupted (SIGINT), 143 terminated (SIGTERM), with the report so far"

/* The status that says what @error says. */
int pm_exit_status(const GError *error);

#endif
