/* SPDX-License-Identifier: MIT */
/* Failed discards: nothing is lost, or the error says that something may be. The linker wraps
 * fallocate() and madvise() with the functions here, for failures of hardware and races. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <plugmap/ram.h>
#include <plugmap/size.h>

#include "util/valgrind_util.h"

#define PAGE    UINT64_C(4096)
#define N_PAGES 8
#define SIZE    (N_PAGES * PAGE)

int __real_fallocate(int fd, int mode, off_t offset, off_t size);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t size);
int __real_madvise(void *address, size_t size, int advice);
int __wrap_madvise(void *address, size_t size, int advice);

/* Errno of the next call; 0: it succeeds. */
static int fallocate_error;
/* So many calls are interrupted by a signal. */
static unsigned dontneed_signals;
/* Errno of every call; 0: it succeeds. */
static int dontneed_error;

int __wrap_fallocate(int fd, int mode, off_t offset, off_t size)
{
    if (fallocate_error == 0)
        return __real_fallocate(fd, mode, offset, size);
    errno = fallocate_error;
    fallocate_error = 0;
    return -1;
}

int __wrap_madvise(void *address, size_t size, int advice)
{
    if (advice == MADV_DONTNEED && dontneed_signals > 0) {
        dontneed_signals--;
        errno = EINTR;
        return -1;
    }
    if (advice != MADV_DONTNEED || dontneed_error == 0)
        return __real_madvise(address, size, advice);
    errno = dontneed_error;
    return -1;
}

typedef struct {
    char *host;
    int fd;      /* -1: none */
    int used_fd; /* the RAM's; may differ */
    PmRam *ram;
} Memory;

static void adopt(Memory *memory, bool shared)
{
    const PmRamAdoption adoption = {.struct_size = sizeof(adoption),
                                    .host = memory->host,
                                    .size = SIZE,
                                    .has_fd = memory->used_fd >= 0,
                                    .fd = memory->used_fd,
                                    .shared = shared};

    memory->ram = pm_ram_adopt(&adoption, NULL);
    assert_non_null(memory->ram);
    memset(memory->host, 'm', SIZE);
}

/* The file contains 'f' where its private mapping contains 'm'. */
static Memory make_memory(bool shared, bool with_file)
{
    Memory memory = {.fd = -1};
    int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | (with_file ? 0 : MAP_ANONYMOUS);
    char bytes[SIZE];

    memset(bytes, 'f', SIZE);
    if (with_file) {
        memory.fd = memfd_create("discard", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert_int_equal(pwrite(memory.fd, bytes, SIZE, 0), SIZE);
    }
    memory.used_fd = memory.fd;
    memory.host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, memory.fd, 0);
    assert_ptr_not_equal(memory.host, MAP_FAILED);
    adopt(&memory, shared);
    return memory;
}

static void drop(Memory *memory)
{
    pm_ram_unref(memory->ram);
    (void)munmap(memory->host, SIZE);
    if (memory->used_fd != memory->fd)
        (void)close(memory->used_fd);
    if (memory->fd >= 0)
        (void)close(memory->fd);
}

static char byte_of_file(const Memory *memory, uint64_t offset)
{
    char byte = 0;

    assert_int_equal(pread(memory->fd, &byte, 1, (off_t)offset), 1);
    return byte;
}

static void assert_file(const Memory *memory, char byte)
{
    for (uint64_t offset = 0; offset < SIZE; offset += PAGE)
        assert_int_equal(byte_of_file(memory, offset), byte);
}

static void assert_memory(const Memory *memory, uint64_t n_pages, char byte)
{
    for (uint64_t i = 0; i < n_pages; i++)
        assert_int_equal(memory->host[i * PAGE], byte);
}

static void assert_fails(const Memory *memory, PmError code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(pm_ram_discard(memory->ram, 0, SIZE, &error));
    if (!g_error_matches(error, PM_ERROR, (gint)code) || strstr(error->message, words) == NULL)
        fail_msg("code %d, '%s'", error->code, error->message);
}

