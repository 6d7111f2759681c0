/* SPDX-License-Identifier: MIT */
/* The first page of a range to fault in, with and without PAGEMAP_SCAN. */
#include "memory/ram_absent.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <plugmap/size.h>

#define PAGE    UINT64_C(4096)
#define SIZE    (4 * PM_MIB)
#define N_PAGES (SIZE / PAGE)

int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_open(const char *path, int flags);
int __real_open(const char *path, int flags);

static bool old_kernel;
static bool no_proc;

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
    if (!old_kernel)
        return __real_ioctl(fd, request, argument);
    errno = ENOTTY;
    return -1;
}

int __wrap_open(const char *path, int flags)
{
    if (!no_proc)
        return __real_open(path, flags);
    errno = ENOENT;
    return -1;
}

static int reset(void **state)
{
    (void)state;
    old_kernel = false;
    no_proc = false;
    return 0;
}

static PmRam *make_ram(PmRamKind kind)
{
    PmRam *ram = pm_ram_new(kind, SIZE, 2 * PM_MIB, NULL);

    assert_non_null(ram);
    return ram;
}

static void assert_absent(PmRam *ram, uint64_t expected)
{
    for (unsigned i = 0; i < 2; i++) {
        old_kernel = i == 1;
        assert_int_equal(pm_ram_find_absent(ram, 0, SIZE), expected);
    }
}

static void write_all(PmRam *ram)
{
    memset(pm_ram_get_host(ram), 1, SIZE);
}

static void untouched_memory_is_absent_from_its_first_page_on(void **state)
{
    static const PmRamKind kinds[] = {PM_RAM_ANONYMOUS, PM_RAM_MEMFD};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(PmRam) ram = make_ram(kinds[i]);

        assert_absent(ram, 0);
        write_all(ram);
        assert_absent(ram, SIZE);
    }
}

static void any_page_that_was_given_back_is_found(void **state)
{
    static const uint64_t pages[] = {0, 1, 511, 512, 1000, N_PAGES - 1};
    static const PmRamKind kinds[] = {PM_RAM_ANONYMOUS, PM_RAM_MEMFD};

    (void)state;
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(pages); i++) {
        g_autoptr(PmRam) ram = make_ram(kinds[i % 2]);

        write_all(ram);
        assert_true(pm_ram_discard(ram, pages[i / 2] * PAGE, PAGE, NULL));
        assert_absent(ram, pages[i / 2] * PAGE);
    }
}

static void range_is_looked_at_alone(void **state)
{
    g_autoptr(PmRam) ram = make_ram(PM_RAM_ANONYMOUS);

    (void)state;
    memset((char *)pm_ram_get_host(ram) + 3 * PAGE, 1, 2 * PAGE);
    for (unsigned i = 0; i < 2; i++) {
        old_kernel = i == 1;
        assert_int_equal(pm_ram_find_absent(ram, 3 * PAGE, 5 * PAGE), 5 * PAGE);
        assert_int_equal(pm_ram_find_absent(ram, 3 * PAGE, 6 * PAGE), 5 * PAGE);
        assert_int_equal(pm_ram_find_absent(ram, 2 * PAGE, 5 * PAGE), 2 * PAGE);
    }
}

/* The zero page, which a write replaces. */
static void page_that_was_only_read_is_absent(void **state)
{
    g_autoptr(PmRam) ram = make_ram(PM_RAM_ANONYMOUS);
    const volatile char *memory = pm_ram_get_host(ram);

    (void)state;
    assert_int_equal(madvise(pm_ram_get_host(ram), SIZE, MADV_NOHUGEPAGE), 0);
    memset(pm_ram_get_host(ram), 1, SIZE / 2);
    for (uint64_t at = SIZE / 2; at < SIZE; at += PAGE)
        (void)memory[at];
    assert_absent(ram, SIZE / 2);
}

/* In the file, but in no page table. */
static void page_that_was_written_through_the_file_is_absent(void **state)
{
    g_autoptr(PmRam) ram = make_ram(PM_RAM_MEMFD);
    char page[PAGE] = "written";

    (void)state;
    assert_int_equal(pwrite(pm_ram_get_fd(ram, NULL), page, PAGE, 0), PAGE);
    assert_absent(ram, 0);
}

/* --- adopted memory --- */

static PmRam *adopt(void *host)
{
    const PmRamAdoption adoption = {
        .struct_size = sizeof(adoption), .host = host, .size = SIZE, .page_size = PAGE};
    PmRam *ram = pm_ram_adopt(&adoption, NULL);

    assert_non_null(ram);
    return ram;
}

static char *map_memory(void)
{
    char *host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(host != MAP_FAILED);
    assert_int_equal(madvise(host, SIZE, MADV_NOHUGEPAGE), 0);
    memset(host, 1, SIZE);
    return host;
}

static void hole_in_adopted_memory_is_absent(void **state)
{
    char *host = map_memory();
    g_autoptr(PmRam) ram = adopt(host);

    (void)state;
    assert_absent(ram, SIZE);
    assert_int_equal(munmap(host + 7 * PAGE, PAGE), 0);
    assert_absent(ram, 7 * PAGE);
    assert_int_equal(munmap(host, SIZE), 0);
}

/* A write would copy it. */
static void page_that_a_child_shares_is_absent(void **state)
{
    char *host = map_memory();
    g_autoptr(PmRam) ram = adopt(host);
    int ends[2];
    pid_t child;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;

        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(ends[0]);
    assert_absent(ram, 0);
    close(ends[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(munmap(host, SIZE), 0);
}

/* --- errors --- */

static void without_proc_everything_is_absent(void **state)
{
    g_autoptr(PmRam) ram = make_ram(PM_RAM_ANONYMOUS);

    (void)state;
    write_all(ram);
    no_proc = true;
    assert_int_equal(pm_ram_find_absent(ram, PAGE, SIZE), PAGE);
}

static void present_memory_that_may_not_be_written_still_fails(void **state)
{
    char *host = map_memory();
    g_autoptr(PmRam) ram = adopt(host);
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_int_equal(mprotect(host, SIZE, PROT_READ), 0);
    assert_false(pm_ram_populate(ram, 0, SIZE, 1, &error));
    assert_int_equal(error->code, PM_ERROR_MEMORY);
    assert_int_equal(munmap(host, SIZE), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, reset)
    const struct CMUnitTest tests[] = {
        TEST(untouched_memory_is_absent_from_its_first_page_on),
        TEST(any_page_that_was_given_back_is_found),
        TEST(range_is_looked_at_alone),
        TEST(page_that_was_only_read_is_absent),
        TEST(page_that_was_written_through_the_file_is_absent),
        TEST(hole_in_adopted_memory_is_absent),
        TEST(page_that_a_child_shares_is_absent),
        TEST(without_proc_everything_is_absent),
        TEST(present_memory_that_may_not_be_written_still_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
