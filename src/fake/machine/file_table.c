/* SPDX-License-Identifier: MIT */
#include "fake/machine/file_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

static bool make_room(PmFileTable *table, size_t n_files)
{
    PmFile *files;
    size_t i;

    if (n_files <= table->n_files) {
        return true;
    }
    n_files = MAX(n_files, table->n_files * 2);
    files = g_try_renew(PmFile, table->files, n_files);
    if (!files) {
        return false;
    }
    for (i = table->n_files; i < n_files; i++) {
        files[i] = (PmFile){NULL, NULL};
    }
    table->files = files;
    table->n_files = n_files;
    return true;
}

int pm_file_table_open(PmFileTable *table, const PmFileOps *ops, void *object, int flags)
{
    int fd = eventfd(0, flags & O_CLOEXEC ? EFD_CLOEXEC : 0);

    if (fd < 0) {
        return -errno;
    }
    if (!make_room(table, (size_t)fd + 1)) {
        (void)close(fd);
        return -ENOMEM;
    }
    table->files[fd] = (PmFile){ops, object};
    table->n_open++;
    return fd;
}

int pm_file_table_close(PmFileTable *table, int fd)
{
    PmFile *file = pm_file_table_find(table, fd);
    PmFile closed;

    if (!file) {
        return -EBADF;
    }
    closed = *file;
    *file = (PmFile){NULL, NULL};
    table->n_open--;
    (void)close(fd);
    closed.ops->release(closed.object);
    return 0;
}

void pm_file_table_clear(PmFileTable *table)
{
    size_t fd;

    for (fd = 0; fd < table->n_files; fd++) {
        (void)pm_file_table_close(table, (int)fd);
    }
    g_free(table->files);
    *table = (PmFileTable){NULL, 0, 0};
}
