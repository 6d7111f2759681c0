/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <plugmap/fake.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/mman.h>

#include "util/allocation_util.h"
#include "util/backend_util.h"
#include "util/iommu_fixture.h"

static uint64_t n_calls(IommuFixture *fixture, PmFakeCall call)
{
    return pm_fake_kernel_get_n_calls(fixture->kernel, call);
}

/* --- what is mapped --- */

typedef struct {
    IommuFixture *fixture;
    uint64_t n_seen;
    PmIommuAccess access;
} Expectation;

static bool expect_block(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                         void *user_data)
{
    Expectation *expectation = user_data;

    assert_int_equal(iova, BASE + expectation->n_seen * BLOCK);
    assert_int_equal(size, BLOCK);
    assert_ptr_equal(host, expectation->fixture->memory + expectation->n_seen * BLOCK);
    assert_int_equal(access, expectation->access);
    expectation->n_seen++;
    return true;
}

static void every_block_is_a_mapping_of_its_own(void **state)
{
    IommuFixture *fixture = *state;
    Expectation expectation = {.fixture = fixture, .access = PM_IOMMU_READ_WRITE};
    uint64_t n_before = n_calls(fixture, PM_FAKE_CALL_MAP);

    assert_true(fixture_map(fixture, 0, 5, NULL));
    assert_int_equal(n_calls(fixture, PM_FAKE_CALL_MAP), n_before + 5);
    pm_fake_kernel_foreach_mapping(fixture->kernel, GROUP, expect_block, &expectation);
    assert_int_equal(expectation.n_seen, 5);
    assert_mapped(fixture, 5);
    assert_run(fixture, 0, 0, 5);
}

static void access_reaches_the_kernel(void **state)
{
    static const PmIommuAccess accesses[] = {PM_IOMMU_READ, PM_IOMMU_WRITE, PM_IOMMU_READ_WRITE};
    IommuFixture *fixture = *state;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(accesses); i++) {
        Expectation expectation = {.fixture = fixture, .access = accesses[i]};

        assert_true(pm_iommu_claim_map(fixture->claim, 0, BLOCK, 0, accesses[i], NULL));
        pm_fake_kernel_foreach_mapping(fixture->kernel, GROUP, expect_block, &expectation);
        assert_int_equal(expectation.n_seen, 1);
        assert_true(fixture_unmap(fixture, 0, 1, NULL));
    }
}

static void adjacent_calls_are_one_run(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    assert_true(fixture_map(fixture, 4, 2, NULL));
    assert_run(fixture, 1, 1, 1);
    assert_run(fixture, 2, 4, 2);
    assert_true(fixture_map(fixture, 2, 2, NULL));
    assert_run(fixture, 0, 0, 6);
    assert_mapped(fixture, 6);
}

static void memory_is_mapped_from_the_offset_on_that_is_given(void **state)
{
    IommuFixture *fixture = *state;
    PmIommuRun run;

    assert_true(pm_iommu_claim_map(fixture->claim, 0, 2 * BLOCK, 5 * BLOCK, PM_IOMMU_READ, NULL));
    assert_true(pm_iommu_next_run(fixture->iommu, 0, &run));
    assert_int_equal(run.ram_offset, 5 * BLOCK);
    fixture->memory += 5 * BLOCK;
    pm_fake_kernel_foreach_mapping(fixture->kernel, GROUP, expect_block,
                                   &(Expectation){.fixture = fixture, .access = PM_IOMMU_READ});
}

static void memory_can_be_mapped_twice(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(pm_iommu_claim_map(fixture->claim, 0, 2 * BLOCK, 0, PM_IOMMU_READ, NULL));
    assert_true(pm_iommu_claim_map(fixture->claim, 2 * BLOCK, 2 * BLOCK, 0, PM_IOMMU_READ, NULL));
    assert_run(fixture, 0, 0, 2);
    assert_run(fixture, 2, 2, 2);
    assert_mapped(fixture, 4);
}

/* --- refused before the kernel is asked --- */

static void assert_refused(IommuFixture *fixture, uint64_t offset, uint64_t size,
                           uint64_t ram_offset, unsigned access, PmError code, const char *words)
{
    uint64_t n_ioctls = n_calls(fixture, PM_FAKE_CALL_IOCTL);
    uint64_t n_mappings = pm_iommu_get_n_mappings(fixture->iommu);
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_claim_map(fixture->claim, offset, size, ram_offset, (PmIommuAccess)access,
                                    &error));
    assert_error(&error, code, words);
    assert_int_equal(n_calls(fixture, PM_FAKE_CALL_IOCTL), n_ioctls);
    assert_mapped(fixture, n_mappings);
}

