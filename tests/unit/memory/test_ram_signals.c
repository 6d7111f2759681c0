/* SPDX-License-Identifier: MIT */
/* Signals that arrive faster than memory is populated. The linker wraps madvise() and fallocate()
 * with the functions here, which return EINTR if they take longer than the time between signals. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <plugmap/ram.h>
#include <plugmap/size.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define SIZE (16 * PM_MIB)

/* A test that needs more fails. */
#define MAX_CALLS 10000

int __real_fallocate(int fd, int mode, off_t offset, off_t size);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t size);
int __real_madvise(void *address, size_t size, int advice);
int __wrap_madvise(void *address, size_t size, int advice);

static struct {
    uint64_t between_signals; /* bytes populated between two signals */
    bool old_kernel;          /* before 5.14 */
    unsigned n_calls;
} world;

/* True: interrupted, with errno set. */
static bool is_interrupted(uint64_t size)
{
    world.n_calls++;
    errno = world.n_calls < MAX_CALLS ? EINTR : ENOMEM;
    return size > world.between_signals || world.n_calls >= MAX_CALLS;
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t size)
{
    return is_interrupted((uint64_t)size) ? -1 : __real_fallocate(fd, mode, offset, size);
}

int __wrap_madvise(void *address, size_t size, int advice)
{
    if (advice == MADV_POPULATE_WRITE && world.old_kernel) {
        errno = EINVAL;
        return -1;
    }
    if (advice == MADV_POPULATE_WRITE && is_interrupted(size))
        return -1;
    return __real_madvise(address, size, advice);
}

static void check_populate(PmRamKind kind)
{
    g_autoptr(PmRam) ram = pm_ram_new(kind, SIZE, 0, NULL);
    g_autoptr(GError) error = NULL;
    uint64_t n_bytes = 0;

    assert_non_null(ram);
    world.n_calls = 0;
    if (!pm_ram_populate(ram, 0, SIZE, 1, &error))
        fail_msg("after %u calls: %s", world.n_calls, error->message);
    assert_true(pm_ram_resident(ram, 0, SIZE, &n_bytes, NULL));
    assert_int_equal(n_bytes, SIZE);
}

static void signals_do_not_starve_populate(void **state)
{
    (void)state;
    world.old_kernel = false;
    world.between_signals = 2 * PM_MIB;
    check_populate(PM_RAM_ANONYMOUS);
    check_populate(PM_RAM_MEMFD);
}

/* fallocate() of a memfd undoes what it has done when interrupted. */
static void signals_do_not_starve_populate_of_an_old_kernel(void **state)
{
    (void)state;
    world.old_kernel = true;
    for (world.between_signals = 4 * PM_KIB; world.between_signals < SIZE;
         world.between_signals *= 8)
        check_populate(PM_RAM_MEMFD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_do_not_starve_populate),
        cmocka_unit_test(signals_do_not_starve_populate_of_an_old_kernel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
