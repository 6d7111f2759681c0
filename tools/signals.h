/* SPDX-License-Identifier: MIT */
/* Fatal signals: they leave no temporary file, and an interrupted replay prints its report.
 */
#ifndef PLUGMAP_TOOLS_SIGNALS_H
#define PLUGMAP_TOOLS_SIGNALS_H

/* Files that a fatal signal can remove at a time. */
#define PM_SIGNALS_MAX_TEMPORARIES 4

/* A file to remove on a fatal signal. @path must stay valid until it is removed from the list. */
void pm_signals_add_temporary(char *path);
void pm_signals_remove_temporary(const char *path);

/* From now on the first SIGINT or SIGTERM is recorded and the second one is fatal. Ignored signals,
 * as under nohup, stay ignored. */
void pm_signals_note(void);

/* The recorded signal; 0: none. */
int pm_signals_noted(void);

#endif