static void map_without_access_or_block_is_refused(void **state)
{
    assert_refused(*state, 0, BLOCK, 0, 0, PM_ERROR_INVALID_ARGUMENT, "invalid access 0x0");
    assert_refused(*state, 0, BLOCK, 0, 7, PM_ERROR_INVALID_ARGUMENT, "invalid access 0x7");
    assert_refused(*state, 0, 0, 0, 3, PM_ERROR_INVALID_ARGUMENT, "0x0 bytes at offset 0x0");
}

static void map_outside_the_claim_is_refused(void **state)
{
    const uint64_t end = FIXTURE_MEMORY_SIZE;

    assert_refused(*state, end, BLOCK, 0, 3, PM_ERROR_INVALID_ARGUMENT,
                   "invalid range of 0x200000 bytes at offset 0x8000000: must be in the 0x8000000 "
                   "bytes of the test at I/O address 0x100000000");
    assert_refused(*state, end - BLOCK, 2 * BLOCK, 0, 3, PM_ERROR_INVALID_ARGUMENT,
                   "invalid range");
    assert_refused(*state, BLOCK, UINT64_MAX - BLOCK + 1, 0, 3, PM_ERROR_INVALID_ARGUMENT,
                   "invalid range");
    assert_refused(*state, UINT64_MAX - BLOCK + 1, 2 * BLOCK, 0, 3, PM_ERROR_INVALID_ARGUMENT,
                   "invalid range");
}

static void map_of_parts_of_blocks_is_refused(void **state)
{
    assert_refused(*state, 0, 4096, 0, 3, PM_ERROR_UNALIGNED,
                   "0x1000 bytes at offset 0x0 of the test are not whole blocks of 0x200000 bytes");
    assert_refused(*state, 4096, BLOCK, 0, 3, PM_ERROR_UNALIGNED, "not whole blocks");
    assert_refused(*state, BLOCK / 2, BLOCK / 2, 0, 3, PM_ERROR_UNALIGNED, "not whole blocks");
}

static void map_of_memory_outside_the_ram_is_refused(void **state)
{
    const uint64_t end = FIXTURE_MEMORY_SIZE;

    assert_refused(*state, 0, BLOCK, end, 3, PM_ERROR_INVALID_ARGUMENT,
                   "0x200000 bytes at offset 0x8000000 are not inside the part of the RAM that the "
                   "test may map, 0x8000000 bytes at offset 0x0");
    assert_refused(*state, 0, 2 * BLOCK, end - BLOCK, 3, PM_ERROR_INVALID_ARGUMENT,
                   "are not inside the part of the RAM");
    assert_refused(*state, 0, BLOCK, UINT64_MAX - 4095, 3, PM_ERROR_INVALID_ARGUMENT,
                   "are not inside the part of the RAM");
}

static void map_of_memory_inside_a_page_is_refused(void **state)
{
    assert_refused(*state, 0, BLOCK, 512, 3, PM_ERROR_UNALIGNED, "host address");
}

static void map_over_a_block_that_is_mapped_names_it(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 2, 2, NULL));
    assert_refused(fixture, 0, 3 * BLOCK, 0, 3, PM_ERROR_OVERLAP,
                   "the block of 2M at I/O address 0x100400000 (the test) is mapped already");
    assert_refused(fixture, 3 * BLOCK, 9 * BLOCK, 0, 3, PM_ERROR_OVERLAP, "0x100600000");
    assert_refused(fixture, 2 * BLOCK, BLOCK, 0, 3, PM_ERROR_OVERLAP, "0x100400000");
}

static void map_over_a_block_that_is_unknown_is_refused(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 2, 1, NULL));
    fixture->hooked.unmap_size_added = BLOCK;
    assert_false(fixture_unmap(fixture, 2, 1, NULL));
    fixture->hooked.unmap_size_added = 0;
    for (uint64_t first = 0; first <= 2; first++) {
        g_autoptr(GError) error = NULL;

        assert_false(fixture_map(fixture, first, 3, &error));
        assert_error(&error, PM_ERROR_QUARANTINED,
                     "I/O address 0x100400000 is in quarantine: the kernel may still have a block "
                     "of the test mapped there (unmapping 0x200000 bytes");
    }
    assert_true(fixture_map(fixture, 0, 2, NULL));
}

