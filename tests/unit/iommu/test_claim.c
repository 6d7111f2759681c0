/* SPDX-License-Identifier: MIT */
/* Creating claims, and what they exclude; test_claim_end.c has how they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include <plugmap/discard_manager.h>
#include <plugmap/fake.h>

#include "iommu/claim.h"
#include "util/backend_util.h"
#include "util/iommu_fixture.h"
#include "util/source_util.h"

/* --- valid and invalid claims --- */

static PmIommuClaimConfig good(const IommuFixture *fixture)
{
    return (PmIommuClaimConfig){
        .struct_size = sizeof(PmIommuClaimConfig),
        .owner = "somebody",
        .ram = fixture->ram,
        .iova = BASE + FIXTURE_MEMORY_SIZE,
        .size = 8 * BLOCK,
        .block_size = BLOCK,
    };
}

static void assert_refused(IommuFixture *fixture, const PmIommuClaimConfig *config, PmError code,
                           const char *words)
{
    uint64_t n_ioctls = pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_IOCTL);
    g_autoptr(GError) error = NULL;

    assert_null(pm_iommu_claim_new(fixture->iommu, config, &error));
    assert_error(&error, code, words);
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_IOCTL), n_ioctls);
}

static void claim_returns_its_configuration(void **state)
{
    IommuFixture *fixture = *state;
    PmIommuClaimConfig config = good(fixture);
    g_autofree char *owner = g_strdup("the owner");
    g_autoptr(PmIommuClaim) claim = NULL;

    config.owner = owner;
    claim = pm_iommu_claim_new(fixture->iommu, &config, NULL);
    memset(owner, 'x', strlen(owner));
    assert_string_equal(pm_iommu_claim_get_owner(claim), "the owner");
    assert_int_equal(pm_iommu_claim_get_iova(claim), BASE + FIXTURE_MEMORY_SIZE);
    assert_int_equal(pm_iommu_claim_get_size(claim), 8 * BLOCK);
    assert_int_equal(pm_iommu_claim_get_block_size(claim), BLOCK);
}

static void claim_without_owner_or_ram_is_refused(void **state)
{
    PmIommuClaimConfig config = good(*state);

    config.owner = NULL;
    assert_refused(*state, &config, PM_ERROR_INVALID_ARGUMENT, "an owner's name and the RAM");
    config = good(*state);
    config.ram = NULL;
    assert_refused(*state, &config, PM_ERROR_INVALID_ARGUMENT, "an owner's name and the RAM");
}

static void claim_of_nothing_is_refused(void **state)
{
    PmIommuClaimConfig config = good(*state);

    config.size = 0;
    assert_refused(*state, &config, PM_ERROR_INVALID_ARGUMENT, "is empty");
    config = good(*state);
    config.block_size = 0;
    assert_refused(*state, &config, PM_ERROR_UNALIGNED, "invalid block size 0x0");
}

static void claim_of_parts_of_pages_is_refused(void **state)
{
    PmIommuClaimConfig config = good(*state);

    config.iova += 512;
    assert_refused(*state, &config, PM_ERROR_UNALIGNED, "I/O address 0x108000200");
    config = good(*state);
    config.size += 1;
    assert_refused(*state, &config, PM_ERROR_UNALIGNED, "size 0x1000001");
    config = good(*state);
    config.block_size = 512;
    assert_refused(*state, &config, PM_ERROR_UNALIGNED, "invalid block size 0x200");
}

static void claim_of_parts_of_blocks_is_refused(void **state)
{
    PmIommuClaimConfig config = good(*state);

    config.size += 4096;
    assert_refused(
        *state, &config, PM_ERROR_INVALID_ARGUMENT,
        "0x1001000 bytes with 0x0 reserved: both must be multiples of the block size 0x200000");
    config = good(*state);
    config.block_size = 16 * BLOCK;
    assert_refused(*state, &config, PM_ERROR_INVALID_ARGUMENT, "multiples of the block size");
}

static void reservation_of_parts_of_blocks_or_of_more_than_is_claimed_is_refused(void **state)
{
    PmIommuClaimConfig config = good(*state);

    config.reserved_size = BLOCK + 4096;
    assert_refused(*state, &config, PM_ERROR_INVALID_ARGUMENT, "with 0x201000 reserved");
    config.reserved_size = 9 * BLOCK;
    assert_refused(*state, &config, PM_ERROR_INVALID_ARGUMENT, "reserved at most the size");
}

