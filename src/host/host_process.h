/* SPDX-License-Identifier: MIT */
/* Who this process is and what it may do, from /proc/self. */
#ifndef PLUGMAP_SRC_HOST_HOST_PROCESS_H
#define PLUGMAP_SRC_HOST_HOST_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <plugmap/error.h>

/*
 * @uid, @gid: effective. @parent: its process; 0: outside of the PID namespace. @groups: of guint,
 * supplementary.
 * @capabilities: effective, a bit each (CAP_IPC_LOCK).
 * @locked_soft, @locked_hard: RLIMIT_MEMLOCK in bytes; UINT64_MAX: unlimited.
 */
typedef struct {
    unsigned uid;
    unsigned gid;
    unsigned parent;
    GArray *groups;
    uint64_t capabilities;
    uint64_t locked_soft;
    uint64_t locked_hard;
} PmHostProcess;

/* Call before capabilities are dropped. @root: as in host_files.h. Errors: those of pm_host_read().
 */
bool pm_host_process_read(PmHostProcess *process, const char *root, GError **error);
void pm_host_process_clear(PmHostProcess *process);

bool pm_host_process_has(const PmHostProcess *process, unsigned capability);

/* Whether the mode of a file lets the process read and write it. */
bool pm_host_process_may_use(const PmHostProcess *process, const struct stat *status);

/* The name of the user or group; the number if it has none; a new string. */
char *pm_host_user_name(unsigned uid);
char *pm_host_group_name(unsigned gid);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmHostProcess, pm_host_process_clear)

#endif
