/* SPDX-License-Identifier: MIT */
/*
 * The fake kernel's open files, by descriptor. Each descriptor is a real one (of an empty memfd),
 * so it never collides with another file of the process, and its copies (dup(2), SCM_RIGHTS) can be
 * recognised: an open file has an inode of its own.
 */
#ifndef PLUGMAP_SRC_FAKE_MACHINE_FILE_TABLE_H
#define PLUGMAP_SRC_FAKE_MACHINE_FILE_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <plugmap/fake.h>

/* Operations of a kind of file. They return what the system calls do, -errno on failure. */
typedef struct {
    void (*release)(void *object);
    int (*ioctl)(void *object, unsigned long request, void *argument);
    /* Both may be NULL: -EINVAL. */
    ssize_t (*pread)(void *object, void *buffer, size_t size, uint64_t offset);
    ssize_t (*pwrite)(void *object, const void *buffer, size_t size, uint64_t offset);
    /* The kind of call that a request counts as; NULL: PM_FAKE_CALL_IOCTL. */
    PmFakeCall (*ioctl_kind)(unsigned long request);
    int mmap_error; /* why mmap() fails, positive */
} PmFileOps;

/* An open file; @ops is NULL if the descriptor is unused. */
typedef struct {
    const PmFileOps *ops;
    void *object;
    uint64_t inode;
} PmFile;

/* Zero-initialised. */
typedef struct {
    PmFile *files;
    size_t n_files;
    uint64_t n_open;
} PmFileTable;

/* Allocates a descriptor for @object, which stays the caller's on failure. Returns it, or
 * -errno. @flags: O_CLOEXEC or 0. */
int pm_file_table_open(PmFileTable *table, const PmFileOps *ops, void *object, int flags);

/* The open file, or NULL. */
const PmFile *pm_file_table_find(const PmFileTable *table, int fd);

/* Frees the descriptor; the last one of the process releases the object. (Copies that are on their
 * way in a socket do not count.) Returns 0 or -EBADF. */
int pm_file_table_close(PmFileTable *table, int fd);

/* Closes all files. */
void pm_file_table_clear(PmFileTable *table);

#endif
