/* SPDX-License-Identifier: MIT */
/*
 * PmKernel: the system calls on VFIO and iommufd files, and what is read of devices in sysfs,
 * behind one small interface.
 *
 * The host kernel (pm_kernel_host_new()) calls the system. The fake kernel (fake.h) is a kernel in
 * this process that takes the same calls with the same structs and gives the same results. Others
 * can be written by embedding PmKernel as the first member of a struct and filling in PmKernelOps
 * (a recorder that looks at some calls and forwards all, for example).
 *
 * Results are those of the system calls, with -errno in place of -1 and errno.
 *
 * A PmKernel belongs to the process that made it. In a child made by fork(2) the library calls only
 * @close, @munmap and @free of it, which concern the child's own copies; for all other calls the
 * result is -ECHILD, and nothing is called. A child that wants a device makes a PmKernel of its
 * own.
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
 * PmLockedMemory: what this process may lock, as the kernel counts it.
 * @struct_size: sizeof(PmLockedMemory); the caller sets it (macros.h).
 * @limit: RLIMIT_MEMLOCK in bytes, rounded down to pages; UINT64_MAX for none.
 * @used: bytes locked now (VmLck of /proc/self/status: what type1 has pinned and mlock()ed memory
 * together).
 * @pinned: bytes that iommufd has pinned now (VmPin of /proc/self/status), whoever is charged.
 * @waived: CAP_IPC_LOCK is effective: the limit is not enforced, though memory is counted.
 */
typedef struct {
    size_t struct_size;
    uint64_t limit;
    uint64_t used;
    uint64_t pinned;
    bool waived;
} PmLockedMemory;

/**
 * PmKernelOps: one function a system call. All must be safe from several threads. A kernel that
 * forwards to another (pm_kernel_init() with @next) sets @free and those that it does something
 * about; where it leaves NULL, the other is called. All others set all: a call that none has is
 * -ENOSYS.
 * @struct_size: sizeof(PmKernelOps) (macros.h).
 * @open: open(2); @path is absolute, @flags are O_RDWR and O_CLOEXEC. Returns a descriptor.
 * @close: close(2).
 * @ioctl: ioctl(2). @argument is the pointer, or the integer cast to one, that the request takes.
 * @mmap: mmap(2) of @size bytes at file offset @offset, anywhere; the address goes to @address.
 * Returns 0.
 * @munmap: munmap(2) of something @mmap returned.
 * @pread: pread(2). Returns the bytes read.
 * @pwrite: pwrite(2). Returns the bytes written.
 * @lock_limit: getrlimit(2), and whether CAP_IPC_LOCK is effective: fills in limit and waived, and
 * sets used and pinned to 0. It assigns members one by one: struct_size is the library's, and
 * another version of it may have more of them, or fewer. Quick, because each PLUG asks: it may
 * remember @waived.
 * @locked_memory: the same, and /proc/self/status. Returns 0.
 * @refresh: reads anew what the two remember, for the calling thread. The library calls it before
 * it refuses something, or explains a refusal, for want of locked memory; so what is remembered
 * may be out of date, but no refusal is. Returns 0. These three are no calls on a VFIO file; they
 * are here because a kernel that is not this process's own keeps its own count.
 * @readlink: readlink(2): @path is absolute, below /sys. Up to @size bytes of the link's target,
 * not terminated, go to @buffer. Returns how many.
 * @list: opendir(3) and readdir(3): @path is absolute, below /sys. The names in that folder but for
 * . and .., in any order, go to @names, which the caller frees with g_strfreev(). Returns 0.
 * @free: gives back what the implementation holds, and itself; called when the last reference goes.
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
 * PmKernel: embed as the first member of an implementation and set up with pm_kernel_init().
 * Frozen: it never grows. @ops: a copy of the implementation's, as far as the library knows it; for
 * others to read. @data: private.
 */
struct PmKernel {
    const PmKernelOps *ops;
    PmKernelPrivate *data;
};

/**
 * Sets up @kernel with a copy of @ops and one reference; drop it with pm_kernel_unref().
 * @next: the kernel that it forwards calls to, which must live as long: reservations of locked
 * memory add up over both. NULL: it is a kernel of its own.
 * Errors: PM_ERROR_INVALID_ARGUMENT, PM_ERROR_UNSUPPORTED (the size of @ops; macros.h).
 */
PM_EXPORT bool pm_kernel_init(PmKernel *kernel, const PmKernelOps *ops, PmKernel *next,
                              GError **error);

/** The host's kernel; all that are made in a process are one. Returns a new reference; drop it with
 * pm_kernel_unref(). Cannot fail. Any thread. */
PM_EXPORT PmKernel *pm_kernel_host_new(void);

/** Takes a reference. Any thread. Returns @kernel. */
PM_EXPORT PmKernel *pm_kernel_ref(PmKernel *kernel);

/** Drops a reference; the last one frees. NULL does nothing. Any thread. */
PM_EXPORT void pm_kernel_unref(PmKernel *kernel);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmKernel, pm_kernel_unref)

G_END_DECLS

#endif
