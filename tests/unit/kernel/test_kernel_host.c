/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cap-ng.h>

#include <plugmap/kernel.h>

#include "util/kernel_util.h"

static int make(void **state)
{
    *state = pm_kernel_host_new();
    return 0;
}

static int drop(void **state)
{
    pm_kernel_unref(*state);
    return 0;
}

/* The file is already unlinked. */
static int open_file(PmKernel *kernel)
{
    char path[] = "/tmp/plugmap-kernel-host-XXXXXX";
    int made = mkstemp(path);
    int fd;

    assert_true(made >= 0);
    fd = kernel->ops->open(kernel, path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(close(made), 0);
    assert_int_equal(unlink(path), 0);
    return fd;
}

static void open_of_a_missing_file_fails_with_enoent(void **state)
{
    PmKernel *kernel = *state;

    assert_int_equal(kernel->ops->open(kernel, "/no/such/file", O_RDWR | O_CLOEXEC), -ENOENT);
}

static void open_passes_flags(void **state)
{
    PmKernel *kernel = *state;
    int fd = open_file(kernel);

    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(kernel->ops->close(kernel, fd), 0);
}

static void calls_on_a_closed_descriptor_fail_with_ebadf(void **state)
{
    PmKernel *kernel = *state;
    int fd = open_file(kernel);
    char byte = 0;
    void *address = NULL;

    assert_int_equal(kernel->ops->close(kernel, fd), 0);
    assert_int_equal(kernel->ops->close(kernel, fd), -EBADF);
    assert_int_equal(kernel->ops->ioctl(kernel, fd, FIONREAD, &byte), -EBADF);
    assert_int_equal(kernel->ops->pread(kernel, fd, &byte, 1, 0), -EBADF);
    assert_int_equal(kernel->ops->pwrite(kernel, fd, &byte, 1, 0), -EBADF);
    assert_int_equal(kernel->ops->mmap(kernel, fd, 4096, PROT_READ, MAP_SHARED, 0, &address),
                     -EBADF);
    assert_null(address);
}

static void written_data_can_be_read_and_mapped(void **state)
{
    PmKernel *kernel = *state;
    int fd = open_file(kernel);
    char text[6] = {0};
    void *address = NULL;

    assert_int_equal(ftruncate(fd, 8192), 0);
    assert_int_equal(kernel->ops->pwrite(kernel, fd, "block", 5, 5000), 5);
    assert_int_equal(kernel->ops->pread(kernel, fd, text, 5, 5000), 5);
    assert_string_equal(text, "block");
    assert_int_equal(kernel->ops->mmap(kernel, fd, 4096, PROT_READ, MAP_SHARED, 4096, &address), 0);
    assert_memory_equal((const char *)address + (5000 - 4096), "block", 5);
    assert_int_equal(kernel->ops->munmap(kernel, address, 4096), 0);
    assert_int_equal(kernel->ops->munmap(kernel, (char *)address + 1, 4096), -EINVAL);
    assert_int_equal(kernel->ops->close(kernel, fd), 0);
}

static void ioctl_returns_its_result_or_errno(void **state)
{
    PmKernel *kernel = *state;
    int fd = open_file(kernel);
    int n_bytes = -1;

    assert_int_equal(kernel->ops->pwrite(kernel, fd, "abc", 3, 0), 3);
    assert_int_equal(kernel->ops->ioctl(kernel, fd, FIONREAD, &n_bytes), 0);
    assert_int_equal(n_bytes, 3);
    assert_int_equal(kernel->ops->ioctl(kernel, fd, 0x3b64, NULL), -ENOTTY);
    assert_int_equal(kernel->ops->close(kernel, fd), 0);
}

static PmLockedMemory query(PmKernel *kernel)
{
    PmLockedMemory locked = {.struct_size = sizeof(locked)};

    assert_int_equal(kernel->ops->locked_memory(kernel, &locked), 0);
    return locked;
}

static void limit_is_rlimit_memlock_rounded_down_to_pages(void **state)
{
    struct rlimit before;
    struct rlimit lowered;

    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
    lowered = before;
    lowered.rlim_cur = 5 * 4096 + 123;
    if (setrlimit(RLIMIT_MEMLOCK, &lowered) != 0)
        skip();
    assert_int_equal(query(*state).limit, 5 * 4096);
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

static void no_limit_is_the_largest_number(void **state)
{
    struct rlimit before;
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
    if (setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0)
        skip();
    assert_true(query(*state).limit == UINT64_MAX);
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

static void used_follows_mlock_and_munlock(void **state)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE) * 4;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t used = query(*state).used;

    assert_ptr_not_equal(memory, MAP_FAILED);
    if (mlock(memory, size) != 0)
        skip();
    /* Sanitizers turn mlock() into a no-op. */
    if (query(*state).used != used)
        assert_int_equal(query(*state).used, used + size);
    assert_int_equal(munlock(memory, size), 0);
    assert_int_equal(query(*state).used, used);
    assert_int_equal(munmap(memory, size), 0);
}

static bool has_ipc_lock(void)
{
    assert_int_equal(capng_get_caps_process(), 0);
    return capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK) != 0;
}

/* A cached value may be stale, and is refreshed on request. */
static void waived_is_the_effective_capability(void **state)
{
    PmKernel *kernel = *state;

    assert_int_equal(query(kernel).waived, has_ipc_lock());
    if (!has_ipc_lock())
        skip();
    kernel_set_capability(CAP_IPC_LOCK, false);
    assert_true(query(kernel).waived);
    assert_int_equal(kernel->ops->refresh(kernel), 0);
    assert_false(query(kernel).waived);
    kernel_set_capability(CAP_IPC_LOCK, true);
    assert_int_equal(kernel->ops->refresh(kernel), 0);
    assert_true(query(kernel).waived);
}

/* PLUG queries only the limit, because the rest takes longer than a MAP. */
static void lock_limit_and_locked_memory_agree(void **state)
{
    PmKernel *kernel = *state;
    PmLockedMemory all = query(kernel);
    PmLockedMemory limit = {.struct_size = sizeof(limit), .used = 1};

    assert_int_equal(kernel->ops->lock_limit(kernel, &limit), 0);
    assert_true(limit.limit == all.limit);
    assert_int_equal(limit.waived, all.waived);
    assert_int_equal(limit.used, 0);
}

#define HOST_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOST_TEST(open_of_a_missing_file_fails_with_enoent),
        HOST_TEST(open_passes_flags),
        HOST_TEST(calls_on_a_closed_descriptor_fail_with_ebadf),
        HOST_TEST(written_data_can_be_read_and_mapped),
        HOST_TEST(ioctl_returns_its_result_or_errno),
        HOST_TEST(limit_is_rlimit_memlock_rounded_down_to_pages),
        HOST_TEST(no_limit_is_the_largest_number),
        HOST_TEST(used_follows_mlock_and_munlock),
        HOST_TEST(waived_is_the_effective_capability),
        HOST_TEST(lock_limit_and_locked_memory_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
