/* SPDX-License-Identifier: MIT */
/*
 * The only way in which the library calls a PmKernel. Outside the process that created the PmKernel
 * they fail with -ECHILD: a child made by fork(2) shares the files of its parent, whose mappings it
 * must not change. close and munmap still work, because they only affect the child's own copies.
 */
#ifndef PLUGMAP_SRC_KERNEL_KERNEL_CALLS_H
#define PLUGMAP_SRC_KERNEL_KERNEL_CALLS_H

#include <plugmap/kernel.h>

/* Explains ECHILD. */
#define PM_KERNEL_CAUSE_INHERITED                                                                  \
    "opened by the parent of this forked process: open another address space in the child"

/* Whether the kernel was created by a process that this one was forked from. */
bool pm_kernel_is_inherited(const PmKernel *kernel);

int pm_kernel_open(PmKernel *kernel, const char *path, int flags);
int pm_kernel_close(PmKernel *kernel, int fd);
int pm_kernel_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument);
int pm_kernel_mmap(PmKernel *kernel, int fd, size_t size, int protection, int flags,
                   uint64_t offset, void **address);
int pm_kernel_munmap(PmKernel *kernel, void *address, size_t size);
ssize_t pm_kernel_pread(PmKernel *kernel, int fd, void *buffer, size_t size, uint64_t offset);
ssize_t pm_kernel_pwrite(PmKernel *kernel, int fd, const void *buffer, size_t size,
                         uint64_t offset);
int pm_kernel_lock_limit(PmKernel *kernel, PmLockedMemory *locked);
int pm_kernel_locked_memory(PmKernel *kernel, PmLockedMemory *locked);
int pm_kernel_refresh(PmKernel *kernel);
ssize_t pm_kernel_readlink(PmKernel *kernel, const char *path, char *buffer, size_t size);
int pm_kernel_list(PmKernel *kernel, const char *path, GStrv *names);

#endif