static void claim_outside_the_valid_addresses_is_refused(void **state)
{
    PmIommuClaimConfig config = good(*state);

    config.iova = 0xfee00000;
    assert_refused(*state, &config, PM_ERROR_IOVA_RANGE, "0x0-0xfedfffff, 0xfef00000-0x7fffffffff");
    config.iova = 0x8000000000 - 7 * BLOCK;
    assert_refused(*state, &config, PM_ERROR_IOVA_RANGE, "room for it is 0x7fff000000");
    config.iova = UINT64_MAX - BLOCK + 1;
    assert_refused(*state, &config, PM_ERROR_IOVA_RANGE, "valid ranges");
    config = good(*state);
    config.size = UINT64_MAX - BLOCK + 1;
    assert_refused(*state, &config, PM_ERROR_IOVA_RANGE, "no range is that large");
}

static void advised_address_is_aligned_to_the_blocks(void **state)
{
    PmIommuClaimConfig config = good(*state);

    config.iova = 0xfede0000;
    config.size = UINT64_C(3) * 0x10000;
    config.block_size = 0x10000;
    assert_refused(*state, &config, PM_ERROR_IOVA_RANGE, "room for it is 0xfedd0000");
}

static void claim_can_be_as_large_as_a_valid_range(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) all = NULL;

    fixture_drop_claim(fixture);
    all = fixture_claim(fixture, 0xfef00000, 0x8000000000 - 0xfef00000, 4096, NULL);
    assert_non_null(all);
    assert_true(
        pm_iommu_claim_map(all, pm_iommu_claim_get_size(all) - 4096, 4096, 0, PM_IOMMU_READ, NULL));
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, GROUP), 1);
}

/* --- overlaps --- */

static void assert_overlap(IommuFixture *fixture, uint64_t iova, uint64_t size)
{
    g_autoptr(GError) error = NULL;

    assert_null(fixture_claim(fixture, iova, size, 4096, &error));
    assert_error(&error, PM_ERROR_OVERLAP,
                 "overlap those of the test, 0x100000000-0x107ffffff: choose another address, or "
                 "release that claim first");
}

static void claims_do_not_overlap_in_any_way(void **state)
{
    IommuFixture *fixture = *state;
    const uint64_t size = FIXTURE_MEMORY_SIZE;

    assert_overlap(fixture, BASE, size);
    assert_overlap(fixture, BASE, 4096);
    assert_overlap(fixture, BASE + size - 4096, 4096);
    assert_overlap(fixture, BASE + BLOCK, BLOCK);
    assert_overlap(fixture, BASE - 4096, 8192);
    assert_overlap(fixture, BASE + size - 4096, 8192);
    assert_overlap(fixture, BASE - BLOCK, size + 2 * BLOCK);
    assert_overlap(fixture, BASE - BLOCK, size + BLOCK);
    assert_overlap(fixture, BASE, size + BLOCK);
}

static void claims_can_touch(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) before = fixture_claim(fixture, BASE - 4096, 4096, 4096, NULL);
    g_autoptr(PmIommuClaim) after =
        fixture_claim(fixture, BASE + FIXTURE_MEMORY_SIZE, 4096, 4096, NULL);

    assert_non_null(before);
    assert_non_null(after);
    assert_true(pm_iommu_claim_map(before, 0, 4096, 0, PM_IOMMU_READ, NULL));
    assert_true(pm_iommu_claim_map(after, 0, 4096, 0, PM_IOMMU_READ, NULL));
    assert_true(fixture_map(fixture, 0, FIXTURE_MEMORY_SIZE / BLOCK, NULL));
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, GROUP),
                     FIXTURE_MEMORY_SIZE / BLOCK + 2);
}

static void claim_over_several_names_the_first(void **state)
{
    IommuFixture *fixture = *state;
    PmIommuClaimConfig config = good(fixture);
    g_autoptr(PmIommuClaim) other = pm_iommu_claim_new(fixture->iommu, &config, NULL);
    g_autoptr(GError) error = NULL;

    config.iova = BASE + FIXTURE_MEMORY_SIZE - BLOCK;
    assert_non_null(other);
    assert_null(pm_iommu_claim_new(fixture->iommu, &config, &error));
    assert_error(&error, PM_ERROR_OVERLAP, "overlap those of the test");
}

static void claims_are_found_in_any_order_of_creation(void **state)
{
    IommuFixture *fixture = *state;
    static const uint64_t order[] = {4, 0, 2, 6, 1};
    PmIommuClaim *claims[G_N_ELEMENTS(order)];

    fixture_drop_claim(fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(order); i++)
        claims[i] = fixture_claim(fixture, BASE + order[i] * BLOCK, BLOCK, BLOCK, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        g_autoptr(GError) error = NULL;

        assert_non_null(claims[i]);
        assert_null(fixture_claim(fixture, BASE + order[i] * BLOCK, BLOCK, BLOCK, &error));
        assert_error(&error, PM_ERROR_OVERLAP, "overlap those of the test");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(order); i++)
        pm_iommu_claim_unref(claims[i]);
}