static void map_of_more_than_the_limit_is_refused(void **state)
{
    PmFakeConfig config;
    IommuFixture *fixture;

    (void)state;
    pm_fake_config_init(&config);
    config.entry_limit = 8;
    fixture = iommu_fixture_new(&config);
    assert_true(fixture_map(fixture, 0, 4, NULL));
    assert_refused(
        fixture, 4 * BLOCK, 5 * BLOCK, 0, 3, PM_ERROR_LIMIT,
        "5 more mappings would exceed the container's limit of 8 (4 in use, room for 4)");
    assert_refused(fixture, 4 * BLOCK, 9 * BLOCK, 0, 3, PM_ERROR_LIMIT, "blocks of at least 4M");
    assert_true(fixture_map(fixture, 4, 4, NULL));
    assert_mapped(fixture, 8);
    iommu_fixture_free(fixture);
}

static void map_without_memory_for_the_ledger_does_not_ask_the_kernel(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t n_maps = n_calls(fixture, PM_FAKE_CALL_MAP);
    g_autoptr(GError) error = NULL;
    bool mapped;

    allocations_end_after(0);
    mapped = fixture_map(fixture, 0, 1, &error);
    allocations_go_on();
    assert_false(mapped);
    assert_error(&error, PM_ERROR_MEMORY, "out of memory for the list of mappings");
    assert_int_equal(n_calls(fixture, PM_FAKE_CALL_MAP), n_maps);
    assert_mapped(fixture, 0);
    assert_true(fixture_map(fixture, 0, 1, NULL));
}

/* --- refused by the kernel --- */

typedef struct {
    int error_number; /* 0: the end */
    PmError code;
    const char *words;
} Row;

static void every_errno_has_its_code_and_message(void **state)
{
    static const Row type1[] = {
        {EEXIST, PM_ERROR_OVERLAP, "that this object did not"},
        {ENOSPC, PM_ERROR_LIMIT, "dma_entry_limit"},
        {ENOMEM, PM_ERROR_MEMORY, "out of memory, as there is no locked-memory limit: free"},
        {EFAULT, PM_ERROR_BAD_ADDRESS, "cannot pin the host memory"},
        {EINVAL, PM_ERROR_KERNEL, "the address is no longer valid"},
        {EPERM, PM_ERROR_PERMISSION, "may not map here"},
        {EBUSY, PM_ERROR_BUSY, "handed over"},
        {ENODEV, PM_ERROR_NOT_FOUND, "is gone"},
        {EINTR, PM_ERROR_KERNEL, "EINTR"},
        {EIO, PM_ERROR_KERNEL, "EIO"},
        {0},
    };
    static const Row iommufd[] = {
        {EEXIST, PM_ERROR_OVERLAP, "that this object did not"},
        {ENOSPC, PM_ERROR_LIMIT, "page table is full"},
        {ENOMEM, PM_ERROR_MEMORY, "out of memory, as there is no locked-memory limit: free"},
        {EFAULT, PM_ERROR_BAD_ADDRESS, "cannot pin the host memory"},
        {EINVAL, PM_ERROR_KERNEL, "reserved I/O addresses (for interrupts, or by the firmware)"},
        {EPERM, PM_ERROR_PERMISSION, "read-only"},
        {EBADF, PM_ERROR_INVALID_ARGUMENT, "not open"},
        {ENOENT, PM_ERROR_NOT_FOUND, "the IOAS was destroyed"},
        {ENODEV, PM_ERROR_NOT_FOUND, "is gone"},
        {EINTR, PM_ERROR_KERNEL, "EINTR"},
        {EIO, PM_ERROR_KERNEL, "EIO"},
        {0},
    };
    IommuFixture *fixture = *state;

    for (const Row *row = backend_is_iommufd() ? iommufd : type1; row->error_number != 0; row++) {
        g_autoptr(GError) error = NULL;

        pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, 1, row->error_number);
        assert_false(fixture_map(fixture, 0, 1, &error));
        assert_error(&error, row->code, row->words);
        assert_mapped(fixture, 0);
    }
    assert_true(fixture_map(fixture, 0, 1, NULL));
}