/* Without mlock(), which sanitizers make a no-op. */
static void lock_page(const char *address)
{
    if (syscall(SYS_mlock, address, PAGE) == 0)
        return;
    fprintf(stderr, "skipped: this process may not lock a page (ulimit -l)\n");
    skip();
}

/* --- pages that are locked --- */

static void nothing_is_lost_before_a_locked_page(void **state)
{
    (void)state;
    for (unsigned shared = 0; shared < 2; shared++) {
        Memory memory = make_memory(shared != 0, false);

        lock_page(memory.host + 4 * PAGE);
        assert_fails(&memory, PM_ERROR_MEMORY, "mlock");
        assert_memory(&memory, N_PAGES, 'm');
        assert_int_equal(syscall(SYS_munlock, memory.host, SIZE), 0);
        assert_true(pm_ram_discard(memory.ram, 0, SIZE, NULL));
        assert_memory(&memory, N_PAGES, 0);
        drop(&memory);
    }
}

static void locked_pages_beside_the_range_do_not_matter(void **state)
{
    Memory memory = make_memory(false, false);

    (void)state;
    lock_page(memory.host);
    lock_page(memory.host + 3 * PAGE);
    assert_true(pm_ram_discard(memory.ram, PAGE, 2 * PAGE, NULL));
    drop(&memory);
}

static void a_locked_private_file_mapping_keeps_its_pages_and_the_files(void **state)
{
    Memory memory = make_memory(false, true);

    (void)state;
    lock_page(memory.host + 4 * PAGE);
    assert_fails(&memory, PM_ERROR_MEMORY, "mlock");
    assert_memory(&memory, N_PAGES, 'm');
    assert_file(&memory, 'f');
    drop(&memory);
}

/* Punching a hole ignores locked pages. */
static void locked_pages_of_a_shared_file_are_discarded(void **state)
{
    Memory memory = make_memory(true, true);
    char *other = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, memory.fd, 0);

    (void)state;
    assert_ptr_not_equal(other, MAP_FAILED);
    lock_page(memory.host + PAGE);
    lock_page(other + 4 * PAGE);
    assert_true(pm_ram_discard(memory.ram, 0, SIZE, NULL));
    assert_memory(&memory, N_PAGES, 0);
    (void)munmap(other, SIZE);
    drop(&memory);
}

/* --- mappings other than described --- */

static void nothing_is_lost_before_a_page_that_is_not_mapped(void **state)
{
    Memory memory;

    (void)state;
    skip_under_valgrind(); /* it reports bad addresses in system calls as errors */
    memory = make_memory(false, false);
    assert_int_equal(munmap(memory.host + 4 * PAGE, PAGE), 0);
    assert_fails(&memory, PM_ERROR_MEMORY, "mapped as described");
    assert_memory(&memory, 4, 'm');
    drop(&memory);
}

