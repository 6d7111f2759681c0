/* SPDX-License-Identifier: MIT */
/* Fatal signals: they leave no temporary file, and an interrupted replay prints its report.
 */
#ifndef PLUGMAP_TOOLS_SIGNALS_H
#define PLUGMAP_TOOLS_SIGNALS_H

/* A file to remove on a fatal signal; NULL: none. @path must stay valid until the next call. */
void pm_signals_set_temporary(char *path);

/* From now on the first SIGINT or SIGTERM is recorded and the second one is fatal. Ignored signals,
 * as under nohup, stay ignored. */
void pm_signals_note(void);

/* The recorded signal; 0: none. */
int pm_signals_noted(void);

#endif
