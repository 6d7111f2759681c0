/* SPDX-License-Identifier: MIT */
/*
 * PmKernel: the system calls on VFIO and iommufd files, and access to sysfs, as one small
 * interface.
 *
 * The host kernel (pm_kernel_host_new()) calls the system. The fake kernel (fake.h) implements the
 * same requests with the same structs and results in this process. Others can embed PmKernel as the
 * first member of a struct and fill in PmKernelOps, for example to record some calls and forward
 * all.
 *
 * Results are those of the system calls, with -errno in place of -1 and errno.
 *
 * A PmKernel belongs to the process that created it. In a child made by fork(2) the library calls
 * only its @close, @munmap and @free, which affect the child's own copies; all other calls return
 * -ECHILD without calling it. A child that needs a device creates its own PmKernel.
 */
#ifndef PLUGMAP_KERNEL_H
#define PLUGMAP_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <plugmap/error.h>

G_BEGIN_DECLS

typedef struct PmKernel PmKernel;
typedef struct PmKernelPrivate PmKernelPrivate;

/**
 * PmLockedMemory: the locked memory of this process, as the kernel counts it.
 * @struct_size: sizeof(PmLockedMemory); the caller sets it (macros.h).
 * @limit: RLIMIT_MEMLOCK in bytes, rounded down to pages; UINT64_MAX: none.
 * @used: bytes locked now (VmLck of /proc/self/status: type1's pinned memory plus mlock()).
 * @pinned: bytes pinned by iommufd now (VmPin of /proc/self/status), whoever is charged.
 * @waived: CAP_IPC_LOCK is effective: memory is counted, but the limit is not enforced.
 */
typedef struct {
    size_t struct_size;
    uint64_t limit;
    uint64_t used;
    uint64_t pinned;
    bool waived;
} PmLockedMemory;

/**
 * PmKernelOps: one function per system call, each safe from several threads. A kernel that forwards
 * to another (pm_kernel_init() with @next) sets @free and those it overrides; NULL forwards to the
 * other. A kernel of its own sets all: a missing call returns -ENOSYS.
 * @struct_size: sizeof(PmKernelOps) (macros.h).
 * @open: open(2); @path is absolute, @flags are O_RDWR and O_CLOEXEC. Returns a descriptor.
 * @close: close(2).
 * @ioctl: ioctl(2). @argument is the pointer, or the integer cast to one, that the request takes.
 * @mmap: mmap(2) of @size bytes at file offset @offset, anywhere; sets @address. Returns 0.
 * @munmap: munmap(2) of a result of @mmap.
 * @pread: pread(2). Returns the bytes read.
 * @pwrite: pwrite(2). Returns the bytes written.
 * @lock_limit: getrlimit(2), and whether CAP_IPC_LOCK is effective: sets limit and waived, and sets
 * used and pinned to 0. Assign members one by one: struct_size is the library's, whose version may
 * have more or fewer members. Must be fast, because each PLUG calls it: it may cache @waived.
 * @locked_memory: the same, and /proc/self/status. Returns 0.
 * @refresh: refreshes what these two cache, for the calling thread. The library calls it before it
 * fails for lack of locked memory or explains such a failure: the cache may be out of date, but no
 * refusal is. Returns 0. These three are not calls on VFIO files; they are here because a kernel
 * that is not this process's has its own count.
 * @readlink: readlink(2): @path is absolute, below /sys. Copies up to @size bytes of the target to
 * @buffer, without a terminating zero. Returns the number.
 * @list: opendir(3) and readdir(3): @path is absolute, below /sys. Sets @names to the entries
 * except . and .., in any order; the caller frees it with g_strfreev(). Returns 0.
 * @free: frees the implementation and itself; called when the last reference is dropped.
 */