/* MADV_REMOVE only works on shared memory. */
static void replace_by_private_memory(Memory *memory, uint64_t offset, uint64_t size)
{
    assert_ptr_equal(mmap(memory->host + offset, size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                     memory->host + offset);
    memset(memory->host + offset, 'm', size);
}

static void a_first_mapping_that_refuses_loses_nothing(void **state)
{
    Memory memory = make_memory(true, false);

    (void)state;
    replace_by_private_memory(&memory, 0, 4 * PAGE);
    assert_fails(&memory, PM_ERROR_MEMORY, "mapped as described");
    assert_memory(&memory, N_PAGES, 'm');
    drop(&memory);
}

static void losses_before_a_refusing_mapping_are_reported(void **state)
{
    Memory memory = make_memory(true, false);

    (void)state;
    replace_by_private_memory(&memory, 4 * PAGE, 4 * PAGE);
    assert_fails(&memory, PM_ERROR_QUARANTINED, "its contents may be lost");
    assert_memory(&memory, 4, 0);
    drop(&memory);
}

/* --- files that refuse --- */

static void a_read_only_file_is_not_discarded(void **state)
{
    (void)state;
    for (unsigned shared = 0; shared < 2; shared++) {
        Memory memory = make_memory(shared != 0, true);
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", memory.fd);

        pm_ram_unref(memory.ram);
        memory.used_fd = open(path, O_RDONLY | O_CLOEXEC);
        adopt(&memory, shared != 0);
        assert_fails(&memory, PM_ERROR_MEMORY, "EBADF");
        assert_memory(&memory, N_PAGES, 'm');
        assert_file(&memory, shared != 0 ? 'm' : 'f');
        drop(&memory);
    }
}

static void a_write_sealed_file_is_not_discarded(void **state)
{
    Memory memory = make_memory(false, true);

    (void)state;
    assert_int_equal(fcntl(memory.fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    assert_fails(&memory, PM_ERROR_MEMORY, "EPERM");
    assert_memory(&memory, N_PAGES, 'm');
    assert_file(&memory, 'f');
    drop(&memory);
}

static void a_shared_write_sealed_file_is_not_discarded(void **state)
{
    Memory memory = make_memory(true, true);

    (void)state;
    /* Existing writable mappings stay writable. */
    assert_int_equal(fcntl(memory.fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
    assert_fails(&memory, PM_ERROR_MEMORY, "EPERM");
    assert_memory(&memory, N_PAGES, 'm');
    drop(&memory);
}

static void a_failing_file_may_have_lost_contents(void **state)
{
    Memory memory = make_memory(true, true);

    (void)state;
    fallocate_error = EIO;
    assert_fails(&memory, PM_ERROR_QUARANTINED, "EIO");
    drop(&memory);
}

static void a_failed_private_mapping_reports_that_the_file_lost_its_pages(void **state)
{
    Memory memory = make_memory(false, true);

    (void)state;
    dontneed_error = EINVAL; /* locked after the check */
    assert_fails(&memory, PM_ERROR_QUARANTINED, "its contents may be lost");
    dontneed_error = 0;
    assert_file(&memory, 0);
    drop(&memory);
}

/* --- signals --- */

static void a_signal_does_not_interrupt_a_discard(void **state)
{
    Memory memory = make_memory(true, true);

    (void)state;
    fallocate_error = EINTR;
    assert_true(pm_ram_discard(memory.ram, 0, SIZE, NULL));
    assert_memory(&memory, N_PAGES, 0);
    drop(&memory);
}

static void a_signal_does_not_interrupt_a_discard_of_memory_without_a_file(void **state)
{
    Memory memory = make_memory(false, false);

    (void)state;
    dontneed_signals = 1;
    assert_true(pm_ram_discard(memory.ram, 0, SIZE, NULL));
    assert_memory(&memory, N_PAGES, 0);
    drop(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_before_a_locked_page),
        cmocka_unit_test(locked_pages_beside_the_range_do_not_matter),
        cmocka_unit_test(a_locked_private_file_mapping_keeps_its_pages_and_the_files),
        cmocka_unit_test(locked_pages_of_a_shared_file_are_discarded),
        cmocka_unit_test(nothing_is_lost_before_a_page_that_is_not_mapped),
        cmocka_unit_test(a_first_mapping_that_refuses_loses_nothing),
        cmocka_unit_test(losses_before_a_refusing_mapping_are_reported),
        cmocka_unit_test(a_read_only_file_is_not_discarded),
        cmocka_unit_test(a_write_sealed_file_is_not_discarded),
        cmocka_unit_test(a_shared_write_sealed_file_is_not_discarded),
        cmocka_unit_test(a_failing_file_may_have_lost_contents),
        cmocka_unit_test(a_failed_private_mapping_reports_that_the_file_lost_its_pages),
        cmocka_unit_test(a_signal_does_not_interrupt_a_discard),
        cmocka_unit_test(a_signal_does_not_interrupt_a_discard_of_memory_without_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
