/* SPDX-License-Identifier: MIT */
#include "tools/output.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/error_text.h"
#include "tools/signals.h"

#define MAX_LINKS 40 /* the kernel's limit */

static bool fail_to_write(const PmOutput *output, GError **error)
{
    return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: write failed: %s", output->path,
                   g_strerror(errno));
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* @input: as in pm_trace_load(). Terminals and sockets may be both input and output. */
static bool is_input(const struct stat *info, const char *input)
{
    struct stat input_info;

    if (g_str_equal(input, "-") ? fstat(STDIN_FILENO, &input_info) != 0
                                : stat(input, &input_info) != 0)
        return false;
    return is_same(info, &input_info) && !S_ISCHR(info->st_mode) && !S_ISSOCK(info->st_mode);
}

/* Standard output or error if it refers to this file and is writable, else -1. Writing through the
 * same open file keeps the two from overwriting each other. */
static int find_standard(const struct stat *info)
{
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        struct stat standard;
        int flags = fcntl(fd, F_GETFL);

        if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && fstat(fd, &standard) == 0 &&
            is_same(&standard, info))
            return fd;
    }
    return -1;
}

static char *follow_links(const char *path)
{
    char *target = g_strdup(path);

    for (int i = 0; i < MAX_LINKS; i++) {
        g_autofree char *link = g_file_read_link(target, NULL);
        g_autofree char *folder = NULL;

        if (link == NULL)
            break;
        folder = g_path_get_dirname(target);
        g_free(target);
        target = g_path_is_absolute(link) ? g_steal_pointer(&link)
                                          : g_build_filename(folder, link, NULL);
    }
    return target;
}

/* A file without a name, deleted or never linked, still opens as /dev/fd/N. */
static bool can_replace(const char *target, const struct stat *old)
{
    struct stat info;

    return lstat(target, &info) == 0 && is_same(&info, old);
}

/* Only root can change the owner. If that fails, the file stays private to us. */
static void keep_access(int fd, const struct stat *old)
{
    bool has_owner = fchown(fd, old->st_uid, old->st_gid) == 0;

    (void)fchmod(fd, old->st_mode & (has_owner ? 0777 : 0700));
}

static void drop_temporary(PmOutput *output)
{
    if (output->temporary != NULL)
        pm_signals_remove_temporary(output->temporary);
    g_clear_pointer(&output->temporary, g_free);
}

/* output->target is set. @old: the existing file, or NULL. */
static int open_temporary(PmOutput *output, const struct stat *old)
{
    g_autofree char *folder = NULL;
    int fd;

    if (old != NULL && access(output->path, W_OK) != 0)
        return -1;
    folder = g_path_get_dirname(output->target);
    output->temporary = g_build_filename(folder, ".plugmap-XXXXXX", NULL);
    pm_signals_add_temporary(output->temporary);
    fd = g_mkstemp_full(output->temporary, O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0) {
        drop_temporary(output);
    } else if (old != NULL) {
        keep_access(fd, old);
    }
    return fd;
}

static int open_path(PmOutput *output, const struct stat *info)
{
    int standard = info != NULL ? find_standard(info) : -1;
    bool is_regular = info != NULL && S_ISREG(info->st_mode);

    if (standard >= 0) {
        output->is_shared = standard == STDOUT_FILENO && !S_ISCHR(info->st_mode);
        return fcntl(standard, F_DUPFD_CLOEXEC, 0);
    }
    output->target = follow_links(output->path);
    if (info == NULL || (is_regular && can_replace(output->target, info)))
        return open_temporary(output, info);
    return open(output->path, O_WRONLY | O_CLOEXEC | O_NOCTTY | (is_regular ? O_TRUNC : 0));
}

bool pm_output_open(PmOutput *output, const char *path, const char *input, GError **error)
{
    struct stat info;
    bool exists;
    int fd;

    if (g_strcmp0(path, "-") == 0)
        path = NULL;
    exists = (path != NULL ? stat(path, &info) : fstat(STDOUT_FILENO, &info)) == 0;
    *output = (PmOutput){
        .path = g_strdup(path != NULL ? path : "standard output"),
        .is_shared = path == NULL && exists && !S_ISCHR(info.st_mode),
    };
    if (!exists && (errno != ENOENT || path == NULL || *path == '\0'))
        return fail_to_write(output, error);
    if (exists && input != NULL && is_input(&info, input))
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "%s: output is the input trace: choose another file", output->path);
    fd = path != NULL ? open_path(output, exists ? &info : NULL)
                      : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    output->stream = fd >= 0 ? fdopen(fd, "w") : NULL;
    return output->stream != NULL || fail_to_write(output, error);
}

bool pm_output_finish(PmOutput *output, GError **error)
{
    bool written = fflush(output->stream) == 0 && ferror(output->stream) == 0;

    if (written)
        written = fclose(g_steal_pointer(&output->stream)) == 0;
    if (written && output->temporary != NULL)
        written = rename(output->temporary, output->target) == 0;
    if (!written)
        return fail_to_write(output, error);
    drop_temporary(output);
    return true;
}

void pm_output_clear(PmOutput *output)
{
    if (output->stream != NULL)
        fclose(output->stream);
    if (output->temporary != NULL)
        g_unlink(output->temporary);
    drop_temporary(output);
    g_free(output->target);
    g_free(output->path);
    *output = (PmOutput){0};
}
