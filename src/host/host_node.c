/* SPDX-License-Identifier: MIT */
#include "host/host_node.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/error_text.h"
#include "host/host_files.h"

/* An access control list, such as of udev's uaccess, grants what the mode does not show. */
static bool is_granted_by_acl(const char *root, const char *path)
{
    g_autofree char *full = g_strconcat(root, path, NULL);

    return getxattr(full, "system.posix_acl_access", NULL, 0) > 0 &&
           faccessat(AT_FDCWD, full, R_OK | W_OK, AT_EACCESS) == 0;
}

void pm_host_node_read(PmHostNode *node, const char *root, const char *path,
                       const PmHostProcess *process)
{
    struct stat status;
    g_autofree char *user = NULL;
    g_autofree char *group = NULL;

    *node = (PmHostNode){.path = path};
    if (!pm_host_stat(root, path, &status))
        return;
    user = pm_host_user_name(status.st_uid);
    group = pm_host_group_name(status.st_gid);
    node->owner =
        g_strdup_printf("%s:%s, mode %04o", user, group, (unsigned)status.st_mode & 07777);
    node->may_use = pm_host_process_may_use(process, &status) || is_granted_by_acl(root, path);
}

void pm_host_node_clear(PmHostNode *node)
{
    g_clear_pointer(&node->owner, g_free);
}

/* --- users --- */

static bool is_one_of(const char *root, const char *folder, const char *fd,
                      const char *const *paths)
{
    g_autofree char *full = g_strconcat(root, folder, "/", fd, NULL);
    char target[PATH_MAX];
    ssize_t length = readlink(full, target, sizeof target - 1);

    if (length < 0)
        return false;
    target[length] = '\0';
    return g_strv_contains(paths, target);
}

static bool has_open(const char *root, const char *folder, GStrv fds, const char *const *paths)
{
    for (char **fd = fds; *fd != NULL; fd++)
        if (is_one_of(root, folder, *fd, paths))
            return true;
    return false;
}

static void free_user(gpointer data)
{
    PmHostUser *user = data;

    g_free(user->pid);
    g_free(user->name);
    g_free(user);
}

/* A process chooses its name. */
static char *read_name(const char *root, const char *pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/comm", pid);
    g_autofree char *raw = pm_host_read(root, path, NULL);

    return pm_printable(raw != NULL ? raw : "process");
}

static void add_user(PmHostUsers *users, const char *root, const char *pid)
{
    PmHostUser *user = g_new0(PmHostUser, 1);

    user->pid = g_strdup(pid);
    user->name = read_name(root, pid);
    g_ptr_array_add(users->users, user);
}

static void ask_process(PmHostUsers *users, const char *root, const char *pid,
                        const char *const *paths)
{
    g_autofree char *folder = g_strdup_printf("/proc/%s/fd", pid);
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) fds = pm_host_list(root, folder, &error);

    if (fds == NULL)
        users->n_unknown += g_error_matches(error, PM_ERROR, PM_ERROR_PERMISSION) ? 1 : 0;
    else if (has_open(root, folder, fds, paths))
        add_user(users, root, pid);
}

void pm_host_users_find(PmHostUsers *users, const char *root, const char *const *paths)
{
    g_auto(GStrv) names = pm_host_list(root, "/proc", NULL);
    g_autofree char *self = pm_host_link_name(root, "/proc/self");

    *users = (PmHostUsers){.users = g_ptr_array_new_with_free_func(free_user)};
    for (char **name = names; name != NULL && *name != NULL; name++)
        if (g_ascii_isdigit(**name) && g_strcmp0(*name, self) != 0)
            ask_process(users, root, *name, paths);
}

void pm_host_users_clear(PmHostUsers *users)
{
    g_clear_pointer(&users->users, g_ptr_array_unref);
}
