/* SPDX-License-Identifier: MIT */
/* The sub-commands. Each gets its own name as argv[0] and returns an exit status. */
#ifndef PLUGMAP_TOOLS_COMMANDS_H
#define PLUGMAP_TOOLS_COMMANDS_H

enum {
    PM_EXIT_OK = 0,
    PM_EXIT_WRONG = 1, /* an answer or a mapping is not what it has to be */
    PM_EXIT_USAGE = 2, /* bad input or bad usage */
};

int pm_replay_main(int argc, char **argv);
int pm_convert_main(int argc, char **argv);

#endif