static void failed_block_is_named(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;
    g_autofree char *words = g_strdup_printf(
        "mapping 2M at I/O address 0x100400000 (host address %p) failed with EFAULT",
        (void *)(fixture->memory + 2 * BLOCK));

    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, 3, EFAULT);
    assert_false(fixture_map(fixture, 0, 5, &error));
    assert_error(&error, PM_ERROR_BAD_ADDRESS, words);
}

static void unmapped_memory_is_a_bad_address(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_int_equal(munmap(fixture->memory + 2 * BLOCK + 4096, 4096), 0);
    assert_false(fixture_map(fixture, 0, 4, &error));
    assert_error(&error, PM_ERROR_BAD_ADDRESS, "0x100400000");
    assert_mapped(fixture, 0);
}

static void reached_locked_memory_limit_has_the_numbers_and_advice(void **state)
{
    PmFakeConfig config;
    IommuFixture *fixture;
    g_autoptr(GError) error = NULL;

    (void)state;
    pm_fake_config_init(&config);
    config.memlock_limit = 3 * BLOCK;
    fixture = iommu_fixture_new(&config);
    assert_false(fixture_map(fixture, 0, 4, &error));
    assert_error(&error, PM_ERROR_LOCKED_MEMORY,
                 "needs 2M of locked memory, and 6M of the limit of 6M are in use: raise the limit "
                 "(ulimit -l, LimitMEMLOCK= of the systemd unit) or give the process CAP_IPC_LOCK");
    assert_mapped(fixture, 0);
    assert_true(fixture_map(fixture, 0, 3, NULL));
    iommu_fixture_free(fixture);
}

/* type1's limit is per process; iommufd's per user, whose other processes are unknown. */
static void kernel_without_memory_is_not_taken_for_a_limit_with_room(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    pm_fake_kernel_set_memlock(fixture->kernel, 3 * BLOCK, false);
    assert_true(fixture_map(fixture, 0, 1, NULL));
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, 1, ENOMEM);
    assert_false(fixture_map(fixture, 1, 1, &error));
    if (backend_is_iommufd())
        assert_error(&error, PM_ERROR_LOCKED_MEMORY, "the limit of 6M, which is the user's");
    else
        assert_error(&error, PM_ERROR_MEMORY,
                     "limit of 6M is not the cause, it has room (2M in use): free");
}

/* --- all or nothing --- */

static void failure_of_any_block_leaves_all_as_before(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t nth;

    /* Neighbours on both sides, which form one run with the mapped blocks. */
    assert_true(fixture_map(fixture, 0, 2, NULL));
    assert_true(fixture_map(fixture, 7, 2, NULL));
    for (nth = 1; nth <= 5; nth++) {
        uint64_t n_unmaps = n_calls(fixture, PM_FAKE_CALL_UNMAP);
        g_autoptr(GError) error = NULL;

        pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, nth, ENOSPC);
        assert_false(fixture_map(fixture, 2, 5, &error));
        assert_error(&error, PM_ERROR_LIMIT, "ENOSPC");
        assert_mapped(fixture, 4);
        assert_run(fixture, 0, 0, 2);
        assert_run(fixture, 2, 7, 2);
        assert_int_equal(n_calls(fixture, PM_FAKE_CALL_UNMAP) - n_unmaps, nth > 1 ? 1 : 0);
    }
    assert_true(fixture_map(fixture, 2, 5, NULL));
    assert_run(fixture, 0, 0, 9);
}

static void failed_rollback_is_reported_with_both_causes(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(fixture_map(fixture, 0, 1, NULL));
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, 4, EFAULT);
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_false(fixture_map(fixture, 1, 5, &error));
    assert_non_null(strstr(error->message, "EFAULT"));
    assert_error(&error, PM_ERROR_QUARANTINED, "EIO");
    assert_mapped(fixture, 4);
    assert_run(fixture, 0, 0, 1);
    assert_run(fixture, 1, 1, 3);
    assert_unknown(fixture, 1, 3, "EIO");
    assert_true(pm_iommu_claim_purge(fixture->claim, &error));
    assert_mapped(fixture, 0);
    assert_true(fixture_map(fixture, 0, 6, NULL));
}

static void short_rollback_is_reported_and_leaves_the_blocks_unknown(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, 5, EFAULT);
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(fixture_map(fixture, 0, 6, &error));
    assert_error(&error, PM_ERROR_QUARANTINED, "removed 0x400000 bytes");
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 4);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, GROUP), 2);
    assert_unknown(fixture, 0, 4, "removed 0x400000 bytes");
    assert_true(pm_iommu_claim_purge(fixture->claim, &error));
    assert_mapped(fixture, 0);
}

