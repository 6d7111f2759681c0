/* SPDX-License-Identifier: MIT */
/* Dropping the last reference to an address space. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <plugmap/fake.h>
#include <plugmap/log.h>

#include "util/backend_util.h"
#include "util/iommu_fixture.h"

#define DEVICE "0000:00:04.0"

/* Only abandoned claims still have mappings when the last reference to an address space is dropped:
 * an owner holds one. */
static void abandon(IommuFixture *fixture)
{
    pm_iommu_claim_abandon(fixture->claim);
    fixture_drop_claim(fixture);
}

static void address_space_lives_as_long_as_a_claim_is_owned(void **state)
{
    IommuFixture *fixture = *state;
    PmIommu *iommu = g_steal_pointer(&fixture->iommu);

    pm_iommu_unref(iommu);
    assert_true(pm_fake_kernel_get_n_open(fixture->kernel) > 0);
    assert_true(fixture_map(fixture, 0, 4, NULL));
    assert_int_equal(pm_iommu_get_n_mappings(iommu), 4);
    assert_true(fixture_unmap(fixture, 0, 2, NULL));
    assert_true(pm_iommu_claim_release(fixture->claim, NULL));
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
    assert_int_equal(backend_get_pinned(fixture->kernel), 0);
}

static void address_space_is_freed_with_the_last_claim(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 4, NULL));
    g_clear_pointer(&fixture->iommu, pm_iommu_unref);
    fixture_drop_claim(fixture);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
    assert_int_equal(backend_get_pinned(fixture->kernel), 0);
}

/* Its own reference is the last one. */
static void claim_that_is_abandoned_last_closes_the_address_space(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 4, NULL));
    g_clear_pointer(&fixture->iommu, pm_iommu_unref);
    pm_iommu_claim_abandon(fixture->claim);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
    assert_int_equal(backend_get_pinned(fixture->kernel), 0);
    assert_all_known(fixture);
}

static void claim_that_has_ended_does_not_keep_the_files_open(void **state)
{
    IommuFixture *fixture = *state;
    PmIommuRun run;

    assert_true(pm_iommu_claim_release(fixture->claim, NULL));
    g_clear_pointer(&fixture->iommu, pm_iommu_unref);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
    assert_false(pm_iommu_claim_next_run(fixture->claim, 0, &run));
    assert_false(pm_iommu_claim_map(fixture->claim, 0, BLOCK, 0, PM_IOMMU_READ, NULL));
    assert_true(pm_iommu_claim_purge(fixture->claim, NULL));
    assert_true(pm_iommu_claim_release(fixture->claim, NULL));
    assert_string_equal(pm_iommu_claim_get_owner(fixture->claim), "the test");
}

static void abandoned_claim_ends_with_the_address_space(void **state)
{
    IommuFixture *fixture = *state;
    PmIommuRun run;

    assert_true(fixture_map(fixture, 0, 4, NULL));
    pm_iommu_claim_abandon(fixture->claim);
    assert_unknown(fixture, 0, 4, "abandoned it while mapped");
    g_clear_pointer(&fixture->iommu, pm_iommu_unref);
    assert_int_equal(backend_get_pinned(fixture->kernel), 0);
    assert_all_known(fixture);
    assert_false(pm_iommu_claim_next_run(fixture->claim, 0, &run));
    assert_true(pm_iommu_claim_release(fixture->claim, NULL));
}

/* A memfd is closed with its RAM. */
static void ram_of_an_abandoned_claim_is_freed_with_the_address_space(void **state)
{
    IommuFixture *fixture = *state;
    int fd;

    fixture_drop_claim(fixture);
    pm_ram_unref(fixture->ram);
    fixture->ram = pm_ram_new(PM_RAM_MEMFD, FIXTURE_MEMORY_SIZE, 0, NULL);
    fd = pm_ram_get_fd(fixture->ram, NULL);
    fixture->claim = fixture_claim(fixture, BASE, BLOCK, BLOCK, NULL);
    assert_true(fixture_map(fixture, 0, 1, NULL));
    abandon(fixture);
    g_clear_pointer(&fixture->ram, pm_ram_unref);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    g_clear_pointer(&fixture->iommu, pm_iommu_unref);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    fixture->ram = pm_ram_new(PM_RAM_ANONYMOUS, FIXTURE_MEMORY_SIZE, 0, NULL);
}

