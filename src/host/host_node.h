/* SPDX-License-Identifier: MIT */
/* Device nodes: who may use them, and who does. Never opens one: that would make a group busy. */
#ifndef PLUGMAP_SRC_HOST_HOST_NODE_H
#define PLUGMAP_SRC_HOST_HOST_NODE_H

#include <stdbool.h>

#include <glib.h>

#include "host/host_process.h"

/* @owner: "root:vfio, mode 0660"; NULL if the node does not exist. @may_use: whether the process
 * may read and write it. */
typedef struct {
    const char *path;
    char *owner;
    bool may_use;
} PmHostNode;

/* @path: must outlive the result. @root: as in host_files.h. */
void pm_host_node_read(PmHostNode *node, const char *root, const char *path,
                       const PmHostProcess *process);
void pm_host_node_clear(PmHostNode *node);

/* @name: as in /proc/PID/comm, valid UTF-8 without control characters. */
typedef struct {
    char *pid;
    char *name;
} PmHostUser;

/* Who has files open. @users: of PmHostUser. @n_unknown: processes whose files this one may not
 * see.
 */
typedef struct {
    GPtrArray *users;
    unsigned n_unknown;
} PmHostUsers;

/* @paths: NULL-terminated; this process does not count. Ignores processes that end meanwhile. */
void pm_host_users_find(PmHostUsers *users, const char *root, const char *const *paths);
void pm_host_users_clear(PmHostUsers *users);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmHostNode, pm_host_node_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmHostUsers, pm_host_users_clear)

#endif
