/* SPDX-License-Identifier: MIT */
/*
 * The only way in which the library calls a PmKernel. Outside the process that created the PmKernel
 * they fail with -ECHILD: a child made by fork(2) shares the files of its parent, whose mappings it
 * must not change. close and munmap still work, because they only affect the child's own copies.
 */
#ifndef PLUGMAP_SRC_KERNEL_KERNEL_CALLS_H
#define PLUGMAP_SRC_KERNEL_KERNEL_CALLS_H

#include <plugmap/kernel.h>

int pm_kernel_open(PmKernel *kernel, const char *path, int flags);
int pm_kernel_close(PmKernel *kernel, int fd);
int pm_kernel_lock_limit(PmKernel *kernel, PmLockedMemory *locked);
int pm_kernel_locked_memory(PmKernel *kernel, PmLockedMemory *locked);
int pm_kernel_refresh(PmKernel *kernel);
ssize_t pm_kernel_readlink(PmKernel *kernel, const char *path, char *buffer, size_t size);
int pm_kernel_list(PmKernel *kernel, const char *path, GStrv *names);

#endif