/* However often unmapping failed before. */
static void ram_of_an_abandoned_claim_is_freed_with_its_area(void **state)
{
    IommuFixture *fixture = *state;
    int fd;

    fixture_drop_claim(fixture);
    pm_ram_unref(fixture->ram);
    fixture->ram = pm_ram_new(PM_RAM_MEMFD, FIXTURE_MEMORY_SIZE, 0, NULL);
    fd = pm_ram_get_fd(fixture->ram, NULL);
    fixture->claim = fixture_claim(fixture, BASE, BLOCK, BLOCK, NULL);
    assert_true(fixture_map(fixture, 0, 1, NULL));
    abandon(fixture);
    g_clear_pointer(&fixture->ram, pm_ram_unref);
    for (unsigned nth = 1; nth <= 8; nth++)
        pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, nth, EIO);
    g_clear_pointer(&fixture->iommu, pm_iommu_unref);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    fixture->ram = pm_ram_new(PM_RAM_ANONYMOUS, FIXTURE_MEMORY_SIZE, 0, NULL);
}

/* This keeps the device's file, and all that belongs to it, when it is closed. */
static void mappings_end_with_the_last_reference_though_registers_are_still_mapped(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 1, NULL));
    fixture->hooked.held_fd = pm_iommu_open_device(fixture->iommu, DEVICE, NULL);
    abandon(fixture);
    g_clear_pointer(&fixture->iommu, pm_iommu_unref);
    assert_int_equal(backend_get_pinned(fixture->kernel), 0);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, GROUP), 0);
    (void)fixture->kernel->ops->close(fixture->kernel, fixture->hooked.held_fd);
}

static void find_words(GLogLevelFlags level, const char *message, void *user_data)
{
    unsigned *n_found = user_data;

    assert_int_equal(level, G_LOG_LEVEL_WARNING);
    *n_found += strstr(message, "the RAM of the test is never freed") != NULL;
}

/* Its claim is never freed, nor what the kernel holds for it: keep both reachable for leak
 * checkers. */
static PmIommuClaim *kept_for_ever;
static const PmKernelPrivate *volatile kernel_kept_for_ever;

static void mappings_that_outlive_the_last_reference_are_reported(void **state)
{
    IommuFixture *fixture = *state;
    unsigned n_found = 0;
    uint64_t offset;
    uint64_t size;
    uint64_t n_calls;

    assert_true(fixture_map(fixture, 0, 1, NULL));
    kept_for_ever = pm_iommu_claim_ref(fixture->claim);
    kernel_kept_for_ever = fixture->hooked.parent.data;
    pm_log_set_func(find_words, &n_found);
    abandon(fixture);
    /* type1: UNMAP; iommufd: DETACH. */
    for (unsigned nth = 1; nth <= 10; nth++)
        pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_IOCTL, nth, EIO);
    g_clear_pointer(&fixture->iommu, pm_iommu_unref);
    pm_log_set_func(NULL, NULL);
    assert_int_equal(n_found, 1);
    n_calls = pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_ANY);
    assert_true(pm_iommu_claim_next_unknown(kept_for_ever, 0, &offset, &size, NULL));
    assert_false(pm_iommu_claim_release(kept_for_ever, NULL));
    /* Its descriptors may be those of other files by now. */
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_ANY), n_calls);
    assert_non_null(kernel_kept_for_ever);
}

/* A child has its own fake kernel, which shows what the child calls; test_several_devices.c tests
 * it on a real one. */
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
        pm_iommu_claim_unref(fixture->claim);
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
        UNREF_TEST(address_space_lives_as_long_as_a_claim_is_owned),
        UNREF_TEST(address_space_is_freed_with_the_last_claim),
        UNREF_TEST(claim_that_is_abandoned_last_closes_the_address_space),
        UNREF_TEST(claim_that_has_ended_does_not_keep_the_files_open),
        UNREF_TEST(abandoned_claim_ends_with_the_address_space),
        UNREF_TEST(ram_of_an_abandoned_claim_is_freed_with_the_address_space),
        BACKEND_IOMMUFD_ONLY(UNREF_TEST(ram_of_an_abandoned_claim_is_freed_with_its_area)),
        UNREF_TEST(mappings_end_with_the_last_reference_though_registers_are_still_mapped),
        UNREF_TEST(mappings_that_outlive_the_last_reference_are_reported),
        UNREF_TEST(a_forked_child_only_closes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
