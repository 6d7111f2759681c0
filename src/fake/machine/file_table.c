/* SPDX-License-Identifier: MIT */
#include "fake/machine/file_table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
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
        files[i] = (PmFile){NULL, NULL, 0};
    }
    table->files = files;
    table->n_files = n_files;
    return true;
}

/* With the file system's number in the upper half. 0: not open. */
static uint64_t inode_of(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 ? (uint64_t)status.st_dev << 32 ^ status.st_ino : 0;
}

int pm_file_table_open(PmFileTable *table, const PmFileOps *ops, void *object, int flags)
{
    int fd = memfd_create("plugmap-fake", flags & O_CLOEXEC ? MFD_CLOEXEC : 0);

    if (fd < 0) {
        return -errno;
    }
    if (!make_room(table, (size_t)fd + 1)) {
        (void)close(fd);
        return -ENOMEM;
    }
    table->files[fd] = (PmFile){ops, object, inode_of(fd)};
    table->n_open++;
    return fd;
}

static PmFile *find_at(const PmFileTable *table, int fd)
{
    if (fd < 0 || (size_t)fd >= table->n_files || !table->files[fd].ops) {
        return NULL;
    }
    return &table->files[fd];
}

/* The file that an unknown descriptor is a copy of, or NULL. */
static PmFile *find_original(const PmFileTable *table, int fd)
{
    uint64_t inode = fd >= 0 ? inode_of(fd) : 0;
    size_t i;

    for (i = 0; i < table->n_files && inode != 0; i++) {
        if (table->files[i].ops && table->files[i].inode == inode) {
            return &table->files[i];
        }
    }
    return NULL;
}

const PmFile *pm_file_table_find(const PmFileTable *table, int fd)
{
    const PmFile *file = find_at(table, fd);

    return file ? file : find_original(table, fd);
}

/* Another descriptor of the process with this inode, or -1. */
static int find_copy(uint64_t inode)
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;
    int found = -1;

    if (!directory) {
        return -1;
    }
    while (found < 0 && (entry = readdir(directory))) {
        int fd = (int)g_ascii_strtoull(entry->d_name, NULL, 10);

        if (g_ascii_isdigit(entry->d_name[0]) && inode_of(fd) == inode) {
            found = fd;
        }
    }
    (void)closedir(directory);
    return found;
}

static void release(PmFileTable *table, const PmFile *file)
{
    table->n_open--;
    file->ops->release(file->object);
}

int pm_file_table_close(PmFileTable *table, int fd)
{
    PmFile *file = find_at(table, fd);
    PmFile closed;
    int copy;

    if (!file) {
        /* A copy: the original stays in the table. */
        return find_original(table, fd) && close(fd) == 0 ? 0 : -EBADF;
    }
    closed = *file;
    *file = (PmFile){NULL, NULL, 0};
    (void)close(fd);
    copy = find_copy(closed.inode);
    if (copy >= 0 && make_room(table, (size_t)copy + 1)) {
        table->files[copy] = closed;
        return 0;
    }
    release(table, &closed);
    return 0;
}

void pm_file_table_clear(PmFileTable *table)
{
    size_t fd;

    for (fd = 0; fd < table->n_files; fd++) {
        PmFile file = table->files[fd];

        if (file.ops) {
            table->files[fd] = (PmFile){NULL, NULL, 0};
            (void)close((int)fd);
            release(table, &file);
        }
    }
    g_free(table->files);
    *table = (PmFileTable){NULL, 0, 0};
}
