/* SPDX-License-Identifier: MIT */
/* A forwarding kernel implements only the operations that it changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>

#include <plugmap/fake.h>

#include "kernel/kernel_calls.h"

static void leave(PmKernel *kernel G_GNUC_UNUSED)
{
}

static int open_nothing(PmKernel *kernel G_GNUC_UNUSED, const char *path G_GNUC_UNUSED,
                        int flags G_GNUC_UNUSED)
{
    return -EPERM;
}

static void missing_operations_are_forwarded(void **state)
{
    static const PmKernelOps nothing = {.struct_size = sizeof(nothing), .free = leave};
    static const PmKernelOps no_open = {
        .struct_size = sizeof(no_open), .open = open_nothing, .free = leave};
    g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, NULL);
    PmKernel inner;
    PmKernel outer;
    char byte = 0;
    int fd;

    (void)state;
    assert_true(pm_kernel_init(&inner, &no_open, fake, NULL));
    assert_true(pm_kernel_init(&outer, &nothing, &inner, NULL));
    assert_int_equal(pm_kernel_open(&outer, "/dev/vfio/vfio", O_RDWR), -EPERM);
    fd = fake->ops->open(fake, "/dev/vfio/vfio", O_RDWR);
    assert_int_equal(pm_kernel_ioctl(&outer, fd, 0x3b64, NULL), 0);
    assert_int_equal(pm_kernel_pread(&outer, fd, &byte, 1, 0), -EINVAL);
    assert_int_equal(pm_kernel_refresh(&outer), 0);
    assert_int_equal(pm_kernel_close(&outer, fd), 0);
    assert_int_equal(pm_fake_kernel_get_n_open(fake), 0);
    pm_kernel_unref(&outer);
    pm_kernel_unref(&inner);
}

static void unimplemented_operation_fails_with_enosys(void **state)
{
    static const PmKernelOps nothing = {.struct_size = sizeof(nothing), .free = leave};
    PmLockedMemory locked = {.struct_size = sizeof(locked)};
    PmKernel kernel;

    (void)state;
    assert_true(pm_kernel_init(&kernel, &nothing, NULL, NULL));
    assert_int_equal(pm_kernel_open(&kernel, "/dev/vfio/vfio", O_RDWR), -ENOSYS);
    assert_int_equal(pm_kernel_lock_limit(&kernel, &locked), -ENOSYS);
    pm_kernel_unref(&kernel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_operations_are_forwarded),
        cmocka_unit_test(unimplemented_operation_fails_with_enosys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