typedef struct {
    size_t struct_size;
    int (*open)(PmKernel *kernel, const char *path, int flags);
    int (*close)(PmKernel *kernel, int fd);
    int (*ioctl)(PmKernel *kernel, int fd, unsigned long request, void *argument);
    int (*mmap)(PmKernel *kernel, int fd, size_t size, int protection, int flags, uint64_t offset,
                void **address);
    int (*munmap)(PmKernel *kernel, void *address, size_t size);
    ssize_t (*pread)(PmKernel *kernel, int fd, void *buffer, size_t size, uint64_t offset);
    ssize_t (*pwrite)(PmKernel *kernel, int fd, const void *buffer, size_t size, uint64_t offset);
    int (*lock_limit)(PmKernel *kernel, PmLockedMemory *locked);
    int (*locked_memory)(PmKernel *kernel, PmLockedMemory *locked);
    int (*refresh)(PmKernel *kernel);
    ssize_t (*readlink)(PmKernel *kernel, const char *path, char *buffer, size_t size);
    int (*list)(PmKernel *kernel, const char *path, GStrv *names);
    void (*free)(PmKernel *kernel);
} PmKernelOps;

/**
 * PmKernel: embed it as the first member of an implementation, and initialize it with
 * pm_kernel_init(). Frozen: it never grows.
 * @ops: a copy of the implementation's, as far as the library knows it; read-only for others.
 * @data: private.
 */
struct PmKernel {
    const PmKernelOps *ops;
    PmKernelPrivate *data;
};

/**
 * Initializes @kernel with a copy of @ops and one reference; drop it with pm_kernel_unref().
 * @next: the kernel that it forwards calls to, which must outlive it: reservations of locked memory
 * add up over both. NULL: a kernel of its own.
 * Errors: PM_ERROR_INVALID_ARGUMENT, PM_ERROR_UNSUPPORTED (the size of @ops; macros.h).
 */
PM_EXPORT bool pm_kernel_init(PmKernel *kernel, const PmKernelOps *ops, PmKernel *next,
                              GError **error);

/** The host's kernel; all instances in a process share one account of locked memory. Returns a new
 * reference; drop it with pm_kernel_unref(). Cannot fail. Any thread. */
PM_EXPORT PmKernel *pm_kernel_host_new(void);

/** Takes a reference. Any thread. Returns @kernel. */
PM_EXPORT PmKernel *pm_kernel_ref(PmKernel *kernel);

/** Drops a reference; the last one frees. NULL does nothing. Any thread. */
PM_EXPORT void pm_kernel_unref(PmKernel *kernel);

/** Whether the process that made the kernel is another one, which this one was forked from. Any
 * thread. */
PM_EXPORT bool pm_kernel_is_inherited(const PmKernel *kernel);

/*
 * Calls on a descriptor of a kernel, for drivers: pm_iommu_open_device() returns a descriptor of
 * the PmIommu's kernel, which need not be the host's. They return -errno on failure, and -ECHILD in
 * a child made by fork(2), because the files are its parent's. Any thread.
 */

/** ioctl(2). @argument: the pointer, or the integer cast to one, that the request takes. */
PM_EXPORT int pm_kernel_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument);
/** mmap(2) of @size bytes at file offset @offset, anywhere: sets @address and returns 0. The caller
 * unmaps it with pm_kernel_munmap(). */
PM_EXPORT int pm_kernel_mmap(PmKernel *kernel, int fd, size_t size, int protection, int flags,
                             uint64_t offset, void **address);
/** munmap(2) of what pm_kernel_mmap() returned; also works in a forked child, on its own copy. */
PM_EXPORT int pm_kernel_munmap(PmKernel *kernel, void *address, size_t size);
/** pread(2). Returns the number of bytes read. */
PM_EXPORT ssize_t pm_kernel_pread(PmKernel *kernel, int fd, void *buffer, size_t size,
                                  uint64_t offset);
/** pwrite(2). Returns the number of bytes written. */
PM_EXPORT ssize_t pm_kernel_pwrite(PmKernel *kernel, int fd, const void *buffer, size_t size,
                                   uint64_t offset);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmKernel, pm_kernel_unref)

G_END_DECLS

#endif
