/* SPDX-License-Identifier: MIT */
/* Signals that end the command: no temporary file stays behind, and a replay ends with its report.
 */
#ifndef PLUGMAP_TOOLS_SIGNALS_H
#define PLUGMAP_TOOLS_SIGNALS_H

/* A file that a signal takes along; NULL: none. @path stays valid until the next call. */
void pm_signals_set_temporary(char *path);

/* From now on the first SIGINT or SIGTERM is only noted, and the second ends the process. What is
 * ignored, as by nohup, stays ignored. */
void pm_signals_note(void);

/* The signal that was noted; 0: none. */
int pm_signals_noted(void);

#endif
