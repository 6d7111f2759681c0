/* SPDX-License-Identifier: MIT */
#include "fake/user_memory.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fake/vma.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE UINT64_C(4096)

/* The calling thread's stack, [low, high); asked for once a thread, because that is slow. */
static __thread struct {
    uintptr_t low;
    uintptr_t high;
} stack_bounds;

static void find_stack(void)
{
    pthread_attr_t attributes;
    void *low;
    size_t size;

    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    if (pthread_attr_getstack(&attributes, &low, &size) == 0) {
        stack_bounds.low = (uintptr_t)low;
        stack_bounds.high = (uintptr_t)low + size;
    }
    pthread_attr_destroy(&attributes);
}

/*
 * Whether the range is in frames of callers of this function: memory between here and the top of
 * the thread's stack is in use, so it is there and can be written. Most arguments of system calls
 * are there, and need no system call to copy.
 */
static bool in_callers_frames(uintptr_t address, size_t size)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);

    if (stack_bounds.high == 0)
        find_stack();
    return here >= stack_bounds.low && here < stack_bounds.high && address > here &&
           address < stack_bounds.high && size <= stack_bounds.high - address;
}

/* Where process_vm_readv is not allowed (seccomp), a pipe checks addresses as well; @size at most a
 * page. */
static int copy_through_pipe(const void *from, void *to, size_t size)
{
    int ends[2];
    int result = -EFAULT;

    if (pipe(ends) < 0)
        return -EFAULT;
    if (write(ends[1], from, size) == (ssize_t)size && read(ends[0], to, size) == (ssize_t)size)
        result = 0;
    close(ends[0]);
    close(ends[1]);
    return result;
}

static int copy_in_pieces(const void *from, void *to, size_t size)
{
    size_t done = 0;

    while (done < size) {
        size_t piece = MIN(size - done, PAGE);
        int result = copy_through_pipe((const char *)from + done, (char *)to + done, piece);

        if (result < 0)
            return result;
        done += piece;
    }
    return 0;
}

int pm_user_read(void *to, const void *user, size_t size)
{
    struct iovec local = {to, size};
    struct iovec remote = {(void *)user, size};
    ssize_t n_read;

    if (in_callers_frames((uintptr_t)user, size)) {
        memcpy(to, user, size);
        return 0;
    }
    n_read = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    if (n_read < 0 && (errno == EPERM || errno == ENOSYS))
        return copy_in_pieces(user, to, size);
    return n_read == (ssize_t)size ? 0 : -EFAULT;
}

int pm_user_write(void *user, const void *from, size_t size)
{
    struct iovec local = {(void *)from, size};
    struct iovec remote = {user, size};
    ssize_t n_written;

    if (in_callers_frames((uintptr_t)user, size)) {
        memcpy(user, from, size);
        return 0;
    }
    n_written = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
    if (n_written < 0 && (errno == EPERM || errno == ENOSYS))
        return copy_in_pieces(from, user, size);
    return n_written == (ssize_t)size ? 0 : -EFAULT;
}

/* A device that may write makes the kernel ask for writable pages only; else they have to be
 * readable. */
static bool vma_allows(const PmVma *vma, PmIommuAccess access)
{
    return access & PM_IOMMU_WRITE ? vma->writable : vma->readable;
}

/* Up to where VMAs follow each other without a hole and allow the access. */
static uint64_t allowed_end(uint64_t address, uint64_t end, PmIommuAccess access)
{
    uint64_t at = address;
    PmVma vma;

    while (at < end && pm_vma_find(at, &vma) && vma.start <= at && vma_allows(&vma, access))
        at = MIN(vma.end, end);
    return at;
}

/* Faults pages in as pinning does. Private pages are written even for reading: the pin breaks
 * copy-on-write. */
static bool populate(uint64_t address, uint64_t size, PmIommuAccess access)
{
    PmVma vma;
    bool write = access & PM_IOMMU_WRITE;

    if (!write && pm_vma_find(address, &vma))
        write = vma.writable && !vma.shared;
    return madvise((void *)(uintptr_t)address, size,
                   write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) == 0;
}

/* The first page that cannot be faulted in, when not all can: pages before it are. */
static uint64_t first_unpopulated(uint64_t address, uint64_t end, PmIommuAccess access)
{
    while (end - address > PAGE) {
        uint64_t half = (end - address) / 2 & -PAGE;

        if (populate(address, half, access))
            address += half;
        else
            end = address + half;
    }
    return address;
}

uint64_t pm_user_pin(uint64_t address, uint64_t size, PmIommuAccess access, bool populate_too)
{
    uint64_t end = allowed_end(address, address + size, access);

    if (populate_too && end > address && !populate(address, end - address, access))
        end = first_unpopulated(address, end, access);
    return end - address;
}
