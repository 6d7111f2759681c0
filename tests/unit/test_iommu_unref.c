/* SPDX-License-Identifier: MIT */
/* What the last reference to an address space ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include <plugmap/log.h>

#include "backend_util.h"
#include "iommu_fixture.h"

#define DEVICE "0000:00:04.0"

/* Which keeps the device's file, and all that it belongs to, as it is when it is closed. */
static void mappings_end_with_the_last_reference_though_registers_are_still_mapped(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 1, NULL));
    fixture->hooked.held_fd = pm_iommu_open_device(fixture->iommu, DEVICE, NULL);
    g_clear_pointer(&fixture->iommu, pm_iommu_unref);
    assert_int_equal(backend_get_pinned(fixture->kernel), 0);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, GROUP), 0);
    (void)fixture->kernel->ops->close(fixture->kernel, fixture->hooked.held_fd);
}

static void count_warning(GLogLevelFlags level, const char *message, void *user_data)
{
    unsigned *n_warnings = user_data;

    assert_int_equal(level, G_LOG_LEVEL_WARNING);
    assert_non_null(strstr(message, "until they are unmapped"));
    (*n_warnings)++;
}

static void mappings_that_do_not_end_with_the_last_reference_are_told(void **state)
{
    IommuFixture *fixture = *state;
    unsigned n_warnings = 0;

    assert_true(fixture_map(fixture, 0, 1, NULL));
    pm_log_set_func(count_warning, &n_warnings);
    /* type1: UNMAP; iommufd: DETACH. */
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_IOCTL, 1, EIO);
    g_clear_pointer(&fixture->iommu, pm_iommu_unref);
    pm_log_set_func(NULL, NULL);
    assert_int_equal(n_warnings, 1);
}

/* A child has a fake kernel of its own, which can say what the child has asked for;
 * test_several_devices.c tries it on a real one. */
static void a_forked_child_only_closes(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t n_ioctls;
    int status;
    pid_t child;

    assert_true(fixture_map(fixture, 0, 1, NULL));
    n_ioctls = pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_IOCTL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        pm_iommu_unref(fixture->iommu);
        _exit(pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_IOCTL) != n_ioctls ||
              pm_fake_kernel_get_n_open(fixture->kernel) != 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define UNREF_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, iommu_fixture_setup, iommu_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNREF_TEST(mappings_end_with_the_last_reference_though_registers_are_still_mapped),
        UNREF_TEST(mappings_that_do_not_end_with_the_last_reference_are_told),
        UNREF_TEST(a_forked_child_only_closes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
