/* SPDX-License-Identifier: MIT */
#include "kernel/kernel_calls.h"

#include <errno.h>
#include <stddef.h>

#include "base/process.h"
#include "kernel/kernel_private.h"

bool pm_kernel_is_inherited(const PmKernel *kernel)
{
    return kernel->data->process != pm_process_token();
}

/* The first kernel in the chain that implements the operation at @offset; NULL if none does. */
static PmKernel *find(PmKernel *kernel, size_t offset)
{
    while (kernel != NULL && *(void *const *)((const char *)kernel->ops + offset) == NULL)
        kernel = kernel->data->next;
    return kernel;
}

/* Returns the result of the operation. */
#define CALL(kernel, operation, ...)                                                               \
    do {                                                                                           \
        PmKernel *found = find(kernel, offsetof(PmKernelOps, operation));                          \
                                                                                                   \
        return found != NULL ? found->ops->operation(found, ##__VA_ARGS__) : -ENOSYS;              \
    } while (0)

/* The same, but fails outside the process that created the kernel. */
#define CALL_OWN(kernel, operation, ...)                                                           \
    do {                                                                                           \
        if (pm_kernel_is_inherited(kernel))                                                        \
            return -ECHILD;                                                                        \
        CALL(kernel, operation, ##__VA_ARGS__);                                                    \
    } while (0)

int pm_kernel_open(PmKernel *kernel, const char *path, int flags)
{
    CALL_OWN(kernel, open, path, flags);
}

int pm_kernel_close(PmKernel *kernel, int fd)
{
    CALL(kernel, close, fd);
}

int pm_kernel_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    CALL_OWN(kernel, ioctl, fd, request, argument);
}

int pm_kernel_mmap(PmKernel *kernel, int fd, size_t size, int protection, int flags,
                   uint64_t offset, void **address)
{
    CALL_OWN(kernel, mmap, fd, size, protection, flags, offset, address);
}

int pm_kernel_munmap(PmKernel *kernel, void *address, size_t size)
{
    CALL(kernel, munmap, address, size);
}

ssize_t pm_kernel_pread(PmKernel *kernel, int fd, void *buffer, size_t size, uint64_t offset)
{
    CALL_OWN(kernel, pread, fd, buffer, size, offset);
}

ssize_t pm_kernel_pwrite(PmKernel *kernel, int fd, const void *buffer, size_t size, uint64_t offset)
{
    CALL_OWN(kernel, pwrite, fd, buffer, size, offset);
}

int pm_kernel_lock_limit(PmKernel *kernel, PmLockedMemory *locked)
{
    CALL_OWN(kernel, lock_limit, locked);
}

int pm_kernel_locked_memory(PmKernel *kernel, PmLockedMemory *locked)
{
    CALL_OWN(kernel, locked_memory, locked);
}

int pm_kernel_refresh(PmKernel *kernel)
{
    CALL_OWN(kernel, refresh);
}

ssize_t pm_kernel_readlink(PmKernel *kernel, const char *path, char *buffer, size_t size)
{
    CALL_OWN(kernel, readlink, path, buffer, size);
}

int pm_kernel_list(PmKernel *kernel, const char *path, GStrv *names)
{
    CALL_OWN(kernel, list, path, names);
}