/* --- the RAM --- */

static void ram_with_a_manager_is_claimed_only_by_a_follower(void **state)
{
    IommuFixture *fixture = *state;
    PmIommuClaimConfig config = good(fixture);
    g_autoptr(PmDiscardManager) manager = NULL;
    g_autoptr(PmIommuClaim) follower = NULL;

    fixture_drop_claim(fixture);
    manager = manager_with_source(fixture->ram, BLOCK, NULL);
    assert_non_null(manager);
    assert_refused(
        fixture, &config, PM_ERROR_BUSY,
        "cannot map RAM for a device: somebody cannot disable all discards of 128M at offset "
        "0x0 of the RAM");
    config.follows_manager = true;
    follower = pm_iommu_claim_new(fixture->iommu, &config, NULL);
    assert_non_null(follower);
}

static void ram_that_could_not_be_claimed_gets_another_manager(void **state)
{
    IommuFixture *fixture = *state;
    const PmIommuClaimConfig config = good(fixture);
    g_autoptr(PmDiscardManager) manager = NULL;

    fixture_drop_claim(fixture);
    manager = manager_with_source(fixture->ram, BLOCK, NULL);
    assert_refused(fixture, &config, PM_ERROR_BUSY, "follow the manager (pm_mapper_add() does)");
    pm_discard_manager_unref(manager);
    manager = manager_with_source(fixture->ram, BLOCK, NULL);
    assert_non_null(manager);
}

static void ram_that_is_claimed_gets_no_manager(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmDiscardManager) manager = NULL;
    g_autoptr(GError) error = NULL;

    assert_null(manager_with_source(fixture->ram, BLOCK, &error));
    assert_error(&error, PM_ERROR_BUSY, "the test disables all discards");
    assert_true(pm_iommu_claim_release(fixture->claim, NULL));
    manager = manager_with_source(fixture->ram, BLOCK, NULL);
    assert_non_null(manager);
}

static void abandoned_ram_gets_no_manager(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmDiscardManager) manager = NULL;

    assert_true(fixture_map(fixture, 0, 1, NULL));
    pm_iommu_claim_abandon(fixture->claim);
    assert_null(manager_with_source(fixture->ram, BLOCK, NULL));
    assert_true(pm_iommu_settle(fixture->iommu, NULL));
    manager = manager_with_source(fixture->ram, BLOCK, NULL);
    assert_non_null(manager);
}

static void claim_that_fails_leaves_the_ram_free(void **state)
{
    IommuFixture *fixture = *state;
    PmIommuClaimConfig config = good(fixture);
    g_autoptr(PmDiscardManager) manager = NULL;

    fixture_drop_claim(fixture);
    config.iova = 0xfee00000;
    assert_null(pm_iommu_claim_new(fixture->iommu, &config, NULL));
    manager = manager_with_source(fixture->ram, BLOCK, NULL);
    assert_non_null(manager);
}

/* --- runs --- */

static void next_run_is_the_claims_own(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) other =
        fixture_claim(fixture, BASE + FIXTURE_MEMORY_SIZE, BLOCK, BLOCK, NULL);
    PmIommuRun run;

    assert_true(fixture_map(fixture, 2, 3, NULL));
    assert_true(pm_iommu_claim_map(other, 0, BLOCK, 0, PM_IOMMU_READ, NULL));
    assert_true(pm_iommu_claim_next_run(fixture->claim, 0, &run));
    assert_int_equal(run.iova, BASE + 2 * BLOCK);
    assert_int_equal(run.block_size, BLOCK);
    assert_int_equal(run.n_blocks, 3);
    assert_int_equal(run.ram_offset, 2 * BLOCK);
    assert_false(run.unknown);
    assert_true(pm_iommu_claim_next_run(fixture->claim, 4 * BLOCK + 1, &run));
    assert_int_equal(run.iova, BASE + 4 * BLOCK);
    assert_int_equal(run.n_blocks, 1);
    assert_false(pm_iommu_claim_next_run(fixture->claim, 5 * BLOCK, &run));
    assert_false(pm_iommu_claim_next_run(fixture->claim, FIXTURE_MEMORY_SIZE, &run));
    assert_false(pm_iommu_claim_next_run(fixture->claim, UINT64_MAX, &run));
}

