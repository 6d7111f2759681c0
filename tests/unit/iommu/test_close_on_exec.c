/* SPDX-License-Identifier: MIT */
/* Another program inherits none of the library's files. The fake kernel's descriptors are the
 * system's, and have the flag only if requested. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/backend_util.h"

#define DEVICE "0000:00:04.0"
#define MAX_FD 1024

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static bool is_closed_on_exec(int fd)
{
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static void every_file_of_an_address_space_is_closed_on_exec(void **state)
{
    g_autoptr(PmKernel) kernel = backend_fake_new(NULL, NULL);
    g_autoptr(PmIommu) iommu = NULL;
    bool was_open[MAX_FD];
    unsigned n_opened = 0;

    (void)state;
    for (int fd = 0; fd < MAX_FD; fd++)
        was_open[fd] = is_open(fd);
    iommu = backend_open(kernel, 0, NULL);
    assert_non_null(iommu);
    assert_true(pm_iommu_open_device(iommu, DEVICE, NULL) >= 0);
    for (int fd = 0; fd < MAX_FD; fd++) {
        if (was_open[fd] || !is_open(fd))
            continue;
        n_opened++;
        assert_true(is_closed_on_exec(fd));
    }
    /* type1: container, group and device; iommufd: iommufd and device. */
    assert_int_equal(n_opened, backend_is_iommufd() ? 2 : 3);
}

static int open_nothing(PmKernel *kernel, const char *path, int flags)
{
    (void)kernel;
    (void)path;
    assert_int_equal(flags & O_CLOEXEC, O_CLOEXEC);
    return -ENOENT;
}

static void leave(PmKernel *kernel)
{
    (void)kernel;
}

/* Another thread may start a program while the file is open. */
static void the_file_that_is_only_looked_for_is_closed_on_exec(void **state)
{
    static const PmKernelOps ops = {
        .struct_size = sizeof(ops), .open = open_nothing, .free = leave};
    PmKernel kernel;

    (void)state;
    assert_true(pm_kernel_init(&kernel, &ops, NULL, NULL));
    assert_int_equal(pm_iommu_choose_backend(&kernel, DEVICE, NULL), PM_IOMMU_TYPE1);
    pm_kernel_unref(&kernel);
}

static void the_fake_kernel_honors_o_cloexec(void **state)
{
    const char *path = backend_is_iommufd() ? "/dev/iommu" : "/dev/vfio/vfio";
    g_autoptr(PmKernel) kernel = backend_fake_new(NULL, NULL);
    int kept = kernel->ops->open(kernel, path, O_RDWR);
    int closed = kernel->ops->open(kernel, path, O_RDWR | O_CLOEXEC);

    (void)state;
    assert_true(kept >= 0 && closed >= 0);
    assert_false(is_closed_on_exec(kept));
    assert_true(is_closed_on_exec(closed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_of_an_address_space_is_closed_on_exec),
        cmocka_unit_test(the_file_that_is_only_looked_for_is_closed_on_exec),
        cmocka_unit_test(the_fake_kernel_honors_o_cloexec),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