static void failure_without_an_error_pointer_is_rolled_back(void **state)
{
    IommuFixture *fixture = *state;

    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, 3, EFAULT);
    assert_false(fixture_map(fixture, 0, 4, NULL));
    assert_mapped(fixture, 0);
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, 3, EFAULT);
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_false(fixture_map(fixture, 0, 4, NULL));
    assert_mapped(fixture, 2);
    assert_unknown(fixture, 0, 2, "EIO");
}

/* --- threads --- */

#define N_THREADS  4
#define N_ROUNDS   200
#define PER_THREAD 8

typedef struct {
    IommuFixture *fixture;
    uint64_t first;
    bool fine;
} Worker;

/* cmocka's assertions are for the main thread. */
static gpointer map_and_unmap(gpointer user_data)
{
    Worker *worker = user_data;
    IommuFixture *fixture = worker->fixture;
    unsigned i;

    worker->fine = true;
    for (i = 0; i < N_ROUNDS; i++) {
        PmIommuRun run;

        worker->fine = worker->fine && fixture_map(fixture, worker->first, PER_THREAD, NULL);
        worker->fine = worker->fine &&
                       pm_iommu_next_run(fixture->iommu, BASE + worker->first * BLOCK, &run) &&
                       run.iova == BASE + worker->first * BLOCK;
        worker->fine = worker->fine && pm_iommu_get_n_mappings(fixture->iommu) >= PER_THREAD;
        worker->fine = worker->fine && fixture_unmap(fixture, worker->first + 3, 2, NULL);
        worker->fine = worker->fine && fixture_unmap(fixture, worker->first, 3, NULL);
        worker->fine = worker->fine && fixture_unmap(fixture, worker->first + 5, 3, NULL);
    }
    return NULL;
}

static void threads_map_side_by_side(void **state)
{
    IommuFixture *fixture = *state;
    Worker workers[N_THREADS];
    GThread *threads[N_THREADS];
    unsigned i;

    for (i = 0; i < N_THREADS; i++) {
        workers[i] = (Worker){.fixture = fixture, .first = (uint64_t)i * PER_THREAD};
        threads[i] = g_thread_new("worker", map_and_unmap, &workers[i]);
    }
    for (i = 0; i < N_THREADS; i++) {
        (void)g_thread_join(threads[i]);
        assert_true(workers[i].fine);
    }
    assert_mapped(fixture, 0);
}

#define MAP_TEST(name)                                                                             \
    cmocka_unit_test_setup_teardown(name, iommu_fixture_setup, iommu_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAP_TEST(every_block_is_a_mapping_of_its_own),
        MAP_TEST(access_reaches_the_kernel),
        MAP_TEST(adjacent_calls_are_one_run),
        MAP_TEST(memory_is_mapped_from_the_offset_on_that_is_given),
        MAP_TEST(memory_can_be_mapped_twice),
        MAP_TEST(map_without_access_or_block_is_refused),
        MAP_TEST(map_outside_the_claim_is_refused),
        MAP_TEST(map_of_parts_of_blocks_is_refused),
        MAP_TEST(map_of_memory_outside_the_ram_is_refused),
        MAP_TEST(map_of_memory_inside_a_page_is_refused),
        MAP_TEST(map_over_a_block_that_is_mapped_names_it),
        MAP_TEST(map_over_a_block_that_is_unknown_is_refused),
        MAP_TEST(map_without_memory_for_the_ledger_does_not_ask_the_kernel),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(map_of_more_than_the_limit_is_refused)),
        MAP_TEST(every_errno_has_its_code_and_message),
        MAP_TEST(failed_block_is_named),
        MAP_TEST(unmapped_memory_is_a_bad_address),
        cmocka_unit_test(reached_locked_memory_limit_has_the_numbers_and_advice),
        MAP_TEST(kernel_without_memory_is_not_taken_for_a_limit_with_room),
        MAP_TEST(failure_of_any_block_leaves_all_as_before),
        MAP_TEST(failed_rollback_is_reported_with_both_causes),
        MAP_TEST(short_rollback_is_reported_and_leaves_the_blocks_unknown),
        MAP_TEST(failure_without_an_error_pointer_is_rolled_back),
        MAP_TEST(threads_map_side_by_side),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
