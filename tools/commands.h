/* SPDX-License-Identifier: MIT */
/* The sub-commands. Each gets its own name as argv[0] and returns an exit status (exit_status.h).
 */
#ifndef PLUGMAP_TOOLS_COMMANDS_H
#define PLUGMAP_TOOLS_COMMANDS_H

int pm_replay_main(int argc, char **argv);
int pm_convert_main(int argc, char **argv);

#endif
