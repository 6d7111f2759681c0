/* SPDX-License-Identifier: MIT */
#include "fake/memory/user_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fake/memory/vma.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE UINT64_C(4096)

/* The calling thread's stack, [low, high); queried once per thread, because that is slow. */
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
 * Whether the range is in stack frames of this function's callers. That memory is in use, hence
 * present and writable, and needs no system call to copy; most system call arguments are there.
 */
static bool in_callers_frames(uintptr_t address, size_t size)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);

    if (stack_bounds.high == 0)
        find_stack();
    return here >= stack_bounds.low && here < stack_bounds.high && address > here &&
           address < stack_bounds.high && size <= stack_bounds.high - address;
}

/*
 * Byte by byte, hidden from the address sanitizer: a kernel may copy past the end of the caller's
 * struct, and reports that by the result.
 */
__attribute__((no_sanitize("address"))) static void
copy_frame(volatile uint8_t *to, const volatile uint8_t *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = from[i];
}

/* Where process_vm_readv is forbidden (seccomp), a pipe checks addresses, too; @size: at most a
 * page. */
static int copy_through_pipe(const void *from, void *to, size_t size)
{
    int ends[2];
    int result = -EFAULT;

    if (pipe2(ends, O_CLOEXEC) < 0)
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
        copy_frame(to, user, size);
        return 0;
    }
    n_read = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    if (n_read < 0 && (errno == EPERM || errno == ENOSYS))
        return copy_in_pieces(user, to, size);
    return n_read >= 0 && (size_t)n_read == size ? 0 : -EFAULT;
}

int pm_user_write(void *user, const void *from, size_t size)
{
    struct iovec local = {(void *)from, size};
    struct iovec remote = {user, size};
    ssize_t n_written;

    if (in_callers_frames((uintptr_t)user, size)) {
        copy_frame(user, from, size);
        return 0;
    }
    n_written = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
    if (n_written < 0 && (errno == EPERM || errno == ENOSYS))
        return copy_in_pieces(from, user, size);
    return n_written >= 0 && (size_t)n_written == size ? 0 : -EFAULT;
}

/* If the device may write, the kernel requires writable pages only; else readable ones. */
static bool vma_allows(const PmVma *vma, PmIommuAccess access)
{
    return access & PM_IOMMU_WRITE ? vma->writable : vma->readable;
}

/* Faults in one page as madvise does, before Linux 5.14. Writing adds 0 to the first word
 * atomically, so as not to lose other threads' writes. */
static bool touch(uint64_t page, bool write)
{
    const int add_nothing = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0);
    uint32_t no_waiters = 0;
    struct iovec local = {&no_waiters, 1};
    struct iovec remote = {(void *)(uintptr_t)page, 1};

    if (!write)
        return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
    return syscall(SYS_futex, &no_waiters, FUTEX_WAKE_OP_PRIVATE, 0, NULL, page, add_nothing) >= 0;
}

/* Faults in pages of one VMA. */
static bool fault_in(uint64_t address, uint64_t end, bool write)
{
    if (madvise((void *)(uintptr_t)address, end - address,
                write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) == 0)
        return true;
    while (errno == EINVAL && address < end && touch(address, write))
        address += PAGE;
    return address == end;
}

/* Faults pages in until one fails; returns its address, or @end. */
static uint64_t populate(uint64_t address, uint64_t end, bool write)
{
    if (fault_in(address, end, write))
        return end;
    while (end - address > PAGE) {
        uint64_t middle = address + ((end - address) / 2 & -PAGE);

        if (fault_in(address, middle, write))
            address = middle;
        else
            end = middle;
    }
    return address;
}

uint64_t pm_user_pin(uint64_t address, uint64_t size, PmIommuAccess access, bool with_populate)
{
    uint64_t end = address + size;
    uint64_t at = address;
    PmVma vma;

    while (at < end && pm_vma_find(at, &vma) && vma.start <= at && vma_allows(&vma, access)) {
        uint64_t part_end = MIN(vma.end, end);
        /* Pinning breaks copy-on-write of private pages even for reading. */
        bool write = access & PM_IOMMU_WRITE || (vma.writable && !vma.shared);

        at = with_populate ? populate(at, part_end, write) : part_end;
        if (at < part_end)
            break;
    }
    return at - address;
}
