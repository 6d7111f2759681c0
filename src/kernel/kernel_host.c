/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <plugmap/kernel.h>
#include <plugmap/size.h>

#include "base/process.h"
#include "kernel/capability.h"
#include "kernel/kernel_private.h"

/* Cached: whether CAP_IPC_LOCK is effective. */
enum {
    UNKNOWN,
    MISSING,
    EFFECTIVE
};

typedef struct {
    PmKernel parent;
    int ipc_lock; /* atomic */
} HostKernel;

static int or_errno(int result)
{
    return result < 0 ? -errno : result;
}

static int host_open(PmKernel *kernel G_GNUC_UNUSED, const char *path, int flags)
{
    return or_errno(open(path, flags));
}

static int host_close(PmKernel *kernel G_GNUC_UNUSED, int fd)
{
    return or_errno(close(fd));
}

static int host_ioctl(PmKernel *kernel G_GNUC_UNUSED, int fd, unsigned long request, void *argument)
{
    return or_errno(ioctl(fd, request, argument));
}

static int host_mmap(PmKernel *kernel G_GNUC_UNUSED, int fd, size_t size, int protection, int flags,
                     uint64_t offset, void **address)
{
    void *mapped = mmap(NULL, size, protection, flags, fd, (off_t)offset);

    if (mapped == MAP_FAILED)
        return -errno;
    *address = mapped;
    return 0;
}

static int host_munmap(PmKernel *kernel G_GNUC_UNUSED, void *address, size_t size)
{
    return or_errno(munmap(address, size));
}

static ssize_t host_pread(PmKernel *kernel G_GNUC_UNUSED, int fd, void *buffer, size_t size,
                          uint64_t offset)
{
    ssize_t result = pread(fd, buffer, size, (off_t)offset);

    return result < 0 ? -errno : result;
}

static ssize_t host_pwrite(PmKernel *kernel G_GNUC_UNUSED, int fd, const void *buffer, size_t size,
                           uint64_t offset)
{
    ssize_t result = pwrite(fd, buffer, size, (off_t)offset);

    return result < 0 ? -errno : result;
}

/* Cached, because every PLUG asks and reading takes longer than a MAP; reread before failing
 * (refresh). */
static int read_ipc_lock(HostKernel *host)
{
    bool effective = false;
    int result = pm_capability_read(CAP_IPC_LOCK, &effective);

    g_atomic_int_set(&host->ipc_lock, result < 0 ? UNKNOWN : effective ? EFFECTIVE : MISSING);
    return result;
}

/* Unknown counts as missing: then the limit is checked, and the capability reread if it is too low.
 */
static bool has_ipc_lock(HostKernel *host)
{
    if (g_atomic_int_get(&host->ipc_lock) == UNKNOWN)
        (void)read_ipc_lock(host);
    return g_atomic_int_get(&host->ipc_lock) == EFFECTIVE;
}

static bool read_kib(const char *line, const char *name, uint64_t *n_bytes)
{
    if (!g_str_has_prefix(line, name))
        return false;
    *n_bytes = g_ascii_strtoull(line + strlen(name), NULL, 10) * PM_KIB;
    return true;
}

static int read_status(PmLockedMemory *locked)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    unsigned n_read = 0;

    if (status == NULL)
        return -errno;
    while (n_read < 2 && fgets(line, sizeof line, status) != NULL)
        n_read +=
            read_kib(line, "VmLck:", &locked->used) || read_kib(line, "VmPin:", &locked->pinned);
    (void)fclose(status);
    return n_read == 2 ? 0 : -ENODATA;
}

static int host_lock_limit(PmKernel *kernel, PmLockedMemory *locked)
{
    uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return -errno;
    locked->limit = UINT64_MAX;
    locked->used = 0;
    locked->pinned = 0;
    if (limit.rlim_cur != RLIM_INFINITY)
        locked->limit = limit.rlim_cur - limit.rlim_cur % page_size;
    locked->waived = has_ipc_lock((HostKernel *)kernel);
    return 0;
}

static int host_locked_memory(PmKernel *kernel, PmLockedMemory *locked)
{
    int result = host_lock_limit(kernel, locked);

    return result < 0 ? result : read_status(locked);
}

static int host_refresh(PmKernel *kernel)
{
    return read_ipc_lock((HostKernel *)kernel);
}

static ssize_t host_readlink(PmKernel *kernel G_GNUC_UNUSED, const char *path, char *buffer,
                             size_t size)
{
    ssize_t result = readlink(path, buffer, size);

    return result < 0 ? -errno : result;
}

static int read_folder(DIR *folder, GPtrArray *names)
{
    const struct dirent *entry;

    for (errno = 0; (entry = readdir(folder)) != NULL; errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            g_ptr_array_add(names, g_strdup(entry->d_name));
    return -errno;
}

static int host_list(PmKernel *kernel G_GNUC_UNUSED, const char *path, GStrv *names)
{
    DIR *folder = opendir(path);
    GPtrArray *found;
    int result;

    if (folder == NULL)
        return -errno;
    found = g_ptr_array_new();
    result = read_folder(folder, found);
    (void)closedir(folder);
    g_ptr_array_add(found, NULL);
    *names = (GStrv)g_ptr_array_free(found, FALSE);
    if (result < 0)
        g_clear_pointer(names, g_strfreev);
    return result;
}

static void host_free(PmKernel *kernel)
{
    g_free(kernel);
}

static const PmKernelOps host_ops = {
    .struct_size = sizeof(host_ops),
    .open = host_open,
    .close = host_close,
    .ioctl = host_ioctl,
    .mmap = host_mmap,
    .munmap = host_munmap,
    .pread = host_pread,
    .pwrite = host_pwrite,
    .lock_limit = host_lock_limit,
    .locked_memory = host_locked_memory,
    .refresh = host_refresh,
    .readlink = host_readlink,
    .list = host_list,
    .free = host_free,
};

/* Keeps the account for all of this process's; a child made by fork() begins a new one, without a
 * lock that another thread may have held. */
static PmKernel *account(void)
{
    static PmKernel *root;
    PmKernel *found = g_atomic_pointer_get(&root);
    HostKernel *made;

    if (found != NULL && found->data->process == pm_process_token())
        return found;
    made = g_new0(HostKernel, 1);
    (void)pm_kernel_init(&made->parent, &host_ops, NULL, NULL);
    if (g_atomic_pointer_compare_and_exchange(&root, found, &made->parent))
        return &made->parent;
    pm_kernel_unref(&made->parent);
    return account();
}

PmKernel *pm_kernel_host_new(void)
{
    HostKernel *host = g_new0(HostKernel, 1);

    (void)pm_kernel_init(&host->parent, &host_ops, account(), NULL);
    return &host->parent;
}
