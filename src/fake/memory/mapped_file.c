/* SPDX-License-Identifier: MIT */
#include "fake/memory/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct PmMappedFile {
    unsigned n_references;
    dev_t device;
    ino_t inode;
    int fd;
    bool is_memory; /* a memfd or in hugetlbfs; other files are not mapped */
    bool is_writable;
    void *start; /* NULL: not mapped */
    uint64_t size;
};

static PmMappedFile *find(const GPtrArray *files, const struct stat *status, uint64_t end)
{
    for (guint i = 0; i < files->len; i++) {
        PmMappedFile *file = g_ptr_array_index(files, i);

        if (file->device == status->st_dev && file->inode == status->st_ino &&
            (file->size >= end || !file->is_memory))
            return file;
    }
    return NULL;
}

static void close_file(PmMappedFile *file)
{
    if (file->start != NULL)
        (void)munmap(file->start, file->size);
    (void)close(file->fd);
    g_free(file);
}

/* Maps the whole file, and up to @size past its end, in whole pages of its size. */
static int map_file(PmMappedFile *file, uint64_t size, uint64_t page_size)
{
    int protection = PROT_READ | PROT_WRITE;

    if (size > (uint64_t)INT64_MAX - page_size)
        return -ENOMEM;
    file->size = (size + page_size - 1) / page_size * page_size;
    file->start = mmap(NULL, file->size, protection, MAP_SHARED | MAP_NORESERVE, file->fd, 0);
    file->is_writable = file->start != MAP_FAILED;
    if (file->start == MAP_FAILED)
        file->start = mmap(NULL, file->size, PROT_READ, MAP_SHARED | MAP_NORESERVE, file->fd, 0);
    if (file->start != MAP_FAILED)
        return 0;
    file->start = NULL;
    return -ENOMEM;
}

static int open_file(int fd, const struct stat *status, uint64_t end, PmMappedFile **file)
{
    PmMappedFile *opened;
    struct statfs system;
    int result = 0;
    int copy;

    if (fstatfs(fd, &system) < 0)
        return -errno;
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return -errno;
    opened = g_new0(PmMappedFile, 1);
    opened->device = status->st_dev;
    opened->inode = status->st_ino;
    opened->fd = copy;
    opened->is_memory = S_ISREG(status->st_mode) && ((uint64_t)system.f_type == TMPFS_MAGIC ||
                                                     (uint64_t)system.f_type == HUGETLBFS_MAGIC);
    if (opened->is_memory)
        result = map_file(opened, MAX(end, (uint64_t)status->st_size), (uint64_t)system.f_bsize);
    if (result < 0)
        close_file(opened);
    else
        *file = opened;
    return result;
}

int pm_mapped_file_get(GPtrArray *files, int fd, uint64_t end, PmMappedFile **file)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    *file = find(files, &status, end);
    if (*file == NULL) {
        int result = open_file(fd, &status, end, file);

        if (result < 0)
            return result;
        g_ptr_array_add(files, *file);
    }
    (*file)->n_references++;
    return 0;
}

void pm_mapped_file_put(GPtrArray *files, PmMappedFile *file)
{
    if (--file->n_references > 0)
        return;
    g_ptr_array_remove_fast(files, file);
    close_file(file);
}

uint64_t pm_mapped_file_address(const PmMappedFile *file)
{
    return (uintptr_t)file->start;
}

int pm_mapped_file_check(const PmMappedFile *file, uint64_t end)
{
    struct stat status;

    if (!file->is_memory || fstat(file->fd, &status) < 0)
        return -EINVAL;
    return end <= (uint64_t)status.st_size ? 0 : -EINVAL;
}

bool pm_mapped_file_is_writable(const PmMappedFile *file)
{
    return file->is_writable;
}
