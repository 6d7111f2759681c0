/* SPDX-License-Identifier: MIT */
/* Exit status of the command. */
#ifndef PLUGMAP_TOOLS_EXIT_STATUS_H
#define PLUGMAP_TOOLS_EXIT_STATUS_H

#include <plugmap/error.h>

enum {
    PM_EXIT_OK = 0,
    PM_EXIT_WRONG = 1,     /* a response differs or an audit failed */
    PM_EXIT_USAGE = 2,     /* bad usage, bad input or a write error */
    PM_EXIT_NOT_READY = 3, /* host not ready: device, driver, permissions or kernel */
    PM_EXIT_NO_ROOM = 4,   /* limit exceeded: mappings, locked memory, IOVA space or memory */
    PM_EXIT_SIGNAL = 128,  /* plus the signal number */
};

/* For --help. */
#define PM_EXIT_HELP                                                                               \
    "Exit status:\n"                                                                               \
    "  0    pass, or nothing to check\n"                                                           \
    "  1    a response differs or an audit failed\n"                                               \
    "  2    bad usage, bad input or a write error\n"                                               \
    "  3    host not ready: device, driver, permissions or kernel\n"                               \
    "  4    limit exceeded: mappings, locked memory, IOVA space or host memory\n"                  \
    "  130  interrupted (SIGINT), 143 terminated (SIGTERM); the report is partial"

/* Maps @error to an exit status. */
int pm_exit_status(const GError *error);

#endif