static void next_run_finds_the_runs_of_all_claims(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) other =
        fixture_claim(fixture, BASE + FIXTURE_MEMORY_SIZE, 8192, 4096, NULL);
    PmIommuRun run;

    assert_true(pm_iommu_claim_map(other, 0, 8192, 0, PM_IOMMU_READ, NULL));
    assert_true(pm_iommu_next_run(fixture->iommu, 0, &run));
    assert_int_equal(run.iova, BASE + FIXTURE_MEMORY_SIZE);
    assert_int_equal(run.block_size, 4096);
    assert_int_equal(run.n_blocks, 2);
    assert_true(fixture_map(fixture, 63, 1, NULL));
    assert_run(fixture, 0, 63, 1);
    assert_false(pm_iommu_next_run(fixture->iommu, BASE + FIXTURE_MEMORY_SIZE + 8192, &run));
}

static void next_unknown_leaves_out_what_is_known(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t offset;
    uint64_t size;

    assert_true(fixture_map(fixture, 0, 16, NULL));
    fixture->hooked.unmap_size_added = 4096;
    assert_false(fixture_unmap(fixture, 4, 2, NULL));
    assert_false(fixture_unmap(fixture, 10, 3, NULL));
    assert_unknown(fixture, 4, 2, "removed");
    assert_true(pm_iommu_claim_next_unknown(fixture->claim, 5 * BLOCK + 1, &offset, &size, NULL));
    assert_int_equal(offset, 5 * BLOCK);
    assert_int_equal(size, BLOCK);
    assert_true(pm_iommu_claim_next_unknown(fixture->claim, 6 * BLOCK, &offset, &size, NULL));
    assert_int_equal(offset, 10 * BLOCK);
    assert_int_equal(size, 3 * BLOCK);
    assert_false(pm_iommu_claim_next_unknown(fixture->claim, 13 * BLOCK, &offset, &size, NULL));
    assert_false(
        pm_iommu_claim_next_unknown(fixture->claim, FIXTURE_MEMORY_SIZE, &offset, &size, NULL));
}

static void next_unknown_ends_with_the_claim(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t offset;
    uint64_t size;

    assert_true(fixture_map(fixture, 60, 4, NULL));
    fixture->hooked.unmap_size_added = 4096;
    assert_false(fixture_unmap(fixture, 60, 1, NULL));
    assert_false(pm_iommu_claim_next_unknown(fixture->claim, 61 * BLOCK, &offset, &size, NULL));
}

/* --- the example of iommu_claim.h --- */

#define HEADER  PLUGMAP_SOURCE_DIR "/include/plugmap/iommu_claim.h"
#define THIS    PLUGMAP_SOURCE_DIR "/tests/unit/iommu/test_claim.c"
#define EXAMPLE "    g_autoptr(PmRam) ram"

static IommuFixture *used_fixture;

static void use(void *memory)
{
    memset(memory, 1, PM_MIB);
    assert_int_equal(pm_fake_kernel_get_n_mappings(used_fixture->kernel, GROUP), 1);
}

static bool run_example(PmIommu *iommu)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, PM_MIB, 0, &error);
    PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the ring",
        .ram = ram,
        .iova = 8 * PM_GIB,
        .size = PM_MIB,
        .block_size = PM_MIB,
    };
    g_autoptr(PmIommuClaim) claim = ram ? pm_iommu_claim_new(iommu, &config, &error) : NULL;

    if (!claim || !pm_iommu_claim_map(claim, 0, PM_MIB, 0, PM_IOMMU_READ_WRITE, &error))
        return false;
    use(pm_ram_get_host(ram));
    if (pm_iommu_claim_release(claim, &error))
        return true;
    pm_iommu_claim_abandon(claim);
    return false;
}

static void example_maps_and_unmaps(void **state)
{
    used_fixture = *state;
    assert_true(run_example(used_fixture->iommu));
    assert_mapped(used_fixture, 0);
}

