/* SPDX-License-Identifier: MIT */
/*
 * The fake kernel's open files, by descriptor. Descriptors are real ones (each an eventfd), so that
 * no other open file of the process can have the same number.
 */
#ifndef PLUGMAP_SRC_FAKE_MACHINE_FILE_TABLE_H
#define PLUGMAP_SRC_FAKE_MACHINE_FILE_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <plugmap/fake.h>

/* What a kind of file does. Results as of system calls, -errno on failure. */
typedef struct {
    void (*release)(void *object);
    int (*ioctl)(void *object, unsigned long request, void *argument);
    /* These two may be NULL: -EINVAL. */
    ssize_t (*pread)(void *object, void *buffer, size_t size, uint64_t offset);
    ssize_t (*pwrite)(void *object, const void *buffer, size_t size, uint64_t offset);
    /* Which kind of call a request counts as; NULL: PM_FAKE_CALL_IOCTL. */
    PmFakeCall (*ioctl_kind)(unsigned long request);
    int mmap_error; /* why it cannot be mapped, positive */
} PmFileOps;

/* An open file; with @ops NULL, a number that is not in use. */
typedef struct {
    const PmFileOps *ops;
    void *object;
} PmFile;

/* Zero-initialised. */
typedef struct {
    PmFile *files;
    size_t n_files;
    uint64_t n_open;
} PmFileTable;

/* Takes a descriptor for @object. Returns it, or -errno (then @object is not released). @flags:
 * O_CLOEXEC or 0. */
int pm_file_table_open(PmFileTable *table, const PmFileOps *ops, void *object, int flags);

/* The open file, or NULL. */
static inline PmFile *pm_file_table_find(const PmFileTable *table, int fd)
{
    if (fd < 0 || (size_t)fd >= table->n_files || !table->files[fd].ops) {
        return NULL;
    }
    return &table->files[fd];
}

/* Gives the number back and releases the object. Returns 0 or -EBADF. */
int pm_file_table_close(PmFileTable *table, int fd);

/* Closes everything that is open. */
void pm_file_table_clear(PmFileTable *table);

#endif
