/* SPDX-License-Identifier: MIT */
#include "kernel/kernel_calls.h"

#include <errno.h>

#include "base/process.h"

bool pm_kernel_is_inherited(const PmKernel *kernel)
{
    return kernel->process != pm_process_token();
}

int pm_kernel_open(PmKernel *kernel, const char *path, int flags)
{
    return pm_kernel_is_inherited(kernel) ? -ECHILD : kernel->ops->open(kernel, path, flags);
}

int pm_kernel_close(PmKernel *kernel, int fd)
{
    return kernel->ops->close(kernel, fd);
}

int pm_kernel_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    return pm_kernel_is_inherited(kernel) ? -ECHILD
                                          : kernel->ops->ioctl(kernel, fd, request, argument);
}

int pm_kernel_mmap(PmKernel *kernel, int fd, size_t size, int protection, int flags,
                   uint64_t offset, void **address)
{
    if (pm_kernel_is_inherited(kernel))
        return -ECHILD;
    return kernel->ops->mmap(kernel, fd, size, protection, flags, offset, address);
}

int pm_kernel_munmap(PmKernel *kernel, void *address, size_t size)
{
    return kernel->ops->munmap(kernel, address, size);
}

ssize_t pm_kernel_pread(PmKernel *kernel, int fd, void *buffer, size_t size, uint64_t offset)
{
    if (pm_kernel_is_inherited(kernel))
        return -ECHILD;
    return kernel->ops->pread(kernel, fd, buffer, size, offset);
}

ssize_t pm_kernel_pwrite(PmKernel *kernel, int fd, const void *buffer, size_t size, uint64_t offset)
{
    if (pm_kernel_is_inherited(kernel))
        return -ECHILD;
    return kernel->ops->pwrite(kernel, fd, buffer, size, offset);
}

int pm_kernel_lock_limit(PmKernel *kernel, PmLockedMemory *locked)
{
    if (pm_kernel_is_inherited(kernel))
        return -ECHILD;
    return kernel->ops->lock_limit(kernel, locked);
}

int pm_kernel_locked_memory(PmKernel *kernel, PmLockedMemory *locked)
{
    if (pm_kernel_is_inherited(kernel))
        return -ECHILD;
    return kernel->ops->locked_memory(kernel, locked);
}