static void blocks_that_the_example_failed_to_unmap_are_settled(void **state)
{
    g_autoptr(GError) error = NULL;

    used_fixture = *state;
    pm_fake_kernel_fail(used_fixture->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_false(run_example(used_fixture->iommu));
    assert_false(pm_iommu_audit(used_fixture->iommu, NULL, 0, &error));
    assert_error(&error, PM_ERROR_QUARANTINED, "the ring");
    assert_true(pm_iommu_settle(used_fixture->iommu, NULL));
    assert_mapped(used_fixture, 0);
}

/* The code in the header's comment is the code above. */
static void example_of_the_header_is_the_one_that_runs(void **state)
{
    g_autofree char *header = NULL;
    g_autofree char *source = NULL;
    g_autoptr(GString) example = g_string_new(NULL);
    g_auto(GStrv) lines = NULL;

    (void)state;
    assert_true(g_file_get_contents(HEADER, &header, NULL, NULL));
    assert_true(g_file_get_contents(THIS, &source, NULL, NULL));
    assert_non_null(strstr(header, " * " EXAMPLE));
    lines = g_strsplit(strstr(header, " * " EXAMPLE), "\n", 0);
    for (char **line = lines; g_str_has_prefix(*line, " *     ") || g_str_equal(*line, " *");
         line++)
        g_string_append_printf(example, "%s\n", *line + MIN(strlen(*line), 3));
    g_strchomp(example->str);
    assert_non_null(strstr(example->str, "\n    return false;"));
    assert_non_null(strstr(source, example->str));
}

/* --- threads --- */

#define N_THREADS 4
#define N_ROUNDS  100

typedef struct {
    IommuFixture *fixture;
    uint64_t iova;
    bool fine;
} Worker;

/* cmocka's assertions are for the main thread. */
static gpointer claim_and_release(gpointer user_data)
{
    Worker *worker = user_data;

    worker->fine = true;
    for (unsigned i = 0; i < N_ROUNDS && worker->fine; i++) {
        g_autoptr(PmIommuClaim) claim =
            fixture_claim(worker->fixture, worker->iova, 4 * BLOCK, BLOCK, NULL);

        worker->fine =
            claim != NULL &&
            pm_iommu_claim_map(claim, 0, 4 * BLOCK, 0, PM_IOMMU_READ_WRITE, NULL) &&
            fixture_claim(worker->fixture, worker->iova + BLOCK, BLOCK, BLOCK, NULL) == NULL &&
            (i % 2 == 0 || pm_iommu_claim_release(claim, NULL)) &&
            pm_iommu_settle(worker->fixture->iommu, NULL);
    }
    return NULL;
}

static void threads_claim_side_by_side(void **state)
{
    IommuFixture *fixture = *state;
    Worker workers[N_THREADS];
    GThread *threads[N_THREADS];

    for (unsigned i = 0; i < N_THREADS; i++) {
        workers[i] = (Worker){.fixture = fixture,
                              .iova = BASE + FIXTURE_MEMORY_SIZE + (uint64_t)i * 4 * BLOCK};
        threads[i] = g_thread_new("worker", claim_and_release, &workers[i]);
    }
    for (unsigned i = 0; i < N_THREADS; i++) {
        (void)g_thread_join(threads[i]);
        assert_true(workers[i].fine);
    }
    assert_mapped(fixture, 0);
}

#define CLAIM_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, iommu_fixture_setup, iommu_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM_TEST(claim_returns_its_configuration),
        CLAIM_TEST(claim_without_owner_or_ram_is_refused),
        CLAIM_TEST(claim_of_nothing_is_refused),
        CLAIM_TEST(claim_of_parts_of_pages_is_refused),
        CLAIM_TEST(claim_of_parts_of_blocks_is_refused),
        CLAIM_TEST(reservation_of_parts_of_blocks_or_of_more_than_is_claimed_is_refused),
        CLAIM_TEST(claim_outside_the_valid_addresses_is_refused),
        CLAIM_TEST(advised_address_is_aligned_to_the_blocks),
        CLAIM_TEST(claim_can_be_as_large_as_a_valid_range),
        CLAIM_TEST(claims_do_not_overlap_in_any_way),
        CLAIM_TEST(claims_can_touch),
        CLAIM_TEST(claim_over_several_names_the_first),
        CLAIM_TEST(claims_are_found_in_any_order_of_creation),
        CLAIM_TEST(ram_with_a_manager_is_claimed_only_by_a_follower),
        CLAIM_TEST(ram_that_could_not_be_claimed_gets_another_manager),
        CLAIM_TEST(ram_that_is_claimed_gets_no_manager),
        CLAIM_TEST(abandoned_ram_gets_no_manager),
        CLAIM_TEST(claim_that_fails_leaves_the_ram_free),
        CLAIM_TEST(next_run_is_the_claims_own),
        CLAIM_TEST(next_run_finds_the_runs_of_all_claims),
        CLAIM_TEST(next_unknown_leaves_out_what_is_known),
        CLAIM_TEST(next_unknown_ends_with_the_claim),
        CLAIM_TEST(example_maps_and_unmaps),
        CLAIM_TEST(blocks_that_the_example_failed_to_unmap_are_settled),
        cmocka_unit_test(example_of_the_header_is_the_one_that_runs),
        CLAIM_TEST(threads_claim_side_by_side),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
